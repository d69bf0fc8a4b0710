#include "parser/catalog/catalog.h"

#include <algorithm>
#include <tuple>

namespace waypost {
namespace {

// The first that is not safe stays; of what may be left behind, that which covers the rest.
void Combine(Finding& all, const Finding& one) {
  all.known = true;
  all.user_made |= one.user_made;
  all.needs_fence |= one.needs_fence;
  all.lists_prepared |= one.lists_prepared;
  if (all.why == Reason::kReadSafe && one.why != Reason::kReadSafe) {
    all.why = one.why;
    all.step = one.step;
  }
  if (all.pin == PinReason::kNone || one.pin == PinReason::kUnknownState) all.pin = one.pin;
}

}  // namespace

NameTable::NameTable(std::vector<Object> objects) {
  // Names of PostgreSQL are at most NAMEDATALEN - 1 = 63 bytes; on a server compiled with more, a
  // longer name than fits here is simply not found.
  constexpr std::size_t kMaxName = 255;
  std::erase_if(objects, [](const Object& object) { return object.name.size() > kMaxName || object.schema.size() > kMaxName; });
  const auto key = [](const Object& object) { return std::tie(object.name, object.schema, object.min_args, object.max_args); };
  std::sort(objects.begin(), objects.end(), [&](const Object& a, const Object& b) { return key(a) < key(b); });
  const Object* last = nullptr;
  std::vector<std::pair<std::string_view, std::uint32_t>> schemas;  // few: each is stored once
  for (const Object& object : objects) {
    const Finding& finding = object.finding;
    if (last != nullptr && key(*last) == key(object)) {
      Row& row = rows_.back();
      Finding all = FindingOf(row);
      Combine(all, finding);
      row.step = all.step;
      row.why = all.why;
      row.pin = all.pin;
      row.needs_fence = all.needs_fence;
      row.lists_prepared = all.lists_prepared;
      row.user_made = all.user_made;
      continue;
    }
    auto schema = std::find_if(schemas.begin(), schemas.end(), [&](const auto& known) { return known.first == object.schema; });
    if (schema == schemas.end()) {
      schemas.emplace_back(object.schema, static_cast<std::uint32_t>(text_.size()));
      text_ += object.schema;
      schema = schemas.end() - 1;
    }
    auto name_at = static_cast<std::uint32_t>(text_.size());
    if (last != nullptr && last->name == object.name) {
      name_at = rows_.back().name_at;
    } else {
      text_ += object.name;
    }
    rows_.push_back({.name_at = name_at,
                     .schema_at = schema->second,
                     .step = finding.step,
                     .name_size = static_cast<std::uint8_t>(object.name.size()),
                     .schema_size = static_cast<std::uint8_t>(object.schema.size()),
                     .min_args = object.min_args,
                     .max_args = object.max_args,
                     .why = finding.why,
                     .pin = finding.pin,
                     .needs_fence = finding.needs_fence,
                     .lists_prepared = finding.lists_prepared,
                     .user_made = finding.user_made});
    last = &object;
  }
  text_.shrink_to_fit();
  rows_.shrink_to_fit();
}

Finding NameTable::Find(std::string_view schema, std::string_view name, int args, const SearchPath* path) const {
  auto row =
      std::lower_bound(rows_.begin(), rows_.end(), name, [this](const Row& r, std::string_view n) { return NameOf(r) < n; });
  Finding found;
  for (; row != rows_.end() && NameOf(*row) == name; ++row) {
    const std::string_view here = SchemaOf(*row);
    if (!schema.empty()) {
      if (here != schema) continue;
    } else if (path != nullptr && path->known && !path->Has(here)) {
      continue;
    }
    if (args >= 0 && (args < row->min_args || (args > row->max_args && row->max_args != kAnyArguments))) {
      continue;
    }
    Combine(found, FindingOf(*row));
  }
  return found;
}

Finding Catalog::Find(const NameRef& ref, const SearchPath* path) const {
  switch (ref.kind) {
    case NameRef::Kind::kFunction: return functions_.Find(ref.schema, ref.name, ref.args, path);
    case NameRef::Kind::kRelation: return relations_.Find(ref.schema, ref.name, -1, path);
    case NameRef::Kind::kType: return types_.Find(ref.schema, ref.name, -1, path);
    case NameRef::Kind::kOperator: return operators_.Find(ref.schema, ref.name, -1, path);
    case NameRef::Kind::kAttribute: return attributes_.Find("", ref.name, -1, path);
  }
  return {};
}

std::string Catalog::Explain(std::uint32_t step) const {
  std::string path;
  for (; step != 0; step = steps_[step].next) {
    if (!path.empty()) path += " → ";
    path.append(step_text_, steps_[step].text_at, steps_[step].text_size);
  }
  return path;
}

SearchPath Catalog::DefaultPath(std::string_view login, std::string_view user) const {
  const auto of = [&](std::string_view role) {
    return std::find_if(role_paths_.begin(), role_paths_.end(), [&](const auto& entry) { return entry.first == role; });
  };
  if (const auto own = of(login); own != role_paths_.end()) return ReadSearchPath(own->second, user);
  if (const auto all = of(""); all != role_paths_.end()) return ReadSearchPath(all->second, user);
  return default_path_known_ ? ReadSearchPath(default_path_, user) : SearchPath{};
}

std::size_t Catalog::size() const {
  return functions_.size() + operators_.size() + relations_.size() + types_.size() + attributes_.size();
}

std::size_t Catalog::bytes() const {
  return functions_.bytes() + operators_.bytes() + relations_.bytes() + types_.bytes() + attributes_.bytes() +
         steps_.capacity() * sizeof(Step) + step_text_.capacity();
}

}  // namespace waypost
