// SPDX-License-Identifier: Apache-2.0
// Each clause of the closed world broken by events. All other clauses hold in each test.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";

class Clauses : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  void expect(const std::string& reason) { EXPECT_EQ(told(), Lines{"possible " + reason + ": " + kA}); }
};

TEST_F(Clauses, AllHold) {
  start(10);
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Clauses, ExecNotSeen) {
  make_process({10, 7, 1}, {}, {}, Origin::kInferred);
  open(10);
  call(10);
  expect("exec_not_seen");
}

TEST_F(Clauses, LossInItsLife) {
  start(10);
  open(10);
  LossEvent loss;
  loss.family = Family::kOpen;
  loss.cause = "ring_full";
  loss.count = 4;
  loss.from_ns = clock.now - kMs;
  send({}, loss, {});
  tick();
  call(10);
  expect("gap_in_life");
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].lost, 4U);
  start(11);
  open(11);
  call(11);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + kA) << "who started later is not concerned";
}

TEST_F(Clauses, LossInCgroupsOfOthersIsNoneOfItsLife) {
  const auto put = [&](std::uint32_t pid, std::uint64_t cgroup, std::uint64_t owner) {
    auto moved = std::make_shared<Process>(*process(pid));
    moved->cgroup_id = cgroup;
    moved->cgroup_owner = owner;
    processes[pid] = moved;
  };
  const auto lose = [&](std::uint64_t owner) {
    send({}, LossEvent{Family::kOpen, "budget", 4, clock.now - kMs, "flood", owner}, {});
  };
  for (std::uint32_t pid : {10U, 11U, 12U}) {
    start(pid);
    put(pid, 1000 + pid, pid);
    open(pid);
  }
  lose(99);
  lose(11);
  call(10);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + kA) << "the losses were of others";
  call(11);
  EXPECT_EQ(told().back(), "possible gap_in_life: " + kA);
  // It was in the other's cgroup when that lost something, also if it is moved out before it calls, or forks.
  put(12, 1011, 11);
  open(12);
  lose(11);
  put(12, 1012, 12);
  open(12);
  fork(12, 13);
  call(13);
  EXPECT_EQ(told().back(), "possible gap_in_life: " + kA);
}

TEST_F(Clauses, LossOfOneWorkloadIsAGapThatNamesIt) {
  start(10);
  LossEvent loss{Family::kOpen, "budget", 4, clock.now - kMs, "flood", 0};
  send({}, loss, {});
  tick();
  loss.workload = "other";
  send({}, loss, {});
  loss.workload = "flood";
  send({}, loss, {});
  tick(1);
  tick(5'000);
  collect();
  ASSERT_EQ(gaps.size(), 3U) << "the first of each at once, the rest together";
  std::uint64_t flood = 0;
  for (const GapRow& gap : gaps) {
    EXPECT_EQ(gap.cause, "budget");
    EXPECT_EQ(gap.family, "open");
    EXPECT_LT(gap.from_ns, gap.to_ns);
    if (gap.scope == "flood") flood += gap.lost.value_or(0);
  }
  EXPECT_EQ(gaps[0].text, "4 events were lost, of flood.");
  EXPECT_EQ(flood, 8U);
}

TEST_F(Clauses, HookFamilyNotArmed) {
  start(10);
  open(10);
  link->set_armed(Family::kOpen, false);
  call(10);
  expect("hooks_not_armed");
}

TEST_F(Clauses, UnclassifiedUnixSocket) {
  start(10);
  open(10);
  send(process(10)->id, UnixConnectEvent{"/srv/unknown.sock"}, process(10));
  call(10);
  expect("local_broker");
}

TEST_F(Clauses, HarmlessUnixSocketBreaksNothing) {
  start(10);
  open(10);
  send(process(10)->id, UnixConnectEvent{"/run/dbus/system_bus_socket"}, process(10));
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Clauses, UnknownLoopbackPort) {
  start(10);
  open(10);
  connect(10, 900, loopback(8200));
  payload(10, 900, "");
  call(10);
  EXPECT_EQ(told(), (Lines{"possible unknown_destination: " + kA, "possible local_broker: " + kA}));
}

TEST_F(Clauses, AProvidersNameAtAnAddressOfThisMachine) {
  start(10);
  open(10);
  call(10, kS3, loopback(443));
  expect("name_at_local_address");
  call(10, kS3, loopback(443));
  EXPECT_EQ(told().back(), "possible name_at_local_address: " + kA) << "it is no broker for itself";
  call(10);
  EXPECT_EQ(told().back(), "possible local_broker: " + kA) << "but may have been one for others";
}

TEST_F(Clauses, AProvidersNameAtALinkLocalAddress) {
  start(10);
  open(10);
  SocketAddress v4 = metadata_service(), v6;
  v4.address[3] = 77;
  v6.v6 = true;
  v6.address = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  call(10, kS3, v4);
  call(10, kS3, v6);
  EXPECT_EQ(told(), (Lines{"possible name_at_local_address: " + kA, "possible name_at_local_address: " + kA}));
}

TEST_F(Clauses, AKnownProxyOfThisMachineIsNone) {
  start(10, {.env = {shown("AWS_ENDPOINT_URL_S3", "http://localhost:4566")}});
  open(10);
  connect(10, 1, loopback(4566));
  http(10, 1, "localhost", "/");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA}) << "a variable of the program names it";
}

TEST_F(Clauses, Relay) {
  start(10, {"/usr/bin/envoy", "/usr/bin/envoy", {}, {}, false});
  open(10);
  call(10);
  expect("relay_or_hub");
}

