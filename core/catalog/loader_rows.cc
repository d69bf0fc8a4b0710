#include "core/catalog/loader_rows.h"

#include <charconv>
#include <string_view>

#include "parser/catalog/builder.h"

namespace waypost {
namespace {

// The search_path is asked for before it is set: what a session gets that sets none. With an empty
// one only pg_catalog is searched for operators and functions, so that nobody's objects are taken
// for the system's. 16384 is FirstNormalObjectId of access/transam.h: what initdb made is below.
// Expressions come as pg_node_tree: they name what they call by oid, as it was resolved. A column that not every major has
// is taken from the row as JSON, where it may be missing.
constexpr std::string_view kBegin = R"(
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT setting, source FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path';
SET LOCAL search_path TO '';
)";

constexpr std::string_view kFunctions = R"(
SELECT p.oid, n.nspname, p.proname, p.provolatile, p.prokind, l.lanname,
       p.pronargs - p.pronargdefaults, p.pronargs, p.provariadic <> 0, p.oid < 16384,
       CASE WHEN p.oid >= 16384 OR p.provolatile = 'v' THEN oidvectortypes(p.proargtypes) END,
       p.oid >= 16384 AND t.typtype IN ('c', 'd', 'p') AND p.pronargs - p.pronargdefaults <= 1,
       CASE WHEN p.oid >= 16384 THEN p.prorettype END,
       CASE WHEN p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') THEN p.prosrc END,
       CASE WHEN p.oid >= 16384 THEN to_jsonb(p) ->> 'prosqlbody' END,
       CASE WHEN p.oid >= 16384 THEN p.proargdefaults END,
       CASE WHEN p.oid >= 16384 THEN
         (SELECT substr(one.s, 13) FROM unnest(p.proconfig) AS one(s)
           WHERE one.s ~~ 'search\_path=%' LIMIT 1) END
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_type t ON p.pronargs > 0 AND t.oid = p.proargtypes[0]
 ORDER BY p.oid;
)";

constexpr std::string_view kRest = R"(
SELECT a.aggfnoid::oid, f.oid, a.aggsortop
  FROM pg_aggregate a
  JOIN pg_proc f ON f.oid = ANY (ARRAY[a.aggtransfn::oid, a.aggfinalfn, a.aggcombinefn,
                    a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn])
 WHERE a.aggfnoid::oid >= 16384
 ORDER BY 1, 2;
SELECT DISTINCT p.oid, arg.typ
  FROM pg_proc p, unnest(p.proargtypes::oid[] || p.proallargtypes) AS arg(typ)
 WHERE p.oid >= 16384 AND arg.typ >= 16384
 ORDER BY 1, 2;
SELECT o.oid, n.nspname, o.oprname, o.oprcode::oid, o.oid < 16384, o.oprleft, o.oprright, o.oprresult
  FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
 ORDER BY o.oid;
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.oid < 16384
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
 ORDER BY c.oid;
SELECT r.ev_class, r.ev_action
  FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
 WHERE r.ev_type = '1' AND c.relkind = 'v' AND c.oid >= 16384 AND c.relpersistence <> 't'
 ORDER BY r.oid;
SELECT p.polrelid, p.polname, c.relname, n.nspname, p.polqual
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relrowsecurity AND p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
 ORDER BY p.oid;
SELECT d.adrelid, a.attname, d.adbin
  FROM pg_attrdef d
  JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  JOIN pg_class c ON c.oid = d.adrelid
 WHERE a.attgenerated = 'v' AND c.relpersistence <> 't'
 ORDER BY d.oid;
WITH RECURSIVE up AS (
  SELECT i.inhparent, c.oid AS child FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid
   WHERE c.relkind = 'f' OR c.relpersistence = 'u'
  UNION
  SELECT i.inhparent, up.child FROM up
    JOIN pg_inherits i ON i.inhrelid = up.inhparent)
SELECT up.inhparent, up.child FROM up ORDER BY 1, 2;
SELECT DISTINCT a.attrelid, a.atttypid, c.reltype, c.relkind = 'c'
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
 WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't'
 ORDER BY 1, 2;
SELECT t.oid, n.nspname, t.typname, t.typtype, t.oid < 16384, t.typcategory = 'A' AND t.typelem <> 0,
       t.typelem, t.typbasetype
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE (t.typtype <> 'c' OR t.oid >= 16384) AND c.relpersistence IS DISTINCT FROM 't'
 ORDER BY t.oid;
