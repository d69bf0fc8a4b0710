// Which Host a request may name. A browser that was led here by a foreign name (DNS rebinding) names that one. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waypost {

// `host`: the value of the header, with or without a port. IP addresses and localhost may always be named: a page of somebody
// else's cannot have them as its name. `allowed`: others, without a port, in any case.
[[nodiscard]] bool HostAllowed(std::string_view host, const std::vector<std::string>& allowed);

}  // namespace waypost
