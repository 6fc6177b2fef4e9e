// SPDX-License-Identifier: Apache-2.0
// What one program writes into another one's pipe: who gets it, what is handed over, and what is not. Without a writer
// that ends: relatives_test.cpp.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";
const std::vector<std::string> kHandedOver{"possible from_helper: " + kA};

Program shell(std::uint32_t stdout_pipe = 0) {
  return {.exe = "/usr/bin/bash", .filename = "/bin/bash", .stdout_pipe = stdout_pipe};
}
Program cat(std::uint32_t stdin_pipe, std::uint32_t stdout_pipe) {
  return {.exe = "/usr/bin/cat", .filename = "/bin/cat", .stdin_pipe = stdin_pipe, .stdout_pipe = stdout_pipe};
}

class Pipes : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  /// A child of `parent` that reads the key and writes into a pipe.
  void take(std::uint32_t parent, std::uint32_t pid, std::uint32_t stdout_pipe) {
    fork(parent, pid);
    exec(pid, cat(0, stdout_pipe));
    open(pid);
    exit(pid);
  }
};

TEST_F(Pipes, ACallerGetsWhatItsChildWroteIntoItsPipe) {
  start(10);
  take(10, 11, 7);
  EXPECT_EQ(acquired().size(), 1U) << "who took it is the row";
  call(10);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, AHelperThatAnEntryNamesCountsBeforeTheDefaultOfTheFile) {
  KeyFact process;
  process.selector = "ci";
  process.selector_hash = fingerprint_of("ci");
  process.key.parent = "credential_process";
  examiner.files["/root/.aws/config"] = file_of({process});
  examiner.files["/srv/app/.aws/credentials"] = file_of({aws_fact(kB, {})});
  const auto run = [&](std::uint32_t pid, const Program& program) {
    start(pid, program);
    open(pid, kCredentials);
    open(pid, "/root/.aws/config");
    fork(pid, pid + 1);
    exec(pid + 1, cat(0, 7));
    open(pid + 1, "/srv/app/.aws/credentials");
    exit(pid + 1);
    call(pid);
    return told().back();
  };
  const std::string helper = "possible from_helper: " + kB + " " + kA;
  EXPECT_EQ(run(10, {}), helper) << "boto3 with the profile in its code";
  EXPECT_EQ(run(20, aws_program({}, {flag("--profile", "ci")})), helper);
  EXPECT_EQ(run(30, aws_program({}, {flag("--profile", "default")})), "inferred selector: " + kA) << "it was told";
}

TEST_F(Pipes, AChildWithoutAPipeHandsNothingOver) {
  start(10);
  take(10, 11, 0);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
}

TEST_F(Pipes, TheProgramThatReadsThePipeGetsIt) {
  start(10, shell());
  fork(10, 12);
  exec(12, {.stdin_pipe = 7});
  take(10, 11, 7);
  call(12);
  EXPECT_EQ(told(), kHandedOver);
  call(10);
  EXPECT_EQ(told().back(), "unattributed no_key_seen:") << "a shell does not read its pipelines";
}

TEST_F(Pipes, WhoMayHaveHandedAKeyToWhomIsToldOnce) {
  start(10, shell());
  fork(10, 12);
  exec(12, {.stdin_pipe = 7});
  examiner.hold = true;  // the writer is gone before its file is known
  take(10, 11, 7);
  examiner.hold = false;
  examiner.answer_all();
  call(12);
  call(12);
  collect();
  ASSERT_EQ(children.size(), 1U);
  EXPECT_TRUE(children[0].handed);
  EXPECT_EQ(children[0].process.tgid, 12U);
  EXPECT_EQ(children[0].parent.tgid, 11U);
}

TEST_F(Pipes, AReaderThatBeginsAfterItsWriterEnded) {
  start(10, shell());
  take(10, 11, 7);
  fork(10, 12);
  exec(12, {.stdin_pipe = 7});
  call(12);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, OverSeveralPrograms) {
  start(10, shell());
  fork(10, 20);  // the shell's fork for $(…)
  fork(20, 22);
  exec(22, cat(7, 8));  // $(cat key | tr …)
  take(20, 11, 7);
  exit(22);
  exit(20);
  call(10);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, ThroughAProgramThatWritesIntoTheSamePipe) {
  start(10);
  fork(10, 11);
  exec(11, shell(7));
  take(11, 12, 7);
  exit(11);
  call(10);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, WhoCalledTookItsKeyForThat) {
  start(10);
  fork(10, 11);
  exec(11, cat(0, 7));
  open(11);
  call(11);
  exit(11);
  call(10);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kA, "unattributed no_key_seen:"}));
}

TEST_F(Pipes, ADatagramIsNoCall) {
  const auto run = [&](std::uint32_t pid, std::uint16_t port) {
    start(pid, {.env = aws_env(kB)});
    fork(pid, pid + 1);
    exec(pid + 1, cat(0, 7));
    open(pid + 1);
    connect(pid + 1, ++cookies, ip(2, port), true);
    exit(pid + 1);
    call(pid);
    return told().back();
  };
  EXPECT_EQ(run(10, 8125), "possible several_keys: " + kB + " " + kA) << "it counted something";
  EXPECT_EQ(run(20, 443), "inferred only_key_held: " + kB) << "QUIC";
}

TEST_F(Pipes, WhatAnIssuerGaveItIsPossibleForWhoeverReadsItsPipe) {
  start(10, shell());
  fork(10, 12);
  exec(12, {.stdin_pipe = 7});
  fork(10, 11);
  exec(11, {.env = aws_env(kB), .stdout_pipe = 7});
  call(11, "api.ecr.eu-west-1.amazonaws.com");
  exit(11);
  call(12, "123456789012.dkr.ecr.eu-west-1.amazonaws.com");
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kB, "possible from_helper: aws.ecr_password@" + kB}));
}

