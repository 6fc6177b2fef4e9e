// SPDX-License-Identifier: Apache-2.0
// A FUSE file system without libfuse: one file, .aws/credentials, whose READ (or OPEN) never gets an answer. It mounts
// in the mount namespace of its caller and serves until the process ends.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

namespace keytrail::warden {

class HangingFuse {
 public:
  static constexpr std::uint64_t kSize = 200;

  /// Mounts at `folder`; false where FUSE cannot be had.
  bool mount_at(const std::string& folder) {
    fd_ = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    const std::string options =
        "fd=" + std::to_string(fd_) + ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
    return fd_ >= 0 && mount("hang", folder.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
  }

  /// `hangs`: FUSE_READ or FUSE_OPEN.
  [[noreturn]] void serve(std::uint32_t hangs) const {
    alignas(8) static std::array<char, 1U << 18U> room;
    while (true) {
      const ssize_t n = read(fd_, room.data(), room.size());
      if (n <= 0 && errno != EINTR) _exit(0);
      if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
      fuse_in_header head{};
      memcpy(&head, room.data(), sizeof(head));
      if (head.opcode != hangs) answer(head, room.data() + sizeof(head));
    }
  }

 private:
  static fuse_attr attributes(std::uint64_t inode) {
    fuse_attr out{};
    out.ino = inode;
    out.mode = inode < 3 ? S_IFDIR | 0755 : S_IFREG | 0644;
    out.nlink = inode < 3 ? 2 : 1;
    out.size = inode < 3 ? 0 : kSize;
    out.blksize = 4096;
    out.ctime = out.mtime = out.atime = 1'700'000'000;
    return out;
  }
  void reply(std::uint64_t unique, int error, const void* data = nullptr, std::size_t size = 0) const {
    fuse_out_header head{};
    head.len = static_cast<std::uint32_t>(sizeof(head) + size);
    head.error = error;
    head.unique = unique;
    const std::array<iovec, 2> parts{{{&head, sizeof(head)}, {const_cast<void*>(data), size}}};
    (void)!writev(fd_, parts.data(), size > 0 ? 2 : 1);
  }
  template <typename Out>
  void reply_with(std::uint64_t unique, const Out& out) const {
    reply(unique, 0, &out, sizeof(out));
  }
  void answer(const fuse_in_header& head, const char* argument) const {
    switch (head.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = 7;
        out.minor = 31;
        out.max_readahead = 65536;
        out.max_write = 4096;
        out.max_background = 100;
        return reply_with(head.unique, out);
      }
      case FUSE_LOOKUP: {
        const std::uint64_t inode = head.nodeid == 1 && strcmp(argument, ".aws") == 0          ? 2
                                    : head.nodeid == 2 && strcmp(argument, "credentials") == 0 ? 3
                                                                                               : 0;
        if (inode == 0) return reply(head.unique, -ENOENT);
        fuse_entry_out out{};
        out.nodeid = inode;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = attributes(inode);
        return reply_with(head.unique, out);
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr_valid = 3600;
        out.attr = attributes(head.nodeid);
        return reply_with(head.unique, out);
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        return reply_with(head.unique, fuse_open_out{});
      case FUSE_STATFS: {
        fuse_statfs_out out{};
        out.st.bsize = 4096;
        out.st.namelen = 255;
        return reply_with(head.unique, out);
      }
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_FLUSH:
        return reply(head.unique, 0);
      case FUSE_READ: {
        const std::string text(kSize, ' ');
        return reply(head.unique, 0, text.data(), text.size());
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;
      default:
        return reply(head.unique, -ENOSYS);
    }
  }

  int fd_ = -1;
};

}  // namespace keytrail::warden
