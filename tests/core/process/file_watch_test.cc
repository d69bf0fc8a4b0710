#include "core/process/file_watch.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

namespace waypost {
namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("file-watch-" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string Put(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
};

}  // namespace

TEST_CASE("a change of files counts once they stand still", "[core][file_watch]") {
  const Folder folder;
  const std::vector<std::string> files = {folder.Put("cert", "1"), folder.Put("key", "1")};
  FileWatch watch;
  CHECK_FALSE(watch.HaveChanged(files));
  CHECK_FALSE(watch.HaveChanged(files));
  (void)folder.Put("cert", "22");
  CHECK_FALSE(watch.HaveChanged(files));
  (void)folder.Put("key", "22");
  CHECK_FALSE(watch.HaveChanged(files));
  CHECK(watch.HaveChanged(files));
  CHECK_FALSE(watch.HaveChanged(files));
  SECTION("one that another takes the place of has changed") {
    std::filesystem::rename(folder.Put("new", "22"), files[0]);
    CHECK_FALSE(watch.HaveChanged(files));
    CHECK(watch.HaveChanged(files));
  }
  SECTION("one that goes and comes has") {
    std::filesystem::remove(files[1]);
    CHECK_FALSE(watch.HaveChanged(files));
    CHECK(watch.HaveChanged(files));
    (void)folder.Put("key", "333");
    CHECK_FALSE(watch.HaveChanged(files));
    CHECK(watch.HaveChanged(files));
  }
  SECTION("other files are taken as they are") {
    CHECK_FALSE(watch.HaveChanged({files[0]}));
    CHECK_FALSE(watch.HaveChanged({files[0]}));
  }
}

}  // namespace waypost
