#include "core/session/common.h"

#include <utility>

#include "core/env/env.h"
#include "core/fence/probe.h"
#include "core/server/login_refusals.h"

namespace waypost {
namespace {

constexpr std::size_t kSpareBatches = 64;

}  // namespace

std::unique_ptr<Batch> SpareBatches::Take() {
  if (spare_.empty()) return std::make_unique<Batch>();
  auto batch = std::move(spare_.back());
  spare_.pop_back();
  return batch;
}

void SpareBatches::Give(std::unique_ptr<Batch> batch) {
  if (spare_.size() >= kSpareBatches) return;
  batch->Clear();
  spare_.push_back(std::move(batch));
}

SessionCommon::SessionCommon(Env& env, const Parts& parts)
    : host(parts.host),
      logins(parts.logins),
      pools(parts.pools),
      fence(parts.fence),
      cancels(parts.cancels),
      cache(SqlCacheLimits{}, env.Random()),
      unread_sql(std::make_shared<const SqlText>(SqlText{"<too long to read>", std::make_shared<const std::vector<Facts>>(1)})),
      env_(env),
      refusals_(parts.refusals) {}

Load SessionCommon::LoadFor(std::string_view database, std::string_view user) {
  return {outstanding_, turn_++, &fence.fence(), TimePoint(Duration(env_.shared().last_write.load(std::memory_order_relaxed))),
          refusals_.Of(database, user, env_.Now())};
}

void SessionCommon::AddOutstanding(ServerId id, int change) {
  if (outstanding_.size() <= id) outstanding_.resize(id + std::size_t{1});
  outstanding_[id] = static_cast<std::uint32_t>(static_cast<int>(outstanding_[id]) + change);
}

}  // namespace waypost
