import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.postgresql.PGConnection;
import org.postgresql.largeobject.LargeObjectManager;

/** Does to a database what Openfire does to its own. Usage: Harness PORT SCENARIO; exit code 1 if a check failed. */
public final class Harness {
  private final String url;

  private Harness(String port) {
    url = "jdbc:postgresql://127.0.0.1:" + port + "/openfire";
  }

  private interface Scenario {
    void run(Harness harness) throws Exception;
  }

  private static final Map<String, Scenario> SCENARIOS =
      Map.ofEntries(
          Map.entry("startup", Harness::startup),
          Map.entry("named", Harness::named),
          Map.entry("batches", Harness::batches),
          Map.entry("maxrows", Harness::maxRows),
          Map.entry("fetchsize", Harness::fetchSize),
          Map.entry("transactions", Harness::transactions),
          Map.entry("pool", Harness::pool),
          Map.entry("sequence", Harness::sequence),
          Map.entry("offline", Harness::offlineMessages),
          Map.entry("primary", Harness::targetServerType),
          Map.entry("readonly", Harness::readOnly),
          Map.entry("largeobject", Harness::largeObject),
          Map.entry("copy", Harness::copy),
          Map.entry("timeout", Harness::queryTimeout),
          Map.entry("autosave", Harness::autosave),
          Map.entry("modes", Harness::queryModes),
          Map.entry("metadata", Harness::metadata),
          Map.entry("settings", Harness::settings));

  public static void main(String[] args) throws Exception {
    SCENARIOS.get(args[1]).run(new Harness(args[0]));
    System.exit(Tap.failed() == 0 ? 0 : 1);
  }

  private Connection connect(String options) throws SQLException {
    return DriverManager.getConnection(url + options, "openfire", "openfire");
  }

  private static void run(Connection con, String... statements) throws SQLException {
    try (var statement = con.createStatement()) {
      for (String sql : statements) statement.execute(sql);
    }
  }

