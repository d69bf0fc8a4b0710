// What was given to a command that asks a running Waypost, and how it asks. For core/cli itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/cli/address.h"
#include "core/cli/commands.h"
#include "core/cli/exit_codes.h"
#include "core/cli/http.h"

namespace waypost {

// To standard error; returns `code`.
int Complain(int code, const std::string& message);
// "30s" as 30; nothing: it is no span of whole seconds, which is said.
[[nodiscard]] std::optional<std::chrono::seconds> WholeSeconds(const char* option, const std::string& text);
// To standard output, at once.
void Say(const std::string& text);
// What an answer that is no success says, and the exit code for it.
[[nodiscard]] int Refused(const HttpAnswer& answer);

struct AdminCommands::Options {
  explicit Options(std::string& config_file) : config(config_file) {}

  std::string& config;
  AddressOptions address;
  std::string token_file;
  bool as_json = false;
  // Of single commands.
  std::string id, user, database, application, server, state, sort, limit, offset, since;
  bool pinned = false, whole = false, follow = false;
  std::string level, deadline, pause_limit = "60s";
  bool wait = false, writes_only = false, dry_run = false;
  std::string interval = "2s", trace_for = "30s";
  bool once = false;

  // Who is asked, once it is known.
  std::vector<AdminAddress> ways;
  std::string token;

  [[nodiscard]] int Prepare();
  // The answer of the first that can be reached; else why there is none.
  [[nodiscard]] Result<HttpAnswer, NotReached> Try(HttpQuestion question, const HttpReader& reader = {}) const;
  // The same, but what went wrong has been said.
  [[nodiscard]] std::optional<HttpAnswer> Send(const HttpQuestion& question, const HttpReader& reader = {}) const;
  // Prints what `render` makes of the answer to a GET of `path`, or with --json the answer.
  [[nodiscard]] int Show(const std::string& path, const std::function<std::string(const std::string&)>& render) const;
  // The body of a GET of `path`; empty if there is none.
  [[nodiscard]] std::string Fetch(const std::string& path) const;

  // Sends what changes something, and prints what `render` makes of the answer, or with --json the answer.
  [[nodiscard]] int Change(const HttpQuestion& question, const std::function<std::string(const std::string&)>& render) const;

  // looks.cc
  [[nodiscard]] int Status() const;
  [[nodiscard]] int Servers() const;
  [[nodiscard]] int Sessions() const;
  [[nodiscard]] int Pools() const;
  [[nodiscard]] int Digests() const;
  [[nodiscard]] int Events() const;
  [[nodiscard]] int Follow(const std::string& path) const;

  // watch.cc
  [[nodiscard]] int Top() const;
  [[nodiscard]] int Trace() const;

  // changes.cc
  [[nodiscard]] int Drain() const { return SetIntent("drain"); }
  [[nodiscard]] int Maintenance() const { return SetIntent("maintenance"); }
  [[nodiscard]] int Activate() const { return SetIntent("active"); }
  [[nodiscard]] int SetIntent(const char* intent) const;
  [[nodiscard]] int WaitUntilEmpty(std::optional<std::chrono::seconds> server_deadline) const;
  [[nodiscard]] int Pause() const;
  [[nodiscard]] int WaitUntilStill() const;
  [[nodiscard]] int Resume() const;
  [[nodiscard]] int Kill() const;
  [[nodiscard]] int Cancel() const;
  [[nodiscard]] int Reload() const;
  [[nodiscard]] int LogLevel() const;

  // upgrade.cc
  [[nodiscard]] int Upgrade() const;
  [[nodiscard]] int WaitForSuccessor(const AdminAddress& way, int before, std::uint64_t last_event) const;
};

}  // namespace waypost
