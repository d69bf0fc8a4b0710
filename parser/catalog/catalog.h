// An immutable picture of one database's catalogue, as far as classification needs it: for each
// name whether a replica may run what it stands for and all that this can reach in turn. Pure; built
// by the control plane with a CatalogBuilder, then shared by all workers as shared_ptr<const
// Catalog>.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "parser/catalog/search_path.h"
#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"

namespace waypost {

// What is known of all objects that one name may stand for, together.
struct Finding {
  bool known = false;      // there is such an object
  bool user_made = false;  // at least one of them was not made by initdb
  bool needs_fence = false;
  bool lists_prepared = false;  // see Verdict
  Reason why = Reason::kReadSafe;    // anything else: it must run on the primary
  PinReason pin = PinReason::kNone;  // what it may leave behind, reached through user-made objects
  std::uint32_t step = 0;            // for Catalog::Explain
  bool operator==(const Finding&) const = default;
};

// Findings by (name, schema, number of arguments), sorted, in two blocks of memory.
class NameTable {
 public:
  static constexpr std::uint8_t kAnyArguments = 255;
  struct Object {
    std::string schema, name;
    std::uint8_t min_args = 0, max_args = kAnyArguments;
    Finding finding;
  };

  NameTable() = default;
  explicit NameTable(std::vector<Object> objects);

  // All objects of that name that take `args` arguments (-1: whatever they take): in `schema`; if
  // that is empty, in the schemas of `path`; if that is null or not known, in any schema.
  [[nodiscard]] Finding Find(std::string_view schema, std::string_view name, int args = -1,
                             const SearchPath* path = nullptr) const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const { return rows_.capacity() * sizeof(Row) + text_.capacity(); }

 private:
  struct Row {
    std::uint32_t name_at;
    std::uint32_t schema_at;
    std::uint32_t step;
    std::uint8_t name_size, schema_size;
    std::uint8_t min_args, max_args;
    Reason why;
    PinReason pin;
    bool needs_fence, lists_prepared, user_made;
  };
  [[nodiscard]] static Finding FindingOf(const Row& row) {
    return {.known = true,
            .user_made = row.user_made,
            .needs_fence = row.needs_fence,
            .lists_prepared = row.lists_prepared,
            .why = row.why,
            .pin = row.pin,
            .step = row.step};
  }
  [[nodiscard]] std::string_view NameOf(const Row& row) const { return {text_.data() + row.name_at, row.name_size}; }
  [[nodiscard]] std::string_view SchemaOf(const Row& row) const { return {text_.data() + row.schema_at, row.schema_size}; }

  std::string text_;
  std::vector<Row> rows_;
};

class Catalog {
 public:
  // What `ref` may stand for in a session with that search_path. Attributes that are no function
  // are not known, which is no harm.
  [[nodiscard]] Finding Find(const NameRef& ref, const SearchPath* path) const;
  // A cast that applies without being named, if one of them is not safe.
  [[nodiscard]] const Finding& implicit_cast() const { return implicit_cast_; }
  // How a finding came about, in words: "view public.v → function public.f(integer) is volatile".
  // Empty for step 0.
  [[nodiscard]] std::string Explain(std::uint32_t step) const;
  // The search_path of a session that logged in as `login` and sets none. `user`: who it is now;
  // empty: not known.
  [[nodiscard]] SearchPath DefaultPath(std::string_view login, std::string_view user) const;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  friend class CatalogBuilder;
  // One link of an explanation.
  struct Step {
    std::uint32_t text_at;
    std::uint32_t text_size;
    std::uint32_t next;  // 0: the end
  };
  Catalog() = default;

  NameTable functions_;   // aggregates too
  NameTable operators_;
  NameTable relations_;   // without temporary ones, which other sessions cannot see
  NameTable types_;       // that a value is made of by naming them
  NameTable attributes_;  // functions of one row that are not safe: "t.f" may call them
  Finding implicit_cast_;
  std::vector<Step> steps_;  // the first is of no use
  std::string step_text_;
  std::string default_path_;
  bool default_path_known_ = false;
  // search_path of roles in this database; the role "": of all others.
  std::vector<std::pair<std::string, std::string>> role_paths_;
};

}  // namespace waypost
