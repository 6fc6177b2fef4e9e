// SPDX-License-Identifier: Apache-2.0
// Roads to an open file that pass no ordinary system call: io_uring and 32-bit calls. fentry and kprobe see them; of
// the fallback's tracepoints that of completed requests sees the first, unless no completion was asked for. What is not
// seen is said.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

const HookReport& open_report() { return kernel_side().loader().report()[static_cast<std::size_t>(Family::kOpen)]; }

bool sees_the_object() { return !open_report().chosen.starts_with("tracepoint"); }
bool sees_rings() { return open_report().chosen.find("without io_uring_complete") == std::string::npos; }

/// Exactly one event of this file, or where this road is not seen none, and a word about it.
void expect_road(std::uint32_t tgid, const std::string& path, const char* road, bool seen = sees_the_object()) {
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  if (!seen) {
    EXPECT_TRUE(events.empty());
    EXPECT_THAT(open_report().missing, testing::HasSubstr(road));
    return;
  }
  EXPECT_THAT(open_report().missing, testing::Not(testing::HasSubstr(road)));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
  EXPECT_EQ(events[0].head().tgid, tgid);
}

struct Road {
  bool direct = false;     ///< into the ring's own table, so that no descriptor ever exists
  bool by_worker = false;  ///< by the ring's thread
  bool quiet = false;      ///< no completion when it went well
};

/// Opens through a ring of one entry, and does nothing after it.
int open_by_ring(const std::string& path, Road road) {
  const auto [direct, by_worker, quiet] = road;
  io_uring_params params{};
  const auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 1, &params));
  if (ring < 0) return 10;
  const std::size_t ring_bytes = std::max(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                                          params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  void* const rings =
      mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  void* const entries = mmap(nullptr, params.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  if (rings == MAP_FAILED || entries == MAP_FAILED) return 11;
  int empty = -1;
  if (direct && syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &empty, 1) != 0) return 12;
  auto* const entry = static_cast<io_uring_sqe*>(entries);
  entry->opcode = IORING_OP_OPENAT;
  entry->flags = (by_worker ? IOSQE_ASYNC : 0) | (quiet ? IOSQE_CQE_SKIP_SUCCESS : 0);
  entry->fd = AT_FDCWD;
  entry->addr = reinterpret_cast<std::uintptr_t>(path.c_str());
  entry->open_flags = O_RDONLY;
  entry->file_index = direct ? 1 : 0;
  auto* const bytes = static_cast<char*>(rings);
  *reinterpret_cast<unsigned*>(bytes + params.sq_off.array) = 0;
  __atomic_store_n(reinterpret_cast<unsigned*>(bytes + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  const unsigned wait_for = quiet ? 0 : 1;
  if (syscall(SYS_io_uring_enter, ring, 1, wait_for, IORING_ENTER_GETEVENTS, nullptr, 0) != 1) return 13;
  const auto* const done = reinterpret_cast<const io_uring_cqe*>(bytes + params.cq_off.cqes);
  return done->res < 0 ? 14 : 0;
}

/// Is it there, and allowed?
bool has_io_uring() {
  io_uring_params params{};
  const auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 1, &params));
  if (ring >= 0) close(ring);
  return ring >= 0;
}

TEST(OpenRoads, IoUringWithADescriptor) {
  if (!has_io_uring()) GTEST_SKIP() << "this kernel offers no io_uring";
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_road(in_child([&] { return open_by_ring(path, {}); }), path, "through io_uring,", sees_rings());
}

TEST(OpenRoads, IoUringByItsWorkerThread) {
  if (!has_io_uring()) GTEST_SKIP() << "this kernel offers no io_uring";
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_road(in_child([&] { return open_by_ring(path, {.by_worker = true}); }), path, "through io_uring,",
              sees_rings());
}

TEST(OpenRoads, IoUringWithoutADescriptor) {
  if (!has_io_uring()) GTEST_SKIP() << "this kernel offers no io_uring";
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_road(in_child([&] { return open_by_ring(path, {.direct = true}); }), path, "through io_uring,", sees_rings());
}

TEST(OpenRoads, IoUringThatAsksForNoCompletion) {
  if (!has_io_uring()) GTEST_SKIP() << "this kernel offers no io_uring";
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_road(in_child([&] { return open_by_ring(path, {.quiet = true}); }), path, "through io_uring");
}

#if defined(__x86_64__)
/// open(2) as a 32-bit program calls it: call 5, the path below 4 GiB. Returns the descriptor or a negative errno.
int open_32_bit(const std::string& path) {
  void* const low = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED || path.size() >= 4096) return -1;
  memcpy(low, path.c_str(), path.size() + 1);
  int result = 5;
  asm volatile("int $0x80" : "+a"(result) : "b"(low), "c"(O_RDONLY), "d"(0) : "memory", "r8", "r9", "r10", "r11");
  return result;
}

/// Where the kernel has no 32-bit calls the instruction is a fault: asked in a child.
bool has_32_bit_calls() {
  const pid_t child = fork();
  if (child == 0) _exit(open_32_bit("/dev/null") >= 0 ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST(OpenRoads, ThirtyTwoBitCallsOfA64BitProgram) {
  if (!has_32_bit_calls()) GTEST_SKIP() << "this kernel has no 32-bit calls";
  const Folder folder;
  const std::string path = folder.file("credentials");
  expect_road(in_child([&] { return open_32_bit(path) < 0; }), path, "32-bit calls");
}
#endif

}  // namespace
}  // namespace keytrail::tests
