// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "agent/identify/identify.h"
#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// The table of processes over a made-up /proc, with little room.
struct IdentifyTest : testing::Test {
  test::FakeProc proc;
  Identify table{options()};
  std::uint64_t now = 1000 * kSecond;

  [[nodiscard]] IdentifyOptions options() const {
    return {.proc_root = proc.root(),
            .passwd_path = proc.passwd(),
            .max_processes = 40,  // ten of one cgroup and user
            .max_cgroups = 12,
            .max_proc_reads_per_s = 6};
  }

  Identified send(InstanceId who, decltype(Event::body) body, std::uint64_t cgroup = 1) {
    return table.on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup}, .body = std::move(body)});
  }
  static ExecEvent program(std::string exe) {
    return {.parent = {1, 1, 1},
            .exe = std::move(exe),
            .comm = "c",
            .uid = 1000,
            .mnt_ns = 40,
            .env = {{.name = "A", .value = "b"}},
            .args = {{.flag = "--x"}}};
  }
  static constexpr InstanceId kOne{10, 5 * kSecond, 1};
  static constexpr InstanceId kOneAfterExec{10, 5 * kSecond, 2};
  static constexpr InstanceId kChild{11, 6 * kSecond, 1};
};

}  // namespace keytrail::identify
