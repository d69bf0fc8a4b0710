// Names of a client that the servers call otherwise: [[database]] server_name and user. Pure.
#pragma once

#include <string>

#include "core/config/config.h"

namespace waypost {

struct ServerNames {
  std::string database;  // what the servers call it
  std::string user;      // as whom a session there goes on
};
// Of whoever comes as `user` to `database`: the same names, unless `config` says otherwise.
[[nodiscard]] ServerNames NamesOnServers(const Config& config, const std::string& database, const std::string& user);

}  // namespace waypost
