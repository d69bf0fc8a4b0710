#include "core/cluster/control_query.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace waypost {
namespace {

constexpr std::size_t kMaxMessageBytes = 300;

std::string Quoted(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  return inet_pton(AF_INET, host.c_str(), parsed.data()) == 1 || inet_pton(AF_INET6, host.c_str(), parsed.data()) == 1;
}

std::string AtAddresses(const std::string& host, const std::vector<std::string>& addresses) {
  std::string hosts, numbers;
  for (const auto& address : addresses) {
    hosts += (hosts.empty() ? "" : ",") + host;
    numbers += (numbers.empty() ? "" : ",") + address;
  }
  return " host=" + Quoted(hosts) + " hostaddr=" + Quoted(numbers);
}

std::string MonitorConninfo(const MonitorConfig& monitor, std::string_view host, std::uint16_t port, std::string_view database,
                            milliseconds statement_timeout) {
  // libpq counts whole seconds here and takes 1 for 2.
  const auto connect_seconds = std::max<std::int64_t>(2, (statement_timeout.count() + 999) / 1000);
  std::string info = "host=" + Quoted(host);
  if (IsAddress(std::string(host))) info += " hostaddr=" + Quoted(host);  // no resolver in between
  info += " port=" + std::to_string(port) + " dbname=" + Quoted(database) + " user=" + Quoted(monitor.user);
  if (!monitor.password.empty()) info += " password=" + Quoted(monitor.password);
  info += " application_name='waypost monitor' client_encoding='UTF8' gssencmode=disable";
  info += " connect_timeout=" + std::to_string(connect_seconds);
  info +=
      " options='-c search_path=pg_catalog -c jit=off -c statement_timeout=" + std::to_string(statement_timeout.count()) + "'";
  return info;
}

std::string FirstLine(std::string_view message) {
  std::string line(message.substr(0, std::min(message.find('\n'), kMaxMessageBytes)));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return line;
}

}  // namespace waypost
