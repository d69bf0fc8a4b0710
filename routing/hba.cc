#include "routing/hba.h"

#include <algorithm>
#include <array>
#include <utility>

namespace waypost {
namespace {

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
    HbaLines lines(file);
    while (const auto fields = lines.Next()) {
      failed_ = false;
      ReadEntry(*fields, lines.line());
    }
    if (!faults_.empty()) return Error{std::move(faults_)};
    return std::move(hba_);
  }

 private:
  using Field = HbaField;

  void Fault(unsigned line, const std::string& message) {
    AppendHbaFault(faults_, line, message);
    failed_ = true;
  }

  void ReadEntry(const std::vector<Field>& fields, unsigned line) {
    if (const auto* word = NamesOtherFile(fields))
      return Fault(line, "found \"" + word->text + "\", expected the names themselves: other files are not read");
    const auto& type = fields[0][0].text;
    if (Contains(kIncludes, type)) return Fault(line, "found " + type + ", expected entries: other files are not read");
    if (fields[0].size() > 1) return Fault(line, "found several types, expected one");
    Hba::Entry entry;
    entry.local = type == "local";
    if (!entry.local && !Contains(kHostTypes, type))
      return Fault(line, "found the type \"" + type + "\", expected local, host, hostssl or hostnossl");
    if (type == "hostgssenc") return Fault(line, "found hostgssenc, expected host, hostssl or hostnossl: GSSAPI is not spoken");
    if (type == "hostssl") entry.encryption = Hba::Encryption::kOnly;
    if (type == "hostnossl") entry.encryption = Hba::Encryption::kNever;
    if (fields.size() < 2) return Fault(line, "found the end of the line, expected a database");
    if (fields.size() < 3) return Fault(line, "found the end of the line, expected a user");
    entry.databases = Databases(fields[1], line);
    entry.users = Users(fields[2], line);
    std::size_t next = 3;
    if (!entry.local) {
      if (fields.size() < 4) return Fault(line, "found the end of the line, expected an address");
      entry.from = From(fields, next, line);
    }
    if (failed_) return;
    if (fields.size() <= next) return Fault(line, "found the end of the line, expected a method");
    entry.verdict.answer = Method(fields[next], entry, line);
    if (entry.verdict.answer == Hba::Answer::kCert) entry.verdict.certificate = Hba::Certificate::kOfUser;
    for (++next; next < fields.size(); ++next) Option(fields[next], entry, line);
    if (!failed_) hba_.entries_.push_back(std::move(entry));
  }

  void Option(const Field& field, Hba::Entry& entry, unsigned line) {
    constexpr std::string_view kMap = "map=";
    const auto& text = field[0].text;
    auto& verdict = entry.verdict;
    const bool by_cert = verdict.answer == Hba::Answer::kCert;
    const bool maps = verdict.answer == Hba::Answer::kPeer || by_cert;
    if (maps && field.size() == 1 && text.starts_with(kMap) && text.size() > kMap.size()) {
      verdict.map = text.substr(kMap.size());
      return;
    }
    const bool encrypted = entry.encryption == Hba::Encryption::kOnly;
    if (encrypted && field.size() == 1) {
      if (text == "clientname=CN" || text == "clientname=DN") return void(verdict.whole_subject = text.ends_with("DN"));
      if (text == "clientcert=verify-full") return void(verdict.certificate = Hba::Certificate::kOfUser);
      if (text == "clientcert=verify-ca" && !by_cert) return void(verdict.certificate = Hba::Certificate::kValid);
    }
    std::string expected = maps ? "map= and the name of a map" : "the end of the line: this method has no options";
    if (by_cert) expected += ", clientname=CN or =DN, or clientcert=verify-full, which cert always means";
    else if (encrypted) expected = "clientcert=verify-ca or =verify-full, or clientname=CN or =DN";
    else if (text.starts_with("client")) expected += " but of hostssl lines";
    Fault(line, "found the option \"" + text + "\", expected " + expected);
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

  // Verifiers are those of SCRAM; for these md5 is SCRAM in PostgreSQL too, as ident is peer for who comes by a Unix socket.
  Hba::Answer Method(const Field& field, const Hba::Entry& entry, unsigned line) {
    const bool local = entry.local, encrypted = entry.encryption == Hba::Encryption::kOnly;
    const auto& method = field[0].text;
    if (field.size() > 1) Fault(line, "found several methods, expected one");
    if (method == "reject") return Hba::Answer::kReject;
    if (method == "scram-sha-256" || method == "md5") return Hba::Answer::kScram;
    if (local && (method == "peer" || method == "ident")) return Hba::Answer::kPeer;
    if (local && method == "trust") return Hba::Answer::kTrust;
    if (encrypted && method == "cert") return Hba::Answer::kCert;
    const std::string expected = local       ? "scram-sha-256, peer, trust or reject"
                                 : encrypted ? "scram-sha-256, cert or reject"
                                             : "scram-sha-256 or reject";
    if (!Contains(kOtherMethods, method)) Fault(line, "found the method \"" + method + "\", expected " + expected);
    else if (method == "peer" || method == "trust")
      Fault(line, "found the method " + method + ", expected " + expected + ": only local lines may have it");
    else if (method == "cert") Fault(line, "found the method cert, expected " + expected + ": only hostssl lines may have it");
    else
      Fault(line,
            "found the method " + method + ", expected " + expected + ": Waypost logs in to the servers by what a client proves");
    return Hba::Answer::kReject;
  }

  Hba hba_;
  bool failed_ = false;  // the line at hand
  std::string faults_;
};

Result<Hba> Hba::Read(std::string_view file) { return HbaReader().Read(file); }

bool Hba::Entry::Matches(const HbaQuestion& question) const {
  if (local != question.local) return false;
  if (encryption == Encryption::kOnly && !question.encrypted) return false;
  if (encryption == Encryption::kNever && question.encrypted) return false;
  if (from && (!question.address || !from->Has(*question.address))) return false;
  const bool database = std::ranges::any_of(databases, [&](const HbaWord& word) {
    if (word.Is("all")) return true;
    if (word.Is("sameuser")) return question.database == question.user;
    return !word.Is("replication") && word.text == question.database;
  });
  return database &&
         std::ranges::any_of(users, [&](const HbaWord& word) { return word.Is("all") || word.text == question.user; });
}

Hba::Verdict Hba::Find(const HbaQuestion& question) const {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.Matches(question); });
  return found == entries_.end() ? Verdict{} : found->verdict;
}

bool Hba::AsksForCertificates() const {
  return std::ranges::any_of(entries_, [](const Entry& entry) { return entry.verdict.certificate != Certificate::kNothing; });
}

std::string HbaRefusal(Hba::Answer answer, const HbaQuestion& question, std::string_view host) {
  std::string text =
      answer == Hba::Answer::kReject ? "pg_hba.conf rejects connection for host \"" : "no pg_hba.conf entry for host \"";
  text.append(host).append("\", user \"").append(question.user).append("\", database \"").append(question.database);
  return text + (question.encrypted ? "\", SSL encryption" : "\", no encryption");
}

}  // namespace waypost
