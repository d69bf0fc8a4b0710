#include "core/observe/explain_route.h"

#include <array>
#include <utility>

#include "parser/catalog/resolve.h"
#include "parser/catalog/search_path.h"
#include "parser/sql/explain_text.h"
#include "routing/rule_marks.h"

namespace waypost {
namespace {

constexpr std::size_t kShownBytes = 1000;  // of a statement, in a row

// A primary and a replica that may be read from.
ClusterView IdealView(TimePoint now) {
  ClusterView view;
  view.servers.resize(2);
  view.servers[0].role = Role::kPrimary;
  view.servers[1].role = Role::kReplica;
  view.servers[1].eligible = view.servers[1].streaming = true;
  view.servers[1].sync_state = SyncState::kSync;
  for (ServerView& server : view.servers) {
    server.up = true;
    server.sampled = now;
  }
  view.primary = 0;
  return view;
}

std::vector<std::string> WhyNoReplica(const ClusterView& view) {
  std::vector<std::string> why;
  for (const ServerView& server : view.servers)
    if (!server.removed && server.role != Role::kPrimary && !server.ineligible_why.empty())
      why.push_back(server.name + " may not be read from: " + server.ineligible_why);
  if (why.empty()) why.emplace_back("there is no replica");
  return why;
}

std::string PinWord(PinReason pin) { return pin == PinReason::kNone ? std::string() : std::string(PinReasonName(pin)); }

std::string Joined(const std::vector<std::string>& steps, std::string_view between) {
  std::string text;
  for (const auto& step : steps) {
    if (!text.empty()) text += between;
    text += step;
  }
  return text;
}

// Never ends within a character.
std::string Shortened(std::string_view sql) {
  if (sql.size() <= kShownBytes) return std::string(sql);
  std::size_t end = kShownBytes;
  while (end > 0 && static_cast<unsigned char>(sql[end - 1]) >= 0x80) --end;
  return std::string(sql.substr(0, end)) + "...";
}

struct RulesSay {
  bool denied = false;
  Handling handling;
};

// What rules and hints make of the statements, and says so in their verdicts.
RulesSay ApplyRules(std::string_view sql, const std::vector<Facts>& facts, const Catalog* catalog, const Config& config,
                    const Asker& asker, std::vector<Verdict>& verdicts) {
  const auto policy = config.RoutingFor(asker);
  RulesSay say;
  say.handling.policy = policy;
  TextMarks marks;
  MarkText(sql, Lexing{}, facts, catalog, config.rules, config.comment_hints, marks);
  const auto session = config.rules.SessionMask(asker);
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const auto first = RuleSet::First(marks.rules[i] & session);
    const auto* rule = first ? &config.rules.rules()[*first] : nullptr;
    if (rule != nullptr) verdicts[i].path.push_back(RuleWords(*rule));
    if (rule != nullptr && rule->route == RuleRoute::kDeny) say.denied = true;
    const auto handling = HandlingOf(policy, marks.hint, rule);
    say.handling = i == 0 ? handling : Both(say.handling, handling);
  }
  return say;
}

}  // namespace

RouteAnswer DescribeRoute(std::string_view sql, std::span<const Verdict> each, const Verdict& whole, const Decision& decision,
                          const ClusterView& view) {
  RouteAnswer answer;
  const auto texts = SplitStatements(sql);
  for (std::size_t i = 0; i < each.size(); ++i)
    answer.statements.push_back({std::string(texts.size() == each.size() ? texts[i] : sql), std::string(ClassName(each[i].cls)),
                                 std::string(ReasonName(each[i].why)), each[i].path, PinWord(each[i].pin)});
  answer.target = TargetName(decision.target);
  answer.cls = ClassName(whole.cls);
  answer.reason = ReasonName(decision.reason);
  answer.path = whole.path;
  answer.pin = PinWord(whole.pin);
  if (each.empty()) answer.path.emplace_back("an empty query");
  if (decision.reason == Reason::kNoEligibleReplica) answer.no_replica = WhyNoReplica(view);
  if (decision.target == Target::kReplica) answer.server = view.servers[decision.server].name;
  else if (decision.target == Target::kPrimary && view.primary) answer.server = view.servers[*view.primary].name;
  return answer;
}

RouteAnswer ExplainRoute(const RouteQuestion& question, const Config& config, const ClusterView* view, const Catalog* catalog,
                         TimePoint now) {
  const FactsList list = Analyse(question.sql, Lexing{});
  SearchPath path;
  if (!question.search_path.empty()) path = ReadSearchPath(question.search_path, question.user);
  else if (catalog != nullptr) path = catalog->DefaultPath(question.user, question.user);
  auto verdicts = ResolveEach(*list, catalog, {.path = &path});
  const Asker asker{.user = question.user, .database = question.database, .application = question.application_name};
  const auto rules = ApplyRules(question.sql, *list, catalog, config, asker, verdicts);
  const Verdict whole = CombineVerdicts(verdicts);
  BatchFacts batch;
  batch.cls = whole.cls;
  batch.why = whole.why;
  batch.repeatable = whole.repeatable;
  batch.begins_read_only = list->size() == 1 && list->front().kind == StatementKind::kBegin &&
                           list->front().modes.read_only.value_or(false) && !list->front().modes.serializable.value_or(false);
  batch.to_primary = rules.handling.to_primary;
  const ClusterView ideal = IdealView(now);
  const ClusterView& servers = view != nullptr ? *view : ideal;
  const Decision decision = rules.denied ? Decision{Target::kRefuse, Reason::kRefused}
                                         : Decide(batch, SessionFacts{}, servers, rules.handling.policy, {}, now);
  return DescribeRoute(question.sql, verdicts, whole, decision, servers);
}

std::string RouteRows(const RouteAnswer& answer, unsigned parameters, Lexing lexing) {
  static constexpr std::array<std::string_view, 8> kColumns = {"statement", "class",  "verdict", "target",
                                                               "server",    "reason", "path",    "pin"};
  std::vector<std::vector<RouteCell>> rows;
  const auto add = [&](const RouteStatement& statement) {
    auto path = statement.path;
    path.insert(path.end(), answer.no_replica.begin(), answer.no_replica.end());
    rows.push_back({{Shortened(statement.sql), true},
                    {statement.cls},
                    {statement.reason},
                    {answer.target},
                    {answer.server},
                    {answer.reason},
                    {Joined(path, "; ")},
                    {statement.pin}});
  };
  for (const auto& statement : answer.statements) add(statement);
  if (rows.empty()) add({"", answer.cls, "", answer.path, ""});
  return RouteAnswerQuery(kColumns, rows, parameters, lexing);
}

}  // namespace waypost
