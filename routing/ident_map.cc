#include "routing/ident_map.h"

#include <algorithm>
#include <array>

#include "routing/hba_lines.h"

namespace waypost {
namespace {

constexpr std::array<std::string_view, 3> kIncludes = {"include", "include_if_exists", "include_dir"};
constexpr std::array<std::string_view, 3> kFields = {"the name of a map", "a user of the system", "a user of PostgreSQL"};

// What is wrong with a line; empty: nothing.
std::string FaultOf(const std::vector<HbaField>& fields) {
  if (const auto* word = NamesOtherFile(fields))
    return "found \"" + word->text + "\", expected the names themselves: other files are not read";
  if (std::find(kIncludes.begin(), kIncludes.end(), fields[0][0].text) != kIncludes.end())
    return "found " + fields[0][0].text + ", expected entries: other files are not read";
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    const std::string expected(kFields[i]);
    if (i == fields.size()) return "found the end of the line, expected " + expected;
    if (fields[i].size() > 1) return "found several words, expected " + expected;
    const auto& word = fields[i][0];
    if (i > 0 && !word.quoted && word.text.starts_with('/'))
      return "found \"" + word.text + "\", expected " + expected + ": regular expressions are not read";
  }
  if (fields.size() > kFields.size()) return "found \"" + fields[kFields.size()][0].text + "\", expected the end of the line";
  const auto& user = fields[2][0];
  if (!user.quoted && user.text.starts_with('+'))
    return "found \"" + user.text + "\", expected a user of PostgreSQL: members of roles are not known here";
  return {};
}

}  // namespace

Result<IdentMap> IdentMap::Read(std::string_view file) {
  IdentMap map;
  std::string faults;
  HbaLines lines(file);
  while (const auto fields = lines.Next()) {
    if (const auto fault = FaultOf(*fields); !fault.empty()) {
      AppendHbaFault(faults, lines.line(), fault);
      continue;
    }
    const auto& user = (*fields)[2][0];
    map.entries_.push_back({(*fields)[0][0].text, (*fields)[1][0].text, user.text, user.Is("all")});
  }
  if (!faults.empty()) return Error{faults};
  return map;
}

bool IdentMap::Lets(std::string_view map, std::string_view system_user, std::string_view user) const {
  if (map.empty()) return system_user == user;
  return std::ranges::any_of(entries_, [&](const Entry& entry) {
    return entry.map == map && entry.system_user == system_user && (entry.every_user || entry.user == user);
  });
}

}  // namespace waypost
