// Who may log in to Waypost, and what logs in to the servers as them. Thread-safe: logins of all workers meet here.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/config/config.h"
#include "parser/wire/scram.h"

namespace waypost {

class Credentials {
 public:
  Credentials();

  // Takes the users of `config` (start and reload). Keys learnt of a user whose verifier or password changed are forgotten.
  void Load(const Config& config);

  // What a client that calls itself `user` must prove. For an unknown user one that no password fits; `known` says which.
  [[nodiscard]] ScramVerifier VerifierOf(std::string_view user, bool& known) const;

  // Keeps what a client's proof or a server login taught.
  void Learn(std::string_view user, const ScramKeys& keys);

  // What to log in to a server with as `user`; neither password nor keys if nothing is known yet.
  [[nodiscard]] ScramCredentials ForServer(std::string_view user) const;

 private:
  struct Entry {
    std::string password, scram;  // as configured
    ScramVerifier verifier;
    ScramKeys learnt;
  };
  mutable std::mutex mutex_;
  std::string mock_secret_;
  std::unordered_map<std::string, Entry> users_;
};

// `count` bytes from the operating system's generator.
[[nodiscard]] std::string RandomBytes(std::size_t count);

// In a time that does not show how much of the two is the same.
[[nodiscard]] bool SameSecret(std::string_view a, std::string_view b);

}  // namespace waypost
