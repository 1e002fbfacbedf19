// HTTP as a client: single requests, and many at the same time.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace anneal {

struct HttpAnswer {
  long status = 0;    // 0: there was no answer
  std::string body;   // of the answer
  std::string error;  // why there was no answer
};

// Whether libcurl takes it for an http or https address.
bool is_http_url(const std::string& url);

// `bearer`: sent as the Authorization, unless it is empty.
HttpAnswer http_get(const std::string& url, const std::string& bearer, double timeout_seconds);

// POSTs of JSON texts. One thread's.
class HttpPosts {
 public:
  using OnAnswer = std::function<void(const HttpAnswer&)>;

  explicit HttpPosts(std::string bearer);
  ~HttpPosts();  // breaks off what is under way
  HttpPosts(const HttpPosts&) = delete;
  HttpPosts& operator=(const HttpPosts&) = delete;

  // on_answer is called from within wait().
  void post(const std::string& url, std::string body, double timeout_seconds, OnAnswer on_answer);
  std::size_t under_way() const;
  // Returns after answers came, or after `seconds`.
  void wait(double seconds);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace anneal
