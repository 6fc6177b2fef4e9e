// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader_rings.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "agent/warden/loader_kernel.h"

namespace keytrail::warden {
namespace {

/// Whether `fd` could have been made for `map`. The kernel keeps 15 characters of a name.
bool fits(const bpf_map* map, int fd) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return false;
  const std::string_view name(static_cast<const char*>(info.name), strnlen(info.name, sizeof(info.name)));
  return info.type == static_cast<__u32>(bpf_map__type(map)) && info.key_size == bpf_map__key_size(map) &&
         info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map) &&
         info.map_flags == bpf_map__map_flags(map) &&
         name == std::string_view(bpf_map__name(map)).substr(0, sizeof(info.name) - 1);
}

}  // namespace

Result<void> reuse_rings(keytrail_bpf& skeleton, const KeptFds& kept) {
  struct Pair {
    bpf_map* map;
    int fd;
  };
  const std::array<Pair, 5> pairs{{{skeleton.maps.ring_high, kept.high},
                                   {skeleton.maps.ring_low, kept.low},
                                   {skeleton.maps.counters, kept.counters},
                                   {skeleton.maps.cgroups_lost, kept.cgroups_lost},
                                   {skeleton.maps.reported, kept.reported}}};
  for (const Pair& one : pairs) {
    if (!fits(one.map, one.fd))
      return fail(Error::Code::kInvalid, std::string("What was kept as ") + bpf_map__name(one.map) +
                                             " is another kind or size of map, or none.");
  }
  for (const Pair& one : pairs) {
    if (const int error = bpf_map__reuse_fd(one.map, one.fd); error != 0)
      return fail(Error::Code::kSystem, std::string("The kernel does not let ") + bpf_map__name(one.map) +
                                            " be used again: " + errno_text(-error) + ".");
  }
  return {};
}

}  // namespace keytrail::warden
