#include "core/config/credentials.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstring>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "parser/wire/fields.h"

namespace waypost {
namespace {

bool Same(const ScramVerifier& a, const ScramVerifier& b) {
  return a.iterations == b.iterations && a.salt == b.salt && a.stored_key == b.stored_key && a.server_key == b.server_key;
}

void Cleanse(ScramKeys& keys) {
  OPENSSL_cleanse(keys.client_key.data(), keys.client_key.size());
  OPENSSL_cleanse(keys.server_key.data(), keys.server_key.size());
}

void AppendU32(std::string& to, std::uint32_t number) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) to += static_cast<char>(number >> shift & 0xFFU);
}

}  // namespace

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string RandomBytes(std::size_t count) {
  std::string bytes(count, '\0');
  WAYPOST_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

Credentials::Credentials() : mock_secret_(RandomBytes(kScramKeyBytes)) {}

// By swapping: what is moved from keeps nothing, and what was here ends, cleansed, with `other`.
Credentials::Entry& Credentials::Entry::operator=(Entry&& other) noexcept {
  password.swap(other.password);
  scram.swap(other.scram);
  std::swap(verifier, other.verifier);
  std::swap(learnt, other.learnt);
  return *this;
}

Credentials::Entry::~Entry() {
  OPENSSL_cleanse(password.data(), password.size());
  Cleanse(learnt);
}

void Credentials::Load(const Config& config) {
  const std::scoped_lock lock(mutex_);
  Entries next;
  for (const auto& user : config.users) {
    const auto old = users_.find(user.name);
    if (old != users_.end() && old->second.password == user.password && old->second.scram == user.scram) {
      next[user.name] = std::move(old->second);
      continue;
    }
    Entry entry;
    entry.password = user.password;
    entry.scram = user.scram;
    if (user.scram.empty()) {
      entry.verifier = MakeVerifier(user.password, RandomBytes(kScramSaltBytes));
    } else if (const auto verifier = ParseVerifier(user.scram)) {  // the config reader checked it
      entry.verifier = *verifier;
    }
    next[user.name] = std::move(entry);
  }
  users_ = std::move(next);
  asks_ = config.auth.asks();
  if (!asks_) found_.clear();
}

bool Credentials::Note(const std::string& user, std::string_view verifier) {
  const auto said = verifier.empty() ? Result<ScramVerifier>(Error{""}) : ParseVerifier(verifier);
  const std::scoped_lock lock(mutex_);
  if (!asks_) return false;
  const auto found = found_.find(user);
  const bool was = found != found_.end();
  if (!said) {
    if (was) found_.erase(found);
    return was;
  }
  if (was && Same(found->second.verifier, *said)) return false;
  Entry entry;
  entry.verifier = *said;
  entry.scram = verifier;
  found_[user] = std::move(entry);
  return was;
}

const Credentials::Entry* Credentials::Find(std::string_view user) const {
  const std::string name(user);
  if (const auto configured = users_.find(name); configured != users_.end()) return &configured->second;
  const auto found = found_.find(name);
  return found == found_.end() ? nullptr : &found->second;
}

ScramVerifier Credentials::VerifierOf(std::string_view user, bool& known) const {
  const std::scoped_lock lock(mutex_);
  const auto* entry = Find(user);
  known = entry != nullptr;
  return known ? entry->verifier : MockVerifier(user, mock_secret_);
}

bool Credentials::Configured(std::string_view user) const {
  const std::scoped_lock lock(mutex_);
  return users_.contains(std::string(user));
}

// A password's keys fit what the server has of it, which need not be what we made of it.
void Credentials::Keep(Entry& entry, const ScramKeys& keys) {
  if (entry.scram.empty() || Same(entry.verifier, waypost::VerifierOf(keys))) entry.learnt = keys;
}

void Credentials::Learn(std::string_view user, const ScramKeys& keys) {
  const std::scoped_lock lock(mutex_);
  const std::string name(user);
  const auto configured = users_.find(name);
  if (configured != users_.end()) return Keep(configured->second, keys);
  if (const auto found = found_.find(name); found != found_.end()) Keep(found->second, keys);
}

ScramCredentials Credentials::ForServer(std::string_view user) const {
  const std::scoped_lock lock(mutex_);
  ScramCredentials credentials;
  const auto* entry = Find(user);
  if (entry == nullptr) return credentials;
  credentials.has_password = entry->scram.empty();
  credentials.password = entry->password;
  credentials.keys = entry->learnt;
  return credentials;
}

// A message: iterations, client key, server key, length of the salt (U32), salt, name.
void Credentials::Hand(const std::function<void(const std::string& message)>& to) const {
  std::vector<std::string> messages;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto* entries : {&users_, &found_})
      for (const auto& [name, entry] : *entries) {
        const auto& keys = entry.learnt;
        if (keys.iterations == 0) continue;
        auto& message = messages.emplace_back();
        message.reserve(2 * sizeof(std::uint32_t) + 2 * kScramKeyBytes + keys.salt.size() + name.size());  // no copy stays behind
        AppendU32(message, keys.iterations);
        message.append(reinterpret_cast<const char*>(keys.client_key.data()), keys.client_key.size());
        message.append(reinterpret_cast<const char*>(keys.server_key.data()), keys.server_key.size());
        AppendU32(message, static_cast<std::uint32_t>(keys.salt.size()));
        message += keys.salt + name;
      }
  }
  for (auto& message : messages) {
    to(message);
    OPENSSL_cleanse(message.data(), message.size());
  }
}

void Credentials::Take(std::string_view message) {
  Fields fields(AsBytes(message));
  ScramKeys keys;
  keys.iterations = fields.U32();
  const auto client = fields.Take(kScramKeyBytes), server = fields.Take(kScramKeyBytes);
  keys.salt = AsText(fields.Take(fields.U32()));
  if (!fields.ok() || keys.iterations == 0 || keys.salt.empty()) return;
  const std::string name(AsText(fields.rest()));
  std::memcpy(keys.client_key.data(), client.data(), client.size());
  std::memcpy(keys.server_key.data(), server.data(), server.size());
  TakeKeys(name, keys);
  Cleanse(keys);
}

void Credentials::TakeKeys(const std::string& name, const ScramKeys& keys) {
  const std::scoped_lock lock(mutex_);
  if (const auto configured = users_.find(name); configured != users_.end()) return Keep(configured->second, keys);
  // Who logged in to this process already has an entry without keys.
  if (const auto found = found_.find(name); found != found_.end()) return Keep(found->second, keys);
  if (!asks_) return;
  Entry entry;
  entry.verifier = waypost::VerifierOf(keys);
  entry.scram = FormatVerifier(entry.verifier);
  entry.learnt = keys;
  found_[name] = std::move(entry);
}

}  // namespace waypost
