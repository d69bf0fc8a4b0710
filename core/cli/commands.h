// The commands that ask a running Waypost, by its admin port: status, drain, kill ... What each says is the API's answer, as
// text for people or as it is (--json). Main thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace waypost {

class AdminCommands {
 public:
  // Adds them to `app`. Both must outlive this; `config` takes --config.
  AdminCommands(CLI::App& app, std::string& config);
  ~AdminCommands();
  AdminCommands(const AdminCommands&) = delete;
  AdminCommands& operator=(const AdminCommands&) = delete;

  // After `app` has parsed its arguments: runs the one of these commands that was given and returns the exit code; nothing if
  // none was.
  [[nodiscard]] std::optional<int> Run();

 private:
  struct Options;
  const std::unique_ptr<Options> options_;
  std::function<int()> chosen_;
};

}  // namespace waypost
