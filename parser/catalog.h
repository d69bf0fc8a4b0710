// An immutable picture of one database's catalogue, as far as classification needs it. Pure; built
// by the control plane with a CatalogBuilder, then shared by all workers as shared_ptr<const
// Catalog>.
//
// Names are looked up without search_path: an unqualified name stands for every object of that name
// in any schema, and any of them being unsafe makes it unsafe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

// What is true of at least one object of a name: one bit each, so that overloads and schemas
// combine by OR.
namespace function_flag {
inline constexpr std::uint16_t kStable = 1 << 0;    // provolatile 's'
inline constexpr std::uint16_t kVolatile = 1 << 1;  // provolatile 'v'
inline constexpr std::uint16_t kUser = 1 << 2;      // not made by initdb
inline constexpr std::uint16_t kInterpreted =
    1 << 3;  // user-made, in a language that can run SQL (not C, not internal)
inline constexpr std::uint16_t kAggregate =
    1 << 4;  // a user-made aggregate, some function of which is volatile or kInterpreted
inline constexpr std::uint16_t kBuiltIn = 1 << 5;  // made by initdb
}  // namespace function_flag

namespace relation_flag {
inline constexpr std::uint16_t kUserView = 1 << 0;
inline constexpr std::uint16_t kForeign = 1 << 1;    // itself, or a partition or child of it
inline constexpr std::uint16_t kRowPolicy = 1 << 2;  // row security is on
inline constexpr std::uint16_t kSequence = 1 << 3;
inline constexpr std::uint16_t kUnlogged =
    1 << 4;  // or temporary; itself, or a partition or child of it
inline constexpr std::uint16_t kSystem = 1 << 5;  // made by initdb
}  // namespace relation_flag

namespace type_flag {
inline constexpr std::uint16_t kUser = 1 << 0;
inline constexpr std::uint16_t kDomain = 1 << 1;  // user-made: its checks may call anything
inline constexpr std::uint16_t kOpaque =
    1 << 2;  // user-made composite or range: what it holds is not followed
inline constexpr std::uint16_t kUnsafeInput =
    1 << 3;  // user-made, and reading a text into it is volatile
inline constexpr std::uint16_t kUnsafeCast =
    1 << 4;  // a user-made cast to it runs SQL or is volatile
inline constexpr std::uint16_t kLooksUp =
    1 << 5;  // regclass and the like: reading a text looks at the catalogue
}  // namespace type_flag

// Flags by (schema, name), sorted, in two blocks of memory.
class NameTable {
 public:
  // The flags of that object, or of all objects of that name if `schema` is empty; nothing if there
  // is none.
  [[nodiscard]] std::optional<std::uint16_t> Find(std::string_view schema,
                                                  std::string_view name) const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t bytes() const {
    return rows_.capacity() * sizeof(Row) + text_.capacity();
  }

 private:
  friend class CatalogBuilder;
  struct Row {
    std::uint32_t name_at;
    std::uint32_t schema_at;
    std::uint8_t name_size;
    std::uint8_t schema_size;
    std::uint16_t flags;
  };
  struct Named {
    std::string schema, name;
    std::uint16_t flags;
  };
  explicit NameTable(std::vector<Named> objects);
  NameTable() = default;
  friend class Catalog;
  [[nodiscard]] std::string_view NameOf(const Row& row) const {
    return {text_.data() + row.name_at, row.name_size};
  }
  [[nodiscard]] std::string_view SchemaOf(const Row& row) const {
    return {text_.data() + row.schema_at, row.schema_size};
  }

  std::string text_;
  std::vector<Row> rows_;  // by name, then schema
};

class Catalog {
 public:
  NameTable functions;  // function_flag; aggregates and procedures too
  NameTable operators;  // function_flag, of the functions that do the work
  NameTable relations;  // relation_flag; without temporary ones, which other sessions cannot see
  NameTable types;  // type_flag; base, domain, enum, range, pseudo, and user-made composite types
  NameTable attributes;  // functions of one row that are not proved safe: "t.f" may call them; all
                         // flags 0
  bool unsafe_implicit_cast =
      false;  // a user-made cast that runs SQL or is volatile may apply without being named
  // ALTER ROLE or DATABASE ... SET synchronous_commit to something other than remote_apply, for
  // this database.
  bool synchronous_commit_overridden = false;

  [[nodiscard]] std::size_t bytes() const {
    return functions.bytes() + operators.bytes() + relations.bytes() + types.bytes() +
           attributes.bytes();
  }

 private:
  friend class CatalogBuilder;
  Catalog() = default;
};

// Collects objects in any order; several of one name combine. Take() ends it.
class CatalogBuilder {
 public:
  CatalogBuilder& Function(std::string_view schema, std::string_view name, std::uint16_t flags);
  CatalogBuilder& Operator(std::string_view schema, std::string_view name, std::uint16_t flags);
  CatalogBuilder& Relation(std::string_view schema, std::string_view name, std::uint16_t flags);
  CatalogBuilder& Type(std::string_view schema, std::string_view name, std::uint16_t flags);
  CatalogBuilder& Attribute(std::string_view schema, std::string_view name);
  CatalogBuilder& UnsafeImplicitCast();
  CatalogBuilder& SynchronousCommitOverridden();
  [[nodiscard]] Catalog Take();

 private:
  using Objects = std::vector<NameTable::Named>;
  Objects functions_, operators_, relations_, types_, attributes_;
  bool unsafe_implicit_cast_ = false;
  bool synchronous_commit_overridden_ = false;
};

}  // namespace waypost
