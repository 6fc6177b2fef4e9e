// SPDX-License-Identifier: Apache-2.0
// What the worker tells the warden to do, a message each.
#include "agent/base/program_name.h"
#include "agent/examine/client.h"
#include "keytrail/hooks_wire.h"

namespace keytrail::examine {

bool RoleLink::sample_sockets() {
  const auto message = role::make<role::Bare>(role::Type::kSampleSockets);
  return send(&message, sizeof(message));
}

std::uint64_t RoleLink::attach_target(const Reach& reach, const std::string& path, const FileIdentity& file,
                                      const HookTarget& target) {
  auto message = role::make<role::AttachTarget>(role::Type::kAttachTarget, ++next_id_);
  const bool fits = write_target(reach, path, file, target, message);
  return fits && send(&message, sizeof(message)) ? next_id_ : 0;
}

bool RoleLink::detach_target(std::uint32_t id) {
  auto message = role::make<role::DetachTarget>(role::Type::kDetachTarget);
  message.target = id;
  return send(&message, sizeof(message));
}

bool RoleLink::report_targets() {
  const auto message = role::make<role::Bare>(role::Type::kReportTargets);
  return send(&message, sizeof(message));
}

bool RoleLink::sweep() {
  const auto message = role::make<role::Bare>(role::Type::kSweep);
  return send(&message, sizeof(message));
}

bool RoleLink::keep_mounts(const InstanceId& who, std::uint32_t mnt_ns) {
  auto message = role::make<role::KeepMounts>(role::Type::kKeepMounts);
  message.start_ns = who.start_ns;
  message.tgid = who.tgid;
  message.mnt_ns = mnt_ns;
  return send(&message, sizeof(message));
}

bool RoleLink::watch_name(std::string_view base_name) {
  auto message = role::make<role::WatchName>(role::Type::kWatchName);
  return message.base_name.assign(base_name) && send(&message, sizeof(message));
}

bool RoleLink::watch_found(const FoundPlace& place) {
  auto message = role::make<role::WatchFound>(role::Type::kWatchFound);
  message.inode = place.inode;
  message.dev = place.dev;
  message.over = place.over ? 1 : 0;
  const std::string_view path = place.path;
  const std::size_t slash = path.rfind('/');
  const bool fits = slash != path.npos && message.name.assign(path.substr(slash + 1)) &&
                    message.folder.assign(base::base_name(path.substr(0, slash)));
  if (!fits) message.name = {};  // one of 255 bytes: the file alone
  return send(&message, sizeof(message));
}

}  // namespace keytrail::examine
