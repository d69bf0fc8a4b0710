#include "core/admin/connections.h"

#include <algorithm>
#include <utility>

namespace waypost {
namespace {

// How long a phase may last; nothing: as long as it likes, unless others need its place.
std::optional<Duration> LongestOf(AdminPhase phase) {
  switch (phase) {
    case AdminPhase::kConnected:
    case AdminPhase::kBody: return milliseconds(5'000);
    case AdminPhase::kIdle:
    case AdminPhase::kWriting: return milliseconds(30'000);
    case AdminPhase::kServing:
    case AdminPhase::kStreaming: return std::nullopt;
  }
  return std::nullopt;
}

// Who gives way first; nothing: never.
std::optional<int> Rank(AdminPhase phase) {
  switch (phase) {
    case AdminPhase::kConnected:
    case AdminPhase::kIdle:
    case AdminPhase::kBody: return 0;
    case AdminPhase::kWriting: return 1;
    case AdminPhase::kStreaming: return 2;
    case AdminPhase::kServing: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool AdminConnections::Open(int socket, AdminPeer peer, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto from_there = static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(), [&](const auto& one) {
    return !one.second.ended && one.second.peer.address == peer.address;
  }));
  const auto most_from_one = limit_ - limit_ / 4;
  if (from_there >= most_from_one && !MakeRoom(&peer.address)) return false;
  if (connections_.size() - ended_ >= limit_ && !MakeRoom(nullptr)) return false;
  connections_[socket] = {std::move(peer), AdminPhase::kConnected, now, false};
  return true;
}

void AdminConnections::Enter(int socket, AdminPhase phase, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto found = connections_.find(socket);
  if (found == connections_.end()) return;
  found->second.phase = phase;
  found->second.since = now;
}

void AdminConnections::Close(int socket) {
  const std::scoped_lock lock(mutex_);
  const auto found = connections_.find(socket);
  if (found == connections_.end()) return;
  if (found->second.ended) --ended_;
  connections_.erase(found);
}

void AdminConnections::EndLate(TimePoint now) {
  const std::scoped_lock lock(mutex_);
  for (auto& [socket, connection] : connections_)
    if (const auto longest = LongestOf(connection.phase); longest && now - connection.since > *longest) End(socket, connection);
}

AdminPeer AdminConnections::PeerOf(int socket) const {
  const std::scoped_lock lock(mutex_);
  const auto found = connections_.find(socket);
  return found == connections_.end() ? AdminPeer{} : found->second.peer;
}

std::size_t AdminConnections::open() const {
  const std::scoped_lock lock(mutex_);
  return connections_.size();
}

void AdminConnections::End(int socket, Connection& connection) {
  if (std::exchange(connection.ended, true)) return;
  ++ended_;
  end_(socket);
}

// Ends the one that gives way first, of `address` unless it is null. False: there is none.
bool AdminConnections::MakeRoom(const std::string* address) {
  auto chosen = connections_.end();
  for (auto at = connections_.begin(); at != connections_.end(); ++at) {
    const auto& connection = at->second;
    if (connection.ended || !Rank(connection.phase) || (address != nullptr && connection.peer.address != *address)) continue;
    if (chosen == connections_.end() ||
        std::pair(Rank(connection.phase), connection.since) < std::pair(Rank(chosen->second.phase), chosen->second.since))
      chosen = at;
  }
  if (chosen == connections_.end()) return false;
  End(chosen->first, chosen->second);
  return true;
}

}  // namespace waypost
