// Certificates, keys and CAs as they are in force, by listener and by server. Replaced by a reload; what is connected keeps what
// it has. Thread-safe; met when a connection begins.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "core/net/tls_context.h"

namespace waypost {

class TlsInForce {
 public:
  struct Listener {
    ListenTls mode = ListenTls::kDisable;
    TlsContextRef context;  // null: kDisable
  };

  // Takes what `config` says, and reads its files. Where they are bad and others are in force, those stay, and the value has the
  // fault; where none are, nothing changes and that is the error. One line a fault.
  [[nodiscard]] Result<std::vector<std::string>> Load(const Config& config);

  // kDisable for a listener that is not known.
  [[nodiscard]] Listener OfListener(std::string_view name) const;
  // Null where the server's tls is "disable", and of one that never was in the configuration.
  [[nodiscard]] TlsContextRef OfServer(std::string_view name) const;

 private:
  using Listeners = std::map<std::string, Listener, std::less<>>;
  using Servers = std::map<std::string, TlsContextRef, std::less<>>;

  mutable std::mutex mutex_;
  Listeners listeners_;  // also those that are gone from the configuration: they listen until the end
  Servers servers_;  // the same: their connections may be there still
};

}  // namespace waypost
