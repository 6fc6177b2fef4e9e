// SPDX-License-Identifier: Apache-2.0
// A program is attached to functions of this test while it runs: counted, detached, bounded, refused with a sentence,
// dropped when nothing can come any more. Each way alone; a way that this kernel lacks is skipped by name.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "agent/warden/loader_kernel.h"
#include "agent/warden/privilege.h"
#include "agent/warden/targets.h"
#include "calls.skel.h"
#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

using testing::HasSubstr;
using warden::Feature;
using warden::Targets;
using warden::TargetWay;

[[gnu::noinline]] void first_function() { asm volatile("" ::: "memory"); }
[[gnu::noinline]] void second_function() { asm volatile("nop" ::: "memory"); }

std::uint64_t place_of(void (*function)()) {
  return warden::offset_in_own_file(reinterpret_cast<const void*>(function));
}

void call(void (*function)(), int times) {
  for (int i = 0; i < times; ++i)
    function();
}

class TargetsTest : public testing::TestWithParam<TargetWay> {
 protected:
  void SetUp() override {
    const warden::Features features = warden::Kernel::open()->features();
    const Feature needed = GetParam() == TargetWay::kUprobeMulti ? Feature::kUprobeMulti : Feature::kUprobe;
    if (const std::string& why = features[static_cast<std::size_t>(needed)]; !why.empty()) GTEST_SKIP() << why;
    calls_ = calls_bpf::open(nullptr);
    ASSERT_NE(calls_, nullptr);
    Targets::prepare(calls_->progs.uprobe__calls, GetParam());
    ASSERT_EQ(bpf_object__load_skeleton(calls_->skeleton), 0);
    targets_.emplace(warden::TargetChoice{GetParam(), {}}, 4);
    targets_->serve(Family::kRequest, bpf_program__fd(calls_->progs.uprobe__calls),
                    bpf_map__fd(calls_->maps.target_hits));
    self_.reset(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  }
  void TearDown() override {
    targets_.reset();
    if (calls_ != nullptr) calls_bpf::destroy(calls_);
  }

  Result<std::uint32_t> attach(std::vector<std::uint64_t> offsets, std::uint32_t pid = 0) {
    return targets_->attach({.family = Family::kRequest, .offsets = std::move(offsets), .pid = pid}, self_.get());
  }
  std::uint64_t hits(std::uint32_t id) const {
    for (const TargetReport& one : targets_->report()) {
      if (one.id == id) return one.hits;
    }
    ADD_FAILURE() << "no target " << id;
    return 0;
  }
  std::string why_not(std::vector<std::uint64_t> offsets, std::uint32_t pid = 0) {
    const auto attached = attach(std::move(offsets), pid);
    return attached ? "attached" : attached.error().message;
  }

  calls_bpf* calls_ = nullptr;
  std::optional<Targets> targets_;
  base::UniqueFd self_;
};

TEST_P(TargetsTest, CallsAreCountedWhileItIsAttached) {
  call(first_function, 3);
  const auto target = attach({place_of(first_function)});
  ASSERT_TRUE(target) << target.error().message;
  call(first_function, 5);
  EXPECT_EQ(hits(*target), 5U);
  in_child([] {
    call(first_function, 2);
    return 0;
  });
  EXPECT_EQ(hits(*target), 7U) << "in every process";
  const auto detached = targets_->detach(*target);
  ASSERT_TRUE(detached);
  EXPECT_EQ(detached->hits, 7U);
  EXPECT_TRUE(targets_->report().empty());
  const auto again = attach({place_of(second_function)});
  ASSERT_TRUE(again);
  call(first_function, 4);
  EXPECT_EQ(hits(*again), 0U) << "what was detached does not run, and its slot starts anew";
  EXPECT_NE(*again, *target);
  EXPECT_FALSE(targets_->detach(*target));
}

TEST_P(TargetsTest, ASecondTargetCountsApartAndOnePlaceOfSeveralTogether) {
  const auto one = attach({place_of(first_function)});
  const auto both = attach({place_of(first_function), place_of(second_function)});
  ASSERT_TRUE(one && both);
  call(first_function, 2);
  call(second_function, 3);
  EXPECT_EQ(hits(*one), 2U);
  EXPECT_EQ(hits(*both), 5U);
  ASSERT_TRUE(targets_->detach(*one));
  call(first_function, 1);
  EXPECT_EQ(hits(*both), 6U);
}

TEST_P(TargetsTest, OnlyTheProcessThatIsMeant) {
  std::array<int, 2> go{};
  ASSERT_EQ(pipe(go.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    close(go[1]);
    (void)!read(go[0], &byte, 1);
    call(first_function, 6);
    _exit(0);
  }
  close(go[0]);
  const auto target = attach({place_of(first_function)}, static_cast<std::uint32_t>(child));
  ASSERT_TRUE(target) << target.error().message;
  call(first_function, 9);
  EXPECT_TRUE(targets_->drop_gone().empty());
  ASSERT_EQ(write(go[1], "x", 1), 1);
  close(go[1]);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(hits(*target), 6U);
  const std::vector<TargetReport> dropped = targets_->drop_gone();
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].state, TargetReport::State::kDropped);
  EXPECT_EQ(dropped[0].text, "its process has ended");
  EXPECT_EQ(dropped[0].hits, 6U);
  EXPECT_EQ(targets_->counts().dropped, 1U);
  EXPECT_THAT(why_not({place_of(first_function)}, static_cast<std::uint32_t>(child)), HasSubstr("has ended"));
}

