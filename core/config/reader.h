// Reads typed, checked values out of TOML tables and collects every fault, so that one run shows
// them all.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/toml.h"

namespace waypost {

// The faults of one file, kept in the order of its lines.
class ConfigFaults {
 public:
  explicit ConfigFaults(std::string path) : path_(std::move(path)) {}

  // `line` 0: of the file as a whole.
  void Add(unsigned line, std::string_view key, std::string_view message);
  [[nodiscard]] bool empty() const { return faults_.empty(); }
  // One line a fault: "FILE:LINE:KEY: message".
  [[nodiscard]] std::string Text() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Fault {
    unsigned line;
    std::string text;
  };
  std::string path_;
  std::vector<Fault> faults_;
};

template <class E>
struct Choice {
  std::string_view name;
  E value;
};

// One table of the file. Each getter leaves `out` alone if the key is absent, and adds a fault if
// the value is wrong. Finish() adds a fault for every key that no getter asked for.
class ConfigSection {
 public:
  // `table` may be null (absent) and must outlive this. `name` stands before the keys in faults;
  // empty: top level.
  ConfigSection(const TomlTable* table, std::string name, unsigned line, ConfigFaults& faults)
      : table_(table), name_(std::move(name)), line_(line), faults_(faults) {}

  // Any string without control characters, `max_bytes` at most.
  void Text(std::string_view key, std::string& out, std::size_t max_bytes = 1024);
  void Number(std::string_view key, unsigned& out, unsigned low, unsigned high);
  void Number(std::string_view key, std::optional<unsigned>& out, unsigned low, unsigned high);
  void Port(std::string_view key, std::uint16_t& out);
  void Flag(std::string_view key, bool& out);
  // "5ms", "30s", "10m", "1h", "2d", or an integer of milliseconds.
  void Span(std::string_view key, milliseconds& out, milliseconds low, milliseconds high);
  void Span(std::string_view key, std::optional<milliseconds>& out, milliseconds low, milliseconds high);
  // "64kB", "16MB", or an integer of bytes.
  void Size(std::string_view key, std::uint64_t& out);
  void Size(std::string_view key, std::optional<std::uint64_t>& out);
  // From 0 to 1.
  void Fraction(std::string_view key, double& out);
  void Fraction(std::string_view key, std::optional<double>& out);
  // One string, or an array of them.
  void Texts(std::string_view key, std::vector<std::string>& out, std::size_t max_bytes = 1024);
  // An IPv4 or IPv6 address.
  void Address(std::string_view key, std::string& out);
  // A fault for each key that is there and is none of `expected`.
  void FaultOthers(std::initializer_list<std::string_view> expected, std::string_view message);
  // One of the secrets KEY, KEY_env, KEY_file; never quotes a value. False if none was given.
  bool Secret(const std::string& key, std::string& out);

  template <class E>
  void OneOf(std::string_view key, E& out, std::span<const Choice<E>> choices) {
    std::optional<E> found;
    OneOf(key, found, choices);
    if (found) out = *found;
  }
  template <class E>
  void OneOf(std::string_view key, std::optional<E>& out, std::span<const Choice<E>> choices) {
    std::vector<std::string_view> names;
    for (const auto& choice : choices) names.push_back(choice.name);
    if (const auto index = IndexOf(key, names)) out = choices[*index].value;
  }

  // The table under `key`; null if absent or not a table.
  [[nodiscard]] const TomlTable* Table(std::string_view key, unsigned& line);
  // The tables of [[key]]; empty if absent or of another form.
  [[nodiscard]] std::vector<std::pair<const TomlTable*, unsigned>> Tables(std::string_view key);

  // [key] or [[key]].
  [[nodiscard]] std::vector<std::pair<const TomlTable*, unsigned>> TableOrTables(std::string_view key);

  // Unknown keys become faults, with the nearest known one; `elsewhere` says where a key belongs
  // that is known there.
  void Finish(std::span<const std::string_view> top_level_keys = {});

  // Keeps Finish() from calling `key` unknown, for one that no getter reads.
  void Known(std::string_view key) { known_.emplace(key); }
  void Fault(std::string_view key, std::string_view message);
  [[nodiscard]] bool Has(std::string_view key) const;
  [[nodiscard]] std::string Found(std::string_view key) const;

 private:
  [[nodiscard]] const TomlValue* Take(std::string_view key);
  [[nodiscard]] const TomlValue* Peek(std::string_view key) const;
  [[nodiscard]] const std::string* TakeText(std::string_view key, std::string_view expected);
  [[nodiscard]] std::optional<std::size_t> IndexOf(std::string_view key, std::span<const std::string_view> names);
  void Expected(std::string_view key, std::string_view expected);
  [[nodiscard]] std::string FullKey(std::string_view key) const;

  const TomlTable* table_;
  std::string name_;
  unsigned line_;
  ConfigFaults& faults_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace waypost
