// SPDX-License-Identifier: Apache-2.0
// Whatever was given up leaves no certainty, at every destination that it could concern: files that were not read,
// entries that were skipped, lists that were cut, bounds that were met. And what it cannot concern stays certain.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kUnread = "unidentified_file", kCut = "not_seen_whole";

class GivenUp : public Scene {
 protected:
  /// A process with an AWS key in its environment that gives something up and then calls S3.
  void check(const std::string& what, const std::string& reason, const std::function<void(std::uint32_t)>& gives_up,
             Program program = {}) {
    const std::uint32_t pid = ++last_pid_;
    program.env = aws_env(kA);
    start(pid, program);
    gives_up(pid);
    call(pid);
    const std::string expected = reason.empty() ? "inferred only_key_held: " : "possible " + reason + ": ";
    ASSERT_FALSE(told().empty()) << what;
    EXPECT_EQ(told().back(), expected + kA) << what;
  }
  void check_file(const std::string& path, const FileAnswer& answer, const std::string& reason) {
    examiner.files[path] = answer;
    check(path + " " + answer.unread, reason, [&](std::uint32_t pid) { open(pid, path); });
  }
  static FileAnswer unread(const std::string& why) {
    FileAnswer out;
    out.unread = why;
    return out;
  }
  static FileAnswer skipped(std::vector<KeyFact> keys = {}) {
    FileAnswer out = file_of(std::move(keys));
    out.skipped = 1;
    return out;
  }

 private:
  std::uint32_t last_pid_ = 100;
};

TEST_F(GivenUp, AFileThatWasNotReadWhereItMayHoldAnything) {
  for (const char* path :
       {"/root/.netrc", "/app/.env", "/root/.kube/config", "/root/.npmrc", "/root/.docker/config.json",
        "/root/.aws/credentials", "/root/.config/gh/hosts.yml", "/root/.git-credentials"}) {
    for (const char* why : {"gone", "changed", "refused", "timeout", "too large", "unknown format", "busy"})
      check_file(path, unread(why), kUnread);
  }
}

TEST_F(GivenUp, AFileWhoseFormatHoldsKeysOfOtherServicesOnly) {
  for (const char* path :
       {"/root/.ssh/id_ed25519", "/root/.config/gcloud/application_default_credentials.json", "/root/.pgpass"}) {
    check_file(path, unread("too large"), "");
    check_file(path, skipped(), "");
    check_file(path, unread("unknown format"), kUnread);
  }
}

TEST_F(GivenUp, AKeyThatBuysWhatIsTakenThere) {
  examiner.files["/root/.config/gcloud/application_default_credentials.json"] = unread("changed");
  start(10, {.env = {secret("CLOUDSDK_AUTH_ACCESS_TOKEN", "ya29.c.0123456789abcdef0123456789")}});
  open(10, "/root/.config/gcloud/application_default_credentials.json");
  call(10, "storage.googleapis.com");
  ASSERT_EQ(told().size(), 1U);
  EXPECT_TRUE(told()[0].starts_with("possible unidentified_file:")) << told()[0];
}

TEST_F(GivenUp, AnEntryThatWasSkippedInAFileThatWasRead) {
  check_file("/root/.aws/credentials", skipped({aws_fact(kA)}), kUnread);
  check_file("/root/.netrc", skipped(), kUnread);
  check_file("/app/.env", skipped(), kUnread);
  check_file("/app/.env", {}, "");
}

TEST_F(GivenUp, AnAnswerThatIsNotThereYet) {
  examiner.hold = true;
  std::uint32_t pid = 10;
  const auto late = [&](const std::string& path, const std::string& expected) {
    start(++pid, {.env = aws_env(kA)});
    open(pid, path);
    call(pid);
    tick(600);
    EXPECT_EQ(told().back(), expected + ": " + kA) << path;
  };
  late("/root/.netrc", "possible " + kUnread);
  late("/root/.ssh/id_rsa", "inferred only_key_held");
}

