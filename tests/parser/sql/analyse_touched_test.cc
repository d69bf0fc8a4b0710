// Every statement of the grammar, with a table in every place where it can name one. Which statements, kinds of objects and
// nodes with a table there are is read off the headers that the parser is built against: what they add fails here first.
#include <pg_query.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "parser/sql/facts.h"

using namespace waypost;

namespace {

using Names = std::set<std::string>;
using Examples = std::map<std::string, std::vector<std::string>>;

// Statements that name the relation payroll; under the struct that holds its name, or the statement's own.
const Examples kNaming = {
    {"SelectStmt", {"SELECT * FROM payroll", "SELECT 1 WHERE EXISTS (TABLE payroll)", "VALUES ((SELECT max(x) FROM payroll))"}},
    {"IntoClause", {"SELECT 1 INTO payroll", "CREATE TABLE payroll AS SELECT 1", "CREATE MATERIALIZED VIEW payroll AS SELECT 1"}},
    {"InsertStmt", {"INSERT INTO payroll VALUES (1)", "INSERT INTO a TABLE payroll"}},
    {"DeleteStmt", {"DELETE FROM payroll", "DELETE FROM a USING payroll"}},
    {"UpdateStmt", {"UPDATE payroll SET x = 1", "UPDATE a SET x = 1 FROM payroll"}},
    {"MergeStmt",
     {"MERGE INTO payroll USING a ON true WHEN MATCHED THEN DELETE",
      "MERGE INTO a USING payroll ON true WHEN MATCHED THEN DELETE"}},
    {"CopyStmt", {"COPY payroll TO STDOUT", "COPY payroll FROM STDIN", "COPY (TABLE payroll) TO STDOUT"}},
    {"ExplainStmt",
     {"EXPLAIN TABLE payroll", "EXPLAIN CREATE TABLE payroll AS SELECT 1", "EXPLAIN DECLARE c CURSOR FOR TABLE payroll"}},
    {"PrepareStmt", {"PREPARE p AS TABLE payroll"}},
    {"DeclareCursorStmt", {"DECLARE c CURSOR FOR TABLE payroll"}},
    {"CreateTableAsStmt", {"CREATE TABLE a AS TABLE payroll", "CREATE MATERIALIZED VIEW a AS TABLE payroll"}},
    {"CreateSchemaStmt", {"CREATE SCHEMA s CREATE TABLE payroll (x int)", "CREATE SCHEMA s CREATE VIEW v AS TABLE payroll"}},
    {"CreateStmt",
     {"CREATE TABLE payroll (x int)", "CREATE TABLE a () INHERITS (b, payroll)", "CREATE TABLE a PARTITION OF payroll DEFAULT",
      "CREATE TABLE a (x int DEFAULT (SELECT 1 FROM payroll))"}},
    {"CreateForeignTableStmt",
     {"CREATE FOREIGN TABLE payroll () SERVER s", "CREATE FOREIGN TABLE a () INHERITS (payroll) SERVER s"}},
    {"TableLikeClause", {"CREATE TABLE a (LIKE payroll)", "CREATE TABLE a (LIKE b, LIKE x.payroll INCLUDING ALL)"}},
    {"Constraint",
     {"CREATE TABLE a (x int REFERENCES payroll)", "CREATE TABLE a (x int, FOREIGN KEY (x) REFERENCES payroll (x))",
      "ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES payroll"}},
    {"AlterTableStmt",
     {"ALTER TABLE payroll ADD x int", "ALTER VIEW payroll OWNER TO x", "ALTER INDEX payroll SET TABLESPACE t",
      "ALTER SEQUENCE payroll OWNER TO x", "ALTER TABLE a INHERIT payroll", "ALTER TABLE a NO INHERIT payroll"}},
    {"PartitionCmd",
     {"ALTER TABLE a ATTACH PARTITION payroll DEFAULT", "ALTER TABLE a DETACH PARTITION payroll",
      "ALTER INDEX a ATTACH PARTITION payroll"}},
    {"ViewStmt",
     {"CREATE VIEW payroll AS SELECT 1", "CREATE VIEW v AS SELECT * FROM payroll",
      "CREATE RECURSIVE VIEW v (x) AS SELECT * FROM payroll"}},
    {"GrantStmt",
     {"GRANT SELECT ON payroll TO x", "REVOKE ALL ON a, payroll FROM x", "GRANT SELECT (x) ON payroll TO y",
      "GRANT USAGE ON SEQUENCE payroll TO x"}},
    {"AlterExtensionContentsStmt", {"ALTER EXTENSION e ADD TABLE payroll", "ALTER EXTENSION e DROP VIEW payroll"}},
    {"ImportForeignSchemaStmt", {"IMPORT FOREIGN SCHEMA s LIMIT TO (payroll) FROM SERVER x INTO y"}},
    {"CreatePolicyStmt", {"CREATE POLICY p ON payroll", "CREATE POLICY p ON a USING (EXISTS (TABLE payroll))"}},
    {"AlterPolicyStmt", {"ALTER POLICY p ON payroll TO x", "ALTER POLICY p ON a WITH CHECK (x IN (TABLE payroll))"}},
    {"CreateTrigStmt",
     {"CREATE TRIGGER t AFTER INSERT ON payroll EXECUTE FUNCTION f()",
      "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a FROM payroll FOR EACH ROW EXECUTE FUNCTION f()"}},
    {"CreateSeqStmt", {"CREATE SEQUENCE payroll", "CREATE SEQUENCE s OWNED BY payroll.id"}},
    {"AlterSeqStmt", {"ALTER SEQUENCE payroll RESTART", "ALTER SEQUENCE s OWNED BY x.payroll.id"}},
    {"CreateDomainStmt", {"CREATE DOMAIN d AS int CHECK (VALUE IN (TABLE payroll))"}},
    {"AlterDomainStmt", {"ALTER DOMAIN d ADD CHECK (VALUE IN (TABLE payroll))"}},
    {"DropStmt",
     {"DROP TABLE payroll", "DROP VIEW a, b.payroll", "DROP MATERIALIZED VIEW payroll", "DROP FOREIGN TABLE payroll",
      "DROP SEQUENCE payroll", "DROP INDEX payroll", "DROP TRIGGER t ON payroll", "DROP RULE r ON payroll",
      "DROP POLICY p ON payroll"}},
    {"TruncateStmt", {"TRUNCATE a, payroll"}},
    {"CommentStmt",
     {"COMMENT ON TABLE payroll IS ''", "COMMENT ON TABLE x.payroll IS NULL", "COMMENT ON COLUMN payroll.id IS ''"}},
    {"SecLabelStmt", {"SECURITY LABEL ON TABLE payroll IS ''", "SECURITY LABEL ON COLUMN payroll.id IS ''"}},
    {"IndexStmt", {"CREATE INDEX ON payroll (x)", "CREATE INDEX ON a (x) WHERE y IN (TABLE payroll)"}},
    {"CreateStatsStmt", {"CREATE STATISTICS s ON x, y FROM payroll"}},
    {"CreateFunctionStmt",
     {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT x FROM payroll; END",
      "CREATE FUNCTION f() RETURNS int RETURN (SELECT x FROM payroll)",
      "CREATE FUNCTION f(a payroll.id%TYPE) RETURNS int LANGUAGE sql AS ''"}},
    {"CallStmt", {"CALL p((SELECT 1 FROM payroll))"}},
    {"ExecuteStmt", {"EXECUTE p((SELECT 1 FROM payroll))"}},
    {"RenameStmt",
     {"ALTER TABLE payroll RENAME TO a", "ALTER TABLE payroll RENAME x TO y", "ALTER VIEW payroll RENAME TO a",
      "ALTER INDEX payroll RENAME TO a", "ALTER SEQUENCE payroll RENAME TO a", "ALTER TRIGGER t ON payroll RENAME TO a",
      "ALTER RULE r ON payroll RENAME TO a", "ALTER POLICY p ON payroll RENAME TO a",
      "ALTER TABLE payroll RENAME CONSTRAINT a TO b"}},
    {"AlterObjectDependsStmt",
     {"ALTER TRIGGER t ON payroll DEPENDS ON EXTENSION e", "ALTER INDEX payroll DEPENDS ON EXTENSION e"}},
    {"AlterObjectSchemaStmt", {"ALTER TABLE payroll SET SCHEMA s", "ALTER SEQUENCE payroll SET SCHEMA s"}},
    {"RuleStmt",
     {"CREATE RULE r AS ON INSERT TO payroll DO NOTHING", "CREATE RULE r AS ON INSERT TO a DO DELETE FROM payroll",
      "CREATE RULE r AS ON INSERT TO a WHERE EXISTS (TABLE payroll) DO NOTHING"}},
    {"CompositeTypeStmt", {"CREATE TYPE payroll AS (x int)"}},
    {"ClusterStmt", {"CLUSTER payroll"}},
    {"VacuumStmt", {"VACUUM payroll", "ANALYZE a, payroll (x)"}},
    {"VacuumRelation", {"VACUUM (FULL) payroll"}},
    {"RefreshMatViewStmt", {"REFRESH MATERIALIZED VIEW payroll"}},
    {"LockStmt", {"LOCK payroll", "LOCK TABLE a, ONLY payroll IN SHARE MODE"}},
    {"AlterOwnerStmt", {}},      // of tables it is an AlterTableStmt
    {"ConstraintsSetStmt", {}},  // its RangeVars are the names of constraints
    {"ReindexStmt", {"REINDEX TABLE payroll", "REINDEX INDEX payroll"}},
    {"CreatePublicationStmt", {"CREATE PUBLICATION p FOR TABLE payroll"}},
    {"AlterPublicationStmt", {"ALTER PUBLICATION p ADD TABLE payroll", "ALTER PUBLICATION p SET TABLE a, payroll"}},
    {"PublicationTable", {"CREATE PUBLICATION p FOR TABLE a, ONLY payroll (x) WHERE (x > 1)"}},
    {"ColumnDef", {"CREATE TABLE a (x int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME payroll))"}},
};

// Statements that name the type payroll, which may be that of a table's rows; under the struct that holds its name.
Examples NamingType() {
  Examples examples = {
      {"TypeCast",
       {"SELECT NULL::payroll", "SELECT x::payroll[] FROM a", "CREATE VIEW v AS SELECT CAST(NULL AS x.payroll)",
        "CREATE INDEX ON a ((x::payroll))"}},
      {"ColumnDef",
       {"CREATE TABLE a (x payroll)", "ALTER TABLE a ADD x payroll[]", "ALTER TABLE a ALTER x TYPE payroll",
        "SELECT * FROM f() AS a (x payroll)", "CREATE TYPE t AS (x payroll)"}},
      {"RangeTableFuncCol", {"SELECT * FROM XMLTABLE('/' PASSING x COLUMNS y payroll) t"}},
      {"CreateFunctionStmt",
       {"CREATE FUNCTION f() RETURNS payroll LANGUAGE sql AS ''",
        "CREATE FUNCTION f() RETURNS SETOF payroll LANGUAGE sql AS ''"}},
      {"FunctionParameter",
       {"CREATE FUNCTION f(a payroll) RETURNS int LANGUAGE sql AS ''",
        "CREATE FUNCTION f() RETURNS TABLE (x payroll) LANGUAGE sql AS ''"}},
      {"ObjectWithArgs", {"DROP FUNCTION f(payroll)", "COMMENT ON FUNCTION f(payroll) IS ''"}},
      {"CreateDomainStmt", {"CREATE DOMAIN d AS payroll"}},
      {"CreateOpClassItem", {"CREATE OPERATOR CLASS o FOR TYPE int USING btree AS STORAGE payroll"}},
      {"CreateOpClassStmt", {"CREATE OPERATOR CLASS o FOR TYPE payroll USING btree AS STORAGE int"}},
      {"CreateCastStmt", {"CREATE CAST (payroll AS int) WITH INOUT", "CREATE CAST (int AS payroll) WITH INOUT"}},
      {"CreateTransformStmt",
       {"CREATE TRANSFORM FOR payroll LANGUAGE l (FROM SQL WITH FUNCTION f(internal), TO SQL WITH FUNCTION g(internal))"}},
      {"CreateStmt", {"CREATE TABLE a OF payroll"}},
      {"DefineStmt",
       {"CREATE AGGREGATE a (payroll) (SFUNC = f, STYPE = int)", "CREATE AGGREGATE a (int) (SFUNC = f, STYPE = payroll)"}},
      {"XmlSerialize", {"SELECT XMLSERIALIZE(CONTENT x AS payroll)"}},
      {"PrepareStmt", {"PREPARE p (payroll) AS SELECT $1"}},
  };
  if (std::stoi(std::string(GrammarMajor())) < 17) return examples;
  examples["JsonOutput"] = {"SELECT JSON_SERIALIZE(x RETURNING payroll)", "SELECT JSON_OBJECT('a': 1 RETURNING payroll)",
                            "SELECT JSON_VALUE(x, '$' RETURNING payroll)"};
  examples["JsonTableColumn"] = {"SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a payroll PATH '$'))",
                                 "SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (NESTED '$.b' COLUMNS (a payroll PATH '$')))"};
  return examples;
}
const Examples kNamingType = NamingType();

// Statements that can name no relation; some of them something else of that name.
const Examples kNotNaming = {
    {"GrantRoleStmt", {"GRANT payroll TO x"}},
    {"AlterDefaultPrivilegesStmt", {"ALTER DEFAULT PRIVILEGES IN SCHEMA payroll GRANT SELECT ON TABLES TO x"}},
    {"VariableSetStmt", {"SET search_path = payroll"}},
    {"VariableShowStmt", {"SHOW payroll"}},
    {"AlterTableMoveAllStmt", {"ALTER TABLE ALL IN TABLESPACE payroll SET TABLESPACE x"}},
    {"DropStmt", {"DROP SCHEMA payroll", "DROP TYPE payroll", "DROP FUNCTION payroll()", "DROP EXTENSION payroll"}},
    {"GrantStmt", {"GRANT ALL ON SCHEMA payroll TO x", "GRANT EXECUTE ON FUNCTION payroll() TO x"}},
    {"CommentStmt", {"COMMENT ON SCHEMA payroll IS ''", "COMMENT ON DATABASE payroll IS ''", "COMMENT ON TABLE a IS 'payroll'"}},
    {"RenameStmt",
     {"ALTER DATABASE payroll RENAME TO x", "ALTER FUNCTION payroll() RENAME TO x", "ALTER ROLE payroll RENAME TO x"}},
    {"AlterOwnerStmt", {"ALTER SCHEMA payroll OWNER TO x"}},
    {"ViewStmt", {"CREATE VIEW v AS WITH payroll AS (SELECT 1) SELECT * FROM payroll"}},
    {"TransactionStmt", {"PREPARE TRANSACTION 'payroll'", "SAVEPOINT payroll"}},
    {"DropdbStmt", {"DROP DATABASE payroll"}},
    {"ReindexStmt", {"REINDEX SCHEMA payroll"}},
    {"AlterObjectDependsStmt", {"ALTER FUNCTION payroll() DEPENDS ON EXTENSION e"}},
};

// What holds no relation, by what it is: roles, databases, types, operators, settings, servers, text search, languages.
const Names kWithout = {
    "RawStmt",
    "SetOperationStmt",
    "ReturnStmt",
    "PLAssignStmt",
    "ReplicaIdentityStmt",
    "AlterCollationStmt",
    "CreateTableSpaceStmt",
    "DropTableSpaceStmt",
    "AlterTableSpaceOptionsStmt",
    "CreateExtensionStmt",
    "AlterExtensionStmt",
    "CreateFdwStmt",
    "AlterFdwStmt",
    "CreateForeignServerStmt",
    "AlterForeignServerStmt",
    "CreateUserMappingStmt",
    "AlterUserMappingStmt",
    "DropUserMappingStmt",
    "CreateAmStmt",
    "CreateEventTrigStmt",
    "AlterEventTrigStmt",
    "CreatePLangStmt",
    "CreateRoleStmt",
    "AlterRoleStmt",
    "AlterRoleSetStmt",
    "DropRoleStmt",
    "DefineStmt",
    "CreateOpClassStmt",
    "CreateOpFamilyStmt",
    "AlterOpFamilyStmt",
    "ClosePortalStmt",
    "FetchStmt",
    "AlterStatsStmt",
    "AlterFunctionStmt",
    "DoStmt",
    "AlterOperatorStmt",
    "AlterTypeStmt",
    "NotifyStmt",
    "ListenStmt",
    "UnlistenStmt",
    "CreateEnumStmt",
    "CreateRangeStmt",
    "AlterEnumStmt",
    "LoadStmt",
    "CreatedbStmt",
    "AlterDatabaseStmt",
    "AlterDatabaseRefreshCollStmt",
    "AlterDatabaseSetStmt",
    "AlterSystemStmt",
    "CheckPointStmt",
    "DiscardStmt",
    "CreateConversionStmt",
    "CreateCastStmt",
    "CreateTransformStmt",
    "DeallocateStmt",
    "DropOwnedStmt",
    "ReassignOwnedStmt",
    "AlterTSDictionaryStmt",
    "AlterTSConfigurationStmt",
    "CreateSubscriptionStmt",
    "AlterSubscriptionStmt",
    "DropSubscriptionStmt",
};

// COMMENT ON each kind of object, each called payroll or within it.
const std::map<std::string, std::pair<std::string, bool>> kObjects = {
    {"ACCESS_METHOD", {"ACCESS METHOD payroll", false}},
    {"AGGREGATE", {"AGGREGATE payroll(int)", false}},
    {"CAST", {"CAST (payroll AS int)", false}},
    {"COLUMN", {"COLUMN payroll.id", true}},
    {"COLLATION", {"COLLATION payroll", false}},
    {"CONVERSION", {"CONVERSION payroll", false}},
    {"DATABASE", {"DATABASE payroll", false}},
    {"DOMAIN", {"DOMAIN payroll", false}},
    {"DOMCONSTRAINT", {"CONSTRAINT c ON DOMAIN payroll", false}},
    {"EVENT_TRIGGER", {"EVENT TRIGGER payroll", false}},
    {"EXTENSION", {"EXTENSION payroll", false}},
    {"FDW", {"FOREIGN DATA WRAPPER payroll", false}},
    {"FOREIGN_SERVER", {"SERVER payroll", false}},
    {"FOREIGN_TABLE", {"FOREIGN TABLE payroll", true}},
    {"FUNCTION", {"FUNCTION payroll(int)", false}},
    {"INDEX", {"INDEX payroll", true}},
    {"LANGUAGE", {"LANGUAGE payroll", false}},
    {"LARGEOBJECT", {"LARGE OBJECT 1", false}},
    {"MATVIEW", {"MATERIALIZED VIEW payroll", true}},
    {"OPCLASS", {"OPERATOR CLASS payroll USING btree", false}},
    {"OPERATOR", {"OPERATOR x.+ (int, int)", false}},
    {"OPFAMILY", {"OPERATOR FAMILY payroll USING btree", false}},
    {"POLICY", {"POLICY p ON payroll", true}},
    {"PROCEDURE", {"PROCEDURE payroll(int)", false}},
    {"PUBLICATION", {"PUBLICATION payroll", false}},
    {"ROLE", {"ROLE payroll", false}},
    {"ROUTINE", {"ROUTINE payroll(int)", false}},
    {"RULE", {"RULE r ON payroll", true}},
    {"SCHEMA", {"SCHEMA payroll", false}},
    {"SEQUENCE", {"SEQUENCE payroll", true}},
    {"SUBSCRIPTION", {"SUBSCRIPTION payroll", false}},
    {"STATISTIC_EXT", {"STATISTICS payroll", false}},
    {"TABCONSTRAINT", {"CONSTRAINT c ON payroll", true}},
    {"TABLE", {"TABLE payroll", true}},
    {"TABLESPACE", {"TABLESPACE payroll", false}},
    {"TRANSFORM", {"TRANSFORM FOR payroll LANGUAGE c", false}},
    {"TRIGGER", {"TRIGGER t ON payroll", true}},
    {"TSCONFIGURATION", {"TEXT SEARCH CONFIGURATION payroll", false}},
    {"TSDICTIONARY", {"TEXT SEARCH DICTIONARY payroll", false}},
    {"TSPARSER", {"TEXT SEARCH PARSER payroll", false}},
    {"TSTEMPLATE", {"TEXT SEARCH TEMPLATE payroll", false}},
    {"TYPE", {"TYPE payroll", false}},
    {"VIEW", {"VIEW payroll", true}},
};
// Kinds of objects that no statement gives as such.
const Names kInternalObjects = {
    "AMOP",        "AMPROC", "ATTRIBUTE", "DEFAULT", "DEFACL", "PARAMETER_ACL", "PUBLICATION_NAMESPACE", "PUBLICATION_REL",
    "USER_MAPPING"};

std::string Header(const std::string& name) {
  std::ifstream file(NODE_HEADERS "/" + name);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Names Found(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  Names found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) found.insert((*at)[1]);
  return found;
}

// The structs of a header that have a field matching `field`.
Names StructsWith(const std::string& header, const std::string& field) {
  const std::regex start("^typedef struct (\\w+)");
  const std::regex wanted(field);
  Names found;
  std::istringstream lines(header);
  std::string name;
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, match, start)) name = match[1];
    if (std::regex_search(line, wanted)) found.insert(name);
  }
  return found;
}

