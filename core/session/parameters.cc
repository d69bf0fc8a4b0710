// ParameterStatus: what the server says of settings, as far as it is true of the session. RESET takes a server connection back
// to its own start, which had no settings; where the session started with some, the client is told those instead.
#include <algorithm>

#include "core/base/ascii.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

bool Same(const Setting* one, const Setting* other) { return one == nullptr || other == nullptr ? one == other : *one == *other; }

}  // namespace

// What the server says of a setting that others than it go by.
void Session::OnParameter(std::string_view name, std::string_view value) {
  if (name == "standard_conforming_strings") {
    lexing_.standard_strings = value == "on";
  } else if (name == "client_encoding") {
    lexing_.ascii_safe_encoding = IsAsciiSafeEncoding(value);
  } else if (name == "application_name" && value != application_) {
    application_ = value;
    OnConfigChanged();
  }
}

// False: the session's value is another one.
bool Session::TellsParameter(std::string_view name, std::string_view value) {
  const auto& session = settings_.session();
  if (connection_->settings != session) {
    const auto setting = AsciiLower(name);
    if (!Same(FindSetting(*connection_->settings, setting), FindSetting(*session, setting))) return false;
  }
  const auto named = [&](const auto& told) { return told.first == name; };
  const auto found = std::find_if(told_.begin(), told_.end(), named);
  if (found == told_.end()) told_.emplace_back(name, value);
  else found->second = value;
  return true;
}

// `SET DateStyle = SQL` leaves the order of day and month as it was in this session, which on another server connection may
// be another one.
std::string Session::WithWholeDateStyle(const std::string& sql) const {
  std::string_view base;
  if (const auto* greeted = FindParameter(*greeted_, "DateStyle")) base = *greeted;
  if (const auto* before = FindSetting(*settings_.effective(), "datestyle")) base = before->sql;
  return "SET datestyle TO '" + FullDateStyle(base, sql) + "'";
}

// Ahead of the ReadyForQuery of a batch that resets: what the client was told last and does not hold any more.
void Session::AppendParametersReset(std::string& out) {
  if (!batch_ || !batch_->resets || batch_->unseen) return;
  std::erase_if(told_, [&](const auto& told) {
    const auto setting = AsciiLower(told.first);
    if (!Same(FindSetting(*settings_.session(), setting), FindSetting(*settings_.startup(), setting))) return false;
    const auto* greeted = FindParameter(*greeted_, told.first);
    if (greeted == nullptr) return false;
    if (*greeted == told.second) return true;
    AppendParameterStatus(out, told.first, *greeted);
    OnParameter(told.first, *greeted);
    return true;
  });
}

}  // namespace waypost
