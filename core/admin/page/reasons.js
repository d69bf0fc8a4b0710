// Each reason that Waypost gives for where a statement goes: why, and what would change that. tests/docs.sh holds this list to that of
// parser/sql/verdict.cc. `change` null: nothing should.

export const REASONS = {
  read_safe: {why: "It is proved a read: a replica may take it.", change: null},
  read_only_transaction: {why: "It belongs to a READ ONLY transaction.", change: null},
  write: {why: "It writes.", change: null},
  ddl: {why: "It changes the schema or the server.", change: null},
  lock_clause: {why: "It locks rows or tables (FOR UPDATE, FOR SHARE, LOCK).",
    change: "Leave the lock away where nothing is written afterwards."},
  modifying_cte: {why: "A WITH clause in it writes.", change: "Send the read as a statement of its own."},
  select_into: {why: "SELECT ... INTO makes a table.", change: null},
  volatile_function: {why: "It reaches a function that is declared VOLATILE, which may write.",
    change: "If the function only reads, declare it STABLE."},
  unknown_function: {why: "The catalogue does not know a function that it calls.",
    change: "Check the function's name and the session's search_path."},
  server_local: {why: "Another server would answer differently: statistics views, advisory locks, SHOW, sequences.",
    change: "If a replica's own figures are meant, ask that replica directly."},
  pinned_relation: {why: "It reads a temporary or unlogged table, which replicas do not have.",
    change: "Use a logged table if replicas are to read it."},
  not_understood: {why: "It reaches a view, policy, operator, cast or aggregate that Waypost cannot follow.",
    change: "The path names it. Read the tables themselves, or make it of plainer parts."},
  unknown_relation: {why: "The catalogue does not know a table or view in it.",
    change: "Check the name and the search_path. A new table is known within 30 s."},
  session: {why: "It changes the session: SET, RESET, DISCARD, LISTEN, PREPARE, DECLARE.", change: null},
  transaction: {why: "It begins, ends or divides a transaction.", change: null},
  serializable: {why: "No replica can give the isolation level SERIALIZABLE.",
    change: "Use REPEATABLE READ READ ONLY where that is enough."},
  multi_statement: {why: "It came in one message with others, and not all of them are reads.",
    change: "Send the reads as messages of their own."},
  parse_error: {why: "The server may read its bytes differently than Waypost does.",
    change: "Use client_encoding UTF8 and standard_conforming_strings = on."},
  unknown_syntax: {why: "Waypost's grammar, which may be older than the server's, does not know it.",
    change: "Check the syntax. If the server accepts it, a Waypost with a newer grammar may understand it."},
  too_large: {why: "It is too large to keep, or too expensive to parse.", change: "Send the values as parameters, or in smaller parts."},
  no_catalog: {why: "The catalogue of its database has not been read yet.",
    change: "Right after DDL this lasts a moment. If it stays, the warnings at the top say why."},
  taught: {why: "A replica has refused it as a write before.",
    change: "A function in it probably writes although it is declared STABLE: declare it VOLATILE, or mend it."},
  in_transaction: {why: "It stands in a read-write transaction.",
    change: "Declare transactions that only read as READ ONLY, or send the read outside the transaction (autocommit)."},
  session_pinned: {why: "Its session is tied to one server connection.",
    change: "See what ties the session under Sessions: temporary tables, LISTEN, advisory locks, SQL PREPARE."},
  open_ended: {why: "The end of its batch was not known when it was sent: Flush, or parts.",
    change: "Let the driver end each batch with Sync."},
  protocol: {why: "It is a FunctionCall, or names a statement or portal that the session does not have.",
    change: "Use SELECT instead of the fast path for functions."},
  no_eligible_replica: {why: "It is a read, but no replica may be read from now.", change: "See above what keeps the replicas out."},
  replica_behind: {why: "It is a read, but no replica caught up within fence_wait.",
    change: "Find what slows the replay, raise [routing] fence_wait, or use consistency = \"bounded\" where that is enough."},
  consistency_primary: {why: "It is a read, but the configuration keeps it here: consistency = \"primary\" or read_from = \"none\".",
    change: "Change that for this user, database or application."},
  rule: {why: "It is a read, but a [[rule]] sends it to the primary.", change: "Change the rule."},
  hint: {why: "It is a read, but a comment in it sends it to the primary.", change: "Remove the comment."},
  primary_share: {why: "It is a read that the primary took as its share.", change: "Set read_from_primary to another value than \"always\"."},
  rerun: {why: "It ran again on the primary after a replica had failed.", change: "See the events and the replica's log."},
  self_check: {why: "It ran on the primary to compare a replica's answer.", change: "Lower self_check."},
  session_mode: {why: "Session pooling: it runs on the session's own connection.", change: "Use transaction pooling for this user or database."},
  refused: {why: "The configuration does not allow it.", change: "See the rules and pins = \"refuse\"."},
};

export const PINS = {
  temporary_table: ["a temporary table", "drop it, or DISCARD TEMP"],
  listen: ["LISTEN", "UNLISTEN"],
  hold_cursor: ["a WITH HOLD cursor", "CLOSE"],
  advisory_lock: ["a session advisory lock", "pg_advisory_unlock(), or use pg_advisory_xact_lock()"],
  sql_prepare: ["SQL-level PREPARE", "DEALLOCATE, or let the driver prepare by the protocol"],
  load: ["LOAD", "only the end of the session"],
  sequence_value: ["currval() or lastval()", "RETURNING instead of them"],
  set_seed: ["setseed()", "only the end of the session"],
  session_mode: ["session pooling", "only the end of the session"],
  unknown_state: ["code that may have changed what Waypost cannot see", "DISCARD ALL"],
};

export const reasonText = (reason) => REASONS[reason]?.why ?? reason;

/** What would change where it goes; null: nothing should. `path`: how the verdict was reached. */
export function changeText(reason, path) {
  const found = reason === "volatile_function" && /function (\S+\(.*?\)) is volatile/.exec(path ?? "");
  // The path names PostgreSQL's own functions without their schema.
  if (found && /^[^(]+\./.test(found[1])) return `If ${found[1]} only reads: ALTER FUNCTION ${found[1]} STABLE;`;
  if (found) return `Only leaving out ${found[1]}, which is PostgreSQL's own.`;
  return REASONS[reason] ? REASONS[reason].change : null;
}
