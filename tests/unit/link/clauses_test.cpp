// SPDX-License-Identifier: Apache-2.0
// Each clause of the closed world broken by events, and what holds a use back or weakens it. All other clauses hold in
// each test.
#include "agent/link/exchange.h"
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

TEST_F(Clauses, LossOfOneWorkloadIsAGapThatNamesIt) {
  start(10);
  LossEvent loss{Family::kOpen, "budget", 4, clock.now - kMs, "flood"};
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

// Waiting for answers.
TEST_F(Clauses, AUseWaitsForTheExaminationOfAnEarlierOpen) {
  examiner.hold = true;
  start(10);
  open(10);
  call(10);
  EXPECT_TRUE(told().empty());
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Clauses, AUseDoesNotWaitForALaterOpen) {
  examiner.hold = true;
  start(10, {.env = aws_env(kB)});
  call(10);
  open(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kB});
}

TEST_F(Clauses, AfterHalfASecondTheUseIsWeighedWithoutTheAnswer) {
  examiner.hold = true;
  start(10, {.env = aws_env(kB)});
  open(10);
  call(10);
  tick(499);
  EXPECT_TRUE(told().empty());
  tick(2);
  EXPECT_EQ(told(), Lines{"possible unidentified_file: " + kB});
  examiner.answer_all();
  EXPECT_EQ(acquired().size(), 2U) << "the late answer is still an acquisition";
}

TEST_F(Clauses, AProcessThatEndedBeforeTheAnswerIsStillNamed) {
  examiner.hold = true;
  start(10);
  open(10);
  call(10);
  exit(10);
  collect();
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_FALSE(holders.contains(10));
}

TEST_F(Clauses, AChildForkedBeforeTheAnswerInheritsTheKey) {
  examiner.hold = true;
  start(10);
  open(10);
  fork(10, 11);
  call(11);
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(acquired().size(), 1U);
}

TEST_F(Clauses, AnExecBeforeTheAnswerLosesTheKey) {
  examiner.hold = true;
  start(10);
  open(10);
  exec(10, {"/usr/bin/other", "/usr/bin/other", {}, {}, false});
  call(10);
  examiner.answer_all();
  tick(600);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA});
}

// Connections.
TEST_F(Clauses, BytesThatFollowMoveTheUse) {
  start(10);
  open(10);
  call(10);
  socket(cookies, SocketState::kSample, 100);
  socket(cookies, SocketState::kSample, 100);
  socket(cookies, SocketState::kClosed, 150);
  collect();
  ASSERT_EQ(uses.size(), 1U);
  ASSERT_EQ(touches.size(), 2U) << "no bytes, no touch";
  EXPECT_EQ(touches[0].use.bytes_sent, 100U);
  EXPECT_EQ(touches[1].use.bytes_sent, 50U);
  EXPECT_EQ(touches[0].use.connections, 0U);
  EXPECT_EQ(touches[0].use.keys.at(0).key.id, kA);
}

TEST_F(Clauses, AFailedConnectIsNoUse) {
  start(10);
  open(10);
  connect(10, 1);
  socket(1, SocketState::kFailed);
  EXPECT_TRUE(told().empty());
}

TEST_F(Clauses, AConnectionWhosePayloadWasNotSeenIsAUseByItsBytes) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  connect(10, 1);
  socket(1, SocketState::kClosed, 500);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].bytes_sent, 500U);
}

TEST_F(Clauses, QuicNeedsBytesAndAName) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  connect(10, 1, ip(1), true);
  connect(10, 2, ip(1, 53), true);
  payload(10, 2, "");
  EXPECT_TRUE(told().empty()) << "a resolver's sorting connects and sends nothing";
  payload(10, 1, "");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kDns);
}

TEST_F(Clauses, AConnectProxyNamesItsTarget) {
  start(10);
  open(10);
  connect(10, 1, ip(9, 3128));
  PayloadEvent event;
  event.cookie = 1;
  event.protocol = PayloadEvent::Protocol::kHttpConnect;
  event.name = kS3;
  event.port = 443;
  send(process(10)->id, event, process(10));
  hello(10, 1);
  tls_data(10, 1);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kConnectProxy);
  EXPECT_TRUE(uses[0].destination.claimed);
  EXPECT_EQ(uses[0].destination.port, 443);
  EXPECT_EQ(uses[0].via, "proxy 198.51.100.9:3128");
}

