// A catalogue with the objects that the classification tests name: a few built-in ones, and every
// trap of user-made ones.
#pragma once

#include "parser/catalog/builder.h"

namespace waypost {

inline void AddDemoBuiltIns(CatalogBuilder& b) {
  const auto builtin = [&b](char volatility, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      b.Function({.schema = "pg_catalog", .name = name, .volatility = volatility, .built_in = true});
    }
  };
  builtin('i', {"lower", "upper", "count", "sum", "max", "abs", "row_number", "length", "coalesce_", "pg_size_pretty",
                "generate_series", "pg_walfile_name", "similar_to_escape", "to_hex", "txid_snapshot_xmin", "unnest", "timezone",
                "extract"});
  builtin('s', {"now", "to_char", "to_regclass", "current_setting", "txid_current", "pg_current_xact_id", "version",
                "current_schema", "pg_table_is_visible", "inet_server_addr", "pg_backend_pid", "pg_postmaster_start_time",
                "table_to_xml", "obj_description", "to_json"});
  builtin('v', {"nextval",
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
  for (const char* op : {"=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "||", "~~", "!~~", "~", "->>", "%"}) {
    b.Operator({.schema = "pg_catalog", .name = op, .built_in = true});
  }
  for (const char* name : {"pg_class", "pg_attribute", "pg_type", "pg_stats", "pg_tables", "pg_locks", "pg_settings",
                           "pg_stat_activity", "pg_statio_all_tables", "pg_cursors", "pg_prepared_xacts", "pg_sequences"}) {
    b.Relation({.schema = "pg_catalog", .name = name, .built_in = true});
  }
  b.Relation({.schema = "information_schema", .name = "tables", .kind = 'v', .built_in = true});
  for (const char* name :
       {"int4", "int8", "text", "date", "interval", "numeric", "timestamptz", "bool", "varchar", "bpchar", "regclass"}) {
    b.Type({.schema = "pg_catalog", .name = name, .built_in = true});
  }
}

inline Catalog DemoCatalog() {
  constexpr ObjectId kWriter = 16400, kPure = 16401, kAggregate = 16402, kView = 16410, kSeqView = 16411, kRls = 16412,
                     kSafeView = 16413, kCastType = 16420, kDomain = 16421, kComposite = 16422, kBadInput = 16423,
                     kWriterOp = 16430, kPureOp = 16431, kNextval = 1574;
  using Of = CatalogBuilder::Class;
  CatalogBuilder b;
  AddDemoBuiltIns(b);
  b.Function({.id = kNextval, .schema = "pg_catalog", .name = "nextval", .arguments = "regclass", .built_in = true});
  const auto function = [&b](FunctionSpec spec) {
    if (spec.schema.empty()) spec.schema = "public";
    b.Function(spec);
  };
  constexpr Language kOther = Language::kOther, kSql = Language::kSql;
  function({.id = kWriter, .name = "writer", .arguments = "integer", .language = kOther});
  function({.name = "sql_writer", .language = kSql, .source = "INSERT INTO t VALUES (1)"});
  function({.name = "sql_setter", .language = kSql, .source = "SELECT set_config('a.b', 'c', false)"});
  function({.name = "stable_calls_volatile",
            .arguments = "integer",
            .volatility = 's',
            .language = kSql,
            .source = "SELECT writer($1)"});
  function({.name = "stable_reader", .volatility = 's', .language = kSql, .source = "SELECT count(*) FROM t"});
  function({.name = "stable_dynamic", .volatility = 's', .language = Language::kPlpgsql, .source = "BEGIN EXECUTE 'x'; END"});
  function({.id = kPure, .name = "pure_sql", .volatility = 'i', .language = kSql, .source = "SELECT $1 + 1"});
  function({.name = "pure_c", .volatility = 'i'});
  function({.name = "overloaded", .volatility = 'i'});
  function({.schema = "other", .name = "overloaded", .language = kOther});
  function({.name = "by_count", .min_args = 1, .max_args = 1, .volatility = 'i'});
  function({.name = "by_count", .min_args = 2, .max_args = 3, .language = kOther});
  function({.name = "lower", .volatility = 'i'});  // citext's
  function({.name = "upper", .volatility = 'i', .language = kSql, .source = "SELECT writer(1)"});
  function({.name = "uuid_generate_v4"});
  function({.name = "timeofday", .language = kOther});
  function({.id = kAggregate, .name = "wagg", .arguments = "integer", .volatility = 'i', .kind = 'a'});
  b.Link({Of::kFunction, kAggregate}, {Of::kFunction, kWriter});
  function({.name = "row_writer", .row_argument = true, .language = kOther});
  b.Operator({.id = kWriterOp, .schema = "public", .name = "<+>", .function = kWriter})
      .Operator({.schema = "public", .name = "<->"})
      .Operator({.id = kPureOp, .schema = "public", .name = "%%", .function = kPure});
  const auto relation = [&b](std::string_view name, char kind = 'r', ObjectId id = 0, char persistence = 'p') {
    b.Relation({.id = id, .schema = "public", .name = name, .kind = kind, .persistence = persistence});
  };
  relation("t");
  relation("t2");
  relation("pgbench_accounts");
  relation("v", 'v', kView);
  relation("seqview", 'v', kSeqView);
  relation("safe_view", 'v', kSafeView);
  relation("rls", 'r', kRls);
  relation("ft", 'f');
  relation("s", 'S');
  relation("u", 'r', 0, 'u');
  relation("pg_stat_mine");
  b.Expression({Of::kRelation, kView}, {}, "{FUNCEXPR :funcid 16400 :args <>}")
      .Expression({Of::kRelation, kSeqView}, {}, "{FUNCEXPR :funcid 1574 :args <>}")
      .Expression({Of::kRelation, kSafeView}, {},
                  "({QUERY :commandType 1 :rtable ({RANGETBLENTRY "
                  ":relid 16413}) :targetList {FUNCEXPR :funcid 16401}})")
      .Expression({Of::kRelation, kRls}, "policy p", "{OPEXPR :opno 16430 :opfuncid 0}");
  const auto type = [&b](std::string_view name, ObjectId id, char kind) {
    b.Type({.id = id, .schema = "public", .name = name, .kind = kind});
  };
  type("mood", 0, 'e');
  type("wtype", kCastType, 'c');
  type("dom", kDomain, 'd');
  type("comp", kComposite, 'c');
  type("badin", kBadInput, 'b');
  b.Cast({.source = "text", .target = "public.wtype", .target_type = kCastType, .function = kWriter})
      .Expression({Of::kType, kDomain}, "check c", "{FUNCEXPR :funcid 16400}")
      .Link({Of::kType, kComposite}, {Of::kType, kDomain})
      .Link({Of::kType, kBadInput}, {Of::kFunction, kWriter});
  return b.Take();
}

}  // namespace waypost
