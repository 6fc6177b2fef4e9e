// SPDX-License-Identifier: Apache-2.0
// A use needs a request: a handshake alone is none, what a metadata service refuses is no key, and a connection that
// stays open is weighed again when its writer got another key.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kRole = "/latest/meta-data/iam/security-credentials/web";

class Requests : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  /// A process that asks for its role's key and then calls S3: what the use is.
  std::string after_metadata(std::uint32_t pid, std::uint16_t status, const std::string& method = "GET") {
    start(pid);
    connect(pid, pid, metadata_service());
    http(pid, pid, "169.254.169.254", kRole, method);
    if (status != 0) answer(pid, pid, status);
    if (status == 0) socket(pid, SocketState::kClosed, 200, 900);
    call(pid);
    return told().back();
  }
};

TEST_F(Requests, AHandshakeWithoutARequestIsNoUse) {
  start(10);
  open(10);
  connect(10, 1);
  hello(10, 1);
  tick(60'000);
  EXPECT_TRUE(told().empty());
  socket(1, SocketState::kClosed, 700);
  tick(1'000);
  EXPECT_TRUE(told().empty()) << "not at its end either";
}

TEST_F(Requests, AHandshakeThatFailedIsNoUse) {
  start(10);
  open(10);
  connect(10, 1);
  hello(10, 1);
  socket(1, SocketState::kFailed);
  tick(1'000);
  EXPECT_TRUE(told().empty());
}

TEST_F(Requests, TheFirstBytesBeyondTheHandshakeAreTheUse) {
  start(10);
  open(10);
  connect(10, 1);
  hello(10, 1);
  tls_data(10, 1);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].destination.host, kS3) << "by the name in its ClientHello";
  tls_data(10, 1);
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(Requests, TheUseIsOfTheProcessThatWroteTheRequest) {
  start(10);
  connect(10, 1);
  hello(10, 1);
  fork(10, 11);
  open(11);
  tls_data(11, 1);
  ASSERT_EQ(told(), Lines{"possible opened_before_key: " + kA});
  EXPECT_EQ(uses[0].actor.id.tgid, 11U);
}

TEST_F(Requests, MoreBytesThanAnyHandshakeHasAreAUseWhateverWasSeen) {
  start(10);
  open(10);
  connect(10, 1);
  hello(10, 1);
  socket(1, SocketState::kClosed, 100'000);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Requests, AnOpenConnectionIsWeighedAgainWhenItsWriterGotAKey) {
  start(10);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
  open(10);
  tick(10);
  EXPECT_EQ(told().size(), 1U) << "nothing was sent with it yet";
  socket(cookies, SocketState::kSample, 5'000);
  EXPECT_EQ(told().back(), "possible opened_before_key: " + kA);
  socket(cookies, SocketState::kSample, 6'000);
  socket(cookies, SocketState::kClosed, 7'000);
  EXPECT_EQ(told().size(), 2U) << "once for each key";
}

TEST_F(Requests, SoIsOneWhoseWriterEndedFirst) {
  start(10);
  call(10);
  open(10);
  exit(10);
  socket(cookies, SocketState::kClosed, 5'000);
  EXPECT_EQ(told().back(), "possible opened_before_key: " + kA);
}

TEST_F(Requests, SoIsOneWhoseFileIsStillLookedAt) {
  start(10);
  call(10);
  examiner.hold = true;
  open(10);
  socket(cookies, SocketState::kClosed, 5'000);
  exit(10);
  examiner.answer_all();
  EXPECT_EQ(told().back(), "possible opened_before_key: " + kA);
}

TEST_F(Requests, AKeyThatIsNotTakenThereChangesNothing) {
  KeyFact other;
  other.key.id = "SHA256:x";
  other.key.kind = "ssh.private_key";
  examiner.files["/root/.ssh/id_rsa"] = file_of({other});
  start(10);
  open(10);
  call(10);
  open(10, "/root/.ssh/id_rsa");
  socket(cookies, SocketState::kSample, 5'000);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Requests, OnlyASuccessOfAMetadataServiceHandsOutAKey) {
  const std::string role = "inferred issued_by_role: aws.session@role/web", none = "unattributed no_key_seen:";
  EXPECT_EQ(after_metadata(10, 200), role);
  EXPECT_EQ(after_metadata(11, 401), none);
  EXPECT_EQ(after_metadata(12, 404), none);
  EXPECT_EQ(after_metadata(13, 500), none);
  EXPECT_EQ(after_metadata(14, 200, "HEAD"), none);
  EXPECT_EQ(after_metadata(15, 0), role) << "the answer was not seen, but bytes came";
  EXPECT_EQ(acquired().size(), 1U) << "of one workload and program";
}

SocketAddress at(std::array<std::uint8_t, 4> address, std::uint16_t port) {
  SocketAddress out;
  std::ranges::copy(address, out.address.begin());
  out.port = port;
  return out;
}

const std::string kGoogle = "/computeMetadata/v1/instance/service-accounts/default/token";
const std::string kGcs = "storage.googleapis.com", kBlob = "a.blob.core.windows.net";

struct Named {
  EnvItem variable;
  SocketAddress remote;
  std::string path;
  std::string called;  ///< with what it got
  std::string expected;
};

TEST_F(Requests, AVariableNamesAMetadataServiceAnywhere) {
  const std::string certain = "inferred issued_by_role: ", guessed = "possible parent_or_issued: ";
  const auto amazon = shown("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://10.0.0.5:1338/");
  const auto azure = shown("IDENTITY_ENDPOINT", "http://localhost:42000/msi/token/");
  const Named cases[] = {
      {shown("GCE_METADATA_HOST", "127.0.0.1:8081"), loopback(8081), kGoogle, kGcs,
       certain + "gcp.access_token@role/default"},
      {shown("GCE_METADATA_HOST", "127.0.0.1:8081"), loopback(8081), "/computeMetadata/v1/project/project-id", kGcs,
       guessed + "gcp.access_token@role"},
      {shown("GCE_METADATA_HOST", "127.0.0.1:8082"), loopback(8081), "/health", kGcs, "unattributed local_broker:"},
      {shown("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:51000/creds?a=b"), loopback(51000), "/creds?a=b",
       kS3, certain + "aws.session@role"},
      {amazon, at({10, 0, 0, 5}, 1338), kRole, kS3, certain + "aws.session@role/web"},
      {amazon, at({10, 0, 0, 5}, 1338), "/latest/api/token", kS3, guessed + "aws.session@role"},
      {azure, loopback(42000), "/msi/token/?resource=x", kBlob, certain + "azure.access_token@role"},
      {shown("MSI_ENDPOINT", "http://localhost:50342/oauth2/token"), loopback(50342), "/oauth2/token?resource=x", kBlob,
       certain + "azure.access_token@role"},
  };
  std::uint32_t pid = 10;
  for (const Named& one : cases) {
    start(++pid, {.env = {one.variable}});
    connect(pid, pid, one.remote);
    http(pid, pid, "localhost", one.path);
    EXPECT_TRUE(told().empty() || uses.back().actor.id.tgid != pid) << "nothing is sent to it that is a key";
    call(pid, one.called);
    EXPECT_EQ(told().back(), one.expected) << one.variable.name << " " << one.path;
  }
  start(++pid, {.env = {azure}});
  connect(pid, pid, loopback(42000));
  payload(pid, pid, "localhost");
  call(pid, kBlob);
  EXPECT_EQ(told().back(), guessed + "azure.access_token@role") << "inside TLS nobody sees what it was asked for";
  start(++pid, {.env = {amazon}});
  connect(pid, pid, at({10, 0, 0, 5}, 1338));
  http(pid, pid, "10.0.0.5", kRole, "HEAD");
  call(pid);
  EXPECT_EQ(told().back(), guessed + "aws.session@role") << "what follows on the connection is not seen";
  for (const auto& [holder, keys] : holders)
    EXPECT_FALSE(keys.contains("aws.session@role") && holder != 14) << "what is only guessed is no key: " << holder;
}

TEST_F(Requests, AMetadataServicesNameAloneMakesNoPlaceOne) {
  const std::string away = "possible unknown_destination: " + kA;
  start(10);
  open(10);
  connect(10, 1, ip(66));
  http(10, 1, "metadata.google.internal", kGoogle, "POST");
  EXPECT_EQ(told(), Lines{away}) << "the key may have been sent there";
  call(10, kGcs);
  EXPECT_EQ(told().back(), "unattributed no_key_of_this_kind:");
  start(11);
  open(11);
  connect(11, 2, ip(66));
  http(11, 2, "instance-data", kRole, "POST");
  EXPECT_EQ(told().back(), away);
  call(11);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + kA);
  start(12);
  dns(12, "metadata.google.internal", ip(67));
  connect(12, 3, ip(67));
  http(12, 3, "metadata.google.internal", kGoogle);
  call(12, kGcs);
  EXPECT_EQ(told().back(), "inferred issued_by_role: gcp.access_token@role/default") << "its own DNS bears it out";
}

TEST_F(Requests, WhatANamedMetadataServiceMayHaveGivenCountsBesideAnotherKey) {
  const Program program{.env = {shown("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://10.0.0.5:1338")}};
  const SocketAddress service = at({10, 0, 0, 5}, 1338);
  examiner.files[kCredentials] = file_of({aws_fact(kA, "backup")});
  start(10, program);
  open(10);
  connect(10, 1, service);
  http(10, 1, "10.0.0.5", "/latest/api/token", "PUT");
  call(10);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kA + " aws.session@role"});
  start(11, program);
  connect(11, 2, service);
  http(11, 2, "10.0.0.5", "/latest/api/token", "PUT");
  connect(11, 3, service);
  http(11, 3, "10.0.0.5", kRole);
  call(11);
  EXPECT_EQ(told().back(), "inferred issued_by_role: aws.session@role/web") << "seen since, so not guessed";
}

TEST_F(Requests, AFirstRequestForAKeyOfAnotherKindIsNotAllThatWasAsked) {
  start(10, {.env = {shown("GCE_METADATA_HOST", "10.0.0.9:8081")}});
  connect(10, 1, at({10, 0, 0, 9}, 8081));
  http(10, 1, "10.0.0.9", "/computeMetadata/v1/instance/service-accounts/default/identity");
  call(10, kGcs);
  EXPECT_EQ(told(), Lines{"possible parent_or_issued: gcp.access_token@role"});
}

TEST_F(Requests, AVariableThatIsReadLaterNamesAMetadataServiceToo) {
  examiner.hold = true;
  examiner.environments[20].env = {shown("GCE_METADATA_HOST", "10.0.0.9:8081")};
  const ProcessRef old = make_process({20, 5, 3}, {}, {}, Origin::kBaseline);
  send(old->id, TaskEvent{}, old, {}, true);
  connect(20, 1, at({10, 0, 0, 9}, 8081));
  http(20, 1, "10.0.0.9", "/computeMetadata/v1/project/project-id");
  examiner.hold = false;
  tick();
  EXPECT_TRUE(told().empty());
  call(20, kGcs);
  EXPECT_EQ(told(), Lines{"possible parent_or_issued: gcp.access_token@role"});
}

TEST_F(Requests, APodsTokenIsSpentForItsRole) {
  KeyFact token;
  token.key.id = "fp:1";
  token.key.kind = "k8s.projected_token";
  const std::string place = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";
  examiner.files[place] = file_of({token});
  const auto run = [&](std::uint32_t pid, std::uint16_t status) {
    start(pid, {.env = {shown("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
                        shown("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", place)}});
    open(pid, place);
    connect(pid, pid, at({169, 254, 170, 23}, 80));
    http(pid, pid, "169.254.170.23", "/v1/credentials");
    answer(pid, pid, status);
    call(pid);
  };
  run(10, 200);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: fp:1", "inferred issued_by_role: aws.session@role"}));
  EXPECT_EQ(uses[0].destination.service, "container-credentials");
  run(11, 401);
  EXPECT_EQ(told().back(), "unattributed no_key_of_this_kind:");
}

}  // namespace
}  // namespace keytrail::link
