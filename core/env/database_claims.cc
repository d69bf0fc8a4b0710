#include "core/env/database_claims.h"

#include <algorithm>

namespace waypost {

void DatabaseClaims::ClientCame(const std::string& database) {
  const std::scoped_lock lock(mutex_);
  ++clients_[database];
}

void DatabaseClaims::ClientLeft(const std::string& database) {
  const std::scoped_lock lock(mutex_);
  const auto found = clients_.find(database);
  if (found != clients_.end() && --found->second == 0) clients_.erase(found);
}

void DatabaseClaims::Claim(const std::string& database, const std::string& own) {
  const std::scoped_lock lock(mutex_);
  auto& claims = claims_[database];
  ++claims.sessions;
  if (own == database) ++claims.own;
  claimed_.fetch_add(1, std::memory_order_release);
}

void DatabaseClaims::Yield(const std::string& database, const std::string& own) {
  const std::scoped_lock lock(mutex_);
  const auto found = claims_.find(database);
  if (found == claims_.end()) return;
  if (own == database) --found->second.own;
  if (--found->second.sessions == 0) claims_.erase(found);
  claimed_.fetch_sub(1, std::memory_order_release);
}

bool DatabaseClaims::Claimed(const std::string& database) const {
  if (claimed_.load(std::memory_order_acquire) == 0) return false;
  const std::scoped_lock lock(mutex_);
  return claims_.contains(database);
}

std::vector<std::string> DatabaseClaims::Deserted() const {
  std::vector<std::string> deserted;
  if (claimed_.load(std::memory_order_acquire) == 0) return deserted;
  const std::scoped_lock lock(mutex_);
  for (const auto& [database, claims] : claims_) {
    const auto clients = clients_.find(database);
    if (clients == clients_.end() || clients->second <= claims.own) deserted.push_back(database);
  }
  return deserted;
}

bool DatabaseClaims::MustLeave(const std::string& database) const {
  if (claimed_.load(std::memory_order_acquire) == 0) return false;
  const auto deserted = Deserted();
  return std::find(deserted.begin(), deserted.end(), database) != deserted.end();
}

std::string DatabaseClaims::InsteadOf(const std::string& database) const {
  if (!MustLeave(database)) return database;
  for (const char* other : {"postgres", "template1"})
    if (!Claimed(other)) return other;
  return database;
}

}  // namespace waypost
