#include "core/process/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace waypost {

FileWatch::Looks FileWatch::LookAt(const std::vector<std::string>& files) {
  Looks looks;
  for (const auto& path : files) {
    auto& look = looks.emplace_back();
    struct stat file{};
    if (stat(path.c_str(), &file) == 0)
      look = Look{file.st_dev, file.st_ino, file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
  }
  return looks;
}

void FileWatch::Take(const std::vector<std::string>& files) {
  files_ = files;
  taken_ = last_ = LookAt(files);
}

bool FileWatch::HaveChanged(const std::vector<std::string>& files) {
  if (files != files_) {
    Take(files);
    return false;
  }
  auto looks = LookAt(files);
  const bool still = looks == last_;
  last_ = std::move(looks);
  if (!still || last_ == taken_) return false;
  taken_ = last_;
  return true;
}

}  // namespace waypost
