// Framing must see the same messages whatever pieces the bytes come in, and reading any body must
// stay inside it.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "parser/wire/backend.h"
#include "parser/wire/frame.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

struct Seen {
  std::vector<std::pair<char, std::uint32_t>> headers;
  bool malformed = false;
  bool operator==(const Seen&) const = default;
};

void ReadBody(Bytes body) {
  (void)ReadQuery(body);
  (void)ReadParse(body);
  (void)ReadBind(body);
  (void)ReadTarget(body);
  (void)ReadExecutePortal(body);
  (void)ReadError(body);
  (void)ReadReadyForQuery(body);
  (void)ReadParameterStatus(body);
}

// A receiver that keeps what is not yet complete, as a relay does: headers are taken when whole,
// bodies skipped.
class Receiver {
 public:
  void Take(std::string_view chunk) {
    if (seen_.malformed) return;
    pending_ += chunk;
    Bytes input = AsBytes(pending_);
    while (Step(input)) {
    }
    pending_ = std::string(AsText(input));
  }
  [[nodiscard]] const Seen& seen() const { return seen_; }

 private:
  bool Step(Bytes& input) {
    const auto skipped = std::min<std::size_t>(body_left_, input.size());
    input = input.subspan(skipped);
    body_left_ -= skipped;
    if (body_left_ != 0) return false;
    FrameHeader header;
    const std::size_t before = input.size();
    const FrameStatus status = NextHeader(input, header);
    if (status != FrameStatus::kHeader) {
      WAYPOST_CHECK(input.size() == before);
      seen_.malformed = status == FrameStatus::kMalformed;
      return false;
    }
    WAYPOST_CHECK(input.size() + kHeaderBytes == before);
    WAYPOST_CHECK(header.body_bytes <= kMaxMessageBytes);
    (void)CheckFrontendHeader(header);
    seen_.headers.emplace_back(header.type, header.body_bytes);
    body_left_ = header.body_bytes;
    ReadBody(input.first(std::min<std::size_t>(body_left_, input.size())));
    return true;
  }

  std::string pending_;
  std::size_t body_left_ = 0;
  Seen seen_;
};

}  // namespace
}  // namespace waypost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  std::vector<std::size_t> cuts(provider.ConsumeIntegralInRange<std::size_t>(0, 8));
  for (auto& cut : cuts) cut = provider.ConsumeIntegral<std::uint8_t>();
  const std::string wire = provider.ConsumeRemainingBytesAsString();
  waypost::ReadBody(waypost::AsBytes(wire));

  waypost::Receiver whole;
  whole.Take(wire);
  waypost::Receiver pieces;
  std::string_view rest = wire;
  for (const auto cut : cuts) {
    pieces.Take(rest.substr(0, cut));
    rest.remove_prefix(std::min(cut, rest.size()));
  }
  pieces.Take(rest);
  WAYPOST_CHECK(whole.seen() == pieces.seen());
  return 0;
}
