#include "core/cli/http.h"

#include <curl/curl.h>

#include <array>
#include <memory>

namespace waypost {
namespace {

constexpr long kConnectSeconds = 5;
constexpr long kSilentSeconds = 60;  // of a stream, which has a beat every 15 s
constexpr std::size_t kMaxAnswerBytes = 64U << 20U;

struct Handles {
  std::unique_ptr<CURL, void (*)(CURL*)> curl{curl_easy_init(), &curl_easy_cleanup};
  curl_slist* headers = nullptr;

  Handles() = default;
  ~Handles() { curl_slist_free_all(headers); }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  void AddHeader(const std::string& line) { headers = curl_slist_append(headers, line.c_str()); }
  template <class Value>
  void Set(CURLoption option, Value value) {
    (void)curl_easy_setopt(curl.get(), option, value);
  }
};

struct Receiver {
  CURL* curl;
  const HttpReader& reader;
  HttpAnswer& answer;
  bool enough = false, too_long = false;
};

std::size_t Receive(char* data, std::size_t /*one*/, std::size_t size, void* to) {
  auto& receiver = *static_cast<Receiver*>(to);
  (void)curl_easy_getinfo(receiver.curl, CURLINFO_RESPONSE_CODE, &receiver.answer.status);
  if (receiver.reader && receiver.answer.status == 200) {
    receiver.enough = !receiver.reader({data, size});
    return receiver.enough ? 0 : size;
  }
  receiver.too_long = receiver.answer.body.size() + size > kMaxAnswerBytes;
  if (receiver.too_long) return 0;
  receiver.answer.body.append(data, size);
  return size;
}

void SetRequest(Handles& handles, const AdminAddress& address, const HttpQuestion& question) {
  handles.Set(CURLOPT_URL, (address.url + question.path).c_str());
  if (!address.socket.empty()) handles.Set(CURLOPT_UNIX_SOCKET_PATH, address.socket.c_str());
  handles.Set(CURLOPT_PROTOCOLS_STR, "http,https");
  handles.Set(CURLOPT_PROXY, "");
  handles.Set(CURLOPT_NOSIGNAL, 1L);
  handles.Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  if (question.limit.count() > 0) {
    handles.Set(CURLOPT_TIMEOUT, static_cast<long>(question.limit.count()));
  } else {
    handles.Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    handles.Set(CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  }
  handles.AddHeader("Accept: " + question.accept);
  if (!question.token.empty()) handles.AddHeader("Authorization: Bearer " + question.token);
  if (!question.body.empty()) {
    handles.AddHeader("Content-Type: application/json");
    handles.Set(CURLOPT_POSTFIELDSIZE, static_cast<long>(question.body.size()));
    handles.Set(CURLOPT_COPYPOSTFIELDS, question.body.c_str());
  } else if (question.method == "POST") {
    handles.Set(CURLOPT_POSTFIELDSIZE, 0L);
    handles.Set(CURLOPT_COPYPOSTFIELDS, "");
  }
  handles.Set(CURLOPT_CUSTOMREQUEST, question.method.c_str());
  handles.Set(CURLOPT_HTTPHEADER, handles.headers);
}

bool CouldNotConnect(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_URL_MALFORMAT;
}

}  // namespace

std::string AddressText(const AdminAddress& address) { return address.socket.empty() ? address.url : address.socket; }

Result<HttpAnswer, NotReached> Ask(const AdminAddress& address, const HttpQuestion& question, const HttpReader& reader) {
  Handles handles;
  if (!handles.curl) return NotReached{"libcurl cannot be used", false};
  HttpAnswer answer;
  Receiver receiver{handles.curl.get(), reader, answer};
  std::array<char, CURL_ERROR_SIZE> why{};
  SetRequest(handles, address, question);
  handles.Set(CURLOPT_WRITEFUNCTION, &Receive);
  handles.Set(CURLOPT_WRITEDATA, static_cast<void*>(&receiver));
  handles.Set(CURLOPT_ERRORBUFFER, why.data());
  const auto code = curl_easy_perform(handles.curl.get());
  if (receiver.too_long) return NotReached{AddressText(address) + ": the answer is longer than 64 MiB", true};
  if (code != CURLE_OK && !receiver.enough)
    return NotReached{AddressText(address) + ": " + (why.front() != '\0' ? why.data() : curl_easy_strerror(code)),
                      !CouldNotConnect(code)};
  (void)curl_easy_getinfo(handles.curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
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
