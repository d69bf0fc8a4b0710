#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "parser/catalog/function_body.h"

namespace waypost {
namespace {

// The tokens of a node tree: words between blanks and brackets. A blank, bracket or backslash
// within a string stands behind a backslash.
class NodeTokens {
 public:
  explicit NodeTokens(std::string_view tree) : rest_(tree) {}

  // Empty at the end.
  std::string_view Next() {
    std::size_t start = 0;
    while (start < rest_.size() && IsBreak(rest_[start])) ++start;
    opens_node_ = start > 0 && rest_[start - 1] == '{';
    std::size_t end = start;
    while (end < rest_.size() && !IsBreak(rest_[end])) end += rest_[end] == '\\' ? 2 : 1;
    end = std::min(end, rest_.size());
    const std::string_view token = rest_.substr(start, end - start);
    rest_.remove_prefix(end);
    return token;
  }
  // The last token was the label of a node.
  [[nodiscard]] bool opens_node() const { return opens_node_; }

 private:
  static bool IsBreak(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '(' || c == ')' || c == '{' || c == '}' || c == '[' || c == ']';
  }
  std::string_view rest_;
  bool opens_node_ = false;
};

std::optional<std::uint32_t> Number(std::string_view token) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return value;
}

void AddId(std::string_view token, std::vector<std::uint32_t>& ids) {
  if (const auto id = Number(token); id && *id != 0) ids.push_back(*id);
}

// (o 96 97)
void AddIds(NodeTokens& tokens, std::vector<std::uint32_t>& ids) {
  if (tokens.Next() != "o") return;  // <>: an empty list
  // The list ends at the next field.
  for (NodeTokens ahead = tokens;; tokens = ahead) {
    const std::string_view id = ahead.Next();
    if (id.empty() || !Number(id)) return;
    AddId(id, ids);
  }
}

void Sort(std::vector<std::uint32_t>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

// The nodes that queries and expressions are stored as, by any major from 13 to 18; sorted. A
// statement in a rule (NOTIFY) is none of them.
constexpr std::string_view kNodes[] = {"AGGREF",
                                       "ALIAS",
                                       "ARRAY",
                                       "ARRAYCOERCEEXPR",
                                       "ARRAYEXPR",
                                       "BOOLEANTEST",
                                       "BOOLEXPR",
                                       "CASE",
                                       "CASEEXPR",
                                       "CASETESTEXPR",
                                       "CASEWHEN",
                                       "COALESCE",
                                       "COALESCEEXPR",
                                       "COERCETODOMAIN",
                                       "COERCETODOMAINVALUE",
                                       "COERCEVIAIO",
                                       "COLLATE",
                                       "COLLATEEXPR",
                                       "COMMONTABLEEXPR",
                                       "CONST",
                                       "CONVERTROWTYPEEXPR",
                                       "CTECYCLECLAUSE",
                                       "CTESEARCHCLAUSE",
                                       "CURRENTOFEXPR",
                                       "DISTINCTEXPR",
                                       "FIELDSELECT",
                                       "FIELDSTORE",
                                       "FROMEXPR",
                                       "FUNCEXPR",
                                       "GROUPINGFUNC",
                                       "GROUPINGSET",
                                       "INFERENCEELEM",
                                       "JOINEXPR",
                                       "JSONBEHAVIOR",
                                       "JSONCONSTRUCTOREXPR",
                                       "JSONEXPR",
                                       "JSONFORMAT",
                                       "JSONISPREDICATE",
                                       "JSONRETURNING",
                                       "JSONTABLEPATH",
                                       "JSONTABLEPATHSCAN",
                                       "JSONTABLESIBLINGJOIN",
                                       "JSONVALUEEXPR",
                                       "MERGEACTION",
                                       "MERGESUPPORTFUNC",
                                       "MINMAX",
                                       "MINMAXEXPR",
                                       "NAMEDARGEXPR",
                                       "NEXTVALUEEXPR",
                                       "NULLIFEXPR",
                                       "NULLTEST",
                                       "ONCONFLICTEXPR",
                                       "OPEXPR",
                                       "PARAM",
                                       "QUERY",
                                       "RANGETBLENTRY",
                                       "RANGETBLFUNCTION",
                                       "RANGETBLREF",
                                       "RELABELTYPE",
                                       "ROW",
                                       "ROWCOMPARE",
                                       "ROWCOMPAREEXPR",
                                       "ROWEXPR",
                                       "ROWMARKCLAUSE",
                                       "RTE",
                                       "RTEPERMISSIONINFO",
                                       "SCALARARRAYOPEXPR",
                                       "SETOPERATIONSTMT",
                                       "SETTODEFAULT",
                                       "SORTGROUPCLAUSE",
                                       "SQLVALUEFUNCTION",
                                       "SUBLINK",
                                       "SUBSCRIPTINGREF",
                                       "TABLEFUNC",
                                       "TABLESAMPLECLAUSE",
                                       "TARGETENTRY",
                                       "VAR",
                                       "WHEN",
                                       "WINDOWCLAUSE",
                                       "WINDOWFUNC",
                                       "WITHCHECKOPTION",
                                       "XMLEXPR"};

enum class Field : std::uint8_t {
  kUnknown,
  kSaysNothing,
  kFunction,
  kOperator,
  kOperators,  // a list
  kRelation,
  kType,
  kTypes,  // a list
  kCommand
};

struct FieldName {
  std::string_view name;
  Field field;
};

// Fields that hold the id of something that runs or is read. Of types: those of which the node may
// make a value, so that the type's input function or a domain's check runs; not those of a value
// that is there already (vartype).
constexpr FieldName kIds[] = {
    {"aggfnoid", Field::kFunction},
    {"aggtranstype", Field::kType},
    {"aggtype", Field::kType},
    {"array_typeid", Field::kType},
    {"casetype", Field::kType},
    {"coalescetype", Field::kType},
    {"coltypes", Field::kTypes},
    {"commandType", Field::kCommand},
    {"consttype", Field::kType},
    {"cycle_mark_neop", Field::kOperator},
    {"cycle_mark_type", Field::kType},
    {"element_typeid", Field::kType},
    {"endInRangeFunc", Field::kFunction},
    {"eqop", Field::kOperator},
    {"funccoltypes", Field::kTypes},
    {"funcid", Field::kFunction},
    {"funcresulttype", Field::kType},
    {"hashfuncid", Field::kFunction},
    {"minmaxtype", Field::kType},
    {"negfuncid", Field::kFunction},
    {"opno", Field::kOperator},
    {"opnos", Field::kOperators},
    {"opresulttype", Field::kType},
    {"refrestype", Field::kType},
    {"relid", Field::kRelation},
    {"resulttype", Field::kType},
    {"row_typeid", Field::kType},
    {"sortop", Field::kOperator},
    {"startInRangeFunc", Field::kFunction},
    {"tsmhandler", Field::kFunction},
    {"typeId", Field::kType},
    {"typid", Field::kType},
    {"winfnoid", Field::kFunction},
    {"wintype", Field::kType},
};

// All others of those nodes, of any major; sorted. opfuncid is the function of opno.
constexpr std::string_view kSaysNothing[] = {"absent_on_null",
                                             "action",
                                             "aggargtypes",
                                             "aggcollid",
                                             "aggdirectargs",
                                             "aggdistinct",
                                             "aggfilter",
                                             "aggkind",
                                             "agglevelsup",
                                             "aggno",
                                             "aggorder",
                                             "aggpresorted",
                                             "aggsplit",
                                             "aggstar",
                                             "aggtransno",
                                             "aggvariadic",
                                             "alias",
                                             "aliascolnames",
                                             "aliasname",
                                             "all",
                                             "arbiterElems",
                                             "arbiterWhere",
                                             "arg",
                                             "arg_names",
                                             "argisrow",
                                             "argnumber",
                                             "args",
                                             "array_collid",
                                             "boolop",
                                             "booltesttype",
                                             "btype",
                                             "canSetTag",
                                             "cascaded",
                                             "casecollid",
                                             "checkAsUser",
                                             "child",
                                             "cmptype",
                                             "coalescecollid",
                                             "coerce",
                                             "coerceformat",
                                             "coercion",
                                             "coercionformat",
                                             "colCollations",
                                             "colMax",
                                             "colMin",
                                             "colTypes",
                                             "colTypmods",
                                             "colcollations",
                                             "coldefexprs",
                                             "colexprs",
                                             "collOid",
                                             "collation",
                                             "colnames",
                                             "cols",
                                             "coltypmods",
                                             "column_name",
                                             "colvalexprs",
                                             "constbyval",
                                             "constcollid",
                                             "constisnull",
                                             "constlen",
                                             "constraint",
                                             "constraintDeps",
                                             "consttypmod",
                                             "constvalue",
                                             "content",
                                             "convertformat",
                                             "copiedOrder",
                                             "cteList",
                                             "ctecolcollations",
                                             "ctecolnames",
                                             "ctecoltypes",
                                             "ctecoltypmods",
                                             "ctelevelsup",
                                             "ctematerialized",
                                             "ctename",
                                             "ctequery",
                                             "cterecursive",
                                             "cterefcount",
                                             "cursor_name",
                                             "cursor_param",
                                             "cvarno",
                                             "cycle_clause",
                                             "cycle_col_list",
                                             "cycle_mark_collation",
                                             "cycle_mark_column",
                                             "cycle_mark_default",
                                             "cycle_mark_typmod",
                                             "cycle_mark_value",
                                             "cycle_path_column",
                                             "defresult",
                                             "distinctClause",
                                             "docexpr",
                                             "elements",
                                             "elemexpr",
                                             "encoding",
                                             "endOffset",
                                             "enrname",
                                             "enrtuples",
                                             "eref",
                                             "errorOnError",
                                             "exclRelIndex",
                                             "exclRelTlist",
                                             "expr",
                                             "extraUpdatedCols",
                                             "fieldnum",
                                             "fieldnums",
                                             "forDefault",
                                             "format",
                                             "format_type",
                                             "formatted_expr",
                                             "frameOptions",
                                             "fromlist",
                                             "func",
                                             "funccolcollations",
                                             "funccolcount",
                                             "funccollid",
                                             "funccolnames",
                                             "funccoltypmods",
                                             "funcexpr",
                                             "funcformat",
                                             "funcordinality",
                                             "funcparams",
                                             "funcretset",
                                             "functions",
                                             "functype",
                                             "funcvariadic",
                                             "groupClause",
                                             "groupClauses",
                                             "groupDistinct",
                                             "groupexprs",
                                             "groupingSets",
                                             "hasAggs",
                                             "hasDistinctOn",
                                             "hasForUpdate",
                                             "hasGroupRTE",
                                             "hasModifyingCTE",
                                             "hasRecursive",
                                             "hasRowSecurity",
                                             "hasSubLinks",
                                             "hasTargetSRFs",
                                             "hasWindowFuncs",
                                             "hashable",
                                             "havingQual",
                                             "inFromCl",
                                             "inRangeAsc",
                                             "inRangeColl",
                                             "inRangeNullsFirst",
                                             "indent",
                                             "infercollid",
                                             "inferopclass",
                                             "inh",
                                             "inputcollid",
                                             "inputcollids",
                                             "insertedCols",
                                             "isNatural",
                                             "isReturn",
                                             "item_type",
                                             "join_using_alias",
                                             "joinaliasvars",
                                             "joinleftcols",
                                             "joinmergedcols",
                                             "joinrightcols",
                                             "jointree",
                                             "jointype",
                                             "kind",
                                             "larg",
                                             "largs",
                                             "lateral",
                                             "lexpr",
                                             "limitCount",
                                             "limitOffset",
                                             "limitOption",
                                             "list_end",
                                             "list_start",
                                             "location",
                                             "matchKind",
                                             "mergeActionList",
                                             "mergeJoinCondition",
                                             "mergeSourceTargetList",
                                             "mergeTargetRelation",
                                             "mergeUseOuterJoin",
                                             "minmaxcollid",
                                             "msfcollid",
                                             "msftype",
                                             "multidims",
                                             "name",
                                             "named_args",
                                             "newvals",
                                             "notnulls",
                                             "ns_names",
                                             "ns_uris",
                                             "nulls_first",
                                             "nulltesttype",
                                             "omit_quotes",
                                             "onConflict",
                                             "onConflictSet",
                                             "onConflictWhere",
                                             "on_empty",
                                             "on_error",
                                             "op",
                                             "opcollid",
                                             "operName",
                                             "opfamilies",
                                             "opfuncid",
                                             "opretset",
                                             "orderClause",
                                             "ordinalitycol",
                                             "override",
                                             "paramcollid",
                                             "paramid",
                                             "paramkind",
                                             "paramtype",
                                             "paramtypmod",
                                             "partitionClause",
                                             "passing_names",
                                             "passing_values",
                                             "passingvalexprs",
                                             "path",
                                             "path_spec",
                                             "perminfoindex",
                                             "plan",
                                             "polname",
                                             "pushedDown",
                                             "qual",
                                             "quals",
                                             "querySource",
                                             "rarg",
                                             "rargs",
                                             "raw_expr",
                                             "rctype",
                                             "refassgnexpr",
                                             "refcollid",
                                             "refcontainertype",
                                             "refelemtype",
                                             "refexpr",
                                             "reflowerindexpr",
                                             "refname",
                                             "refs",
                                             "reftypmod",
                                             "refupperindexpr",
                                             "relabelformat",
                                             "relkind",
                                             "rellockmode",
                                             "relname",
                                             "repeatable",
                                             "requiredPerms",
                                             "resjunk",
                                             "resname",
                                             "resno",
                                             "resorigcol",
                                             "resorigtbl",
                                             "ressortgroupref",
                                             "result",
                                             "resultRelation",
                                             "resultcollid",
                                             "resulttypmod",
                                             "returning",
                                             "returningList",
                                             "returningNewAlias",
                                             "returningOldAlias",
                                             "reverse_sort",
                                             "rexpr",
                                             "rowMarks",
                                             "row_format",
                                             "rowexpr",
                                             "rtable",
                                             "rtekind",
                                             "rteperminfos",
                                             "rti",
                                             "rtindex",
                                             "runCondition",
                                             "search_breadth_first",
                                             "search_clause",
                                             "search_col_list",
                                             "search_seq_column",
                                             "securityQuals",
                                             "security_barrier",
                                             "selectedCols",
                                             "self_reference",
                                             "seqid",
                                             "setOperations",
                                             "sortClause",
                                             "startOffset",
                                             "stmt_len",
                                             "stmt_location",
                                             "strength",
                                             "subLinkId",
                                             "subLinkType",
                                             "subquery",
                                             "subselect",
                                             "tablefunc",
                                             "tablesample",
                                             "targetList",
                                             "testexpr",
                                             "tleSortGroupRef",
                                             "type",
                                             "typeMod",
                                             "typmod",
                                             "unique",
                                             "unique_keys",
                                             "updateColnos",
                                             "updatedCols",
                                             "useOr",
                                             "use_io_coercion",
                                             "use_json_coercion",
                                             "usingClause",
                                             "utilityStmt",
                                             "value",
                                             "values_lists",
                                             "varattno",
                                             "varattnosyn",
                                             "varcollid",
                                             "varlevelsup",
                                             "varno",
                                             "varnosyn",
                                             "varnullingrels",
                                             "varreturningtype",
                                             "vartype",
                                             "vartypmod",
                                             "waitPolicy",
                                             "winagg",
                                             "wincollid",
                                             "windowClause",
                                             "winref",
                                             "winstar",
                                             "withCheckOptions",
                                             "wrapper",
                                             "xmloption"};

Field FieldOf(std::string_view name) {
  const auto at = std::lower_bound(std::begin(kIds), std::end(kIds), name,
                                   [](const FieldName& one, std::string_view wanted) { return one.name < wanted; });
  if (at != std::end(kIds) && at->name == name) return at->field;
  return std::binary_search(std::begin(kSaysNothing), std::end(kSaysNothing), name) ? Field::kSaysNothing : Field::kUnknown;
}

void RefuseUnknown(Body& body, std::string_view what) {
  body.Refuse(Reason::kNotUnderstood, " has a part that Waypost does not know: " + std::string(what), PinReason::kUnknownState);
}

void ReadLabel(std::string_view label, Body& body) {
  if (label == "ROWMARKCLAUSE") {
    body.Refuse(Reason::kLockClause, " locks rows", PinReason::kNone);
  } else if (label == "NEXTVALUEEXPR") {
    body.Refuse(Reason::kVolatileFunction, " takes a value from a sequence", PinReason::kNone);
  } else if (!std::binary_search(std::begin(kNodes), std::end(kNodes), label)) {
    RefuseUnknown(body, label);
  }
}

void ReadField(std::string_view name, NodeTokens& tokens, Body& body) {
  constexpr std::string_view kSelect = "1";  // CMD_SELECT, nodes/nodes.h
  switch (FieldOf(name)) {
    case Field::kUnknown: return RefuseUnknown(body, name);
    case Field::kSaysNothing: return;
    case Field::kFunction: return AddId(tokens.Next(), body.ids.functions);
    case Field::kOperator: return AddId(tokens.Next(), body.ids.operators);
    case Field::kOperators: return AddIds(tokens, body.ids.operators);
    case Field::kRelation: return AddId(tokens.Next(), body.ids.relations);
    case Field::kType: return AddId(tokens.Next(), body.ids.types);
    case Field::kTypes: return AddIds(tokens, body.ids.types);
    case Field::kCommand:
      if (tokens.Next() != kSelect) body.Refuse(Reason::kWrite, " writes", PinReason::kNone);
      return;
  }
}

}  // namespace

Body ReadNodeTree(std::string_view tree) {
  Body body;
  NodeTokens tokens(tree);
  for (std::string_view token = tokens.Next(); !token.empty(); token = tokens.Next()) {
    if (tokens.opens_node()) {
      ReadLabel(token, body);
    } else if (token.front() == ':' && token.size() > 1) {
      ReadField(token.substr(1), tokens, body);
    }
  }
  Sort(body.ids.functions);
  Sort(body.ids.operators);
  Sort(body.ids.relations);
  Sort(body.ids.types);
  return body;
}

}  // namespace waypost
