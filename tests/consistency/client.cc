#include "tests/consistency/client.h"

#include <poll.h>

#include <charconv>
#include <functional>

namespace consistency {
namespace {

std::string Filled(const std::string& sql, std::span<const std::string> parameters) {
  std::string out;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    const bool parameter = sql[i] == '$' && i + 1 < sql.size() && sql[i + 1] >= '1' && sql[i + 1] <= '9';
    const std::size_t index = parameter ? static_cast<std::size_t>(sql[i + 1] - '1') : parameters.size();
    if (index < parameters.size()) {
      out += parameters[index];
      ++i;
    } else {
      out += sql[i];
    }
  }
  return out;
}

void Quiet(void*, const PGresult*) {}

}  // namespace

bool Reply::ok() const {
  const ExecStatusType status = PQresultStatus(result_.get());
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

std::string Reply::sqlstate() const {
  const char* code = PQresultErrorField(result_.get(), PG_DIAG_SQLSTATE);
  return code != nullptr ? code : "08006";
}

std::string Reply::message() const { return result_ ? PQresultErrorMessage(result_.get()) : "no connection"; }

std::string_view Reply::Value(int row, int column) const {
  if (row >= rows() || column >= PQnfields(result_.get())) return {};
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Reply::Number(int row, int column) const {
  const std::string_view text = Value(row, column);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool Client::Connect() {
  if (connection_ && PQstatus(connection_.get()) == CONNECTION_OK) return true;
  prepared_.clear();
  connection_.reset(PQconnectdb(conninfo_.c_str()));
  if (PQstatus(connection_.get()) != CONNECTION_OK) return false;
  PQsetNoticeReceiver(connection_.get(), Quiet, nullptr);
  if (!greeting_.empty() && !Reply(PQexec(connection_.get(), greeting_.c_str())).ok()) connection_.reset();
  return connection_ != nullptr;
}

Reply Client::Run(Protocol protocol, const std::string& sql, std::span<const std::string> parameters) {
  if (!Connect()) return Reply(nullptr);
  PGconn* to = connection_.get();
  if (protocol == Protocol::kSimple) return Reply(PQexec(to, Filled(sql, parameters).c_str()));
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  const int count = static_cast<int>(values.size());
  if (protocol == Protocol::kExtended) {
    return Reply(PQexecParams(to, sql.c_str(), count, nullptr, values.data(), nullptr, nullptr, 0));
  }
  const std::string name = "s" + std::to_string(std::hash<std::string>{}(sql));
  if (!prepared_.contains(name)) {
    Reply made(PQprepare(to, name.c_str(), sql.c_str(), 0, nullptr));
    if (!made.ok()) return made;
    prepared_.insert(name);
  }
  return Reply(PQexecPrepared(to, name.c_str(), count, values.data(), nullptr, nullptr, 0));
}

std::vector<Reply> Client::Pipeline(const std::vector<std::string>& statements) {
  std::vector<Reply> replies;
  if (!Connect()) return replies;
  PGconn* to = connection_.get();
  PQenterPipelineMode(to);
  for (const std::string& sql : statements) {
    PQsendQueryParams(to, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0);
    PQpipelineSync(to);
  }
  for (std::size_t i = 0; i < statements.size() && PQstatus(to) == CONNECTION_OK; ++i) {
    replies.emplace_back(PQgetResult(to));
    while (PGresult* rest = PQgetResult(to)) PQclear(rest);  // up to the end of the statement
    PQclear(PQgetResult(to));                                // PGRES_PIPELINE_SYNC
  }
  PQexitPipelineMode(to);
  return replies;
}

std::string Client::Notification(int milliseconds) {
  if (!Connect()) return {};
  const auto next = [this] {
    std::unique_ptr<PGnotify, decltype(&PQfreemem)> got(PQnotifies(connection_.get()), PQfreemem);
    return got ? std::string(got->extra) : std::string();
  };
  std::string payload = next();
  if (!payload.empty()) return payload;
  pollfd wait{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
  poll(&wait, 1, milliseconds);
  PQconsumeInput(connection_.get());
  return next();
}

Reply Client::CopyOut(const std::string& sql, std::string& text) {
  if (!Connect()) return Reply(nullptr);
  PGconn* from = connection_.get();
  Reply begun(PQexec(from, sql.c_str()));
  char* line = nullptr;
  while (PQgetCopyData(from, &line, 0) > 0) {
    text += line;
    PQfreemem(line);
  }
  Reply ended(PQgetResult(from));
  while (PGresult* rest = PQgetResult(from)) PQclear(rest);
  return text.empty() && !begun.ok() && !ended.ok() && begun.sqlstate() != "08006" ? std::move(begun) : std::move(ended);
}

void Client::Reset() {
  if (!connection_ || !Reply(PQexec(connection_.get(), "ROLLBACK")).ok()) connection_.reset();
}

}  // namespace consistency
