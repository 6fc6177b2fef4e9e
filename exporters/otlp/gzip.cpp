// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/gzip.h"

#include <zlib.h>

namespace keytrail::otlp {

Result<std::string> gzip(const std::string& plain) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;  // +16: gzip instead of zlib framing
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return fail(Error::Code::kSystem, "gzip: zlib did not start (out of memory?)");
  }
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return fail(Error::Code::kSystem, "gzip: zlib did not finish");
  return out;
}

}  // namespace keytrail::otlp
