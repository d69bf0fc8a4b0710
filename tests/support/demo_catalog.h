// A catalogue with the objects that the classification tests name: a few built-in ones, and every
// trap of user-made ones.
#pragma once

#include "parser/catalog.h"

namespace waypost {

inline Catalog DemoCatalog() {
  namespace ff = function_flag;
  namespace rf = relation_flag;
  namespace tf = type_flag;
  CatalogBuilder b;
  const auto builtin = [&b](std::uint16_t flags, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      b.Function("pg_catalog", name, static_cast<std::uint16_t>(flags | ff::kBuiltIn));
    }
  };
  builtin(0, {"lower", "upper", "count", "sum", "max", "abs", "row_number", "length", "coalesce_",
              "pg_size_pretty", "generate_series", "pg_walfile_name", "similar_to_escape", "to_hex",
              "txid_snapshot_xmin", "unnest", "timezone", "extract"});
  builtin(ff::kStable,
          {"now", "to_char", "to_regclass", "current_setting", "txid_current", "pg_current_xact_id",
           "version", "current_schema", "pg_table_is_visible", "inet_server_addr", "pg_backend_pid",
           "pg_postmaster_start_time", "table_to_xml", "obj_description", "to_json"});
  builtin(ff::kVolatile, {"nextval",
                          "setval",
                          "currval",
                          "lastval",
                          "set_config",
                          "setseed",
                          "random",
                          "gen_random_uuid",
                          "clock_timestamp",
                          "timeofday",
                          "pg_sleep",
                          "pg_advisory_lock",
                          "pg_try_advisory_lock",
                          "pg_advisory_xact_lock",
                          "pg_advisory_unlock",
                          "pg_notify",
                          "lo_create",
                          "lo_open",
                          "pg_is_in_recovery",
                          "pg_last_wal_replay_lsn",
                          "pg_ls_dir",
                          "pg_read_file",
                          "pg_export_snapshot",
                          "query_to_xml",
                          "pg_database_size",
                          "pg_terminate_backend",
                          "ts_stat",
                          "pg_current_wal_lsn"});
  b.Function("public", "writer", ff::kUser | ff::kVolatile | ff::kInterpreted)
      .Function("public", "stable_calls_volatile", ff::kUser | ff::kStable | ff::kInterpreted)
      .Function("public", "pure_sql", ff::kUser | ff::kInterpreted)
      .Function("public", "pure_c", ff::kUser)
      .Function("public", "overloaded", ff::kUser)
      .Function("other", "overloaded", ff::kUser | ff::kVolatile | ff::kInterpreted)
      .Function("public", "lower", ff::kUser)  // citext's
      .Function("public", "upper", ff::kUser | ff::kInterpreted)
      .Function("public", "uuid_generate_v4", ff::kUser | ff::kVolatile)
      .Function("public", "timeofday", ff::kUser | ff::kVolatile | ff::kInterpreted)
      .Function("public", "wagg", ff::kUser | ff::kAggregate)
      .Attribute("public", "row_writer");
  for (const char* op :
       {"=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "||", "~~", "!~~", "~", "->>", "%"}) {
    b.Operator("pg_catalog", op, ff::kBuiltIn);
  }
  b.Operator("public", "<+>", ff::kUser | ff::kVolatile | ff::kInterpreted)
      .Operator("public", "<->", ff::kUser)
      .Operator("public", "%%", ff::kUser | ff::kInterpreted);
  b.Relation("public", "t", 0)
      .Relation("public", "t2", 0)
      .Relation("public", "pgbench_accounts", 0)
      .Relation("public", "v", rf::kUserView)
      .Relation("public", "seqview", rf::kUserView)
      .Relation("public", "rls", rf::kRowPolicy)
      .Relation("public", "ft", rf::kForeign)
      .Relation("public", "s", rf::kSequence)
      .Relation("public", "u", rf::kUnlogged)
      .Relation("public", "pg_stat_statements", rf::kUserView)
      .Relation("public", "pg_stat_mine", 0);
  for (const char* name : {"pg_class", "pg_attribute", "pg_type", "pg_stats", "pg_tables",
                           "pg_locks", "pg_settings", "pg_stat_activity", "pg_statio_all_tables",
                           "pg_cursors", "pg_prepared_xacts", "pg_sequences"}) {
    b.Relation("pg_catalog", name, rf::kSystem);
  }
  b.Relation("information_schema", "tables", rf::kSystem);
  for (const char* name : {"int4", "int8", "text", "date", "interval", "numeric", "timestamptz",
                           "bool", "varchar", "bpchar"}) {
    b.Type("pg_catalog", name, 0);
  }
  b.Type("pg_catalog", "regclass", tf::kLooksUp)
      .Type("public", "wtype", tf::kUser | tf::kUnsafeCast)
      .Type("public", "mood", tf::kUser)
      .Type("public", "dom", tf::kUser | tf::kDomain)
      .Type("public", "comp", tf::kUser | tf::kOpaque)
      .Type("public", "badin", tf::kUser | tf::kUnsafeInput);
  return b.Take();
}

}  // namespace waypost