  private static long number(Connection con, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = con.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
      try (ResultSet rs = statement.executeQuery()) {
        if (!rs.next()) throw new SQLException("no row: " + sql);
        return rs.getLong(1);
      }
    }
  }

  private static String text(Connection con, String sql) throws SQLException {
    try (var statement = con.createStatement();
        ResultSet rs = statement.executeQuery(sql)) {
      rs.next();
      return rs.getString(1);
    }
  }

  private static int update(Connection con, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = con.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
      return statement.executeUpdate();
    }
  }

  /** Connect, probe, install the schema, and read at once on other connections what was made. */
  private void startup() throws Exception {
    try (Pool pool = new Pool(url, false)) {
      try (Connection con = pool.get()) {
        Tap.check(con.getMetaData().supportsTransactions(), "metadata is known", "");
        Tap.check(text(con, "SELECT version()").startsWith("PostgreSQL"), "version()", "");
        run(con, "DROP TABLE IF EXISTS ofVersion, ofID, ofProperty, ofOffline, ofUser");
      }
      try (Connection con = pool.get()) {
        Tap.fails("42P01", "jiveVersion does not exist",
            () -> update(con, "UPDATE jiveVersion SET name='openfire' WHERE name='wildfire'"));
        Tap.fails("42P01", "no schema yet",
            () -> number(con, "SELECT version FROM ofVersion WHERE name=?", "openfire"));
      }
      String[] script = {
        " CREATE TABLE ofUser (\n  username  VARCHAR(64) NOT NULL,\n  name VARCHAR(100),\n  CONSTRAINT ofUser_pk PRIMARY KEY (username)\n)",
        " CREATE INDEX ofUser_name_idx ON ofUser (name)",
        " CREATE TABLE ofOffline (username VARCHAR(64) NOT NULL, messageID INTEGER NOT NULL, stanza TEXT NOT NULL, "
            + "CONSTRAINT ofOffline_pk PRIMARY KEY (username, messageID))",
        " CREATE TABLE ofID (idType INTEGER NOT NULL, id INTEGER NOT NULL, CONSTRAINT ofID_pk PRIMARY KEY (idType))",
        " CREATE TABLE ofVersion (name VARCHAR(50) NOT NULL, version INTEGER NOT NULL, CONSTRAINT ofVersion_pk PRIMARY KEY (name))",
        " CREATE TABLE ofProperty (name VARCHAR(100) NOT NULL, propValue TEXT NOT NULL, encrypted INTEGER, iv CHAR(24))",
        " INSERT INTO ofID (idType, id) VALUES (18, 1)",
        " INSERT INTO ofID (idType, id) VALUES (19, 1)",
        " INSERT INTO ofVersion (name, version) VALUES ('openfire', 40)",
        " ALTER TABLE ofUser ADD COLUMN email VARCHAR(100)",
        " ALTER TABLE ofUser RENAME COLUMN email TO mail",
      };
      for (String sql : script) {
        try (Connection con = pool.get()) {
          run(con, sql);
        }
      }
      try (Connection one = pool.get(); Connection two = pool.get()) {
        Tap.equal(40L, number(two, "SELECT version FROM ofVersion WHERE name=?", "openfire"), "the schema is there");
        Tap.equal(2L, number(one, "SELECT count(*) FROM ofID"), "ofID is filled");
        try (var rs = two.createStatement().executeQuery("SELECT name, propValue, encrypted, iv FROM ofProperty")) {
          Tap.check(!rs.next(), "no properties", "");
        }
        try (var rs = two.createStatement().executeQuery("SELECT username, mail FROM ofUser")) {
          Tap.check(!rs.next(), "the renamed column is there", "");
        }
        Tap.equal("read committed", text(one, "SHOW TRANSACTION ISOLATION LEVEL"), "isolation level");
      }
    }
  }

  /** From the fifth use on a statement is named; beyond 256 names the oldest is closed. */
  private void named() throws Exception {
    try (Connection con = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_named", "CREATE TABLE jdbc_named (id int PRIMARY KEY, n int)");
      boolean right = true;
      for (int i = 0; i < 30; i++) {
        right &= update(con, "INSERT INTO jdbc_named VALUES (?, 0)", i) == 1;
        right &= update(con, "UPDATE jdbc_named SET n = n + 1 WHERE id = ?", i) == 1;
        right &= number(con, "SELECT n FROM jdbc_named WHERE id = ?", i) == 1;
        right &= number(con, "SELECT count(*) FROM jdbc_named") == i + 1;
      }
      Tap.check(right, "reads and writes by name", "");
      right = true;
      for (int use = 0; use < 7; use++) {
        for (int i = 0; i < 300; i++) right &= number(con, "SELECT ? + " + i, use) == use + i;
      }
      Tap.check(right, "300 statements, 7 uses each", "");
      for (int use = 0; use < 8; use++) number(con, "SELECT count(*) FROM jdbc_named WHERE id < ?", 10);
      run(con, "ALTER TABLE jdbc_named ADD COLUMN more text");
      for (int use = 0; use < 8; use++) text(con, "SELECT * FROM jdbc_named LIMIT 1");
      Tap.check(true, "DDL between uses", "");
      run(con, "DROP TABLE jdbc_named");
    }
  }

  private void batches() throws Exception {
    try (Connection con = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_batch", "CREATE TABLE jdbc_batch (id int PRIMARY KEY, t text)");
      con.setAutoCommit(false);
      try (var statement = con.prepareStatement("INSERT INTO jdbc_batch VALUES (?, ?)")) {
        for (int round = 0; round < 4; round++) {
          for (int i = 0; i < 500; i++) {
            statement.setInt(1, round * 500 + i);
            statement.setString(2, "message " + i);
            statement.addBatch();
          }
          Tap.equal(500, statement.executeBatch().length, "a batch of 500");
        }
      }
      con.commit();
      Tap.equal(2000L, number(con, "SELECT count(*) FROM jdbc_batch"), "all committed");
      con.commit();
      try (var statement = con.prepareStatement("INSERT INTO jdbc_batch VALUES (?, ?)")) {
        for (int id : new int[] {5000, 5001, 3, 5002}) {
          statement.setInt(1, id);
          statement.setString(2, "x");
          statement.addBatch();
        }
        statement.executeBatch();
        Tap.check(false, "a duplicate in a batch", "succeeded");
      } catch (BatchUpdateException e) {
        Tap.equal("23505", e.getSQLState(), "a duplicate in a batch");
      }
      Tap.fails("25P02", "the transaction is aborted", () -> number(con, "SELECT 1"));
      con.rollback();
      Tap.equal(2000L, number(con, "SELECT count(*) FROM jdbc_batch"), "nothing of the failed batch stayed");
      con.setAutoCommit(true);
      try (var statement = con.createStatement()) {
        for (int i = 0; i < 10; i++) statement.addBatch("DELETE FROM jdbc_batch WHERE id = " + i);
        Tap.equal(10, statement.executeBatch().length, "a batch of texts");
      }
      run(con, "DROP TABLE jdbc_batch");
    }
  }

  /** Execute with a limit and no transaction: PortalSuspended, then ReadyForQuery. */
  private void maxRows() throws Exception {
    try (Connection con = connect("")) {
      boolean right = true;
      for (int use = 0; use < 10; use++) {
        try (var statement = con.prepareStatement("SELECT id FROM probe_me WHERE id > 0 ORDER BY id LIMIT ?")) {
          statement.setMaxRows(7);
          statement.setInt(1, 5 + use);
          int count = 0;
          try (ResultSet rs = statement.executeQuery()) {
            while (rs.next()) count++;
          }
          right &= count == Math.min(7, 5 + use);
        }
        right &= number(con, "SELECT count(*) FROM probe_me") == 100;
      }
      Tap.check(right, "limited rows, ten times", "");
    }
  }

  private void fetchSize() throws Exception {
    try (Connection con = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_fetch", "CREATE TABLE jdbc_fetch (id int PRIMARY KEY, n int)");
      run(con, "INSERT INTO jdbc_fetch SELECT i, 0 FROM generate_series(1, 2600) i");
      for (boolean readOnly : new boolean[] {false, true}) {
        con.setReadOnly(readOnly);
        con.setAutoCommit(false);
        int count = 0;
        try (var statement = con.prepareStatement("SELECT id FROM jdbc_fetch ORDER BY id")) {
          statement.setFetchSize(250);
          try (ResultSet rs = statement.executeQuery()) {
            while (rs.next()) {
              count++;
              if (!readOnly && count % 500 == 0) update(con, "UPDATE jdbc_fetch SET n = 1 WHERE id = ?", rs.getInt(1));
            }
          }
        }
        con.commit();
        con.setAutoCommit(true);
        Tap.equal(2600, count, "cursor, read only " + readOnly);
      }
      con.setReadOnly(false);
      Tap.equal(5L, number(con, "SELECT count(*) FROM jdbc_fetch WHERE n = 1"), "updates while reading");
      con.setAutoCommit(false);
      try (var statement = con.prepareStatement("SELECT id FROM jdbc_fetch")) {
        statement.setFetchSize(250);
        try (ResultSet rs = statement.executeQuery()) {
          rs.next();
        }
      }
      con.rollback();
      con.setAutoCommit(true);
      Tap.equal(2600L, number(con, "SELECT count(*) FROM jdbc_fetch"), "a cursor left early");
      run(con, "DROP TABLE jdbc_fetch");
    }
  }

  private void transactions() throws Exception {
    try (Connection con = connect(""); Connection other = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_tx", "CREATE TABLE jdbc_tx (id int PRIMARY KEY, t text)");
      boolean right = true;
      for (int i = 0; i < 20; i++) { // often enough for COMMIT and ROLLBACK to be used by name
        con.setAutoCommit(false);
        update(con, "INSERT INTO jdbc_tx VALUES (?, 'a')", i);
        right &= number(con, "SELECT count(*) FROM jdbc_tx") == (i + 1) / 2 + 1;
        if (i % 2 == 0) con.commit();
        else con.rollback();
        con.setAutoCommit(true);
        right &= number(other, "SELECT count(*) FROM jdbc_tx") == i / 2 + 1;
      }
      Tap.check(right, "commit and rollback in turn, seen by the other connection", "");
      con.setAutoCommit(false);
      update(con, "INSERT INTO jdbc_tx VALUES (100, 'x')");
      con.setAutoCommit(true);
      Tap.equal(1L, number(other, "SELECT count(*) FROM jdbc_tx WHERE id = 100"), "setAutoCommit(true) commits");
      con.setAutoCommit(false);
      Tap.fails("23505", "duplicate key", () -> update(con, "INSERT INTO jdbc_tx VALUES (100, 'y')"));
      Tap.fails("25P02", "aborted", () -> update(con, "UPDATE jdbc_tx SET t = 'z'"));
      con.rollback();
      Tap.equal(11L, number(con, "SELECT count(*) FROM jdbc_tx"), "after the rollback");
      var savepoint = con.setSavepoint();
      update(con, "DELETE FROM jdbc_tx");
      con.rollback(savepoint);
      con.commit();
      Tap.equal(11L, number(con, "SELECT count(*) FROM jdbc_tx"), "after the savepoint");
      // read first, then write
      long max = number(con, "SELECT max(id) FROM jdbc_tx");
      update(con, "INSERT INTO jdbc_tx VALUES (?, 'next')", (int) max + 1);
      con.commit();
      for (int level : new int[] {Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_SERIALIZABLE}) {
        con.setAutoCommit(true);
        con.setTransactionIsolation(level);
        con.setAutoCommit(false);
        long before = number(con, "SELECT count(*) FROM jdbc_tx");
        update(other, "INSERT INTO jdbc_tx VALUES (?, 'other')", 200 + level);
        Tap.equal(before, number(con, "SELECT count(*) FROM jdbc_tx"), "one snapshot at level " + level);
        con.commit();
        Tap.equal(before + 1, number(con, "SELECT count(*) FROM jdbc_tx"), "the next one at level " + level);
        con.commit();
      }
      con.setAutoCommit(true);
      run(con, "DROP TABLE jdbc_tx");
    }
  }

  /** DBCP2 rolls back on return; a connection from the pool is as new. */
  private void pool() throws Exception {
    try (Pool pool = new Pool(url, true)) {
      try (Connection con = pool.get()) {
        run(con, "DROP TABLE IF EXISTS jdbc_pool", "CREATE TABLE jdbc_pool (id int PRIMARY KEY)");
      }
      for (int i = 0; i < 10; i++) {
        try (Connection con = pool.get()) {
          con.setAutoCommit(false);
          update(con, "INSERT INTO jdbc_pool VALUES (?)", i);
        } // returned without commit
      }
      try (Connection con = pool.get()) {
        Tap.check(con.getAutoCommit(), "autocommit again", "");
        Tap.equal(0L, number(con, "SELECT count(*) FROM jdbc_pool"), "rolled back on return");
      }
      // 25 at once, only 8 stay: connections come and go
      inThreads(40, worker -> {
        for (int i = 0; i < 20; i++) {
          int id = 1000 + worker * 100 + i;
          try (Connection con = pool.get()) {
            update(con, "INSERT INTO jdbc_pool VALUES (?)", id);
          }
          try (Connection con = pool.get()) {
            if (number(con, "SELECT count(*) FROM jdbc_pool WHERE id = ?", id) != 1) {
              throw new IllegalStateException("own write not seen: " + id);
            }
          }
        }
      });
      try (Connection con = pool.get()) {
        Tap.equal(800L, number(con, "SELECT count(*) FROM jdbc_pool"), "all written");
        run(con, "DROP TABLE jdbc_pool");
      }
    }
  }

  private interface Work {
    void run(int worker) throws Exception;
  }

  private static void inThreads(int count, Work work) throws Exception {
    var threads = Executors.newFixedThreadPool(count);
    List<Future<Void>> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int worker = i;
      all.add(threads.submit((Callable<Void>) () -> {
        work.run(worker);
        return null;
      }));
    }
    String first = null;
    for (var one : all) {
      try {
        one.get(90, TimeUnit.SECONDS);
      } catch (java.util.concurrent.ExecutionException e) {
        if (first == null) first = String.valueOf(e.getCause());
      }
    }
    threads.shutdownNow();
    Tap.check(first == null, count + " threads", first);
  }

  /** SequenceManager on two nodes: SELECT id, then UPDATE ... WHERE id = what was read, under a cluster-wide lock. */
  private void sequence() throws Exception {
    try (Pool nodeA = new Pool(url, false); Pool nodeB = new Pool(url, false)) {
      try (Connection con = nodeA.get()) {
        run(con, "DROP TABLE IF EXISTS jdbc_ofid", "CREATE TABLE jdbc_ofid (idType int PRIMARY KEY, id int NOT NULL)");
        run(con, "INSERT INTO jdbc_ofid VALUES (25, 1)");
      }
      var clusterLock = new ReentrantLock();
      var stale = new AtomicInteger();
      inThreads(8, worker -> {
        Pool node = worker % 2 == 0 ? nodeA : nodeB;
        for (int i = 0; i < 100; i++) {
          clusterLock.lock();
          try (Connection con = node.get()) {
            long id = number(con, "SELECT id FROM jdbc_ofid WHERE idType=?", 25);
            if (update(con, "UPDATE jdbc_ofid SET id=? WHERE idType=? AND id=?", (int) id + 1, 25, (int) id) != 1) {
              stale.incrementAndGet();
            }
          } finally {
            clusterLock.unlock();
          }
        }
      });
      Tap.equal(0, stale.get(), "no stale block of IDs");
      try (Connection con = nodeB.get()) {
        Tap.equal(801L, number(con, "SELECT id FROM jdbc_ofid WHERE idType=?", 25), "every step counted");
        run(con, "DROP TABLE jdbc_ofid");
      }
    }
  }

  /** Stored on one node, read and deleted on the other: a stale read would destroy messages. */
  private void offlineMessages() throws Exception {
    try (Pool nodeA = new Pool(url, false); Pool nodeB = new Pool(url, false)) {
      try (Connection con = nodeA.get()) {
        run(con, "DROP TABLE IF EXISTS jdbc_offline", "CREATE TABLE jdbc_offline (username text, messageID int, stanza text)");
      }
      inThreads(6, worker -> {
        String user = "user" + worker;
        for (int i = 0; i < 60; i++) {
          int stored = i % 3 + 1;
          for (int m = 0; m < stored; m++) {
            try (Connection con = nodeA.get()) {
              update(con, "INSERT INTO jdbc_offline (username, messageID, stanza) VALUES (?, ?, ?)", user, i * 10 + m,
                  "<message>'%/%'</message>");
            }
          }
          try (Connection con = nodeB.get()) {
            long seen = number(con, "SELECT count(stanza) FROM jdbc_offline WHERE username=?", user);
            int deleted = update(con, "DELETE FROM jdbc_offline WHERE username=?", user);
            if (seen != stored || deleted != stored) {
              throw new IllegalStateException("stored " + stored + ", seen " + seen + ", deleted " + deleted);
            }
          }
        }
      });
      try (Connection con = nodeA.get()) {
        run(con, "DROP TABLE jdbc_offline");
      }
    }
  }

  /** The clustering guide's URL, with Waypost listed twice. */
  private void targetServerType() throws Exception {
    String hosts = url.replaceAll("//(.*)/", "//$1,$1/");
    for (String type : new String[] {"primary", "any", "preferSecondary"}) {
      try (Connection con =
          DriverManager.getConnection(hosts + "?targetServerType=" + type, "openfire", "openfire")) {
        Tap.equal("off", text(con, "SHOW transaction_read_only"), "transaction_read_only, targetServerType=" + type);
        Tap.equal(100L, number(con, "SELECT count(*) FROM probe_me"), "a read, targetServerType=" + type);
      }
    }
  }

  private void readOnly() throws Exception {
    try (Connection con = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_ro", "CREATE TABLE jdbc_ro (id int)");
      for (int round = 0; round < 7; round++) {
        con.setReadOnly(true);
        con.setAutoCommit(false);
        Tap.equal(100L, number(con, "SELECT count(*) FROM probe_me /* JDBC_READ_ONLY */"), "read only transaction " + round);
        Tap.fails("25006", "no write in it", () -> update(con, "INSERT INTO jdbc_ro VALUES (1)"));
        con.rollback();
        con.setAutoCommit(true);
        con.setReadOnly(false);
        Tap.equal(1, update(con, "INSERT INTO jdbc_ro VALUES (1)"), "a write after it");
      }
      run(con, "DROP TABLE jdbc_ro");
    }
    try (Connection con = connect("?readOnlyMode=always")) {
      con.setReadOnly(true);
      Tap.fails("25006", "readOnlyMode=always", () -> run(con, "CREATE TABLE jdbc_no (i int)"));
      con.setReadOnly(false);
      Tap.equal(1L, number(con, "SELECT 1"), "and back");
    }
  }

  /** The fast path: FunctionCall messages. */
  private void largeObject() throws Exception {
    try (Connection con = connect("")) {
      con.setAutoCommit(false);
      LargeObjectManager manager = con.unwrap(PGConnection.class).getLargeObjectAPI();
      long oid = manager.createLO(LargeObjectManager.READWRITE);
      byte[] data = new byte[300_000];
      for (int i = 0; i < data.length; i++) data[i] = (byte) (i * 7);
      try (var object = manager.open(oid, LargeObjectManager.WRITE)) {
        object.write(data);
      }
      con.commit();
      try (var object = manager.open(oid, LargeObjectManager.READ)) {
        Tap.check(java.util.Arrays.equals(data, object.read(data.length)), "written and read", "");
        object.seek(100);
        Tap.equal(data[100], object.read(1)[0], "seek");
        Tap.equal((long) data.length, object.size64(), "size");
      }
      manager.delete(oid);
      con.commit();
    }
  }

  private void copy() throws Exception {
    try (Connection con = connect("")) {
      run(con, "DROP TABLE IF EXISTS jdbc_copy", "CREATE TABLE jdbc_copy (id int, t text)");
      var manager = con.unwrap(PGConnection.class).getCopyAPI();
      var lines = new StringBuilder();
      for (int i = 0; i < 20_000; i++) lines.append(i).append("\ttext ").append(i).append('\n');
      Tap.equal(20_000L, manager.copyIn("COPY jdbc_copy FROM STDIN", new StringReader(lines.toString())), "in");
      var out = new ByteArrayOutputStream();
      manager.copyOut("COPY (SELECT * FROM jdbc_copy ORDER BY id) TO STDOUT", out);
      Tap.equal(lines.toString(), out.toString(StandardCharsets.UTF_8), "out");
      Tap.fails("22P02", "bad data",
          () -> manager.copyIn("COPY jdbc_copy FROM STDIN", new StringReader("x\ty\n")));
      var abandoned = manager.copyIn("COPY jdbc_copy FROM STDIN");
      abandoned.writeToCopy("1\tx\n".getBytes(StandardCharsets.UTF_8), 0, 4);
      abandoned.cancelCopy();
      Tap.equal(20_000L, number(con, "SELECT count(*) FROM jdbc_copy"), "nothing of the failed ones");
      run(con, "DROP TABLE jdbc_copy");
    }
  }

  private void queryTimeout() throws Exception {
    try (Connection con = connect("")) {
      for (int i = 0; i < 3; i++) {
        try (var statement = con.prepareStatement("SELECT pg_sleep(20)")) {
          statement.setQueryTimeout(1);
          Tap.fails("57014", "cancelled by the driver", statement::executeQuery);
        }
        Tap.equal(100L, number(con, "SELECT count(*) FROM probe_me"), "and the connection lives");
      }
    }
  }

  /** autosave=always puts a SAVEPOINT before each statement, by messages without Sync. */
  private void autosave() throws Exception {
    for (String mode : new String[] {"always", "conservative"}) {
      try (Connection con = connect("?autosave=" + mode)) {
        run(con, "DROP TABLE IF EXISTS jdbc_save", "CREATE TABLE jdbc_save (id int PRIMARY KEY)");
        con.setAutoCommit(false);
        for (int i = 0; i < 12; i++) update(con, "INSERT INTO jdbc_save VALUES (?)", i);
        if (mode.equals("always")) {
          for (int i = 0; i < 12; i++) {
            int id = i;
            Tap.fails("23505", "duplicate " + i, () -> update(con, "INSERT INTO jdbc_save VALUES (?)", id));
          }
        }
        con.commit();
        con.setAutoCommit(true);
        Tap.equal(12L, number(con, "SELECT count(*) FROM jdbc_save"), "autosave=" + mode);
        run(con, "DROP TABLE jdbc_save");
      }
    }
  }

  private void queryModes() throws Exception {
    for (String options : new String[] {
        "?preferQueryMode=simple", "?preferQueryMode=extendedForPrepared", "?preferQueryMode=extendedCacheEverything",
        "?prepareThreshold=1", "?prepareThreshold=0", "?prepareThreshold=-1", "?binaryTransfer=false",
        "?reWriteBatchedInserts=true", "?assumeMinServerVersion=9.0", "?ApplicationName=app&options=-c%20work_mem=5MB",
        "?sslmode=disable", "?gssEncMode=disable", "?currentSchema=public"}) {
      try (Connection con = connect(options)) {
        boolean right = true;
        run(con, "DROP TABLE IF EXISTS jdbc_mode", "CREATE TABLE jdbc_mode (id int PRIMARY KEY, t text)");
        for (int i = 0; i < 8; i++) {
          right &= update(con, "INSERT INTO jdbc_mode VALUES (?, ?)", i, "t" + i) == 1;
          right &= number(con, "SELECT count(*) FROM jdbc_mode WHERE id <= ?", i) == i + 1;
        }
        con.setAutoCommit(false);
        try (var statement = con.prepareStatement("INSERT INTO jdbc_mode VALUES (?, ?)")) {
          for (int i = 100; i < 150; i++) {
            statement.setInt(1, i);
            statement.setString(2, "b");
            statement.addBatch();
          }
          statement.executeBatch();
        }
        con.commit();
        con.setAutoCommit(true);
        right &= number(con, "SELECT count(*) FROM jdbc_mode") == 58;
        if (options.contains("work_mem")) right &= text(con, "SHOW work_mem").equals("5MB");
        Tap.check(right, options, "");
        run(con, "DROP TABLE jdbc_mode");
      }
    }
  }

  private void metadata() throws Exception {
    try (Connection con = connect("")) {
      var meta = con.getMetaData();
      Tap.equal("PostgreSQL", meta.getDatabaseProductName(), "product");
      try (ResultSet rs = meta.getTables(null, "public", "probe_me", new String[] {"TABLE"})) {
        Tap.check(rs.next(), "getTables", "");
      }
      try (ResultSet rs = meta.getColumns(null, "public", "probe_me", "%")) {
        int columns = 0;
        while (rs.next()) columns++;
        Tap.equal(2, columns, "getColumns");
      }
      try (ResultSet rs = meta.getPrimaryKeys(null, "public", "probe_me")) {
        Tap.check(rs.next(), "getPrimaryKeys", "");
      }
      try (var statement = con.prepareStatement("SELECT * FROM probe_me")) {
        Tap.equal(2, statement.getMetaData().getColumnCount(), "metadata of a statement not run");
      }
      try (var statement =
          con.prepareStatement("SELECT id FROM probe_me WHERE id > 0 ORDER BY id", ResultSet.TYPE_SCROLL_INSENSITIVE,
              ResultSet.CONCUR_READ_ONLY);
          ResultSet rs = statement.executeQuery()) {
        Tap.check(rs.absolute(50) && rs.getInt(1) == 50, "scrolling", "");
      }
      Tap.check(con.isValid(5), "isValid", "");
    }
  }

  private void settings() throws Exception {
    try (Connection con = connect("?ApplicationName=openfire-node"); Connection other = connect("")) {
      Tap.equal("openfire-node", text(con, "SHOW application_name"), "application_name");
      con.setSchema("pg_catalog");
      Tap.equal("pg_catalog", con.getSchema(), "schema");
      Tap.equal("public", other.getSchema(), "the other's schema");
      con.setClientInfo("ApplicationName", "renamed");
      Tap.equal("renamed", text(con, "SHOW application_name"), "renamed");
      Tap.equal("PostgreSQL JDBC Driver", text(other, "SHOW application_name"), "the other's application_name");
      con.setAutoCommit(false);
      run(con, "SET LOCAL work_mem = '7MB'");
      Tap.equal("7MB", text(con, "SHOW work_mem"), "SET LOCAL");
      con.commit();
      con.setAutoCommit(true);
      Tap.equal("4MB", text(con, "SHOW work_mem"), "after the transaction");
    }
  }
}
