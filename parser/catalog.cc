#include "parser/catalog.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace waypost {

NameTable::NameTable(std::vector<Named> objects) {
  // Names of PostgreSQL are at most NAMEDATALEN - 1 = 63 bytes; servers compiled with more are cut
  // to what fits here, and a longer name is then simply not found.
  constexpr std::size_t kMaxName = 255;
  std::erase_if(objects, [](const Named& object) {
    return object.name.size() > kMaxName || object.schema.size() > kMaxName;
  });
  std::sort(objects.begin(), objects.end(), [](const Named& a, const Named& b) {
    return std::tie(a.name, a.schema) < std::tie(b.name, b.schema);
  });
  const Named* last = nullptr;
  std::vector<std::pair<std::string_view, std::uint32_t>> schemas;  // few: each is stored once
  for (const Named& object : objects) {
    if (last != nullptr && last->name == object.name && last->schema == object.schema) {
      rows_.back().flags = static_cast<std::uint16_t>(rows_.back().flags | object.flags);
      continue;
    }
    auto schema = std::find_if(schemas.begin(), schemas.end(),
                               [&](const auto& known) { return known.first == object.schema; });
    if (schema == schemas.end()) {
      schemas.emplace_back(object.schema, static_cast<std::uint32_t>(text_.size()));
      text_ += object.schema;
      schema = schemas.end() - 1;
    }
    std::uint32_t name_at = static_cast<std::uint32_t>(text_.size());
    if (last != nullptr && last->name == object.name) {
      name_at = rows_.back().name_at;
    } else {
      text_ += object.name;
    }
    rows_.push_back({.name_at = name_at,
                     .schema_at = schema->second,
                     .name_size = static_cast<std::uint8_t>(object.name.size()),
                     .schema_size = static_cast<std::uint8_t>(object.schema.size()),
                     .flags = object.flags});
    last = &object;
  }
  text_.shrink_to_fit();
  rows_.shrink_to_fit();
}

std::optional<std::uint16_t> NameTable::Find(std::string_view schema, std::string_view name) const {
  auto row = std::lower_bound(rows_.begin(), rows_.end(), name,
                              [this](const Row& r, std::string_view n) { return NameOf(r) < n; });
  std::optional<std::uint16_t> found;
  for (; row != rows_.end() && NameOf(*row) == name; ++row) {
    if (!schema.empty() && SchemaOf(*row) != schema) continue;
    found = static_cast<std::uint16_t>(found.value_or(0) | row->flags);
  }
  return found;
}

CatalogBuilder& CatalogBuilder::Function(std::string_view schema, std::string_view name,
                                         std::uint16_t flags) {
  functions_.push_back({std::string(schema), std::string(name), flags});
  return *this;
}

CatalogBuilder& CatalogBuilder::Operator(std::string_view schema, std::string_view name,
                                         std::uint16_t flags) {
  operators_.push_back({std::string(schema), std::string(name), flags});
  return *this;
}

CatalogBuilder& CatalogBuilder::Relation(std::string_view schema, std::string_view name,
                                         std::uint16_t flags) {
  relations_.push_back({std::string(schema), std::string(name), flags});
  return *this;
}

CatalogBuilder& CatalogBuilder::Type(std::string_view schema, std::string_view name,
                                     std::uint16_t flags) {
  types_.push_back({std::string(schema), std::string(name), flags});
  return *this;
}

CatalogBuilder& CatalogBuilder::Attribute(std::string_view schema, std::string_view name) {
  attributes_.push_back({std::string(schema), std::string(name), 0});
  return *this;
}

CatalogBuilder& CatalogBuilder::UnsafeImplicitCast() {
  unsafe_implicit_cast_ = true;
  return *this;
}

CatalogBuilder& CatalogBuilder::SynchronousCommitOverridden() {
  synchronous_commit_overridden_ = true;
  return *this;
}

Catalog CatalogBuilder::Take() {
  Catalog catalog;
  catalog.functions = NameTable(std::move(functions_));
  catalog.operators = NameTable(std::move(operators_));
  catalog.relations = NameTable(std::move(relations_));
  catalog.types = NameTable(std::move(types_));
  catalog.attributes = NameTable(std::move(attributes_));
  catalog.unsafe_implicit_cast = unsafe_implicit_cast_;
  catalog.synchronous_commit_overridden = synchronous_commit_overridden_;
  return catalog;
}

}  // namespace waypost
