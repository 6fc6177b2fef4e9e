// SPDX-License-Identifier: Apache-2.0
// Events per second on one core, from the ring through decode and identify. The rings are memfds with the kernel's
// layout, filled outside the measured time. The mix is a busy node's: of 16 events, 6 opens, 3 connects, 3 closed
// sockets, 1 ClientHello of 517 bytes, 1 fork, 1 exec with 12 variables, 1 exit.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "agent/capture/capture.h"
#include "agent/decode/decode.h"
#include "agent/identify/identify.h"
#include "tests/replay/fake_ring.h"
#include "tests/replay/record_builder.h"

namespace {

using namespace keytrail;
using namespace keytrail::replay;

constexpr std::uint32_t kRingBytes = 8U << 20U;
constexpr std::uint32_t kProcesses = 2'000;
constexpr std::uint64_t kStart = 1'000'000'000;

std::string client_hello() {
  std::string extension =
      std::string("\0\0", 2) + std::string("\0\x1f\0\x1d\0\0\x1a", 7) + "s3.eu-west-1.amazonaws.com";
  extension[3] = static_cast<char>(26 + 5);
  extension[5] = static_cast<char>(26 + 3);
  extension += std::string("\xff\x01\0\0", 4);
  const std::size_t padding = 517 - 5 - 4 - 2 - 32 - 33 - 6 - 2 - 2 - extension.size() - 4;
  extension += std::string("\0\x15", 2) + static_cast<char>(padding >> 8U) + static_cast<char>(padding & 255U) +
               std::string(padding, '\0');
  std::string body = std::string("\x03\x03", 2) + std::string(32, 'r') + '\x20' + std::string(32, 's') +
                     std::string("\0\x04\x13\x01\x13\x02", 6) + std::string("\x01\0", 2);
  body += static_cast<char>(extension.size() >> 8U);
  body += static_cast<char>(extension.size() & 255U);
  body += extension;
  std::string out = std::string("\x16\x03\x01", 3) + static_cast<char>((body.size() + 4) >> 8U) +
                    static_cast<char>((body.size() + 4) & 255U) + '\x01' + '\0';
  out += static_cast<char>(body.size() >> 8U);
  out += static_cast<char>(body.size() & 255U);
  return out + body;
}

std::string variables() {
  std::string out = item_of(KT_ITEM_ENV_SECRET, "AWS_SECRET_ACCESS_KEY", std::string(16, 'f'));
  for (int i = 0; i < 11; ++i)
    out += item_of(KT_ITEM_ENV_SHOW, "AWS_VARIABLE_" + std::to_string(i), "some value of usual length");
  return out;
}

class Traffic {
 public:
  /// Sixteen events of process `n % kProcesses`, the fork, exec and exit of a child among them.
  void write(FakeRing& high, FakeRing& low, std::uint64_t n, std::uint64_t& time) {
    const Who who{
        .tgid = 1000 + static_cast<std::uint32_t>(n % kProcesses), .start_ns = kStart + n % kProcesses, .exec = 2};
    const Who child{.tgid = 100'000 + static_cast<std::uint32_t>(n % 50'000), .start_ns = kStart * 10 + n, .exec = 2};
    const Who child_after{.tgid = child.tgid, .start_ns = child.start_ns, .exec = 3, .uid = 1000};
    high.write(record_of(ev_fork{.head = head_of(KT_EV_FORK, KT_FAMILY_EXEC, ++time, who),
                                 .child_start_ns = child.start_ns,
                                 .child_tgid = child.tgid,
                                 .child_exec = 2}));
    ev_exec exec{.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, ++time, child_after),
                 .parent_start_ns = who.start_ns,
                 .parent_tgid = who.tgid,
                 .parent_exec = who.exec,
                 .mnt_ns = 7};
    high.write(exec_of(exec, "/usr/bin/python3.11", "/usr/bin/aws", variables_));
    for (int i = 0; i < 6; ++i) {
      low.write(open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, ++time, who), .inode = n, .mnt_ns = 7},
                        "/home/alice/.aws/credentials"));
    }
    for (int i = 0; i < 3; ++i) {
      high.write(record_of(ev_connect{.head = head_of(KT_EV_CONNECT, KT_FAMILY_CONNECT, ++time, who),
                                      .cookie = n * 4 + static_cast<std::uint64_t>(i),
                                      .address = {10, 0, 0, 9},
                                      .port = 443}));
      high.write(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, ++time, who),
                                     .cookie = n * 4 + static_cast<std::uint64_t>(i),
                                     .state = KT_SOCKET_CLOSED}));
    }
    low.write(record_of(ev_payload{.head = head_of(KT_EV_PAYLOAD, KT_FAMILY_NAME, ++time, who),
                                   .cookie = n * 4,
                                   .seen_len = 517,
                                   .data_len = static_cast<std::uint16_t>(hello_.size()),
                                   .protocol = KT_PAYLOAD_TLS,
                                   .beyond = 1},
                        hello_));
    high.write(record_of(ev_exit{.head = head_of(KT_EV_EXIT, KT_FAMILY_EXEC, ++time, child_after)}));
  }

 private:
  std::string hello_ = client_hello();
  std::string variables_ = variables();
};

