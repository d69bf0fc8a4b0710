// The servers of a configuration, when a list that somebody else keeps decides which of them there are. Pure.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "routing/membership.h"

namespace waypost {

// "patroni", "repmgr"; "" for kProbe.
[[nodiscard]] std::string_view DiscoveryName(DiscoverySource source);

// `config` with `members` for its servers. One that has the address of a [[server]] is that server; another one has the settings
// of the first [[server]], but for its weight, which is 1, and names. One that drains has the weight 0.
[[nodiscard]] Config WithMembers(Config config, std::span<const Member> members);

// What is in force when `before` gives way to `after`, whose list of servers has come of `members` so far: these, and each [[server]]
// of `after` that `before` did not have.
[[nodiscard]] std::vector<Member> MembersAfter(std::span<const Member> members, const Config& before, const Config& after);

// Each [[server]] of it.
[[nodiscard]] std::vector<Member> MembersOf(const Config& config);

}  // namespace waypost
