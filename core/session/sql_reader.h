// Analyses long texts off the loops of the workers, on a thread of its own: a legal text of 1 MiB takes up to 200 ms. One text at
// a time; who else waits is kept by the worker, and the text in the input of its session, so that nothing piles up here.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "parser/catalog/sql_cache.h"
#include "routing/prepared.h"

namespace waypost {

class SqlReader {
 public:
  // `done` is called on the reader's thread.
  explicit SqlReader(std::function<void(SqlRef)> done) : done_(std::move(done)) {}
  ~SqlReader();
  SqlReader(const SqlReader&) = delete;
  SqlReader& operator=(const SqlReader&) = delete;

  // One text, once the one before is done.
  void Read(std::string text, Lexing lexing);

 private:
  struct Task {
    std::string text;
    Lexing lexing;
  };
  void Run();

  std::function<void(SqlRef)> done_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Task> task_;
  bool ends_ = false;
  std::thread thread_;  // from the first text on
};

}  // namespace waypost
