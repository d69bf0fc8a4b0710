#include "core/observe/trace.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <nlohmann/json.hpp>

#include "routing/ip.h"

namespace waypost {
namespace {

using Json = nlohmann::json;

// SpanKind and StatusCode of opentelemetry/proto/trace/v1/trace.proto.
constexpr int kInternal = 1, kServer = 2, kClient = 3;
constexpr int kError = 2;

template <std::size_t N>
std::string TextOf(const std::array<char, N>& id) {
  return {id.data(), id.size()};
}

// Numbers of 64 bits are strings in OTLP/JSON.
std::string Nanoseconds(std::chrono::system_clock::time_point time) {
  return std::to_string(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

void Add(Json& attributes, const char* key, const std::string& value) {
  if (!value.empty()) attributes.push_back({{"key", key}, {"value", {{"stringValue", value}}}});
}

void Add(Json& attributes, const char* key, std::uint64_t value) {
  attributes.push_back({{"key", key}, {"value", {{"intValue", std::to_string(value)}}}});
}

std::optional<std::uint64_t> WholeNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// `peer`: "192.0.2.1:5432".
void AddClient(Json& attributes, std::string_view peer) {
  const auto host = HostOfPeer(peer);
  Add(attributes, "client.address", std::string(host));
  const auto colon = peer.rfind(':');
  if (colon == std::string_view::npos) return;
  if (const auto port = WholeNumber(peer.substr(colon + 1))) Add(attributes, "client.port", *port);
}

// "SELECT openfire"
std::string NameOf(const TracedStatement& statement) {
  const auto word_end =
      std::ranges::find_if(statement.text, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) == 0; });
  std::string name(statement.text.begin(), word_end);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  if (name.empty()) name = "query";
  return name + " " + statement.database;
}

// What the spans of a statement and of its phases have in common. `phase`: from when to when.
Json Span(const TracedStatement& statement, const std::array<char, 16>& id, const std::string& name, int kind,
          const TracedStatement::Phase& phase, Json attributes) {
  return {{"traceId", TextOf(statement.trace)},
          {"spanId", TextOf(id)},
          {"name", name},
          {"kind", kind},
          {"startTimeUnixNano", Nanoseconds(statement.began + phase.after)},
          {"endTimeUnixNano", Nanoseconds(statement.began + phase.after + phase.took)},
          {"attributes", std::move(attributes)}};
}

Json SpanOf(const TracedStatement& statement) {
  Json attributes = Json::array();
  Add(attributes, "db.system.name", "postgresql");
  Add(attributes, "db.namespace", statement.database);
  Add(attributes, "db.query.text", statement.text);
  Add(attributes, "db.response.status_code", statement.sqlstate);
  Add(attributes, "db.response.returned_rows", statement.rows);
  AddClient(attributes, statement.client);
  Add(attributes, "waypost.user", statement.user);
  Add(attributes, "waypost.application_name", statement.application);
  Add(attributes, "waypost.session", statement.session);
  Add(attributes, "waypost.server", statement.server_name);
  Add(attributes, "waypost.target", statement.target);
  Add(attributes, "waypost.reason", statement.reason);
  Add(attributes, "waypost.answer_bytes", statement.bytes);
  Add(attributes, "waypost.statements", statement.statements);
  auto span =
      Span(statement, statement.span, NameOf(statement), kServer, {.after = {}, .took = statement.took}, std::move(attributes));
  if (statement.parent) span["parentSpanId"] = TextOf(*statement.parent);
  if (!statement.sqlstate.empty()) span["status"] = {{"code", kError}, {"message", "SQLSTATE " + statement.sqlstate}};
  return span;
}

bool Is(const TracedStatement::Phase& phase) { return phase.took > Duration{}; }

// `number`: which child it is; its id is its parent's, a little changed.
Json PhaseOf(const TracedStatement& statement, const TracedStatement::Phase& phase, const char* name, int kind, char number) {
  auto id = statement.span;
  id.front() = id.front() == number ? 'f' : number;
  Json attributes = Json::array();
  Add(attributes, "waypost.server", statement.server_name);
  auto span = Span(statement, id, name, kind, phase, std::move(attributes));
  span["parentSpanId"] = TextOf(statement.span);
  return span;
}

}  // namespace

void TraceChoice::Configure(const TracingConfig& config) {
  constexpr double kAllNumbers = 4294967296.0;
  on_ = !config.endpoint.empty();
  sampled_ = static_cast<std::uint64_t>(config.sample * kAllNumbers);
}

std::size_t SpansOf(const TracedStatement& statement) {
  return 1 + static_cast<std::size_t>(Is(statement.pool)) + static_cast<std::size_t>(Is(statement.fence)) +
         static_cast<std::size_t>(Is(statement.server));
}

std::string OtlpJson(std::span<const TracedStatement> statements, std::string_view service) {
  Json spans = Json::array();
  for (const auto& statement : statements) {
    spans.push_back(SpanOf(statement));
    if (Is(statement.pool)) spans.push_back(PhaseOf(statement, statement.pool, "pool", kInternal, '1'));
    if (Is(statement.fence)) spans.push_back(PhaseOf(statement, statement.fence, "fence", kInternal, '2'));
    if (Is(statement.server)) spans.push_back(PhaseOf(statement, statement.server, "server", kClient, '3'));
  }
  Json attributes = Json::array();
  Add(attributes, "service.name", std::string(service));
  Add(attributes, "service.version", WAYPOST_VERSION);
  const Json scope = {{"scope", {{"name", "waypost"}, {"version", WAYPOST_VERSION}}}, {"spans", std::move(spans)}};
  const Json body = {{"resourceSpans", {{{"resource", {{"attributes", std::move(attributes)}}}, {"scopeSpans", {scope}}}}}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RefusedSpans ReadAnswer(std::string_view answer) {
  const auto read = Json::parse(answer, nullptr, false);
  const auto none = Json::object();
  const auto& part = read.is_object() && read.contains("partialSuccess") ? read["partialSuccess"] : none;
  if (!part.is_object()) return {};
  RefusedSpans refused;
  if (const auto count = part.find("rejectedSpans"); count != part.end()) {
    if (count->is_number_unsigned()) refused.spans = count->get<std::uint64_t>();
    if (count->is_string()) refused.spans = WholeNumber(count->get_ref<const std::string&>()).value_or(0);
  }
  if (const auto why = part.find("errorMessage"); why != part.end() && why->is_string()) refused.why = why->get<std::string>();
  return refused;
}

}  // namespace waypost
