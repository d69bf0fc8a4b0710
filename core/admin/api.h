// What the admin port answers, without sockets: a request in, a response out; who may ask for what. Thread-safe as long as the sources are. Errors are
// application/problem+json (RFC 9457).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/admin/access.h"
#include "core/admin/events.h"
#include "core/admin/webhook.h"
#include "core/config/config.h"
#include "core/config/values.h"
#include "core/fence/report.h"
#include "core/observe/census.h"
#include "core/observe/digests.h"
#include "core/observe/explain_route.h"
#include "core/observe/followed_sessions.h"
#include "core/observe/span_exporter.h"
#include "metrics/exporter.h"
#include "metrics/worker_metrics.h"
#include "routing/cluster_view.h"
#include "routing/intents.h"
#include "routing/policy.h"

namespace waypost {

inline constexpr std::size_t kMaxAdminHeadBytes = 8U << 10U;  // of a request: its first line and its headers
inline constexpr std::size_t kMaxAdminBodyBytes = 64U << 10U;
inline constexpr std::size_t kMaxAdminSqlBytes = 1U << 20U;  // of POST /api/v1/route: as much as a session reads of one statement

// What came of looking for servers elsewhere than in the configuration.
struct DiscoveryStatus {
  std::string source;  // "patroni", "repmgr"; empty: nothing is looked for
  std::string from;  // who gave the last list: a URL, or the name of a server; empty: there was none yet
  std::size_t listed = 0;  // servers on it
  std::chrono::system_clock::time_point at{};  // when it was read
  std::string error;  // why the last look changed nothing although it had to; empty: all is well
  std::string contradiction;  // it has another primary than Waypost; empty: it has the same, or none
};

// What the process knows of itself.
struct RunStatus {
  bool accepting = false;  // workers take new clients
  bool draining = false;
  unsigned workers = 0;
  unsigned max_clients = 0;
  std::uint64_t held_statements = 0;
  std::chrono::duration<double> longest_turn{0};  // of a worker, lately
  ReadFrom read_from = ReadFrom::kSynchronous;  // of [routing]
  std::string config_path;
  bool reload_ok = true;  // the last load of the configuration succeeded
  std::string reload_error;
  std::chrono::system_clock::time_point config_loaded{};  // when one last succeeded
  DiscoveryStatus discovery;
};

// What is asked for a server; what is empty stays as it is.
struct IntentWish {
  std::optional<Intent> intent;
  std::optional<unsigned> weight;
  std::optional<std::chrono::seconds> deadline;  // then what still runs there is ended; empty: it may take its time
};
struct AdminChange {
  int status = 200;
  std::string detail;  // why not
};
struct ClusterPause {
  std::string what;  // "writes", "all"
  std::chrono::system_clock::time_point since{}, until{};
};
// A database that is not as all are.
struct GatedDatabase {
  std::string name;
  std::optional<std::chrono::system_clock::time_point> held_until;
  bool disabled = false;
};
struct ReloadReport {
  std::string error;  // of the file; nothing was changed
  std::vector<ConfigChange> changed;
  std::vector<std::string> restart_needed;  // keys of `changed` that wait for a restart
};
using Deadlines = std::map<std::string, std::chrono::system_clock::time_point>;  // by server

// A file of the web page, embedded in the program.
struct StaticFile {
  std::string_view path;  // of the URL, from "/"
  std::string_view content_type;
  std::string_view bytes;
  std::vector<std::pair<std::string, std::string>> headers = {};  // Content-Security-Policy and so on
};

// Where the answers come from. All are called from several threads at once and must not block for
// long.
struct AdminSources {
  std::function<View()> view;  // may answer null: nothing is known yet
  std::function<RouteAnswer(const RouteQuestion&)> route;  // empty: 503
  std::function<DigestReport()> digests;  // empty: 503
  std::function<FenceReport()> fence;  // empty: nothing is known of it
  FollowedSessions* followed = nullptr;  // null: 503
  const Census* census = nullptr;  // sessions, pools and server connections; null: 503
  std::function<RunStatus()> run;
  std::function<std::string()> kept_reads;  // KeptReadsWatch::why; empty: ""
  std::function<const StaticFile*(std::string_view path)>
      files;  // null: there is none; it lives as long as the API; may be empty
  std::function<SpanExporter::Counts()> spans;  // may be empty
  std::function<Webhook::Counts()> webhook;  // may be empty
  std::function<std::vector<std::string>()> rules;  // names, as they are numbered in the metrics; may be empty
  // Null: whoever asks is admin (for tests of what is answered).
  AdminAccess* access = nullptr;
  AdminEvents* events = nullptr;
  // What can be changed; empty: 503.
  std::function<AdminChange(const std::string& server, const IntentWish& wish)> set_intent;
  std::function<Deadlines()> deadlines;
  std::function<void(const std::string& what, std::chrono::seconds limit)> pause;
  std::function<void()> resume;
  std::function<std::optional<ClusterPause>()> paused;
  std::function<std::vector<GatedDatabase>()> gates;  // may be empty: there are none
  std::function<ReloadReport(bool dry_run)> reload;
  std::function<std::vector<ConfigValue>()> config_values;
  std::function<ConfigSnapshot()> config;
  std::function<std::string()> log_level;
  std::function<void(const std::string&)> set_log_level;  // one of LogLevelName, or "warning"
  std::function<void()> reset_digests;
  std::vector<const WorkerMetrics*> threads;  // workers and prober; must outlive the API
  std::string default_database = "postgres";  // of a question that names none
};

struct AdminRequest {
  std::string method, path, body;
  std::map<std::string, std::string> query = {};  // of the URL
  AdminPeer peer = {};
  AdminCredentials credentials = {};
  AdminIdentity who = {};  // by Handle()
  std::string argument = {};  // by Handle(): what stands in the path for {name}
};
struct AdminResponse {
  int status = 200;
  std::string content_type, body;
  std::string allow;  // of a 405
  std::vector<std::pair<std::string, std::string>> headers = {};  // more of them
};

// Who answers a request, so that those that may not wait never wait for those that take time.
enum class AdminWork : std::uint8_t {
  kAtOnce,  // the thread of the HTTP server itself: no waiting, no work to speak of
  kMetrics,  // a scrape
  kLook,  // asks the workers, or gathers much
  kCostly,  // parses what the client sent
};

inline constexpr const char* kSessionCookie = "waypost_session";

// openapi.json, as it is served.
[[nodiscard]] std::string_view OpenApiDocument();

// An event as text/event-stream has it.
[[nodiscard]] std::string EventText(const AdminEvent& event);

class AdminApi {
 public:
  explicit AdminApi(AdminSources sources);