TEST_F(Clauses, ADestinationVariableBindsAnAddress) {
  KeyFact token;
  token.key.id = "kid/jti";
  token.key.kind = "k8s.service_account_token";
  const std::string path = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  examiner.files[path] = file_of({token});
  start(10, {.env = {shown("KUBERNETES_SERVICE_HOST", "198.51.100.5"), shown("KUBERNETES_SERVICE_PORT", "443")}});
  open(10, path);
  call(10, "", ip(5));
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kEnvironment);
  EXPECT_EQ(uses[0].destination.provider, "kubernetes");
  EXPECT_EQ(uses[0].keys.at(0).key.id, "kid/jti");
}

// Exchanges.
TEST_F(Clauses, EveryReadableRequestIsAUseAndTheConnectionCountsOnce) {
  start(10);
  open(10);
  connect(10, 1, ip(1, 80));
  http(10, 1, kS3, "/bucket/one");
  http(10, 1, kS3, "/bucket/two");
  socket(1, SocketState::kClosed, 700);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kA, "inferred only_key_held: " + kA}));
  EXPECT_EQ(uses[0].connections, 1U);
  EXPECT_EQ(uses[0].requests, std::nullopt);
  EXPECT_EQ(uses[1].connections, 0U) << "the same connection";
  EXPECT_EQ(uses[1].requests, 1U);
  ASSERT_EQ(touches.size(), 1U);
  EXPECT_EQ(touches[0].use.bytes_sent, 700U);
}

