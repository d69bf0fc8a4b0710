#include "core/admin/access.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

constexpr std::array<std::string_view, 4> kRoleNames = {"none", "viewer", "operator", "admin"};
constexpr std::string_view kSecretMark = "waypost_";  // by which scanners of repositories know one
constexpr std::string_view kHashMark = "sha256:";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxTokensFileBytes = 1U << 20U;
constexpr std::chrono::hours kSessionLife{12};
constexpr std::size_t kMaxSessions = 256;
constexpr std::size_t kMaxAddresses = 1024;
constexpr unsigned kFreeFailures = 5;  // in a row, from one address, without delay
constexpr unsigned kMostDoublings = 6;
constexpr std::chrono::seconds kForgetFailures{600};

std::string Hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 15U];
  }
  return text;
}

std::string HashOf(std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), hash.data());
  return Hex(hash.data(), hash.size());
}

std::string RandomSecret() {
  std::array<unsigned char, kSecretBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) std::abort();
  return Hex(bytes.data(), bytes.size());
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const auto end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

bool IsHash(std::string_view word) {
  return word.starts_with(kHashMark) && word.size() == kHashMark.size() + 2 * SHA256_DIGEST_LENGTH &&
         word.find_first_not_of("0123456789abcdef", kHashMark.size()) == std::string_view::npos;
}

Error FileError(const std::string& path, const std::string& what) { return Error{"tokens_file " + path + ": " + what}; }

}  // namespace

std::string_view AdminRoleName(AdminRole role) { return kRoleNames[static_cast<std::size_t>(role)]; }

AdminRole ParseAdminRole(std::string_view name) {
  const auto at = std::find(kRoleNames.begin() + 1, kRoleNames.end(), name);
  return at == kRoleNames.end() ? AdminRole::kNone : static_cast<AdminRole>(at - kRoleNames.begin());
}

Result<std::vector<AdminToken>> ParseTokens(std::string_view text, const std::string& path) {
  std::vector<AdminToken> tokens;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto words = Words(text.substr(0, std::min(end, text.substr(0, end).find('#'))));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    if (words.size() != 3 || ParseAdminRole(words[1]) == AdminRole::kNone || !IsHash(words[2]))
      return Error{path + ":" + std::to_string(number) +
                   ": expected \"NAME ROLE sha256:HASH\" with ROLE viewer, operator or admin, as waypost token create prints it"};
    tokens.push_back({std::string(words[0]), ParseAdminRole(words[1]), std::string(words[2].substr(kHashMark.size()))});
  }
  return tokens;
}

Result<std::vector<AdminToken>> ReadTokens(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, std::string("cannot open it: ") + std::strerror(errno));
  struct stat facts{};
  std::string text;
  std::string wrong;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) wrong = "it is not a plain file";
  else if ((facts.st_mode & 077U) != 0) wrong = "found mode with rights for group or others, expected 0600";
  else if (facts.st_uid != geteuid() && facts.st_uid != 0) wrong = "it belongs to another user than Waypost's own and root";
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; wrong.empty() && (got = read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxTokensFileBytes) wrong = "it has more than 1 MiB";
  }
  close(fd);
  if (!wrong.empty()) return FileError(path, wrong);
  return ParseTokens(text, path);
}

NewToken MakeToken(const std::string& name, AdminRole role) {
  NewToken token;
  token.secret = std::string(kSecretMark) + RandomSecret();
  token.line = name + " " + std::string(AdminRoleName(role)) + " " + std::string(kHashMark) + HashOf(token.secret);
  return token;
}

Result<bool> AppendToken(const std::string& path, const std::string& line) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return FileError(path, std::string("cannot open or create it: ") + std::strerror(errno));
  const auto text = line + "\n";
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) return FileError(path, std::string("cannot write to it: ") + std::strerror(error));
  return true;
}

// Read anew each time: a token that is added or struck out counts at once.
std::optional<AdminToken> AdminAccess::Find(const std::string& hash) {
  if (tokens_file_.empty()) return std::nullopt;
  const auto tokens = ReadTokens(tokens_file_);
  if (!tokens) {
    Log(LogLevel::kError, "admin_tokens_unreadable", {{"error", tokens.error()}});
    return std::nullopt;
  }
  // Hashes: that their comparison takes longer the more of it is right helps nobody.
  const auto found = std::find_if(tokens->begin(), tokens->end(), [&](const auto& token) { return token.hash == hash; });
  return found == tokens->end() ? std::nullopt : std::optional(*found);
}

