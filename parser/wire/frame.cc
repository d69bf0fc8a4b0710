#include "parser/wire/frame.h"

namespace waypost {

FrameStatus NextHeader(Bytes& input, FrameHeader& header) {
  if (input.size() < kHeaderBytes) return FrameStatus::kNeedMore;
  const auto length = ReadU32(input.data() + 1);
  if (length < 4 || length - 4 > kMaxMessageBytes) return FrameStatus::kMalformed;
  header.type = static_cast<char>(input[0]);
  header.body_bytes = length - 4;
  input = input.subspan(kHeaderBytes);
  return FrameStatus::kHeader;
}

FrontendFault CheckFrontendHeader(FrameHeader header) {
  switch (header.type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'F':
    case 'd': return header.body_bytes + 4 > kMaxMessageBytes ? FrontendFault::kTooLong : FrontendFault::kNone;
    case 'C':
    case 'D':
    case 'E':
    case 'H':
    case 'S':
    case 'X':
    case 'c':
    case 'f': return header.body_bytes + 4 > kMaxSmallMessageBytes ? FrontendFault::kTooLong : FrontendFault::kNone;
    default: return FrontendFault::kUnknownType;
  }
}

}  // namespace waypost
