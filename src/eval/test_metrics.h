// How good predictions are, against their labels.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/predictions.h"

namespace anneal {

// What is compared: the texts as they are, or without the header that every label begins with.
struct TextPairs {
  std::vector<std::string> predictions, labels;
};

// `header` is taken off the labels, and off the predictions that begin with it.
TextPairs pairs_without(const std::string& header, const std::vector<Prediction>& rows);

// Counts and means over at least one row; with a header, the means without it too, as *_stripped.
// `bert_score`, where there is one, gives the entry "bertscore" of pairs.
OrderedJson measure_predictions(const std::vector<Prediction>& rows, const std::string& header,
                                const std::function<OrderedJson(const TextPairs&)>& bert_score);

// For a person: a line a metric.
std::string metrics_table(const OrderedJson& metrics);

}  // namespace anneal