TEST_F(Clauses, ALaterPayloadThatIsNoRequestBelongsToTheConnection) {
  start(10);
  open(10);
  call(10);
  payload(10, cookies);
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(Clauses, ASecondWriterOfAConnectionIsNamedForItsOwnRequest) {
  start(10);
  open(10);
  connect(10, 1, ip(1, 80));
  http(10, 1, kS3, "/bucket/one");
  start(11, {.env = aws_env(kB)});
  http(11, 1, kS3, "/bucket/two");
  EXPECT_EQ(told().size(), 2U);
  EXPECT_EQ(uses[1].actor.id.tgid, 11U);
  EXPECT_EQ(uses[1].keys.at(0).key.id, kB);
}

TEST(Connection, OldExchangesAreForgotten) {
  Connection connection;
  const auto writer = std::make_shared<Instance>();
  const ExchangeRef first = connection.open(writer, 1, std::nullopt);
  first->use = std::make_shared<UseRow>();
  EXPECT_EQ(connection.latest_use(), first->use.get());
  for (std::uint64_t i = 0; i < 100; ++i)
    (void)connection.open(writer, i, RequestSeen{.method = "GET"});
  EXPECT_EQ(connection.exchanges.size(), Connection::kMaxExchanges);
  EXPECT_EQ(connection.latest_use(), nullptr);
}

TEST_F(Clauses, SshReadsItsKeyAfterItConnected) {
  KeyFact fact;
  fact.key.id = "SHA256:x";
  fact.key.kind = "ssh.private_key";
  examiner.files["/root/.ssh/id_ed25519"] = file_of({fact});
  start(10, {"/usr/bin/ssh", "/usr/bin/ssh", {}, {}, false});
  dns(10, "host.example.net", ip(3));
  connect(10, 1, ip(3, 22));
  PayloadEvent banner;
  banner.cookie = 1;
  banner.protocol = PayloadEvent::Protocol::kSsh;
  send(process(10)->id, banner, process(10));
  open(10, "/root/.ssh/id_ed25519");
  EXPECT_TRUE(told().empty());
  socket(1, SocketState::kClosed, 3'000);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: SHA256:x"});
  EXPECT_EQ(uses[0].destination.provider, "ssh");
  EXPECT_EQ(uses[0].destination.host, "host.example.net");
}

TEST_F(Clauses, ABrokersKeyIsPossibleAtMost) {
  start(10, {"/usr/bin/ssh", "/usr/bin/ssh", {}, {}, false});
  send(process(10)->id, UnixConnectEvent{"/tmp/ssh-abc/agent.7"}, process(10));
  connect(10, 1, ip(3, 22));
  payload(10, 1, "");
  exit(10);
  EXPECT_EQ(told(), Lines{"possible local_broker: ssh.private_key@/tmp/ssh-abc/agent.7"});
  EXPECT_EQ(acquired(), Lines{"broker /tmp/ssh-abc/agent.7 [] ssh.private_key@/tmp/ssh-abc/agent.7 by 10"});
}

TEST_F(Clauses, AKeyThatWasLoadedIntoAnAgentIsTheOneThatItsClientsBorrow) {
  KeyFact loaded;
  loaded.key.kind = "ssh.private_key";
  loaded.key.id = "SHA256:loaded";
  examiner.files["/root/.ssh/id_ed25519"] = file_of({loaded});
  const UnixConnectEvent agent{"/tmp/ssh-abc/agent.7"};
  start(10, {.exe = "/usr/bin/ssh-add", .filename = "/usr/bin/ssh-add"});
  send(process(10)->id, agent, process(10));
  open(10, "/root/.ssh/id_ed25519");
  exit(10);
  start(11, {.exe = "/usr/bin/ssh", .filename = "/usr/bin/ssh"});
  send(process(11)->id, agent, process(11));
  connect(11, 1, ip(3, 22));
  payload(11, 1, "");
  exit(11);
  EXPECT_EQ(acquired(), (Lines{"file /root/.ssh/id_ed25519 [] SHA256:loaded by 10",
                               "broker /tmp/ssh-abc/agent.7 [] SHA256:loaded by 11"}));
  EXPECT_EQ(told(), Lines{"possible local_broker: SHA256:loaded"});
}

TEST_F(Clauses, SoIsAKeyThatSshAddGotThroughAPipe) {
  KeyFact loaded;
  loaded.key.kind = "ssh.private_key";
  loaded.key.id = "SHA256:loaded";
  examiner.files["/root/.ssh/id_ed25519"] = file_of({loaded});
  const UnixConnectEvent agent{"/tmp/ssh-abc/agent.7"};
  start(10, {.exe = "/usr/bin/cat", .filename = "/usr/bin/cat", .stdout_pipe = 7});
  start(11, {.exe = "/usr/bin/ssh-add", .filename = "/usr/bin/ssh-add", .stdin_pipe = 7});
  open(10, "/root/.ssh/id_ed25519");
  exit(10);
  send(process(11)->id, agent, process(11));
  exit(11);
  start(12, {.exe = "/usr/bin/ssh", .filename = "/usr/bin/ssh"});
  send(process(12)->id, agent, process(12));
  EXPECT_EQ(acquired().back(), "broker /tmp/ssh-abc/agent.7 [] SHA256:loaded by 12");
}

TEST_F(Clauses, ASocketThatAVariableNamesIsTheBrokerThatTheVariableSays) {
  start(10, {.exe = "/usr/bin/ssh",
             .filename = "/usr/bin/ssh",
             .env = {shown("SSH_AUTH_SOCK", "/var/run/user/7/my.sock"),
                     shown("SPIFFE_ENDPOINT_SOCKET", "unix:///srv/spiffe/api.sock")}});
  send(process(10)->id, UnixConnectEvent{"/run/user/7/my.sock"}, process(10));
  send(process(10)->id, UnixConnectEvent{"/srv/spiffe/api.sock"}, process(10));
  EXPECT_EQ(acquired(), (Lines{"broker /run/user/7/my.sock [] ssh.private_key@/run/user/7/my.sock by 10",
                               "broker /srv/spiffe/api.sock [] spiffe.jwt_svid@/srv/spiffe/api.sock by 10"}));
}

TEST_F(Clauses, ASecretInAnArgumentIsAnAcquisition) {
  start(10, {.args = {flag("--secret", "secret of " + kA)}});
  EXPECT_TRUE(acquired().empty()) << "a hash that nobody knows is no key";
  start(11);
  open(11);
  start(12, {.args = {flag("--secret", "secret of " + kA)}});
  EXPECT_EQ(acquired().back(), "argument --secret [] " + kA + " by 12");
}

}  // namespace
}  // namespace keytrail::link