enum Depth : std::uint8_t { kRing, kDecode, kIdentify };

void ring_to(benchmark::State& state, Depth depth) {
  FakeRing high(kRingBytes), low(kRingBytes);
  const FakeCounters counters(1);
  auto capture = capture::Capture::open({.high_ring = high.fd(),
                                         .low_ring = low.fd(),
                                         .counters = counters.fd(),
                                         .high_bytes = kRingBytes,
                                         .low_bytes = kRingBytes,
                                         .cpus = 1});
  identify::Identify table({.max_processes = 60'000, .keep_exited_ns = 1'000'000, .max_proc_reads_per_s = 0});
  Traffic traffic;
  std::uint64_t time = kStart * 100, n = 0, events = 0, refused = 0, strangers = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (int i = 0; i < 1'000; ++i)
      traffic.write(high, low, n++, time);
    table.expire(time);
    state.ResumeTiming();
    events += capture->drain(UINT64_MAX, [&](std::span<const std::byte> record) {
      if (depth == kRing) {
        benchmark::DoNotOptimize(record.data());
        return;
      }
      auto event = decode::decode(record);
      if (!event) {
        ++refused;
        return;
      }
      if (depth == kDecode) {
        benchmark::DoNotOptimize(event);
        return;
      }
      const identify::Identified who = table.on_event(*event);
      if (!who.who && event->head.who.tgid != 0) ++strangers;
    });
  }
  if (refused != 0) state.SkipWithError("records were refused");
  state.SetItemsProcessed(static_cast<std::int64_t>(events));
  state.counters["live"] = static_cast<double>(table.stats().live);
  state.counters["strangers"] = static_cast<double>(strangers);
}

BENCHMARK_CAPTURE(ring_to, ring, kRing);
BENCHMARK_CAPTURE(ring_to, decode, kDecode);
BENCHMARK_CAPTURE(ring_to, identify, kIdentify);

void fork_of_200000_processes(benchmark::State& state) {
  for (auto _ : state) {
    identify::Identify table({.max_processes = 1'000'000, .max_proc_reads_per_s = 0});
    Event exec{.head = {.time_ns = kStart, .who = {1, kStart, 1}},
               .body = ExecEvent{.exe = "/usr/bin/python3.11",
                                 .mnt_ns = 7,
                                 .env = std::vector<EnvItem>(30, EnvItem{.name = "SOME_VARIABLE_NAME",
                                                                         .value = "some value of usual length"})}};
    table.on_event(exec);
    for (std::uint32_t i = 2; i < 200'000; ++i) {
      table.on_event(
          {.head = {.time_ns = kStart + i, .who = {1, kStart, 1}}, .body = ForkEvent{.child = {i, kStart + i, 1}}});
    }
    benchmark::DoNotOptimize(table.stats());
  }
  state.SetItemsProcessed(state.iterations() * 200'000);
}
BENCHMARK(fork_of_200000_processes)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
