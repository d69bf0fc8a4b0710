// SET, RESET, set_config and the modes of transactions.
#include <array>
#include <cctype>
#include <string>

#include "core/base/ascii.h"
#include "parser/sql/analyse_walk.h"
#include "parser/sql/set_statement.h"

namespace waypost {
namespace {

// False: not a constant that can be written down.
bool AppendConstant(const Node* node, std::string& out) {
  if (node == nullptr || node->type != T_A_Const) return false;
  const auto* constant = As<A_Const>(node);
  if (constant->isnull) return false;
  switch (constant->val.node.type) {
    case T_Integer: out += std::to_string(constant->val.ival.ival); return true;
    case T_Float: out += constant->val.fval.fval; return true;
    case T_Boolean: out += constant->val.boolval.boolval ? "'true'" : "'false'"; return true;
    case T_String: AppendSetLiteral(constant->val.sval.sval, out); return true;
    default: return false;
  }
}

// SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE: the one constant of SET that has a type, and only
// in this form.
bool AppendInterval(const Node* node, std::string& out) {
  if (node == nullptr || node->type != T_TypeCast) return false;
  const auto* cast = As<TypeCast>(node);
  const char* text = ConstantText(cast->arg);
  if (text == nullptr || ListSize(cast->typeName->typmods) > 1) return false;
  constexpr int kHour = 1 << 10;          // INTERVAL_MASK(HOUR), utils/timestamp.h
  constexpr int kHourToMinute = 3 << 10;  // HOUR | MINUTE
  out += "INTERVAL ";
  AppendSetLiteral(text, out);
  if (ListSize(cast->typeName->typmods) == 0) return true;
  const Node* mask = ListAt(cast->typeName->typmods, 0);
  if (mask->type != T_A_Const || As<A_Const>(mask)->val.node.type != T_Integer) return false;
  const int range = As<A_Const>(mask)->val.ival.ival;
  if (range == kHour) out += " HOUR";
  if (range == kHourToMinute) out += " HOUR TO MINUTE";
  return range == kHour || range == kHourToMinute;
}

// The single constant of a SET as text; empty if there are more, or none.
std::string SingleValue(const List* values) {
  if (ListSize(values) != 1 || ListAt(values, 0)->type != T_A_Const) return {};
  if (const char* text = ConstantText(ListAt(values, 0)); text != nullptr) return text;
  std::string out;
  return AppendConstant(ListAt(values, 0), out) ? out : std::string{};
}

// One of transaction_isolation, transaction_read_only, transaction_deferrable.
void ApplyMode(std::string_view name, std::string_view value, TransactionModes& modes) {
  if (name == "transaction_isolation") {
    const std::string level = AsciiLower(value);
    modes.serializable = level == "serializable";
    modes.repeatable_read = level == "repeatable read";
  } else if (name == "transaction_read_only") {
    modes.read_only = ParseBool(value);
  }
}

// The modes of BEGIN and SET TRANSACTION: a list of name = constant.
void ApplyModes(const List* options, TransactionModes& modes) {
  for (int i = 0; i < ListSize(options); ++i) {
    const auto* option = As<DefElem>(ListAt(options, i));
    std::string value;
    if (const char* text = ConstantText(option->arg); text != nullptr) {
      value = text;
    } else if (!AppendConstant(option->arg, value)) {
      continue;
    }
    ApplyMode(option->defname, value, modes);
  }
}

// SET SESSION CHARACTERISTICS AS TRANSACTION x: the defaults of later transactions.
void ApplyCharacteristics(const List* options, Facts& facts) {
  for (int i = 0; i < ListSize(options); ++i) {
    const auto* option = As<DefElem>(ListAt(options, i));
    std::string value;
    if (const char* text = ConstantText(option->arg); text != nullptr) {
      value = text;
    } else if (!AppendConstant(option->arg, value)) {
      continue;
    }
    if (value == "0") value = "off";
    if (value == "1") value = "on";
    SettingEffect effect{.kind = SettingEffect::Kind::kSet,
                         .name = "default_" + std::string(option->defname),
                         .sql = {},
                         .value = std::move(value)};
    effect.sql = SetStatement(effect.name, effect.value, false);
    facts.settings.push_back(std::move(effect));
  }
}

// SET with the names that the grammar gives to several settings at once.
void AnalyseMultiSet(const VariableSetStmt* stmt, Facts& facts) {
  const std::string_view name = stmt->name;
  if (name == "SESSION CHARACTERISTICS") return ApplyCharacteristics(stmt->args, facts);
  facts.settings.push_back({.kind = SettingEffect::Kind::kTransaction, .name = AsciiLower(name), .sql = {}, .value = {}});
  if (name == "TRANSACTION") return ApplyModes(stmt->args, facts.modes);
  // SET TRANSACTION SNAPSHOT: of a snapshot that one server exported.
}

void AnalyseSetValue(const VariableSetStmt* stmt, Facts& facts) {
  using Kind = SettingEffect::Kind;
  SettingEffect effect{.kind = stmt->is_local ? Kind::kSetLocal : Kind::kSet,
                       .name = AsciiLower(stmt->name),
                       .sql = {},
                       .value = SingleValue(stmt->args)};
  if (effect.name == "transaction_isolation" || effect.name == "transaction_read_only" ||
      effect.name == "transaction_deferrable") {  // plain settings by name, the transaction's by nature
    effect.kind = Kind::kTransaction;
    ApplyMode(effect.name, effect.value, facts.modes);
  }
  if (effect.name == "seed") facts.pin = PinReason::kSetSeed;  // where the sequence stands is nowhere to be seen
  effect.sql = SetStatement(effect.name, stmt->args, stmt->is_local);
  if (effect.sql.empty()) {
    facts.state_unknown = true;
    facts.pin = PinReason::kUnknownState;
    return;
  }
  facts.settings.push_back(std::move(effect));
}

}  // namespace

const char* ConstantText(const Node* node) {
  if (node != nullptr && node->type == T_TypeCast) {
    // 'x'::text is 'x'; a cast to any other type may change the text ('on'::char(1)).
    const auto* cast = As<TypeCast>(node);
    const int parts = ListSize(cast->typeName->names);
    const char* type = parts > 0 ? StringAt(cast->typeName->names, parts - 1) : nullptr;
    if (type == nullptr || std::string_view(type) != "text" || cast->typeName->arrayBounds != nullptr) {
      return nullptr;
    }
    node = cast->arg;
  }
  if (node == nullptr || node->type != T_A_Const) return nullptr;
  const auto* constant = As<A_Const>(node);
  if (constant->isnull || constant->val.node.type != T_String) return nullptr;
  return constant->val.sval.sval;
}

std::string SetStatement(std::string_view name, const List* values, bool local) {
  if (ListSize(values) == 0) return {};
  if (std::string zone = local ? "SET LOCAL TIME ZONE " : "SET TIME ZONE "; AppendInterval(ListAt(values, 0), zone)) {
    return zone;
  }
  std::string sql = SetHead(name, local);
  for (int i = 0; i < ListSize(values); ++i) {
    if (i > 0) sql += ", ";
    if (!AppendConstant(ListAt(values, i), sql)) return {};
  }
  return sql;
}

void AnalyseTransaction(const TransactionStmt* stmt, Facts& facts) {
  facts.form_reason = Reason::kTransaction;
  facts.chain = stmt->chain;
  if (stmt->savepoint_name != nullptr) facts.object = stmt->savepoint_name;
  switch (stmt->kind) {
    case TRANS_STMT_BEGIN:
    case TRANS_STMT_START:
      facts.kind = StatementKind::kBegin;
      facts.start = stmt->kind == TRANS_STMT_START;
      return ApplyModes(stmt->options, facts.modes);
    case TRANS_STMT_COMMIT: facts.kind = StatementKind::kCommit; return;
    case TRANS_STMT_ROLLBACK: facts.kind = StatementKind::kRollback; return;
    case TRANS_STMT_SAVEPOINT: facts.kind = StatementKind::kSavepoint; return;
    case TRANS_STMT_RELEASE: facts.kind = StatementKind::kRelease; return;
    case TRANS_STMT_ROLLBACK_TO: facts.kind = StatementKind::kRollbackTo; return;
    case TRANS_STMT_COMMIT_PREPARED:  // of what, only who saw it prepared can tell
      facts.catalog = CatalogChange::kNow;
      [[fallthrough]];
    case TRANS_STMT_PREPARE:
    case TRANS_STMT_ROLLBACK_PREPARED:
      facts.kind = StatementKind::kTwoPhase;
      facts.object = stmt->gid;
      facts.prepares = stmt->kind == TRANS_STMT_PREPARE;
      return;
  }
}

void AnalyseSet(const VariableSetStmt* stmt, Facts& facts) {
  using Kind = SettingEffect::Kind;
  facts.form_reason = Reason::kSession;
  facts.kind = StatementKind::kSet;
  facts.repeatable = true;
  switch (stmt->kind) {
    case VAR_SET_VALUE: return AnalyseSetValue(stmt, facts);
    case VAR_SET_MULTI: return AnalyseMultiSet(stmt, facts);
    case VAR_SET_CURRENT:  // SET x FROM CURRENT sets what is set
      return;
    case VAR_SET_DEFAULT:
    case VAR_RESET:
      facts.kind = StatementKind::kReset;
      facts.settings.push_back(
          {.kind = stmt->is_local ? Kind::kResetLocal : Kind::kReset, .name = AsciiLower(stmt->name), .sql = {}, .value = {}});
      return;
    case VAR_RESET_ALL:
      facts.kind = StatementKind::kReset;
      facts.settings.push_back({.kind = Kind::kResetAll, .name = {}, .sql = {}, .value = {}});
      return;
  }
}

}  // namespace waypost
