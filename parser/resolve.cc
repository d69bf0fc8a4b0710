#include "parser/resolve.h"

#include <algorithm>
#include <string>
#include <utility>

#include "parser/server_local.h"

namespace waypost {
namespace {

std::string Display(const NameRef& ref) {
  return ref.schema.empty() ? ref.name : ref.schema + "." + ref.name;
}

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

// Looks at every name of one statement and lowers the verdict from "read" as soon as one is not
// safe.
class Resolution {
 public:
  Resolution(const Facts& facts, const Catalog& catalog) : facts_(facts), catalog_(catalog) {}

  Verdict Run() {
    verdict_.cls = ClassOfForm(facts_);
    verdict_.why = ReasonOfForm(facts_);
    verdict_.pin = facts_.pin;
    verdict_.needs_fence = false;
    for (const NameRef& ref : facts_.names) Look(ref);
    if (catalog_.unsafe_implicit_cast && !facts_.names.empty()) {
      Refuse(Reason::kNotUnderstood, "a user-defined implicit cast runs code");
    }
    verdict_.repeatable =
        facts_.repeatable && (verdict_.cls == Class::kRead || facts_.names.empty());
    if (verdict_.cls != Class::kRead) verdict_.needs_fence = true;
    return std::move(verdict_);
  }

 private:
  void Look(const NameRef& ref) {
    switch (ref.kind) {
      case NameRef::Kind::kFunction:
        return Function(ref);
      case NameRef::Kind::kRelation:
        return Relation(ref);
      case NameRef::Kind::kType:
        return Type(ref);
      case NameRef::Kind::kOperator:
        return Operator(ref);
      case NameRef::Kind::kAttribute:
        if (catalog_.attributes.Find("", ref.name)) {
          Refuse(Reason::kNotUnderstood, "." + ref.name + " may call a function of that name");
        }
        return;
    }
  }

  void Function(const NameRef& ref) {
    const auto found = catalog_.functions.Find(ref.schema, ref.name);
    if (!found) {
      return Refuse(Reason::kUnknownFunction,
                    "function " + Display(ref) + " is not in the catalogue");
    }
    const std::uint16_t flags = *found;
    if ((flags & function_flag::kBuiltIn) != 0) {
      if (const std::string_view why = WhyServerLocalFunction(ref.name); !why.empty()) {
        return Refuse(Reason::kServerLocal, "function " + Display(ref) + ": " + std::string(why));
      }
      if (RunsWhatItIsGiven(ref.name)) {
        return Refuse(Reason::kNotUnderstood,
                      "function " + Display(ref) + " reads what its arguments name");
      }
    }
    if ((flags & function_flag::kVolatile) != 0 &&
        !(IsHarmlessVolatile(ref.name) && !Interpreted(flags))) {
      Refuse(Reason::kVolatileFunction, "function " + Display(ref) + " is volatile");
      // It may SET, lock or make temporary tables for all that we can see.
      if ((flags & function_flag::kUser) != 0) Pin(PinReason::kUnknownState);
      return;
    }
    Judge("function ", ref, flags);
  }

  void Operator(const NameRef& ref) {
    const auto found = catalog_.operators.Find(ref.schema, ref.name);
    if (!found) {
      return Refuse(Reason::kUnknownFunction,
                    "operator " + Display(ref) + " is not in the catalogue");
    }
    if ((*found & function_flag::kVolatile) != 0) {
      if ((*found & function_flag::kUser) != 0) Pin(PinReason::kUnknownState);
      return Refuse(Reason::kVolatileFunction, "operator " + Display(ref) + " is volatile");
    }
    Judge("operator ", ref, *found);
  }

  // Of what is not volatile.
  void Judge(std::string_view what, const NameRef& ref, std::uint16_t flags) {
    if (Interpreted(flags)) {
      return Refuse(Reason::kNotUnderstood, std::string(what) + Display(ref) +
                                                " is user-defined, its body is not followed");
    }
    if ((flags & function_flag::kAggregate) != 0) {
      return Refuse(Reason::kNotUnderstood,
                    "aggregate " + Display(ref) + " is user-defined and runs code");
    }
    if ((flags & (function_flag::kStable | function_flag::kVolatile)) != 0) NeedFence();
  }

