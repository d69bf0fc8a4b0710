#include "parser/catalog/resolve.h"

#include <algorithm>
#include <string>
#include <utility>

#include "parser/sql/server_local.h"

namespace waypost {
namespace {

std::string Display(const NameRef& ref) { return ref.schema.empty() ? ref.name : ref.schema + "." + ref.name; }

Class ClassOfForm(const Facts& facts) {
  if (!facts.writes_by_form) return Class::kRead;
  if (facts.form_reason == Reason::kTransaction) return Class::kTransaction;
  if (facts.form_reason == Reason::kSession) return Class::kSession;
  return Class::kWrite;
}

// BEGIN tells by its modes where the transaction may run.
Reason ReasonOfForm(const Facts& facts) {
  if (!facts.writes_by_form) return Reason::kReadSafe;
  if (facts.kind != StatementKind::kBegin) return facts.form_reason;
  if (facts.modes.serializable.value_or(false)) return Reason::kSerializable;
  if (facts.modes.read_only.value_or(false)) return Reason::kReadOnlyTransaction;
  return Reason::kTransaction;
}

std::string_view KindName(NameRef::Kind kind) {
  switch (kind) {
    case NameRef::Kind::kFunction: return "function ";
    case NameRef::Kind::kRelation: return "relation ";
    case NameRef::Kind::kType: return "type ";
    case NameRef::Kind::kOperator: return "operator ";
    case NameRef::Kind::kAttribute: return "column ";
  }
  return "";
}

Reason ReasonIfUnknown(NameRef::Kind kind) {
  switch (kind) {
    case NameRef::Kind::kFunction:
    case NameRef::Kind::kOperator: return Reason::kUnknownFunction;
    case NameRef::Kind::kRelation: return Reason::kUnknownRelation;
    case NameRef::Kind::kType:
    case NameRef::Kind::kAttribute: return Reason::kNotUnderstood;
  }
  return Reason::kNotUnderstood;
}

// UPDATE of pg_settings sets what it names: by a rule, unlike every other view of the system.
bool SetsByRule(const Facts& facts) {
  return facts.writes_by_form && std::any_of(facts.names.begin(), facts.names.end(), [](const NameRef& ref) {
           return ref.kind == NameRef::Kind::kRelation && ref.name == "pg_settings";
         });
}

// For people: what they lose by a grammar that is older than the server.
std::vector<std::string> PathOfForm(const Facts& facts) {
  if (!facts.writes_by_form || facts.form_reason != Reason::kUnknownSyntax) return {};
  return {"Waypost's grammar, that of PostgreSQL " + std::string(GrammarMajor()) + ", does not know this form: " +
          (facts.kind == StatementKind::kUnknown ? facts.object : "a part of it is not followed")};
}

// Looks at every name of one statement and lowers the verdict from "read" as soon as one is not
// safe.
class Resolution {
 public:
  Resolution(const Facts& facts, const Catalog& catalog, Outlook outlook) : facts_(facts), catalog_(catalog), outlook_(outlook) {}

  Verdict Run() {
    verdict_.cls = ClassOfForm(facts_);
    verdict_.why = ReasonOfForm(facts_);
    verdict_.path = PathOfForm(facts_);
    verdict_.pin = facts_.pin;
    if (SetsByRule(facts_)) Pin(PinReason::kUnknownState);
    verdict_.needs_fence = false;
    for (const NameRef& ref : facts_.names) Look(ref);
    if (!facts_.names.empty()) {
      const Finding& cast = catalog_.implicit_cast();
      if (cast.why != Reason::kReadSafe) Refuse(cast.why, cast.step);
      Pin(cast.pin);
      if (outlook_.stale) Refuse(Reason::kNoCatalog, "the catalogue has changed and is being read again");
    }
    verdict_.repeatable = facts_.repeatable && (verdict_.cls == Class::kRead || facts_.names.empty());
    if (verdict_.cls != Class::kRead) verdict_.needs_fence = true;
    return std::move(verdict_);
  }

 private:
  void Look(const NameRef& ref) {
    const Finding found = catalog_.Find(ref, outlook_.path);
    if (!found.known) {
      if (ref.kind == NameRef::Kind::kAttribute) return;
      // It may be a function made since, of any kind.
      if (ref.kind == NameRef::Kind::kFunction || ref.kind == NameRef::Kind::kOperator) Pin(PinReason::kUnknownState);
      return Refuse(ReasonIfUnknown(ref.kind), std::string(KindName(ref.kind)) + Display(ref) + " is not in the catalogue");
    }
    if (ref.kind == NameRef::Kind::kRelation) verdict_.needs_fence = true;
    // What was made by a user can be replaced: its definition is data, whatever it says of itself.
    verdict_.needs_fence |= found.needs_fence || found.user_made;
    verdict_.lists_prepared |= found.lists_prepared;
    Pin(found.pin);
    if (outlook_.stale && found.user_made && ref.kind != NameRef::Kind::kRelation) Pin(PinReason::kUnknownState);
    if (found.why != Reason::kReadSafe) Refuse(found.why, found.step);
  }

