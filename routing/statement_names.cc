#include "routing/statement_names.h"

#include <algorithm>
#include <unordered_set>

namespace waypost {
namespace {

// A plan up to this is searched from its end: no index is built for it.
constexpr std::size_t kShortPlan = 16;
// Memory for more plans than this is given back with the batch.
constexpr std::size_t kKeptPlans = 64;

template <class T>
void ClearWithinReason(std::vector<T>& list) {
  if (list.capacity() > kKeptPlans) list = std::vector<T>();
  list.clear();
}

}  // namespace

std::size_t StatementNames::Bytes() const {
  std::size_t bytes = 0;
  const auto add = [&](const StatementRef& statement) { bytes += kBytesEach + (statement ? statement->sql->text.size() : 0); };
  if (named_)
    for (const auto& [name, named] : *named_) add(named.statement);
  for (const auto& plan : plan_) add(plan.statement);
  return bytes;
}

StatementRef StatementNames::FindAt(std::string_view whole, Place place) const {
  const auto name = KeptName(whole);
  if (const auto* planned = Planned(name, place)) return planned->statement;
  if (name.empty()) return unnamed_;
  if (!named_) return nullptr;
  const auto found = named_->find(name);
  return found == named_->end() ? nullptr : found->second.statement;
}

std::vector<std::pair<std::string_view, StatementRef>> StatementNames::InOrder() const {
  std::vector<std::pair<std::string_view, StatementRef>> list;
  if (!named_) return list;
  std::vector<const Names::value_type*> entries;
  entries.reserve(named_->size());
  for (const auto& entry : *named_) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->second.since < b->second.since; });
  for (const auto* entry : entries) list.emplace_back(entry->first, entry->second.statement);
  return list;
}

// The last plan before `place` that says what `name` means; null: none does.
const StatementNames::Entry* StatementNames::Planned(std::string_view name, Place place) const {
  const auto end = std::min<std::size_t>(place, plan_.size());
  if (!index_) {
    for (auto i = end; i-- > 0;)
      if (plan_[i].all ? !name.empty() : plan_[i].name == name) return &plan_[i];
    return nullptr;
  }
  const auto last_before = [&](const std::vector<Place>& places) -> const Entry* {
    const auto next = std::lower_bound(places.begin(), places.end(), static_cast<Place>(end));
    return next == places.begin() ? nullptr : &plan_[*std::prev(next)];
  };
  const auto found = index_->find(name);
  const auto* own = found == index_->end() ? nullptr : last_before(found->second);
  return std::max(own, name.empty() ? nullptr : last_before(clears_));
}

void StatementNames::Index(Place place) {
  const auto& plan = plan_[place];
  if (plan.all) clears_.push_back(place);
  else (*index_)[plan.name].push_back(place);
}

void StatementNames::Add(Entry plan) {
  plan_.push_back(std::move(plan));
  if (index_) return Index(place() - 1);
  if (plan_.size() > kShortPlan) IndexAll();
}

void StatementNames::Plan(std::string_view name, StatementRef statement) {
  Add({std::string(KeptName(name)), std::move(statement)});
}

void StatementNames::PlanNone() { Add({{}, nullptr, true}); }

void StatementNames::Unplan(Place place) {
  for (auto i = this->place(); i-- > place;) {
    if (index_) (plan_[i].all ? clears_ : index_->find(plan_[i].name)->second).pop_back();
    plan_.pop_back();
  }
}

void StatementNames::ForgetPlaces() {
  if (plan_.size() < std::max(forget_at_, kShortPlan)) return;
  std::vector<Entry> kept;
  std::unordered_set<std::string_view> seen;
  bool cleared = false;
  for (auto plan = plan_.rbegin(); plan != plan_.rend(); ++plan) {
    if (plan->all ? cleared : (cleared && !plan->name.empty()) || !seen.insert(plan->name).second) continue;
    cleared = cleared || plan->all;
    kept.push_back(*plan);
  }
  std::reverse(kept.begin(), kept.end());
  plan_ = std::move(kept);
  forget_at_ = plan_.size() * 2;
  index_.reset();
  clears_.clear();
  if (plan_.size() > kShortPlan) IndexAll();
}

void StatementNames::IndexAll() {
  index_ = std::make_unique<ByName<std::vector<Place>>>();
  for (Place i = 0; i < place(); ++i) Index(i);
}

std::string StatementNames::NameOf(std::string_view server_name) const {
  const auto is = [&](const StatementRef& statement) { return statement && statement->server_name == server_name; };
  for (const auto& plan : plan_)
    if (!plan.name.empty() && is(plan.statement)) return plan.name;
  if (named_)
    for (const auto& [name, named] : *named_)
      if (is(named.statement)) return name;
  return {};
}

void StatementNames::Set(std::string_view whole, StatementRef statement) {
  const auto name = KeptName(whole);
  const auto found = named_ ? named_->find(name) : Names::iterator();
  const bool known = named_ && found != named_->end();
  if (!known) before_.push_back({std::string(name), nullptr});
  else before_.push_back({std::string(name), found->second.statement, false, found->second.since});
  Put(name, {std::move(statement), known ? found->second.since : ++ever_named_});
}

void StatementNames::Put(std::string_view name, Named named) {
  if (!named_) {
    if (!named.statement) return;
    named_ = std::make_unique<Names>();
  }
  const auto found = named_->find(name);
  if (found == named_->end()) {
    if (named.statement) named_->emplace(name, std::move(named));
  } else if (named.statement) {
    found->second = std::move(named);
  } else {
    named_->erase(found);
  }
}

void StatementNames::Clear() {
  if (!named_) return;
  for (auto& [name, named] : *named_) before_.push_back({name, std::move(named.statement), false, named.since});
  named_.reset();
}

void StatementNames::Tell(std::string_view whole, const StatementRef& untold, const StatementRef& told) {
  const auto name = KeptName(whole);
  // A name that is planned twice is told once: what the batch does behind that needs no telling.
  if (const auto* planned = Planned(name, place()); planned != nullptr && planned->statement == untold)
    plan_[static_cast<std::size_t>(planned - plan_.data())].statement = told;
  if (name.empty()) {
    if (unnamed_ == untold) unnamed_ = told;
    return;
  }
  if (!named_) return;
  if (const auto found = named_->find(name); found != named_->end() && found->second.statement == untold) Set(name, told);
}

void StatementNames::EndBatch() {
  ClearWithinReason(plan_);
  ClearWithinReason(before_);
  ClearWithinReason(clears_);
  forget_at_ = 0;
  index_.reset();
}

void StatementNames::UndoBatch() {
  for (auto changed = std::move(before_); !changed.empty(); changed.pop_back())
    Put(changed.back().name, {std::move(changed.back().statement), changed.back().since});
  ClearWithinReason(before_);
}

void StatementNames::KeepBatch() {
  for (const auto& plan : plan_) {
    if (plan.all) Clear();
    else if (plan.name.empty()) unnamed_ = plan.statement;
    else Set(plan.name, plan.statement);
  }
}

}  // namespace waypost
