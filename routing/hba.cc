#include "routing/hba.h"

#include <algorithm>
#include <array>
#include <utility>

namespace waypost {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

bool Contains(const auto& list, std::string_view text) { return std::find(list.begin(), list.end(), text) != list.end(); }

constexpr std::array<std::string_view, 5> kHostTypes = {"host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"};
// Those that PostgreSQL has beside scram-sha-256, md5 and reject.
constexpr std::array<std::string_view, 12> kOtherMethods = {"trust", "password", "gss",  "sspi",   "ident", "peer",
                                                            "pam",   "bsd",      "ldap", "radius", "cert",  "oauth"};
constexpr std::array<std::string_view, 3> kIncludes = {"include", "include_if_exists", "include_dir"};

}  // namespace

// Reads one file, line by line.
class HbaReader {
 public:
  [[nodiscard]] Result<Hba> Read(std::string_view file) {
    while (!file.empty()) {
      ++line_;
      const unsigned first = line_;
      const auto line = TakeLine(file);
      ReadEntry(line, first);
    }
    if (!faults_.empty()) return Error{std::move(faults_)};
    return std::move(hba_);
  }

 private:
  using Word = Hba::Word;
  using Field = std::vector<Word>;

  // With those that it goes on in, by a backslash at the end.
  std::string TakeLine(std::string_view& file) {
    std::string line;
    for (;;) {
      const auto end = file.find('\n');
      auto part = file.substr(0, end);
      file = end == std::string_view::npos ? std::string_view() : file.substr(end + 1);
      if (part.ends_with('\r')) part.remove_suffix(1);
      if (!part.ends_with('\\')) return line += part;
      line += part.substr(0, part.size() - 1);
      if (file.empty()) return line;
      ++line_;
    }
  }

  // As next_token(): nothing at the end of the line. `goes_on`: a comma ended it.
  static std::optional<Word> TakeWord(std::string_view& line, bool& goes_on) {
    goes_on = false;
    std::size_t at = 0;
    while (at < line.size() && (IsBlank(line[at]) || line[at] == ',')) ++at;
    Word word;
    bool in_quote = false, was_quote = false, saw_quote = false;
    for (; at < line.size() && (!IsBlank(line[at]) || in_quote); ++at) {
      const char c = line[at];
      if (c == '#' && !in_quote) {
        at = line.size();
        break;
      }
      if (c == ',' && !in_quote) {
        goes_on = true;
        break;
      }
      if (c != '"' || was_quote) word.text += c;
      was_quote = in_quote && c == '"' && !was_quote;
      if (c != '"') continue;
      in_quote = !in_quote;
      saw_quote = true;
      if (word.text.empty()) word.quoted = true;
    }
    line.remove_prefix(at);
    if (!saw_quote && word.text.empty()) return std::nullopt;
    return word;
  }

  static std::vector<Field> Fields(std::string_view line) {
    std::vector<Field> fields;
    bool goes_on = false;
    for (;;) {
      const bool same = goes_on;
      auto word = TakeWord(line, goes_on);
      if (!word) return fields;
      if (!same) fields.emplace_back();
      fields.back().push_back(std::move(*word));
    }
  }

  void Fault(unsigned line, const std::string& message) {
    if (!faults_.empty()) faults_ += '\n';
    faults_ += std::to_string(line) + ": " + message;
    failed_ = true;
  }

  void ReadEntry(std::string_view text, unsigned line) {
    const auto fields = Fields(text);
    if (fields.empty()) return;
    failed_ = false;
    for (const auto& field : fields)
      for (const auto& word : field)
        if (!word.quoted && word.text.starts_with('@'))
          return Fault(line, "found \"" + word.text + "\", expected the names themselves: other files are not read");
    const auto& type = fields[0][0].text;
    if (Contains(kIncludes, type)) return Fault(line, "found " + type + ", expected entries: other files are not read");
    if (fields[0].size() > 1) return Fault(line, "found several types, expected one");
    if (type == "local") return;
    if (!Contains(kHostTypes, type))
      return Fault(line, "found the type \"" + type + "\", expected local, host, hostssl or hostnossl");
    if (type == "hostgssenc") return Fault(line, "found hostgssenc, expected host, hostssl or hostnossl: GSSAPI is not spoken");
    Hba::Entry entry;
    if (type == "hostssl") entry.encryption = Hba::Encryption::kOnly;
    if (type == "hostnossl") entry.encryption = Hba::Encryption::kNever;
    if (fields.size() < 2) return Fault(line, "found the end of the line, expected a database");
    if (fields.size() < 3) return Fault(line, "found the end of the line, expected a user");
    if (fields.size() < 4) return Fault(line, "found the end of the line, expected an address");
    entry.databases = Databases(fields[1], line);
    entry.users = Users(fields[2], line);
    std::size_t next = 3;
    entry.from = From(fields, next, line);
    if (failed_) return;
    if (fields.size() <= next) return Fault(line, "found the end of the line, expected a method");
    entry.answer = Method(fields[next], line);
    if (fields.size() > next + 1)
      return Fault(line,
                   "found the option \"" + fields[next + 1][0].text + "\", expected the end of the line: there are no options");
    if (!failed_) hba_.entries_.push_back(std::move(entry));
  }

