#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <atomic>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_token_names.h"
#include "tokenizer/unicode.h"

namespace anneal {
namespace {

const Json kNull;

// The part of the file under `key`; null where it is absent.
Component part(const Component& file, const char* key) {
  const auto found = file.json.find(key);
  return {found == file.json.end() ? kNull : *found, file.where + ": " + key};
}

Component model_part(const Component& file) {
  const Component model = part(file, "model");
  if (!model.json.is_object()) model.damaged("there is no model");
  return model;
}

// What one thread keeps for one tokenizer.
struct ThreadScratch {
  std::uint64_t owner;
  WordScratch model;
  std::vector<AddedTokens::Part> raw_parts, normalized_parts;
  WordList words;
};

ThreadScratch& thread_scratch(std::uint64_t owner) {
  constexpr std::size_t kMost = 4;
  static thread_local std::vector<std::unique_ptr<ThreadScratch>> all;
  for (auto& scratch : all)
    if (scratch->owner == owner) return *scratch;
  if (all.size() == kMost) all.erase(all.begin());
  all.push_back(std::make_unique<ThreadScratch>(owner));
  return *all.back();
}

void require_utf8(std::string_view text) {
  if (!is_valid_utf8(text))
    fail(ExitCode::kData, "the text is not valid UTF-8", "tokenizer input", "convert the data to UTF-8");
}

}  // namespace

struct Tokenizer::State {
  State(const Component& file, const std::filesystem::path& folder)
      : normalizer(part(file, "normalizer")),
        pre_tokenizer(part(file, "pre_tokenizer")),
        model(load_word_model(model_part(file), pre_tokenizer.gives_bytes())),
        added(part(file, "added_tokens"), model->vocabulary, normalizer),
        post_processor(part(file, "post_processor")),
        decoder(part(file, "decoder")),
        names(load_special_token_names(folder)) {}

  std::optional<std::int32_t> id(std::string_view token) const {
    const auto found = added.id(token);
    return found ? found : model->vocabulary.id(token);
  }

  const std::string* token(std::int32_t id) const {
    const std::string* found = added.piece(id);
    return found ? found : model->vocabulary.token(id);
  }

