// One request to the admin port of a running Waypost. Blocks; main thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace waypost {

// Where the admin port is.
struct AdminAddress {
  std::string url;     // "http://127.0.0.1:8432", without a path
  std::string socket;  // a Unix socket; then `url` only gives the Host header
};
// The way to it in words.
[[nodiscard]] std::string AddressText(const AdminAddress& address);

struct HttpQuestion {
  std::string method = "GET";
  std::string path;   // from "/", with what it asks for behind a '?'
  std::string body = {};   // JSON; empty: none
  std::string token = {};  // empty: none
  std::chrono::seconds limit{30};  // 0: none, for a stream; then the server's silence is bounded
  std::string accept = "application/json";
};

struct HttpAnswer {
  long status = 0;
  std::string body;
};

struct NotReached {
  std::string message;  // where, and why
  bool sent = false;    // the request may have arrived: do not ask elsewhere
};

// What came of the answer's body so far, if its status is 200. False: it is enough.
using HttpReader = std::function<bool(std::string_view part)>;

// `reader`: takes the body instead of the answer, as it comes; may be empty. No redirection is followed and no proxy used.
[[nodiscard]] Result<HttpAnswer, NotReached> Ask(const AdminAddress& address, const HttpQuestion& question,
                                                 const HttpReader& reader = {});

// Fit to stand in a URL between two slashes, or behind a '='. Pure.
[[nodiscard]] std::string PercentEncoded(std::string_view text);

}  // namespace waypost
