// SPDX-License-Identifier: Apache-2.0
// Rows for the tests of the exporter.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "keytrail/row.h"

namespace keytrail::otlp::test {

inline constexpr std::int64_t kMinute = 60LL * 1'000'000'000;
inline constexpr std::int64_t kNoon = 1'800'000'000LL * 1'000'000'000;  // a whole hour

inline Actor actor(std::uint32_t pid) {
  Actor a;
  a.id = {pid, 1000, 2};
  a.exe = "/usr/bin/python3.11";
  a.program = "aws";
  a.comm = "aws";
  a.user = "root";
  a.workload.id = "unit:backup.service";
  a.workload.name = "backup.service";
  a.workload.kind = WorkloadKind::kSystemdUnit;
  return a;
}

inline Key key(std::string id) {
  Key k;
  k.id = std::move(id);
  k.kind = "aws.access_key";
  return k;
}

inline Row acquisition(std::uint64_t seq, std::uint32_t pid, const std::string& id, std::int64_t at = kNoon) {
  return {seq, at, at,
          AcquisitionRow{actor(pid), key(id), {From::kFile, "/root/.aws/credentials", "prod"}, "", false, false}};
}

inline Row use(std::uint64_t seq, std::uint32_t pid, const std::vector<std::string>& ids, Evidence evidence,
               std::int64_t at = kNoon) {
  UseRow body;
  body.actor = actor(pid);
  for (const std::string& id : ids)
    body.keys.push_back({key(id), {From::kFile, "/root/.aws/credentials", "prod"}, Reason::kSelector});
  body.destination.provider = "aws";
  body.destination.service = "s3";
  body.destination.region = "eu-west-1";
  body.destination.host = "s3.eu-west-1.amazonaws.com";
  body.destination.address = "192.0.2.7";
  body.destination.port = 443;
  body.destination.action = "PutObject";
  body.evidence = evidence;
  body.reason = Reason::kSelector;
  body.first_ns = at;
  body.last_ns = at + 5;
  body.connections = 3;
  return {seq, at, at, body};
}

}  // namespace keytrail::otlp::test
