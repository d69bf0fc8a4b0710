// Who asks, and what he may: roles, tokens, browser sessions, and the lock-out of those who guess. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/admin/connections.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace waypost {

// Each may what those before it may. kNone: what needs no role, as /healthz.
enum class AdminRole : std::uint8_t { kNone, kViewer, kOperator, kAdmin };
[[nodiscard]] std::string_view AdminRoleName(AdminRole role);
// kNone if `name` is none of viewer, operator, admin.
[[nodiscard]] AdminRole ParseAdminRole(std::string_view name);

struct AdminIdentity {
  AdminRole role = AdminRole::kNone;
  std::string name;  // of the token, or "uid 0"; empty: nobody in particular
  std::string via;   // "token", "session", "socket", "loopback"; empty: nothing
};

// One line of the tokens file: "NAME ROLE sha256:HEX". The secret itself stands nowhere: it has 256 bits of chance, so that
// its plain hash gives nothing away.
struct AdminToken {
  std::string name;
  AdminRole role = AdminRole::kNone;
  std::string hash;  // hexadecimal SHA-256
};

// The tokens of a file's text. '#' begins a comment. The error says which line is wrong, and what was expected; it quotes
// no hash.
[[nodiscard]] Result<std::vector<AdminToken>> ParseTokens(std::string_view text, const std::string& path);
// Reads `path`, which nobody but its owner (root or us) may read or write.
[[nodiscard]] Result<std::vector<AdminToken>> ReadTokens(const std::string& path);

struct NewToken {
  std::string secret;  // to be shown once
  std::string line;    // for the file
};
[[nodiscard]] NewToken MakeToken(const std::string& name, AdminRole role);
// Adds `line` to `path`, which is made with mode 0600 if it does not exist.
[[nodiscard]] Result<bool> AppendToken(const std::string& path, const std::string& line);

// What a request brings along to say who asks.
struct AdminCredentials {
  std::string authorization;  // the header
  std::string session;        // the cookie
  bool own_header = false;    // it has X-Waypost, which no foreign page can set
};

class AdminAccess {
 public:
  // `tokens_file`: empty: there are no tokens. `own_uid`: who is admin on the Unix socket, besides root.
  AdminAccess(std::string tokens_file, std::uint32_t own_uid) : tokens_file_(std::move(tokens_file)), own_uid_(own_uid) {}

  struct Answer {
    AdminIdentity who;
    int status = 0;        // 401, 403 or 429 if what he brought is wrong; 0: it is not
    std::string detail = {};  // why
    unsigned wait_s = 0;   // of a 429
  };
  // `changes`: the request would change something. A wrong token is an error, never "nobody".
  [[nodiscard]] Answer Identify(const AdminPeer& peer, const AdminCredentials& credentials, bool changes, TimePoint now);

  // A session for whoever has the token; `session`: what its cookie says.
  struct Login : Answer {
    std::string session;
  };
  [[nodiscard]] Login LogIn(const AdminPeer& peer, const std::string& token, TimePoint now);
  void LogOut(const std::string& session);

 private:
  struct Session {
    std::string token_hash;
    TimePoint ends{};
  };
  struct Failures {
    unsigned count = 0;
    TimePoint last{}, locked_until{};
  };
  [[nodiscard]] std::optional<AdminToken> Find(const std::string& hash);
  [[nodiscard]] Answer Check(const AdminPeer& peer, const std::string& secret, TimePoint now, AdminToken& found);
  void NoteFailure(const AdminPeer& peer, TimePoint now);

  const std::string tokens_file_;
  const std::uint32_t own_uid_;
  std::mutex mutex_;
  std::map<std::string, Session> sessions_;   // by the hash of what the cookie says
  std::map<std::string, Failures> failures_;  // by address
};

}  // namespace waypost
