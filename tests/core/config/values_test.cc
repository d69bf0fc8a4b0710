#include "core/config/values.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "core/config/exposure.h"
#include "tests/support/folder.h"

namespace waypost {
namespace {

std::vector<ConfigValue> Read(const std::string& text) {
  auto values = ConfigValues(text, "waypost.toml");
  REQUIRE(values);
  return *values;
}

// "key before after", one a line.
std::string Changes(const std::string& before, const std::string& after) {
  std::string all;
  for (const auto& change : ConfigChanges(Read(before), Read(after)))
    all += change.key + " " + change.before + " " + change.after + "\n";
  return all;
}

}  // namespace

TEST_CASE("a change is told from and to what is in force, defaults included", "[core][config][values]") {
  const auto [before, after, changes] = GENERATE(table<std::string, std::string, std::string>({
      {"[pool]\n", "[pool]\nmode = \"session\"\n", "pool.mode \"transaction\" \"session\"\n"},
      {"[pool]\nmode = \"session\"\n", "", "pool.mode \"session\" \"transaction\"\n"},
      {"[listen]\nport = 7\n", "[listen]\nport = 7\nmax_clients = 9\n", "listen.max_clients 10000 9\n"},
      {"", "[listen]\nmax_clients = 9\n", "listen.max_clients 10000 9\n"},
      {"[listen]\n", "[limits]\nmax_clients = 9\n", "limits.max_clients 10000 9\n"},
      {"[limits]\nmax_clients = 9\n", "[listen]\nmax_clients = 9\n", ""},
      {"[limits]\nmax_clients = 9\n", "", "listen.max_clients 9 10000\n"},
      {"[[listen]]\nname = \"a\"\n[[listen]]\nname = \"b\"\ntls = \"allow\"\n",
       "[[listen]]\nname = \"a\"\ntls = \"require\"\n[[listen]]\nname = \"b\"\n",
       "listen.a.tls \"disable\" \"require\"\nlisten.b.tls \"allow\" \"disable\"\n"},
      {"[[server]]\nname = \"pg.a\"\n", "[[server]]\nname = \"pg.a\"\nweight = 3\n", "server.pg.a.weight 1 3\n"},
      {"[[user]]\nname = \"u\"\nmax_clients = 5\n", "[[user]]\nname = \"u\"\n", "user.u.max_clients 5 0\n"},
      // A server that comes does so with its own keys only; what no key has by default is null.
      {"", "[[server]]\nname = \"b\"\nport = 1\n", "server.b.name null \"b\"\nserver.b.port null 1\n"},
      {"", "[log]\nfile = \"/x\"\n", "log.file null \"/x\"\n"},
      {"[[user]]\nname = \"u\"\npassword = \"one\"\n", "[[user]]\nname = \"u\"\npassword = \"two\"\n",
       "user.u.password \"***\" \"***\"\n"},
  }));
  CAPTURE(before, after);
  CHECK(Changes(before, after) == changes);
}

TEST_CASE("what is in force is listed once, and is as the file says", "[core][config][values]") {
  const auto values =
      Read("[listen]\nport = 7\n[[server]]\nname = \"a\"\nhost = \"h\"\n[[user]]\nname = \"u\"\npassword = \"p\"\n");
  auto keys = std::vector<std::string>();
  for (const auto& value : values) keys.push_back(value.key);
  std::sort(keys.begin(), keys.end());
  CHECK(std::adjacent_find(keys.begin(), keys.end()) == keys.end());
  const auto find = [&](const std::string& key) {
    const auto at = std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.key == key; });
    return at == values.end() ? std::string("none") : at->json + " " + std::to_string(at->line);
  };
  CHECK(find("listen.port") == "7 2");
  CHECK(find("listen.max_clients") == "10000 0");
  CHECK(find("server.a.host") == "\"h\" 5");
  CHECK(find("server.a.port") == "5432 0");
  CHECK(find("server.a.weight") == "1 0");
  CHECK(find("server.pg0.port") == "none");
  CHECK(find("user.app.password") == "none");
  CHECK(find("monitor.password") == "none");
}

TEST_CASE("the keys that changed are named, not their values", "[core][config][values]") {
  CHECK(ChangedKeys({}) == "0 keys changed");
  CHECK(ChangedKeys({{"user.u.password", "\"***\"", "\"***\""}}) == "1 key changed: user.u.password");
  CHECK(ChangedKeys({{"a", "1", "2"}, {"b", "1", "2"}}) == "2 keys changed: a, b");
  CHECK(ChangedKeys(std::vector<ConfigChange>(50, {"a", "1", "2"})).ends_with("a, a ..."));
}

TEST_CASE("what a running process cannot take over needs a restart, and nothing else does", "[core][config][values]") {
  for (const auto* key : {"workers", "cluster.state_file", "admin.port", "admin.socket", "admin.tokens_file",
                          "admin.allowed_hosts", "listen.port", "listen.main.address"})
    CHECK(NeedsRestart(key));
  for (const auto* key : {"admin.console_admins", "admin.console_viewers", "admin.webhook", "admin.webhook_token",
                          "listen.max_clients", "listen.main.tls", "pool.mode", "user.port.password"})
    CHECK_FALSE(NeedsRestart(key));
}

TEST_CASE("a file with secrets that others can read is told of", "[core][config][exposure]") {
  const Folder folder;
  const auto path = folder.File("waypost.toml");
  std::ofstream(path) << "x";
  const auto why = [&](const std::string& text, mode_t mode) {
    REQUIRE(chmod(path.c_str(), mode) == 0);
    return WhyExposed(path, Read(text));
  };
  const std::string secret = "[[user]]\nname = \"u\"\npassword = \"TOPSECRET\"\n";
  const bool root = geteuid() == 0;
  CHECK(why(secret, 0600).empty());
  CHECK(why(secret, 0400).empty());
  CHECK(why(secret, 0640).empty() == root);  // as the package has it, for root:waypost
  CHECK(why(secret, 0644) == "found mode 0644, and user.u.password stands in the file; expected 0600, or 0640 if root owns it");
  CHECK_FALSE(why(secret, 0660).empty());
  CHECK_FALSE(why("[monitor]\npassword = \"p\"\n", 0604).empty());
  CHECK_FALSE(why("[admin]\nwebhook = \"http://h/secret\"\n", 0644).empty());
  CHECK(why("[monitor]\npassword_file = \"p\"\n[[user]]\nname = \"u\"\npassword_env = \"P\"\n", 0644).empty());
  CHECK(WhyExposed(folder.File("nowhere"), Read(secret)).empty());
}

}  // namespace waypost
