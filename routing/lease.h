// What is known of the server connection that a session holds, beside what ties it there (routing/ties.h): all of it goes with the
// connection, so that nothing said of one server is believed of the next. Pure; its session's.
#pragma once

#include <string>
#include <utility>

#include "routing/server_ending.h"

namespace waypost {

class Lease {
 public:
  // A connection was leased; `as_replica`: to read there, as its server is not the primary.
  void Begin(bool as_replica) {
    End();
    as_replica_ = as_replica;
  }
  // It was given back, given up or lost.
  void End() { *this = Lease(); }

  [[nodiscard]] bool as_replica() const { return as_replica_; }

  // Its prepared statements bear the client's names from now on, or ours again.
  void UseOwnNames(bool own) { own_names_ = own; }
  [[nodiscard]] bool own_names() const { return own_names_; }

  // Its server says why it ends the connection: `error`, an ErrorResponse.
  void NoteLastWords(ServerEnding ending, std::string error) { last_words_ = {std::move(error), ending}; }
  // Valid until the lease ends.
  [[nodiscard]] const LastWords& last_words() const { return last_words_; }

 private:
  bool as_replica_ = false;
  bool own_names_ = false;
  LastWords last_words_;
};

}  // namespace waypost
