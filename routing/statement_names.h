// The names that one client gave to prepared statements: what each means by what the server has answered so far, and what it
// will mean at each place of the batch at hand, if all of that succeeds. "" is the unnamed statement. Pure; one per session.
//
//   the batch is gathered      Plan, PlanNone   at places 0, 1, 2 ...: what a Parse, a Close, a DEALLOCATE is going to make
//   the server has answered    Set, Clear       it is so now, whatever becomes of the rest of the batch
//   the batch is over          EndBatch         nothing is planned any more
//   or is to run again         UndoBatch        all is as before it was sent; what was planned stays planned
//
// Every look-up but NameOf takes constant or logarithmic time, however many names and places there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "routing/prepared.h"

namespace waypost {

// The server keeps no more of a name than this: NAMEDATALEN - 1. Names that are alike up to there are one name.
inline constexpr std::size_t kMaxStatementNameBytes = 63;
[[nodiscard]] inline std::string_view KeptName(std::string_view name) { return name.substr(0, kMaxStatementNameBytes); }

class StatementNames {
 public:
  using Place = std::uint32_t;
  // What one name counts beside the text of its statement: it and what stands around it.
  static constexpr std::size_t kBytesEach = 256;

  // What `name` will mean after all that was planned so far; null: nothing.
  [[nodiscard]] StatementRef Find(std::string_view name) const { return FindAt(name, place()); }
  // What it will mean after what was planned before `place`.
  [[nodiscard]] StatementRef FindAt(std::string_view name, Place place) const;
  // Some name that means the statement which the server calls `server_name`; empty: there is none, or it has no name.
  // Takes as long as there are names.
  [[nodiscard]] std::string NameOf(std::string_view server_name) const;

  // All names but "", and what each means by what the server has answered, in the order in which they came to mean anything.
  // Valid until one changes.
  [[nodiscard]] std::vector<std::pair<std::string_view, StatementRef>> InOrder() const;

  // How many names but "" mean anything, by what the server has answered.
  [[nodiscard]] std::size_t size() const { return named_ ? named_->size() : 0; }
  // How many names but "" will mean anything after all that was planned.
  [[nodiscard]] std::size_t planned_size() const { return planned_size_; }
  // About what all of them take, the planned ones too. Takes as long as there are names.
  [[nodiscard]] std::size_t Bytes() const;

  // Where the next plan will stand.
  [[nodiscard]] Place place() const { return FirstPlace() + static_cast<Place>(plan_.size()); }
  // From here on `name` means `statement`; null: nothing.
  void Plan(std::string_view name, StatementRef statement);
  // From here on no name but "" means anything: DEALLOCATE ALL.
  void PlanNone();
  // Nobody will ask for a place before this one but 0: of what was planned for a name, only the last stays. Takes as long as
  // there are plans since the last time.
  void ForgetPlaces();
  // What was planned from `place` on is not.
  void Unplan(Place place);

  // The server has answered: `name`, which is not "", means `statement`; null: nothing.
  void Set(std::string_view name, StatementRef statement);
  // No name but "" means anything.
  void Clear();
  // The client was told what `name` returns: where it means `untold`, also by plan, it means `told`.
  void Tell(std::string_view name, const StatementRef& untold, const StatementRef& told);
  // The unnamed statement changes with what is sent, not with the answer: a Parse that fails leaves none.
  [[nodiscard]] const StatementRef& unnamed() const { return unnamed_; }
  void SetUnnamed(StatementRef statement) { unnamed_ = std::move(statement); }

  void EndBatch();
  void UndoBatch();
  // All that was planned has happened.
  void KeepBatch();

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  template <class T>
  using ByName = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  struct Named {
    StatementRef statement;
    std::uint64_t since = 0;  // the order in which names came to mean something
  };
  using Names = ByName<Named>;
  struct Entry {
    std::string name;
    StatementRef statement;
    bool all = false;            // PlanNone
    std::ptrdiff_t change = 0;   // by how much planned_size_ grew with it
  };
  // One name as it was before the batch changed it, or all of them.
  struct Before {
    std::string name;
    Named named;
    std::unique_ptr<Names> all{};
  };
  // What was planned at places that are forgotten.
  struct Folded {
    bool none = false;  // of what was named before
    Names names;        // a null statement: it means nothing
  };

  [[nodiscard]] const StatementRef* Planned(std::string_view name, Place place) const;
  // Of plan_. Before it, what is folded counts; before that, at 0, what the server has answered.
  [[nodiscard]] Place FirstPlace() const { return folded_ ? 1 : 0; }
  void Add(Entry plan);
  void Put(std::string_view name, Named named);
  [[nodiscard]] static std::vector<const Names::value_type*> Sorted(const Names& names);  // as they came to mean anything
  void ForgetPlan();
  void Index(std::size_t i);
  void IndexAll();

  std::unique_ptr<Names> named_;  // few clients name any
  std::uint64_t ever_named_ = 0;
  std::size_t planned_size_ = 0;
  StatementRef unnamed_;
  std::unique_ptr<Folded> folded_;
  std::vector<Entry> plan_;     // behind what is folded
  std::vector<Before> before_;  // what the batch has changed, the oldest first
  // Of a long plan: what in it changes each name, in order; and what clears all.
  std::unique_ptr<ByName<std::vector<std::size_t>>> index_;
  std::vector<std::size_t> clears_;
};

}  // namespace waypost