TEST_F(Pipes, AKeyOfAHelperThatNobodySawLeavesNothingCertain) {
  const std::string unsure = "possible unidentified_file: " + kB;
  start(10, {.env = aws_env(kB)});
  fork(10, 11);
  exec(11, {.exe = "/usr/bin/bash", .filename = "/usr/bin/pass", .stdout_pipe = 7});
  exit(11);
  call(10);
  EXPECT_EQ(told().back(), unsure) << "from a keyring";
  start(20, {.env = aws_env(kB)});
  fork(20, 21);
  exec(21, {.exe = "/usr/bin/gpg", .filename = "/usr/bin/gpg", .stdout_pipe = 8});
  send(process(21)->id, UnixConnectEvent{"/run/user/0/gnupg/S.gpg-agent"}, process(21));
  exit(21);
  call(20);
  EXPECT_EQ(told().back(), unsure) << "decrypted";
}

TEST_F(Pipes, AHelperThatEndedBeforeItsFileWasKnownToHoldNoKey) {
  const auto run = [&](std::uint32_t pid, const FileAnswer& answer) {
    examiner.files[kCredentials] = answer;
    start(pid, {.env = aws_env(kB)});
    fork(pid, pid + 1);
    exec(pid + 1, {.exe = "/usr/bin/bash", .filename = "/usr/bin/pass", .stdout_pipe = 7});
    examiner.hold = true;
    open(pid + 1);
    exit(pid + 1);
    examiner.hold = false;
    examiner.answer_all();
    call(pid);
    return told().back();
  };
  EXPECT_EQ(run(10, file_of({}, 21)), "possible unidentified_file: " + kB);
  EXPECT_EQ(run(20, file_of({aws_fact(kA)}, 22)), "possible several_keys: " + kB + " " + kA) << "it had one";
}

TEST_F(Pipes, AnAgentThatSignsForAChildTellsItsCallerNothing) {
  start(10, {.env = aws_env(kB)});
  fork(10, 11);
  exec(11, {.exe = "/usr/bin/ssh", .filename = "/usr/bin/ssh", .stdout_pipe = 7});
  send(process(11)->id, UnixConnectEvent{"/run/user/0/openssh_agent"}, process(11));
  connect(11, 1, ip(3, 22));
  payload(11, 1, "");
  exit(11);
  call(10);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + kB);
}

TEST_F(Pipes, WhatAChildBoughtAndWroteIsAsLikelyAsItsParent) {
  start(10, {.env = aws_env(kB)});
  fork(10, 11);
  Program assume = aws_program(aws_env(kB));
  assume.stdout_pipe = 7;
  exec(11, assume);
  call(11, "sts.eu-west-1.amazonaws.com");
  exit(11);
  call(10);
  EXPECT_EQ(told().back(), "possible parent_or_issued: " + kB + " aws.session@" + kB);
}

TEST_F(Pipes, WhoCollectsOutputOfOtherWorkloadsGetsNothing) {
  start(10);
  fork(10, 11);
  exec(11, cat(0, 7));
  unshare(11, 1, "app.service");
  open(11);
  exit(11);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
}

TEST_F(Pipes, AKeyThatWasNotReadMayBeHandedOverToo) {
  FileAnswer unread;
  unread.unread = "gone";
  examiner.files["/root/.vault-token"] = unread;
  start(10, {.env = aws_env(kB)});
  call(10);
  fork(10, 11);
  exec(11, cat(0, 7));
  open(11, "/root/.vault-token");
  exit(11);
  call(10);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kB, "possible unidentified_file: " + kB}));
}

TEST_F(Pipes, AFileThatIsStillBeingReadIsWaitedFor) {
  examiner.hold = true;
  start(10);
  take(10, 11, 7);
  call(10);
  EXPECT_TRUE(told().empty());
  examiner.answer_all();
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, AChildOfTheShellMayHaveBeenGivenIt) {
  start(10, shell());
  take(10, 11, 7);
  fork(10, 12);
  exec(12, {});
  call(12);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA});
}

TEST_F(Pipes, AHelperThatStaysHandsOverToo) {
  start(10);
  fork(10, 11);
  exec(11, cat(6, 7));
  open(11);
  call(10);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Pipes, ALoopAtTheEndOfAPipeline) {
  start(10, shell());
  fork(10, 12);  // `| while read -r key; do`
  take(10, 11, 7);
  fork(12, 13);
  exec(13, {});
  call(13);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA});
}

TEST_F(Pipes, XargsStartsProgramsWithWhatItReads) {
  start(10, shell());
  fork(10, 12);
  exec(12, {.exe = "/usr/bin/xargs", .filename = "/usr/bin/xargs", .stdin_pipe = 7});
  take(10, 11, 7);
  fork(12, 13);
  exec(13, {});
  call(13);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA});
}

TEST_F(Pipes, XargsMayBeQuickerThanTheEndOfWhoWrote) {
  start(10, shell());
  fork(10, 11);
  exec(11, cat(0, 7));
  fork(10, 12);
  exec(12, {.exe = "/usr/bin/xargs", .filename = "/usr/bin/xargs", .stdin_pipe = 7});
  open(11);
  fork(12, 13);
  exec(13, {});
  call(13);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA}) << "11 has closed its pipe, and lives";
}

}  // namespace
}  // namespace keytrail::link
