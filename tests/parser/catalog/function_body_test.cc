#include "parser/catalog/function_body.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

namespace waypost {
namespace {

using Kind = NameRef::Kind;

bool Names(const Body& body, Kind kind, std::string_view name, std::string_view schema = "") {
  return std::any_of(body.names.begin(), body.names.end(),
                     [&](const NameRef& ref) { return ref.kind == kind && ref.name == name && ref.schema == schema; });
}

struct Row {
  const char* source;
  Reason why;
  PinReason pin = PinReason::kNone;
};

constexpr Reason kSafe = Reason::kReadSafe;
constexpr PinReason kUnseen = PinReason::kUnknownState;

}  // namespace

TEST_CASE("an SQL body is judged as its statements would be", "[parser][function_body]") {
  const Row row = GENERATE(values<Row>({
      {"SELECT 1; SELECT count(*) FROM t", kSafe},
      {"", kSafe},
      {"SELECT 1; INSERT INTO t VALUES (1)", Reason::kWrite},
      {"SELECT * FROM t FOR UPDATE", Reason::kLockClause},
      {"CREATE TABLE x (a int)", Reason::kDdl, kUnseen},
      {"CREATE TEMP TABLE x (a int)", Reason::kDdl, PinReason::kTemporaryTable},
      {"SET work_mem = 1", Reason::kSession, kUnseen},
      {"SELECT set_config('a.b', 'c', false)", kSafe, kUnseen},
      {"SELECT pg_advisory_lock(1)", kSafe, PinReason::kAdvisoryLock},
      {"SELEC 1", Reason::kUnknownSyntax, kUnseen},
  }));
  INFO(row.source);
  const Body body = ReadSqlBody(row.source);
  CHECK(ReasonName(body.why) == ReasonName(row.why));
  CHECK(PinReasonName(body.pin) == PinReasonName(row.pin));
  CHECK(body.words.empty() == (row.why == kSafe));
  CHECK_FALSE(body.names_may_be_variables);
}

TEST_CASE("a body that is too long is not looked into", "[parser][function_body]") {
  const std::string text = "SELECT 1 --" + std::string(kMaxBodyBytes, 'x');
  CHECK(ReadSqlBody(text).why == Reason::kNotUnderstood);
  CHECK(ReadPlpgsqlBody(text).why == Reason::kNotUnderstood);
}

TEST_CASE("a node tree gives the ids of what it calls", "[parser][function_body]") {
  const Body body =
      ReadNodeTree(R"(({QUERY :commandType 1 :rtable ({RANGETBLENTRY :eref {ALIAS :aliasname x\ :funcid\ 9 )"
                   R"(:colnames ("a" "b")} :rtekind 0 :relid 16385 :tablesample {TABLESAMPLECLAUSE :tsmhandler 3313}}) )"
                   R"(:targetList ({FUNCEXPR :funcid 1574 :args ({COERCETODOMAIN :resulttype 16390 :arg <>})} )"
                   R"({AGGREF :aggfnoid 2803 :aggtype 20} {WINDOWFUNC :winfnoid 3100} {OPEXPR :opno 96 :opfuncid 65} )"
                   R"({ROWCOMPAREEXPR :rctype 1 :opnos (o 97 521) :opfamilies (o 1976) :largs <>}) )"
                   R"(:sortClause ({SORTGROUPCLAUSE :eqop 410 :sortop 412})}))");
  CHECK(body.why == kSafe);
  CHECK(body.ids.functions == std::vector<std::uint32_t>{1574, 2803, 3100, 3313});
  CHECK(body.ids.operators == std::vector<std::uint32_t>{96, 97, 410, 412, 521});
  CHECK(body.ids.relations == std::vector<std::uint32_t>{16385});
  CHECK(body.ids.types == std::vector<std::uint32_t>{20, 16390});
}

TEST_CASE("every type of which a node makes a value is found", "[parser][function_body]") {
  const auto [tree, type] = GENERATE(table<const char*, std::uint32_t>({
      {"{JSONEXPR :op 2 :returning {JSONRETURNING :format <> :typid 16390 :typmod -1} :on_empty <>}", 16390},
      {"{TABLEFUNC :functype 1 :coltypes (o 23 16391) :coltypmods (i -1 -1)}", 16391},
      {"{RANGETBLFUNCTION :funccoltypes (o 16392 25) :funccoltypmods <>}", 16392},
      {"{CONST :consttype 16393 :constisnull true}", 16393},
      {"{FUNCEXPR :funcid 3960 :funcresulttype 16394}", 16394},
      {"{SETTODEFAULT :typeId 16395}", 16395},
      {"{OPEXPR :opno 96 :opresulttype 16396}", 16396},
  }));
  INFO(tree);
  const Body body = ReadNodeTree(tree);
  CHECK(body.why == kSafe);
  CHECK(std::count(body.ids.types.begin(), body.ids.types.end(), type) == 1);
}

TEST_CASE("a node or a field that no known major has is not understood", "[parser][function_body]") {
  const auto* tree = GENERATE("({QUERY :commandType 1 :graphPatterns <>})", "({QUERY :commandType 1 :jointree {GRAPHTABLE}})",
                              "{ALIAS :aliasname :funkid :colnames <>}", "{NOTIFYSTMT :conditionname x}");
  INFO(tree);
  const Body body = ReadNodeTree(tree);
  CHECK(ReasonName(body.why) == ReasonName(Reason::kNotUnderstood));
  CHECK(PinReasonName(body.pin) == PinReasonName(kUnseen));
  CHECK_FALSE(body.words.empty());
}

TEST_CASE("a node tree shows what writes or locks", "[parser][function_body]") {
  CHECK(ReadNodeTree("({QUERY :commandType 1 :rowMarks ({ROWMARKCLAUSE :rti 3})})").why == Reason::kLockClause);
  CHECK(ReadNodeTree("({QUERY :commandType 3 :querySource 0})").why == Reason::kWrite);
  CHECK(ReadNodeTree("({QUERY :commandType 1 :cteList ({QUERY :commandType 4})})").why == Reason::kWrite);
  CHECK(ReadNodeTree("{NEXTVALUEEXPR :seqid 5}").why == Reason::kVolatileFunction);
  CHECK(ReadNodeTree("").why == kSafe);
  CHECK(ReadNodeTree(":funcid").ids.functions.empty());
  CHECK(ReadNodeTree("{FUNCEXPR :funcid 99999999999999999999 :opnos (o").ids.functions.empty());
}

TEST_CASE("PL/pgSQL that only reads is safe", "[parser][function_body]") {
  const char* source = GENERATE("BEGIN RETURN 1; END", "BEGIN NULL; END;",
                                "#variable_conflict use_column\n<<l>>\nDECLARE a int := 3; b t.id%TYPE; c t%ROWTYPE; "
                                "k CURSOR (n int) FOR SELECT * FROM t WHERE x = n; BEGIN a := b + 1; c.x := 'update'; "
                                "a[1] = 2; $1 := 3; \"Q\" := 4; END l",
                                "BEGIN FOR r IN SELECT * FROM t LOOP IF r.a THEN CONTINUE; ELSIF r.b THEN EXIT; ELSE NULL; "
                                "END IF; END LOOP; RETURN x; END",
                                "BEGIN x := CASE WHEN a THEN b ELSE CASE c WHEN 1 THEN 2 END END; RETURN x; END",
                                "BEGIN CASE x WHEN 1 THEN y := 1; ELSE y := 2; END CASE; RETURN y; END",
                                "BEGIN BEGIN PERFORM 1; EXCEPTION WHEN others THEN RAISE NOTICE 'x %', y; END; END",
                                "BEGIN WHILE a < 3 LOOP a := a + 1; END LOOP; FOREACH a IN ARRAY b LOOP NULL; END LOOP; END",
                                "BEGIN OPEN c FOR SELECT 1; FETCH c INTO x; MOVE NEXT IN c; CLOSE c; "
                                "GET DIAGNOSTICS a = ROW_COUNT; ASSERT a > 0; RETURN QUERY SELECT 1; RETURN NEXT; END",
                                "BEGIN x := 'insert; delete'; -- update\n /* execute /* delete */ */ y := $q$ merge $q$; END",
                                "BEGIN x := E'\\'; insert'; y := 'it''s'; z := a->>'k' || b #> c; END",
                                "DECLARE BEGIN WITH q AS (SELECT 1) SELECT * INTO x FROM q; VALUES (1); END");
  INFO(source);
  const Body body = ReadPlpgsqlBody(source);
  INFO(body.words);
  CHECK(body.why == kSafe);
  CHECK(body.pin == PinReason::kNone);
  CHECK(body.names_may_be_variables);
}

TEST_CASE("PL/pgSQL that may write or do what nobody sees is not", "[parser][function_body]") {
  const Row row = GENERATE(values<Row>({
      {"BEGIN INSERT INTO t VALUES (1); END", Reason::kWrite},
      {"BEGIN WITH x AS (DELETE FROM t RETURNING *) SELECT * INTO y FROM x; END", Reason::kWrite},
      {"BEGIN IF a THEN UpDaTe t SET a = 1; END IF; END", Reason::kWrite},
      {"BEGIN SELECT * INTO x FROM t FOR NO KEY UPDATE; END", Reason::kWrite},
      {"BEGIN PERFORM 1 FROM t FOR SHARE; END", Reason::kLockClause},
      {"BEGIN PERFORM 1 FROM t FOR KEY SHARE; END", Reason::kLockClause},
      {"BEGIN EXECUTE 'x'; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN RETURN QUERY EXECUTE 'x'; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN FOR r IN EXECUTE x LOOP NULL; END LOOP; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN CALL p(); END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN COMMIT; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN SET x = 1; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN IF a THEN SET x TO 1; END IF; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN LOOP LOCK TABLE t; END LOOP; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN CREATE TEMP TABLE x (a int); END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN TRUNCATE t; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN DO 'x'; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN REPACK t; END", Reason::kNotUnderstood, kUnseen},  // whatever comes next
      {"BEGIN x := pg_temp.f(); END", Reason::kPinnedRelation, PinReason::kTemporaryTable},
      {"BEGIN x := \"pg_temp\".f(); END", Reason::kPinnedRelation, PinReason::kTemporaryTable},
      {"BEGIN x := U&\"d\\0061t\"(); END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN x := 'never ends; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN x := $a$ never ends; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN /* never ends; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN x := E'a'\n'b\\'; insert into t'; END", Reason::kNotUnderstood, kUnseen},
      {"BEGIN x := CASE WHEN a THEN b; END", Reason::kNotUnderstood, kUnseen},
      {"garbage", Reason::kNotUnderstood, kUnseen},
      {"( SELECT 1 )", Reason::kNotUnderstood, kUnseen},
  }));
  INFO(row.source);
  const Body body = ReadPlpgsqlBody(row.source);
  CHECK(ReasonName(body.why) == ReasonName(row.why));
  CHECK(PinReasonName(body.pin) == PinReasonName(row.pin));
}

TEST_CASE("every word of a PL/pgSQL body that may be a name is one", "[parser][function_body]") {
  const Body body = ReadPlpgsqlBody(
      "DECLARE v public.dom; w Tab.col%TYPE; BEGIN v := F(1) + s.g ( 2 ); PERFORM r.h, (q).i, "
      "\"Z\"() FROM a.b JOIN c USING (d) WHERE e <@> 3 AND x OPERATOR(s.<->) y; END");
  CHECK(Names(body, Kind::kType, "dom", "public"));
  CHECK(Names(body, Kind::kType, "tab"));
  CHECK(Names(body, Kind::kFunction, "f"));
  CHECK(Names(body, Kind::kFunction, "g", "s"));
  CHECK(Names(body, Kind::kFunction, "Z"));
  CHECK(Names(body, Kind::kAttribute, "h"));
  CHECK(Names(body, Kind::kAttribute, "i"));
  CHECK(Names(body, Kind::kRelation, "b", "a"));
  CHECK(Names(body, Kind::kRelation, "c"));
  CHECK(Names(body, Kind::kOperator, "<@>"));
  CHECK(Names(body, Kind::kOperator, "<->"));
  CHECK(Names(body, Kind::kOperator, "="));  // behind USING
  CHECK_FALSE(Names(body, Kind::kFunction, "b", "a"));
}

TEST_CASE("operators are cut as PostgreSQL cuts them", "[parser][function_body]") {
  const auto has = [](const char* expression, const char* name) {
    return Names(ReadPlpgsqlBody("BEGIN RETURN " + std::string(expression) + "; END"), Kind::kOperator, name);
  };
  CHECK(has("a *- b", "*"));
  CHECK(has("a @- b", "@-"));
  CHECK(has("a +-- comment\n b", "+"));
  CHECK(has("a +/* comment */ b", "+"));
  CHECK(has("a <=> b", "<=>"));
}

}  // namespace waypost