  // Never throws.
  [[nodiscard]] AdminResponse Handle(const AdminRequest& request) noexcept;

  // Who should call Handle() for such a request.
  [[nodiscard]] static AdminWork WorkOf(std::string_view method, std::string_view path);
  // How long the body of such a request may be.
  [[nodiscard]] static std::size_t MostBodyBytes(std::string_view method, std::string_view path);

  // Each path and who may ask for it; for the tests.
  struct Permission {
    std::string method, path;
    AdminRole role;
  };
  [[nodiscard]] static std::vector<Permission> Permissions();

  [[nodiscard]] AdminEvents* events() const { return sources_.events; }

  // Counts an answer, including those that the HTTP layer gives by itself.
  void Count(std::string_view method, std::string_view path, int status);

  // An error answer: `title` is what is wrong in general, `detail` what is wrong here.
  [[nodiscard]] static AdminResponse Problem(int status, std::string_view title, std::string_view detail);

 private:
  struct Route;
  [[nodiscard]] static const std::vector<Route>& Routes();

  // Whether who asks may ask for that; the answer if he may not, else who he is is put into `request`.
  [[nodiscard]] std::optional<AdminResponse> Admit(AdminRequest& request);

  AdminResponse Metrics(const AdminRequest&);
  AdminResponse Health(const AdminRequest&);
  AdminResponse Ready(const AdminRequest&);
  AdminResponse Index(const AdminRequest&);
  AdminResponse Status(const AdminRequest&);
  AdminResponse Servers(const AdminRequest&);
  AdminResponse AskRoute(const AdminRequest& request);
  AdminResponse AskDigests(const AdminRequest& request);
  AdminResponse Shadow(const AdminRequest&);
  AdminResponse OpenApi(const AdminRequest&);
  // sessions.cc
  AdminResponse ListSessions(const AdminRequest& request);
  AdminResponse ShowSession(const AdminRequest& request);
  AdminResponse EndSession(const AdminRequest& request);
  AdminResponse CancelSession(const AdminRequest& request);
  AdminResponse EndOrCancel(const AdminRequest& request, bool end);
  AdminResponse ListPools(const AdminRequest&);
  // traces.cc
  AdminResponse BeginTrace(const AdminRequest& request);
  AdminResponse ShowTrace(const AdminRequest& request);
  AdminResponse EndTrace(const AdminRequest& request);
  // changes.cc
  AdminResponse Me(const AdminRequest& request);
  AdminResponse LogIn(const AdminRequest& request);
  AdminResponse LogOut(const AdminRequest& request);
  AdminResponse ChangeServer(const AdminRequest& request);
  AdminResponse PauseCluster(const AdminRequest& request);
  AdminResponse ResumeCluster(const AdminRequest& request);
  AdminResponse Cluster(const AdminRequest&);
  AdminResponse ResetDigests(const AdminRequest& request);
  AdminResponse ShowRules(const AdminRequest&);
  AdminResponse ShowConfig(const AdminRequest&);
  AdminResponse ReloadConfig(const AdminRequest& request);
  AdminResponse ShowLog(const AdminRequest&);
  AdminResponse ChangeLog(const AdminRequest& request);
  AdminResponse ListEvents(const AdminRequest& request);

  [[nodiscard]] static const Route* Find(std::string_view method, std::string_view path, std::string& argument,
                                         std::string& allow);
  [[nodiscard]] static AdminResponse Denied(const AdminAccess::Answer& answer);
  [[nodiscard]] Deadlines CurrentDeadlines() const { return sources_.deadlines ? sources_.deadlines() : Deadlines(); }
  void Audit(const AdminRequest& request, const std::string& what, const std::string& before, const std::string& after);

  [[nodiscard]] std::string KeptReads() const { return sources_.kept_reads ? sources_.kept_reads() : ""; }
  void AddOwnMetrics(ScrapeOutput& output);

  const AdminSources sources_;
  const std::chrono::system_clock::time_point started_;
  Exporter exporter_;
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, int>, std::uint64_t> requests_;  // under mutex_
};

}  // namespace waypost
