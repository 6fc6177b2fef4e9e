// SPDX-License-Identifier: Apache-2.0
// When a use is told and what is one: answers that are waited for, connections, requests on them, brokers.
#include "agent/link/exchange.h"
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";

class UsesTest : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
};

// Waiting for answers.
TEST_F(UsesTest, AUseWaitsForTheExaminationOfAnEarlierOpen) {
  examiner.hold = true;
  start(10);
  open(10);
  call(10);
  EXPECT_TRUE(told().empty());
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(UsesTest, AUseDoesNotWaitForALaterOpen) {
  examiner.hold = true;
  start(10, {.env = aws_env(kB)});
  call(10);
  open(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kB});
}

TEST_F(UsesTest, AfterHalfASecondTheUseIsWeighedWithoutTheAnswer) {
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

TEST_F(UsesTest, AProcessThatEndedBeforeTheAnswerIsStillNamed) {
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

TEST_F(UsesTest, AChildForkedBeforeTheAnswerInheritsTheKey) {
  examiner.hold = true;
  start(10);
  open(10);
  fork(10, 11);
  call(11);
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(acquired().size(), 1U);
}

TEST_F(UsesTest, AnExecBeforeTheAnswerLosesTheKey) {
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
TEST_F(UsesTest, BytesThatFollowMoveTheUse) {
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

TEST_F(UsesTest, AFailedConnectIsNoUse) {
  start(10);
  open(10);
  connect(10, 1);
  socket(1, SocketState::kFailed);
  EXPECT_TRUE(told().empty());
}

TEST_F(UsesTest, AConnectionWhosePayloadWasNotSeenIsAUseByItsBytes) {
  start(10);
  open(10);
  dns(10, kS3, ip(1));
  connect(10, 1);
  socket(1, SocketState::kClosed, 500);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].bytes_sent, 500U);
}

TEST_F(UsesTest, QuicNeedsBytesAndAName) {
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

TEST_F(UsesTest, AConnectProxyNamesItsTarget) {
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

TEST_F(UsesTest, ADestinationVariableBindsAnAddress) {
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
TEST_F(UsesTest, EveryReadableRequestIsAUseAndTheConnectionCountsOnce) {
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

TEST_F(UsesTest, ALaterPayloadThatIsNoRequestBelongsToTheConnection) {
  start(10);
  open(10);
  call(10);
  payload(10, cookies);
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(UsesTest, ASecondWriterOfAConnectionIsNamedForItsOwnRequest) {
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

TEST_F(UsesTest, SshReadsItsKeyAfterItConnected) {
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

TEST_F(UsesTest, ABrokersKeyIsPossibleAtMost) {
  start(10, {"/usr/bin/ssh", "/usr/bin/ssh", {}, {}, false});
  send(process(10)->id, UnixConnectEvent{"/tmp/ssh-abc/agent.7"}, process(10));
  connect(10, 1, ip(3, 22));
  payload(10, 1, "");
  exit(10);
  EXPECT_EQ(told(), Lines{"possible local_broker: ssh.private_key@/tmp/ssh-abc/agent.7"});
  EXPECT_EQ(acquired(), Lines{"broker /tmp/ssh-abc/agent.7 [] ssh.private_key@/tmp/ssh-abc/agent.7 by 10"});
}

TEST_F(UsesTest, AKeyThatWasLoadedIntoAnAgentIsTheOneThatItsClientsBorrow) {
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

TEST_F(UsesTest, SoIsAKeyThatSshAddGotThroughAPipe) {
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

TEST_F(UsesTest, ASocketThatAVariableNamesIsTheBrokerThatTheVariableSays) {
  start(10, {.exe = "/usr/bin/ssh",
             .filename = "/usr/bin/ssh",
             .env = {shown("SSH_AUTH_SOCK", "/var/run/user/7/my.sock"),
                     shown("SPIFFE_ENDPOINT_SOCKET", "unix:///srv/spiffe/api.sock")}});
  send(process(10)->id, UnixConnectEvent{"/run/user/7/my.sock"}, process(10));
  send(process(10)->id, UnixConnectEvent{"/srv/spiffe/api.sock"}, process(10));
  EXPECT_EQ(acquired(), (Lines{"broker /run/user/7/my.sock [] ssh.private_key@/run/user/7/my.sock by 10",
                               "broker /srv/spiffe/api.sock [] spiffe.jwt_svid@/srv/spiffe/api.sock by 10"}));
}

TEST_F(UsesTest, ASecretInAnArgumentIsAnAcquisition) {
  start(10, {.args = {flag("--secret", "secret of " + kA)}});
  EXPECT_TRUE(acquired().empty()) << "a hash that nobody knows is no key";
  start(11);
  open(11);
  start(12, {.args = {flag("--secret", "secret of " + kA)}});
  EXPECT_EQ(acquired().back(), "argument --secret [] " + kA + " by 12");
}

}  // namespace
}  // namespace keytrail::link
