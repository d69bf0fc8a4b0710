#include "core/env/env.h"

#include <algorithm>
#include <utility>

#include "core/base/bytes.h"

namespace waypost {
namespace {

std::string HexOf(const std::string& bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto u = static_cast<unsigned char>(c);
    text += kHex[u >> 4U];
    text += kHex[u & 15U];
  }
  return text;
}

}  // namespace

Env::Env(std::size_t index, Shared& shared, Loop& loop, Connector& connector, ConfigSnapshot config, View view)
    : index_(index),
      shared_(shared),
      loop_(loop),
      connector_(connector),
      config_(std::move(config)),
      view_(std::move(view)),
      random_(ReadU32(AsBytes(RandomBytes(4)).data())),
      statements_(HexOf(RandomBytes(6))),
      catalogs_(shared) {
  FindServers();
  FindRules();
  KeepTouch();
}

void Env::SetConfig(ConfigSnapshot config) {
  config_ = std::move(config);
  FindServers();
  FindRules();
  KeepTouch();
}

void Env::SetView(View view) {
  const bool more_servers = view->servers.size() != view_->servers.size();
  view_ = std::move(view);
  if (more_servers) FindServers();
  KeepTouch();
}

// A server that was up and hangs is down before that, after two questions without an answer. One that has vanished may take some
// tenths of a second longer, in which all wait. At least a second and a half: a machine that is short of CPU has not stood still.
void Env::KeepTouch() {
  constexpr milliseconds kLeast{1'500};
  const auto patience = std::max(kLeast, 2 * (config_->monitor.interval + config_->monitor.timeout));
  in_touch_until_ = TimePoint::max();
  for (const auto& server : view_->servers)
    if (server.up) in_touch_until_ = std::min(in_touch_until_, server.sampled + patience);
}

void Env::FindServers() {
  std::vector<std::shared_ptr<const ServerConfig>> found(view_->servers.size());
  for (std::size_t id = 0; id < found.size(); ++id) {
    for (const auto& server : config_->servers)
      if (server.name == view_->servers[id].name) found[id] = std::make_shared<const ServerConfig>(server);
  }
  servers_ = std::move(found);
}

void Env::FindRules() {
  ++rules_generation_;
  rule_ids_.clear();
  for (const auto& rule : config_->rules.rules()) rule_ids_.push_back(shared_.rule_names.IdOf(rule.name));
}

MonitorConfig Env::monitor() const {
  auto monitor = config_->monitor;
  monitor.database = shared_.database_claims.InsteadOf(monitor.database);
  return monitor;
}

}  // namespace waypost
