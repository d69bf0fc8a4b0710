#include "routing/name_context.h"

#include <utility>

namespace waypost {

void NameContext::SetSettings(std::string_view search_path, std::string role) {
  search_path_ = search_path;
  role_ = std::move(role);
  moment_ = {};
}

SearchPath NameContext::FindPath(std::string_view user) const {
  const auto current = role_.empty() ? user : std::string_view();
  if (!search_path_.empty()) return ReadSearchPathStatement(search_path_, current);
  return found_.catalog == nullptr ? SearchPath{} : found_.catalog->DefaultPath(user, current);
}

void NameContext::Renew(Moment now, const Found& found, const Whose& whose, ContextTable& contexts) {
  moment_ = now;
  found_ = found;
  if (found_.catalog == nullptr) found_.stale = false;
  path_ = FindPath(whose.user);
  context_ = contexts.Intern(whose.database, Version(), std::string(whose.user) + '\n' + role_, search_path_);
}

NamePlace NameContext::BehindSet(std::string_view database, ContextTable& contexts) const {
  return {contexts.Intern(database, Version(), {}, "?"), {.path = nullptr, .stale = found_.stale}};
}

}  // namespace waypost
