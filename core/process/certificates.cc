#include "core/process/certificates.h"

#include <initializer_list>

#include "core/base/log.h"

namespace waypost {
namespace {

void SayNotLoaded(const std::vector<std::string>& faults) {
  for (const auto& fault : faults)
    Log(LogLevel::kError, "tls_reload_failed", {{"error", fault}, {"kept", "the certificate and key in force before"}});
}

// The error as it is; else the faults are said.
Result<bool> Said(const Result<std::vector<std::string>>& loaded) {
  if (!loaded) return Error{loaded.error()};
  SayNotLoaded(*loaded);
  return true;
}

}  // namespace

std::vector<std::string> TlsFilesOf(const Config& config) {
  std::vector<std::string> files;
  const auto add = [&](std::initializer_list<std::string> paths) {
    for (const auto& path : paths)
      if (!path.empty()) files.push_back(path);
  };
  for (const auto& listener : config.listeners)
    add({listener.tls_cert, listener.tls_key, listener.tls_client_ca, listener.tls_crl});
  for (const auto& server : config.servers) add({server.tls_ca, server.tls_crl, server.tls_cert, server.tls_key});
  return files;
}

Result<bool> Certificates::Load(const Config& config) {
  files_.Take(TlsFilesOf(config));  // before they are read: what changes meanwhile is read again
  return Said(in_force_.Load(config));
}

Result<bool> Certificates::Try(const Config& config) { return Said(TlsInForce().Load(config)); }

bool Certificates::IsDue(TimePoint now) {
  if (now < next_look_) return false;
  next_look_ = now + kInterval;
  return true;
}

bool Certificates::Look(const Config& config) {
  if (!files_.HaveChanged(TlsFilesOf(config))) return false;
  const auto loaded = in_force_.Load(config);
  const auto faults = loaded ? *loaded : std::vector<std::string>{loaded.error()};
  SayNotLoaded(faults);
  if (!faults.empty()) return false;
  Log(LogLevel::kInfo, "tls_reloaded", {{"why", "files of certificates have changed"}});
  return true;
}

}  // namespace waypost
