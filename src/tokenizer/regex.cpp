#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <stdexcept>

#include "tokenizer/pattern_translation.h"
#include "tokenizer/unicode.h"
#include "tokenizer/word_splitter.h"

namespace anneal {

class Regex::Engine {
 public:
  virtual ~Engine() = default;
  virtual void find_all(std::string_view text, std::vector<Match>& matches) const = 0;
  virtual bool covers_all_text() const { return false; }
};

class Regex::WordEngine : public Engine {
 public:
  explicit WordEngine(WordSplitter splitter) : splitter_(splitter) {}
  bool covers_all_text() const override { return true; }
  void find_all(std::string_view text, std::vector<Match>& matches) const override {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = splitter_.word_end(text, at);
      matches.push_back({at, end});
      at = end;
    }
  }

 private:
  WordSplitter splitter_;
};

class Regex::LiteralEngine : public Engine {
 public:
  explicit LiteralEngine(std::string_view text) : wanted_(text) {}
  void find_all(std::string_view text, std::vector<Match>& matches) const override {
    for (std::size_t at = 0; (at = text.find(wanted_, at)) != text.npos; at += wanted_.size())
      matches.push_back({at, at + wanted_.size()});
  }

 private:
  std::string wanted_;
};

class Regex::PcreEngine : public Engine {
 public:
  explicit PcreEngine(std::string_view pattern) {
    const std::string translated = translate_pattern(pattern);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
                              &error, &offset, nullptr));
    if (!code_) {
      PCRE2_UCHAR message[256] = {};
      pcre2_get_error_message(error, message, sizeof(message));
      throw UnsupportedPattern(std::string("what PCRE2 reports as \"") + reinterpret_cast<char*>(message) +
                               "\"");
    }
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  void find_all(std::string_view text, std::vector<Match>& matches) const override {
    const MatchState& state = thread_state();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    bool any = false;
    for (std::size_t at = 0, last_end = 0; at <= text.size();) {
      const int found = pcre2_match(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK,
                                    state.data.get(), state.context.get());
      if (found == PCRE2_ERROR_NOMATCH) return;
      if (found < 0) throw std::runtime_error("PCRE2 gave up on a text: error " + std::to_string(found));
      const auto* offsets = pcre2_get_ovector_pointer(state.data.get());
      const Match match{offsets[0], offsets[1]};
      if (match.begin == match.end && any && match.end == last_end) {
        at += at < text.size() ? utf8_length(text[at]) : 1;
        continue;
      }
      matches.push_back(match);
      at = last_end = match.end;
      any = true;
    }
  }

 private:
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
  };
  struct MatchState {
    std::unique_ptr<pcre2_jit_stack, Free> stack;
    std::unique_ptr<pcre2_match_context, Free> context;
    std::unique_ptr<pcre2_match_data, Free> data;
  };
  static const MatchState& thread_state() {
    constexpr std::size_t kFirstStackBytes = 64 << 10, kMostStackBytes = 64 << 20;
    static thread_local const MatchState state = [] {
      MatchState made;
      made.stack.reset(pcre2_jit_stack_create(kFirstStackBytes, kMostStackBytes, nullptr));
      made.context.reset(pcre2_match_context_create(nullptr));
      made.data.reset(pcre2_match_data_create(1, nullptr));
      pcre2_jit_stack_assign(made.context.get(), nullptr, made.stack.get());
      return made;
    }();
    return state;
  }

  std::unique_ptr<pcre2_code, Free> code_;
};

Regex::Regex(std::string_view pattern) {
  if (const auto splitter = WordSplitter::for_pattern(pattern))
    engine_ = std::make_unique<WordEngine>(*splitter);
  else
    engine_ = std::make_unique<PcreEngine>(pattern);
}

Regex::Regex(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex Regex::literal(std::string_view text) { return Regex(std::make_unique<LiteralEngine>(text)); }

void Regex::find_all(std::string_view text, std::vector<Match>& matches) const {
  engine_->find_all(text, matches);
}
bool Regex::covers_all_text() const { return engine_->covers_all_text(); }

}  // namespace anneal
