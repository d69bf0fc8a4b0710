#include "core/cluster/repmgr.h"

#include <libpq-fe.h>

#include <charconv>
#include <memory>
#include <string_view>

#include "core/cluster/control_link.h"
#include "core/cluster/control_query.h"

namespace waypost {
namespace {

constexpr milliseconds kTimeout{2'000};
constexpr std::uint16_t kDefaultPort = 5432;
// As many as are looked at, and one more, which shows that there are too many.
constexpr const char* kNodes =
    "SELECT node_name, type, active, pg_catalog.left(conninfo, 4096) FROM repmgr.nodes WHERE type <> 'witness'"
    " ORDER BY node_id LIMIT 65";

}  // namespace

std::string ReadNodeConninfo(const std::string& conninfo, FoundServer& found) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(PQconninfoParse(conninfo.c_str(), nullptr),
                                                                               &PQconninfoFree);
  if (!options) return "is no connection string";
  std::string host, hostaddr, port;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr) continue;
    if (keyword == "host") host = option->val;
    if (keyword == "hostaddr") hostaddr = option->val;
    if (keyword == "port") port = option->val;
  }
  found.host = host.empty() ? hostaddr : host;
  if (found.host.empty()) return "has no host";
  found.port = kDefaultPort;
  if (port.empty()) return "";
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), found.port);
  if (error != std::errc() || end != port.data() + port.size() || found.port == 0) return "has no port from 1 to 65535";
  return "";
}

Result<std::vector<FoundServer>> AskRepmgr(const Config& config, const ServerConfig& server) {
  ControlLink link(kTimeout);
  const auto conninfo = MonitorConninfo(config.monitor, server, config.cluster.discovery.repmgr_database, kTimeout) +
                        AtAddressesIfNamedOtherwise(server, kTimeout);
  link.Begin();
  if (const auto connected = link.Connect(conninfo); !connected) return Error{connected.error()};
  const auto answer = link.Ask(kNodes);
  if (!answer) return Error{answer.error()};
  const auto* rows = answer->get();
  if (PQresultStatus(rows) != PGRES_TUPLES_OK) return Error{FirstLine(PQresultErrorMessage(rows))};
  if (PQnfields(rows) != 4) return Error{"the answer has an unexpected form"};
  std::vector<FoundServer> list;
  for (int row = 0; row < PQntuples(rows); ++row) {
    const auto text = [&](int column) { return std::string(PQgetvalue(rows, row, column)); };
    FoundServer found;
    found.name = text(0);
    found.active = text(2) == "t";
    found.primary = found.active && text(1) == "primary";
    if (const auto wrong = ReadNodeConninfo(text(3), found); !wrong.empty())
      return Error{"conninfo of node \"" + FirstLine(found.name) + "\" in repmgr.nodes " + wrong};
    list.push_back(std::move(found));
  }
  return list;
}

}  // namespace waypost