  void Relation(const NameRef& ref) {
    NeedFence();
    const auto found = catalog_.relations.Find(ref.schema, ref.name);
    if (!found) {
      return Refuse(Reason::kUnknownRelation,
                    "relation " + Display(ref) + " is not in the catalogue");
    }
    const std::string what = "relation " + Display(ref);
    if ((*found & relation_flag::kSystem) != 0) {
      if (const std::string_view why = WhyServerLocalRelation(ref.name); !why.empty()) {
        return Refuse(Reason::kServerLocal, what + ": " + std::string(why));
      }
    }
    if ((*found & relation_flag::kSequence) != 0) {
      return Refuse(Reason::kServerLocal,
                    what + " is a sequence, which a replica sees ahead of its value");
    }
    if ((*found & relation_flag::kUnlogged) != 0) {
      return Refuse(Reason::kPinnedRelation,
                    what + " is unlogged or temporary, or has such a partition");
    }
    if ((*found & relation_flag::kUserView) != 0) {
      return Refuse(Reason::kNotUnderstood, what + " is a view, its definition is not followed");
    }
    if ((*found & relation_flag::kForeign) != 0) {
      return Refuse(Reason::kNotUnderstood, what + " is a foreign table, or has such a partition");
    }
    if ((*found & relation_flag::kRowPolicy) != 0) {
      return Refuse(Reason::kNotUnderstood,
                    what + " has row security, its policies are not followed");
    }
  }

  void Type(const NameRef& ref) {
    const auto found = catalog_.types.Find(ref.schema, ref.name);
    const std::string what = "type " + Display(ref);
    if (!found) return Refuse(Reason::kNotUnderstood, what + " is not in the catalogue");
    if ((*found & type_flag::kUnsafeCast) != 0) {
      return Refuse(Reason::kNotUnderstood, "a user-defined cast to " + what + " runs code");
    }
    if ((*found & type_flag::kUnsafeInput) != 0) {
      return Refuse(Reason::kNotUnderstood, what + " has a volatile input function");
    }
    if ((*found & type_flag::kDomain) != 0) {
      return Refuse(Reason::kNotUnderstood, what + " is a domain, its checks are not followed");
    }
    if ((*found & type_flag::kOpaque) != 0) {
      return Refuse(Reason::kNotUnderstood,
                    what + " is composite or a range, its parts are not followed");
    }
    if ((*found & (type_flag::kUser | type_flag::kLooksUp)) != 0) NeedFence();
  }

  static bool Interpreted(std::uint16_t flags) {
    return (flags & function_flag::kInterpreted) != 0;
  }

  void NeedFence() { verdict_.needs_fence = true; }

  void Pin(PinReason pin) {
    if (verdict_.pin == PinReason::kNone) verdict_.pin = pin;
  }

  void Refuse(Reason why, std::string explanation) {
    constexpr std::size_t kMaxPath = 8;  // for people
    if (verdict_.cls == Class::kRead) {
      verdict_.cls = Class::kWrite;
      verdict_.why = why;
    }
    if (verdict_.path.size() < kMaxPath) verdict_.path.push_back(std::move(explanation));
  }

  const Facts& facts_;
  const Catalog& catalog_;
  Verdict verdict_;
};

Verdict WithoutCatalog(const Facts& facts) {
  Verdict verdict;
  verdict.cls = ClassOfForm(facts);
  verdict.why = ReasonOfForm(facts);
  verdict.pin = facts.pin;
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
  verdict.path.emplace_back("the catalogue of this database is not loaded yet");
  // Any function may turn out to be one that sets what nobody sees.
  const auto is_function = [](const NameRef& ref) { return ref.kind == NameRef::Kind::kFunction; };
  if (verdict.pin == PinReason::kNone &&
      std::any_of(facts.names.begin(), facts.names.end(), is_function)) {
    verdict.pin = PinReason::kUnknownState;
  }
  return verdict;
}

}  // namespace

Verdict Resolve(const Facts& facts, const Catalog* catalog) {
  return catalog == nullptr ? WithoutCatalog(facts) : Resolution(facts, *catalog).Run();
}

Verdict CombineVerdicts(std::span<const Verdict> verdicts) {
  if (verdicts.size() == 1) return verdicts.front();
  Verdict all;
  all.cls = Class::kRead;
  all.why = Reason::kReadSafe;
  all.needs_fence = false;
  all.repeatable = true;
  for (const Verdict& one : verdicts) {
    if (one.cls != Class::kRead) {
      all.cls = Class::kWrite;
      all.why = Reason::kMultiStatement;
    }
    if (all.pin == PinReason::kNone) all.pin = one.pin;
    all.needs_fence |= one.needs_fence;
    all.repeatable &= one.repeatable;
    all.path.insert(all.path.end(), one.path.begin(), one.path.end());
  }
  return all;
}

Verdict ResolveAll(const std::vector<Facts>& list, const Catalog* catalog) {
  if (list.size() == 1) return Resolve(list.front(), catalog);
  std::vector<Verdict> verdicts;
  verdicts.reserve(list.size());
  for (const Facts& facts : list) verdicts.push_back(Resolve(facts, catalog));
  return CombineVerdicts(verdicts);
}

}  // namespace waypost
