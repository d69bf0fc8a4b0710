#include "routing/prepared.h"

#include <algorithm>
#include <functional>

namespace waypost {
namespace {

std::size_t Mixed(std::size_t hash, std::size_t with) { return (hash ^ with) * 0x9E3779B97F4A7C15U; }

std::size_t HashOf(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

template <class Same>
StatementRef StatementTable::Find(std::size_t hash, Same same) const {
  const auto [first, last] = statements_.equal_range(hash);
  for (auto entry = first; entry != last; ++entry)
    if (auto statement = entry->second.lock(); statement && same(*statement)) return statement;
  return nullptr;
}

// In the place of one that is gone, so that a text that comes and goes has one place.
StatementRef StatementTable::Keep(std::size_t hash, Statement statement) {
  auto kept = std::make_shared<const Statement>(std::move(statement));
  const auto [first, last] = statements_.equal_range(hash);
  const auto gone = std::find_if(first, last, [](const auto& entry) { return entry.second.expired(); });
  if (gone != last) {
    gone->second = kept;
    return kept;
  }
  statements_.emplace(hash, kept);
  if (statements_.size() >= sweep_at_) {
    std::erase_if(statements_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<std::size_t>(1024, statements_.size() * 2);
  }
  return kept;
}

StatementRef StatementTable::Intern(const SqlRef& sql, std::string_view types, const Settings& settings) {
  const auto hash = Mixed(Mixed(HashOf(sql->text), HashOf(types)), std::hash<Settings>{}(settings));
  const auto same = [&](const Statement& other) {
    return !other.open && other.settings == settings && other.types == types && other.sql->text == sql->text;
  };
  if (auto known = Find(hash, same)) return known;
  Statement statement{next_id_++, sql, std::string(types), settings, {}};
  statement.server_name = prefix_ + std::to_string(statement.id);
  return Keep(hash, std::move(statement));
}

StatementRef StatementTable::Told(const StatementRef& statement, Shape shape) {
  if (statement->shape == shape) return statement;
  const auto hash = Mixed(Mixed(HashOf(shape.types), HashOf(shape.columns.value_or(""))), statement->id);
  const auto same = [&](const Statement& other) { return other.open == Open(statement) && other.shape == shape; };
  if (auto known = Find(hash, same)) return known;
  Statement told = *Open(statement);
  told.shape = std::move(shape);
  told.open = Open(statement);
  return Keep(hash, std::move(told));
}

}  // namespace waypost
