// Reads and writes over several doors at once and checks every read; see history.h for what it must
// see, and bench/README.md for how to run it. Prints JSON. Exit code 1 if it could not run, not if
// it found something.
#include <CLI/CLI.hpp>

#include <iostream>
#include <thread>

#include "tests/consistency/workload.h"

namespace {

using consistency::Clock;
using consistency::Plan;
using consistency::Run;

struct Options {
  std::vector<int> through;
  int primary = 0;
  double seconds = 30;
  std::string user = "openfire", password = "openfire", database = "openfire", writer = "", owner = "postgres";
};

std::string Conninfo(const Options& options, const std::string& user, int port) {
  return "host=127.0.0.1 port=" + std::to_string(port) + " user=" + user + " password=" + options.password +
         " dbname=" + options.database + " sslmode=disable gssencmode=disable connect_timeout=10 application_name=checker";
}

// Until enough was read or the time is over. False if for a minute nothing was read at all.
bool Wait(const Run& run, const Plan& plan, double seconds) {
  constexpr auto kStuck = std::chrono::seconds(60);
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  auto moved = Clock::now();
  std::uint64_t last = 0;
  while (Clock::now() < end && (plan.reads_wanted == 0 || run.reads() < plan.reads_wanted)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (run.reads() != last) moved = Clock::now();
    last = run.reads();
    if (Clock::now() - moved > kStuck) return false;
  }
  return true;
}

int Main(const Plan& plan, const std::string& owner, double seconds) {
  Run run(plan);
  const std::string error = run.SetUp(owner);
  if (!error.empty()) {
    std::cerr << "cannot make the tables: " << error << '\n';
    return 1;
  }
  std::cerr << "ready\n";
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < plan.writer_threads; ++i) {
    threads.emplace_back([&run, i](const std::stop_token& stop) { run.Write(stop, i); });
  }
  for (unsigned i = 0; i < plan.reader_threads; ++i) {
    threads.emplace_back([&run, i](const std::stop_token& stop) { run.Read(stop, i); });
  }
  const auto uses = [](const std::vector<std::string>& kinds, const char* kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (uses(plan.reads, "ddl")) threads.emplace_back([&run](const std::stop_token& stop) { run.ChangeSchema(stop); });
  if (uses(plan.writes, "notify")) threads.emplace_back([&run](const std::stop_token& stop) { run.Listen(stop); });

  const auto begun = Clock::now();
  const bool moved = Wait(run, plan, seconds);
  const std::chrono::duration<double> took = Clock::now() - begun;
  std::cout << run.Json(took.count()) << std::endl;
  if (!moved) std::cerr << "nothing was read for a minute\n";
  for (std::jthread& thread : threads) thread.request_stop();
  // Threads may sit in a commit wait that nothing ends: they are not waited for.
  std::quick_exit(moved ? 0 : 1);
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  plan.reads = consistency::ReadKinds();
  plan.writes = consistency::WriteKinds();
  Options options;
  CLI::App app("Checks that no read is stale.");
  app.add_option("--through", options.through, "ports of the balancers to read and write through")->required()->delimiter(',');
  app.add_option("--primary", options.primary, "port of the primary itself, for writers that go past")->required();
  app.add_option("--user", options.user);
  app.add_option("--writer", options.writer, "role that writes past the balancers; default: the same");
  app.add_option("--owner", options.owner, "superuser that makes the tables");
  app.add_option("--password", options.password, "of all three");
  app.add_option("--database", options.database);
  app.add_option("--reads", plan.reads_wanted, "stop after so many; 0: when the time is over");
  app.add_option("--seconds", options.seconds);
  app.add_option("--write-rate", plan.write_rate, "writes per second; 0: as fast as possible");
  app.add_option("--readers", plan.reader_threads);
  app.add_option("--writers", plan.writer_threads);
  app.add_option("--read-kinds", plan.reads)->delimiter(',')->check(CLI::IsMember(consistency::ReadKinds()));
  app.add_option("--write-kinds", plan.writes)->delimiter(',')->check(CLI::IsMember(consistency::WriteKinds()));
  CLI11_PARSE(app, argc, argv);
  const std::string& writer = options.writer.empty() ? options.user : options.writer;
  for (std::size_t i = 0; i < options.through.size(); ++i) {
    const std::string name = "door" + std::to_string(i + 1);
    plan.readers.push_back({name, Conninfo(options, options.user, options.through[i])});
    plan.writers.push_back({name, Conninfo(options, options.user, options.through[i])});
  }
  plan.writers.push_back({"primary", Conninfo(options, writer, options.primary)});
  return Main(plan, Conninfo(options, options.owner, options.primary), options.seconds);
}
