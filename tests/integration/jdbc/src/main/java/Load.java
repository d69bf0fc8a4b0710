import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.commons.dbcp2.BasicDataSource;

/**
 * pgjdbc under DDL, as its users have it: prepares on the server after five uses, and describes once (see ../drivers/README.md).
 * Usage: Load PLAN; its report is lines of name TAB value.
 */
public final class Load {
  private record Text(String sql, List<String> arguments, int rows, boolean writes) {}

  private static final int IDS = 40;
  private static final String[] WAYS = {"alone", "alone", "alone", "alone", "alone", "alone", "alone", "block", "block", "read only"};

  private final List<Text> texts = new ArrayList<>();
  private final Map<String, String> plan = new HashMap<>();
  private final List<String> wrong = new ArrayList<>();
  private final Map<String, Integer> errors = new TreeMap<>();
  private long until;
  private long rows;
  private long inserted;
  private long doubtful;
  private double slowest;

  public static void main(String[] args) throws Exception {
    new Load().run(Path.of(args[0]));
    System.exit(0);
  }

  private void run(Path file) throws Exception {
    for (String line : Files.readAllLines(file)) {
      String[] fields = line.split("\t", -1);
      if (fields[0].equals("statement")) {
        List<String> arguments = fields[2].isEmpty() ? List.of() : List.of(fields[2].split(" "));
        texts.add(new Text(fields[1], arguments, Integer.parseInt(fields[3]), fields[4].equals("write")));
      } else {
        plan.put(fields[0], fields[1]);
      }
    }
    int connections = Integer.parseInt(plan.get("connections"));
    BasicDataSource pool = new BasicDataSource();
    pool.setUrl("jdbc:postgresql://127.0.0.1:" + plan.get("port") + "/bench");
    pool.setUsername("openfire");
    pool.setPassword("openfire");
    pool.setMaxTotal(connections);
    pool.setPoolPreparedStatements(true);
    until = System.nanoTime() + (long) (Double.parseDouble(plan.get("seconds")) * 1e9);
    List<Thread> threads = new ArrayList<>();
    for (int n = 1; n <= connections; n++) {
      Thread thread = new Thread(new Client(pool, n)::run);
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
    say("driver", "pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
    say("rows", rows);
    say("inserted", inserted);
    say("doubtful", doubtful);
    say("slowest", slowest);
    wrong.forEach(what -> say("wrong", what));
    errors.forEach((what, count) -> say("error", count + "\t" + what));
  }

  private static void say(String name, Object value) {
    System.out.println(name + "\t" + String.valueOf(value).replace('\n', ' '));
  }

  private synchronized void note(String state, String way, int tries, Exception error) {
    errors.merge(state + " " + way + " " + tries + ": " + String.valueOf(error.getMessage()).lines().findFirst().orElse("").replace('\t', ' '), 1, Integer::sum);
  }

  private static String key(int id) {
    return Integer.toString(id * 7 + 12345);
  }

  private final class Client {
    private final BasicDataSource pool;
    private final int number;
    private final Random random = new Random();
    private final Map<String, String> fresh = new HashMap<>();
    private int count;

    Client(BasicDataSource pool, int number) {
      this.pool = pool;
      this.number = number;
    }

    private final class Turn {
      final String way;
      final Text text;
      final int id;
      final boolean inserts;

      Turn(String way) {
        this.way = way;
        Text found;
        do {
          found = texts.get(random.nextInt(texts.size()));
        } while (found.writes() && way.equals("read only"));
        text = found;
        inserts = text.arguments().contains("new");
        id = inserts ? number * 1_000_000 + ++count : 1 + random.nextInt(IDS);
      }

      String sql() {
        return text.sql().replaceAll("\\$\\d", "?") + fresh.getOrDefault(text.sql(), "");
      }

      void freshText() {
        fresh.put(text.sql(), " /* " + random.nextInt(1 << 30) + " */");
      }

      void execute(Connection conn) throws SQLException {
        // A ? has the number of its place; $1 and $2 may stand the other way round.
        List<String> arguments = new ArrayList<>(text.arguments());
        if (text.sql().contains("$2") && text.sql().indexOf("$2") < text.sql().indexOf("$1")) {
          Collections.reverse(arguments);
        }
        long before = System.nanoTime();
        List<Map<String, String>> found = new ArrayList<>();
        try (PreparedStatement statement = conn.prepareStatement(sql())) {
          for (int at = 0; at < arguments.size(); at++) {
            switch (arguments.get(at)) {
              case "k" -> statement.setString(at + 1, key(id));
              case "open" -> statement.setObject(at + 1, key(id), Types.OTHER);
              default -> statement.setInt(at + 1, id);
            }
          }
          if (statement.execute()) {
            try (ResultSet result = statement.getResultSet()) {
              int columns = result.getMetaData().getColumnCount();
              while (result.next()) {
                Map<String, String> row = new HashMap<>();
                for (int at = 1; at <= columns; at++) {
                  row.put(result.getMetaData().getColumnLabel(at), String.valueOf(result.getObject(at)));
                }
                found.add(row);
              }
            }
          }
        }
        check(found, (System.nanoTime() - before) / 1e9);
      }

      private void check(List<Map<String, String>> found, double seconds) {
        synchronized (Load.this) {
          slowest = Math.max(slowest, seconds);
          if (text.rows() != 0 && found.size() != text.rows()) {
            wrong.add(found.size() + " rows: " + way + ": " + sql() + " " + id);
          }
          for (Map<String, String> row : found) {
            String key = row.containsKey("id") ? key(Integer.parseInt(row.get("id"))) : "none";
            boolean right =
                row.entrySet().stream().allMatch(e -> e.getKey().equals("id") || e.getValue().replaceAll("\\.0$", "").equals(key));
            if (!right || (text.rows() == 1 && !key.equals(key(id)))) {
              wrong.add(row + ": " + way + ": " + sql() + " " + id);
            }
            rows++;
          }
        }
      }
    }

    void run() {
      try {
        while (System.nanoTime() < until) {
          try (Connection conn = pool.getConnection()) {
            for (int n = 0; n < 10; n++) {
              String way = WAYS[random.nextInt(WAYS.length)];
              if (way.equals("alone")) {
                alone(conn);
              } else {
                block(conn, way);
              }
            }
          }
        }
      } catch (Exception error) {
        note("fatal", "", 0, error);
      }
    }

    private void alone(Connection conn) {
      Turn turn = new Turn("alone");
      for (int tries = 0; tries < 6; tries++) {
        try {
          turn.execute(conn);
          count(turn.inserts ? 1 : 0, true);
          return;
        } catch (SQLException error) {
          note(error.getSQLState(), turn.way, tries, error);
        } catch (RuntimeException error) {
          note(error.getClass().getSimpleName(), turn.way, tries, error);
        }
        if (tries > 0) {
          turn.freshText();
        }
      }
      count(turn.inserts ? 1 : 0, false);
    }

    private void block(Connection conn, String way) throws SQLException {
      int inserts = 0;
      Turn turn = null;
      conn.setReadOnly(way.equals("read only"));
      conn.setAutoCommit(false);
      try {
        for (int n = 0; n < 2; n++) {
          turn = new Turn(way);
          inserts += turn.inserts ? 1 : 0;
          turn.execute(conn);
        }
        conn.commit();
        count(inserts, true);
      } catch (SQLException error) {
        note(error.getSQLState(), way, 0, error);
        count(inserts, false);
        conn.rollback();
        if (!"0A000".equals(error.getSQLState())) {
          turn.freshText();
        }
      }
      conn.setAutoCommit(true);
      conn.setReadOnly(false);
    }

    private void count(int inserts, boolean sure) {
      synchronized (Load.this) {
        if (sure) {
          inserted += inserts;
        } else {
          doubtful += inserts;
        }
      }
    }
  }
}
