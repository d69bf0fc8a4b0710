#include "core/admin/access.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/admin/api.h"
#include "core/admin/intents_file.h"
#include "core/base/ascii.h"

namespace waypost {
namespace {

// A tokens file with one token of each role.
struct Fixture {
  std::string path = (std::filesystem::temp_directory_path() / ("waypost-tokens-" + std::to_string(getpid()))).string();
  std::map<AdminRole, std::string> secrets;
  TimePoint now{std::chrono::hours(1)};

  Fixture() {
    std::filesystem::remove(path);
    for (const auto role : {AdminRole::kViewer, AdminRole::kOperator, AdminRole::kAdmin}) {
      const auto token = MakeToken("t-" + std::string(AdminRoleName(role)), role);
      secrets[role] = token.secret;
      REQUIRE(AppendToken(path, token.line));
    }
  }
  ~Fixture() { std::filesystem::remove(path); }
};

AdminPeer Tcp(const char* address, bool loopback) {
  return {.address = address, .name = address, .loopback = loopback, .uid = {}};
}
AdminPeer Unix(std::uint32_t uid) { return {.address = "", .name = "unix", .loopback = false, .uid = uid}; }
const AdminPeer kRemote = Tcp("10.0.0.9", false);
const AdminPeer kLoopback = Tcp("127.0.0.1", true);

AdminCredentials Bearer(const std::string& secret) {
  return {.authorization = "Bearer " + secret, .session = "", .own_header = false};
}

}  // namespace

TEST_CASE("the tokens file keeps hashes, and is refused if others may read it", "[core][admin][access]") {
  Fixture f;
  const auto tokens = ReadTokens(f.path);
  REQUIRE(tokens);
  REQUIRE(tokens->size() == 3);
  CHECK((*tokens)[1].name == "t-operator");
  CHECK((*tokens)[1].role == AdminRole::kOperator);
  struct stat facts{};
  REQUIRE(stat(f.path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777U) == 0600U);
  std::ifstream file(f.path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const auto& [role, secret] : f.secrets) CHECK(text.find(secret) == std::string::npos);
  chmod(f.path.c_str(), 0640);
  CHECK(ReadTokens(f.path).error().find("expected 0600") != std::string::npos);
}

TEST_CASE("a wrong line of the tokens file is named without its hash", "[core][admin][access]") {
  const auto line =
      GENERATE("app", "app admin", "app root sha256:ab", "app admin ab", "app admin sha256:zz", "app none sha256:ab");
  const auto tokens = ParseTokens("# a comment\n\n" + std::string(line) + " # more\n", "f");
  REQUIRE_FALSE(tokens);
  CHECK(tokens.error().starts_with("f:3: expected"));
}

TEST_CASE("who asks is known by token, socket or address", "[core][admin][access]") {
  Fixture f;
  AdminAccess access(f.path, 1234);
  for (const auto& [role, secret] : f.secrets) {
    const auto who = access.Identify(kRemote, Bearer(secret), true, f.now);
    CHECK(who.status == 0);
    CHECK(who.who.role == role);
    CHECK(who.who.via == "token");
  }
  CHECK(access.Identify(kRemote, {}, false, f.now).who.role == AdminRole::kNone);
  CHECK(access.Identify(kLoopback, {}, false, f.now).who.role == AdminRole::kViewer);
  CHECK(access.Identify(Unix(0), {}, true, f.now).who.role == AdminRole::kAdmin);
  CHECK(access.Identify(Unix(1234), {}, true, f.now).who.role == AdminRole::kAdmin);
  CHECK(access.Identify(Unix(99), {}, true, f.now).who.role == AdminRole::kViewer);
  CHECK(access.Identify(kLoopback, Bearer("wrong"), false, f.now).status == 401);
  CHECK(access.Identify(kLoopback, {.authorization = "Basic eDp5", .session = "", .own_header = false}, false, f.now).status ==
        401);
  std::filesystem::remove(f.path);
  CHECK(access.Identify(kRemote, Bearer(f.secrets[AdminRole::kAdmin]), false, f.now).status == 401);
}

TEST_CASE("who guesses tokens is locked out, longer each time, and nobody else is", "[core][admin][access]") {
  Fixture f;
  AdminAccess access(f.path, 1234);
  for (int i = 0; i < 5; ++i) CHECK(access.Identify(kRemote, Bearer("wrong"), false, f.now).status == 401);
  auto locked = access.Identify(kRemote, Bearer(f.secrets[AdminRole::kAdmin]), false, f.now);
  CHECK(locked.status == 429);
  CHECK(locked.wait_s >= 1);
  CHECK(access.Identify(kLoopback, Bearer(f.secrets[AdminRole::kAdmin]), false, f.now).status == 0);
  f.now += std::chrono::seconds(2);
  CHECK(access.Identify(kRemote, Bearer("wrong"), false, f.now).status == 401);
  CHECK(access.Identify(kRemote, Bearer("wrong"), false, f.now).wait_s >= 2);
  f.now += std::chrono::seconds(3);
  CHECK(access.Identify(kRemote, Bearer(f.secrets[AdminRole::kAdmin]), false, f.now).status == 0);
  CHECK(access.Identify(kRemote, Bearer("wrong"), false, f.now).status == 401);
}

TEST_CASE("a browser's session changes nothing without our own header, and ends with its token", "[core][admin][access]") {
  Fixture f;
  AdminAccess access(f.path, 1234);
  CHECK(access.LogIn(kRemote, "wrong", f.now).status == 401);
  const auto login = access.LogIn(kRemote, f.secrets[AdminRole::kOperator], f.now);
  REQUIRE(login.status == 0);
  const AdminCredentials plain{.authorization = "", .session = login.session, .own_header = false};
  const AdminCredentials own{.authorization = "", .session = login.session, .own_header = true};
  CHECK(access.Identify(kRemote, plain, false, f.now).who.role == AdminRole::kOperator);
  CHECK(access.Identify(kRemote, plain, true, f.now).status == 403);
  CHECK(access.Identify(kRemote, own, true, f.now).who.via == "session");
  SECTION("log-out") { access.LogOut(login.session); }
  SECTION("time") { f.now += std::chrono::hours(13); }
  SECTION("the token is struck out") { std::ofstream(f.path, std::ios::trunc); }
  CHECK(access.Identify(kRemote, own, true, f.now).who.role == AdminRole::kNone);
}

TEST_CASE("every endpoint is for the role that it should be for", "[core][admin][access]") {
  using enum AdminRole;
  const std::map<std::pair<std::string, std::string>, AdminRole> expected = {
      {{"GET", "/"}, kNone},
      {{"GET", "/metrics"}, kNone},
      {{"GET", "/api/v1"}, kNone},
      {{"GET", "/healthz"}, kNone},
      {{"GET", "/readyz"}, kNone},
      {{"GET", "/openapi.json"}, kNone},
      {{"GET", "/api/v1/status"}, kViewer},
      {{"GET", "/api/v1/servers"}, kViewer},
      {{"GET", "/api/v1/digests"}, kViewer},
      {{"GET", "/api/v1/shadow"}, kViewer},
      {{"POST", "/api/v1/route"}, kViewer},
      {{"GET", "/api/v1/me"}, kNone},
      {{"POST", "/api/v1/login"}, kNone},
      {{"POST", "/api/v1/logout"}, kNone},
      {{"PATCH", "/api/v1/servers/{name}"}, kOperator},
      {{"GET", "/api/v1/cluster"}, kViewer},
      {{"POST", "/api/v1/cluster/pause"}, kOperator},
      {{"POST", "/api/v1/cluster/resume"}, kOperator},
      {{"DELETE", "/api/v1/digests"}, kOperator},
      {{"GET", "/api/v1/rules"}, kViewer},
      {{"GET", "/api/v1/config"}, kAdmin},
      {{"POST", "/api/v1/reload"}, kAdmin},
      {{"GET", "/api/v1/log"}, kViewer},
      {{"PUT", "/api/v1/log"}, kAdmin},
      {{"GET", "/api/v1/events"}, kViewer},
      {{"GET", "/api/v1/sessions"}, kViewer},
      {{"GET", "/api/v1/sessions/{id}"}, kViewer},
      {{"DELETE", "/api/v1/sessions/{id}"}, kOperator},
      {{"POST", "/api/v1/sessions/{id}/cancel"}, kOperator},
      {{"POST", "/api/v1/sessions/{id}/trace"}, kOperator},
      {{"GET", "/api/v1/sessions/{id}/trace"}, kViewer},
      {{"DELETE", "/api/v1/sessions/{id}/trace"}, kOperator},
      {{"GET", "/api/v1/pools"}, kViewer}};
  Fixture f;
  AdminAccess access(f.path, 1234);
  AdminSources sources;
  sources.view = [] { return View(); };
  sources.run = [] { return RunStatus(); };
  sources.access = &access;
  AdminApi api(sources);
  for (const auto& endpoint : AdminApi::Permissions()) {
    CAPTURE(endpoint.method, endpoint.path);
    const auto found = expected.find({endpoint.method, endpoint.path});
    REQUIRE(found != expected.end());
    const auto needed = found->second;
    CHECK(endpoint.role == needed);
    auto path = endpoint.path;
    if (const auto brace = path.find('{'); brace != std::string::npos) path.replace(brace, path.find('}') + 1 - brace, "x");
    struct Caller {
      AdminPeer peer;
      AdminCredentials credentials;
      AdminRole role;
    };
    for (const auto& asker :
         {Caller{kRemote, {}, kNone}, Caller{kLoopback, {}, kViewer}, Caller{kRemote, Bearer(f.secrets[kViewer]), kViewer},
          Caller{kRemote, Bearer(f.secrets[kOperator]), kOperator}, Caller{kRemote, Bearer(f.secrets[kAdmin]), kAdmin},
          Caller{Unix(0), {}, kAdmin}, Caller{Unix(99), {}, kViewer}}) {
      CAPTURE(asker.peer.name, asker.credentials.authorization.empty(), AdminRoleName(asker.role));
      AdminRequest request{endpoint.method, path, ""};
      request.peer = asker.peer;
      request.credentials = asker.credentials;
      request.credentials.own_header = true;
      const auto status = api.Handle(request).status;
      CHECK((status == 401 || status == 403) == (asker.role < needed));
    }
  }
  // What a browser sends for a page of somebody else's.
  AdminRequest foreign{"POST", "/api/v1/login", R"({"token": "wrong"})"};
  foreign.peer = kLoopback;
  for (int i = 0; i < 10; ++i) CHECK(api.Handle(foreign).status == 403);
  foreign.credentials.own_header = true;
  CHECK(api.Handle(foreign).status == 401);
}

TEST_CASE("the OpenAPI document has each endpoint with its role, and no other", "[core][admin][openapi]") {
  const auto document = nlohmann::json::parse(OpenApiDocument());
  std::size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) operations += methods.size();
  std::size_t endpoints = 0;
  for (auto& endpoint : AdminApi::Permissions()) {
    if (endpoint.path == "/" || endpoint.path == "/api/v1") continue;  // the page, and the list
    ++endpoints;
    CAPTURE(endpoint.method, endpoint.path);
    std::transform(endpoint.method.begin(), endpoint.method.end(), endpoint.method.begin(), [](char c) { return AsciiLower(c); });
    REQUIRE(document["paths"].contains(endpoint.path));
    REQUIRE(document["paths"][endpoint.path].contains(endpoint.method));
    CHECK(document["paths"][endpoint.path][endpoint.method]["x-role"] == std::string(AdminRoleName(endpoint.role)));
  }
  CHECK(operations == endpoints);
}

