#include "routing/prepared.h"

#include <algorithm>

namespace waypost {

StatementRef StatementTable::Intern(const SqlRef& sql, std::string_view types, const Settings& settings) {
  const auto* set = settings.get();
  key_.assign(reinterpret_cast<const char*>(&set), sizeof set);
  key_.append(types).append(1, '\0').append(sql->text);
  if (const auto found = statements_.find(key_); found != statements_.end())
    if (auto statement = found->second.lock()) return statement;

  Statement statement{next_id_++, sql, std::string(types), settings, {}};
  statement.server_name = prefix_ + std::to_string(statement.id);
  auto interned = std::make_shared<const Statement>(std::move(statement));
  statements_[key_] = interned;
  if (statements_.size() >= sweep_at_) {
    std::erase_if(statements_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<std::size_t>(1024, statements_.size() * 2);
  }
  return interned;
}

}  // namespace waypost
