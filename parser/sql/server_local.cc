#include "parser/sql/server_local.h"

#include <algorithm>
#include <array>
#include <span>

namespace waypost {
namespace {

struct Entry {
  std::string_view name;  // ends in '*': a prefix
  std::string_view why;
};

constexpr std::string_view kStatistics = "each server counts for itself";
constexpr std::string_view kLocks = "locks belong to one server";
constexpr std::string_view kWal = "depends on this server's position in the WAL";
constexpr std::string_view kTransactionId = "only the primary assigns transaction ids";
constexpr std::string_view kConnection = "belongs to this server connection";
constexpr std::string_view kProcess = "belongs to this server's process";
constexpr std::string_view kFiles = "depends on files of this server's machine";
constexpr std::string_view kSettings = "depends on settings of this server";
constexpr std::string_view kReplication = "shows the replication state of this server";
constexpr std::string_view kSizes = "files differ in size between servers";

// version(): physical replicas may run another minor version. age(xid) is left out: it shares its
// name with age() of timestamps, and differs only by the transactions that the replica has not
// seen.
constexpr Entry kFunctions[] = {
    {"binary_upgrade_*", kFiles},
    {"current_setting", kSettings},
    {"currval", kConnection},
    {"inet_client_*", kConnection},
    {"inet_server_*", kConnection},
    {"lastval", kConnection},
    {"mxid_age", kTransactionId},
    {"pg_advisory_*", kLocks},
    {"pg_available_extension*", kFiles},
    {"pg_backend_pid", kProcess},
    {"pg_backup_*", kWal},
    {"pg_blocking_pids", kLocks},
    {"pg_collation_actual_version", kFiles},
    {"pg_conf_load_time", kProcess},
    {"pg_config", kFiles},
    {"pg_control_*", kWal},
    {"pg_current_logfile", kFiles},
    {"pg_current_snapshot", kTransactionId},
    {"pg_current_wal_*", kWal},
    {"pg_current_xact_*", kTransactionId},
    {"pg_cursor", kConnection},
    {"pg_database_collation_actual_version", kFiles},
    {"pg_database_size", kSizes},
    {"pg_export_snapshot", kConnection},
    {"pg_extension_update_paths", kFiles},
    {"pg_get_backend_memory_contexts", kProcess},
    {"pg_get_multixact_*", kTransactionId},
    {"pg_get_replication_slots", kReplication},
    {"pg_get_shmem_allocations*", kProcess},
    {"pg_get_wal_*", kWal},
    {"pg_hba_file_rules", kFiles},
    {"pg_ident_file_mappings", kFiles},
    {"pg_indexes_size", kSizes},
    {"pg_is_in_*", kWal},
    {"pg_is_other_temp_schema", kConnection},
    {"pg_is_wal_replay_paused", kWal},
    {"pg_isolation_test_session_is_blocked", kLocks},
    {"pg_jit_available", kFiles},
    {"pg_last_*", kWal},
    {"pg_listening_channels", kConnection},
    {"pg_lock_status", kLocks},
    {"pg_log_backend_memory_contexts", kProcess},
    {"pg_ls_*", kFiles},
    {"pg_my_temp_schema", kConnection},
    {"pg_notification_queue_usage", kProcess},
    {"pg_postmaster_start_time", kProcess},
    {"pg_prepared_statement", kConnection},
    {"pg_prepared_xact", kTransactionId},
    {"pg_read_binary_file", kFiles},
    {"pg_read_file*", kFiles},
    {"pg_relation_filepath", kFiles},
    {"pg_relation_size", kSizes},
    {"pg_replication_*", kReplication},
    {"pg_safe_snapshot_blocking_pids", kLocks},
    {"pg_sequence_last_value", "a replica sees a sequence ahead of its value"},
    {"pg_settings_get_flags", kSettings},
    {"pg_show_*", kSettings},
    {"pg_snapshot_*", kTransactionId},
    {"pg_stat_*", kStatistics},
    {"pg_table_size", kSizes},
    {"pg_tablespace_*", kFiles},
    {"pg_timezone_*", kFiles},
    {"pg_total_relation_size", kSizes},
    {"pg_trigger_depth", kConnection},
    {"pg_try_advisory_*", kLocks},
    {"pg_visible_in_snapshot", kTransactionId},
    {"pg_wal_replay_*", kWal},
    {"pg_walfile_name*", kWal},
    {"pg_xact_*", kTransactionId},
    {"setseed", kConnection},
    {"txid_*", kTransactionId},
    {"version", "replicas may run another minor version"},
};

// pg_stats and pg_stats_ext are tables, the same everywhere; "pg_stat_*" does not match them.
constexpr Entry kRelations[] = {
    {"pg_aios", kProcess},
    {"pg_available_extension*", kFiles},
    {"pg_backend_memory_contexts", kProcess},
    {"pg_config", kFiles},
    {"pg_cursors", kConnection},
    {"pg_dsm_registry_*", kProcess},
    {"pg_file_settings", kFiles},
    {"pg_hba_file_rules", kFiles},
    {"pg_ident_file_mappings", kFiles},
    {"pg_locks", kLocks},
    {"pg_prepared_statements", kConnection},
    {"pg_prepared_xacts", kTransactionId},
    {"pg_replication_*", kReplication},
    {"pg_sequences", "a replica sees a sequence ahead of its value"},
    {"pg_settings", kSettings},
    {"pg_shmem_allocations*", kProcess},
    {"pg_stat_*", kStatistics},
    {"pg_statio_*", kStatistics},
    {"pg_timezone_*", kFiles},
};

// clock_timestamp, timeofday: the time of day, of whichever machine answers. random and its
// relatives (array_shuffle), uuids, salts: any value is as good as another; a session that called setseed() is
// pinned. pg_sleep*: waits. pg_partition_*: read the catalogue, volatile only since they may see it
// change. gen_*, uuid_*: extensions (pgcrypto, uuid-ossp), trusted only while they are not written
// in SQL.
constexpr std::string_view kHarmless[] = {
    "array_sample",
    "array_shuffle",
    "clock_timestamp",
    "gen_random_bytes",
    "gen_random_uuid",
    "gen_salt",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "statement_timestamp",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
};

// The xml functions read every table of a schema, views too. The others make values of a composite
// type that only a table or column names, and run the checks of the domains in it.
// Of extensions (tablefunc, xml2, hstore): a query as text, a table by its name, a row of any type.
constexpr std::string_view kRunsArguments[] = {
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_record_valid",
    "jsonb_populate_recordset",
    "pg_input_error_info",
    "pg_input_is_valid",
    "populate_record",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "xpath_table",
};

// The tables are short and this runs only when a statement is resolved: a scan will do.
std::string_view Why(std::span<const Entry> entries, std::string_view name) {
  for (const Entry& entry : entries) {
    const bool prefix = entry.name.ends_with('*');
    if (prefix ? name.starts_with(entry.name.substr(0, entry.name.size() - 1)) : name == entry.name) {
      return entry.why;
    }
  }
  return {};
}

}  // namespace

std::string_view WhyServerLocalFunction(std::string_view name) { return Why(kFunctions, name); }

std::string_view WhyServerLocalRelation(std::string_view name) { return Why(kRelations, name); }

bool ListsPrepared(std::string_view name) { return name == "pg_prepared_statements" || name == "pg_prepared_statement"; }

bool IsHarmlessVolatile(std::string_view name) {
  return std::find(std::begin(kHarmless), std::end(kHarmless), name) != std::end(kHarmless);
}

bool RunsWhatItIsGiven(std::string_view name) {
  return std::find(std::begin(kRunsArguments), std::end(kRunsArguments), name) != std::end(kRunsArguments);
}

bool LooksAtNoRows(std::string_view name) {
  return name == "nextval" || name == "setval" || name == "currval" || name == "lastval" ||
         PinOfBuiltIn(name) != PinReason::kNone || !WhyServerLocalFunction(name).empty();
}

PinReason PinOfBuiltIn(std::string_view name) {
  // Transaction-level locks end by themselves, unlocking leaves nothing.
  constexpr std::array<std::string_view, 4> kSessionLocks = {"pg_advisory_lock", "pg_advisory_lock_shared",
                                                             "pg_try_advisory_lock", "pg_try_advisory_lock_shared"};
  if (std::find(kSessionLocks.begin(), kSessionLocks.end(), name) != kSessionLocks.end()) {
    return PinReason::kAdvisoryLock;
  }
  if (name == "currval" || name == "lastval") return PinReason::kSequenceValue;
  if (name == "setseed") return PinReason::kSetSeed;
  // Temporary slots and a session's replication origin belong to the server connection.
  if (name == "pg_create_physical_replication_slot" || name == "pg_create_logical_replication_slot" ||
      name == "pg_copy_physical_replication_slot" || name == "pg_copy_logical_replication_slot" ||
      name.starts_with("pg_replication_origin_session_")) {
    return PinReason::kUnknownState;
  }
  return PinReason::kNone;
}

}  // namespace waypost
