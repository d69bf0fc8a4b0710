#include "core/observe/followed_sessions.h"

#include <algorithm>
#include <utility>

namespace waypost {

bool FollowedSessions::Begin(std::uint64_t session, TimePoint now, TimePoint until) {
  const std::scoped_lock lock(mutex_);
  TidyLocked(now);
  if (!followed_.contains(session) && followed_.size() >= kMaxSessions) return false;
  followed_[session].until = until;
  any_ = true;
  return true;
}

bool FollowedSessions::End(std::uint64_t session) {
  const std::scoped_lock lock(mutex_);
  return followed_.erase(session) > 0;
}

bool FollowedSessions::Follows(std::uint64_t session, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto found = followed_.find(session);
  return found != followed_.end() && now < found->second.until;
}

void FollowedSessions::Add(std::uint64_t session, FollowedStatement statement) {
  const std::scoped_lock lock(mutex_);
  const auto found = followed_.find(session);
  if (found == followed_.end()) return;
  auto& followed = found->second;
  statement.id = ++followed.last;
  if (followed.statements.size() >= kMaxStatements) followed.statements.pop_front();
  followed.statements.push_back(std::move(statement));
}

void FollowedSessions::SessionEnded(std::uint64_t session, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto found = followed_.find(session);
  if (found != followed_.end()) found->second.until = std::min(found->second.until, now);
}

std::optional<FollowedSessions::Report> FollowedSessions::After(std::uint64_t session, std::uint64_t since, std::size_t limit,
                                                                TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto found = followed_.find(session);
  if (found == followed_.end()) return std::nullopt;
  const auto& followed = found->second;
  Report report;
  report.until = followed.until;
  report.active = now < followed.until;
  report.last = followed.last;
  const auto oldest = followed.last - followed.statements.size() + 1;
  if (since + 1 < oldest) report.lost = oldest - since - 1;
  for (const auto& statement : followed.statements)
    if (statement.id > since && report.statements.size() < limit) report.statements.push_back(statement);
  return report;
}

void FollowedSessions::Tidy(TimePoint now) {
  if (!any()) return;
  const std::scoped_lock lock(mutex_);
  TidyLocked(now);
}

void FollowedSessions::TidyLocked(TimePoint now) {
  std::erase_if(followed_, [now](const auto& one) { return now - one.second.until > kKept; });
  any_ = !followed_.empty();
}

}  // namespace waypost
