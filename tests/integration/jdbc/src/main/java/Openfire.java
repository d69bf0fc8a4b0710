import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.postgresql.jdbc.PgConnection;

/**
 * Goes on as Openfire does while servers die: each statement on a connection borrowed for it, in autocommit or in a short
 * transaction, nothing tried again. Usage: Openfire PORT[,PORT] THREADS [validated]; of several ports pgjdbc chooses itself, and
 * connections are validated when they are borrowed only if that is asked for. Says "goes on" once every thread has done its round, and
 * ends at a line "judge PORT" on its input: then it compares what it was told with what that server holds.
 * The report is lines of name TAB value.
 */
public final class Openfire {
  static final String[] SCHEMA = {
    "DROP TABLE IF EXISTS ofID, ofUser, ofOffline, ofMucMember",
    "CREATE TABLE ofID (idType int PRIMARY KEY, id int NOT NULL)",
    "CREATE TABLE ofUser (username varchar(64) PRIMARY KEY, storedKey varchar(32), name varchar(100))",
    "CREATE TABLE ofOffline (username varchar(64), messageID int, messageSize int, stanza text)",
    "CREATE INDEX ofOffline_idx ON ofOffline (username, messageID)",
    "CREATE TABLE ofMucMember (roomID int, jid text, visit int)",
    "INSERT INTO ofID VALUES (19, 1)",
    "INSERT INTO ofUser SELECT 'user' || i, md5('user' || i), 'User ' || i FROM generate_series(0, 99) i",
  };
  private static final int OFFLINE = 19; // idType
  private static final int BLOCK = 5; // of numbers that SequenceManager takes at once
  private static final int TRIES = 11; // of DbConnectionManager for a connection

  private final Pool pool;
  private final Map<String, Integer> done = new TreeMap<>();
  private final Map<String, Integer> errors = new TreeMap<>();
  private final Map<String, Long> longest = new TreeMap<>();
  private final List<String> wrong = new ArrayList<>();
  private final AtomicInteger dropped = new AtomicInteger();
  private final AtomicInteger refused = new AtomicInteger();
  private final Map<String, String> told = new ConcurrentHashMap<>(); // "user0 17", "room 0 17" -> ok or SQLSTATE
  private final Map<String, Integer> acknowledged = new ConcurrentHashMap<>(); // user -> last message that he surely has
  private volatile boolean over;
  private int next; // number of a message, and how many are left of the block
  private int left;

  private Openfire(String ports, boolean validated) {
    pool = new Pool(url(ports), validated);
  }

  private static String url(String ports) {
    String hosts = "127.0.0.1:" + ports.replace(",", ",127.0.0.1:");
    // Else the driver leaves out for ten seconds whom it once did not reach, though the other may be gone by then.
    String several = ports.contains(",") ? "?loadBalanceHosts=true&hostRecheckSeconds=0" : "";
    return "jdbc:postgresql://" + hosts + "/openfire" + several;
  }

  public static void main(String[] args) throws Exception {
    new Openfire(args[0], args.length > 2).run(Integer.parseInt(args[1]));
    System.exit(0);
  }

  private void run(int count) throws Exception {
    try (Connection conn = pool.get(); Statement statement = conn.createStatement()) {
      for (String sql : SCHEMA) {
        statement.execute(sql);
      }
    }
    List<Thread> threads = new ArrayList<>();
    AtomicInteger rounds = new AtomicInteger();
    for (int n = 0; n < count; n++) {
      String user = "user" + n;
      int room = n;
      threads.add(new Thread(() -> {
        for (int round = 0; !over; round++) {
          round(user, room, round);
          rounds.addAndGet(round == 0 ? 1 : 0);
        }
      }));
    }
    threads.forEach(thread -> thread.setDaemon(true));
    threads.forEach(Thread::start);
    while (rounds.get() < count) {
      Thread.sleep(20);
    }
    System.out.println("goes on");
    String[] words = new BufferedReader(new InputStreamReader(System.in)).readLine().split(" ");
    over = true;
    for (Thread thread : threads) {
      thread.join(40_000);
      if (thread.isAlive()) {
        wrong.add("hanging: " + thread.getName());
      }
    }
    judge(words[1]);
    report();
  }

