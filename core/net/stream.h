// The one seam that all socket I/O of the data path goes through: TCP today, TLS as a wrapper later. Worker thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/bytes.h"

namespace waypost {

// Who a stream reports to. Every call comes from the loop; the stream may be destroyed inside any of them.
class StreamUser {
 public:
  virtual void OnConnected() noexcept {}
  // `data` is the loop's read buffer: valid during the call only.
  virtual void OnData(Bytes data) noexcept = 0;
  // What was queued has fallen to the low mark (half of the high one) after it had been over the high mark.
  virtual void OnDrained() noexcept {}
  // The peer closed (`error` empty) or the connection failed. Nothing more comes; destroy the stream.
  virtual void OnClosed(const std::string& error) noexcept = 0;

 protected:
  ~StreamUser() = default;
};

class Stream {
 public:
  // Over this much queued, the source of the bytes should stop: Write returns false.
  static constexpr std::size_t kHighMark = 256 * 1024;
  // Why reading is paused; it goes on when no reason is left.
  enum PauseReason : std::uint8_t { kPeerSlow = 1, kBusy = 2 };

  virtual ~Stream() = default;
  // Sends now what the socket takes, queues the rest. False if more is queued than kHighMark: expect OnDrained.
  virtual bool Write(Bytes bytes) = 0;
  virtual void Pause(PauseReason reason) = 0;
  virtual void Resume(PauseReason reason) = 0;
  // No more calls to the user; what is queued is still sent, within `kLinger`, then the socket closes.
  virtual void Finish() = 0;
  // How often in a row the same bytes were sent again because the peer acknowledges nothing. 0 while it does, also while it only
  // has no room for more.
  [[nodiscard]] virtual unsigned Retransmissions() const { return 0; }
};

}  // namespace waypost
