// Who may log in, from where, to what: a file in the format of PostgreSQL's pg_hba.conf, evaluated as PostgreSQL does: the first
// entry that matches decides, and who matches none is refused. Pure.
// Source: postgres src/backend/libpq/hba.c
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "routing/hba_lines.h"
#include "routing/ip.h"

namespace waypost {

// A login, as entries see it.
struct HbaQuestion {
  std::string_view database, user;
  std::optional<IpAddress> address;  // nothing: it is not known, and only "all" matches
  bool encrypted = false;
  bool local = false;  // by a Unix socket
};

class Hba {
 public:
  enum class Answer : std::uint8_t { kNoEntry, kReject, kScram, kPeer, kTrust, kCert };
  // What is asked of a client's certificate, beside all else.
  enum class Certificate : std::uint8_t { kNothing, kValid, kOfUser };
  struct Verdict {
    Answer answer = Answer::kNoEntry;
    std::string map = {};  // of kPeer and kCert: see IdentMap; empty: none
    Certificate certificate = Certificate::kNothing;
    bool whole_subject = false;  // the user is who the whole subject says, as RFC 2253 writes it; else its CN
    bool operator==(const Verdict&) const = default;
  };

  // The faults of all lines, one a line: "LINE: what was found, what was expected". Lines of the database replication are read, and
  // none of them matches.
  [[nodiscard]] static Result<Hba> Read(std::string_view file);

  [[nodiscard]] Verdict Find(const HbaQuestion& question) const;
  // Any entry asks for a client's certificate.
  [[nodiscard]] bool AsksForCertificates() const;

  bool operator==(const Hba&) const = default;

 private:
  friend class HbaReader;
  enum class Encryption : std::uint8_t { kEither, kOnly, kNever };
  struct Entry {
    HbaField databases, users;
    std::optional<IpRange> from;  // nothing: everywhere
    Encryption encryption = Encryption::kEither;
    bool local = false;
    Verdict verdict;
    bool operator==(const Entry&) const = default;
    [[nodiscard]] bool Matches(const HbaQuestion& question) const;
  };
  std::vector<Entry> entries_;
};

// What a client is told that is not let in, as PostgreSQL says it. `host`: its address, as ShownHostOf() has it.
[[nodiscard]] std::string HbaRefusal(Hba::Answer answer, const HbaQuestion& question, std::string_view host);

}  // namespace waypost
