#include "core/config/credentials.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "core/base/check.h"

namespace waypost {

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string RandomBytes(std::size_t count) {
  std::string bytes(count, '\0');
  WAYPOST_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

Credentials::Credentials() : mock_secret_(RandomBytes(kScramKeyBytes)) {}

void Credentials::Load(const Config& config) {
  const std::scoped_lock lock(mutex_);
  std::unordered_map<std::string, Entry> next;
  for (const auto& user : config.users) {
    const auto old = users_.find(user.name);
    if (old != users_.end() && old->second.password == user.password && old->second.scram == user.scram) {
      next[user.name] = std::move(old->second);
      continue;
    }
    Entry entry{user.password, user.scram, {}, {}};
    if (user.scram.empty()) {
      entry.verifier = MakeVerifier(user.password, RandomBytes(kScramSaltBytes));
    } else if (const auto verifier = ParseVerifier(user.scram)) {  // the config reader checked it
      entry.verifier = *verifier;
    }
    next[user.name] = std::move(entry);
  }
  users_ = std::move(next);
}

ScramVerifier Credentials::VerifierOf(std::string_view user, bool& known) const {
  const std::scoped_lock lock(mutex_);
  const auto found = users_.find(std::string(user));
  known = found != users_.end();
  return known ? found->second.verifier : MockVerifier(user, mock_secret_);
}

void Credentials::Learn(std::string_view user, const ScramKeys& keys) {
  const std::scoped_lock lock(mutex_);
  const auto found = users_.find(std::string(user));
  if (found != users_.end()) found->second.learnt = keys;
}

ScramCredentials Credentials::ForServer(std::string_view user) const {
  const std::scoped_lock lock(mutex_);
  ScramCredentials credentials;
  const auto found = users_.find(std::string(user));
  if (found == users_.end()) return credentials;
  credentials.has_password = found->second.scram.empty();
  credentials.password = found->second.password;
  credentials.keys = found->second.learnt;
  return credentials;
}

}  // namespace waypost
