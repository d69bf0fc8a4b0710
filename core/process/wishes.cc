#include "core/process/wishes.h"

#include <memory>
#include <utility>

#include "core/admin/intents_file.h"

namespace waypost {

Result<bool> Wishes::KeepIn(std::string path) {
  const std::scoped_lock lock(mutex_);
  path_ = std::move(path);
  if (path_.empty()) return true;
  auto read = ReadIntents(path_);
  if (!read) return Error{read.error()};
  intents_ = std::move(*read);
  return true;
}

View Wishes::Apply(const View& view) const {
  const std::scoped_lock lock(mutex_);
  if (!view || intents_.empty()) return view;
  auto wanted = std::make_shared<ClusterView>(*view);
  ApplyIntents(intents_, *wanted);
  return wanted;
}

AdminChange Wishes::Set(const ClusterView& view, const std::string& server, const IntentWish& wish) {
  if (wish.intent)
    if (auto why = WhyNotIntent(view, server, *wish.intent); !why.empty()) return {409, std::move(why)};
  const std::scoped_lock lock(mutex_);
  auto changed = intents_;
  auto& of_server = changed[server];
  if (wish.intent) of_server.intent = *wish.intent;
  if (wish.weight) of_server.weight = wish.weight;
  if (of_server == ServerIntent{}) changed.erase(server);
  if (!path_.empty())
    if (const auto saved = SaveIntents(path_, changed); !saved) return {500, saved.error()};
  intents_ = std::move(changed);
  if (wish.intent) {
    deadlines_.erase(server);
    ended_.erase(server);
  }
  if (wish.deadline) deadlines_[server] = std::chrono::system_clock::now() + *wish.deadline;
  return {};
}

Deadlines Wishes::deadlines() const {
  const std::scoped_lock lock(mutex_);
  return deadlines_;
}

std::vector<std::string> Wishes::TakeDue(std::chrono::system_clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> due;
  for (const auto& [server, deadline] : deadlines_)
    if (now >= deadline && !std::exchange(ended_[server], true)) due.push_back(server);
  return due;
}

}  // namespace waypost
