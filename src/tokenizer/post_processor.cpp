#include "tokenizer/post_processor.h"

#include <limits>

namespace anneal {
namespace {

std::int32_t id_of(const Json& value, const Component& place) {
  if (!value.is_number_integer() || value < 0 || value > std::numeric_limits<std::int32_t>::max())
    place.damaged(value.dump(-1, ' ', false, Json::error_handler_t::replace) + " is not an id");
  return value.get<std::int32_t>();
}

// ["</s>", 2]
std::int32_t token_pair_id(const Component& component, const char* key) {
  const Component pair = component.child(key);
  if (!pair.json.is_array() || pair.json.size() != 2) pair.damaged("this is not a token and its id");
  return id_of(pair.json[1], pair);
}

}  // namespace

PostProcessor::PostProcessor(const Component& component) {
  if (!component.json.is_null()) add(component);
}

void PostProcessor::add(const Component& component) {
  const std::string type = component.type();
  if (type == "Sequence") {
    for (const auto& child : component.children("processors")) add(child);
  } else if (type == "ByteLevel") {
    // It moves offsets only.
  } else if (has_template_) {
    component.unsupported("a second post-processor that adds tokens");
  } else if (type == "TemplateProcessing") {
    has_template_ = true;
    add_template(component);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    has_template_ = true;
    leading = {token_pair_id(component, "cls")};
    trailing = {token_pair_id(component, "sep")};
  } else {
    component.unsupported_type();
  }
}

void PostProcessor::add_template(const Component& component) {
  const Component special_tokens = component.child("special_tokens");
  bool sequence_seen = false;
  for (const auto& piece : component.children("single")) {
    if (piece.json.contains("Sequence")) {
      if (sequence_seen || piece.child("Sequence").value<std::string>("id") != "A")
        piece.unsupported("a template of other than one sequence");
      sequence_seen = true;
      continue;
    }
    const auto name = piece.child("SpecialToken").value<std::string>("id");
    auto& side = sequence_seen ? trailing : leading;
    const Component token = special_tokens.child(name.c_str());
    for (const auto& id : token.value<std::vector<Json>>("ids")) side.push_back(id_of(id, token));
  }
  if (!sequence_seen) component.unsupported("a template without the sequence");
}

}  // namespace anneal
