#include "routing/prepared.h"

#include <functional>

namespace waypost {
namespace {

std::size_t Mixed(std::size_t hash, std::size_t with) { return (hash ^ with) * 0x9E3779B97F4A7C15U; }

std::size_t HashOf(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

StatementRef StatementTable::Intern(const SqlRef& sql, std::string_view types, const Settings& settings) {
  const auto hash = Mixed(Mixed(HashOf(sql->text), HashOf(types)), std::hash<Settings>{}(settings));
  const auto same = [&](const Statement& other) {
    return !other.open && other.settings == settings && other.types == types && other.sql->text == sql->text;
  };
  if (auto known = statements_.Find(hash, same)) return known;
  Statement statement{next_id_++, sql, std::string(types), settings, {}};
  statement.server_name = prefix_ + std::to_string(statement.id);
  auto kept = std::make_shared<const Statement>(std::move(statement));
  statements_.Keep(hash, kept);
  return kept;
}

StatementRef StatementTable::Told(const StatementRef& statement, Shape shape) {
  if (statement->shape == shape) return statement;
  const auto hash = Mixed(Mixed(HashOf(shape.types), HashOf(shape.columns.value_or(""))), statement->id);
  const auto same = [&](const Statement& other) { return other.open == Open(statement) && other.shape == shape; };
  if (auto known = statements_.Find(hash, same)) return known;
  Statement told = *Open(statement);
  told.shape = std::move(shape);
  told.open = Open(statement);
  auto kept = std::make_shared<const Statement>(std::move(told));
  statements_.Keep(hash, kept);
  return kept;
}

}  // namespace waypost
