#include "core/config/rules.h"

#include <algorithm>
#include <utility>

#include "core/config/keys.h"
#include "core/config/server_names.h"
#include "parser/sql/fingerprint.h"
#include "parser/sql/hints.h"

namespace waypost {
namespace {

constexpr std::array<Choice<RuleRoute>, 3> kRoute = {
    {{"primary", RuleRoute::kPrimary}, {"replica", RuleRoute::kReplica}, {"deny", RuleRoute::kDeny}}};
constexpr std::size_t kMaxPatternBytes = 2 * kMaxNameBytes + 1;  // schema.name
constexpr std::size_t kMaxMessageBytes = 1024;

// "name" or "schema.name".
bool IsNamePattern(std::string_view pattern) {
  const auto dot = pattern.find('.');
  return dot == std::string_view::npos ||
         (dot > 0 && dot + 1 < pattern.size() && pattern.find('.', dot + 1) == std::string_view::npos);
}

class RuleLoad {
 public:
  RuleLoad(ConfigSection& section, const Config& config) : section_(section), config_(config) {}

  Rule Run(const std::vector<Rule>& before) {
    ReadName(before);
    ReadNames("table", rule_.tables);
    ReadNames("function", rule_.functions);
    ReadFingerprints();
    ReadHints();
    section_.Texts("user", rule_.users, kMaxNameBytes);
    ReadDatabases();
    section_.Texts("application_name", rule_.applications, kMaxNameBytes);
    ReadListeners();
    ReadActions();
    section_.Finish(kTopLevelKeys);
    return std::move(rule_);
  }

 private:
  void ReadName(const std::vector<Rule>& before) {
    rule_.name = "rule-" + std::to_string(before.size() + 1);
    section_.Text("name", rule_.name, kMaxNameBytes);
    if (!IsLabel(rule_.name))
      section_.Fault("name", "found " + section_.Found("name") + ", expected only letters, digits, '_', '-' and '.'");
    if (std::any_of(before.begin(), before.end(), [&](const Rule& other) { return other.name == rule_.name; }))
      section_.Fault("name", "found \"" + rule_.name + "\" a second time, expected each name once");
  }

  void ReadNames(std::string_view key, std::vector<std::string>& names) {
    section_.Texts(key, names, kMaxPatternBytes);
    if (!std::all_of(names.begin(), names.end(), IsNamePattern))
      section_.Fault(key, "found " + section_.Found(key) + ", expected \"name\" or \"schema.name\"");
  }

  // A session has the servers' names by the time that a rule is asked.
  void ReadDatabases() {
    section_.Texts("database", rule_.databases, kMaxNameBytes);
    for (const auto& name : rule_.databases)
      if (const auto on_servers = NamesOnServers(config_, name, "").database; on_servers != name)
        section_.Fault("database", "found \"" + name + "\", which is another name of \"" + on_servers + "\", expected that one");
  }

  void ReadFingerprints() {
    std::vector<std::string> texts;
    section_.Texts("fingerprint", texts);
    for (const auto& text : texts) {
      if (const auto fingerprint = ParseFingerprint(text)) rule_.fingerprints.push_back(*fingerprint);
      else section_.Fault("fingerprint", "found " + section_.Found("fingerprint") + ", expected 16 hexadecimal digits");
    }
  }

  void ReadHints() {
    section_.Texts("hint", rule_.hints, kMaxNameBytes);
    if (!rule_.hints.empty() && !config_.comment_hints)
      section_.Fault("hint",
                     "found " + section_.Found("hint") + " while comment hints are off, expected [routing] comment_hints = true");
    for (const auto& hint : rule_.hints)
      if (std::any_of(hint.begin(), hint.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
        section_.Fault("hint", "found " + section_.Found("hint") + ", expected lower case");
  }

  void ReadListeners() {
    section_.Texts("listener", rule_.listeners, kMaxNameBytes);
    for (const auto& pattern : rule_.listeners)
      if (std::none_of(config_.listeners.begin(), config_.listeners.end(),
                       [&](const ListenConfig& listener) { return MatchesGlob(pattern, listener.name); }))
        section_.Fault("listener", "found " + section_.Found("listener") + ", expected the name of a [listen]");
  }

  void ReadActions() {
    section_.OneOf("route", rule_.route, All(kRoute));
    section_.Text("message", rule_.message, kMaxMessageBytes);
    std::optional<milliseconds> timeout;
    section_.Span("timeout", timeout, kTick, kMonth);
    if (timeout) rule_.timeout = *timeout;
    ReadConsistencyKeys(section_, rule_.overrides);
    if (section_.Has("message") && rule_.route != RuleRoute::kDeny)
      section_.Fault("message", "found a message that no client would get, expected it only with route = \"deny\"");
    if (rule_.route == RuleRoute::kDeny)
      for (const auto* key : {"timeout", "consistency", "fence_wait", "max_lag", "max_lag_bytes"})
        if (section_.Has(key))
          section_.Fault(key,
                         "found together with route = \"deny\", expected it not to be there: a denied statement does not run");
    const auto consistency = rule_.overrides.consistency;
    const bool replica_and_primary = rule_.route == RuleRoute::kReplica && consistency == Consistency::kPrimary;
    const bool primary_and_other = rule_.route == RuleRoute::kPrimary && consistency && consistency != Consistency::kPrimary;
    if (replica_and_primary || primary_and_other)
      section_.Fault("consistency", "found " + section_.Found("consistency") +
                                        " together with route = " + section_.Found("route") + ", expected only one of the two");
  }

  ConfigSection& section_;
  const Config& config_;
  Rule rule_;
};

}  // namespace

RuleSet ReadRules(ConfigSection& root, ConfigFaults& faults, const Config& config) {
  const auto tables = root.Tables("rule");
  if (tables.size() > kMaxRules) {
    root.Fault("rule", "found " + std::to_string(tables.size()) + " rules, expected at most " + std::to_string(kMaxRules) +
                           " (each condition may be an array)");
    return {};
  }
  std::vector<Rule> rules;
  for (const auto& [table, line] : tables) {
    ConfigSection section(table, "rule", line, faults);
    rules.push_back(RuleLoad(section, config).Run(rules));
  }
  return RuleSet(std::move(rules));
}

}  // namespace waypost
