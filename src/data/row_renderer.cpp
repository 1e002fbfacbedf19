#include "data/row_renderer.h"

#include <algorithm>

#include "data/chat_row.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

std::vector<std::string> columns_of(const RowFormat& format) {
  std::vector<std::string> columns;
  for (const auto& [name, column] : format.columns)
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
  return columns;
}

// {"input", "output"} by the two templates.
class PairRenderer : public RowRenderer {
 public:
  PairRenderer(RowFormat format, bool keep_empty_output)
      : RowRenderer(columns_of(format), format.columns.size()),
        format_(std::move(format)),
        keep_empty_output_(keep_empty_output),
        input_columns_(indices_of(format_.input)),
        output_columns_(indices_of(format_.output)) {}

  bool render(const std::vector<Cell>& cells, const RowPlace&, std::string& line) override {
    const bool empty_output = fill(format_.output, output_columns_, cells, output_);
    fill(format_.input, input_columns_, cells, input_);
    count_null_fields(cells);
    if (input_.empty() && output_.empty()) return drop("empty");
    if (empty_output && !keep_empty_output_) return drop("empty_output");
    line.clear();
    append_text_pair(line, input_, output_);
    return true;
  }

 private:
  std::vector<std::size_t> indices_of(const Template& text) const {
    std::vector<std::size_t> indices;
    for (const auto& name : text.fields()) {
      const auto& column = format_.columns.at(name);
      indices.push_back(std::find(wanted().begin(), wanted().end(), column) - wanted().begin());
    }
    return indices;
  }

  // True where all columns of the template are empty.
  bool fill(const Template& text, const std::vector<std::size_t>& indices, const std::vector<Cell>& cells,
            std::string& out) {
    bool empty = true;
    values_.clear();
    for (const auto index : indices) {
      values_.push_back(cells[index].text);
      empty = empty && values_.back().empty();
    }
    out.clear();
    text.append_to(out, values_);
    return empty;
  }

  RowFormat format_;
  bool keep_empty_output_;
  std::vector<std::size_t> input_columns_, output_columns_;
  std::vector<std::string_view> values_;
  std::string input_, output_;
};

// {"messages", "tools"} of the columns that hold them.
class ChatRowRenderer : public RowRenderer {
 public:
  explicit ChatRowRenderer(const ChatColumns& columns) : RowRenderer({columns.messages, columns.tools}, 1) {}

  bool render(const std::vector<Cell>& cells, const RowPlace& place, std::string& line) override {
    try {
      const auto row = chat_row(cells[0].text, cells[1].text);
      if (row.is_null()) return drop("empty");
      if (!has_assistant_turn(row)) return drop("no_assistant_turn");
      line = row.dump() + "\n";
      return true;
    } catch (const ChatDefect& defect) {
      throw BadRow(defect.reason, place.source + ", row " + std::to_string(place.row),
                   "correct the row, or allow some bad ones with --skip_bad_rows N");
    }
  }
};

}  // namespace

std::vector<std::string> RowRenderer::unseen_columns() const {
  std::vector<std::string> unseen;
  for (std::size_t index = 0; index < std::min(needed_, wanted_.size()); ++index)
    if (!columns_.was_found(index)) unseen.push_back(wanted_[index]);
  return unseen;
}

void RowRenderer::count_null_fields(const std::vector<Cell>& cells) {
  for (const auto& cell : cells)
    null_fields_ += cell.kind == CellKind::kNull || cell.kind == CellKind::kMissing;
}

std::unique_ptr<RowRenderer> make_row_renderer(const DatasetOptions& options, RowFormat format) {
  if (format.chat) return std::make_unique<ChatRowRenderer>(*format.chat);
  return std::make_unique<PairRenderer>(std::move(format), options.keep_empty_output);
}

}  // namespace anneal
