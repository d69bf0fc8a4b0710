#include "core/session/sql_reader.h"

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

void SqlReader::Read(SqlQuestion question) {
  {
    const auto lock = thread_.guard();
    task_ = std::move(question);
  }
  thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
  thread_.Wake();
}

void SqlReader::Run(ServiceThread::Lock& lock) {
  for (;;) {
    thread_.Sleep(lock, [this] { return task_.has_value(); });
    if (thread_.stopping()) return;
    auto task = *std::exchange(task_, std::nullopt);
    lock.unlock();
    done_(LookInto(std::move(task)));
    lock.lock();
  }
}

}  // namespace waypost
