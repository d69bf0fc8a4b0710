// Who may log in, and what logs in to the servers as them: what is noted, learnt, handed over and forgotten.
#include "core/config/credentials.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace waypost {
namespace {

Config Asking(std::vector<UserConfig> users = {}) {
  Config config;
  config.auth.query_user = "waypost";
  config.users = std::move(users);
  return config;
}

ScramKeys KeysOf(const std::string& password, const std::string& salt = "0123456789abcdef") {
  return DeriveKeys(password, salt, 4096);
}
std::string VerifierText(const ScramKeys& keys) { return FormatVerifier(VerifierOf(keys)); }

bool Known(const Credentials& credentials, const std::string& user) {
  bool known = false;
  (void)credentials.VerifierOf(user, known);
  return known;
}

}  // namespace

TEST_CASE("what the servers say of a user counts until they say otherwise", "[core][credentials]") {
  Credentials credentials;
  credentials.Load(Asking());
  CHECK(!Known(credentials, "ann"));
  CHECK(!credentials.Note("ann", VerifierText(KeysOf("one"))));
  CHECK(Known(credentials, "ann"));
  credentials.Learn("ann", KeysOf("one"));
  CHECK(credentials.ForServer("ann").keys.iterations == 4096);

  SECTION("the same again changes nothing") {
    CHECK(!credentials.Note("ann", VerifierText(KeysOf("one"))));
    CHECK(credentials.ForServer("ann").keys.iterations == 4096);
  }
  SECTION("another password outdates what was learnt") {
    CHECK(credentials.Note("ann", VerifierText(KeysOf("two"))));
    CHECK(credentials.ForServer("ann").keys.iterations == 0);
  }
  SECTION("a user that is gone may not log in") {
    CHECK(credentials.Note("ann", ""));
    CHECK(!Known(credentials, "ann"));
    CHECK(!credentials.Note("ann", ""));
  }
  SECTION("and nothing of it if they are no longer asked") {
    credentials.Load(Config{});
    CHECK(!Known(credentials, "ann"));
    CHECK(!credentials.Note("ann", VerifierText(KeysOf("one"))));
    CHECK(!Known(credentials, "ann"));
  }
}

TEST_CASE("keys that do not fit the verifier are not kept", "[core][credentials]") {
  Credentials credentials;
  credentials.Load(Asking());
  credentials.Note("ann", VerifierText(KeysOf("one")));
  credentials.Learn("ann", KeysOf("two"));
  CHECK(credentials.ForServer("ann").keys.iterations == 0);
  credentials.Learn("nobody", KeysOf("two"));
  CHECK(!Known(credentials, "nobody"));
}

TEST_CASE("the process that takes the place of this one gets the keys", "[core][credentials]") {
  UserConfig bob;
  bob.name = "bob";
  bob.scram = VerifierText(KeysOf("b", "fedcba9876543210"));
  Credentials before;
  before.Load(Asking({bob}));
  before.Note("ann", VerifierText(KeysOf("one")));
  before.Learn("ann", KeysOf("one"));
  before.Learn("bob", KeysOf("b", "fedcba9876543210"));
  std::vector<std::string> messages;
  before.Hand([&](const std::string& message) { messages.push_back(message); });
  REQUIRE(messages.size() == 2);

  Credentials after;
  after.Load(Asking({bob}));
  SECTION("of users whom it does not know yet too") {}
  SECTION("of those who logged in to it before the keys came") { after.Note("ann", VerifierText(KeysOf("one"))); }
  for (const auto& message : messages) after.Take(message);
  for (const std::string user : {"ann", "bob"})
    CHECK(after.ForServer(user).keys.client_key == before.ForServer(user).keys.client_key);
}

TEST_CASE("keys that no longer fit are not taken, nor what is cut short", "[core][credentials]") {
  Credentials before;
  before.Load(Asking());
  before.Note("ann", VerifierText(KeysOf("one")));
  before.Learn("ann", KeysOf("one"));
  std::string message;
  before.Hand([&](const std::string& one) { message = one; });
  Credentials after;
  after.Load(Asking());
  after.Note("ann", VerifierText(KeysOf("two")));
  after.Take(message);
  CHECK(after.ForServer("ann").keys.iterations == 0);
  Credentials other;
  other.Load(Asking());
  for (std::size_t size = 0; size + 3 < message.size(); ++size) other.Take(message.substr(0, size));
  CHECK(!Known(other, "ann"));
}

}  // namespace waypost
