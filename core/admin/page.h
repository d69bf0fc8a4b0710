// The web page (core/admin/page/), embedded in the program, and the headers that keep it to itself: it loads nothing from
// elsewhere, runs no script but its own, and stands in nobody's frame.
#pragma once

#include <span>
#include <string_view>

#include "core/admin/api.h"

namespace waypost {

struct EmbeddedFile {
  std::string_view name, bytes;  // "page.js"
};
// All of them, by name. Made at build time.
[[nodiscard]] std::span<const EmbeddedFile> PageFiles();

// The file at that path of a URL: "/" is index.html, the others stand in "/page/". Null: there is none. It lives for ever. Any
// thread.
[[nodiscard]] const StaticFile* FindPageFile(std::string_view path);

}  // namespace waypost
