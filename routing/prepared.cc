#include "routing/prepared.h"

#include <algorithm>

namespace waypost {
namespace {

template <class T>
void AppendBytes(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

// Under `key_`.
StatementRef StatementTable::Keep(Statement statement) {
  auto kept = std::make_shared<const Statement>(std::move(statement));
  statements_[key_] = kept;
  if (statements_.size() >= sweep_at_) {
    std::erase_if(statements_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<std::size_t>(1024, statements_.size() * 2);
  }
  return kept;
}

StatementRef StatementTable::Intern(const SqlRef& sql, std::string_view types, const Settings& settings) {
  key_.assign(1, 'P');
  AppendBytes(key_, settings.get());
  key_.append(types).append(1, '\0').append(sql->text);
  if (const auto found = statements_.find(key_); found != statements_.end())
    if (auto statement = found->second.lock()) return statement;
  Statement statement{next_id_++, sql, std::string(types), settings, {}};
  statement.server_name = prefix_ + std::to_string(statement.id);
  return Keep(std::move(statement));
}

StatementRef StatementTable::Told(const StatementRef& statement, Shape shape) {
  if (statement->shape == shape) return statement;
  key_.assign(1, shape.columns ? 'T' : 'n');
  AppendBytes(key_, statement->id);
  key_.append(shape.types).append(shape.columns.value_or(""));  // the types say how many they are
  if (const auto found = statements_.find(key_); found != statements_.end())
    if (auto told = found->second.lock()) return told;
  Statement told = *Open(statement);
  told.shape = std::move(shape);
  told.open = Open(statement);
  return Keep(std::move(told));
}

}  // namespace waypost