void AdminAccess::NoteFailure(const AdminPeer& peer, TimePoint now) {
  std::erase_if(failures_, [&](const auto& one) { return now - one.second.last > kForgetFailures; });
  if (failures_.size() >= kMaxAddresses && !failures_.contains(peer.address))
    failures_.erase(std::min_element(failures_.begin(), failures_.end(),
                                     [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
  auto& failed = failures_[peer.address];
  failed.last = now;
  ++failed.count;
  if (failed.count >= kFreeFailures)
    failed.locked_until = now + std::chrono::seconds(1U << std::min(failed.count - kFreeFailures, kMostDoublings));
  Log(LogLevel::kWarn, "admin_login_failed", {{"from", peer.name}, {"failures", failed.count}});
}

AdminAccess::Answer AdminAccess::Check(const AdminPeer& peer, const std::string& secret, TimePoint now, AdminToken& found) {
  if (const auto failed = failures_.find(peer.address); failed != failures_.end() && now < failed->second.locked_until) {
    const auto wait = std::chrono::duration_cast<std::chrono::seconds>(failed->second.locked_until - now).count() + 1;
    return {{},
            429,
            "Too many wrong tokens came from this address; try again in " + std::to_string(wait) + " s.",
            static_cast<unsigned>(wait)};
  }
  if (auto token = Find(HashOf(secret))) {
    failures_.erase(peer.address);
    found = std::move(*token);
    return {};
  }
  NoteFailure(peer, now);
  return {{}, 401, tokens_file_.empty() ? "There are no tokens: [admin] tokens_file is not set." : "The token is not known."};
}

AdminAccess::Answer AdminAccess::Identify(const AdminPeer& peer, const AdminCredentials& credentials, bool changes,
                                          TimePoint now) {
  if (peer.uid) {
    const bool ours = *peer.uid == 0 || *peer.uid == own_uid_;
    return {{ours ? AdminRole::kAdmin : AdminRole::kViewer, "uid " + std::to_string(*peer.uid), "socket"}};
  }
  const std::scoped_lock lock(mutex_);
  if (!credentials.authorization.empty()) {
    constexpr std::string_view kBearer = "bearer ";
    const std::string_view header = credentials.authorization;
    const bool bearer = header.size() > kBearer.size() && std::equal(kBearer.begin(), kBearer.end(), header.begin(),
                                                                     [](char a, char b) { return a == (b | 0x20); });
    if (!bearer) return {{}, 401, "found another Authorization than Bearer TOKEN"};
    AdminToken token;
    auto answer = Check(peer, std::string(header.substr(kBearer.size())), now, token);
    if (answer.status == 0) answer.who = {token.role, token.name, "token"};
    return answer;
  }
  if (!credentials.session.empty()) {
    const auto session = sessions_.find(HashOf(credentials.session));
    const auto token = session != sessions_.end() && now < session->second.ends ? Find(session->second.token_hash) : std::nullopt;
    if (token) {
      if (changes && !credentials.own_header)
        return {{}, 403, "A change by a browser's session needs the header X-Waypost, which no foreign page can send."};
      return {{token->role, token->name, "session"}};
    }
    if (session != sessions_.end()) sessions_.erase(session);
    // A session that has ended: as if it had not been sent.
  }
  if (peer.loopback) return {{AdminRole::kViewer, "", "loopback"}};
  return {};
}

AdminAccess::Login AdminAccess::LogIn(const AdminPeer& peer, const std::string& secret, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  AdminToken token;
  Login login;
  static_cast<Answer&>(login) = Check(peer, secret, now, token);
  if (login.status != 0) return login;
  std::erase_if(sessions_, [&](const auto& one) { return now >= one.second.ends; });
  if (sessions_.size() >= kMaxSessions)
    sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(),
                                     [](const auto& a, const auto& b) { return a.second.ends < b.second.ends; }));
  login.who = {token.role, token.name, "session"};
  login.session = RandomSecret();
  sessions_[HashOf(login.session)] = {token.hash, now + kSessionLife};
  return login;
}

void AdminAccess::LogOut(const std::string& session) {
  const std::scoped_lock lock(mutex_);
  sessions_.erase(HashOf(session));
}

}  // namespace waypost
