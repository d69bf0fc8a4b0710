#include "core/net/http.h"

#include <curl/curl.h>

#include <array>
#include <memory>

namespace waypost {
namespace {

constexpr long kSilentSeconds = 60;  // of an answer without a limit; the admin port's streams have a beat every 15 s

struct Handles {
  std::unique_ptr<CURL, void (*)(CURL*)> curl{curl_easy_init(), &curl_easy_cleanup};
  curl_slist* headers = nullptr;

  Handles() = default;
  ~Handles() { curl_slist_free_all(headers); }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  template <class Value>
  void Set(CURLoption option, Value value) {
    (void)curl_easy_setopt(curl.get(), option, value);
  }
};

struct Receiver {
  CURL* curl;
  const HttpPart& read;
  long status = 0;
  bool enough = false;
};

std::size_t Receive(char* data, std::size_t /*one*/, std::size_t size, void* to) {
  auto& receiver = *static_cast<Receiver*>(to);
  if (!receiver.read) return size;
  (void)curl_easy_getinfo(receiver.curl, CURLINFO_RESPONSE_CODE, &receiver.status);
  receiver.enough = !receiver.read(receiver.status, {data, size});
  return receiver.enough ? 0 : size;
}

void SetRequest(Handles& handles, const HttpRequest& request) {
  handles.Set(CURLOPT_URL, request.url.c_str());
  if (!request.socket.empty()) handles.Set(CURLOPT_UNIX_SOCKET_PATH, request.socket.c_str());
  handles.Set(CURLOPT_PROTOCOLS_STR, "http,https");
  handles.Set(CURLOPT_PROXY, "");
  handles.Set(CURLOPT_NOSIGNAL, 1L);
  if (!request.authority.empty()) handles.Set(CURLOPT_CAINFO, request.authority.c_str());
  handles.Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_limit.count()));
  if (request.limit.count() > 0) {
    handles.Set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
  } else {
    handles.Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    handles.Set(CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  }
  for (const auto& line : request.headers) handles.headers = curl_slist_append(handles.headers, line.c_str());
  if (request.body) {
    handles.Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    handles.Set(CURLOPT_POSTFIELDS, request.body->empty() ? "" : request.body->data());
  }
  handles.Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  handles.Set(CURLOPT_HTTPHEADER, handles.headers);
}

bool CouldNotConnect(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_URL_MALFORMAT;
}

}  // namespace

Result<long, HttpFailure> SendHttp(const HttpRequest& request, const HttpPart& read) {
  Handles handles;
  if (!handles.curl) return HttpFailure{"libcurl cannot be used", false};
  Receiver receiver{handles.curl.get(), read};
  std::array<char, CURL_ERROR_SIZE> why{};
  SetRequest(handles, request);
  handles.Set(CURLOPT_WRITEFUNCTION, &Receive);
  handles.Set(CURLOPT_WRITEDATA, static_cast<void*>(&receiver));
  handles.Set(CURLOPT_ERRORBUFFER, why.data());
  const auto code = curl_easy_perform(handles.curl.get());
  if (code != CURLE_OK && !receiver.enough)
    return HttpFailure{why.front() != '\0' ? why.data() : curl_easy_strerror(code), !CouldNotConnect(code)};
  (void)curl_easy_getinfo(handles.curl.get(), CURLINFO_RESPONSE_CODE, &receiver.status);
  return receiver.status;
}

}  // namespace waypost
