// Looks into long texts off the loops of the workers, on a thread of its own: a legal text of 1 MiB takes up to 200 ms, and its
// names and rules some tens more. One text at a time; who else waits is kept by the worker, and the text in the input of its
// session, so that nothing piles up here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/base/service_thread.h"
#include "core/config/config.h"
#include "parser/catalog/catalog.h"
#include "parser/catalog/search_path.h"
#include "parser/catalog/sql_cache.h"
#include "routing/prepared.h"

namespace waypost {

// What a session wants to know of a text: see ReadText. Nothing in it belongs to a thread.
struct SqlQuestion {
  std::string text;
  SqlRef known;  // the text, if its facts are known; else null
  Lexing lexing;
  ContextId context = 0;
  std::shared_ptr<const Catalog> catalog;
  std::optional<SearchPath> path;  // see Outlook
  bool stale = false;
  ConfigSnapshot config;               // for its rules,
  std::uint64_t rules_generation = 0;  // and which these are
};

class SqlReader {
 public:
  // `done` is called on the reader's thread.
  explicit SqlReader(std::function<void(ReadText)> done) : done_(std::move(done)) {}
  ~SqlReader() = default;
  SqlReader(const SqlReader&) = delete;
  SqlReader& operator=(const SqlReader&) = delete;

  // One text, once the one before is done.
  void Read(SqlQuestion question);

 private:
  void Run(ServiceThread::Lock& lock);

  std::function<void(ReadText)> done_;
  std::optional<SqlQuestion> task_;  // under its guard
  ServiceThread thread_{"waypost-sql"};  // from the first text on
};

}  // namespace waypost
