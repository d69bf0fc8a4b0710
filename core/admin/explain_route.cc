#include "core/admin/explain_route.h"

#include <utility>
#include <vector>

#include "parser/facts.h"
#include "parser/resolve.h"
#include "routing/decide.h"

namespace waypost {
namespace {

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

void ExplainReplicas(const ClusterView& view, std::vector<std::string>& path) {
  for (const ServerView& server : view.servers)
    if (!server.removed && server.role != Role::kPrimary && !server.ineligible_why.empty())
      path.push_back(server.name + " may not be read from: " + server.ineligible_why);
}

}  // namespace

RouteAnswer ExplainRoute(const RouteQuestion& question, const Config& config,
                         const ClusterView* view, const Catalog* catalog, TimePoint now) {
  const FactsList list = Analyse(question.sql, Lexing{});
  RouteAnswer answer;
  std::vector<Verdict> verdicts;
  for (const Facts& facts : *list) {
    const Verdict& verdict = verdicts.emplace_back(Resolve(facts, catalog));
    answer.statements.push_back(
        {std::string(ClassName(verdict.cls)), std::string(ReasonName(verdict.why)), verdict.path});
  }
  const Verdict whole = CombineVerdicts(verdicts);
  BatchFacts batch;
  batch.cls = whole.cls;
  batch.why = whole.why;
  batch.repeatable = whole.repeatable;
  batch.begins_read_only = list->size() == 1 && list->front().kind == StatementKind::kBegin &&
                           list->front().modes.read_only.value_or(false) &&
                           !list->front().modes.serializable.value_or(false);
  const ClusterView ideal = IdealView(now);
  const ClusterView& servers = view != nullptr ? *view : ideal;
  const Decision decision = Decide(batch, SessionFacts{}, servers,
                                   config.RoutingFor({.user = question.user, .database = question.database}), {}, now);
  answer.target = TargetName(decision.target);
  answer.cls = ClassName(whole.cls);
  answer.reason = ReasonName(decision.reason);
  answer.path = whole.path;
  if (list->empty()) answer.path.emplace_back("an empty query");
  if (decision.reason == Reason::kNoEligibleReplica) ExplainReplicas(servers, answer.path);
  if (view == nullptr) return answer;
  if (decision.target == Target::kReplica)
    answer.server = servers.servers[decision.server].name;
  else if (decision.target == Target::kPrimary && servers.primary)
    answer.server = servers.servers[*servers.primary].name;
  return answer;
}

}  // namespace waypost
