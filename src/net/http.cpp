#include "net/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <map>

#include "base/error.h"

namespace anneal {
namespace {

constexpr long kConnectTimeoutSeconds = 10;

CURL* new_handle() {
  static const bool is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  CURL* handle = is_ready ? curl_easy_init() : nullptr;
  if (handle == nullptr) fail(ExitCode::kInternal, "libcurl does not start", "HTTP", "install libcurl again");
  return handle;
}

std::size_t append_body(char* bytes, std::size_t size, std::size_t count, void* body) {
  static_cast<std::string*>(body)->append(bytes, size * count);
  return size * count;
}

bool is_local(const std::string& url) {
  return url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost");
}

// One request: what libcurl refers to has to live as long as its handle.
class Request {
 public:
  Request(const std::string& url, const std::string& bearer, double timeout_seconds) : handle_(new_handle()) {
    curl_easy_setopt(handle_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle_, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
    curl_easy_setopt(handle_, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_seconds * 1000));
    // An answer may take minutes without a byte: a peer that is gone must show all the same.
    curl_easy_setopt(handle_, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(handle_, CURLOPT_WRITEDATA, &answer_.body);
    curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, error_);
    if (is_local(url)) curl_easy_setopt(handle_, CURLOPT_PROXY, "");
    if (!bearer.empty()) add_header("Authorization: Bearer " + bearer);
  }
  ~Request() {
    curl_easy_cleanup(handle_);
    curl_slist_free_all(headers_);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  CURL* handle() const { return handle_; }

  void set_body(std::string body) {
    body_ = std::move(body);
    add_header("Content-Type: application/json");
    add_header("Expect:");  // libcurl would wait a second for a "100 Continue" that few servers send
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, body_.c_str());
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
  }

  const HttpAnswer& answer(CURLcode code) {
    if (code == CURLE_OK)
      curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &answer_.status);
    else
      answer_.error = *error_ != '\0' ? error_ : curl_easy_strerror(code);
    return answer_;
  }

 private:
  void add_header(const std::string& header) {
    headers_ = curl_slist_append(headers_, header.c_str());
    curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers_);
  }

  CURL* handle_;
  curl_slist* headers_ = nullptr;
  std::string body_;
  HttpAnswer answer_;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace

bool is_http_url(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  return (url.starts_with("http://") || url.starts_with("https://")) &&
         curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
}

HttpAnswer http_get(const std::string& url, const std::string& bearer, double timeout_seconds) {
  Request request(url, bearer, timeout_seconds);
  return request.answer(curl_easy_perform(request.handle()));
}

struct HttpPosts::State {
  struct Entry {
    std::unique_ptr<Request> request;
    OnAnswer on_answer;
  };
  std::string bearer;
  CURLM* handle;
  std::map<CURL*, Entry> entries;
};

HttpPosts::HttpPosts(std::string bearer) : state_(std::make_unique<State>()) {
  state_->bearer = std::move(bearer);
  curl_easy_cleanup(new_handle());  // the library is initialised by the first one
  state_->handle = curl_multi_init();
}

HttpPosts::~HttpPosts() {
  for (const auto& [handle, entry] : state_->entries) curl_multi_remove_handle(state_->handle, handle);
  state_->entries.clear();
  curl_multi_cleanup(state_->handle);
}

void HttpPosts::post(const std::string& url, std::string body, double timeout_seconds, OnAnswer on_answer) {
  auto request = std::make_unique<Request>(url, state_->bearer, timeout_seconds);
  request->set_body(std::move(body));
  CURL* const handle = request->handle();
  state_->entries[handle] = {std::move(request), std::move(on_answer)};
  curl_multi_add_handle(state_->handle, handle);
}

std::size_t HttpPosts::under_way() const { return state_->entries.size(); }

void HttpPosts::wait(double seconds) {
  int running = 0;
  curl_multi_perform(state_->handle, &running);
  if (running == static_cast<int>(state_->entries.size()))
    curl_multi_poll(state_->handle, nullptr, 0, static_cast<int>(seconds * 1000), nullptr);
  curl_multi_perform(state_->handle, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(state_->handle, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const auto code = message->data.result;
    auto done = state_->entries.extract(message->easy_handle);
    curl_multi_remove_handle(state_->handle, done.key());
    done.mapped().on_answer(done.mapped().request->answer(code));
  }
}

}  // namespace anneal
