#include "core/admin/intents_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace waypost {
namespace {

using nlohmann::json;

Error Failed(const std::string& path, const char* what) {
  return Error{"intents file " + path + ": cannot " + what + ": " + std::strerror(errno)};
}

}  // namespace

std::string FormatIntents(const Intents& intents) {
  json servers = json::object();
  for (const auto& [name, wanted] : intents) {
    servers[name] = {{"intent", IntentName(wanted.intent)}};
    if (wanted.weight) servers[name]["weight"] = *wanted.weight;
  }
  return json{{"waypost_intents", 1}, {"servers", std::move(servers)}}.dump(2) + "\n";
}

Result<Intents> ParseIntents(std::string_view text) {
  const auto body = json::parse(text, nullptr, false);
  const Error wrong{R"(expected {"waypost_intents": 1, "servers": {"NAME": {"intent": "active|drain|maintenance"}}})"};
  if (!body.is_object() || body.value("waypost_intents", json()) != 1 || !body.contains("servers") ||
      !body["servers"].is_object())
    return wrong;
  Intents intents;
  for (const auto& [name, one] : body["servers"].items()) {
    if (!one.is_object() || !one.contains("intent") || !one["intent"].is_string()) return wrong;
    const auto intent = ParseIntent(one["intent"].get<std::string>());
    if (!intent) return wrong;
    intents[name].intent = *intent;
    if (!one.contains("weight")) continue;
    if (!one["weight"].is_number_unsigned()) return wrong;
    intents[name].weight = one["weight"].get<unsigned>();
  }
  return intents;
}

Result<Intents> ReadIntents(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Intents{};
  std::ifstream file(path, std::ios::binary);
  if (!file) return Failed(path, "read it");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto intents = ParseIntents(text);
  if (!intents) return Error{"intents file " + path + ": " + intents.error()};
  return intents;
}

Result<bool> SaveIntents(const std::string& path, const Intents& intents) {
  const auto beside = path + ".new";
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return Failed(beside, "create it");
  const auto text = FormatIntents(intents);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  if (!written) return Failed(beside, "write to it");
  if (std::rename(beside.c_str(), path.c_str()) != 0) return Failed(path, "replace it");
  return true;
}

}  // namespace waypost