SELECT t.oid, io.f, false
  FROM pg_type t, unnest(ARRAY[t.typinput::oid, t.typreceive::oid]) AS io(f)
 WHERE t.oid >= 16384 AND t.typtype = 'b' AND t.typcategory <> 'A' AND io.f <> 0
UNION ALL
SELECT t.oid, io.f, true
  FROM pg_type t, unnest(ARRAY[t.typoutput::oid, t.typsend::oid]) AS io(f)
 WHERE t.oid >= 16384 AND t.typtype = 'b' AND t.typcategory <> 'A' AND io.f <> 0
UNION ALL
SELECT k.opcintype, a.amproc::oid, true
  FROM pg_opclass k
  JOIN pg_amproc a ON a.amprocfamily = k.opcfamily AND a.amproclefttype = k.opcintype
 WHERE k.opcdefault AND k.opcintype >= 16384
UNION ALL
SELECT k.opcintype, o.oprcode::oid, true
  FROM pg_opclass k
  JOIN pg_amop a ON a.amopfamily = k.opcfamily AND a.amoplefttype = k.opcintype
  JOIN pg_operator o ON o.oid = a.amopopr
 WHERE k.opcdefault AND k.opcintype >= 16384
 ORDER BY 1, 2, 3;
SELECT c.contypid, c.conname, n.nspname, t.typname, c.conbin
  FROM pg_constraint c
  JOIN pg_type t ON t.oid = c.contypid
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE c.contypid >= 16384 AND c.conbin IS NOT NULL
 ORDER BY c.oid;
SELECT r.rngtypid, r.rngsubtype, r.rngcanonical::oid, r.rngsubdiff::oid, coalesce(to_jsonb(r) ->> 'rngmultitypid', '0')
  FROM pg_range r
 WHERE r.rngtypid >= 16384
 ORDER BY 1;
SELECT format_type(c.castsource, NULL), format_type(c.casttarget, NULL), t.oid, c.castfunc,
       c.castcontext = 'i' OR t.typname IN ('json', 'jsonb'), t.oid < 16384
  FROM pg_cast c
  JOIN pg_type a ON a.oid = c.casttarget
  JOIN pg_type t ON t.oid = CASE WHEN a.typcategory = 'A' THEN a.typelem ELSE a.oid END
 WHERE c.oid >= 16384 AND c.castfunc <> 0
 ORDER BY c.oid;
SELECT coalesce(r.rolname, ''), one.setting, s.setrole <> 0, s.setdatabase <> 0
  FROM pg_db_role_setting s
  LEFT JOIN pg_roles r ON r.oid = s.setrole,
       unnest(s.setconfig) AS one(setting)
 WHERE (s.setdatabase = 0 OR s.setdatabase =
        (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
 ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC, 1, 2;
COMMIT)";

std::string_view Text(const PGresult* rows, int row, int column) {
  return {PQgetvalue(rows, row, column), static_cast<std::size_t>(PQgetlength(rows, row, column))};
}
char Letter(const PGresult* rows, int row, int column) {
  const std::string_view text = Text(rows, row, column);
  return text.empty() ? '\0' : text.front();
}
bool IsTrue(const PGresult* rows, int row, int column) { return Letter(rows, row, column) == 't'; }
ObjectId Id(const PGresult* rows, int row, int column) {
  const std::string_view text = Text(rows, row, column);
  ObjectId id = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}
std::uint8_t Count(const PGresult* rows, int row, int column) {
  return static_cast<std::uint8_t>(std::min<ObjectId>(Id(rows, row, column), 254));
}

using Of = CatalogBuilder::Class;  // what an id is of

Language LanguageOf(std::string_view name) {
  if (name == "internal" || name == "c") return Language::kNative;
  if (name == "sql") return Language::kSql;
  return name == "plpgsql" ? Language::kPlpgsql : Language::kOther;
}

void AddFunctions(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const bool variadic = IsTrue(rows, row, 8);
    const FunctionSpec spec{.id = Id(rows, row, 0),
                            .schema = Text(rows, row, 1),
                            .name = Text(rows, row, 2),
                            .arguments = Text(rows, row, 10),
                            // VARIADIC "any" may get nothing at all.
                            .min_args = variadic ? std::uint8_t{0} : Count(rows, row, 6),
                            .max_args = variadic ? NameTable::kAnyArguments : Count(rows, row, 7),
                            .volatility = Letter(rows, row, 3),
                            .kind = Letter(rows, row, 4),
                            .built_in = IsTrue(rows, row, 9),
                            .row_argument = IsTrue(rows, row, 11),
                            .language = LanguageOf(Text(rows, row, 5)),
                            .source = Text(rows, row, 13),
                            .tree = Text(rows, row, 14),
                            .defaults = Text(rows, row, 15),
                            .search_path = Text(rows, row, 16)};
    builder.Function(spec);
    const ObjectId result = Id(rows, row, 12);
    if (spec.built_in || result < 16384) continue;
    builder.Link({Of::kFunction, spec.id}, {Of::kOutput, result});
    // What a body returns is made a value of that type.
    if (spec.language != Language::kNative) builder.Link({Of::kFunction, spec.id}, {Of::kType, result});
  }
}

