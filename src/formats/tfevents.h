// TensorBoard's event files: TFRecord frames around messages of tensorflow/core/util/event.proto. Writes what
// readers need of them: scalars, texts, the start of a session.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anneal {

// One event each, framed, to be appended to a file. `wall_time` is in seconds since 1970.
std::string file_version_record(double wall_time);  // the first of every file
// Readers forget what earlier files hold of `step` and later ones.
std::string session_start_record(double wall_time, std::int64_t step);
std::string scalars_record(double wall_time, std::int64_t step,
                           const std::vector<std::pair<std::string, float>>& scalars);
// As torch.utils.tensorboard's add_text() writes it; shown as Markdown.
std::string text_record(double wall_time, const std::string& tag, std::string_view text);

// The checksum of TFRecord frames: CRC-32C, rotated by 15 bits, plus a constant.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace anneal
