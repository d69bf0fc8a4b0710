#include "core/cluster/state_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/folder.h"

namespace waypost {
namespace {

void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

SavedState State(std::uint32_t timeline) { return {{{7263847561029384756, timeline}, 0}, false, "pg0"}; }

}  // namespace

TEST_CASE("what is saved is there when the file is opened again", "[core][state_file]") {
  const Folder folder;
  const auto path = folder.File("state");
  {
    auto file = StateFile::Open(path);
    REQUIRE(file.ok());
    CHECK_FALSE(file->saved());
    REQUIRE(file->Save(State(1)));
    REQUIRE(file->Save(State(2)));
  }
  auto file = StateFile::Open(path);
  REQUIRE(file.ok());
  REQUIRE(file->saved());
  CHECK(file->saved()->accepted == State(2).accepted);
  CHECK(file->saved()->primary == "pg0");
  CHECK(std::filesystem::file_size(path) == 2 * kRecordBytes);
}

TEST_CASE("a record torn at any byte leaves the one before", "[core][state_file]") {
  const Folder folder;
  const auto path = folder.File("state");
  std::string before, after;
  {
    auto file = StateFile::Open(path);
    REQUIRE(file.ok());
    REQUIRE(file->Save(State(8)));
    REQUIRE(file->Save(State(9)));
    before = Contents(path);
    REQUIRE(file->Save(State(10)));
    after = Contents(path);
  }
  for (std::size_t cut = 0; cut <= kRecordBytes; ++cut) {
    const auto at = std::mismatch(before.begin(), before.end(), after.begin()).first - before.begin();
    const auto start = static_cast<std::size_t>(at) / kRecordBytes * kRecordBytes;
    auto torn = before;
    torn.replace(start, cut, after, start, cut);
    Write(path, torn);
    auto file = StateFile::Open(path);
    REQUIRE(file.ok());
    REQUIRE(file->saved());
    const auto timeline = file->saved()->accepted.timeline;
    CHECK((timeline == 9 || (timeline == 10 && torn == after)));
  }
}

TEST_CASE("what is no state file is not taken for one, nor written over", "[core][state_file]") {
  const Folder folder;
  const auto path = folder.File("state");
  Write(path, "[server]\nname = \"pg0\"\n");
  const auto file = StateFile::Open(path);
  REQUIRE_FALSE(file.ok());
  CHECK(file.error().find("it holds something else than Waypost's state") != std::string::npos);
  CHECK(Contents(path) == "[server]\nname = \"pg0\"\n");
  CHECK(StateFile::Open(folder.File("no/such")).error().find("cannot open or create it: No such file or directory") !=
        std::string::npos);
}

TEST_CASE("an operator's word is read while the file is open", "[core][state_file]") {
  const Folder folder;
  const auto path = folder.File("state");
  auto mine = StateFile::Open(path);
  auto his = StateFile::Open(path);
  REQUIRE(mine.ok());
  REQUIRE(his.ok());
  REQUIRE(mine->Save(State(3)));
  REQUIRE(his->Read());
  auto state = State(2);
  state.by_operator = true;
  state.accepted.void_up_to = 3;
  REQUIRE(his->Save(state));
  REQUIRE(mine->Read());
  CHECK(mine->saved()->by_operator);
  CHECK(mine->saved()->accepted.timeline == 2);
  CHECK(mine->saved()->accepted.void_up_to == 3);
}

TEST_CASE("whatever stands in a record is taken for one only if it is whole", "[core][state_file]") {
  auto record = StateRecord{4, State(5)};
  record.state.primary = "a b = c";
  const auto text = FormatRecord(record);
  REQUIRE(text.size() == kRecordBytes);
  REQUIRE(ParseRecord(text));
  CHECK(ParseRecord(text)->state.primary == "a b = c");
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    if (const auto found = ParseRecord(changed); found) CHECK(text[i] == ' ');
  }
  CHECK_FALSE(ParseRecord(""));
  CHECK_FALSE(ParseRecord(std::string(kRecordBytes, '\n')));
}

}  // namespace waypost
