#include "formats/unpack.h"

#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/pages_behind.h"

namespace anneal {
namespace {

constexpr std::size_t kOutputBytes = 1 << 17;

[[noreturn]] void fail_damaged(const std::filesystem::path& path, std::size_t offset,
                               const std::string& problem) {
  fail(ExitCode::kData, problem, path.string() + " (byte " + std::to_string(offset) + ")",
       "download or write the file again");
}

// One or more members after another, as `cat a.gz b.gz` makes them; zeros may follow.
class GzipUnpacker {
 public:
  GzipUnpacker() { ::inflateInit2(&stream_, 16 + MAX_WBITS); }  // 16: with gzip's header and checksum
  ~GzipUnpacker() { ::inflateEnd(&stream_); }
  GzipUnpacker(const GzipUnpacker&) = delete;
  GzipUnpacker& operator=(const GzipUnpacker&) = delete;

  void run(std::string_view packed, const std::filesystem::path& path, NamelessFile& out) {
    behind_ = PagesBehind(packed);
    while (packed.find_first_not_of('\0', position_) != packed.npos) {
      ::inflateReset(&stream_);
      unpack_member(packed, path, out);
    }
  }

 private:
  void unpack_member(std::string_view packed, const std::filesystem::path& path, NamelessFile& out) {
    for (int state = Z_OK; state != Z_STREAM_END;) {
      const auto rest = packed.substr(position_);
      if (rest.empty()) fail_damaged(path, position_, "the compressed data ends too early");
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest.data()));
      stream_.avail_in =
          static_cast<uInt>(std::min<std::size_t>(rest.size(), std::numeric_limits<uInt>::max()));
      const auto offered = stream_.avail_in;
      stream_.next_out = reinterpret_cast<Bytef*>(output_.get());
      stream_.avail_out = kOutputBytes;
      state = ::inflate(&stream_, Z_NO_FLUSH);
      position_ += offered - stream_.avail_in;
      behind_.pass(position_);
      if (state != Z_OK && state != Z_STREAM_END)
        fail_damaged(path, position_,
                     std::string("not sound gzip data: ") +
                         (stream_.msg != nullptr ? stream_.msg : "the compressed data ends too early"));
      out.append({output_.get(), kOutputBytes - stream_.avail_out});
    }
  }

  z_stream stream_{};
  std::size_t position_ = 0;
  PagesBehind behind_;
  std::unique_ptr<char[]> output_ = std::make_unique<char[]>(kOutputBytes);
};

// One or more frames after another.
void unpack_zstd(std::string_view packed, const std::filesystem::path& path, NamelessFile& out) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&::ZSTD_freeDCtx)> context(::ZSTD_createDCtx(), &::ZSTD_freeDCtx);
  // What `zstd --long=31` writes is read too.
  ::ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, 31);
  const auto buffer = std::make_unique<char[]>(kOutputBytes);
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  PagesBehind behind(packed);
  std::size_t left = 0;  // 0: at the end of a frame
  bool output_was_full = false;
  while (input.pos < input.size || output_was_full) {
    ZSTD_outBuffer output{buffer.get(), kOutputBytes, 0};
    left = ::ZSTD_decompressStream(context.get(), &output, &input);
    if (::ZSTD_isError(left) != 0)
      fail_damaged(path, input.pos, std::string("not sound zstd data: ") + ::ZSTD_getErrorName(left));
    out.append({buffer.get(), output.pos});
    behind.pass(input.pos);
    output_was_full = output.pos == output.size && left != 0;
  }
  if (left != 0) fail_damaged(path, input.pos, "the compressed data ends too early");
}

bool has_extension(const std::filesystem::path& path, const char* extension) {
  return ::strcasecmp(path.extension().c_str(), extension) == 0;
}

}  // namespace

bool is_packed(const std::filesystem::path& path) {
  return has_extension(path, ".gz") || has_extension(path, ".zst");
}

void unpack(std::string_view packed, const std::filesystem::path& path, NamelessFile& out) {
  if (has_extension(path, ".gz"))
    GzipUnpacker().run(packed, path, out);
  else
    unpack_zstd(packed, path, out);
}

}  // namespace anneal
