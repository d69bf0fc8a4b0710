#include "core/cli/http.h"

#include "core/net/http.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxAnswerBytes = 64U << 20U;

HttpRequest RequestOf(const AdminAddress& address, const HttpQuestion& question) {
  HttpRequest request{
      .method = question.method, .url = address.url + question.path, .socket = address.socket, .limit = question.limit};
  request.headers.push_back("Accept: " + question.accept);
  if (!question.token.empty()) request.headers.push_back("Authorization: Bearer " + question.token);
  if (!question.body.empty()) request.headers.emplace_back("Content-Type: application/json");
  if (!question.body.empty() || question.method == "POST") request.body = question.body;
  return request;
}

}  // namespace

std::string AddressText(const AdminAddress& address) { return address.socket.empty() ? address.url : address.socket; }

Result<HttpAnswer, NotReached> Ask(const AdminAddress& address, const HttpQuestion& question, const HttpReader& reader) {
  HttpAnswer answer;
  bool too_long = false;
  const auto status = SendHttp(RequestOf(address, question), [&](long so_far, std::string_view part) {
    if (reader && so_far == 200) return reader(part);
    too_long = answer.body.size() + part.size() > kMaxAnswerBytes;
    if (!too_long) answer.body.append(part);
    return !too_long;
  });
  if (too_long) return NotReached{AddressText(address) + ": the answer is longer than 64 MiB", true};
  if (!status) return NotReached{AddressText(address) + ": " + status.error(), status.fault().sent};
  answer.status = *status;
  return answer;
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string result;
  for (const char byte : text) {
    if (kPlain.find(byte) != std::string_view::npos) {
      result += byte;
      continue;
    }
    const auto value = static_cast<unsigned char>(byte);
    result += {'%', kDigits[value >> 4U], kDigits[value & 15U]};
  }
  return result;
}

}  // namespace waypost
