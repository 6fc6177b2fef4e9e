// SPDX-License-Identifier: Apache-2.0
// Opens of key files by every road, against the file's own truth.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

int read_once(const std::string& path, int flags = O_RDONLY) {
  const int fd = open(path.c_str(), flags);
  if (fd < 0) return 1;
  close(fd);
  return 0;
}

/// One event, of this very file, under this path.
void expect_open(std::uint32_t tgid, const std::string& real, const std::string& seen_as) {
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), 1U);
  const auto& event = events[0].as<ev_open>();
  struct stat status{};
  ASSERT_EQ(stat(real.c_str(), &status), 0);
  EXPECT_EQ(event.inode, status.st_ino);
  EXPECT_EQ(event.size, static_cast<std::uint64_t>(status.st_size));
  EXPECT_EQ(event.ctime_s, status.st_ctim.tv_sec);
  EXPECT_EQ(event.ctime_ns, static_cast<std::uint32_t>(status.st_ctim.tv_nsec));
  EXPECT_NE(event.fs_magic, 0U);
  EXPECT_EQ(event.head.family, KT_FAMILY_OPEN);
  EXPECT_EQ(event.head.tid, tgid);
  EXPECT_TRUE(event.head.flags & KT_F_LEAF_FIRST);
  EXPECT_EQ(events[0].bytes.size(), sizeof(ev_open) + event.path_len);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), seen_as);
  EXPECT_TRUE(events[0].high);
}

TEST(Open, APlainReadGivesTheFileAndItsPath) {
  const Folder folder;
  const std::string path = folder.file("a/b/credentials");
  expect_open(in_child([&] { return read_once(path); }), path, path);
}

TEST(Open, ASymbolicLinkShowsTheFileBehindIt) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  std::filesystem::create_symlink(path, folder.at("harmless"));
  expect_open(in_child([&] { return read_once(folder.at("harmless")); }), path, path);
}

TEST(Open, AHardLinkAndARenameOfAKeyNameAreSeenUnderTheNameInUse) {
  const Folder folder;
  const std::string path = folder.file("harmless");
  std::filesystem::create_hard_link(path, folder.at("credentials"));
  expect_open(in_child([&] { return read_once(folder.at("credentials")); }), path, folder.at("credentials"));
  std::filesystem::rename(folder.at("credentials"), folder.at("id_new"));
  expect_open(in_child([&] { return read_once(folder.at("id_new")); }), path, folder.at("id_new"));
}

TEST(Open, Openat2AndTheOldOpenCallAreSeen) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_open(in_child([&] {
                open_how how{};
                how.flags = O_RDONLY;
                return syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how)) < 0;
              }),
              path, path);
#ifdef SYS_open
  expect_open(in_child([&] { return syscall(SYS_open, path.c_str(), O_RDONLY) < 0; }), path, path);
#endif
}

TEST(Open, AHandleIsSeenAsTheFileThatItStandsFor) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> room{};
  auto* handle = reinterpret_cast<file_handle*>(room.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, path.c_str(), handle, &mount_id, 0) != 0)
    GTEST_SKIP() << "the file system of " << folder.path() << " gives no handles";
  expect_open(in_child([&] {
                const int folder_fd = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY);
                return folder_fd < 0 || open_by_handle_at(folder_fd, handle, O_RDONLY) < 0;
              }),
              path, path);
}

TEST(Open, ABindMountShowsThePathInItsNamespace) {
  const Folder folder;
  const std::string path = folder.file("from/credentials");
  std::filesystem::create_directory(folder.at("to"));
  const std::uint32_t tgid = in_namespaces([&] {
    if (mount(folder.at("from").c_str(), folder.at("to").c_str(), nullptr, MS_BIND, nullptr) != 0) return 2;
    return read_once(folder.at("to/credentials"));
  });
  expect_open(tgid, path, folder.at("to/credentials"));
}

TEST(Open, AFileThatIsMountedUnderAKeysNameIsSeenThere) {
  const Folder folder;
  const std::string path = folder.file("free-name");
  folder.file("home/credentials");
  const std::uint32_t tgid = in_namespaces([&] {
    if (mount(path.c_str(), folder.at("home/credentials").c_str(), nullptr, MS_BIND, nullptr) != 0) return 2;
    return read_once(folder.at("home/credentials"));
  });
  expect_open(tgid, path, folder.at("home/credentials"));
}

