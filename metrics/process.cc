// The process's own figures. Source: proc(5)
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/exporter.h"

namespace waypost {
namespace {

// Fields of /proc/self/stat by their number in proc(5), counted from 1.
constexpr std::size_t kUserTicks = 14, kSystemTicks = 15, kThreads = 20, kStartTicks = 22, kVirtual = 23, kResident = 24;
constexpr std::size_t kFirstAfterName = 3;

std::string ReadAll(const char* path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<double> StatFields() {
  std::string text = ReadAll("/proc/self/stat");
  std::vector<double> fields(kFirstAfterName, 0);  // a name with blanks and parentheses is skipped
  const auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream rest(text.substr(end_of_name + 1));
  std::string word;
  rest >> word;  // the state letter, field 3
  double value = 0;
  fields.push_back(0);
  while (rest >> value) fields.push_back(value);
  return fields;
}

double BootTime() {
  const std::string text = ReadAll("/proc/stat");
  const auto at = text.find("\nbtime ");
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 7, nullptr);
}

double CountOpen() {
  std::error_code error;
  double open = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) ++open;
  return open > 0 ? open - 1 : 0;  // the one that lists
}

}  // namespace

void AddProcessMetrics(ScrapeOutput& output) {
  const std::vector<double> stat = StatFields();
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (stat.size() > kResident && ticks > 0) {
    output.Add(Scraped::kProcessCpu, (stat[kUserTicks] + stat[kSystemTicks]) / ticks);
    output.Add(Scraped::kProcessThreads, stat[kThreads]);
    output.Add(Scraped::kProcessVirtual, stat[kVirtual]);
    output.Add(Scraped::kProcessResident, stat[kResident] * static_cast<double>(sysconf(_SC_PAGESIZE)));
    output.Add(Scraped::kProcessStart, BootTime() + stat[kStartTicks] / ticks);
  }
  output.Add(Scraped::kProcessOpenFds, CountOpen());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) output.Add(Scraped::kProcessMaxFds, static_cast<double>(limit.rlim_cur));
}

}  // namespace waypost
