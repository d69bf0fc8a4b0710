#include "core/session/sql_reader.h"

#include <pthread.h>

#include <memory>
#include <utility>

#include "parser/catalog/resolve.h"
#include "routing/rule_marks.h"

namespace waypost {
namespace {

ReadText LookInto(SqlQuestion question) {
  auto sql = std::move(question.known);
  if (!sql) {
    auto facts = Analyse(question.text, question.lexing);
    sql = std::make_shared<const SqlText>(SqlText{std::move(question.text), std::move(facts)});
  }
  ReadText read{.sql = sql, .lexing = question.lexing, .context = question.context, .verdict = {}, .marks = {}};
  read.verdict = ResolveAll(*sql->facts, question.catalog.get(),
                            {.path = question.path ? &*question.path : nullptr, .stale = question.stale});
  const auto& config = *question.config;
  if (config.rules.empty() && !config.comment_hints) return read;
  read.marks.generation = question.rules_generation;
  MarkText(sql->text, question.lexing, *sql->facts, question.catalog.get(), config.rules, config.comment_hints, read.marks);
  return read;
}

}  // namespace

SqlReader::~SqlReader() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SqlReader::Read(SqlQuestion question) {
  {
    const std::scoped_lock lock(mutex_);
    task_ = std::move(question);
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  wake_.notify_one();
}

void SqlReader::Run() {
  pthread_setname_np(pthread_self(), "waypost-sql");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ends_ || task_; });
    if (ends_) return;
    auto task = *std::exchange(task_, std::nullopt);
    lock.unlock();
    done_(LookInto(std::move(task)));
    lock.lock();
  }
}

}  // namespace waypost
