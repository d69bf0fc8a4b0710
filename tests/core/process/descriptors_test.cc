#include "core/process/descriptors.h"

#include <catch2/catch.hpp>

using namespace waypost;

namespace {

Config Configured(unsigned max_clients, unsigned max_logins, unsigned servers, unsigned max_connections) {
  Config config;
  config.listeners.emplace_back();
  config.max_clients = max_clients;
  config.max_logins = max_logins;
  for (unsigned i = 0; i < servers; ++i) config.servers.emplace_back().max_connections = max_connections;
  return config;
}

std::uint64_t Allowed(const Config& config) {
  std::uint64_t all = config.max_clients + config.max_logins;
  for (const auto& server : config.servers) all += server.max_connections;
  return all;
}

}  // namespace

TEST_CASE("what fits into the limit of descriptors stays as it is configured", "[core][descriptors]") {
  auto config = Configured(10'000, 1'000, 3, 100);
  const auto plan = FitDescriptors(config, 2, 1'000'000);
  CHECK(plan.fits());
  CHECK(plan.needed > 11'300);
  CHECK(plan.needed < 12'000);
  CHECK(Allowed(config) == 11'300);
  CHECK(FitDescriptors(config, 2, plan.needed).fits());
  CHECK(Allowed(config) == 11'300);
}

TEST_CASE("clients give way to server connections", "[core][descriptors]") {
  auto config = Configured(10'000, 1'000, 3, 100);
  const auto plan = FitDescriptors(config, 2, 4'096);
  CHECK_FALSE(plan.fits());
  CHECK(config.servers[0].max_connections == 100);
  CHECK(config.max_clients > 2'000);
  CHECK(config.max_logins >= 500);
  CHECK(Allowed(config) < 4'096 - 50);
}

TEST_CASE("whatever the limit, all that is allowed fits into it, and something is allowed", "[core][descriptors]") {
  const auto limit = GENERATE(0U, 1U, 64U, 128U, 200U, 256U, 300U, 512U, 1'024U, 4'096U, 11'000U);
  const auto workers = GENERATE(1U, 2U, 16U);
  CAPTURE(limit, workers);
  auto config = Configured(10'000, 1'000, 3, 100);
  FitDescriptors(config, workers, limit);
  CHECK(config.max_clients >= 1);
  CHECK(config.max_logins >= 1);
  for (const auto& server : config.servers) CHECK(server.max_connections >= 1);
  CHECK((Allowed(config) < limit || Allowed(config) == 5));
}
