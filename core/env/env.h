// What everything on one worker may use: its loop and clock, the way to the servers, metrics, the configuration and the view in
// force, the tables that all its sessions share. Worker thread only, but for shared() and the reading of metrics(); owned by the
// worker and outlives all that it is given to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/config/config.h"
#include "core/env/catalogs.h"
#include "core/env/shared.h"
#include "core/net/connector.h"
#include "core/net/loop.h"
#include "metrics/worker_metrics.h"
#include "routing/cluster_view.h"
#include "routing/prepared.h"
#include "routing/settings.h"

namespace waypost {

class Env {
 public:
  Env(std::size_t index, Shared& shared, Loop& loop, Connector& connector, ConfigSnapshot config, View view);
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  // Which of the workers this is.
  [[nodiscard]] std::size_t index() const { return index_; }
  // The loop's time, taken once a turn, in milliseconds: costs nothing.
  [[nodiscard]] TimePoint Now() const { return loop_.Now(); }
  // The same clock, asked: for what is measured, and for deadlines finer than a turn.
  [[nodiscard]] TimePoint ExactNow() const { return loop_.ExactNow(); }
  [[nodiscard]] std::uint32_t Random() { return static_cast<std::uint32_t>(random_()); }
  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] Connector& connector() { return connector_; }
  [[nodiscard]] Shared& shared() { return shared_; }
  [[nodiscard]] WorkerMetrics& metrics() { return metrics_; }
  [[nodiscard]] const Config& config() const { return *config_; }
  [[nodiscard]] const ClusterView& view() const { return *view_; }
  // The same, to be kept.
  [[nodiscard]] ConfigSnapshot config_snapshot() const { return config_; }
  [[nodiscard]] View view_snapshot() const { return view_; }
  [[nodiscard]] SettingTable& settings() { return settings_; }
  [[nodiscard]] StatementTable& statements() { return statements_; }
  [[nodiscard]] Catalogs& catalogs() { return catalogs_; }
  // Buffers for one call; not for use across calls.
  [[nodiscard]] std::string& scratch_in() { return scratch_in_; }
  [[nodiscard]] std::string& scratch_out() { return scratch_out_; }

  // nullptr: not in the configuration (any more).
  [[nodiscard]] std::shared_ptr<const ServerConfig> ServerFor(ServerId id) const {
    return id < servers_.size() ? servers_[id] : nullptr;
  }
  [[nodiscard]] const ServerConfig* FindServer(ServerId id) const { return id < servers_.size() ? servers_[id].get() : nullptr; }
  // How Waypost's own connections log in: to the configured database, or, while that is claimed, to another.
  [[nodiscard]] MonitorConfig monitor() const;
  // True while what is known of the servers is too old to send anything to the primary: this process stood still, and another server
  // may have been promoted meanwhile. Over with the next look at every server that was up.
  [[nodiscard]] bool OutOfTouch() const { return view_->primary && Now() > in_touch_until_; }
  // What the rules in force made of a text is of this generation; never 0.
  [[nodiscard]] std::uint64_t rules_generation() const { return rules_generation_; }
  // The label of a rule in the metrics.
  [[nodiscard]] std::size_t RuleId(std::size_t index) const {
    return index < rule_ids_.size() ? rule_ids_[index] : kMaxRuleNames;
  }
  // A statement that may write is sent or was answered.
  void NoteWrite() { shared_.last_write.store(Now().time_since_epoch().count(), std::memory_order_relaxed); }

  // From the worker alone.
  void SetConfig(ConfigSnapshot config);
  void SetView(View view);

 private:
  void FindServers();
  void FindRules();
  void KeepTouch();

  const std::size_t index_;
  Shared& shared_;
  Loop& loop_;
  Connector& connector_;
  ConfigSnapshot config_;
  View view_;
  WorkerMetrics metrics_;
  std::mt19937 random_;
  std::vector<std::shared_ptr<const ServerConfig>> servers_;  // by ServerId
  std::vector<std::size_t> rule_ids_;  // by index of a rule
  std::uint64_t rules_generation_ = 0;
  TimePoint in_touch_until_ = TimePoint::max();
  SettingTable settings_;
  StatementTable statements_;
  Catalogs catalogs_;
  std::string scratch_in_, scratch_out_;
};

}  // namespace waypost
