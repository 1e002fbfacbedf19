// What tests/eval asks for scores of texts.
//
//   model_probe eval REQUEST.json
//
// {"options": {of BertScoreOptions} or null, "candidates": [...], "references": [...], "output": "file.json"}
//
// Writes "rouge_l", "token_f1" and "exact" of each pair, and with options "scores" ([precision, recall, f1]
// of each pair), "layer", "hash" and the seconds that loading and scoring took; "unavailable" (a message)
// where the encoder is not on this machine.
#pragma once
#include "base/json.h"

namespace anneal {

void run_eval_probe(const Json& request);

}  // namespace anneal
