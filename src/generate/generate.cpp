#include "generate/generate.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <deque>
#include <list>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "generate/kv_cache.h"
#include "generate/sampler.h"
#include "tokenizer/decode_stream.h"

namespace anneal {
namespace {

constexpr std::int64_t kPassTokens = 2048;  // GEMMs gain little from more rows
constexpr std::int64_t kHeadRows = 128;     // logits of so many rows are held at a time

struct Sequence {
  const Prompt* prompt;
  std::vector<std::int32_t> ids;  // prompt and what was generated
  std::int64_t longest;           // tokens that it may have in all
  std::int64_t stored = 0;        // tokens whose keys and values the cache holds
  KvCache::Blocks blocks;
  bool has_long_keys = false;  // of longrope
  // Of what was generated, where there are texts to stop at.
  std::optional<DecodeStream> stream;
  std::string text;

  std::int64_t length() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t generated() const { return length() - static_cast<std::int64_t>(prompt->ids.size()); }
  std::span<const std::int32_t> new_ids() const { return std::span(ids).subspan(prompt->ids.size()); }
};

// The rows of one sequence in a pass.
struct Scheduled {
  Sequence* sequence;
  std::int64_t rows;
};

KvBlockShape block_shape(const CausalLm& model) {
  const auto& c = model.config;
  return {c.num_hidden_layers, c.num_key_value_heads, c.head_dim, model.precision.compute};
}

std::int64_t affordable_blocks(const KvBlockShape& shape, double share) {
  const auto bytes = shape.elements() * static_cast<std::int64_t>(c10::elementSize(shape.type));
  return static_cast<std::int64_t>(share * static_cast<double>(available_memory_bytes())) / bytes;
}

std::vector<std::int32_t> all_stop_ids(const Tokenizer& tokenizer, const GenerateOptions& options) {
  auto ids = tokenizer.stop_ids();
  ids.insert(ids.end(), options.stop_ids.begin(), options.stop_ids.end());
  std::sort(ids.begin(), ids.end());
  return ids;
}

class Generation {
 public:
  Generation(const CausalLm& model, const Tokenizer& tokenizer, const GenerateOptions& options,
             const std::function<void(Completion)>& on_completion)
      : model_(model),
        tokenizer_(tokenizer),
        options_(options),
        on_completion_(on_completion),
        stop_ids_(all_stop_ids(tokenizer, options)),
        longest_(std::min(options.max_model_len, model.config.rope.longest())),
        cache_(block_shape(model), affordable_blocks(block_shape(model), options.memory_share)) {}

  void run(const std::vector<Prompt>& prompts) {
    for (const auto& prompt : prompts) enqueue(prompt);
    while (!waiting_.empty() || !running_.empty()) {
      const auto pass = schedule();
      const auto ended = next_tokens(pass);
      finish(ended);
    }
  }

 private:
  void enqueue(const Prompt& prompt) {
    const auto length = static_cast<std::int64_t>(prompt.ids.size());
    if (prompt.ids.empty())
      fail(ExitCode::kData, "the prompt has no token to begin with", "row " + std::to_string(prompt.index),
           "leave the row out, or give it an input");
    if (length >= longest_) return on_completion_({prompt.index, {}, "", FinishReason::kPromptTooLong});
    auto& sequence = waiting_.emplace_back(
        Sequence{&prompt, prompt.ids, std::min(longest_, length + options_.max_tokens)});
    if (!options_.stop.empty()) sequence.stream.emplace(tokenizer_, /*skip_special_tokens=*/true);
  }

  // Which rows run next: those of running sequences, then those of as many waiting ones as there is room for.
  std::vector<Scheduled> schedule() {
    std::vector<Scheduled> pass;
    std::int64_t budget = 0;
    while (!schedule_running(pass, budget)) preempt_last();
    while (!waiting_.empty() && budget > 0 &&
           static_cast<std::int64_t>(running_.size()) < options_.batch_size) {
      running_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
      auto& sequence = running_.back();
      if (!model_.config.rope.depends_on_length())
        sequence.stored = cache_.share(sequence.blocks, sequence.ids);
      if (!add(pass, sequence, budget)) {
        preempt_last();
        break;
      }
    }
    if (pass.empty())
      fail(ExitCode::kResources, "the memory for keys and values is too small for one prompt", "",
           "free memory, or give a smaller --max_model_len");
    return pass;
  }

