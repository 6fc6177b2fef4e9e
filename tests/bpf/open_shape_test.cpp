// SPDX-License-Identifier: Apache-2.0
// Opens of files that are shaped like a secret, whatever their name.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

const std::string kSecret(40, 's');

int read_once(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  if (fd < 0) return 1;
  close(fd);
  return 0;
}

/// A file of this mode, made as a shell makes it.
std::string put(const Folder& folder, const std::string& name, mode_t mode, const std::string& content = kSecret) {
  std::string path = folder.file(name, content);
  EXPECT_EQ(chmod(path.c_str(), mode), 0);
  return path;
}

/// The same as mkstemp does, with the secret in it.
int make_temporary(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || write(fd, kSecret.data(), kSecret.size()) < 0) return 1;
  return close(fd);
}

int in_own_child(const std::function<int()>& work) {
  const pid_t pid = fork();
  if (pid == 0) _exit(work());
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

std::vector<Record> opens_of(const std::function<int()>& work) {
  return kernel_side().events(KT_EV_OPEN, in_child(work));
}

TEST(OpenShape, ASmallFileThatOnlyItsOwnerMayReadIsSeenWhateverItsName) {
  const Folder folder;
  const std::string path = put(folder, "quite-free", 0600);
  const std::vector<Record> events = opens_of([&] { return read_once(path); });
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].as<ev_open>().signs, KT_OPEN_SHAPED);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
  EXPECT_EQ(opens_of([&] { return read_once(put(folder, "owner-reads", 0400)); }).size(), 1U);
}

TEST(OpenShape, WhatIsTooSmallTooLargeOrForOthersIsFiltered) {
  const Folder folder;
  std::vector<std::string> paths{put(folder, "seven", 0600, "7 bytes"),
                                 put(folder, "large", 0600, std::string(65537, 'x'))};
  if (!folder.is_in_memory()) {
    for (const auto& [name, mode] : {std::pair("group", 0640), {"others", 0604}, {"all", 0644}})
      paths.push_back(put(folder, name, static_cast<mode_t>(mode)));
  }
  EXPECT_TRUE(opens_of([&] {
                for (const std::string& path : paths) {
                  if (read_once(path) != 0) return 1;
                }
                return 0;
              }).empty());
  const std::vector<std::string> edges{put(folder, "eight", 0600, "8  bytes"),
                                       put(folder, "largest", 0600, std::string(65536, 'x'))};
  EXPECT_EQ(opens_of([&] { return read_once(edges[0]) + read_once(edges[1]); }).size(), 2U);
}

TEST(OpenShape, ASmallFileOnATmpfsIsSeenForWhomeverItMayBe) {
  const Folder folder;
  std::filesystem::create_directory(folder.at("volume"));
  const std::uint32_t tgid = in_namespaces([&] {
    if (mount("none", folder.at("volume").c_str(), "tmpfs", 0, nullptr) != 0) return 2;
    std::ofstream(folder.at("volume/free")) << kSecret;
    return read_once(folder.at("volume/free"));
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].as<ev_open>().signs, KT_OPEN_SHAPED);
}

TEST(OpenShape, AKeysNameIsSeenAnywayAndSaysTheShape) {
  const Folder folder;
  const std::vector<Record> shaped = opens_of([&] { return read_once(put(folder, "credentials", 0600)); });
  ASSERT_EQ(shaped.size(), 1U);
  EXPECT_EQ(shaped[0].as<ev_open>().signs, KT_OPEN_SHAPED);
  if (folder.is_in_memory()) return;
  const std::vector<Record> open = opens_of([&] { return read_once(put(folder, "sub/credentials", 0644)); });
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].as<ev_open>().signs, 0);
}

TEST(OpenShape, ATemporaryFileOfTheReadersOwnProcessesIsNone) {
  const Folder folder;
  const std::string path = folder.at("ccXXXX.s");
  const std::vector<Record> own = opens_of([&] {
    if (make_temporary(path) != 0 || read_once(path) != 0) return 1;
    return in_own_child([&] { return in_own_child([&] { return read_once(path); }); });
  });
  EXPECT_TRUE(own.empty());
  EXPECT_EQ(opens_of([&] { return read_once(path); }).size(), 1U) << "another process takes it";
}

TEST(OpenShape, WhatIsOpenedForWritingTooIsNone) {
  const Folder folder;
  const std::string path = put(folder, "relation", 0600);
  EXPECT_TRUE(opens_of([&] { return close(open(path.c_str(), O_RDWR)); }).empty());
}

TEST(OpenShape, WhatAChildMadeIsOneForItsParent) {
  const Folder folder;
  const std::string path = folder.at("made-by-a-child");
  EXPECT_EQ(opens_of([&] { return in_own_child([&] { return make_temporary(path); }) + read_once(path); }).size(), 1U);
}

TEST(OpenShape, AFileThatItsReaderOnlyWroteIsOne) {
  const Folder folder;
  const std::string path = folder.at("written");
  EXPECT_EQ(opens_of([&] {
              const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
              if (fd < 0 || write(fd, kSecret.data(), kSecret.size()) < 0) return 1;
              return close(fd) + read_once(path);
            }).size(),
            1U);
}

TEST(OpenShape, ANamedPipeIsSaidToBeOneWhereItIsRead) {
  const Folder folder;
  const std::string path = folder.at("free-pipe");
  struct stat is{};
  ASSERT_EQ(mkfifo(path.c_str(), 0644), 0);
  ASSERT_EQ(stat(path.c_str(), &is), 0);
  for (const int how : {O_RDONLY, O_RDWR}) {
    const std::vector<Record> events = opens_of([&] {
      const int fd = open(path.c_str(), how | O_NONBLOCK);  // waits for no writer
      return fd < 0 ? 1 : close(fd);
    });
    ASSERT_EQ(events.size(), 1U) << how;
    EXPECT_EQ(events[0].as<ev_open>().signs, KT_OPEN_PIPE);
    EXPECT_EQ(events[0].as<ev_open>().inode, is.st_ino);
    EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
  }
}

TEST(OpenShape, WhatIsOverTheBudgetIsSaidOnceAProcess) {
  const Folder folder;
  constexpr int kFiles = 1100;  // more than the budget of the two seconds that they may touch, twice
  for (int i = 0; i < kFiles; ++i)
    put(folder, "free" + std::to_string(i), 0600);
  usleep(1'100'000);  // other tests have spent from this second's
  const std::vector<Record> events = opens_of([&] {
    for (int i = 0; i < kFiles; ++i) {
      if (read_once(folder.at("free" + std::to_string(i))) != 0) return 1;
    }
    return 0;
  });
  std::size_t over = 0;
  for (const Record& event : events) {
    if (event.as<ev_open>().signs != KT_OPEN_OVER_BUDGET) continue;
    ++over;
    EXPECT_EQ(event.as<ev_open>().inode, 0U);
    EXPECT_EQ(event.as<ev_open>().path_len, 0U);
  }
  EXPECT_EQ(over, 1U);
  EXPECT_GT(events.size(), 100U);
  EXPECT_LT(events.size(), std::size_t{kFiles});
  kernel_side().expect_identity();
}

}  // namespace
}  // namespace keytrail::tests
