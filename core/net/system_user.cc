#include "core/net/system_user.h"

#include <pwd.h>
#include <uv.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

namespace waypost {
namespace {

struct Request {
  uv_work_t work{};
  std::uint32_t number = 0;
  std::string name;
  std::function<void(const std::string&)> done;
};

std::string NameOf(std::uint32_t number) {
  constexpr std::size_t kFirst = 1024, kMost = 1U << 20U;
  for (std::vector<char> buffer(kFirst); buffer.size() <= kMost; buffer.resize(2 * buffer.size())) {
    passwd entry{};
    passwd* found = nullptr;
    const int failed = getpwuid_r(number, &entry, buffer.data(), buffer.size(), &found);
    if (failed == 0) return found == nullptr ? "" : found->pw_name;
    if (failed != ERANGE) return "";
  }
  return "";
}

}  // namespace

void FindSystemUser(Loop& loop, std::uint32_t number, std::function<void(const std::string& name)> done) {
  auto request = std::make_unique<Request>();
  request->number = number;
  request->done = std::move(done);
  request->work.data = request.get();
  uv_queue_work(
      loop.raw(), &request.release()->work,
      [](uv_work_t* work) {
        auto& of = *static_cast<Request*>(work->data);
        of.name = NameOf(of.number);
      },
      [](uv_work_t* work, int) {
        const std::unique_ptr<Request> of(static_cast<Request*>(work->data));
        of->done(of->name);
      });
}

}  // namespace waypost