bool NamesPayroll(const Facts& facts) {
  const auto is = [](const NameRef& ref) { return ref.kind == NameRef::Kind::kRelation && ref.name == "payroll"; };
  return std::any_of(facts.names.begin(), facts.names.end(), is) || std::any_of(facts.touched.begin(), facts.touched.end(), is);
}

bool NamesPayrollType(const Facts& facts) {
  const auto is = [](const NameRef& ref) { return ref.kind == NameRef::Kind::kType && ref.name == "payroll"; };
  return std::any_of(facts.names.begin(), facts.names.end(), is) || std::any_of(facts.touched.begin(), facts.touched.end(), is);
}

// Every relation that stands in the library's own dump of the tree.
void CollectRelations(const nlohmann::json& tree, Names& relations) {
  if (tree.is_object() && tree.contains("relname") && tree.contains("relpersistence"))
    relations.insert(tree["relname"].get<std::string>());
  if (tree.is_structured())
    for (const auto& part : tree) CollectRelations(part, relations);
}

Names RelationsInTree(const std::string& sql) {
  auto parsed = pg_query_parse(sql.c_str());
  const std::string text = parsed.parse_tree;
  pg_query_free_parse_result(parsed);
  Names relations;
  CollectRelations(nlohmann::json::parse(text), relations);
  return relations;
}

}  // namespace

