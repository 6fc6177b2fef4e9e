// SPDX-License-Identifier: Apache-2.0
// Known key files: what is a rotation, what is another file, what a restart keeps.
#include "agent/link/slots.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scene.h"

namespace keytrail::link {
namespace {

ReadTime at(std::int64_t ns) { return {ns, ns}; }

KnownFile& file_on(Slots& slots, std::string_view container, std::uint32_t dev) {
  KnownFile& file = slots.file(container, "/p");
  Slots::follow(file, 1, dev);
  return file;
}

TEST(Slots, AnotherDeviceUnderTheSamePathIsAnotherFile) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  EXPECT_TRUE(slots.update(file, {}, {aws_fact("A")}, at(100)).empty());
  EXPECT_TRUE(slots.update(file_on(slots, "", 2), {}, {aws_fact("B")}, at(100)).empty());
  EXPECT_EQ(slots.update(file_on(slots, "", 2), {}, {aws_fact("C")}, at(100)).size(), 1U);
  EXPECT_TRUE(slots.update(file_on(slots, "0123456789abcdef", 2), {}, {aws_fact("A")}, at(100)).empty());
}

TEST(Slots, ARotationIsTheIntervalBetweenTwoReads) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  (void)slots.update(file, {}, {aws_fact("A")}, at(100));
  (void)slots.update(file, {}, {aws_fact("A")}, {200, 210});
  FileIdentity made_earlier;
  made_earlier.ctime_s = 1;  // another file took the name: its own times say nothing
  made_earlier.ctime_ns = 5;
  const SlotChange change = slots.update(file, made_earlier, {aws_fact("B")}, {2'000'000'000, 2'000'000'300}).at(0);
  EXPECT_EQ(change.after_ns, 200);
  EXPECT_EQ(change.time_ns, 2'000'000'300);
  file.seen_ns = 3'000'000'000;  // a look found it unchanged
  EXPECT_EQ(slots.update(file, {}, {aws_fact("C")}, at(4'000'000'000)).at(0).after_ns, 3'000'000'000);
}

TEST(Slots, SurviveARestart) {
  Slots before(8);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, at(100));
  Slots after(8);
  after.load(before.take_changes());
  const auto changes = after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, at(200));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].after_ns, 100) << "seen with it by the earlier run";
}

TEST(Slots, WhatIsForgottenStaysForgottenAfterARestart) {
  Slots before(1);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, at(100));
  (void)before.update(file_on(before, "0123456789abcdef", 1), {}, {aws_fact("C", "x")}, at(100));
  const auto changes = before.take_changes();
  ASSERT_EQ(changes.size(), 3U);
  Slots after(8);
  after.load(changes);
  EXPECT_TRUE(after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, at(200)).empty());
  EXPECT_EQ(after.update(file_on(after, "0123456789abcdef", 7), {}, {aws_fact("D", "x")}, at(200)).size(), 1U);
}

