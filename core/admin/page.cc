#include "core/admin/page.h"

#include <string>

namespace waypost {
namespace {

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view ContentType(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return "text/javascript; charset=utf-8";
}

struct Page {
  std::vector<std::string> paths;
  std::vector<StaticFile> files;
};

Page MakePage() {
  Page page;
  for (const auto& file : PageFiles()) page.paths.push_back(file.name == "index.html" ? "/" : "/page/" + std::string(file.name));
  for (std::size_t i = 0; const auto& file : PageFiles())
    page.files.push_back({page.paths[i++],
                          ContentType(file.name),
                          file.bytes,
                          {{"Content-Security-Policy", kPolicy}, {"Referrer-Policy", "no-referrer"}}});
  return page;
}

}  // namespace

const StaticFile* FindPageFile(std::string_view path) {
  static const Page page = MakePage();
  for (const auto& file : page.files)
    if (file.path == path) return &file;
  return nullptr;
}

}  // namespace waypost