TEST(Open, WhatIsMountedAtADirectoryOfKeysIsSeenThere) {
  const Folder folder;
  const std::string file = folder.file("volume/free-name"), single = folder.file("single");
  std::filesystem::create_directory(folder.at("keytrail-cache"));
  folder.file("other/keytrail-cache/any");
  expect_open(
      in_namespaces([&] {
        if (mount(folder.at("volume").c_str(), folder.at("keytrail-cache").c_str(), nullptr, MS_BIND, nullptr) != 0)
          return 2;
        return read_once(folder.at("keytrail-cache/free-name"));
      }),
      file, folder.at("keytrail-cache/free-name"));
  expect_open(
      in_namespaces([&] {
        if (mount(single.c_str(), folder.at("other/keytrail-cache/any").c_str(), nullptr, MS_BIND, nullptr) != 0)
          return 2;
        return read_once(folder.at("other/keytrail-cache/any"));
      }),
      single, folder.at("other/keytrail-cache/any"));
}

TEST(Open, AnotherRootShowsThePathInsideIt) {
  const Folder folder;
  const std::string path = folder.file("root/etc/credentials");
  expect_open(in_child([&] { return chroot(folder.at("root").c_str()) != 0 || read_once("/etc/credentials"); }), path,
              "/etc/credentials");
}

TEST(Open, APathOnlyDescriptorCountsWhenItIsReopened) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_open(in_child([&] {
                const int fd = open(path.c_str(), O_PATH);
                return fd < 0 || read_once("/proc/self/fd/" + std::to_string(fd));
              }),
              path, path);
}

TEST(Open, PrefixesSuffixesAndDirectoriesMatch) {
  const Folder folder;
  for (const char* name : {"id_x", "client-certificate-7.crt", "a.pem", "server.private.key", "tok",
                           "keytrail-cache/0123456789abcdef.json"}) {
    const std::string path = folder.file(name);
    expect_open(in_child([&] { return read_once(path); }), path, path);
  }
}

TEST(Open, WhatIsNoKeyIsFilteredAndCounted) {
  const Folder folder;
  std::vector<std::string> paths;
  for (const char* name :
       {"credential", "credentials2", "to", "tokk", "id", "a.pe", "x.private.keys", "deep/deeper/x", "xtok"})
    paths.push_back(folder.file(name));
  std::filesystem::create_directory(folder.at("credentials"));
  paths.push_back(folder.at("credentials"));
  const Totals before = kernel_side().totals(KT_FAMILY_OPEN);
  const std::uint32_t tgid = in_child([&] {
    for (const std::string& path : paths) {
      if (read_once(path) != 0) return 1;
    }
    return read_once(folder.file("only-written.pem"), O_WRONLY);
  });
  EXPECT_TRUE(kernel_side().events(KT_EV_OPEN, tgid).empty());
  EXPECT_GE(kernel_side().totals(KT_FAMILY_OPEN)[KT_C_FILTERED] - before[KT_C_FILTERED], paths.size() + 1);
}