TEST(Slots, GenerationsOfAProjectedVolumeAreOnePlace) {
  EXPECT_EQ(Slots::place_of("/run/secrets/kubernetes.io/serviceaccount/..2026_11_21_04_00_00.17/token"),
            "/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(Slots::place_of("/root/.aws/credentials"), "/root/.aws/credentials");
  EXPECT_EQ(Slots::place_of("/a/../b/..data"), "/a/../b");
  EXPECT_EQ(Slots::place_of(""), "");
}

/// Files of one path in several mount namespaces; the machine's is 1.
class Mounts : public Scene {
 protected:
  const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2", kC = "AKIACCCCCCCCCCCCCCC2";

  void put(std::uint32_t mnt_ns, const std::string& key) {
    examiner.files[in_mount_ns(mnt_ns, kCredentials)] = file_of({aws_fact(key)}, ++inodes_);
  }
  /// A process that moves into the mount namespace and reads what is there.
  void reads_in(std::uint32_t mnt_ns, std::uint32_t pid, const std::string& unit = {}) {
    start(pid, {}, kShell);
    unshare(pid, mnt_ns, unit);
    open(pid);
  }
  /// The process reads a file of another mount namespace, as through /proc/PID/root.
  void reads_through(std::uint32_t mnt_ns, std::uint32_t pid) {
    OpenEvent event;
    event.path = kCredentials;
    event.mnt_ns = process(pid)->mnt_ns;
    event.place_ns = mnt_ns;
    event.file = examiner.files.at(in_mount_ns(mnt_ns, kCredentials)).file;
    send(process(pid)->id, event, process(pid));
  }
  void contain(std::uint32_t pid, std::uint32_t mnt_ns, const std::string& container) {
    auto moved = std::make_shared<Process>(*process(pid));
    auto workload = std::make_shared<Workload>();
    workload->id = "container:" + container;
    workload->name = container;
    workload->facts.push_back({fact::kContainerId, container});
    moved->mnt_ns = mnt_ns;
    moved->workload = workload;
    moved->cgroup_id = std::hash<std::string>()(container);
    processes[pid] = moved;
  }
  /// The worker ends, and another knows of this holding.
  void begin_again(std::uint32_t pid, const std::string& key) {
    collect();
    const Earlier before = earlier();
    const Holding holding = holders[pid].at(key);
    make({.own_mnt_ns = 1});
    link->load(before);
    link->adopt(holding, process(pid));
  }
  [[nodiscard]] std::string scope_of(const std::string& key) const {
    const auto is = [&](const SlotChange& one) { return one.new_id == key; };
    const auto change = std::ranges::find_if(slot_changes, is);
    return change == slot_changes.end() ? "none" : change->scope;
  }
  void look() {
    tick(10'000);
    collect();
  }

  static constexpr std::uint32_t kShell = 5;  ///< init is not shown
  std::uint64_t inodes_ = 0;
};

TEST_F(Mounts, OfServicesAreToldApartWhereInitIsNotShown) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  put(3, kB);
  reads_in(2, 20, "a.service");
  reads_in(3, 30, "b.service");
  reads_in(1, 40, "plain.service");
  look();
  EXPECT_EQ(scope_of(kA), "unit:a.service");
  EXPECT_EQ(scope_of(kB), "unit:b.service");
  put(3, kC);
  look();
  EXPECT_TRUE(replaced(kB) && !replaced(kA));
  EXPECT_TRUE(holders[30][kB].slot_changed && !holders[20][kA].slot_changed);
}

TEST_F(Mounts, OutsideServicesAreSlotsOfTheirOwnToo) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  put(3, kB);
  reads_in(2, 20);
  reads_in(3, 30);
  look();
  EXPECT_FALSE(replaced(kA) || replaced(kB)) << "two files";
  put(3, kC);
  look();
  EXPECT_TRUE(replaced(kB) && !replaced(kA));
  EXPECT_TRUE(holders[30][kB].slot_changed && !holders[20][kA].slot_changed);
  EXPECT_EQ(scope_of(kC), "mnt:3");
  call(30);
  collect();
  EXPECT_EQ(uses.back().keys.at(0).scope, "mnt:3") << "for the judge";
}

TEST_F(Mounts, OfOneServiceWithSeveralAreSlotsOfTheirOwn) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  put(3, kB);
  reads_in(2, 20, "runner.service");
  reads_in(3, 30, "runner.service");
  put(3, kC);
  look();
  EXPECT_TRUE(replaced(kB) && !replaced(kA));
  EXPECT_EQ(scope_of(kB), "unit:runner.service/mnt:3");
}

TEST_F(Mounts, ANumberThatComesAgainIsAnotherNamespace) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  reads_in(2, 20);
  exit(20);
  put(2, kB);
  reads_in(2, 21);
  collect();
  EXPECT_FALSE(replaced(kA));
}

TEST_F(Mounts, ARotationIsOneAsLongAsSomebodyStaysThere) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  start(20, {}, kShell);
  unshare(20, 2);
  fork(20, 21);
  open(21);
  exit(21);
  put(2, kB);
  fork(20, 22);
  open(22);
  collect();
  EXPECT_TRUE(replaced(kA));
}

TEST_F(Mounts, ThatEndedAreForgotten) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  reads_in(2, 20);
  exit(20);
  look();
  EXPECT_EQ(slot_changes.back().new_id, kA) << "before the sweep is over nobody knows who lives";
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  look();
  EXPECT_EQ(slot_changes.back().scope, "mnt:2");
  EXPECT_EQ(slot_changes.back().new_id, "");
}