TEST_P(TargetsTest, AFileThatIsGoneIsDropped) {
  const Folder folder;
  const std::string copy = folder.at("copy");
  std::filesystem::copy_file("/proc/self/exe", copy);
  self_.reset(open(copy.c_str(), O_RDONLY | O_CLOEXEC));
  const auto target = attach({place_of(first_function)});
  ASSERT_TRUE(target) << target.error().message;
  self_.reset();
  EXPECT_TRUE(targets_->drop_gone().empty());
  std::filesystem::remove(copy);
  const std::vector<TargetReport> dropped = targets_->drop_gone();
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].text, "its file is gone");
  EXPECT_TRUE(targets_->report().empty());
}

TEST_P(TargetsTest, MoreThanTheBoundIsRefusedAndCounted) {
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(attach({place_of(first_function)}));
  EXPECT_EQ(why_not({place_of(second_function)}), "There are already 4 targets: one must go before another comes.");
  EXPECT_EQ(targets_->counts().attached, 4U);
  EXPECT_EQ(targets_->counts().bound, 4U);
  EXPECT_EQ(targets_->counts().over_bound, 1U);
  ASSERT_TRUE(targets_->detach(targets_->report()[0].id));
  EXPECT_TRUE(attach({place_of(second_function)}));
  targets_->detach_all();
  EXPECT_EQ(targets_->counts().attached, 0U);
}

TEST_P(TargetsTest, WhatCannotBeAttachedIsASentence) {
  EXPECT_THAT(why_not({std::uint64_t{1} << 40U}), HasSubstr("Offset 1099511627776 is not inside the file"));
  EXPECT_THAT(why_not({}), HasSubstr("1 to 16 offsets"));
  EXPECT_THAT(why_not(std::vector<std::uint64_t>(17, 4096)), HasSubstr("1 to 16 offsets"));
  const auto other = targets_->attach({.family = Family::kOpen, .offsets = {place_of(first_function)}}, self_.get());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "This build has no program of the family open that runs at targets.");
  const base::UniqueFd folder(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto directory = targets_->attach({.family = Family::kRequest, .offsets = {4096}}, folder.get());
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, "A target is a regular file.");
  EXPECT_EQ(targets_->counts().refused, 5U);
  Targets without({TargetWay::kNone, "uprobe_multi: not on this kernel; uprobe: no"});
  without.serve(Family::kRequest, bpf_program__fd(calls_->progs.uprobe__calls), bpf_map__fd(calls_->maps.target_hits));
  const auto refused = without.attach({.family = Family::kRequest, .offsets = {4096}}, self_.get());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("attaches no programs to targets: uprobe_multi: not on this kernel"));
}

TEST_P(TargetsTest, TheWardensOwnCapabilitiesAreEnough) {
  in_child([this] {
    if (!warden::keep_only(warden::warden_capabilities())) return 2;
    const auto target = attach({place_of(first_function)});
    if (!target) return 3;
    call(first_function, 3);
    return hits(*target) == 3 ? 0 : 4;
  });
}

INSTANTIATE_TEST_SUITE_P(Way, TargetsTest, testing::Values(TargetWay::kUprobeMulti, TargetWay::kUprobe),
                         [](const auto& info) {
                           return info.param == TargetWay::kUprobeMulti ? "uprobe_multi" : "uprobe";
                         });

}  // namespace
}  // namespace keytrail::tests
