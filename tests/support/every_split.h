// Reads a wire in two pieces, cut at every place in turn, and byte by byte: what comes out must not
// depend on where the reads of a socket happened to end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "parser/wire/frame.h"

namespace waypost {

// What a peer sees of a wire: each header in order with its body, and what stopped it.
struct FramesSeen {
  struct Frame {
    char type = 0;
    std::string body;
    bool operator==(const Frame&) const = default;
  };
  std::vector<Frame> frames;  // the last may be cut short
  FrameStatus status = FrameStatus::kNeedMore;
  bool operator==(const FramesSeen&) const = default;
};

// Takes the wire in pieces, keeping between them only what a reader must: the bytes of a header
// that is not whole, and how much of a body is still to come.
class FrameReader {
 public:
  void Take(std::string_view piece) {
    kept_ += piece;
    Bytes input = AsBytes(kept_);
    while (seen_.status != FrameStatus::kMalformed && Next(input)) {
    }
    kept_ = std::string(AsText(input));
  }
  [[nodiscard]] const FramesSeen& seen() const { return seen_; }
  // Bytes that are no whole header yet.
  [[nodiscard]] std::size_t left() const { return kept_.size(); }

 private:
  bool Next(Bytes& input) {
    if (body_due_ > 0) {
      const auto taken = std::min(body_due_, input.size());
      seen_.frames.back().body += AsText(input.first(taken));
      input = input.subspan(taken);
      body_due_ -= taken;
      if (body_due_ > 0) return false;
    }
    FrameHeader header;
    seen_.status = NextHeader(input, header);
    if (seen_.status != FrameStatus::kHeader) return false;
    seen_.frames.push_back({header.type, {}});
    body_due_ = header.body_bytes;
    return true;
  }

  FramesSeen seen_;
  std::string kept_;
  std::size_t body_due_ = 0;
};

// The pieces of `wire`: cut once at `cut`; past the end: every byte a piece.
inline std::vector<std::string_view> SplitAt(std::string_view wire, std::size_t cut) {
  if (cut <= wire.size()) return {wire.substr(0, cut), wire.substr(cut)};
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < wire.size(); ++i) pieces.push_back(wire.substr(i, 1));
  return pieces;
}

}  // namespace waypost