TEST_F(Mounts, AreFollowedAfterARestart) {
  make({.own_mnt_ns = 1});
  put(2, kA);
  put(3, kB);
  reads_in(2, 20);
  reads_in(3, 30);
  collect();
  const Earlier before = earlier();
  make({.own_mnt_ns = 1});
  link->load(before);
  link->adopt(holders[20][kA], process(20));
  link->adopt(holders[30][kB], process(30));
  put(3, kC);
  look();
  look();
  EXPECT_TRUE(replaced(kB) && !replaced(kA));
}

TEST_F(Mounts, AFileAtNoKnownPlaceIsItsContainersAfterARestart) {
  make({.own_mnt_ns = 1});
  const std::string place = "/app/creds";
  const auto put_there = [&](const std::string& key, std::uint64_t inode) {
    examiner.files[place] = file_of({aws_fact(key)}, inode);
    examiner.files[place].format = "aws_credentials";
  };
  put_there(kA, 101);
  start(20, {}, kShell);
  contain(20, 2, "0123456789abcdef");
  open(20, place);
  begin_again(20, kA);
  put_there(kB, 102);
  start(30, {}, kShell);
  contain(30, 2, "0123456789abcdef");
  open(30, place);
  collect();
  EXPECT_TRUE(replaced(kA));
  EXPECT_TRUE(holders[20][kA].slot_changed);
}

TEST_F(Mounts, AFileOfAnotherRootIsNotTheReadersOwnAfterARestart) {
  make({.own_mnt_ns = 1});
  put(1, kA);
  put(7, kB);
  reads_in(7, 20, "other.service");
  start(10, {}, kShell);
  reads_through(7, 10);
  begin_again(10, kB);
  look();
  look();
  EXPECT_FALSE(replaced(kB));
  EXPECT_FALSE(holders[10][kB].slot_changed);
}

TEST_F(Mounts, AFileOfAnotherRootIsNotFollowedInTheReadersOwnWhenThatRootEnds) {
  make({.own_mnt_ns = 1});
  put(1, kA);
  put(7, kB);
  reads_in(7, 20, "other.service");
  start(10, {}, kShell);
  reads_through(7, 10);
  exit(20);
  look();
  look();
  EXPECT_FALSE(replaced(kB));
}

TEST_F(Mounts, AReadOfOnesOwnFileSupersedesNoKeyOfAnotherRoot) {
  make({.own_mnt_ns = 1});
  put(1, kA);
  put(7, kB);
  reads_in(7, 20, "other.service");
  start(10, {}, kShell);
  reads_through(7, 10);
  open(10);
  collect();
  EXPECT_TRUE(holders[10].contains(kA) && holders[10].contains(kB));
  put(1, kC);
  open(10);
  collect();
  EXPECT_FALSE(holders[10].contains(kA)) << "of its own root it is";
}

TEST_F(Mounts, OneKeyInTwoRootsIsHeldFromBoth) {
  make({.own_mnt_ns = 1});
  put(1, kA);
  put(7, kA);
  reads_in(7, 20, "other.service");
  start(10, {}, kShell);
  open(10);
  reads_through(7, 10);
  put(7, kB);
  open(20);
  collect();
  EXPECT_TRUE(holders[10][kA].slot_changed) << "in the other root";
  put(1, kC);
  open(10);
  collect();
  EXPECT_TRUE(holders[10].contains(kA)) << "it still has that of the other root";
}

TEST_F(Mounts, AFileThatIsMountedNowhereIsNotTheMachines) {
  make({.own_mnt_ns = 1});
  put(1, kA);
  start(10, {}, kShell);
  open(10);
  put(1, kB);  // the examiner's answer
  OpenEvent event;
  event.path = kCredentials;
  event.mnt_ns = 1;
  event.detached = true;
  event.file = examiner.files.at(in_mount_ns(1, kCredentials)).file;
  send(process(10)->id, event, process(10));
  collect();
  EXPECT_FALSE(replaced(kA));
  EXPECT_TRUE(holders[10].contains(kA) && holders[10].contains(kB));
}

}  // namespace
}  // namespace keytrail::link
