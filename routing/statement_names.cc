#include "routing/statement_names.h"

#include <algorithm>
#include <iterator>

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
  if (folded_)
    for (const auto& [name, named] : folded_->names) add(named.statement);
  for (const auto& plan : plan_) add(plan.statement);
  return bytes;
}

StatementRef StatementNames::FindAt(std::string_view whole, Place place) const {
  const auto name = KeptName(whole);
  if (const auto* planned = Planned(name, place)) return *planned;
  if (name.empty()) return unnamed_;
  if (!named_) return nullptr;
  const auto found = named_->find(name);
  return found == named_->end() ? nullptr : found->second.statement;
}

std::vector<std::pair<std::string_view, StatementRef>> StatementNames::InOrder() const {
  std::vector<std::pair<std::string_view, StatementRef>> list;
  if (!named_) return list;
  for (const auto* entry : Sorted(*named_)) list.emplace_back(entry->first, entry->second.statement);
  return list;
}

std::vector<const StatementNames::Names::value_type*> StatementNames::Sorted(const Names& names) {
  std::vector<const Names::value_type*> entries;
  entries.reserve(names.size());
  for (const auto& entry : names) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->second.since < b->second.since; });
  return entries;
}

// What was last planned for `name` before `place`; null: nothing was.
const StatementRef* StatementNames::Planned(std::string_view name, Place place) const {
  static const StatementRef nothing;
  const auto first = FirstPlace();
  if (place < first) return nullptr;
  const auto end = std::min<std::size_t>(place - first, plan_.size());
  if (!index_) {
    for (auto i = end; i-- > 0;)
      if (plan_[i].all ? !name.empty() : plan_[i].name == name) return &plan_[i].statement;
  } else {
    const auto last_before = [&](const std::vector<std::size_t>& places) -> const Entry* {
      const auto next = std::lower_bound(places.begin(), places.end(), end);
      return next == places.begin() ? nullptr : &plan_[*std::prev(next)];
    };
    const auto found = index_->find(name);
    const auto* own = found == index_->end() ? nullptr : last_before(found->second);
    if (const auto* last = std::max(own, name.empty() ? nullptr : last_before(clears_))) return &last->statement;
  }
  if (!folded_) return nullptr;
  if (const auto found = folded_->names.find(name); found != folded_->names.end()) return &found->second.statement;
  return folded_->none && !name.empty() ? &nothing : nullptr;
}

void StatementNames::Index(std::size_t i) {
  const auto& plan = plan_[i];
  if (plan.all) clears_.push_back(i);
  else (*index_)[plan.name].push_back(i);
}

void StatementNames::Add(Entry plan) {
  planned_size_ += static_cast<std::size_t>(plan.change);
  plan_.push_back(std::move(plan));
  if (index_) return Index(plan_.size() - 1);
  if (plan_.size() > kShortPlan) IndexAll();
}

void StatementNames::Plan(std::string_view name, StatementRef statement) {
  const auto change = name.empty() ? 0 : static_cast<std::ptrdiff_t>(statement != nullptr) - (Find(name) != nullptr);
  Add({std::string(KeptName(name)), std::move(statement), false, change});
}

void StatementNames::PlanNone() { Add({{}, nullptr, true, -static_cast<std::ptrdiff_t>(planned_size_)}); }

void StatementNames::Unplan(Place place) {
  while (!plan_.empty() && this->place() > place) {
    const auto& last = plan_.back();
    if (index_) (last.all ? clears_ : index_->find(last.name)->second).pop_back();
    planned_size_ -= static_cast<std::size_t>(last.change);
    plan_.pop_back();
  }
}

void StatementNames::ForgetPlaces() {
  if (plan_.empty()) return;
  if (!folded_) folded_ = std::make_unique<Folded>();
  auto& names = folded_->names;
  for (auto& plan : plan_) {
    if (!plan.all) {
      names[std::move(plan.name)] = {std::move(plan.statement), ++ever_named_};
      continue;
    }
    folded_->none = true;
    auto unnamed = names.extract(std::string());
    names.clear();
    if (!unnamed.empty()) names.insert(std::move(unnamed));
  }
  ForgetPlan();
}

void StatementNames::ForgetPlan() {
  ClearWithinReason(plan_);
  ClearWithinReason(clears_);
  index_.reset();
}

void StatementNames::IndexAll() {
  index_ = std::make_unique<ByName<std::vector<std::size_t>>>();
  for (std::size_t i = 0; i < plan_.size(); ++i) Index(i);
}

std::string StatementNames::NameOf(std::string_view server_name) const {
  const auto is = [&](const StatementRef& statement) { return statement && statement->server_name == server_name; };
  for (const auto& plan : plan_)
    if (!plan.name.empty() && is(plan.statement)) return plan.name;
  for (const auto* names : {folded_ ? &folded_->names : nullptr, named_.get()}) {
    if (names == nullptr) continue;
    for (const auto& [name, named] : *names)
      if (!name.empty() && is(named.statement)) return name;
  }
  return {};
}

void StatementNames::Set(std::string_view whole, StatementRef statement) {
  const auto name = KeptName(whole);
  const auto found = named_ ? named_->find(name) : Names::iterator();
  const bool known = named_ && found != named_->end();
  before_.push_back({std::string(name), known ? found->second : Named{}});
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
  before_.push_back({{}, {}, std::move(named_)});
}

void StatementNames::Tell(std::string_view whole, const StatementRef& untold, const StatementRef& told) {
  const auto name = KeptName(whole);
  // A name that is planned twice is told once: what the batch does behind that needs no telling.
  if (const auto* planned = Planned(name, place()); planned != nullptr && *planned && *planned == untold)
    *const_cast<StatementRef*>(planned) = told;  // it is one of ours
  if (name.empty()) {
    if (unnamed_ == untold) unnamed_ = told;
    return;
  }
  if (!named_) return;
  if (const auto found = named_->find(name); found != named_->end() && found->second.statement == untold) Set(name, told);
}

void StatementNames::EndBatch() {
  ForgetPlan();
  folded_.reset();
  ClearWithinReason(before_);
  planned_size_ = size();
}

void StatementNames::UndoBatch() {
  for (auto changed = std::move(before_); !changed.empty(); changed.pop_back()) {
    auto& last = changed.back();
    if (last.all) named_ = std::move(last.all);
    else Put(last.name, std::move(last.named));
  }
  ClearWithinReason(before_);
}

void StatementNames::KeepBatch() {
  if (folded_) {
    if (folded_->none) Clear();
    for (const auto* entry : Sorted(folded_->names)) {
      if (entry->first.empty()) unnamed_ = entry->second.statement;
      else Set(entry->first, entry->second.statement);
    }
  }
  for (const auto& plan : plan_) {
    if (plan.all) Clear();
    else if (plan.name.empty()) unnamed_ = plan.statement;
    else Set(plan.name, plan.statement);
  }
}

}  // namespace waypost
