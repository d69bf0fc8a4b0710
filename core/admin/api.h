// What the admin port answers, without sockets: a request in, a response out. Read-only: nothing
// here changes anything. Thread-safe as long as the sources are. Errors are
// application/problem+json (RFC 9457).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/fence/report.h"
#include "core/observe/digests.h"
#include "core/observe/explain_route.h"
#include "metrics/exporter.h"
#include "metrics/worker_metrics.h"
#include "routing/cluster_view.h"

namespace waypost {

inline constexpr std::size_t kMaxAdminBodyBytes = 1U << 20U;

// What the process knows of itself.
struct RunStatus {
  bool accepting = false;  // workers take new clients
  bool draining = false;
  unsigned workers = 0;
  unsigned max_clients = 0;
  std::uint64_t held_statements = 0;
  std::string config_path;
  bool reload_ok = true;  // the last load of the configuration succeeded
  std::string reload_error;
  std::chrono::system_clock::time_point config_loaded{};  // when one last succeeded
};

// Where the answers come from. All are called from several threads at once and must not block for
// long.
struct AdminSources {
  std::function<View()> view;                              // may answer null: nothing is known yet
  std::function<RouteAnswer(const RouteQuestion&)> route;  // empty: 503
  std::function<DigestReport()> digests;                   // empty: 503
  std::function<FenceReport()> fence;                      // empty: nothing is known of it
  std::function<RunStatus()> run;
  std::function<std::string()> kept_reads;                 // KeptReadsWatch::why; empty: ""
  std::function<std::vector<std::string>()> rules;  // names, as they are numbered in the metrics; may be empty
  std::vector<const WorkerMetrics*> threads;  // workers and prober; must outlive the API
  std::string default_database = "postgres";  // of a question that names none
};

struct AdminRequest {
  std::string method, path, body;
  std::map<std::string, std::string> query = {};  // of the URL
};
struct AdminResponse {
  int status = 200;
  std::string content_type, body;
  std::string allow;  // of a 405
};

class AdminApi {
 public:
  explicit AdminApi(AdminSources sources);

  // Never throws.
  [[nodiscard]] AdminResponse Handle(const AdminRequest& request) noexcept;

  // Counts an answer, including those that the HTTP layer gives by itself.
  void Count(std::string_view method, std::string_view path, int status);

  // An error answer: `title` is what is wrong in general, `detail` what is wrong here.
  [[nodiscard]] static AdminResponse Problem(int status, std::string_view title, std::string_view detail);

 private:
  struct Route;
  [[nodiscard]] static const std::vector<Route>& Routes();

  AdminResponse Metrics(const AdminRequest&);
  AdminResponse Health(const AdminRequest&);
  AdminResponse Ready(const AdminRequest&);
  AdminResponse Index(const AdminRequest&);
  AdminResponse Status(const AdminRequest&);
  AdminResponse Servers(const AdminRequest&);
  AdminResponse AskRoute(const AdminRequest& request);
  AdminResponse AskDigests(const AdminRequest& request);
  AdminResponse Shadow(const AdminRequest&);

  [[nodiscard]] std::string KeptReads() const { return sources_.kept_reads ? sources_.kept_reads() : ""; }
  void AddOwnMetrics(ScrapeOutput& output);

  const AdminSources sources_;
  const std::chrono::system_clock::time_point started_;
  Exporter exporter_;
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, int>, std::uint64_t> requests_;  // under mutex_
};

}  // namespace waypost
