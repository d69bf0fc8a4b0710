#include "core/server/login_refusals.h"

#include <algorithm>
#include <utility>

namespace waypost {
namespace {

constexpr std::size_t kMaxRefusals = 1'000;  // one more takes the place of the oldest

}  // namespace

void LoginRefusals::Note(LoginRefusal refusal) {
  Forget(refusal.server, refusal.database, refusal.user);
  if (refusals_.size() >= kMaxRefusals) refusals_.erase(refusals_.begin());
  refusals_.push_back(std::move(refusal));
}

void LoginRefusals::Forget(ServerId server, std::string_view database, std::string_view user) {
  std::erase_if(refusals_,
                [&](const LoginRefusal& one) { return one.server == server && one.database == database && one.user == user; });
}

std::uint64_t LoginRefusals::Bits(std::string_view database, std::string_view user, TimePoint now) const {
  constexpr ServerId kBits = 64;  // more servers than that cannot be configured
  std::uint64_t bits = 0;
  for (const auto& one : refusals_)
    if (one.server < kBits && now < one.until && one.database == database && one.user == user)
      bits |= std::uint64_t{1} << one.server;
  return bits;
}

std::vector<LoginRefusal> LoginRefusals::Report(TimePoint now) const {
  std::vector<LoginRefusal> holding;
  std::copy_if(refusals_.begin(), refusals_.end(), std::back_inserter(holding),
               [&](const LoginRefusal& one) { return now < one.until; });
  return holding;
}

}  // namespace waypost
