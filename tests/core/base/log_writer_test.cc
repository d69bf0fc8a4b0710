#include "core/base/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/folder.h"

using namespace waypost;

namespace {

constexpr Duration kPatience = std::chrono::seconds(30);

// A pipe with a name and a reader that never reads.
struct FullPipe {
  explicit FullPipe(const std::string& file) : name(file) {
    std::signal(SIGPIPE, SIG_IGN);
    REQUIRE(mkfifo(name.c_str(), 0600) == 0);
    reader = open(name.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
  }
  ~FullPipe() { CloseReader(); }
  FullPipe(const FullPipe&) = delete;
  FullPipe& operator=(const FullPipe&) = delete;
  void CloseReader() {
    if (reader >= 0) close(std::exchange(reader, -1));
  }
  std::string name;
  int reader = -1;
};

// A writer into one.
struct Piped {
  Piped() { REQUIRE(writer.Open(pipe.name)); }
  const Folder folder;
  FullPipe pipe{folder.File("pipe")};
  LogWriter writer;
};

}  // namespace

TEST_CASE("lines of the log reach the file, in order, with a thread and without", "[core][log]") {
  const Folder folder;
  LogWriter writer;
  REQUIRE(writer.Open(folder.File("log")));
  writer.Write("1\n");
  writer.StartThread();
  writer.Write("2\n");
  writer.Write("3\n");
  CHECK(writer.StopThread(kPatience));
  writer.Write("4\n");
  CHECK(Contents(folder.File("log")) == "1\n2\n3\n4\n");
  CHECK(writer.losses().queue + writer.losses().write == 0);
}

TEST_CASE("lines of several threads stay whole", "[core][log]") {
  const Folder folder;
  LogWriter writer;
  REQUIRE(writer.Open(folder.File("log")));
  writer.StartThread();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&writer, i] {
      for (int n = 0; n < 500; ++n) writer.Write(std::string(100, static_cast<char>('a' + i)) + "\n");
    });
  for (auto& thread : threads) thread.join();
  CHECK(writer.StopThread(kPatience));
  std::ifstream in(folder.File("log"));
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) REQUIRE(line == std::string(100, line[0]));
  CHECK(lines == 2'000);
}

TEST_CASE("a log that was moved away is opened again", "[core][log]") {
  const Folder folder;
  LogWriter writer;
  REQUIRE(writer.Open(folder.File("log")));
  writer.Write("before\n");
  std::filesystem::rename(folder.File("log"), folder.File("log.1"));
  writer.Write("still before\n");
  REQUIRE(writer.Open(folder.File("log")));
  writer.Write("after\n");
  CHECK(Contents(folder.File("log.1")) == "before\nstill before\n");
  CHECK(Contents(folder.File("log")) == "after\n");
}

TEST_CASE("a log that cannot be opened leaves it as it was", "[core][log]") {
  const Folder folder;
  LogWriter writer;
  REQUIRE(writer.Open(folder.File("log")));
  CHECK_FALSE(writer.Open(folder.File("no/such/folder")));
  writer.Write("here\n");
  CHECK(Contents(folder.File("log")) == "here\n");
}

TEST_CASE("a full disk loses lines, which are counted and told once there is room", "[core][log]") {
  const Folder folder;
  LogWriter writer;
  const bool threaded = GENERATE(false, true);
  REQUIRE(writer.Open("/dev/full"));
  if (threaded) writer.StartThread();
  writer.Write("1\n2\n");
  if (threaded) CHECK(writer.StopThread(kPatience));
  CHECK(writer.losses().write == 2);
  CHECK(writer.TakeUntold() == 0);  // it would be lost too
  REQUIRE(writer.Open(folder.File("log")));
  writer.Write("3\n");
  CHECK(writer.TakeUntold() == 2);
  CHECK(writer.TakeUntold() == 0);
  CHECK(Contents(folder.File("log")) == "3\n");
}

TEST_CASE("a reader that takes nothing keeps nobody waiting, and memory stays bounded", "[core][log]") {
  Piped piped;
  auto& [folder, pipe, writer] = piped;
  writer.StartThread();
  const std::string line = std::string(1023, 'x') + "\n";
  constexpr std::size_t kLines = 4 * LogWriter::kMaxPendingBytes / 1024;
  const auto started = Clock::now();
  for (std::size_t i = 0; i < kLines; ++i) writer.Write(line);
  CHECK(Clock::now() - started < std::chrono::seconds(10));
  CHECK(writer.StopThread(kPatience));
  const auto lost = writer.losses();
  CHECK(lost.queue > 0);
  CHECK(lost.write > 0);
  CHECK(lost.queue + lost.write <= kLines);
  CHECK(lost.queue + lost.write >= kLines - 1024);  // a pipe takes no more than a MiB
}

TEST_CASE("a line that was written in part does not run into the next one", "[core][log]") {
  Piped piped;
  auto& [folder, pipe, writer] = piped;
  writer.Write(std::string(200'000, 'x') + "\n");  // more than a pipe holds
  CHECK(writer.losses().write == 1);
  std::vector<char> read_here(1 << 20);
  std::size_t taken = 0;
  for (ssize_t got = 0; (got = read(pipe.reader, read_here.data(), read_here.size())) > 0;)
    taken += static_cast<std::size_t>(got);
  CHECK(taken < 200'000);
  writer.Write("next\n");
  const auto got = read(pipe.reader, read_here.data(), read_here.size());
  REQUIRE(got > 0);
  CHECK(std::string(read_here.data(), static_cast<std::size_t>(got)) == "\nnext\n");
}

TEST_CASE("a pipe that nobody reads any more loses lines and nothing else", "[core][log]") {
  Piped piped;
  auto& [folder, pipe, writer] = piped;
  pipe.CloseReader();
  writer.StartThread();
  for (int i = 0; i < 10; ++i) writer.Write("gone\n");
  CHECK(writer.StopThread(kPatience));
  CHECK(writer.losses().write == 10);
}

TEST_CASE("a writer whose file hangs ends all the same", "[core][log]") {
  // A blocking pipe: nothing can be done for a write() that does not return, but the process ends.
  std::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  {
    LogWriter writer;
    REQUIRE(writer.Open("/proc/self/fd/" + std::to_string(ends[1])));
    writer.StartThread();
    for (int i = 0; i < 300; ++i) writer.Write(std::string(1023, 'x') + "\n");
    (void)writer.StopThread(milliseconds(1));
    writer.Write("after the end\n");
  }
  close(ends[0]);
  close(ends[1]);
}