  std::optional<std::int32_t> named(const std::optional<std::string>& name,
                                    std::optional<std::int32_t> other) const {
    if (name)
      if (const auto found = id(*name)) return found;
    return other;
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const WordModel> model;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  SpecialTokenNames names;
  std::uint64_t number = next_number();

  static std::uint64_t next_number() {
    static std::atomic<std::uint64_t> last = 0;
    return ++last;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_folder) {
  const auto path = model_folder / "tokenizer.json";
  if (!is_folder(model_folder))
    fail(ExitCode::kModel, "there is no such model folder", model_folder.string(),
         "give the path of a folder that holds tokenizer.json");
  const Json json = read_json_file(path, ExitCode::kModel);
  const Component file{json, path.string()};
  if (!json.is_object()) file.damaged("this is not a JSON object");
  return Tokenizer(std::make_unique<const State>(file, model_folder));
}

// What stands between the added tokens of a raw text.
struct Tokenizer::TextPart {
  std::string_view text;
  std::size_t begin;  // of `text` in the whole
  bool at_start;      // nothing stands before it, or only what it continues
  bool continuation;
};

void Tokenizer::append_part(const TextPart& part, bool special_in_text,
                            std::vector<std::int32_t>& ids) const {
  const State& state = *state_;
  ThreadScratch& scratch = thread_scratch(state.number);
  const auto encode_words = [&](std::string_view piece, bool at_start) {
    WordList& list = scratch.words;
    list.text.assign(piece);
    list.words.assign(1, {0, piece.size(), at_start});
    list.continuation = part.continuation;
    state.pre_tokenizer.apply(list);
    for (const auto& word : list.words) state.model->encode(list.view(word), scratch.model, ids);
  };
  Segment segment{std::string(part.text), part.at_start, part.continuation};
  state.normalizer.apply(segment);
  scratch.normalized_parts.clear();
  state.added.split(segment.text, true, special_in_text, scratch.normalized_parts);
  for (const auto& piece : scratch.normalized_parts) {
    if (piece.id >= 0)
      ids.push_back(piece.id);
    else
      encode_words(std::string_view(segment.text).substr(piece.begin, piece.end - piece.begin),
                   segment.at_start && piece.begin == 0);
  }
}

void Tokenizer::append_text(std::string_view text, bool special_in_text, bool continuation,
                            std::vector<std::int32_t>& ids) const {
  require_utf8(text);
  auto& parts = thread_scratch(state_->number).raw_parts;
  parts.clear();
  state_->added.split(text, false, special_in_text, parts);
  for (const auto& part : parts) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      append_part({text.substr(part.begin, part.end - part.begin), part.begin, part.begin == 0, continuation},
                  special_in_text, ids);
  }
}

CutIds Tokenizer::encode_cut(std::string_view text, std::span<const std::size_t> cuts) const {
  require_utf8(text);
  CutIds cut;
  const auto pass_cuts = [&](std::size_t end) {
    for (; !cuts.empty() && cuts.front() <= end; cuts = cuts.subspan(1)) cut.counts.push_back(cut.ids.size());
  };
  auto& parts = thread_scratch(state_->number).raw_parts;
  parts.clear();
  state_->added.split(text, false, true, parts);
  for (const auto& part : parts) {
    pass_cuts(part.begin);
    if (part.id >= 0)
      cut.ids.push_back(part.id);
    else
      append_cut_part({text.substr(part.begin, part.end - part.begin), part.begin, part.begin == 0, false},
                      cuts, cut);
  }
  pass_cuts(text.size());
  return cut;
}

// Takes those of `cuts` that lie within the part.
void Tokenizer::append_cut_part(TextPart part, std::span<const std::size_t>& cuts, CutIds& cut) const {
  std::vector<std::int32_t> whole, head;
  append_part(part, true, whole);
  while (!cuts.empty() && cuts.front() < part.begin + part.text.size()) {
    const auto length = cuts.front() - part.begin;
    cuts = cuts.subspan(1);
    head.clear();
    append_part({part.text.substr(0, length), part.begin, part.at_start, part.continuation}, true, head);
    cut.counts.push_back(cut.ids.size() + head.size());
    const auto [end_of_head, ignored] = std::mismatch(head.begin(), head.end(), whole.begin(), whole.end());
    if (end_of_head == head.end()) continue;
    cut.ids.insert(cut.ids.end(), head.begin(), head.end());
    part = {part.text.substr(length), part.begin + length, true, true};
    whole.clear();
    append_part(part, true, whole);
  }
  cut.ids.insert(cut.ids.end(), whole.begin(), whole.end());
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 4 + 2);
  if (options.add_special_tokens) ids = state_->post_processor.leading;
  append_text(text, options.special_in_text, false, ids);
  const auto& trailing = state_->post_processor.trailing;
  if (options.add_special_tokens) ids.insert(ids.end(), trailing.begin(), trailing.end());
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_prompt(std::string_view text, bool special_in_text) const {
  std::vector<std::int32_t> ids = state_->post_processor.leading;
  append_text(text, special_in_text, false, ids);
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_continuation(std::string_view text, bool special_in_text) const {
  std::vector<std::int32_t> ids;
  append_text(text, special_in_text, true, ids);
  return ids;
}

// The library looks up the shown text among the special tokens, not the id; so does this.
std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const auto id : ids)
    if (const std::string* token = state_->token(id))
      if (!skip_special_tokens || !state_->added.is_special(*token)) tokens.push_back(*token);
  return state_->decoder.decode(std::move(tokens));
}

std::string Tokenizer::piece(std::int32_t id) const {
  const std::string* token = state_->token(id);
  return token ? *token : std::string();
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const { return state_->id(token); }

bool Tokenizer::is_special(std::int32_t id) const {
  const auto& added = state_->added.by_id();
  const auto found = added.find(id);
  return found != added.end() && state_->added.is_special(found->second.content);
}

std::vector<std::string> Tokenizer::added_tokens() const {
  std::vector<std::string> texts;
  for (const auto& [id, token] : state_->added.by_id()) texts.push_back(token.content);
  return texts;
}

std::vector<std::int32_t> Tokenizer::leading_special_ids() const { return state_->post_processor.leading; }
std::vector<std::int32_t> Tokenizer::trailing_special_ids() const { return state_->post_processor.trailing; }

std::int64_t Tokenizer::vocab_size() const {
  std::int64_t size = state_->model->vocabulary.size();
  for (const auto& [id, token] : state_->added.by_id()) size += !state_->model->vocabulary.id(token.content);
  return size;
}

std::int32_t Tokenizer::largest_id() const {
  const auto& added = state_->added.by_id();
  auto largest = std::max(state_->model->vocabulary.largest_id(), added.empty() ? -1 : added.rbegin()->first);
  for (const auto* ids : {&state_->post_processor.leading, &state_->post_processor.trailing})
    for (const auto id : *ids) largest = std::max(largest, id);
  return largest;
}

std::optional<std::int32_t> Tokenizer::bos_id() const {
  return state_->named(state_->names.bos, state_->names.generation_bos_id);
}

std::optional<std::int32_t> Tokenizer::eos_id() const {
  const auto& ids = state_->names.generation_eos_ids;
  return state_->named(state_->names.eos, ids.empty() ? std::nullopt : std::optional(ids.front()));
}

std::optional<std::int32_t> Tokenizer::pad_id() const {
  return state_->named(state_->names.pad, state_->names.generation_pad_id);
}

std::vector<std::int32_t> Tokenizer::stop_ids() const {
  auto ids = state_->names.generation_eos_ids;
  if (const auto eos = eos_id()) ids.push_back(*eos);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace anneal