TEST_CASE("the OpenAPI document says that no parameter takes a NUL, and what a wrong one gets", "[core][admin][openapi]") {
  const auto document = nlohmann::json::parse(OpenApiDocument());
  for (const auto& [path, methods] : document["paths"].items())
    for (const auto& [method, operation] : methods.items()) {
      CAPTURE(path, method);
      if (!operation.contains("parameters")) continue;
      CHECK(operation["responses"].contains("400"));
      for (const auto& parameter : operation["parameters"]) {
        const auto& schema = parameter["schema"];
        if (schema["type"] == "string" && !schema.contains("enum")) CHECK(schema.value("pattern", "") == R"(^[^\u0000]*$)");
      }
    }
}

TEST_CASE("what the operator wanted is read back as it was saved", "[core][admin][intents]") {
  const Intents intents = {{"pg1", {Intent::kDrain, {}}}, {"pg2", {Intent::kActive, 3U}}};
  const auto back = ParseIntents(FormatIntents(intents));
  REQUIRE(back);
  CHECK(*back == intents);
  for (const char* wrong : {"", "{", "[]", "{}", R"({"waypost_intents": 2, "servers": {}})",
                            R"({"waypost_intents": 1, "servers": {"a": {"intent": "off"}}})",
                            R"({"waypost_intents": 1, "servers": {"a": {"intent": "drain", "weight": -1}}})"})
    CHECK_FALSE(ParseIntents(wrong));
  const auto path = (std::filesystem::temp_directory_path() / ("waypost-intents-" + std::to_string(getpid()))).string();
  std::filesystem::remove(path);
  CHECK(ReadIntents(path)->empty());
  REQUIRE(SaveIntents(path, intents));
  CHECK(*ReadIntents(path) == intents);
  std::filesystem::remove(path);
  CHECK_FALSE(SaveIntents("/no/such/folder/x", intents));
}

}  // namespace waypost
