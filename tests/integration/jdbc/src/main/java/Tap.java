import java.util.Objects;

/** Prints one line a check: "ok - what" or "not ok - what: why". */
final class Tap {
  private static int failed = 0;

  private Tap() {}

  static synchronized void check(boolean good, String what, Object seen) {
    if (!good) failed++;
    System.out.println((good ? "ok - " : "not ok - ") + what + (good ? "" : ": " + seen));
  }

  static void equal(Object expected, Object actual, String what) {
    check(Objects.equals(expected, actual), what, "expected " + expected + ", found " + actual);
  }

  interface Action {
    void run() throws Exception;
  }

  /** The action must fail with this SQLSTATE. */
  static void fails(String sqlState, String what, Action action) throws Exception {
    try {
      action.run();
      check(false, what, "succeeded, expected " + sqlState);
    } catch (java.sql.SQLException e) {
      check(sqlState.equals(e.getSQLState()), what, e.getSQLState() + " " + e.getMessage());
    }
  }

  static int failed() {
    return failed;
  }
}
