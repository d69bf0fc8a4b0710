#include "core/config/server_names.h"

namespace waypost {

ServerNames NamesOnServers(const Config& config, const std::string& database, const std::string& user) {
  ServerNames names{database, user};
  const auto* entry = config.FindDatabase(database);
  if (entry == nullptr) return names;
  if (!entry->server_name.empty()) names.database = entry->server_name;
  if (!entry->user.empty()) names.user = entry->user;
  return names;
}

}  // namespace waypost