  bool schedule_running(std::vector<Scheduled>& pass, std::int64_t& budget) {
    pass.clear();
    budget = std::max(kPassTokens, options_.batch_size);
    for (auto& sequence : running_)
      if (budget > 0 && !add(pass, sequence, budget)) return false;
    return true;
  }

  bool add(std::vector<Scheduled>& pass, Sequence& sequence, std::int64_t& budget) {
    renew_outgrown_keys(sequence);
    const auto rows = std::min(sequence.length() - sequence.stored, budget);
    if (!cache_.grow(sequence.blocks, sequence.stored + rows)) return false;
    const auto prompt_length = static_cast<std::int64_t>(sequence.prompt->ids.size());
    if (!model_.config.rope.depends_on_length())
      cache_.publish(sequence.blocks, sequence.ids, std::min(sequence.stored + rows, prompt_length));
    pass.push_back({&sequence, rows});
    budget -= rows;
    return true;
  }

  // With longrope, a sequence that has become long needs other keys than it had, as in transformers.
  void renew_outgrown_keys(Sequence& sequence) {
    const auto& rope = model_.config.rope;
    const bool is_long = rope.kind == "longrope" &&
                         static_cast<double>(sequence.length()) > rope.original_max_position_embeddings;
    if (is_long && !sequence.has_long_keys) forget(sequence);
    sequence.has_long_keys = is_long;
  }

  void forget(Sequence& sequence) {
    cache_.release(sequence.blocks);
    sequence.stored = 0;
  }

  // Takes the youngest running sequence back; it will be reckoned again, with the same result.
  void preempt_last() {
    auto& sequence = running_.back();
    forget(sequence);
    waiting_.push_front(std::move(sequence));
    running_.pop_back();
  }

  // Runs the model over the rows of the pass, and appends a token to each sequence that all of its tokens
  // were run of. Returns those sequences.
  std::vector<Sequence*> next_tokens(const std::vector<Scheduled>& pass);
  void add_spans(const Sequence& sequence, std::int64_t rows, std::vector<CausalLm::LengthSpan>& spans) const;
  at::Tensor run_model(const std::vector<Scheduled>& pass);
  void sample_rows(const at::Tensor& logits_MV, std::span<Sequence* const> sequences);
  void finish(const std::vector<Sequence*>& advanced);
  bool completes_a_stop(Sequence& sequence) const;
  std::optional<Completion> completion_of(Sequence& sequence) const;

