// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/runtime_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "agent/warden/process.h"
#include "keytrail/examiner.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;
using role::Unread;

constexpr std::size_t kMaxFolders = 64;  ///< of one containerd its namespaces, of one dockerd its mapped users

enum class Layout : std::uint8_t {
  kContainerd,  ///< NAMESPACE/ID/config.json
  kUserData,    ///< ID/userdata/config.json
  kDocker,      ///< containers/ID/config.v2.json, with mapped users below UID.GID
  kStorage,     ///< containers.json
  kVolatile,    ///< volatile-containers.json
  kUsers        ///< passwd
};

struct Folder {
  std::string_view path;
  Layout layout;
};

constexpr std::array kFolders{
    Folder{"/run/containerd/io.containerd.runtime.v2.task", Layout::kContainerd},
    Folder{"/run/k3s/containerd/io.containerd.runtime.v2.task", Layout::kContainerd},  // RKE2's, too
    Folder{"/run/k0s/containerd/io.containerd.runtime.v2.task", Layout::kContainerd},
    Folder{"/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task", Layout::kContainerd},
    Folder{"/run/docker/containerd/daemon/io.containerd.runtime.v2.task", Layout::kContainerd},  // dockerd's own
    Folder{"/run/containers/storage/overlay-containers", Layout::kUserData},                     // CRI-O
    Folder{"/var/lib/containers/storage/overlay-containers", Layout::kUserData},                 // Podman
    Folder{"/run/containers/storage/vfs-containers", Layout::kUserData},
    Folder{"/var/lib/containers/storage/vfs-containers", Layout::kUserData},
    Folder{"/var/lib/docker", Layout::kDocker},
    Folder{"/var/snap/docker/common/var-lib-docker", Layout::kDocker},
    Folder{"/var/lib/containers/storage/overlay-containers", Layout::kStorage},
    Folder{"/var/lib/containers/storage/vfs-containers", Layout::kStorage},
    Folder{"/var/lib/containers/storage/overlay-containers", Layout::kVolatile},
    Folder{"/var/lib/containers/storage/vfs-containers", Layout::kVolatile},
    Folder{"/etc", Layout::kUsers}};

struct OwnedFolder {
  std::string path;
  Layout layout;
};

std::vector<OwnedFolder>& more_folders() {
  static std::vector<OwnedFolder> folders;
  return folders;
}

bool is_of(Layout layout, std::string_view format) {
  switch (layout) {
    case Layout::kContainerd:
    case Layout::kUserData:
      return format == bundle::kOci;
    case Layout::kDocker:
      return format == bundle::kDocker;
    case Layout::kStorage:
      return format == bundle::kStorage || format == bundle::kStorageNames;
    case Layout::kVolatile:
      return format == bundle::kVolatile || format == bundle::kVolatileNames;
    case Layout::kUsers:
      return format == bundle::kUsers;
  }
  return false;
}

/// Below a folder of a runtime nothing is a link, but where root put the folder itself one may lead there.
UniqueFd find_below(int folder, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  for (int attempt = 0; attempt < 3; ++attempt) {
    fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return UniqueFd(static_cast<int>(fd));
}

/// "300000.300000": of dockerd's users that are mapped.
bool is_mapped_users(std::string_view name) {
  return name.find('.') != name.npos && name.find_first_not_of("0123456789.") == name.npos;
}

/// `rest` below the first folder that has it, of those that are called so.
UniqueFd find_in_folders(int folder, bool (*is_one)(std::string_view name), const std::string& rest) {
  const auto end = [](DIR* stream) { closedir(stream); };
  UniqueFd listed(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, decltype(end)> stream(listed ? fdopendir(listed.get()) : nullptr, end);
  if (!stream) return {};
  (void)listed.release();  // the stream's
  std::size_t seen = 0;
  for (const dirent* entry = nullptr; seen < kMaxFolders && (entry = readdir(stream.get())) != nullptr;) {
    const std::string_view name(static_cast<const char*>(entry->d_name));
    if (!is_one(name)) continue;
    ++seen;
    if (UniqueFd found = find_below(folder, std::string(name) + "/" + rest)) return found;
  }
  return {};
}

UniqueFd find(int folder, Layout layout, const std::string& id) {
  switch (layout) {
    case Layout::kContainerd:
      return find_in_folders(folder, is_bundle_id, id + "/config.json");
    case Layout::kUserData:
      return find_below(folder, id + "/userdata/config.json");
    case Layout::kDocker:
      if (UniqueFd found = find_below(folder, "containers/" + id + "/config.v2.json")) return found;
      return find_in_folders(folder, is_mapped_users, "containers/" + id + "/config.v2.json");
    case Layout::kStorage:
      return find_below(folder, "containers.json");
    case Layout::kVolatile:
      return find_below(folder, "volatile-containers.json");
    case Layout::kUsers:
      return find_below(folder, "passwd");
  }
  return {};
}

/// kGone where the folder has none.
Opening look_into(int root, const Folder& where, const std::string& id, const HangGuard& guard) {
  Opening out;
  if (!guard.may_wait_for(key_of_way(0, 0, std::hash<std::string_view>{}(where.path)))) {
    out.unread = Unread::kTimeout;
    return out;
  }
  int error = 0;
  const UniqueFd folder = find_in_root(root, std::string(where.path), error);
  const UniqueFd found = folder ? find(folder.get(), where.layout, id) : UniqueFd();
  guard.answered();
  if (!found) return out;
  out = open_found(found, role::Open(), guard, root);
  if (out.owner == 0) return out;
  out.descriptor.reset();  // what others may write is not the runtime's word
  out.unread = Unread::kRefused;
  return out;
}

}  // namespace

void add_runtime_folders(const RuntimeFolders& folders) {
  for (const std::string& folder : folders.containerd_states)
    more_folders().push_back({folder + "/io.containerd.runtime.v2.task", Layout::kContainerd});
  for (const std::string& folder : folders.docker_roots)
    more_folders().push_back({folder, Layout::kDocker});
  for (const std::string& folder : folders.storage_roots) {
    for (const char* driver : {"/overlay-containers", "/vfs-containers"}) {
      for (const Layout layout : {Layout::kUserData, Layout::kStorage, Layout::kVolatile})
        more_folders().push_back({folder + driver, layout});
    }
  }
}

// Without CAP_SYS_PTRACE the machine's root is not reached from here; it is this process's own, or was mounted into it.
Opening open_runtime_file(const role::Open& request, const HangGuard& guard) {
  const UniqueFd first = open_process(1);
  UniqueFd root(first ? openat(first.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1);
  if (!root) root.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return open_runtime_file(root.get(), request, guard);
}

Opening open_runtime_file(int root, const role::Open& request, const HangGuard& guard) {
  const std::string id(request.hints.kinds.view());
  const std::string_view format = request.hints.format.view();
  Opening best;
  if (!is_bundle_id(id)) {
    best.unread = Unread::kRefused;
    return best;
  }
  const auto look = [&](const Folder& folder) {
    if (best.descriptor || !is_of(folder.layout, format)) return;
    Opening now = look_into(root, folder, id, guard);
    if (now.unread != Unread::kGone) best = std::move(now);
  };
  for (const Folder& folder : kFolders)
    look(folder);
  for (const OwnedFolder& folder : more_folders())
    look({folder.path, folder.layout});
  return best;
}

}  // namespace keytrail::warden
