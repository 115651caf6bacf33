#include "plugin/stage/testing/packed.hpp"

#include <zlib.h>
#include <zstd.h>

#include <stdexcept>

namespace windlass::stage::testing {
namespace {

std::string gzipped(std::string_view content, int level) {
  z_stream stream{};
  if (::deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string out(::deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return out;
}

std::string zstandard(std::string_view content, int level, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log > 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(content.size()) + 64, '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{content.data(), content.size(), 0};
  std::size_t left = 0;
  if (window_log > 0) left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
  if (ZSTD_isError(left) == 0) left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  if (left != 0) throw std::runtime_error("ZSTD_compressStream2");
  out.resize(to.pos);
  return out;
}

}  // namespace

std::string packed(Packing packing, std::string_view content, int level, int window_log) {
  return packing == Packing::gzip ? gzipped(content, level) : zstandard(content, level, window_log);
}

std::string skippable(std::string_view content) {
  std::string out("\x5f\x2a\x4d\x18", 4);
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(content.size() >> shift & 0xFFU);
  return out + std::string(content);
}

}  // namespace windlass::stage::testing