  const CausalLm& model_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const std::function<void(Completion)>& on_completion_;
  const std::vector<std::int32_t> stop_ids_;
  const std::int64_t longest_;
  KvCache cache_;
  std::deque<Sequence> waiting_;
  std::list<Sequence> running_;
};

// The prompt is one sample of its length. Each later token is the end of one that grows; longrope has one set
// of frequencies for all tokens of it.
void Generation::add_spans(const Sequence& sequence, std::int64_t rows,
                           std::vector<CausalLm::LengthSpan>& spans) const {
  const auto prompt_length = static_cast<std::int64_t>(sequence.prompt->ids.size());
  const bool grows = model_.config.rope.kind == "dynamic";
  const auto of_prompt = grows ? std::clamp<std::int64_t>(prompt_length - sequence.stored, 0, rows) : rows;
  if (of_prompt > 0) spans.push_back({of_prompt, grows ? prompt_length : sequence.length()});
  for (auto row = of_prompt; row < rows; ++row) spans.push_back({1, sequence.stored + row + 1});
}

at::Tensor Generation::run_model(const std::vector<Scheduled>& pass) {
  std::int64_t tokens = 0;
  for (const auto& scheduled : pass) tokens += scheduled.rows;
  TokenBatch batch;
  batch.ids_N = at::empty({tokens}, at::kLong);
  batch.positions_N = at::empty({tokens}, at::kLong);
  std::vector<PagedSequence> sequences;
  std::vector<CausalLm::LengthSpan> spans;
  std::int64_t row = 0;
  for (const auto& [sequence, rows] : pass) {
    sequences.push_back({row, rows, sequence->stored, sequence->blocks.tensors});
    add_spans(*sequence, rows, spans);
    for (std::int64_t at = sequence->stored; at < sequence->stored + rows; ++at, ++row) {
      batch.ids_N.mutable_data_ptr<std::int64_t>()[row] = sequence->ids[at];
      batch.positions_N.mutable_data_ptr<std::int64_t>()[row] = at;
    }
  }
  std::int64_t layer_index = 0;
  const AttentionFunction attend = [&](const at::Tensor& q_NHD, const at::Tensor& k_NKD,
                                       const at::Tensor& v_NKD, const AttentionReach& reach) {
    return paged_attention(q_NHD, k_NKD, v_NKD, sequences, cache_.shape(), layer_index,
                           attention_scale(model_.config), reach);
  };
  const auto rope = model_.rope(batch.positions_N, spans);
  const LayerPass layer_pass{rope, {}, {}, &attend};
  return run_layers(model_, batch, [&](std::int64_t index, const at::Tensor& in_NE) {
    layer_index = index;
    return model_.layers[index].forward(model_.config, in_NE, layer_pass, nullptr);
  });
}

std::vector<Sequence*> Generation::next_tokens(const std::vector<Scheduled>& pass) {
  const auto x_NE = run_model(pass);
  std::vector<Sequence*> advanced;
  std::vector<std::int64_t> last_rows;
  std::int64_t row = 0;
  for (const auto& [sequence, rows] : pass) {
    row += rows;
    sequence->stored += rows;
    if (sequence->stored < sequence->length()) continue;
    advanced.push_back(sequence);
    last_rows.push_back(row - 1);
  }
  for (std::size_t begin = 0; begin < advanced.size(); begin += kHeadRows) {
    const auto count = std::min<std::size_t>(kHeadRows, advanced.size() - begin);
    const auto rows_M =
        at::from_blob(last_rows.data() + begin, {static_cast<std::int64_t>(count)}, at::kLong);
    const auto normed_ME = normed(x_NE.index_select(0, rows_M), model_.norm, model_.config.rms_norm_eps).y;
    sample_rows(model_.packed_head().forward(normed_ME, at::kFloat),
                std::span(advanced).subspan(begin, count));
  }
  return advanced;
}

void Generation::sample_rows(const at::Tensor& logits_MV, std::span<Sequence* const> sequences) {
  const float* logits = logits_MV.const_data_ptr<float>();
  const auto width = logits_MV.size(1);
  at::parallel_for(0, logits_MV.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      auto& sequence = *sequences[row];
      const auto key =
          mix(mix(mix(hash_name("sampling"), options_.seed), sequence.prompt->index), sequence.generated());
      const std::span scores(logits + row * width, width);
      sequence.ids.push_back(sample(scores, options_, to_unit_interval(splitmix64(key))));
    }
  });
}

// Whether the token that was just appended completes a text to stop at.
bool Generation::completes_a_stop(Sequence& sequence) const {
  if (!sequence.stream) return false;
  const auto before = sequence.text.size();
  sequence.text += sequence.stream->add(sequence.ids.back());
  return std::any_of(options_.stop.begin(), options_.stop.end(), [&](const std::string& stop) {
    return sequence.text.find(stop, before - std::min(before, stop.size())) != std::string::npos;
  });
}

std::optional<Completion> Generation::completion_of(Sequence& sequence) const {
  const auto ids = sequence.new_ids();
  const bool stopped = std::binary_search(stop_ids_.begin(), stop_ids_.end(), ids.back());
  const bool at_the_end = sequence.length() == sequence.longest;
  if (!completes_a_stop(sequence) && !stopped && !at_the_end) return std::nullopt;
  auto text = tokenizer_.decode(ids.first(ids.size() - (stopped ? 1 : 0)), /*skip_special_tokens=*/true);
  auto cut = std::string::npos;
  for (const auto& stop : options_.stop) cut = std::min(cut, text.find(stop));
  const bool is_cut = cut != std::string::npos;
  if (is_cut) text.resize(cut);
  if (!stopped && !at_the_end && !is_cut) return std::nullopt;
  return Completion{sequence.prompt->index,
                    {ids.begin(), ids.end()},
                    std::move(text),
                    stopped || is_cut ? FinishReason::kStop : FinishReason::kLength};
}

void Generation::finish(const std::vector<Sequence*>& advanced) {
  for (auto* sequence : advanced) {
    auto completion = completion_of(*sequence);
    if (!completion) continue;
    cache_.release(sequence->blocks);
    on_completion_(std::move(*completion));
    running_.remove_if([&](const Sequence& one) { return &one == sequence; });
  }
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kPromptTooLong:
      return "prompt_too_long";
  }
  return "";
}

void generate(CausalLm& model, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
              const GenerateOptions& options, const std::function<void(Completion)>& on_completion) {
  const c10::InferenceMode no_autograd;
  if (!model.is_packed()) model.pack();
  Generation(model, tokenizer, options, on_completion).run(prompts);
}

}  // namespace anneal
