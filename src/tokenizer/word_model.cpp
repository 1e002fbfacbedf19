#include "tokenizer/word_model.h"

#include "tokenizer/bpe_model.h"
#include "tokenizer/word_piece_model.h"

namespace anneal {
namespace {

// Old files leave the type out; the library then takes the first kind whose keys are there.
std::string model_type(const Component& component) {
  if (component.json.contains("type")) return component.type();
  if (component.json.contains("vocab") && component.json.contains("merges")) return "BPE";
  if (component.json.contains("max_input_chars_per_word")) return "WordPiece";
  component.unsupported("a model that is neither BPE nor WordPiece");
}

}  // namespace

std::unique_ptr<WordModel> load_word_model(const Component& component, bool reads_bytes) {
  const std::string type = model_type(component);
  if (type == "BPE") return std::make_unique<BpeModel>(component, reads_bytes);
  if (type != "WordPiece") component.unsupported("the model \"" + type + "\"");
  if (reads_bytes) component.unsupported("a WordPiece model of bytes");
  return std::make_unique<WordPieceModel>(component);
}

}  // namespace anneal
