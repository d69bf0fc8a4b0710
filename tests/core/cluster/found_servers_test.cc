#include <catch2/catch.hpp>
#include <random>

#include "core/cluster/patroni.h"
#include "core/cluster/repmgr.h"

namespace waypost {
namespace {

// As Patroni 3.0.2 and 4.0 answer, shortened.
constexpr std::string_view kAnswer = R"({"members": [
  {"name": "p0", "role": "leader", "state": "running", "api_url": "http://10.0.0.10:8008/patroni", "host": "10.0.0.10", "port": 5432,
   "timeline": 3, "tags": {"nofailover": true}},
  {"name": "p1", "role": "sync_standby", "state": "streaming", "host": "pg1.example", "port": 5433, "timeline": 3, "lag": 0},
  {"name": "p2", "role": "replica", "state": "creating replica", "lag": "unknown"}], "scope": "batman", "pause": true})";

std::string ErrorOf(std::string_view text) {
  const auto list = ReadPatroniCluster(text);
  return list ? "no error" : list.error();
}

std::string Conninfo(const std::string& conninfo) {
  FoundServer found;
  const auto wrong = ReadNodeConninfo(conninfo, found);
  return wrong.empty() ? found.host + " " + std::to_string(found.port) : wrong;
}

}  // namespace

TEST_CASE("Patroni's members are read", "[core][cluster][patroni]") {
  const auto list = ReadPatroniCluster(kAnswer);
  REQUIRE(list);
  REQUIRE(list->size() == 3);
  CHECK((*list)[0] == FoundServer{"p0", "10.0.0.10", 5432, true, true});
  CHECK((*list)[1] == FoundServer{"p1", "pg1.example", 5433, true, false});
  CHECK((*list)[2] == FoundServer{"p2", "", 0, true, false});
}

TEST_CASE("the leader of a cluster that itself follows another is no primary", "[core][cluster][patroni]") {
  const auto list = ReadPatroniCluster(R"({"members": [{"name": "p", "role": "standby_leader", "host": "a", "port": 1}]})");
  REQUIRE(list);
  CHECK_FALSE((*list)[0].primary);
}

TEST_CASE("what is no answer of Patroni is an error that says what was found", "[core][cluster][patroni]") {
  const std::string no_json = "found no JSON, or too deep, expected the answer of Patroni to GET /cluster";
  const std::string no_port = "\"port\" of a member is no number from 0 to 65535";
  const auto [text, error] = GENERATE_COPY(table<std::string, std::string>({
      {"", no_json},
      {"<html>", no_json},
      {R"({"members": [{"name": "p)", no_json},
      {"{\"members\": [{\"name\": \"\xff\"}]}", no_json},
      {std::string(100'000, '['), no_json},
      {R"({"members": [], "x": )" + std::string(100, '[') + std::string(100, ']') + "}", no_json},
      {"[]", "found array, expected an object"},
      {"null", "found null, expected an object"},
      {"{}", "found no list \"members\", expected the servers of the cluster"},
      {R"({"members": {"name": "p"}})", "found no list \"members\", expected the servers of the cluster"},
      {R"({"members": [7]})", "a member is number, expected an object"},
      {R"({"members": [{"role": "leader"}]})", "a member has no \"name\""},
      {R"({"members": [{"name": 7}]})", "a member has no \"name\""},
      {R"({"members": [{"name": "p", "host": 7}]})", "\"host\" of a member is no text"},
      {R"({"members": [{"name": "p", "role": []}]})", "\"role\" of a member is no text"},
      {R"({"members": [{"name": "p", "host": "a", "port": 65536}]})", no_port},
      {R"({"members": [{"name": "p", "host": "a", "port": -1}]})", no_port},
      {R"({"members": [{"name": "p", "host": "a", "port": "5432"}]})", no_port},
      {R"({"members": [{"name": "p", "host": "a", "port": 1e3}]})", no_port},
      {R"({"members": []})", "no error"},
      {R"({"members": [{"name": "p", "host": null, "port": null, "role": null}]})", "no error"},
  }));
  CAPTURE(text);
  CHECK(ErrorOf(text) == error);
}

TEST_CASE("of a list that is too long no more is read than shows that", "[core][cluster][patroni]") {
  std::string text = R"({"members": [{"name": "p"})";
  for (int i = 0; i < 5'000; ++i) text += R"(,{"name": "p"})";
  const auto list = ReadPatroniCluster(text + "]}");
  REQUIRE(list);
  CHECK(list->size() == Membership::kMaxListed + 1);
}

TEST_CASE("whatever happens to Patroni's answer, it is read or refused", "[core][cluster][patroni]") {
  for (std::size_t cut = 0; cut < kAnswer.size(); ++cut) CHECK_FALSE(ReadPatroniCluster(kAnswer.substr(0, cut)));
  std::mt19937 random(20'261'127);  // NOLINT(cert-msc51-cpp): the same each time
  for (int i = 0; i < 20'000; ++i) {
    std::string text(kAnswer);
    for (auto left = 1 + random() % 3; left > 0; --left) text[random() % text.size()] = static_cast<char>(random());
    if (const auto list = ReadPatroniCluster(text)) CHECK(list->size() <= Membership::kMaxListed + 1);
  }
}

TEST_CASE("where a node of repmgr is", "[core][cluster][repmgr]") {
  const auto [conninfo, where] = GENERATE(table<std::string, std::string>({
      {"host=10.0.0.1 port=5433 user=repmgr dbname=repmgr", "10.0.0.1 5433"},
      {"host=pg0 user=repmgr", "pg0 5432"},
      {"host='pg0' hostaddr=10.0.0.1", "pg0 5432"},
      {"hostaddr=10.0.0.1", "10.0.0.1 5432"},
      {"postgresql://repmgr@[::1]:5434/repmgr?connect_timeout=2", "::1 5434"},
      {"", "has no host"},
      {"user=repmgr", "has no host"},
      {"host=a port=0", "has no port from 1 to 65535"},
      {"host=a port=65536", "has no port from 1 to 65535"},
      {"host=a port=1x", "has no port from 1 to 65535"},
      {"host=a port=5432,5433", "has no port from 1 to 65535"},
      {"host", "is no connection string"},
      {"host='a password=secret", "is no connection string"},
      {"nonsense=1", "is no connection string"},
  }));
  CAPTURE(conninfo);
  CHECK(Conninfo(conninfo) == where);
}

}  // namespace waypost
