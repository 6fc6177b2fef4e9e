// SPDX-License-Identifier: Apache-2.0
// Target: a DNS answer (agent/decode).
#include "agent/decode/dns.h"
#include "agent/base/host.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  using fuzz::require;
  const decode::DnsMessage message = decode::parse_dns(std::as_bytes(std::span(data, size)));
  require(!message.malformed || message.answers.empty(), "a malformed message has no answers");
  require(message.malformed || base::host_name(message.question) == message.question, "the question is a host name");
  require(message.answers.size() <= 64, "answers are bounded");
  for (const DnsAnswer& answer : message.answers) {
    require(answer.name == message.question && !answer.name.empty(), "an answer is about the question");
    require(answer.address.port == 0 && (answer.ttl_s >> 31U) == 0, "port and TTL are sound");
  }
  return 0;
}
