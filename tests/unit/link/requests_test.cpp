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

}  // namespace
}  // namespace keytrail::link