TEST_F(GivenUp, AFileWhosePathIsNotWhole) {
  check("path", kUnread, [&](std::uint32_t pid) { open(pid, "deep/.env", false, true); });
  EXPECT_TRUE(acquired().back().starts_with("file deep/.env [] unread path not whole by")) << acquired().back();
}

TEST_F(GivenUp, ArgumentsThatWereCut) {
  check("arguments", kCut, [](std::uint32_t) {}, {.args_truncated = true});
}

TEST_F(GivenUp, AnEnvironmentThatWasCut) {
  EnvironmentAnswer whole{.unread = {}, .keys = {}, .env = aws_env(kA), .skipped = 0}, too_many = whole, gone;
  too_many.skipped = 44;
  gone.unread = "gone";
  const auto answered = [&](const std::string& what, const std::string& reason, const EnvironmentAnswer& answer) {
    for (std::uint32_t pid = 100; pid < 110; ++pid)
      examiner.environments[pid] = answer;
    check(what, reason, [](std::uint32_t) {}, {.env_truncated = true});
  };
  answered("read again, whole", "", whole);
  answered("read again, with more than there is room for", kCut, too_many);
  answered("not read again", kCut, gone);
}

TEST_F(GivenUp, WhatIsGivenUpIsInheritedByAFork) {
  start(10, {.env = aws_env(kA), .args_truncated = true});
  fork(10, 11);
  call(11);
  EXPECT_EQ(told(), Lines{"possible " + kCut + ": " + kA});
}

// `program < file`: the shell's fork opens the file, and the program that it becomes reads it without an open.
TEST_F(GivenUp, AFileThatStaysOpenOverAnExec) {
  const std::string b = "AKIABBBBBBBBBBBBBBB2", known = "/home/me/.aws/credentials", unknown = "/root/.netrc";
  examiner.files[known] = file_of({aws_fact(b)});
  examiner.files[unknown] = unread("too large");
  const auto told_of = [&](std::uint32_t pid, const std::string& before_fork, const std::string& before_exec) {
    start(pid, {"/usr/bin/bash", "/bin/bash"});
    if (!before_fork.empty()) open(pid, before_fork);
    fork(pid, pid + 1);
    if (!before_exec.empty()) open(pid + 1, before_exec);
    exec(pid + 1, {.env = aws_env(kA)});
    call(pid + 1);
    tick(600);
    return told().back();
  };
  EXPECT_EQ(told_of(10, "", known), "possible several_keys: " + kA + " " + b);
  EXPECT_EQ(told_of(20, "", unknown), "possible " + kUnread + ": " + kA);
  EXPECT_EQ(told_of(30, known, ""), "inferred only_key_held: " + kA) << "what the shell itself read it keeps";
  EXPECT_EQ(told_of(40, unknown, ""), "inferred only_key_held: " + kA);
  examiner.hold = true;
  EXPECT_EQ(told_of(50, "", unknown), "possible " + kUnread + ": " + kA) << "nor is it known yet";
  examiner.hold = false;
  examiner.answer_all();
}

TEST_F(GivenUp, AFileThatStaysOpenCountsForOneExec) {
  examiner.files["/root/.netrc"] = unread("too large");
  start(10, {"/usr/bin/bash", "/bin/bash"});
  fork(10, 11);
  open(11, "/root/.netrc");
  exec(11, {"/usr/bin/env", "/usr/bin/env"});
  exec(11, {.env = aws_env(kA)});
  call(11);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(GivenUp, WhereMostCallsAreAnonymousAFileThatWasNotReadIsNotSilent) {
  start(10);
  call(10, "registry.npmjs.org");
  EXPECT_TRUE(told().empty());
  examiner.files["/root/.npmrc"] = unread("too large");
  open(10, "/root/.npmrc");
  call(10, "registry.npmjs.org");
  EXPECT_EQ(told(), Lines{"unattributed unidentified_file:"});
}

}  // namespace
}  // namespace keytrail::link
