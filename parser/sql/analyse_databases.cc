// Which databases a statement wants to itself, and which it makes another.
#include "parser/sql/analyse_walk.h"

namespace waypost {
namespace {

// What CREATE DATABASE copies if it is not told.
constexpr std::string_view kDefaultTemplate = "template1";

const DefElem* Option(const List* options, std::string_view name) {
  for (int i = 0; i < ListSize(options); ++i) {
    const auto* option = As<DefElem>(ListAt(options, i));
    if (name == option->defname) return option;
  }
  return nullptr;
}

DatabaseUse Create(const CreatedbStmt* stmt) {
  const DefElem* source = Option(stmt->options, "template");
  const bool named = source != nullptr && source->arg != nullptr && source->arg->type == T_String;
  return {.alone = std::string(named ? As<String>(source->arg)->sval : kDefaultTemplate), .renewed = {stmt->dbname}};
}

DatabaseUse Use(const Node* stmt) {
  switch (stmt->type) {
    case T_CreatedbStmt: return Create(As<CreatedbStmt>(stmt));
    case T_DropdbStmt: return {.alone = As<DropdbStmt>(stmt)->dbname, .renewed = {As<DropdbStmt>(stmt)->dbname}};
    case T_RenameStmt: {
      const auto* rename = As<RenameStmt>(stmt);
      if (rename->renameType != OBJECT_DATABASE) return {};
      return {.alone = rename->subname, .renewed = {rename->subname, rename->newname}};
    }
    case T_AlterDatabaseStmt: {
      const auto* alter = As<AlterDatabaseStmt>(stmt);
      if (Option(alter->options, "tablespace") == nullptr) return {};
      return {.alone = alter->dbname, .renewed = {}};
    }
    default: return {};
  }
}

}  // namespace

std::shared_ptr<const DatabaseUse> DatabasesUsedBy(const Node* stmt) {
  auto use = Use(stmt);
  if (use.alone.empty()) return nullptr;
  return std::make_shared<const DatabaseUse>(std::move(use));
}

}  // namespace waypost
