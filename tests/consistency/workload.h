// Writers and readers over several doors: Wayposts (or another balancer), and the primary itself
// for writers. Each thread has its own sessions through every door, so that what one session wrote
// another one reads elsewhere.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/consistency/client.h"
#include "tests/consistency/history.h"

namespace consistency {

struct Door {
  std::string name, conninfo;
};

struct Plan {
  std::vector<Door> readers, writers;      // doors; the last of `writers` is the primary itself
  std::vector<std::string> reads, writes;  // kinds to choose from, see ReadKinds() and WriteKinds()
  std::uint64_t reads_wanted = 0;
  double write_rate = 0;        // per second over all writers; 0: as fast as they can
  double read_own_write = 0.5;  // how often a writer reads at once, through another door
  unsigned reader_threads = 6, writer_threads = 3;
};

std::vector<std::string> ReadKinds();
std::vector<std::string> WriteKinds();

// Everything that all threads share.
class Run {
 public:
  static constexpr std::size_t kRegisters = 24, kLists = 4000, kAccounts = 8, kBalance = 1000;

  explicit Run(const Plan& plan) : plan_(plan), registers_(kRegisters), lists_(kLists) {}

  // Makes the tables, on the primary, as its superuser. Empty if it succeeded, else why not.
  [[nodiscard]] std::string SetUp(const std::string& conninfo);
  // The bodies of the threads; each returns when it is asked to stop.
  void Write(const std::stop_token& stop, unsigned thread);
  void Read(const std::stop_token& stop, unsigned thread);
  void ChangeSchema(const std::stop_token& stop);
  void Listen(const std::stop_token& stop);

  [[nodiscard]] std::uint64_t reads() const { return reads_.load(); }
  [[nodiscard]] std::uint64_t writes() const { return writes_.load(); }
  [[nodiscard]] const Findings& findings() const { return findings_; }
  [[nodiscard]] std::string Json(double seconds) const;

 private:
  class Sessions;

  bool WriteRegister(Sessions& sessions, Client& client, std::size_t key, std::int64_t value, const std::string& kind);
  bool TwoPhase(Sessions& sessions, Client& client, std::size_t key, std::int64_t value);
  void Append(Sessions& sessions, Client& client);
  void Transfer(Sessions& sessions, Client& client);

  void ReadOne(Sessions& sessions, Client& client, const std::string& kind, std::size_t key);
  bool ReadRegister(Client& client, Protocol protocol, const std::string& from, std::size_t key, const std::string& what,
                    std::int64_t* value = nullptr);
  void ReadBlock(Sessions& sessions, Client& client, bool repeatable, std::size_t key);
  void ReadPipeline(Client& client, std::size_t key);
  void ReadBySql(Client& client, const std::vector<std::string>& statements, std::size_t key, const std::string& what);
  void ReadLarge(Client& client, Protocol protocol, std::size_t key, const std::string& what);
  void ReadCopy(Client& client, std::size_t key);
  void ReadList(Client& client, Protocol protocol);
  void ReadSum(Client& client, bool block);
  void ReadNew(Sessions& sessions, Client& client);

  // Counts one read that ended; false if it failed. `server_column` says where it ran.
  bool Counted(const Reply& reply, const std::string& what, int server_column, Server* server = nullptr);
  void Failed(const Reply& reply, const std::string& what);

  const Plan plan_;
  std::deque<Register> registers_;
  std::deque<List> lists_;
  std::atomic<std::size_t> list_{0};
  std::atomic<std::int64_t> tables_{0}, columns_{0}, answers_{0};  // created and acknowledged
  Findings findings_;
  std::atomic<std::uint64_t> reads_{0}, writes_{0}, failed_reads_{0};
  std::array<std::atomic<std::uint64_t>, 8> reads_on_{};
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<std::uint64_t, std::string>> errors_;  // by kind and SQLSTATE
};

}  // namespace consistency
