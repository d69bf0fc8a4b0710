#include "core/cluster/patroni.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/cluster/control_query.h"
#include "core/net/http.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr milliseconds kConnect{1'000}, kAnswer{2'000};
// Deeper ones are not read: the real one has three levels, and "tags" may hold what somebody likes.
constexpr int kMaxDepth = 16;

// "" if it is not there, nothing if it is something else than a text.
std::optional<std::string> TextAt(const json& member, const char* key) {
  const auto at = member.find(key);
  if (at == member.end() || at->is_null()) return "";
  if (!at->is_string()) return std::nullopt;
  return at->get<std::string>();
}

// 0 if it is not there.
std::optional<std::uint16_t> PortAt(const json& member) {
  const auto at = member.find("port");
  if (at == member.end() || at->is_null()) return 0;
  if (!at->is_number_unsigned() || at->get<std::uint64_t>() > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  return at->get<std::uint16_t>();
}

Result<FoundServer> ReadMember(const json& member) {
  if (!member.is_object()) return Error{std::string("a member is ") + member.type_name() + ", expected an object"};
  const auto name = TextAt(member, "name"), host = TextAt(member, "host"), role = TextAt(member, "role");
  if (!name || name->empty()) return Error{"a member has no \"name\""};
  if (!host) return Error{"\"host\" of a member is no text"};
  if (!role) return Error{"\"role\" of a member is no text"};
  const auto port = PortAt(member);
  if (!port) return Error{"\"port\" of a member is no number from 0 to 65535"};
  FoundServer found{.name = *name, .host = *host, .port = *port};
  if (found.port == 0) found.host.clear();  // it is being made
  found.primary = role == "leader" || role == "master" || role == "primary";
  return found;
}

}  // namespace

Result<std::vector<FoundServer>> ReadPatroniCluster(std::string_view text) {
  bool deep = false;
  const auto shallow = [&deep](int depth, json::parse_event_t, json&) {
    deep |= depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  const auto body = json::parse(text, shallow, false);
  if (body.is_discarded() || deep) return Error{"found no JSON, or too deep, expected the answer of Patroni to GET /cluster"};
  if (!body.is_object()) return Error{std::string("found ") + body.type_name() + ", expected an object"};
  const auto members = body.find("members");
  if (members == body.end() || !members->is_array())
    return Error{"found no list \"members\", expected the servers of the cluster"};
  // That there are too many is said when the list is judged.
  std::vector<FoundServer> list;
  for (const auto& member : *members) {
    auto found = ReadMember(member);
    if (!found) return Error{found.error()};
    list.push_back(std::move(*found));
    if (list.size() > Membership::kMaxListed) break;
  }
  return list;
}

Result<std::vector<FoundServer>> AskPatroni(const std::string& url, const std::string& ca) {
  HttpRequest request;
  request.url = url + (url.ends_with('/') ? "cluster" : "/cluster");
  request.authority = ca;
  request.connect_limit = kConnect;
  request.limit = kAnswer;
  std::string body;
  bool too_long = false;
  const auto status = SendHttp(request, [&](long, std::string_view part) {
    too_long = body.size() + part.size() > kMaxPatroniBytes;
    if (!too_long) body += part;
    return !too_long;
  });
  if (!status) return Error{FirstLine(status.fault().message)};
  if (too_long) return Error{"it answers with more than " + std::to_string(kMaxPatroniBytes) + " bytes"};
  if (*status != 200) return Error{"it answers with the status " + std::to_string(*status)};
  return ReadPatroniCluster(body);
}

}  // namespace waypost
