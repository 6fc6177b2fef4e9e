// SPDX-License-Identifier: Apache-2.0
// A loader goes on in the rings and counters of one that is gone; what does not fit it leaves alone.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "agent/base/fd.h"
#include "agent/warden/kept_rings.h"
#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

int read_once(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  if (fd < 0) return 1;
  close(fd);
  return 0;
}

/// Descriptors of their own, as systemd has them.
warden::KeptRings copies(const warden::KeptFds& of) {
  const auto copy = [](int fd) { return base::UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)); };
  return {.high = copy(of.high),
          .low = copy(of.low),
          .counters = copy(of.counters),
          .cgroups_lost = copy(of.cgroups_lost),
          .reported = copy(of.reported)};
}

warden::LoaderOptions with(const warden::KeptFds& kept) {
  warden::LoaderOptions options;
  options.kept = kept;
  return options;
}

TEST(KeptRings, WhatWaitedIsReadByTheNextAndTheCountersGoOn) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  warden::KeptRings kept;
  Totals before{};
  std::uint32_t reader = 0;
  {
    KernelSide first;
    EXPECT_FALSE(first.loader().resumed());
    reader = in_child([&] { return read_once(path); });
    kept = copies(first.loader().to_keep());
    before = first.totals(KT_FAMILY_OPEN);
  }
  const std::uint32_t unseen = in_child([&] { return read_once(path); });
  KernelSide second(with(kept.fds()));
  ASSERT_TRUE(second.loader().resumed()) << second.loader().resumed().error().message;
  EXPECT_GE(second.totals(KT_FAMILY_OPEN)[KT_C_SENT], before[KT_C_SENT]);
  EXPECT_GT(before[KT_C_SENT], 0U);
  const std::uint32_t later = in_child([&] { return read_once(path); });
  const std::vector<Record> left = second.events(KT_EV_OPEN, reader);
  ASSERT_EQ(left.size(), 1U) << "sent by programs that are gone";
  const auto& event = left[0].as<ev_open>();
  EXPECT_TRUE(second.loader().was_opened({.start_ns = event.head.start_ns,
                                          .inode = event.inode,
                                          .size = event.size,
                                          .ctime_s = event.ctime_s,
                                          .ctime_ns = event.ctime_ns,
                                          .dev = event.dev,
                                          .tgid = event.head.tgid,
                                          .fs_magic = static_cast<kt_u32>(event.fs_magic)}))
      << "its file may be opened";
  EXPECT_TRUE(second.events(KT_EV_OPEN, unseen).empty()) << "nothing stays attached";
  EXPECT_EQ(second.events(KT_EV_OPEN, later).size(), 1U);
  second.expect_identity();
}

TEST(KeptRings, MapsThatDoNotFitAreNotUsed) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  warden::KeptRings kept;
  {
    KernelSide first;
    kept = copies(first.loader().to_keep());
  }
  std::swap(kept.high, kept.low);  // of the same kind and size, but another name
  {
    KernelSide second(with(kept.fds()));
    ASSERT_FALSE(second.loader().resumed());
    EXPECT_EQ(second.loader().resumed().error().message,
              "What was kept as ring_high is another kind or size of map, or none.");
    const std::uint32_t reader = in_child([&] { return read_once(path); });
    EXPECT_EQ(second.events(KT_EV_OPEN, reader).size(), 1U) << "it has rings of its own";
  }
  std::swap(kept.high, kept.low);
  kept.counters.reset(memfd_create("counters", MFD_CLOEXEC));
  KernelSide third(with(kept.fds()));
  ASSERT_FALSE(third.loader().resumed());
  EXPECT_NE(third.loader().resumed().error().message.find("counters"), std::string::npos);
}

TEST(KeptRings, RingsOfAnotherSizeAreNotUsed) {
  warden::LoaderOptions small;
  small.ring_bytes_low = 1U << 20U;
  warden::KeptRings kept;
  {
    KernelSide first(small);
    kept = copies(first.loader().to_keep());
  }
  KernelSide second(with(kept.fds()));
  ASSERT_FALSE(second.loader().resumed());
  EXPECT_NE(second.loader().resumed().error().message.find("ring_low"), std::string::npos);
}

}  // namespace
}  // namespace keytrail::tests
