// Who may log in, from where, to what: a file in the format of PostgreSQL's pg_hba.conf, evaluated as PostgreSQL does: the first
// entry that matches decides, and who matches none is refused. Pure.
// Source: postgres src/backend/libpq/hba.c
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "routing/ip.h"

namespace waypost {

// A login, as entries see it.
struct HbaQuestion {
  std::string_view database, user;
  std::optional<IpAddress> address;  // nothing: it is not known, and only "all" matches
  bool encrypted = false;
};

class Hba {
 public:
  enum class Answer : std::uint8_t { kNoEntry, kReject, kScram };

  // The faults of all lines, one a line: "LINE: what was found, what was expected". Lines of type local are read, and none of
  // them matches, as there is no Unix socket for clients; of database replication likewise.
  [[nodiscard]] static Result<Hba> Read(std::string_view file);

  [[nodiscard]] Answer Find(const HbaQuestion& question) const;

  bool operator==(const Hba&) const = default;

 private:
  friend class HbaReader;
  enum class Encryption : std::uint8_t { kEither, kOnly, kNever };
  struct Word {
    std::string text;
    bool quoted = false;  // then it is no keyword
    bool operator==(const Word&) const = default;
    [[nodiscard]] bool Is(std::string_view keyword) const { return !quoted && text == keyword; }
  };
  struct Entry {
    std::vector<Word> databases, users;
    std::optional<IpRange> from;  // nothing: everywhere
    Encryption encryption = Encryption::kEither;
    Answer answer = Answer::kReject;
    bool operator==(const Entry&) const = default;
    [[nodiscard]] bool Matches(const HbaQuestion& question) const;
  };
  std::vector<Entry> entries_;
};

// What a client is told that is not let in, as PostgreSQL says it. `host`: its address.
[[nodiscard]] std::string HbaRefusal(Hba::Answer answer, const HbaQuestion& question, std::string_view host);

}  // namespace waypost
