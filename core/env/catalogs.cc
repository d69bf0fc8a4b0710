#include "core/env/catalogs.h"

#include <algorithm>

#include "core/env/shared.h"

namespace waypost {

const Catalogs::Entry* Catalogs::Find(const std::string& database) const {
  const auto found = entries_.find(database);
  return found == entries_.end() ? nullptr : &found->second;
}

bool Catalogs::WaitFor(const std::string& database, CatalogUser& user) {
  if (entries_.contains(database)) return true;
  waiting_.emplace_back(database, &user);
  shared_.want_catalog(database);
  return false;
}

void Catalogs::Leave(CatalogUser& user) {
  std::erase_if(waiting_, [&](const auto& item) { return item.second == &user; });
}

void Catalogs::Set(const std::string& database, std::shared_ptr<const Catalog> catalog, std::uint64_t as_of) {
  auto& entry = entries_[database];
  ++generation_;
  // What was resolved under the same picture still holds.
  if (entry.catalog != catalog) entry.version = generation_;
  entry.catalog = std::move(catalog);
  entry.as_of = as_of;
  std::vector<CatalogUser*> told;
  for (const auto& [wanted, user] : waiting_)
    if (wanted == database) told.push_back(user);
  std::erase_if(waiting_, [&](const auto& item) { return item.first == database; });
  for (auto* user : told) user->OnCatalog();
}

void Catalogs::Forget(const std::string& database) {
  entries_.erase(database);
  ++generation_;
}

bool Catalogs::Awaited(const std::string& database) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& item) { return item.first == database; });
}

}  // namespace waypost
