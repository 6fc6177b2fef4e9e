// SPDX-License-Identifier: Apache-2.0
// The event loop's targets: the worker names a file and places in it, the opener finds the file as it finds any, the
// loader attaches, the worker hears what came of it.
#include <algorithm>
#include <utility>

#include "agent/warden/log.h"
#include "agent/warden/server.h"
#include "keytrail/hooks_wire.h"

namespace keytrail::warden {

void Server::on_attach_target(const role::AttachTarget& request) {
  Job job{.open = role::make<role::Open>(role::Type::kOpen, request.head.request), .target = HookTarget{}};
  job.open.start_ns = request.start_ns;
  job.open.tgid = request.tgid;
  job.open.mnt_ns = request.mnt_ns;
  job.open.flags = role::kOpenAnySize;
  job.open.alternatives_count = request.alternatives_count;
  job.open.alternatives = request.alternatives;
  job.open.file = request.file;
  job.open.path = request.path;
  job.target->family = static_cast<Family>(request.family);
  job.target->offsets.assign(request.offsets.begin(), request.offsets.begin() + request.offsets_count);
  job.target->pid = request.this_process != 0 ? request.tgid : 0;
  wait_for_opener(std::move(job));
}

/// Its file is open.
void Server::attach_opened(const Job& job, const base::UniqueFd& descriptor) {
  const HookTarget& target = *job.target;
  const std::uint64_t request = job.open.head.request;
  const Result<std::uint32_t> attached = loader_.targets().attach(target, descriptor.get());
  if (attached) {
    to_worker(to_wire({.id = *attached, .family = target.family, .text = {}}, request));
  } else {
    refuse_target(request, target.family, attached.error().message);
  }
}

void Server::refuse_target(std::uint64_t request, Family family, const std::string& why) {
  to_worker(to_wire({.state = TargetReport::State::kRefused, .family = family, .text = why}, request));
}

void Server::on_detach_target(const role::DetachTarget& request) {
  const Result<TargetReport> detached = loader_.targets().detach(request.target);
  if (detached) return to_worker(to_wire(*detached, request.head.request));
  refuse_target(request.head.request, Family::kRequest, detached.error().message);
}

void Server::report_targets() {
  drop_targets();
  for (const TargetReport& one : loader_.targets().report())
    to_worker(to_wire(one));
  to_worker(to_wire(loader_.targets().counts()));
}

void Server::drop_targets() {
  for (const TargetReport& one : loader_.targets().drop_gone())
    to_worker(to_wire(one));
}

}  // namespace keytrail::warden
