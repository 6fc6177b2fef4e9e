// SPDX-License-Identifier: Apache-2.0
// hits = filtered + repeated + sent + lost, also under flood; a flood by one cgroup or of one ring does not take the
// others with it.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/bpf/sockets.h"

namespace keytrail::tests {
namespace {

constexpr int kFlood = 20'000;

constexpr int kChanges = 8;  ///< of one file that one process is shown as new within a second (CHANGES_MAX)

/// Changes the file's size and opens it, so often; 0 is success.
int open_changed(const std::string& path, int count) {
  for (int i = 0; i < count; ++i) {
    if (truncate(path.c_str(), i + 10) != 0) return 1;
    const int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0) return 2;
    close(fd);
  }
  return 0;
}

/// Opens of which each is of another content: many files, each no more often than it counts as new.
int open_new(const Folder& folder, int count) {
  int failed = 0;
  for (int i = 0; i < count && failed == 0; i += kChanges)
    failed = open_changed(folder.file("of-" + std::to_string(i) + "/KeyTrailFlood"), kChanges);
  return failed;
}

std::uint64_t lost(const Totals& t) {
  return t[KT_C_LOST_RING] + t[KT_C_LOST_BUDGET] + t[KT_C_LOST_FAULT] + t[KT_C_LOST_SCRATCH];
}

TEST(Accounting, AFullRingIsCountedToTheLastEvent) {
  warden::LoaderOptions options;
  options.ring_bytes_high = 64 << 10;
  options.ring_bytes_low = 64 << 10;
  options.budget_per_cgroup = 0;
  KernelSide small(options);
  const Folder folder;
  const std::uint32_t tgid = in_child([&] { return open_new(folder, kFlood); });
  const Totals open_totals = small.totals(KT_FAMILY_OPEN);
  std::uint64_t received = 0;
  std::uint64_t of_open = 0;
  for (const Record& record : small.drain()) {
    received += record.head().tgid == tgid && record.head().type == KT_EV_OPEN ? 1 : 0;
    of_open += record.head().family == KT_FAMILY_OPEN ? 1 : 0;
  }
  EXPECT_GT(open_totals[KT_C_LOST_RING], 0U);
  EXPECT_EQ(open_totals[KT_C_SENT], of_open);
  EXPECT_GT(received, 0U);
  EXPECT_GE(open_totals[KT_C_LOST_RING] + received, static_cast<std::uint64_t>(kFlood));
  small.expect_identity();
}

TEST(Accounting, AFloodOfRepeatsTakesNoRoomAtAll) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  kernel_side().drain();
  const Totals before = kernel_side().totals(KT_FAMILY_OPEN);
  const std::uint32_t tgid = in_child([&] {
    for (int i = 0; i < kFlood; ++i)
      close(open(path.c_str(), O_RDONLY));
    return 0;
  });
  const Totals after = kernel_side().totals(KT_FAMILY_OPEN);
  EXPECT_EQ(kernel_side().events(KT_EV_OPEN, tgid).size(), 1U);
  EXPECT_GE(after[KT_C_REPEATED] - before[KT_C_REPEATED], static_cast<std::uint64_t>(kFlood - 1));
  EXPECT_EQ(lost(after), lost(before));
}

TEST(Accounting, ASpentBudgetIsCountedAndLastsASecond) {
  warden::LoaderOptions options;
  options.budget_per_cgroup = 100;
  KernelSide limited(options);
  const Folder folder;
  in_child([&] { return open_new(folder, 2000); });
  const Totals t = limited.totals(KT_FAMILY_OPEN);
  EXPECT_GT(t[KT_C_LOST_BUDGET], 0U);
  limited.drain();
  usleep(2'200'000);
  const std::string path = folder.file("credentials");
  const std::uint32_t tgid = in_child([&] { return open(path.c_str(), O_RDONLY) < 0; });
  EXPECT_EQ(limited.events(KT_EV_OPEN, tgid).size(), 1U);
  limited.expect_identity();
}

TEST(Accounting, AFileThatKeepsGrowingIsARepeatAndTakesNothingOfTheBudget) {
  warden::LoaderOptions options;
  options.budget_per_cgroup = 1000;
  KernelSide limited(options);
  const Folder folder;
  const std::string path = folder.file("KeyTrailFlood"), other = folder.file("credentials");
  const std::uint32_t tgid = in_child([&] { return open_changed(path, kFlood); });
  const std::uint32_t bystander = in_child([&] { return open(other.c_str(), O_RDONLY) < 0; });
  const Totals t = limited.totals(KT_FAMILY_OPEN);
  const std::vector<Record> seen = limited.drain();
  const auto opens_of = [&](std::uint32_t who) {
    return std::ranges::count_if(
        seen, [&](const Record& one) { return one.head().type == KT_EV_OPEN && one.head().tgid == who; });
  };
  EXPECT_EQ(t[KT_C_LOST_BUDGET], 0U);
  EXPECT_GE(opens_of(tgid), kChanges) << "the first sights are seen";
  EXPECT_LE(opens_of(tgid), kFlood / 10);
  EXPECT_GE(t[KT_C_REPEATED], static_cast<std::uint64_t>(kFlood * 9 / 10)) << "and each of the others is counted";
  EXPECT_EQ(opens_of(bystander), 1);
  limited.expect_identity();
}

TEST(Accounting, TheIdentityHoldsAfterEverythingElse) {
  kernel_side().loader().sweep();
  kernel_side().loader().heartbeat();
  kernel_side().drain();
  kernel_side().expect_identity();
  for (const int family : {KT_FAMILY_EXEC, KT_FAMILY_OPEN, KT_FAMILY_CONNECT, KT_FAMILY_NAME, KT_FAMILY_LIFETIME})
    EXPECT_GT(kernel_side().totals(static_cast<std::uint32_t>(family))[KT_C_SENT], 0U) << family;
}

}  // namespace
}  // namespace keytrail::tests
