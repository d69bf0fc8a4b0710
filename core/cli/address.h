// Where the admin port of the Waypost on this machine is, or of another that is named; and by which token one is known there.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/cli/http.h"

namespace waypost {

inline constexpr const char* kUsualConfig = "/etc/waypost/waypost.toml";

struct AddressOptions {
  std::string config;      // of the running Waypost; empty: kUsualConfig, if it can be read
  std::string url;         // these two go before it
  std::string socket;
};

// Where to ask, in this order; at least one. Of the configuration only [admin] address, port and socket are read: whoever asks
// need not be able to read its secrets' files, nor have its variables. The error says what is wrong with which option.
[[nodiscard]] Result<std::vector<AdminAddress>> FindAdminPort(const AddressOptions& options);

// The same of the text of a configuration at `path`. Pure.
[[nodiscard]] Result<std::vector<AdminAddress>> AdminPortIn(const std::string& text, const std::string& path);

// The first line of `file`; without one the variable WAYPOST_TOKEN; empty: there is none.
[[nodiscard]] Result<std::string> FindToken(const std::string& file);

}  // namespace waypost
