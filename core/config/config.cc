#include "core/config/config.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/config/load.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxConfigBytes = 1U << 20U;

template <class Item>
const Item* Find(const std::vector<Item>& items, std::string_view name) {
  const auto at = std::find_if(items.begin(), items.end(), [&](const Item& i) { return i.name == name; });
  return at == items.end() ? nullptr : &*at;
}

void Apply(const Overrides& overrides, PoolPolicy& policy) {
  if (overrides.pool_mode) policy.mode = *overrides.pool_mode;
  if (overrides.pins) policy.pins = *overrides.pins;
  if (overrides.min_size) policy.min_size = *overrides.min_size;
  if (overrides.max_size) policy.max_size = *overrides.max_size;
  if (overrides.idle_timeout) policy.idle_timeout = *overrides.idle_timeout;
  if (overrides.lifetime) policy.lifetime = *overrides.lifetime;
  if (overrides.sequence_memory) policy.sequence_memory = *overrides.sequence_memory;
  if (overrides.query_wait_timeout) policy.query_wait_timeout = *overrides.query_wait_timeout;
}

}  // namespace

const UserConfig* Config::FindUser(std::string_view name) const { return Find(users, name); }
const ServerConfig* Config::FindServer(std::string_view name) const { return Find(servers, name); }
const DatabaseConfig* Config::FindDatabase(std::string_view name) const { return Find(databases, name); }

RoutingPolicy Config::RoutingFor(const Asker& asker) const {
  auto policy = routing;
  if (const auto* found = Find(databases, asker.database)) Apply(found->overrides, policy);
  if (const auto* found = Find(users, asker.user)) Apply(found->overrides, policy);
  if (const auto* found = Find(applications, asker.application)) Apply(found->overrides, policy);
  if (const auto* found = Find(listeners, asker.listener)) Apply(found->overrides, policy);
  return policy;
}

PoolPolicy Config::PoolFor(std::string_view user, std::string_view database) const {
  auto policy = pool;
  if (const auto* found = Find(databases, database)) Apply(found->overrides, policy);
  if (const auto* found = Find(users, user)) Apply(found->overrides, policy);
  return policy;
}

Result<Config> ParseConfig(std::string_view text, const std::string& path) {
  auto root = ParseToml(text, path);
  if (!root) return Error{root.error()};
  return LoadFrom(*root, path);
}

Result<Config> LoadConfig(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof()) return Error{path + ": cannot be read: " + std::strerror(errno != 0 ? errno : EIO)};
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxConfigBytes) return Error{path + ": found more than 1 MiB, expected a configuration file"};
  return ParseConfig(text, path);
}

}  // namespace waypost