TEST_CASE("a table is seen wherever a statement names it", "[parser][analyse][touched]") {
  for (const auto& [node, statements] : kNaming) {
    for (const auto& sql : statements) {
      CAPTURE(node, sql);
      const auto facts = Analyse(sql, {});
      REQUIRE(facts->size() == 1);
      REQUIRE(facts->front().kind != StatementKind::kUnknown);
      CHECK(NamesPayroll(facts->front()));
    }
  }
}

TEST_CASE("a type is seen wherever a statement names it", "[parser][analyse][touched]") {
  for (const auto& [node, statements] : kNamingType) {
    for (const auto& sql : statements) {
      CAPTURE(node, sql);
      const auto facts = Analyse(sql, {});
      REQUIRE(facts->size() == 1);
      REQUIRE(facts->front().kind != StatementKind::kUnknown);
      CHECK(NamesPayrollType(facts->front()));
    }
  }
}

TEST_CASE("what is called like a table is none", "[parser][analyse][touched]") {
  for (const auto& [node, statements] : kNotNaming) {
    for (const auto& sql : statements) {
      CAPTURE(node, sql);
      const auto facts = Analyse(sql, {});
      REQUIRE(facts->front().kind != StatementKind::kUnknown);
      CHECK_FALSE(NamesPayroll(facts->front()));
    }
  }
}