  Field Databases(const Field& field, unsigned line) {
    for (const auto& word : field) {
      if (word.Is("samerole") || word.Is("samegroup"))
        Fault(line, "found " + word.text + ", expected all, sameuser or names of databases: members of roles are not known here");
      if (!word.quoted && word.text.starts_with('/'))
        Fault(line,
              "found \"" + word.text + "\", expected all, sameuser or names of databases: regular expressions are not read");
    }
    return field;
  }

  Field Users(const Field& field, unsigned line) {
    for (const auto& word : field) {
      if (!word.quoted && word.text.starts_with('+'))
        Fault(line, "found \"" + word.text + "\", expected all or names of users: members of roles are not known here");
      if (!word.quoted && word.text.starts_with('/'))
        Fault(line, "found \"" + word.text + "\", expected all or names of users: regular expressions are not read");
    }
    return field;
  }

  // `at`: of the address among the fields; afterwards of what follows it.
  std::optional<IpRange> From(const std::vector<Field>& fields, std::size_t& at, unsigned line) {
    if (fields[at].size() > 1) return Fault(line, "found several addresses, expected one"), std::nullopt;
    const auto& word = fields[at++][0];
    if (word.Is("all")) return std::nullopt;
    if (word.Is("samehost") || word.Is("samenet"))
      return Fault(line, "found " + word.text + ", expected all or an address: the networks of this host are not asked for"),
             std::nullopt;
    if (word.text.find('/') != std::string::npos) {
      const auto range = ReadIpRange(word.text);
      if (!range) Fault(line, "found \"" + word.text + "\", expected an address and its bits, as 192.0.2.0/24 or 2001:db8::/32");
      return range;
    }
    const auto address = ReadIp(word.text);
    if (!address)
      return Fault(line, "found the host name \"" + word.text + "\", expected all or an address: names are not looked up"),
             std::nullopt;
    if (at >= fields.size()) return Fault(line, "found the end of the line, expected a mask, as 255.255.255.0"), std::nullopt;
    const auto& mask_word = fields[at++][0];
    const auto mask = ReadIp(mask_word.text);
    auto range = mask ? MakeIpRange(*address, *mask) : std::nullopt;
    if (!range) Fault(line, "found \"" + mask_word.text + "\", expected a mask of \"" + word.text + "\", as 255.255.255.0");
    return range;
  }

  // Verifiers are those of SCRAM; for these md5 is SCRAM in PostgreSQL too.
  Hba::Answer Method(const Field& field, unsigned line) {
    const auto& method = field[0].text;
    if (field.size() > 1) Fault(line, "found several methods, expected one");
    if (method == "reject") return Hba::Answer::kReject;
    if (method == "scram-sha-256" || method == "md5") return Hba::Answer::kScram;
    Fault(line, Contains(kOtherMethods, method)
                    ? "found the method " + method +
                          ", expected scram-sha-256 or reject: Waypost logs in to the servers by what a client proves"
                    : "found the method \"" + method + "\", expected scram-sha-256 or reject");
    return Hba::Answer::kReject;
  }

  Hba hba_;
  unsigned line_ = 0;
  bool failed_ = false;  // the line at hand
  std::string faults_;
};

Result<Hba> Hba::Read(std::string_view file) { return HbaReader().Read(file); }

bool Hba::Entry::Matches(const HbaQuestion& question) const {
  if (encryption == Encryption::kOnly && !question.encrypted) return false;
  if (encryption == Encryption::kNever && question.encrypted) return false;
  if (from && (!question.address || !from->Has(*question.address))) return false;
  const bool database = std::ranges::any_of(databases, [&](const Word& word) {
    if (word.Is("all")) return true;
    if (word.Is("sameuser")) return question.database == question.user;
    return !word.Is("replication") && word.text == question.database;
  });
  return database && std::ranges::any_of(users, [&](const Word& word) { return word.Is("all") || word.text == question.user; });
}

Hba::Answer Hba::Find(const HbaQuestion& question) const {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.Matches(question); });
  return found == entries_.end() ? Answer::kNoEntry : found->answer;
}

std::string HbaRefusal(Hba::Answer answer, const HbaQuestion& question, std::string_view host) {
  std::string text =
      answer == Hba::Answer::kReject ? "pg_hba.conf rejects connection for host \"" : "no pg_hba.conf entry for host \"";
  text.append(host).append("\", user \"").append(question.user).append("\", database \"").append(question.database);
  return text + (question.encrypted ? "\", SSL encryption" : "\", no encryption");
}

}  // namespace waypost
