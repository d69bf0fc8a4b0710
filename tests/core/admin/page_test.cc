#include <catch2/catch.hpp>

#include <regex>
#include <set>
#include <string>

#include "core/admin/page.h"

using namespace waypost;

namespace {

std::set<std::string> Matches(std::string_view text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::cregex_iterator it(text.data(), text.data() + text.size(), regex), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

std::string Header(const StaticFile& file, std::string_view name) {
  for (const auto& [key, value] : file.headers)
    if (key == name) return value;
  return "";
}

}  // namespace

TEST_CASE("the page stands at / and its parts in /page/", "[admin][page]") {
  const auto* index = FindPageFile("/");
  REQUIRE(index != nullptr);
  CHECK(index->content_type == "text/html; charset=utf-8");
  CHECK(index->bytes.starts_with("<!doctype html>"));
  REQUIRE(FindPageFile("/page/page.js") != nullptr);
  CHECK(FindPageFile("/page/page.js")->content_type == "text/javascript; charset=utf-8");
  CHECK(FindPageFile("/page/page.css")->content_type == "text/css; charset=utf-8");
  for (const auto* path :
       {"", "/page", "/page/", "/page/index.html", "/page/../page/page.js", "/page.js", "/page/page.js/", "/page/page.css.map"})
    CHECK(FindPageFile(path) == nullptr);
}

TEST_CASE("whatever the page loads is one of its own files", "[admin][page]") {
  for (const auto& file : PageFiles()) {
    CAPTURE(file.name);
    for (const auto& name : Matches(file.bytes, "(?:src|href)=\"(/page/[^\"]*)\"")) CHECK(FindPageFile(name) != nullptr);
    for (const auto& name : Matches(file.bytes, "from \"\\./([^\"]*)\"")) CHECK(FindPageFile("/page/" + name) != nullptr);
    // The only URLs are names of XML's.
    CHECK(Matches(file.bytes, "(https?:[^'\" ]*)") ==
          (file.name == "dom.js" || file.name == "index.html" || file.name == "page.js"
               ? std::set<std::string>{"http://www.w3.org/2000/svg"}
               : std::set<std::string>{}));
  }
}

TEST_CASE("the page takes no text for markup and needs no inline script or style", "[admin][page]") {
  std::size_t bytes = 0;
  for (const auto& file : PageFiles()) {
    CAPTURE(file.name);
    bytes += file.bytes.size();
    CHECK(Matches(file.bytes,
                  "(innerHTML|outerHTML|insertAdjacentHTML|document\\.write|DOMParser|createContextualFragment|srcdoc|\\beval\\(|"
                  "new Function|javascript:)")
              .empty());
    CHECK(Matches(file.bytes, "(<style|<script>| style=| on[a-z]+=\")").empty());
    const auto path = file.name == "index.html" ? "/" : "/page/" + std::string(file.name);
    const auto policy = Header(*FindPageFile(path), "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
  }
  CHECK(bytes < 300'000);
}
