// The tokenizer of a model folder, equal id by id to the `tokenizers` library on the same tokenizer.json.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

struct EncodeOptions {
  bool add_special_tokens = true;  // what the post-processor puts around the text
  bool special_in_text = true;     // the text of a special token is that token; otherwise it is plain text
};

// The ids of a text, and for each of its cuts how many of them stand before it.
struct CutIds {
  std::vector<std::int32_t> ids;
  std::vector<std::size_t> counts;
};

// May be used from several threads at once. Texts must be valid UTF-8: others throw UserError(kData).
class Tokenizer {
 public:
  // Reads tokenizer.json, and from tokenizer_config.json, special_tokens_map.json and generation_config.json
  // the names of special tokens. Throws UserError(kModel), also for every component that it would not match
  // exactly.
  static Tokenizer load(const std::filesystem::path& model_folder);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // With the leading special tokens but never a trailing one.
  std::vector<std::int32_t> encode_prompt(std::string_view text, bool special_in_text = true) const;
  // Of text that continues earlier text: no special tokens around it, no space put before it.
  std::vector<std::int32_t> encode_continuation(std::string_view text, bool special_in_text = true) const;

  // Of a text without special tokens around it that is one whole, as encode() gives them. Only where a token
  // would reach over a cut are the parts encoded apart, so that what stands before it is what the text up to
  // it gives. `cuts`: byte offsets, ascending. A cut within an added token (or spaces that it takes) is
  // behind it.
  CutIds encode_cut(std::string_view text, std::span<const std::size_t> cuts) const;

  // Ids that no token has are left out, as the library does.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const;
  std::string piece(std::int32_t id) const;  // as the vocabulary writes it; empty where there is none

  std::optional<std::int32_t> token_to_id(std::string_view token) const;
  bool is_special(std::int32_t id) const;
  std::vector<std::string> added_tokens() const;  // the texts that are found before anything else
  std::vector<std::int32_t> leading_special_ids() const;
  std::vector<std::int32_t> trailing_special_ids() const;
  std::int64_t vocab_size() const;  // tokens, added ones included
  std::int32_t largest_id() const;  // of tokens and of what the post-processor adds; the ids may have gaps

  std::optional<std::int32_t> bos_id() const;
  std::optional<std::int32_t> eos_id()
      const;  // the tokenizer's own; else the first of generation_config.json
  std::optional<std::int32_t> pad_id() const;
  std::vector<std::int32_t> stop_ids() const;  // eos_id and all of generation_config.json, ascending

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  struct TextPart;
  void append_text(std::string_view text, bool special_in_text, bool continuation,
                   std::vector<std::int32_t>& ids) const;
  void append_part(const TextPart& part, bool special_in_text, std::vector<std::int32_t>& ids) const;
  void append_cut_part(TextPart part, std::span<const std::size_t>& cuts, CutIds& cut) const;
  std::unique_ptr<const State> state_;
};

}  // namespace anneal
