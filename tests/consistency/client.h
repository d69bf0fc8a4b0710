// One client connection by libpq, made again when it is lost. One thread only.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace consistency {

enum class Protocol : std::uint8_t { kSimple, kExtended, kPrepared };

class Reply {
 public:
  explicit Reply(PGresult* result) : result_(result, PQclear) {}
  [[nodiscard]] bool ok() const;
  // SQLSTATE of the error; "08006" if the connection is gone, and with it the answer.
  [[nodiscard]] std::string sqlstate() const;
  [[nodiscard]] std::string message() const;
  [[nodiscard]] int rows() const { return result_ ? PQntuples(result_.get()) : 0; }
  // Empty if there is no such field.
  [[nodiscard]] std::string_view Value(int row, int column) const;
  [[nodiscard]] std::int64_t Number(int row, int column) const;

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

class Client {
 public:
  // `name` says which door this is, for reports. Connects on first use.
  Client(std::string name, std::string conninfo) : name_(std::move(name)), conninfo_(std::move(conninfo)) {}

  // Runs `sql`. With kSimple, $1 and $2 are replaced by the numbers; the others send them as
  // parameters.
  Reply Run(Protocol protocol, const std::string& sql, std::span<const std::string> parameters = {});
  Reply Run(const std::string& sql) { return Run(Protocol::kSimple, sql); }
  // Sends all in one go, each its own implicit transaction; the replies in order.
  std::vector<Reply> Pipeline(const std::vector<std::string>& statements);
  // COPY ... TO STDOUT: what it gave is appended to `text`.
  Reply CopyOut(const std::string& sql, std::string& text);
  // Waits up to `milliseconds` for a notification; its payload, or "".
  std::string Notification(int milliseconds);
  // After an error within a block: back to the start, by ROLLBACK or a new connection.
  void Reset();

  // The same door, another session.
  Client(const Client& door) : Client(door.name_, door.conninfo_) {}

  // Run once on every new connection.
  void set_greeting(std::string sql) { greeting_ = std::move(sql); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int pid() const { return connection_ ? PQbackendPID(connection_.get()) : 0; }

 private:
  [[nodiscard]] bool Connect();

  std::string name_, conninfo_, greeting_;
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_{nullptr, PQfinish};
  std::set<std::string> prepared_;
};

}  // namespace consistency
