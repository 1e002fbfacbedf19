#include "generate/vllm_client.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>

#include "base/json.h"
#include "base/random.h"
#include "net/http.h"

namespace anneal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kAttempts = 6;
constexpr auto kFirstDelay = std::chrono::milliseconds(200);  // doubled each time: 6 s in all
constexpr double kQuickAnswerSeconds = 30, kCompletionSeconds = 3600, kPollSeconds = 0.2;
constexpr std::size_t kShownBytes = 500;

// vLLM's own name for the key that its servers ask for.
std::string bearer() {
  const char* key = std::getenv("VLLM_API_KEY");
  return key == nullptr ? "" : key;
}

std::string defect_of(const HttpAnswer& answer) {
  if (answer.status == 0) return answer.error;
  if (answer.status == 200) return "";
  return "HTTP " + std::to_string(answer.status) + ": " + answer.body.substr(0, kShownBytes);
}

// Whether the same request may do better later.
bool is_passing(const HttpAnswer& answer) {
  return answer.status == 0 || answer.status == 200 || answer.status == 408 || answer.status == 429 ||
         answer.status >= 500;
}

class Completer {
 public:
  Completer(const VllmModel& model, const std::vector<std::int32_t>& stop_ids, const GenerateOptions& options,
            const std::function<void(Completion)>& on_completion)
      : model_(model),
        stop_ids_(stop_ids),
        options_(options),
        on_completion_(on_completion),
        limit_(std::min(options.max_model_len, model.max_model_len.value_or(options.max_model_len))),
        posts_(bearer()) {}

  void run(const std::vector<Prompt>& prompts, const std::function<void()>& check) {
    for (const auto& prompt : prompts)
      if (static_cast<std::int64_t>(prompt.ids.size()) < limit_)
        waiting_.push_back({&prompt, 0, Clock::now()});
      else
        on_completion_({prompt.index, {}, "", FinishReason::kPromptTooLong});
    while (!waiting_.empty() || posts_.under_way() > 0) {
      check();
      post_what_is_due();
      posts_.wait(kPollSeconds);
    }
  }

 private:
  struct Task {
    const Prompt* prompt;
    int failures;
    Clock::time_point due;
  };

  void post_what_is_due() {
    const auto now = Clock::now();
    for (auto left = waiting_.size(); left > 0; --left) {
      if (static_cast<std::int64_t>(posts_.under_way()) >= options_.batch_size) return;
      const auto task = waiting_.front();
      waiting_.pop_front();
      if (task.due > now)
        waiting_.push_back(task);
      else
        post(task);
    }
  }

  void post(const Task& task) {
    posts_.post(model_.url + "/v1/completions", request(*task.prompt).dump(), kCompletionSeconds,
                [this, task](const HttpAnswer& answer) { take(task, answer); });
  }

  // Everything that a server could have other defaults for is said.
  Json request(const Prompt& prompt) const {
    const auto room = limit_ - static_cast<std::int64_t>(prompt.ids.size());
    Json body = {{"model", model_.name},
                 {"prompt", prompt.ids},
                 {"max_tokens", std::min(options_.max_tokens, room)},
                 {"temperature", options_.temperature},
                 {"top_p", options_.top_p},
                 {"top_k", options_.top_k > 0 ? options_.top_k : -1},
                 {"min_p", 0.0},
                 {"repetition_penalty", 1.0},
                 {"presence_penalty", 0.0},
                 {"frequency_penalty", 0.0},
                 {"seed", static_cast<std::int64_t>(mix(options_.seed, prompt.index) >> 1)},
                 {"stop_token_ids", stop_ids_},
                 {"skip_special_tokens", true},
                 {"return_token_ids", true},
                 {"stream", false}};
    if (!options_.stop.empty()) body["stop"] = options_.stop;
    return body;
  }

  void take(Task task, const HttpAnswer& answer) {
    auto defect = defect_of(answer);
    Completion completion{task.prompt->index, {}, "", FinishReason::kStop};
    if (defect.empty()) defect = read(answer.body, completion);
    if (defect.empty()) {
      on_completion_(std::move(completion));
      return;
    }
    if (!is_passing(answer) || ++task.failures >= kAttempts)
      fail(ExitCode::kDistributed,
           "vLLM does not complete the prompt of row " + std::to_string(task.prompt->index) + ": " + defect,
           model_.url, "look at the server's log, then go on with --resume");
    task.due = Clock::now() + kFirstDelay * (1 << (task.failures - 1));
    waiting_.push_back(task);
  }

  // Returns what is wrong with the answer, "" where it is a completion.
  static std::string read(const std::string& body, Completion& completion) {
    try {
      const Json choice = Json::parse(body).at("choices").at(0);
      completion.text = choice.at("text").get<std::string>();
      const std::string reason = choice.at("finish_reason");
      if (!choice.contains("token_ids") || choice["token_ids"].is_null())
        return "the answer has no token_ids; vLLM has them since version 0.10.2";
      completion.ids = choice["token_ids"].get<std::vector<std::int32_t>>();
      completion.finish_reason = reason == "length" ? FinishReason::kLength : FinishReason::kStop;
      return reason == "length" || reason == "stop" ? "" : "it ended with \"" + reason + "\"";
    } catch (const Json::exception& error) {
      return std::string("not the JSON of a completion (") + error.what() +
             "): " + body.substr(0, kShownBytes);
    }
  }

  const VllmModel& model_;
  const std::vector<std::int32_t>& stop_ids_;
  const GenerateOptions& options_;
  const std::function<void(Completion)>& on_completion_;
  std::int64_t limit_;
  std::deque<Task> waiting_;
  HttpPosts posts_;
};

}  // namespace

VllmModel find_vllm_model(std::string url, const std::optional<std::string>& name) {
  while (url.ends_with('/')) url.pop_back();
  const auto answer = http_get(url + "/v1/models", bearer(), kQuickAnswerSeconds);
  const auto refuse = [&](const std::string& problem) {
    fail(ExitCode::kDistributed, problem, url,
         "give the address of a vLLM server that runs, e.g. --vllm_url http://127.0.0.1:8000, and its key in "
         "VLLM_API_KEY if it has one");
  };
  if (const auto defect = defect_of(answer); !defect.empty()) refuse("there is no list of models: " + defect);
  std::vector<VllmModel> models;
  try {
    const Json list = Json::parse(answer.body);
    for (const auto& card : list.at("data")) {
      models.push_back({url, card.at("id"), std::nullopt});
      if (card.contains("max_model_len") && !card["max_model_len"].is_null())
        models.back().max_model_len = card["max_model_len"].get<std::int64_t>();
    }
  } catch (const Json::exception& error) {
    refuse(std::string("its list of models cannot be read: ") + error.what());
  }
  std::string names;
  for (const auto& model : models) {
    if (name ? model.name == *name : models.size() == 1) return model;
    names += (names.empty() ? "" : ", ") + model.name;
  }
  fail(ExitCode::kUsage,
       name ? "the server at " + url + " has no model \"" + *name + "\""
            : "the server at " + url + " has several models",
       "--vllm_model", "name one of " + names);
}

void generate_with_vllm(const VllmModel& model, const std::vector<std::int32_t>& stop_ids,
                        const std::vector<Prompt>& prompts, const GenerateOptions& options,
                        const std::function<void()>& check,
                        const std::function<void(Completion)>& on_completion) {
  Completer(model, stop_ids, options, on_completion).run(prompts, check);
}

}  // namespace anneal
