// One HTTP request, by libcurl, whose set-up stands here only. Blocks; any thread. No redirection is followed and no proxy used;
// certificates are checked against the system's authorities, or one of the caller's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace waypost {

struct HttpRequest {
  std::string method = "GET";
  std::string url;                        // http:// or https://
  std::string socket = {};                // path of a Unix socket; then `url` only gives the path and the Host header
  std::vector<std::string> headers = {};  // "Name: value"; no line ends in them
  std::optional<std::string_view> body = {};  // of the caller; must live as long as the call
  std::string authority = {};  // file of who signs certificates; empty: whom the system trusts
  milliseconds connect_limit{5'000};
  milliseconds limit{30'000};  // of all of it; 0: none, then a silence of a minute ends it
};

// A part of the answer's body, as it comes. False: it is enough.
using HttpPart = std::function<bool(long status, std::string_view part)>;

struct HttpFailure {
  std::string message;  // why
  bool sent = false;  // the request may have arrived
};

// The status of the answer, if there was one, or as much of one as `read` wanted. No `read`: the body is thrown away.
[[nodiscard]] Result<long, HttpFailure> SendHttp(const HttpRequest& request, const HttpPart& read = {});

}  // namespace waypost
