// SPDX-License-Identifier: Apache-2.0
// Files to which no path of the opener's leads: of another mount namespace, and of mounts that are in none.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

std::uint32_t mount_namespace_of(pid_t process) {
  struct stat status{};
  const std::string path = "/proc/" + std::to_string(process) + "/ns/mnt";
  return stat(path.c_str(), &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

/// A process with mounts of its own, until the end of its scope: `change` has changed them when it is there.
class Elsewhere {
 public:
  explicit Elsewhere(const std::function<bool()>& change) {
    std::array<int, 2> ready{};
    EXPECT_EQ(pipe(ready.data()), 0);
    process_ = fork();
    if (process_ == 0) {
      const bool changed =
          unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && change();
      (void)!write(ready[1], changed ? "y" : "n", 1);
      pause();
      _exit(0);
    }
    char changed = 'n';
    EXPECT_EQ(read(ready[0], &changed, 1), 1);
    EXPECT_EQ(changed, 'y');
    for (const int end : ready)
      close(end);
  }
  ~Elsewhere() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  [[nodiscard]] pid_t process() const { return process_; }

 private:
  pid_t process_ = -1;
};

/// The only open of a process, which went well.
Record open_by(const std::function<int()>& work) {
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, in_child(work));
  EXPECT_EQ(events.size(), 1U);
  return events.empty() ? Record{std::string(sizeof(ev_open), '\0')} : events[0];
}

int clone_of(const std::string& path) {
  return static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

TEST(OpenPlaces, AFileOfAnotherMountNamespaceHasItsPathAndTheNumberThere) {
  const Folder folder;
  const std::string path = folder.file("free-name");
  const std::string place = folder.at("home/credentials");
  folder.file("home/credentials");
  const Elsewhere other([&] { return mount(path.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) == 0; });
  const std::string way = "/proc/" + std::to_string(other.process()) + "/root" + place;
  const Record event = open_by([&] { return open(way.c_str(), O_RDONLY) < 0; });
  EXPECT_EQ(joined(event.rest<ev_open>()), place);
  EXPECT_EQ(event.as<ev_open>().place_ns, mount_namespace_of(other.process()));
  EXPECT_EQ(event.as<ev_open>().mnt_ns, mount_namespace_of(getpid()));
  EXPECT_FALSE(event.as<ev_open>().signs & KT_OPEN_DETACHED);
}

TEST(OpenPlaces, AFileOfTheOpenersOwnMountsHasNoOtherNumber) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const Record event = open_by([&] { return open(path.c_str(), O_RDONLY) < 0; });
  EXPECT_EQ(event.as<ev_open>().place_ns, 0U);
  EXPECT_FALSE(event.as<ev_open>().signs & KT_OPEN_DETACHED);
}

TEST(OpenPlaces, WhatIsMountedNowhereIsCalledAsInItsFileSystem) {
  const Folder folder;
  const std::string path = folder.file("home/credentials");
  const auto expect = [&](const Record& event) {
    EXPECT_THAT(joined(event.rest<ev_open>()),
                testing::EndsWith(std::filesystem::path(folder.path()).filename().string() + "/home/credentials"));
    EXPECT_TRUE(event.as<ev_open>().signs & KT_OPEN_DETACHED);
    EXPECT_EQ(event.as<ev_open>().place_ns, 0U);
  };
  expect(open_by([&] { return openat(clone_of(folder.at("home")), "credentials", O_RDONLY) < 0; }));
  expect(open_by([&] {
    const int file = clone_of(path);
    return open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY) < 0;
  }));
}

TEST(OpenPlaces, AMountThatNeverHadAPlace) {
  const Record event = open_by([&] {
    const auto context = static_cast<int>(syscall(SYS_fsopen, "tmpfs", 0));
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return 2;
    const auto folder = static_cast<int>(syscall(SYS_fsmount, context, 0, 0));
    if (mkdirat(folder, "home", 0700) != 0) return 3;
    const int made = openat(folder, "home/credentials", O_WRONLY | O_CREAT, 0600);
    if (write(made, "x", 1) != 1 || close(made) != 0) return 4;
    return openat(folder, "home/credentials", O_RDONLY) < 0 ? 5 : 0;
  });
  EXPECT_EQ(joined(event.rest<ev_open>()), "/home/credentials");
  EXPECT_TRUE(event.as<ev_open>().signs & KT_OPEN_DETACHED);
}

TEST(OpenPlaces, AMountThatWasTakenAwayWhileInUse) {
  const Folder folder;
  std::filesystem::create_directory(folder.at("volume"));
  const std::vector<Record> events = kernel_side().events(
      KT_EV_OPEN, in_namespaces([&] {
        if (mount("none", folder.at("volume").c_str(), "tmpfs", 0, nullptr) != 0) return 2;
        folder.file("volume/credentials");
        if (chdir(folder.at("volume").c_str()) != 0 || umount2(folder.at("volume").c_str(), MNT_DETACH) != 0) return 3;
        return open("credentials", O_RDONLY) < 0 ? 4 : 0;
      }));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), "/credentials");
  EXPECT_TRUE(events[0].as<ev_open>().signs & KT_OPEN_DETACHED);
}

TEST(OpenPlaces, AFileInMemoryIsNoFileOfAnotherPlace) {
  const Record event = open_by([&] {
    const int memory = memfd_create("credentials", 0);
    if (write(memory, "AKIAIOSFODNN7EXAMPLE", 20) != 20) return 2;
    return open(("/proc/self/fd/" + std::to_string(memory)).c_str(), O_RDONLY) < 0 ? 3 : 0;
  });
  EXPECT_EQ(event.as<ev_open>().place_ns, 0U);
  EXPECT_FALSE(event.as<ev_open>().signs & KT_OPEN_DETACHED);
}

TEST(OpenPlaces, WhatIsMountedOverAMountHasTheNameOfThatPlace) {
  const Folder folder;
  const std::string first = folder.file("first"), second = folder.file("second"), place = folder.at("home/credentials");
  folder.file("home/credentials");
  const std::vector<Record> events =
      kernel_side().events(KT_EV_OPEN, in_namespaces([&] {
                             for (const std::string& file : {first, second}) {
                               if (mount(file.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) != 0) return 2;
                             }
                             return open(place.c_str(), O_RDONLY) < 0 ? 3 : 0;
                           }));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), place);
}

}  // namespace
}  // namespace keytrail::tests
