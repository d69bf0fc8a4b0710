import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;

/** Logs in by the URL given and reads something longer than a TLS record. Prints "ok". Usage: Tls URL. */
public final class Tls {
  private Tls() {}

  public static void main(String[] args) throws Exception {
    try (Connection connection = DriverManager.getConnection(args[0]);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT repeat('x', 100000)")) {
      rows.next();
      System.out.println(rows.getString(1).length() == 100000 ? "ok" : "short");
    }
  }
}
