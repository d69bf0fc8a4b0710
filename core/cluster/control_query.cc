#include "core/cluster/control_query.h"

#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "core/cluster/name_lookup.h"

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

// Files that are not given are none: not those that libpq finds at home.
std::string FileOrNone(const std::string& path) { return Quoted(path.empty() ? "/dev/null/none" : path); }

std::string Encryption(const ServerConfig& server) {
  constexpr std::array<std::string_view, 5> kModes = {"disable", "prefer", "require", "verify-ca",
                                                      "verify-full"};  // as ServerTls
  std::string info = " sslmode=" + std::string(kModes[static_cast<std::size_t>(server.tls)]);
  if (server.tls == ServerTls::kDisable) return info;
  const bool verifies = server.tls == ServerTls::kVerifyCa || server.tls == ServerTls::kVerifyFull;
  return info + " sslrootcert=" + FileOrNone(verifies ? server.tls_ca : "") +
         " sslcrl=" + FileOrNone(verifies ? server.tls_crl : "") + " sslcert=" + FileOrNone(server.tls_cert) +
         " sslkey=" + FileOrNone(server.tls_key);
}

}  // namespace

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  return inet_pton(AF_INET, host.c_str(), parsed.data()) == 1 || inet_pton(AF_INET6, host.c_str(), parsed.data()) == 1;
}

std::string AtAddresses(const ServerConfig& server, const std::vector<std::string>& addresses) {
  // With an address beside it libpq uses the host for the certificate alone.
  const auto& host = server.tls == ServerTls::kDisable ? server.host : server.tls_name();
  std::string hosts, numbers;
  for (const auto& address : addresses) {
    hosts += (hosts.empty() ? "" : ",") + host;
    numbers += (numbers.empty() ? "" : ",") + address;
  }
  return " host=" + Quoted(hosts) + " hostaddr=" + Quoted(numbers);
}

std::string AtAddressesIfNamedOtherwise(const ServerConfig& server, milliseconds timeout) {
  if (server.tls == ServerTls::kDisable || server.tls_name() == server.host || IsAddress(server.host)) return {};
  const NameLookup lookup(server.host);
  pollfd done{.fd = lookup.fd(), .events = POLLIN, .revents = 0};
  (void)poll(&done, 1, static_cast<int>(timeout.count()));
  if (!lookup.done() || lookup.addresses().empty()) return {};
  return AtAddresses(server, lookup.addresses());
}

std::string MonitorConninfo(const MonitorConfig& monitor, const ServerConfig& server, std::string_view database,
                            milliseconds statement_timeout) {
  // libpq counts whole seconds here and takes 1 for 2.
  const auto connect_seconds = std::max<std::int64_t>(2, (statement_timeout.count() + 999) / 1000);
  std::string info;
  if (IsAddress(server.host)) info = AtAddresses(server, {server.host}).substr(1);  // no resolver in between
  else info = "host=" + Quoted(server.host);
  info += " port=" + std::to_string(server.port) + " dbname=" + Quoted(database) + " user=" + Quoted(monitor.user);
  if (!monitor.password.empty()) info += " password=" + Quoted(monitor.password);
  info += " application_name='waypost monitor' client_encoding='UTF8' gssencmode=disable";
  info += Encryption(server);
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
