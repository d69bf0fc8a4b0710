// Who may log in to Waypost, and what logs in to the servers as them. Thread-safe: logins of all workers meet here.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/config/config.h"
#include "parser/wire/scram.h"

namespace waypost {

class Credentials {
 public:
  Credentials();

  // Takes the users of `config` (start and reload). Keys learnt of a user whose verifier or password changed are forgotten; and
  // all that the servers said, unless they are asked.
  void Load(const Config& config);
  // What the servers say of `user`, as `config` lets them be asked: its verifier as pg_authid has it; empty: there is none. True if
  // they had said something else before: what logged in by it is outdated.
  bool Note(const std::string& user, std::string_view verifier);

  // What a client that calls itself `user` must prove: what the configuration has of it, else what the servers say. For an unknown
  // user one that no password fits; `known` says which.
  [[nodiscard]] ScramVerifier VerifierOf(std::string_view user, bool& known) const;
  // The configuration has it.
  [[nodiscard]] bool Configured(std::string_view user) const;

  // Keeps what a client's proof or a server login taught. Keys that do not fit the verifier (any more) are not kept.
  void Learn(std::string_view user, const ScramKeys& keys);

  // What to log in to a server with as `user`; neither password nor keys if nothing is known yet.
  [[nodiscard]] ScramCredentials ForServer(std::string_view user) const;

  // For the process that takes the place of this one: all that was learnt, as messages of one user each, which are secrets.
  void Hand(const std::function<void(const std::string& message)>& to) const;
  // One of them. The keys of a user whom the configuration does not have count until the servers say otherwise.
  void Take(std::string_view message);

 private:
  struct Entry {
    Entry() = default;
    Entry(Entry&& other) noexcept { *this = std::move(other); }
    Entry& operator=(Entry&& other) noexcept;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

    std::string password, scram;  // as configured
    ScramVerifier verifier;
    ScramKeys learnt;
  };
  using Entries = std::unordered_map<std::string, Entry>;
  [[nodiscard]] const Entry* Find(std::string_view user) const;
  static void Keep(Entry& entry, const ScramKeys& keys);
  void TakeKeys(const std::string& name, const ScramKeys& keys);

  mutable std::mutex mutex_;
  std::string mock_secret_;
  Entries users_;
  bool asks_ = false;
  Entries found_;  // on the servers
};

// `count` bytes from the operating system's generator.
[[nodiscard]] std::string RandomBytes(std::size_t count);

// In a time that does not show how much of the two is the same.
[[nodiscard]] bool SameSecret(std::string_view a, std::string_view b);

}  // namespace waypost