// Rows of (from, to) in the first two columns.
void AddLinks(const PGresult* rows, Of from, Of to, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) builder.Link({from, Id(rows, row, 0)}, {to, Id(rows, row, 1)});
}

void AddAggregates(const PGresult* rows, CatalogBuilder& builder) {
  AddLinks(rows, Of::kFunction, Of::kFunction, builder);
  for (int row = 0; row < PQntuples(rows); ++row)
    if (const ObjectId sort = Id(rows, row, 2); sort != 0) builder.Link({Of::kFunction, Id(rows, row, 0)}, {Of::kOperator, sort});
}

void AddOperators(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const OperatorSpec spec{.id = Id(rows, row, 0),
                            .schema = Text(rows, row, 1),
                            .name = Text(rows, row, 2),
                            .function = Id(rows, row, 3),
                            .built_in = IsTrue(rows, row, 4)};
    builder.Operator(spec);
    for (const int column : {5, 6})  // a literal may be made a value of either side's type
      if (const ObjectId type = Id(rows, row, column); type >= 16384) builder.Link({Of::kOperator, spec.id}, {Of::kType, type});
    if (const ObjectId type = Id(rows, row, 7); type >= 16384) builder.Link({Of::kOperator, spec.id}, {Of::kOutput, type});
  }
}

void AddRelations(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Relation({.id = Id(rows, row, 0),
                      .schema = Text(rows, row, 1),
                      .name = Text(rows, row, 2),
                      .kind = Letter(rows, row, 3),
                      .persistence = Letter(rows, row, 4),
                      .built_in = IsTrue(rows, row, 5)});
}

void AddViews(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) builder.Expression({Of::kRelation, Id(rows, row, 0)}, {}, Text(rows, row, 1));
}

void AddPolicies(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Expression({Of::kRelation, Id(rows, row, 0)}, "policy " + std::string(Text(rows, row, 1)), Text(rows, row, 4));
}

// They are worked out when they are read.
void AddVirtualColumns(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Expression({Of::kRelation, Id(rows, row, 0)}, "column " + std::string(Text(rows, row, 1)), Text(rows, row, 2));
}

void AddChildren(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) builder.Child(Id(rows, row, 0), Id(rows, row, 1));
}

// Reading a table shows the values of its columns; making a row makes them.
void AddColumns(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const ObjectId type = Id(rows, row, 1);
    const ObjectId row_type = Id(rows, row, 2);
    if (!IsTrue(rows, row, 3)) builder.Link({Of::kRelation, Id(rows, row, 0)}, {Of::kOutput, type});
    if (row_type == 0) continue;
    builder.Link({Of::kType, row_type}, {Of::kType, type});
    builder.Link({Of::kOutput, row_type}, {Of::kOutput, type});
  }
}

void AddTypes(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const ObjectId id = Id(rows, row, 0);
    if (IsTrue(rows, row, 5)) {
      builder.ArrayType(id, Id(rows, row, 6));
      continue;
    }
    builder.Type({.id = id,
                  .schema = Text(rows, row, 1),
                  .name = Text(rows, row, 2),
                  .kind = Letter(rows, row, 3),
                  .built_in = IsTrue(rows, row, 4)});
    if (const ObjectId base = Id(rows, row, 7); base >= 16384) {
      builder.Link({Of::kType, id}, {Of::kType, base});
      builder.Link({Of::kOutput, id}, {Of::kOutput, base});
    }
  }
}

