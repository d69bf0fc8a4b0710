#include "core/process/cli.h"
#include "core/config/server_names.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/admin/access.h"
#include "core/admin/json.h"
#include "core/base/log.h"
#include "core/catalog/loader.h"
#include "core/cli/commands.h"
#include "core/cluster/accept.h"
#include "core/cluster/control_query.h"
#include "core/cluster/prober.h"
#include "core/config/exposure.h"
#include "core/config/values.h"
#include "core/env/tls_in_force.h"
#include "core/observe/explain_route.h"
#include "core/process/app.h"
#include "routing/health.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr milliseconds kCatalogTimeout{10'000};
constexpr milliseconds kPollView{10};

struct Arguments {
  std::string config;
  RouteQuestion question;
  bool offline = false, as_json = false;
  std::string server;
  std::string role, token_name = "unnamed", tokens_file;
};

void Complain(const std::string& message) { std::fprintf(stderr, "%s\n", message.c_str()); }

// Nothing: it cannot be used, and why is said; then the exit code is kExitConfig.
std::optional<Config> LoadOrComplain(const std::string& path) {
  auto config = LoadConfig(path);
  if (config) return std::move(*config);
  Complain(config.error());
  return std::nullopt;
}

int Run(const Arguments& arguments) {
  auto config = LoadOrComplain(arguments.config);
  if (!config) return kExitConfig;
  if (!ConfigureLog(config->log)) {
    Complain(arguments.config + ":log.file: cannot open " + config->log.file + " for appending: " + std::strerror(errno));
    return kExitConfig;
  }
  (void)std::signal(SIGPIPE, SIG_IGN);
  return RunWaypost(std::move(*config));
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool IsLoopBack(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

void Say(const json& object) { std::printf("%s\n", object.dump(-1, ' ', false, json::error_handler_t::replace).c_str()); }

// What is right, but may not be meant so.
std::vector<std::string> WarningsOf(const Config& config) {
  std::vector<std::string> warnings;
  for (const auto& listener : config.listeners)
    if (listener.tls == ListenTls::kDisable && !IsLoopBack(listener.address))
      warnings.push_back("listen.tls: not set for " + listener.name + ". Passwords and data go unencrypted over the network");
  const bool asks = config.auth.hba && config.auth.hba->AsksForCertificates();
  for (const auto& listener : config.listeners) {
    if (asks && listener.tls != ListenTls::kDisable && listener.tls_client_ca.empty())
      warnings.push_back("listen.tls_client_ca: not set for " + listener.name +
                         ". Who comes there by a line of hba_file that asks for a certificate is refused");
    if (!asks && listener.tls_client_optional)
      warnings.push_back("listen.tls_client_verify: \"optional\" for " + listener.name +
                         ", and no line of hba_file asks for a certificate. Nobody needs one");
  }
  if (config.servers.size() == 2 && config.cluster.state_file.empty())
    warnings.emplace_back("cluster.state_file: not set. Of two servers both must then answer when Waypost starts");
  if (auto exposed = WhyExposed(config.path, ValuesOf(config.path)); !exposed.empty()) warnings.push_back(std::move(exposed));
  return warnings;
}

int Check(const Arguments& arguments) {
  const auto& path = arguments.config;
  const auto config = LoadConfig(path);
  std::string faults = config ? "" : config.error();
  if (config)
    if (const auto tls = TlsInForce().Load(*config); !tls) faults = tls.error();
  const auto warnings = faults.empty() ? WarningsOf(*config) : std::vector<std::string>();
  if (arguments.as_json) {
    Say({{"path", path}, {"ok", faults.empty()}, {"faults", LinesOf(faults)}, {"warnings", warnings}});
  } else if (!faults.empty()) {
    Complain(faults);
  } else {
    std::printf("%s: ok\n", path.c_str());
    for (const auto& warning : warnings) std::printf("%s: %s\n", path.c_str(), warning.c_str());
  }
  return faults.empty() ? kExitOk : kExitConfig;
}

// True once every server has answered or failed, and none is just about to be admitted.
bool Settled(const ClusterView& view) {
  return std::none_of(view.servers.begin(), view.servers.end(),
                      [](const ServerView& server) { return server.error == kNotAskedYet; });
}

View LookAtServers(const ConfigSnapshot& config) {
  const auto metrics = std::make_unique<WorkerMetrics>();
  Prober prober(config, *metrics, [](const View&) {});
  prober.Start();
  const TimePoint deadline = Clock::now() + config->monitor.timeout + 4 * config->monitor.interval;
  View view = prober.view();
  while (Clock::now() < deadline && !Settled(*view)) {
    std::this_thread::sleep_for(kPollView);
    view = prober.view();
  }
  return view;
}

void Print(const RouteQuestion& question, const RouteAnswer& answer, bool as_json) {
  if (as_json) {
    std::printf("%s", RouteJson(question, answer).c_str());
    return;
  }
  std::printf("database: %s\n", question.database.c_str());
  std::printf("target:   %s%s\n", answer.target.c_str(), answer.server.empty() ? "" : (" (" + answer.server + ")").c_str());
  std::printf("class:    %s\nreason:   %s\n", answer.cls.c_str(), answer.reason.c_str());
  for (const std::string& step : answer.path) std::printf("path:     %s\n", step.c_str());
  for (const std::string& why : answer.no_replica) std::printf("path:     %s\n", why.c_str());
  if (!answer.pin.empty()) std::printf("pin:      %s\n", answer.pin.c_str());
  if (answer.statements.size() < 2) return;
  for (std::size_t i = 0; i < answer.statements.size(); ++i) {
    const RouteStatement& statement = answer.statements[i];
    std::printf("statement %zu: %s, %s: %s\n", i + 1, statement.cls.c_str(), statement.reason.c_str(), statement.sql.c_str());
    for (const std::string& step : statement.path) std::printf("  path:   %s\n", step.c_str());
    if (!statement.pin.empty()) std::printf("  pin:    %s\n", statement.pin.c_str());
  }
}

int AskRoute(Arguments arguments) {
  // By the statement's text alone, no file is needed: then every key has its default.
  auto loaded = arguments.config.empty() ? Config{} : LoadOrComplain(arguments.config);
  if (!loaded) return kExitConfig;
  SetLogLevel(LogLevel::kError);
  const auto config = std::make_shared<const Config>(std::move(*loaded));
  RouteQuestion& question = arguments.question;
  if (question.database.empty()) {
    question.database = config->monitor.database;
    Complain("waypost: no --database given; answering for \"" + question.database + "\", the monitor's");
  }
  const auto names = NamesOnServers(*config, question.database, question.user);
  question.database = names.database;
  question.user = names.user;
  if (arguments.offline) {
    Print(question, ExplainRoute(question, *config, nullptr, nullptr, Clock::now()), arguments.as_json);
    return kExitOk;
  }
  const View view = LookAtServers(config);
  if (!view->primary) {
    Complain("waypost: " + WhyNoPrimary(*view));
    return kExitUnavailable;
  }
  const ServerView& primary = view->servers[*view->primary];
  const auto& server = *config->FindServer(primary.name);
  const auto catalog = LoadCatalog(MonitorConninfo(config->monitor, server, question.database, kCatalogTimeout) +
                                       AtAddressesIfNamedOtherwise(server, kCatalogTimeout),
                                   kCatalogTimeout);
  if (!catalog) {
    Complain("waypost: cannot read the catalogue of \"" + question.database + "\" on " + primary.name + ": " +
             FirstLine(catalog.error()));
    return kExitUnavailable;
  }
  // As of when the servers were looked at: reading the catalogue may take longer than a sample is
  // good for.
  Print(question, ExplainRoute(question, *config, view.get(), catalog->catalog.get(), primary.sampled), arguments.as_json);
  return kExitOk;
}

int Accept(const Arguments& arguments) {
  auto loaded = LoadOrComplain(arguments.config);
  if (!loaded) return kExitConfig;
  SetLogLevel(LogLevel::kError);
  const auto config = std::make_shared<const Config>(std::move(*loaded));
  const auto accepted = AcceptPrimary(*config, *LookAtServers(config), arguments.server);
  if (!accepted) {
    Complain("waypost: " + accepted.error());
    return kExitUnavailable;
  }
  if (arguments.as_json) Say({{"server", arguments.server}, {"accepted", true}, {"detail", *accepted}});
  else std::printf("%s\n", accepted->c_str());
  return kExitOk;
}

// The secret is shown once; the file keeps its hash.
int CreateToken(const Arguments& arguments) {
  auto path = arguments.tokens_file;
  if (path.empty() && !arguments.config.empty()) {
    const auto config = LoadConfig(arguments.config);
    if (!config) {
      Complain(config.error());
      return kExitConfig;
    }
    path = config->admin.tokens_file;
    if (path.empty())
      Complain(arguments.config + ": admin.tokens_file: not set; put the line below into the file that it will name");
  }
  const auto& name = arguments.token_name;
  if (name.empty() || name.size() > 63 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != std::string::npos) {
    Complain("waypost: found --name \"" + name + "\", expected letters, digits, '_', '-' and '.'");
    return kExitUsage;
  }
  const auto token = MakeToken(name, ParseAdminRole(arguments.role));
  if (!path.empty()) {
    if (const auto added = AppendToken(path, token.line); !added) {
      Complain("waypost: " + added.error());
      return kExitUnavailable;
    }
    Complain("Added to " + path + ", at once in force. The token, which is shown only now:");
  } else if (!arguments.as_json) {
    Complain("The line for [admin] tokens_file, whose mode must be 0600:\n" + token.line +
             "\nThe token, which is shown only now:");
  }
  if (arguments.as_json)
    Say({{"name", name},
         {"role", arguments.role},
         {"token", token.secret},
         {"line", token.line},
         {"file", path.empty() ? json(nullptr) : json(path)}});
  else std::printf("%s\n", token.secret.c_str());
  return kExitOk;
}

// A command's own --help shows what the command needs; it may be given ahead of the command as well.
void AddConfigOption(CLI::App& command, Arguments& arguments, const std::string& needed) {
  command.add_option("-c,--config", arguments.config, "The configuration file (TOML)" + needed)->type_name("FILE");
}

int Parse(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app{"Waypost: sends PostgreSQL writes to the primary and reads to its replicas"};
  app.name("waypost");
  app.set_version_flag("--version", "waypost " WAYPOST_VERSION);
  app.footer(
      "Exit codes: 0 success, 1 the running Waypost refuses, 64 wrong usage, 69 a port, a server or the running Waypost is not "
      "available, "
      "70 a bug, 77 it takes another role, 78 a fault in the configuration.");
  app.fallthrough();
  AddConfigOption(app, arguments, ", required");
  app.require_subcommand(0, 1);
  auto* check = app.add_subcommand("check", "Check the configuration and print every fault");
  AddConfigOption(*check, arguments, ", required");
  auto* route = app.add_subcommand("route", "Print where a statement would go, and why");
  AddConfigOption(*route, arguments, ", required unless --offline");
  route->add_option("-d,--database", arguments.question.database, "The database (default: the monitor's)");
  route->add_option("-u,--user", arguments.question.user, "The user whose policy applies");
  route->add_option("--search-path", arguments.question.search_path,
                    "Where unqualified names are looked up, written as for SET search_path");
  route->add_option("--application-name", arguments.question.application_name, "The application_name whose rules apply");
  route->add_flag("--offline", arguments.offline, "Ask no server: decide only by the text of the statement");
  route->add_option("sql", arguments.question.sql, "The statement, or several separated by ';'")->required()->type_name("SQL");
  auto* accept = app.add_subcommand(
      "accept", "Accept a server as the primary where Waypost refuses it, for instance after a restore to an older state");
  AddConfigOption(*accept, arguments, ", required");
  accept->add_option("server", arguments.server, "The name of a [[server]]")->required()->type_name("SERVER");
  auto* token = app.add_subcommand("token", "Tokens for the admin port");
  token->require_subcommand(1);
  auto* create = token->add_subcommand("create", "Make a token, print it once, and add its hash to [admin] tokens_file");
  AddConfigOption(*create, arguments, "");
  create->add_option("--role", arguments.role, "viewer, operator or admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "operator", "admin"}));
  create->add_option("--name", arguments.token_name, "Who has it, for the log");
  create->add_option("--file", arguments.tokens_file, "The tokens file, instead of the configuration's")->type_name("FILE");
  for (auto* command : {check, route, accept, create})
    command->add_flag("--json", arguments.as_json, "Print it as a JSON object");
  AdminCommands admin_commands(app, arguments.config);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (const auto done = admin_commands.Run()) return *done;
  if (create->parsed()) return CreateToken(arguments);
  if (arguments.config.empty() && !(route->parsed() && arguments.offline)) {
    Complain("waypost: --config FILE is required");
    return kExitUsage;
  }
  if (check->parsed()) return Check(arguments);
  if (accept->parsed()) return Accept(arguments);
  if (route->parsed()) return AskRoute(std::move(arguments));
  return Run(arguments);
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv) noexcept {
  try {
    return Parse(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "waypost: a bug: %s\n", error.what());
    return kExitBug;
  }
}

}  // namespace waypost
