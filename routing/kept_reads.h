// Why no replica may be read from although there are some: what an administrator must find within seconds when the
// primary bears all the load. Pure.
#pragma once

#include <span>
#include <string>

#include "core/base/time.h"
#include "routing/cluster_view.h"
#include "routing/policy.h"

namespace waypost {

// `unproved`: by ServerId, why no read can be proved on that server to see all that it must; "": it can. "" if a replica
// may be read from under one of `policies`, if none of them wants that, if the configuration has no other
// server, or if there is no primary, which is said elsewhere. Otherwise "NAME: why; NAME: why", under the first policy.
[[nodiscard]] std::string WhyReadsAreKept(const ClusterView& view, std::span<const RoutingPolicy> policies,
                                          std::span<const std::string> unproved, TimePoint now);

}  // namespace waypost