TEST(Open, TheSameFileReadAgainIsCountedUntilItChanges) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const Totals before = kernel_side().totals(KT_FAMILY_OPEN);
  const std::uint32_t tgid = in_child([&] {
    for (int i = 0; i < 100; ++i)
      if (read_once(path) != 0) return 1;
    usleep(20'000);
    if (chmod(path.c_str(), 0640) != 0) return 2;
    if (read_once(path) != 0 || truncate(path.c_str(), 0) != 0) return 3;
    return read_once(path);
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  EXPECT_EQ(events.size(), 3U) << "first, changed, emptied";
  EXPECT_GE(kernel_side().totals(KT_FAMILY_OPEN)[KT_C_REPEATED] - before[KT_C_REPEATED], 99U);
}

TEST(Open, ANameWatchedWhileRunningIsSeenFromThenOn) {
  const Folder folder;
  const std::string path = folder.file("quite-free.name");
  EXPECT_TRUE(kernel_side().events(KT_EV_OPEN, in_child([&] { return read_once(path); })).empty());
  ASSERT_TRUE(kernel_side().loader().watch_name("quite-free.name"));
  expect_open(in_child([&] { return read_once(path); }), path, path);
  EXPECT_FALSE(kernel_side().loader().watch_name("a/b"));
  EXPECT_FALSE(kernel_side().loader().watch_name(""));
}

TEST(Open, WhereAKeyWasFoundIsSeenUnderItsNameAndTheFileUnderEveryName) {
  const Folder folder;
  const std::string path = folder.file("some-copy"), moved = folder.path() + "/elsewhere";
  const std::string other = folder.file("other-copy");
  const auto seen = [](const std::string& which) {
    return kernel_side().events(KT_EV_OPEN, in_child([&] { return read_once(which); })).size();
  };
  EXPECT_EQ(seen(path) + seen(other), 0U);
  struct stat file{};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  const auto dev = static_cast<std::uint32_t>(major(file.st_dev) << 20U | minor(file.st_dev));
  const std::string in = folder.path().substr(folder.path().rfind('/') + 1);
  ASSERT_TRUE(kernel_side().loader().watch_found(file.st_ino, dev, "some-copy", in));
  EXPECT_EQ(seen(path), 1U);
  ASSERT_EQ(rename(path.c_str(), moved.c_str()), 0);
  EXPECT_EQ(seen(moved), 1U) << "the file";
  EXPECT_EQ(seen(folder.file("some-copy")), 1U) << "another file at its place";
  EXPECT_EQ(seen(other), 0U);
  const Folder elsewhere;
  EXPECT_EQ(seen(elsewhere.file("some-copy")), 0U) << "the name in another folder";
  ASSERT_TRUE(kernel_side().loader().watch_found(file.st_ino, dev, "some-copy", in, false));
  EXPECT_EQ(seen(moved) + seen(folder.file("some-copy")), 0U) << "watched no more";
  EXPECT_TRUE(kernel_side().loader().watch_found(file.st_ino, dev, "some-copy", in, false)) << "nor is that an error";
}

TEST(Open, ADeepPathIsCutAndSaysSo) {
  const Folder folder;
  std::string path = folder.path();
  const std::uint32_t tgid = in_child([&] {
    if (chdir(folder.path().c_str()) != 0) return 1;
    const std::string part(200, 'd');
    for (int i = 0; i < 12; ++i) {
      if (mkdir(part.c_str(), 0700) != 0 || chdir(part.c_str()) != 0) return 2;
    }
    const int fd = open("credentials", O_CREAT | O_RDWR, 0600);
    return fd < 0 ? 3 : 0;
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].head().flags & KT_F_TRUNCATED);
  EXPECT_LE(events[0].as<ev_open>().path_len, KT_PATH_MAX);
  EXPECT_TRUE(joined(events[0].rest<ev_open>()).ends_with("/credentials"));
}

TEST(Open, WhatAnEventNamedIsKnownToTheWarden) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const std::uint32_t tgid = in_child([&] { return read_once(path); });
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), 1U);
  const auto& event = events[0].as<ev_open>();
  const kt_opened opened{.start_ns = event.head.start_ns,
                         .inode = event.inode,
                         .size = event.size,
                         .ctime_s = event.ctime_s,
                         .ctime_ns = event.ctime_ns,
                         .dev = event.dev,
                         .tgid = event.head.tgid,
                         .fs_magic = static_cast<kt_u32>(event.fs_magic)};
  EXPECT_TRUE(kernel_side().loader().was_opened(opened)) << "also when who opened it has ended";
  for (const auto& change :
       {+[](kt_opened& o) { ++o.start_ns; }, +[](kt_opened& o) { ++o.inode; }, +[](kt_opened& o) { ++o.size; },
        +[](kt_opened& o) { ++o.ctime_s; }, +[](kt_opened& o) { ++o.ctime_ns; }, +[](kt_opened& o) { ++o.dev; },
        +[](kt_opened& o) { ++o.tgid; }, +[](kt_opened& o) { ++o.fs_magic; }, +[](kt_opened& o) { o.inode = 0; }}) {
    kt_opened other = opened;
    change(other);
    EXPECT_FALSE(kernel_side().loader().was_opened(other));
  }
}

TEST(Open, ThousandsOfEventsLaterItIsStillKnown) {
  const Folder folder;
  constexpr int kFiles = 3000;
  for (int i = 0; i < kFiles; ++i)
    folder.file(std::to_string(i) + "/credentials");
  const std::uint32_t tgid = in_child([&] {
    int failed = 0;
    for (int i = 0; i < kFiles; ++i)
      failed |= read_once(folder.at(std::to_string(i) + "/credentials"));
    return failed;
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), static_cast<std::size_t>(kFiles));
  std::size_t known = 0;
  for (const Record& one : events) {
    const auto& event = one.as<ev_open>();
    known += kernel_side().loader().was_opened({.start_ns = event.head.start_ns,
                                                .inode = event.inode,
                                                .size = event.size,
                                                .ctime_s = event.ctime_s,
                                                .ctime_ns = event.ctime_ns,
                                                .dev = event.dev,
                                                .tgid = event.head.tgid,
                                                .fs_magic = static_cast<kt_u32>(event.fs_magic)})
                 ? 1U
                 : 0U;
  }
  EXPECT_EQ(known, events.size());
}

}  // namespace
}  // namespace keytrail::tests