  // -- what Openfire does

  private void round(String user, int room, int round) {
    attempt("read", () -> query("SELECT storedKey, name FROM ofUser WHERE username=?", user));
    storeOffline(user);
    attempt("read", () -> {
      int surely = acknowledged.getOrDefault(user, 0);
      List<List<Object>> rows = query("SELECT max(messageID) FROM ofOffline WHERE username=?", user);
      Object found = rows.get(0).get(0);
      if ((found == null ? 0 : (int) found) < surely) {
        note("stale: " + user + " has " + found + ", acknowledged was " + surely);
      }
    });
    moveMember(room, round);
    try {
      Thread.sleep(20);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private void storeOffline(String user) {
    int number = nextNumber();
    if (number == 0) {
      return;
    }
    String key = user + " " + number;
    told.put(key, "08007"); // until it is known
    boolean good = attempt("write", () -> update("INSERT INTO ofOffline (username, messageID, messageSize, stanza) VALUES (?, ?, ?, ?)",
        user, number, 20, "<message id='" + number + "'/>"), state -> told.put(key, state));
    if (good) {
      told.put(key, "ok");
      acknowledged.merge(user, number, Math::max);
    }
  }

  /** SequenceManager: under a lock of the whole cluster, so that an UPDATE that meets no row has been told an old number. 0: none. */
  private synchronized int nextNumber() {
    if (left == 0) {
      int[] id = new int[1];
      if (!attempt("read", () -> id[0] = (int) query("SELECT id FROM ofID WHERE idType=?", OFFLINE).get(0).get(0))) {
        return 0;
      }
      int[] rows = new int[1];
      if (!attempt("write", () -> rows[0] = update("UPDATE ofID SET id=? WHERE idType=? AND id=?", id[0] + BLOCK, OFFLINE, id[0]))) {
        return 0;
      }
      if (rows[0] != 1) {
        note("stale: ofID said " + id[0]);
        return 0;
      }
      next = id[0];
      left = BLOCK;
    }
    left--;
    return next++;
  }

  private void moveMember(int room, int visit) {
    String key = "room" + room + " " + visit;
    String[] where = {"block"};
    told.put(key, "08007");
    boolean good = attempt("transaction", () -> {
      try (Connection conn = borrow()) {
        try {
          conn.setAutoCommit(false);
          execute(conn, "DELETE FROM ofMucMember WHERE roomID=? AND visit=?", room, -1);
          execute(conn, "INSERT INTO ofMucMember (roomID, jid, visit) VALUES (?, ?, ?)", room, "one", visit);
          execute(conn, "INSERT INTO ofMucMember (roomID, jid, visit) VALUES (?, ?, ?)", room, "other", visit);
          where[0] = "commit";
          conn.commit();
        } catch (SQLException e) {
          lookAt(conn);
          attempt("rollback", conn::rollback);
          throw e;
        } finally {
          attempt("end", () -> conn.setAutoCommit(true));
        }
      }
    }, state -> told.put(key, where[0].equals("block") ? "block " + state : state));
    if (good) {
      told.put(key, "ok");
    }
  }

  // -- how it does it

  private interface Action {
    void run() throws SQLException;
  }

  private interface Hear {
    void told(String state);
  }

  private boolean attempt(String kind, Action action) {
    return attempt(kind, action, state -> {});
  }

  private boolean attempt(String kind, Action action, Hear hear) {
    long before = System.nanoTime();
    try {
      action.run();
      synchronized (this.done) {
        done.merge(kind, 1, Integer::sum);
      }
      return true;
    } catch (SQLException e) {
      hear.told(String.valueOf(e.getSQLState()));
      String line = String.valueOf(e.getMessage()).lines().findFirst().orElse("").replace('\t', ' ');
      synchronized (done) {
        errors.merge(kind + "\t" + e.getSQLState() + "\t" + line, 1, Integer::sum);
      }
      return false;
    } finally {
      long took = (System.nanoTime() - before) / 1_000_000;
      synchronized (done) {
        longest.merge(kind, took, Math::max);
      }
    }
  }

  private Connection borrow() throws SQLException {
    for (int tries = 1; ; tries++) {
      try {
        return pool.get();
      } catch (SQLException e) {
        refused.incrementAndGet();
        if (tries == TRIES) {
          throw e;
        }
        try {
          Thread.sleep(250);
        } catch (InterruptedException interrupted) {
          throw e;
        }
      }
    }
  }

  private List<List<Object>> query(String sql, Object... values) throws SQLException {
    try (Connection conn = borrow()) {
      try (PreparedStatement statement = bound(conn, sql, values); ResultSet result = statement.executeQuery()) {
        List<List<Object>> rows = new ArrayList<>();
        while (result.next()) {
          List<Object> row = new ArrayList<>();
          for (int at = 1; at <= result.getMetaData().getColumnCount(); at++) {
            row.add(result.getObject(at));
          }
          rows.add(row);
        }
        return rows;
      } catch (SQLException e) {
        lookAt(conn);
        throw e;
      }
    }
  }

  private int update(String sql, Object... values) throws SQLException {
    try (Connection conn = borrow()) {
      try {
        return execute(conn, sql, values);
      } catch (SQLException e) {
        lookAt(conn);
        throw e;
      }
    }
  }

  private static int execute(Connection conn, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = bound(conn, sql, values)) {
      return statement.executeUpdate();
    }
  }

  private static PreparedStatement bound(Connection conn, String sql, Object... values) throws SQLException {
    PreparedStatement statement = conn.prepareStatement(sql);
    for (int at = 0; at < values.length; at++) {
      statement.setObject(at + 1, values[at]);
    }
    return statement;
  }

  /** Whether the connection itself is gone, which the pool would find out at the next statement. */
  private void lookAt(Connection conn) throws SQLException {
    if (conn.unwrap(PgConnection.class).isClosed()) {
      dropped.incrementAndGet();
    }
  }

  private void note(String what) {
    synchronized (wrong) {
      wrong.add(what);
    }
  }

  // -- what came of it

  private void judge(String port) throws SQLException {
    Map<String, Integer> there = new HashMap<>();
    try (Connection conn = DriverManager.getConnection(url(port), "openfire", "openfire"); Statement statement = conn.createStatement()) {
      ResultSet messages = statement.executeQuery("SELECT username || ' ' || messageID, count(*) FROM ofOffline GROUP BY 1");
      while (messages.next()) {
        there.put(messages.getString(1), messages.getInt(2));
      }
      ResultSet visits = statement.executeQuery("SELECT 'room' || roomID || ' ' || visit, count(*) FROM ofMucMember GROUP BY 1");
      while (visits.next()) {
        if (visits.getInt(2) % 2 != 0) {
          wrong.add("half: " + visits.getString(1));
        }
        there.put(visits.getString(1), visits.getInt(2) / 2);
      }
    }
    told.forEach((key, outcome) -> {
      int count = there.getOrDefault(key, 0);
      if (count > 1) {
        wrong.add("twice: " + key);
      } else if (outcome.equals("ok") && count == 0) {
        wrong.add("lost: " + key);
      } else if (!outcome.equals("ok") && !outcome.startsWith("08") && count > 0) {
        wrong.add("done though refused: " + key + " " + outcome);
      }
    });
  }

  private void report() {
    done.forEach((kind, count) -> say(kind, count));
    longest.forEach((kind, took) -> say("longest " + kind, took));
    say("dropped", dropped);
    say("refused", refused);
    wrong.forEach(what -> say("wrong", what));
    errors.forEach((what, count) -> say("error", count + "\t" + what));
  }

  private static void say(String name, Object value) {
    System.out.println(name + "\t" + String.valueOf(value).replace('\n', ' '));
  }
}
