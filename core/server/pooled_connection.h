// What a pool sees of a server connection. Worker thread only; owned by its Pool.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/time.h"
#include "routing/settings.h"

namespace waypost {

class PooledConnection {
 public:
  // Why a login has failed.
  struct LoginFailure {
    std::string sqlstate, error;  // ErrorResponse of the server or of our check of it; empty: the connection was lost
    std::string lost;             // why it was lost
    bool server_said_so = false;  // the server itself sent the ErrorResponse
  };
  // Given back by its session, but held until the last cancel has ended.
  enum class AfterCancel : std::uint8_t { kNothing, kRelease, kDiscard };

  virtual ~PooledConnection() = default;
  PooledConnection(const PooledConnection&) = delete;
  PooledConnection& operator=(const PooledConnection&) = delete;

  // True if it may change hands: nothing due, no transaction, no cancel on its way.
  [[nodiscard]] virtual bool Clean() const = 0;
  // The settings that its last user left on it: who wants the same has none to set.
  [[nodiscard]] virtual const SettingSet* settings_left() const = 0;
  // Of one that has told Pool::OnLoginFailed().
  [[nodiscard]] virtual LoginFailure WhyLoginFailed() const = 0;
  // It is lost from now on, whatever its server still says: a login fails, and whoever leases it is told.
  virtual void GiveUp(const std::string& why) noexcept = 0;

  [[nodiscard]] bool ready() const { return ready_; }    // logged in
  [[nodiscard]] bool broken() const { return broken_; }  // lost
  // A cancel request for it is on its way.
  [[nodiscard]] bool cancelling() const { return cancels_ > 0; }
  // What the DefaultsClock said before it was opened.
  [[nodiscard]] std::uint64_t defaults() const { return defaults_; }

  TimePoint born{}, idle_since{}, connect_started{};
  static constexpr milliseconds kToClose{1};  // a lifetime: as soon as nobody has it
  milliseconds lifetime{0};
  AfterCancel after_cancel = AfterCancel::kNothing;
  // Whose values currval() and lastval() give here: those of the session with the same token; 0: of none; kMixed: several
  // sessions took values here.
  static constexpr std::uint64_t kMixed = ~std::uint64_t{0};
  std::uint64_t sequence_token = 0;

 protected:
  PooledConnection(TimePoint now, std::uint64_t defaults) : connect_started(now), defaults_(defaults) {}

  bool ready_ = false;
  bool broken_ = false;
  int cancels_ = 0;

 private:
  const std::uint64_t defaults_;
};

}  // namespace waypost
