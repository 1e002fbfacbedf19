// Sizes as people write them: 5GB, 200KB, 1.5GiB, 4096.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace anneal {

// KB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB of 1024, as in Hugging Face's libraries.
// Nothing for what is no size, or less than one byte.
std::optional<std::int64_t> parse_byte_size(const std::string& text);

std::string byte_size_text(std::int64_t bytes);  // "16.38 GB", "12 bytes"

}  // namespace anneal
