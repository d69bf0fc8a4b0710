// A batch that ends a READ ONLY block on a replica and goes on behind that, or that prepares the block behind other
// statements: the replica can do neither. Or it ends a block whose server is lost, and the rest is for another one. The batch
// is cut there into two, and each part runs where it can. The client gets one answer: what would end it between the parts is
// dropped, and behind an error so is the rest.
#include <algorithm>
#include <string>

#include "core/base/ascii.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

// A longer Query is not cut: each of its parts is read anew.
constexpr std::size_t kMaxCutBytes = 8 * 1024;

// How many of these statements the first part has; 0: they stay together.
std::size_t CutAt(const std::vector<Facts>& list) {
  const auto end = std::find_if(list.begin(), list.end(), EndsBlock);
  if (end == list.end()) return 0;
  const auto before = static_cast<std::size_t>(end - list.begin());
  if (end->prepares && before > 0) return before;
  return before + 1 < list.size() ? before + 1 : 0;
}

bool MayPrepare(std::string_view text) {
  return text.size() <= kMaxCutBytes && AsciiLower(text).find("transaction") != std::string::npos;
}

// As many characters as there are, so that the server counts as the client does.
std::string Blank(std::string_view text) {
  const auto follows = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  return std::string(text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), follows)), ' ');
}

}  // namespace

// What ends the block at hand is the last that its server is to hear of the batch.
bool Session::EndsApart() const {
  if (In<FailedBlock>()) return true;
  if (!OnReplica() || !block_.reads_only()) return false;
  if (const auto* block = std::get_if<InBlock>(&state_)) return block->pin == PinReason::kNone;
  const auto* relaying = std::get_if<Relaying>(&state_);
  return relaying != nullptr && relaying->pin == PinReason::kNone && !connection_->ledger().Skipping();
}

// `query`, at the head of the input, is to be cut, or was: the part of it that is next is taken. False: it is whole.
bool Session::TakePart(Bytes query, Bytes& in) {
  const auto text = ReadQuery(query.subspan(kHeaderBytes));
  const auto done = std::exchange(query_done_, 0);
  const bool apart =
      text && !batch_ && text->size() <= kMaxCutBytes && text->find(';', done) != std::string_view::npos && EndsApart();
  if (!apart && done == 0) return false;
  auto part = Blank(text->substr(0, done)).append(text->substr(done));
  if (apart) {
    const auto& list = Look(part).facts();
    if (const auto first = CutAt(list); first > 0) {
      const std::size_t end = list[first - 1].end;
      query_done_ = end + 1 + (text->size() - part.size());
      part.resize(end);
    }
  }
  if (query_done_ == 0 && done == 0) return false;
  std::string whole;
  AppendQuery(whole, part);
  if (query_done_ > 0) batch().goes_on = true;
  else in = in.subspan(query.size());
  Add({'Q', static_cast<std::uint32_t>(whole.size() - kHeaderBytes)}, AsBytes(whole));
  return true;
}

// True if the series under way was ended ahead of this message of it.
bool Session::CutsSeries(char type, Bytes body) {
  if (!batch_ || batch_->messages.empty() || type == 'S' || type == 'H' || type == 'Q' || !EndsApart()) return false;
  const bool behind = batch_->executes || batch_->dispatched;
  if (!batch_->ran_end && !(behind && Prepares(type, body))) return false;
  batch_->goes_on = true;
  std::string sync;
  AppendEmpty(sync, 'S');
  Add({'S', 0}, AsBytes(sync));
  return true;
}

// Parse or Bind of PREPARE TRANSACTION.
bool Session::Prepares(char type, Bytes body) {
  const auto prepares = [](const std::vector<Facts>& list) { return list.size() == 1 && list.front().prepares; };
  if (type == 'P') {
    const auto parse = ReadParse(body);
    return parse && MayPrepare(parse->sql) && prepares(Look(parse->sql).facts());
  }
  if (type != 'B') return false;
  const auto bind = ReadBind(body);
  const auto statement = bind ? names_.Find(bind->statement) : nullptr;
  return statement && prepares(*statement->sql->facts);
}

// The batch at hand does nothing but end its block.
bool Session::EndsBlockAlone() const {
  if (!batch_->ends_block) return false;
  bool ends = false;  // by a Bind alone it does not
  for (const auto& message : batch_->messages) {
    if (message.type != 'Q' && message.type != 'E') continue;
    if (!message.sql || message.sql->facts->size() != 1 || !EndsBlock(message.sql->facts->front())) return false;
    ends = true;
  }
  return ends;
}

// The batch at hand runs nothing: it parses, describes or binds what is to end its block, as PostgreSQL allows in a failed one.
bool Session::OnlyReadies() const {
  bool readies = false, bound = false;
  for (const auto& message : batch_->messages) {
    if (message.refused || message.existing) return false;
    switch (message.type) {
      case 'C':
      case 'H':
      case 'S': continue;
      case 'P':
      case 'B':
      case 'D': break;
      default: return false;
    }
    const auto& statement = message.statement;
    const bool of_bound = message.type == 'D' && !statement && bound;
    if (!of_bound && (!statement || statement->sql->facts->size() != 1 || !EndsBlock(statement->sql->facts->front())))
      return false;
    readies = true;
    bound = bound || message.type == 'B';
  }
  return readies || untold_.empty();
}

// The first part of a batch is answered, with an error: the rest of it is dropped.
void Session::DropRest(bool query) {
  query_done_ = 0;
  if (query) inbox_.DropNext(true);
  else inbox_.SkipToSync(true);
}

}  // namespace waypost