TEST_CASE("every relation of the library's own tree is among the names", "[parser][analyse][touched]") {
  for (const auto& [node, statements] : kNaming) {
    for (const auto& sql : statements) {
      CAPTURE(node, sql);
      const auto facts = Analyse(sql, {});
      Names named;
      for (const auto* list : {&facts->front().names, &facts->front().touched})
        for (const auto& ref : *list)
          if (ref.kind == NameRef::Kind::kRelation) named.insert(ref.name);
      for (const auto& relation : RelationsInTree(sql)) {
        CAPTURE(relation);
        CHECK(named.contains(relation));
      }
    }
  }
}

TEST_CASE("every kind of object that can be commented on is known", "[parser][analyse][touched]") {
  auto kinds = Found(Header("parsenodes.h"), "\\bOBJECT_([A-Z_]+)\\b");
  REQUIRE(kinds.size() > 40);
  for (const auto& kind : kinds) {
    CAPTURE(kind);
    if (kInternalObjects.contains(kind)) continue;
    REQUIRE(kObjects.contains(kind));
    const auto& [object, names] = kObjects.at(kind);
    const auto facts = Analyse("COMMENT ON " + object + " IS ''", {});
    CAPTURE(object);
    REQUIRE(facts->front().kind != StatementKind::kUnknown);
    CHECK(NamesPayroll(facts->front()) == names);
  }
}