TEST_F(Clauses, ARelaySaysThatItIsOneAndWhetherTheKeyIsItsOwn) {
  start(10, {"/usr/local/bin/aws-sigv4-proxy", "/usr/local/bin/aws-sigv4-proxy", {}, {}, false});
  open(10);
  call(10);
  start(11, {"/usr/sbin/squid", "/usr/sbin/squid", {}, {}, false});
  open(11);
  call(11);
  EXPECT_EQ(told(), (Lines{"possible relay_or_hub: " + kA, "possible relay_or_hub: " + kA}));
  EXPECT_EQ(uses[0].via, "relay aws-sigv4-proxy");
  EXPECT_EQ(uses[0].reason_detail, "adds its own key to others' requests");
  EXPECT_EQ(uses[1].via, "relay squid");
  EXPECT_EQ(uses[1].reason_detail, "carries others' requests; such a key is none of its own");
}

TEST_F(Clauses, ABackupThatTheCatalogKnowsReadsInBulk) {
  start(10, {"/usr/bin/borgmatic", "/usr/bin/borgmatic", {}, {}, false});
  open(10);
  call(10);
  expect("relay_or_hub");
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_TRUE(acquisitions[0].bulk);
}

TEST_F(Clauses, WhoReadsInBulkCallsWithTheKeyOfItsOwnEnvironment) {
  const Program backup{.exe = "/usr/bin/restic", .filename = "/usr/bin/restic", .env = aws_env(kB)};
  start(10, backup);
  open(10, "/root/.ssh/id_ed25519");
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kB});
  start(11, backup);
  open(11);
  call(11);
  EXPECT_EQ(told().back().substr(0, 22), "possible several_keys:") << "it may have taken the one that it read, too";
}

TEST_F(Clauses, AHubCallsWithItsOwnKindsAndForOthersWithTheRest) {
  const std::string session = "ASIAAAAAAAAAAAAAAAA2";
  KeyFact fact = aws_fact(session);
  fact.key.kind = "aws.session";
  examiner.files["/home/u/.aws/credentials"] = file_of({fact});
  const Program hub{.exe = "/usr/bin/karpenter", .filename = "/usr/bin/karpenter"};
  start(10, hub);
  open(10, "/home/u/.aws/credentials");
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + session});
  start(11, hub);
  open(11);
  call(11);
  EXPECT_EQ(told().back(), "possible relay_or_hub: " + kA);
}

TEST_F(Clauses, ConnectionOlderThanTheKey) {
  start(10);
  connect(10, 1);
  open(10);
  payload(10, 1);
  expect("opened_before_key");
}

TEST_F(Clauses, ASecondKeyReadLaterDoesNotCountForAnEarlierPayload) {
  start(10, {.env = aws_env(kB)});
  connect(10, 1);
  payload(10, 1);
  open(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kB});
}

TEST_F(Clauses, UnidentifiedFile) {
  FileAnswer unread;
  unread.unread = "too large";
  examiner.files[kCredentials] = unread;
  start(10, {.env = aws_env(kA)});
  open(10);
  call(10);
  expect("unidentified_file");
  EXPECT_EQ(acquired().back(), "file " + kCredentials + " [] unread too large by 10");
  open(10);
  EXPECT_EQ(acquired().size(), 2U) << "said once";
}

TEST_F(Clauses, AnUnidentifiedFileOfAnotherKindDoesNotMatter) {
  FileAnswer unread;
  unread.unread = "gone";
  examiner.files["/root/.ssh/id_ed25519"] = unread;
  start(10, {.env = aws_env(kA)});
  open(10, "/root/.ssh/id_ed25519");
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Clauses, SniThatContradictsTheProcessesOwnDns) {
  start(10);
  open(10);
  dns(10, "elsewhere.test", ip(1));
  call(10);
  expect("names_contradict");
  EXPECT_TRUE(uses[0].destination.ambiguous);
}

TEST_F(Clauses, AnotherTenantOfTheProviderIsAnother) {
  start(10);
  open(10);
  dns(10, "evil-123.eu-west-1.elb.amazonaws.com", ip(1));
  call(10, "sts.eu-west-1.amazonaws.com");
  expect("names_contradict");
}

TEST_F(Clauses, TheAddressAsAHostContradictsNoName) {
  KeyFact fact;
  fact.key.id = "http.basic_password:robot@198.51.100.1 #1";
  fact.key.kind = "http.basic_password";
  fact.selector = fact.host = "198.51.100.1";
  examiner.files["/root/.netrc"] = file_of({fact});
  start(10);
  open(10, "/root/.netrc");
  dns(10, "files.corp.test", ip(1));
  connect(10, 1, ip(1, 80));
  http(10, 1, "198.51.100.1", "/");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + fact.key.id});
}

TEST_F(Clauses, AGarbledNameDoesNotHideTheDestination) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  call(10, "a.b.c.test");
  EXPECT_EQ(told(), Lines{"possible names_contradict: " + kA});
  EXPECT_EQ(uses[0].destination.host, kS3);
}

TEST_F(Clauses, OwnDnsThatAgrees) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  call(10);
  call(10, "");
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kA, "inferred only_key_held: " + kA}));
  EXPECT_EQ(uses[1].destination.name_source, NameSource::kDns);
}

TEST_F(Clauses, AnAddressSharedByTwoServicesIsAmbiguous) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  dns(10, "sts.amazonaws.com", ip(1));
  call(10, "");
  expect("names_contradict");
}

TEST_F(Clauses, AnotherProcessesDnsNamesButDoesNotContradict) {
  start(9);
  dns(9, "elsewhere.test", ip(1));
  start(10);
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

}  // namespace
}  // namespace keytrail::link
