#include "routing/block.h"

#include "core/base/release.h"

namespace waypost {

void Block::Begin(std::string_view text, const TransactionModes& modes) {
  begin_ = text;
  BeginsNow(modes);
}

void Block::BeginsNow(const TransactionModes& modes) {
  modes_ = modes;
  unsure_ = false;
}

void Block::MayChangeModes() {
  modes_.repeatable_read.reset();
  unsure_ = true;
}

void Block::Add(std::string_view text, const TransactionModes& modes) {
  begin_.append("\n;\n").append(text);  // a comment may stand at the end of the line
  Name(modes);
}

void Block::Name(const TransactionModes& modes) {
  if (modes.read_only) modes_.read_only = modes.read_only;
  if (modes.repeatable_read) modes_.repeatable_read = modes.repeatable_read;
  if (modes.serializable) modes_.serializable = modes.serializable;
}

void Block::BeginsAnew() {
  if (begin_.empty()) begin_ = "BEGIN READ ONLY";  // it came with the first statement
}

void Block::ForgetBegin() { Release(begin_); }

bool Block::SuitsReplica(const TransactionModes& modes, const TransactionDefaults& defaults) {
  return modes.read_only.value_or(defaults.read_only) && !modes.serializable.value_or(defaults.serializable);
}

bool Block::IsReadCommitted(const TransactionModes& modes, const TransactionDefaults& defaults) {
  if (modes.repeatable_read) return !*modes.repeatable_read && !modes.serializable.value_or(false);
  return defaults.read_committed;
}

void Block::Proved() {
  if (reads_only_ && modes_.repeatable_read.value_or(false)) snapshot_taken_ = true;
}

void Block::LeftServer() { reads_only_ = could_read_ = snapshot_taken_ = false; }

void Block::Ended() {
  LeftServer();
  movable_ = false;
}

}  // namespace waypost