void AddTypeFunctions(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Link({IsTrue(rows, row, 2) ? Of::kOutput : Of::kType, Id(rows, row, 0)}, {Of::kFunction, Id(rows, row, 1)});
}

void AddChecks(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Expression({Of::kType, Id(rows, row, 0)}, "check " + std::string(Text(rows, row, 1)), Text(rows, row, 4));
}

void AddRanges(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const ObjectId id = Id(rows, row, 0);
    const ObjectId element = Id(rows, row, 1);
    for (const Of cls : {Of::kType, Of::kOutput}) {
      builder.Link({cls, id}, {cls, element});
      if (const ObjectId multi = Id(rows, row, 4); multi != 0) builder.Link({cls, multi}, {cls, id});
    }
    for (const int column : {2, 3})
      if (const ObjectId function = Id(rows, row, column); function != 0)
        builder.Link({Of::kType, id}, {Of::kFunction, function});
  }
}

void AddCasts(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row)
    builder.Cast({.source = Text(rows, row, 0),
                  .target = Text(rows, row, 1),
                  .target_type = Id(rows, row, 2),
                  .function = Id(rows, row, 3),
                  .implicit = IsTrue(rows, row, 4),  // to_json() looks for casts to json by itself
                  .built_in_target = IsTrue(rows, row, 5)});
}

// The most specific come first: of a role in this database, of a role, of this database.
void AddSettings(const PGresult* rows, CatalogBuilder& builder) {
  constexpr std::string_view kPath = "search_path=";
  for (int row = 0; row < PQntuples(rows); ++row) {
    const std::string_view setting = Text(rows, row, 1);
    if (!setting.starts_with(kPath)) continue;
    const std::string_view role = IsTrue(rows, row, 2) ? Text(rows, row, 0) : std::string_view();
    builder.RolePath(role, setting.substr(kPath.size()));
  }
}

// Of use only if it is the server's own, and not what the monitor's role or this connection sets.
void AddDefaultPath(const PGresult* rows, CatalogBuilder& builder) {
  if (PQntuples(rows) != 1) return;
  const std::string_view source = Text(rows, 0, 1);
  if (source == "default" || source == "configuration file" || source == "command line") builder.DefaultPath(Text(rows, 0, 0));
}

}  // namespace

std::string CatalogQuery() { return std::string(kBegin).append(kFunctions).append(kRest); }

Catalog ReadCatalog(const CatalogParts& parts) {
  CatalogBuilder builder;
  const auto add = [&](CatalogPart part, auto read) { read(parts[static_cast<std::size_t>(part)].get(), builder); };
  // Types and relations before the expressions that belong to them.
  add(CatalogPart::kTypes, AddTypes);
  add(CatalogPart::kRelations, AddRelations);
  add(CatalogPart::kFunctions, AddFunctions);
  add(CatalogPart::kAggregates, AddAggregates);
  AddLinks(parts[static_cast<std::size_t>(CatalogPart::kArguments)].get(), Of::kFunction, Of::kType, builder);
  add(CatalogPart::kOperators, AddOperators);
  add(CatalogPart::kViews, AddViews);
  add(CatalogPart::kPolicies, AddPolicies);
  add(CatalogPart::kVirtualColumns, AddVirtualColumns);
  add(CatalogPart::kChildren, AddChildren);
  add(CatalogPart::kColumns, AddColumns);
  add(CatalogPart::kTypeFunctions, AddTypeFunctions);
  add(CatalogPart::kChecks, AddChecks);
  add(CatalogPart::kRanges, AddRanges);
  add(CatalogPart::kCasts, AddCasts);
  add(CatalogPart::kSettings, AddSettings);
  add(CatalogPart::kSearchPath, AddDefaultPath);
  return builder.Take();
}

std::uint64_t Fingerprint(std::span<const Rows> parts) {
  // FNV-1a over every value and its length.
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    hash = (hash ^ text.size()) * 0x100000001b3U;
  };
  for (const Rows& rows : parts) {
    for (int row = 0; row < PQntuples(rows.get()); ++row)
      for (int column = 0; column < PQnfields(rows.get()); ++column) add(Text(rows.get(), row, column));
  }
  return hash;
}

}  // namespace waypost