  void Pin(PinReason pin) {
    if (verdict_.pin == PinReason::kNone) verdict_.pin = pin;
  }

  void Lower(Reason why) {
    if (verdict_.cls != Class::kRead) return;
    verdict_.cls = Class::kWrite;
    verdict_.why = why;
  }
  [[nodiscard]] bool TellsMore() const {
    constexpr std::size_t kMaxPath = 8;  // for people
    return verdict_.path.size() < kMaxPath;
  }
  void Refuse(Reason why, std::string explanation) {
    Lower(why);
    if (TellsMore()) verdict_.path.push_back(std::move(explanation));
  }
  void Refuse(Reason why, std::uint32_t step) {
    Lower(why);
    if (TellsMore()) verdict_.path.push_back(catalog_.Explain(step));
  }

  const Facts& facts_;
  const Catalog& catalog_;
  const Outlook outlook_;
  Verdict verdict_;
};

Verdict WithoutCatalog(const Facts& facts) {
  Verdict verdict;
  verdict.cls = ClassOfForm(facts);
  verdict.why = ReasonOfForm(facts);
  verdict.path = PathOfForm(facts);
  verdict.pin = facts.pin;
  verdict.lists_prepared =
      std::any_of(facts.names.begin(), facts.names.end(), [](const NameRef& ref) { return ListsPrepared(ref.name); });
  if (verdict.pin == PinReason::kNone && SetsByRule(facts)) verdict.pin = PinReason::kUnknownState;
  if (verdict.cls != Class::kRead) {
    verdict.repeatable = facts.repeatable && facts.names.empty();
    return verdict;
  }
  if (facts.names.empty()) {
    verdict.needs_fence = false;
    verdict.repeatable = true;
    return verdict;
  }
  verdict.cls = Class::kWrite;
  verdict.why = Reason::kNoCatalog;
  verdict.path.emplace_back("the catalogue of this database has not been read yet");
  // Any function may turn out to be one that sets what nobody sees.
  const auto is_function = [](const NameRef& ref) { return ref.kind == NameRef::Kind::kFunction; };
  if (verdict.pin == PinReason::kNone && std::any_of(facts.names.begin(), facts.names.end(), is_function)) {
    verdict.pin = PinReason::kUnknownState;
  }
  return verdict;
}

}  // namespace

Verdict Resolve(const Facts& facts, const Catalog* catalog, Outlook outlook) {
  return catalog == nullptr ? WithoutCatalog(facts) : Resolution(facts, *catalog, outlook).Run();
}

Verdict CombineVerdicts(std::span<const Verdict> verdicts) {
  if (verdicts.size() == 1) return verdicts.front();
  Verdict all;
  all.cls = Class::kRead;
  all.why = Reason::kReadSafe;
  all.needs_fence = false;
  all.repeatable = true;
  constexpr std::size_t kMaxSteps = 64;  // for people
  for (const Verdict& one : verdicts) {
    if (one.cls != Class::kRead) {
      all.cls = Class::kWrite;
      all.why = Reason::kMultiStatement;
    }
    if (all.pin == PinReason::kNone) all.pin = one.pin;
    all.needs_fence |= one.needs_fence;
    all.lists_prepared |= one.lists_prepared;
    all.repeatable &= one.repeatable;
    if (all.path.size() < kMaxSteps) all.path.insert(all.path.end(), one.path.begin(), one.path.end());
  }
  return all;
}

std::vector<Verdict> ResolveEach(const std::vector<Facts>& list, const Catalog* catalog, Outlook outlook) {
  std::vector<Verdict> verdicts;
  verdicts.reserve(list.size());
  for (const Facts& facts : list) {
    verdicts.push_back(Resolve(facts, catalog, outlook));
    const bool unseen = facts.state_unknown || verdicts.back().pin == PinReason::kUnknownState;
    if (unseen || !facts.settings.empty()) outlook.path = nullptr;
  }
  return verdicts;
}

Verdict ResolveAll(const std::vector<Facts>& list, const Catalog* catalog, Outlook outlook) {
  if (list.size() == 1) return Resolve(list.front(), catalog, outlook);
  return CombineVerdicts(ResolveEach(list, catalog, outlook));
}

}  // namespace waypost
