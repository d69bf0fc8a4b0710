// Looks a host name up on a thread of its own: a resolver that is slow or dead holds up nobody.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace waypost {

class NameLookup {
 public:
  // Begins at once. What is not done when this is destroyed ends by itself.
  explicit NameLookup(const std::string& host);

  // Readable once it is done.
  [[nodiscard]] int fd() const;
  [[nodiscard]] bool done() const;
  // Once it is done: numeric addresses, the preferred first; none if it failed, and error() says why.
  [[nodiscard]] const std::vector<std::string>& addresses() const;
  [[nodiscard]] const std::string& error() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace waypost