TEST_CASE("every statement of the headers was thought of", "[parser][analyse][touched]") {
  const auto statements = Found(Header("parsenodes.h"), "typedef struct (\\w+Stmt)\\b");
  REQUIRE(statements.size() > 100);
  for (const auto& statement : statements) {
    CAPTURE(statement);
    CHECK((kNaming.contains(statement) || kNotNaming.contains(statement) || kWithout.contains(statement)));
  }
}

TEST_CASE("every node of the headers that holds a type has an example", "[parser][analyse][touched]") {
  Names holders;
  for (const auto* header : {"parsenodes.h", "primnodes.h"})
    holders.merge(StructsWith(Header(header), R"(^\s+(TypeName\s*\*|List\s.*\bTypeName))"));
  REQUIRE(holders.size() > 8);
  for (const auto& holder : holders) {
    CAPTURE(holder);
    CHECK(kNamingType.contains(holder));
  }
}

TEST_CASE("every node of the headers that holds a table has an example", "[parser][analyse][touched]") {
  Names holders;
  for (const auto* header : {"parsenodes.h", "primnodes.h"})
    holders.merge(StructsWith(Header(header), R"(^\s+(RangeVar\s*\*|List\s.*\bRangeVar))"));
  REQUIRE(holders.size() > 30);
  for (const auto& holder : holders) {
    CAPTURE(holder);
    CHECK(kNaming.contains(holder));
  }
}
