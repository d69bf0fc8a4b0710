#include "core/cli/commands.h"

#include <CLI/CLI.hpp>
#include <tuple>

#include "core/cli/options.h"

namespace waypost {

AdminCommands::AdminCommands(CLI::App& app, std::string& config) : options_(std::make_unique<Options>(config)) {
  auto& options = *options_;
  const auto add = [&](const char* name, const char* about, int (Options::*run)() const) -> CLI::App& {
    auto& command = *app.add_subcommand(name, about);
    command.group("Commands to a running Waypost");
    command
        .add_option("-c,--config", options.config,
                    std::string("The running Waypost's configuration (default: ") + kUsualConfig + ", if there)")
        ->type_name("FILE");
    command.add_option("--url", options.address.url, "Where its admin port is, instead")->type_name("http://HOST:PORT");
    command.add_option("--socket", options.address.socket, "The Unix socket of its admin port, instead")->type_name("PATH");
    command
        .add_option("--token-file", options.token_file,
                    "A file whose first line is the token (default: the variable WAYPOST_TOKEN)")
        ->type_name("FILE");
    command.add_flag("--json", options.as_json, "Print what the API answers, as it is");
    command.callback([this, run] {
      chosen_ = [this, run] {
        const int prepared = options_->Prepare();
        return prepared == kExitOk ? (options_.get()->*run)() : prepared;
      };
    });
    return command;
  };
  add("status", "Print how it goes, and what is wrong", &Options::Status);
  add("servers", "Print each server: role, lag, connections, and why it is not read from", &Options::Servers);
  add("pools", "Print the pools of server connections", &Options::Pools);
  auto& sessions = add("sessions", "Print who is connected and what he does", &Options::Sessions);
  sessions.add_option("id", options.id, "One of them, in full")->type_name("SESSION");
  sessions.add_option("-u,--user", options.user, "Only this user's");
  sessions.add_option("-d,--database", options.database, "Only those of this database");
  sessions.add_option("--application", options.application, "Only those of this application_name");
  sessions.add_option("--server", options.server, "Only those that hold a connection to this server");
  sessions.add_option("--state", options.state, "Only those in this state: active, idle, waiting, \"idle in transaction\" ...");
  sessions.add_flag("--pinned", options.pinned, "Only those that are tied to their server connection");
  sessions.add_option("--offset", options.offset, "Leave out so many")->check(CLI::NonNegativeNumber);
  auto& digests = add("digests", "Print what ran, by class of statement", &Options::Digests);
  digests.add_option("--sort", options.sort, "By calls, time (the default), rows, errors or fallbacks")
      ->check(CLI::IsMember({"calls", "time", "rows", "errors", "fallbacks"}));
  auto& top = add("top", "Show all the time how much goes where, who waits, and which statements take the time", &Options::Top);
  top.add_option("--interval", options.interval, "How often")->capture_default_str()->type_name("TIME");
  top.add_flag("--once", options.once, "Print what went on in one interval, and end");
  top.get_option("--json")->description("Print an object for each interval");
  auto& events = add("events", "Print what happened", &Options::Events);
  events.add_flag("-f,--follow", options.follow, "Go on with what happens, until interrupted");
  events.add_option("--since", options.since, "Only what came after the event of this number")->check(CLI::NonNegativeNumber);
  for (const auto& [name, about, run] :
       {std::tuple{"drain", "Let no read begin on a replica any more, and empty it", &Options::Drain},
        std::tuple{"maintenance", "The same, and make no events of what is done to it", &Options::Maintenance}}) {
    auto& command = add(name, about, run);
    command.add_option("server", options.server, "The name of a [[server]]")->required()->type_name("SERVER");
    command.add_option("--deadline", options.deadline, "When what still runs there is ended (default: never)")->type_name("10m");
    command.add_flag("--wait", options.wait, "Wait until no connection to it is left, and say how many are");
  }
  add("activate", "End drain and maintenance of a server", &Options::Activate)
      .add_option("server", options.server, "The name of a [[server]]")
      ->required()
      ->type_name("SERVER");
  auto& pause = add("pause", "Hold what clients send, for a switch-over", &Options::Pause);
  pause.add_flag("--writes", options.writes_only, "Hold only what would begin on the primary, except single reads");
  pause.add_option("--limit", options.pause_limit, "When it goes on by itself")->capture_default_str()->type_name("60s");
  pause.add_flag("--wait", options.wait, "Wait until nothing of what is held runs any more, and say what still does");
  add("resume", "Let it go on", &Options::Resume);
  for (const auto& [name, about, run] : {std::tuple{"kill", "End a session: it gets 57P01", &Options::Kill},
                                         std::tuple{"cancel", "Cancel what a session runs", &Options::Cancel}})
    add(name, about, run).add_option("id", options.id, "As waypost sessions shows it")->required()->type_name("SESSION");
  auto& trace = add("trace", "Follow a session for a while: each of its statements, and what it waited for", &Options::Trace);
  trace.add_option("id", options.id, "As waypost sessions shows it")->required()->type_name("SESSION");
  trace.add_option("--for", options.trace_for, "How long, at most 10m")->capture_default_str()->type_name("TIME");
  trace.get_option("--json")->description("Print an object for each statement");
  add("reload", "Load the configuration again, and print what changed", &Options::Reload)
      .add_flag("--dry-run", options.dry_run, "Only print what would change");
  add("log-level", "Set the level of the log until the next reload, or print it", &Options::LogLevel)
      .add_option("level", options.level, "trace, debug, info, warning or error")
      ->type_name("LEVEL");
  add("upgrade", "Let the program that is on disk now take the place of the running one", &Options::Upgrade);
  for (auto* one : {&sessions, &digests, &events})
    one->add_option("--limit", options.limit, "At most so many")->check(CLI::PositiveNumber);
  for (auto* one : {&sessions, &digests}) one->add_flag("--wide", options.whole, "Print statements whole");
}

AdminCommands::~AdminCommands() = default;

std::optional<int> AdminCommands::Run() { return chosen_ ? std::optional(chosen_()) : std::nullopt; }

}  // namespace waypost
