// SPDX-License-Identifier: Apache-2.0
// Target: QUIC's Initial packets (agent/decode). The first byte says what follows: 0 = a datagram as it left, else the
// packets of one socket without their encryption (which no fuzzer guesses), each behind its length in two bytes.
#include "agent/decode/quic.h"
#include "agent/base/host.h"

#include "tests/fuzz/fuzz.h"

namespace {

using keytrail::fuzz::require;

void check(const keytrail::decode::QuicHello& read) {
  require(read.whole || read.hello.sni.empty(), "a name is of a whole hello");
  require(read.hello.sni.empty() || keytrail::base::host_name(read.hello.sni) == read.hello.sni,
          "the name is a host name");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  keytrail::decode::QuicHellos quic(2);
  std::string_view left = keytrail::fuzz::text_of(data + 1, size - 1);
  if (data[0] == 0) {
    check(quic.read(1, std::as_bytes(std::span(left))));
    return 0;
  }
  while (left.size() >= 2) {
    const std::size_t length = static_cast<unsigned char>(left[0]) * 256U + static_cast<unsigned char>(left[1]);
    left.remove_prefix(2);
    const std::string packet(left.substr(0, length));
    left.remove_prefix(packet.size());
    check(quic.add(1, std::span(&packet, 1)));
  }
  return 0;
}
