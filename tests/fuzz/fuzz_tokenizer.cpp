// tokenizer.json: loading, and what a tokenizer that was loaded makes of texts.
#include "formats/utf8.h"
#include "tests/fuzz/driver.h"
#include "tokenizer/decode_stream.h"
#include "tokenizer/tokenizer.h"

namespace anneal {
namespace {

constexpr std::size_t kTextBytes = 400;

void run(const std::filesystem::path& file, std::string_view input) {
  const auto tokenizer = Tokenizer::load(file.parent_path());
  const auto limit = tokenizer.largest_id();
  std::vector<std::string> texts = {
      "", " ", "Hello, world!\n\t 12345  it's",
      "\xE6\x97\xA5\xE6\x9C\xAC e\xCC\x81 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80",
      std::string(300, 'a')};
  texts.emplace_back(utf8_prefix(input, kTextBytes));
  texts.emplace_back(utf8_prefix(input.substr(input.size() / 2), kTextBytes));
  for (const auto& text : texts) {
    if (find_invalid_utf8(text) != text.npos) continue;
    const auto ids = tokenizer.encode(text);
    for (const auto id : ids) expect(id >= 0 && id <= limit, "an id is one of the vocabulary");
    tokenizer.encode(text, {.special_in_text = false});
    tokenizer.encode_prompt(text);
    tokenizer.encode_continuation(text);
    const std::vector<std::size_t> cuts = {0, utf8_prefix(text, text.size() / 2).size(), text.size()};
    const auto cut = tokenizer.encode_cut(text, cuts);
    expect(cut.counts.size() == cuts.size() && cut.counts.back() == cut.ids.size(), "every cut has a count");
    for (const bool skips : {true, false}) {
      tokenizer.decode(ids, skips);
      DecodeStream stream(tokenizer, skips);
      for (const auto id : ids) stream.add(id);
      stream.finish();
      expect(stream.finish().empty(), "nothing is left behind the end");
    }
  }
  for (std::int32_t id = -1; id <= std::min(limit, 100) + 1; ++id)
    tokenizer.decode(std::vector{id}, tokenizer.is_special(id));
  tokenizer.stop_ids();
}

}  // namespace

const FuzzTarget kFuzzTarget = {"tokenizer.json",
                                {"\"type\": \"BPE\"",
                                 "\"type\": \"WordPiece\"",
                                 "\"type\": \"Sequence\"",
                                 "\"type\": \"ByteLevel\"",
                                 "\"type\": \"Split\"",
                                 "\"type\": \"Replace\"",
                                 "\"type\": \"Prepend\"",
                                 "\"type\": \"Metaspace\"",
                                 "\"type\": \"TemplateProcessing\"",
                                 "\"type\": \"NFC\"",
                                 "\"type\": \"Strip\"",
                                 "\"Regex\": \"",
                                 "\"String\": \"",
                                 "\"byte_fallback\": true",
                                 "\"ignore_merges\": true",
                                 "\"added_tokens\": [",
                                 "\"special\": true",
                                 "\"lstrip\": true",
                                 "\"rstrip\": true",
                                 "\"single_word\": true",
                                 "\"normalized\": true",
                                 "\"content\": \"\"",
                                 "\"id\": ",
                                 "2147483647",
                                 "4294967296",
                                 "-1",
                                 "1e300",
                                 "null",
                                 "true",
                                 "[]",
                                 "{}",
                                 "\\p{L}",
                                 "\\s+",
                                 "(?!\\S)",
                                 "(a*)*b",
                                 "(?i:",
                                 "[^",
                                 "]",
                                 "{1,3}",
                                 "{99999}",
                                 "|",
                                 "\\ud800",
                                 "\"\\u0120\"",
                                 "\\u2581",
                                 "<0x0A>",
                                 "\"merges\": [",
                                 "\"a b\""},
                                true,
                                run};

}  // namespace anneal
