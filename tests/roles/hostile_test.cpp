// SPDX-License-Identifier: Apache-2.0
// One role was taken over: what the others let it have. As root.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "tests/roles/roles_fixture.h"

namespace keytrail::warden {
namespace {

/// Lines of the worker's that begin so and name this.
std::string lines_of(const std::string& all, const std::string& begin, const std::string& about) {
  std::istringstream in(all);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(begin + " ") && line.find(about) != std::string::npos) out += line + "\n";
  }
  return out;
}

TEST_F(RolesTest, AHostileWorkerGetsIdsAndRefusals) {
  worker_ = "roles_hostile_worker";
  const std::string notes = dir_ + "/notes.txt", shadow = "/etc/shadow", environment = "/proc/1/environ";
  std::ofstream(notes) << "10.9.8.7 PRIVATEA PRIVATEB\nmachine PRIVATEC login PRIVATED password PRIVATEE0123456789\n"
                          "https://PRIVATEF:PRIVATEG@PRIVATEH.example/PRIVATEI\nPRIVATEJ:5432:PRIVATEK:PRIVATEL:x\n"
                          "[PRIVATEM]\npassword = PRIVATEN0123456789abcdef\nuser=PRIVATEO\nHost PRIVATEP\n"
                          "secret PRIVATEQ\nIdentityFile /PRIVATER\ntoken: PRIVATES0123456789\n";
  chmod(notes.c_str(), 0600);
  ask_ = notes + " " + shadow + " " + environment + " /etc/gshadow /etc/ssh/ssh_host_ed25519_key /etc /dev/mem";
  // A process of root's that was told to read another file of that name, and has the paths' parts as words elsewhere.
  fs::create_directory(dir_ + "/other");
  std::ofstream(dir_ + "/other/notes.txt") << "none\n";
  const pid_t reader = fork();
  if (reader == 0) {
    const std::string other = dir_ + "/other/notes.txt";
    if (chdir("/") == 0) execl("/usr/bin/env", "env", "A=notes.txt", "tail", "-n0", "-f", other.c_str(), nullptr);
    _exit(127);
  }
  setenv("KEYTRAIL_TEST_READER", std::to_string(reader).c_str(), 1);
  run();
  unsetenv("KEYTRAIL_TEST_READER");
  const bool asked = within(Ms(60'000), [&] { return said("asked again"); });
  const bool lived = waitpid(reader, nullptr, WNOHANG) == 0;
  kill(reader, SIGKILL);
  waitpid(reader, nullptr, 0);
  ASSERT_TRUE(asked) << slurp(dir_ + "/log");
  EXPECT_TRUE(lived) << "the other reader";
  const std::string all = slurp(out());
  EXPECT_NE(lines_of(all, "done", notes), "") << "it was asked at all";
  for (const std::string& path : {notes, shadow, std::string("/etc/gshadow")})
    EXPECT_EQ(lines_of(all, "text", path), "") << path;
  for (char letter = 'A'; letter <= 'S'; ++letter)
    EXPECT_EQ(all.find(std::string("PRIVATE") + letter), std::string::npos) << letter;
  for (const std::string& path : {environment, std::string("/etc as"), std::string("/dev/mem")}) {
    EXPECT_EQ(lines_of(all, "id", path), "") << path;
    EXPECT_EQ(lines_of(all, "text", path), "") << path;
  }
  std::ifstream users(shadow);
  for (std::string line; std::getline(users, line);) {
    const std::size_t hash = line.find('$');
    if (hash == std::string::npos) continue;
    EXPECT_EQ(all.find(line.substr(hash, 20)), std::string::npos) << "a password's hash";
  }
  EXPECT_NE(lines_of(all.substr(all.find("nonsense sent")), "done", notes), "") << "the warden lives and answers";
  EXPECT_GT(child("roles_hostile_worker"), 0);
}

/// What came back for this path: each different answer once.
std::set<std::string> answers_for(const std::string& all, const std::string& path) {
  std::istringstream in(all);
  std::set<std::string> out;
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find(' ');
    if (at == line.npos || !line.substr(at + 1).starts_with(path + " as ")) continue;
    out.insert(line.substr(0, at) + line.substr(line.rfind(": ")));
  }
  return out;
}

TEST_F(RolesTest, AHostileWorkerGetsNothingOfWhatNobodyNamed) {
  worker_ = "roles_hostile_worker";
  const std::string secret = dir_ + "/secret", named = dir_ + "/named", missing = dir_ + "/missing";
  const std::string elsewhere = dir_ + "/other/secret";
  for (const std::string& path : {secret, named}) {
    std::ofstream(path) << "hvs.abcdefghijklmnop\n";
    chmod(path.c_str(), 0600);
  }
  // A file that is in a mount namespace of its reader's only.
  fs::create_directory(dir_ + "/other");
  std::array<int, 2> ready{};
  ASSERT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
  const pid_t reader = fork();
  if (reader == 0) {
    const bool mounted = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("none", (dir_ + "/other").c_str(), "tmpfs", 0, nullptr) == 0;
    if (mounted) std::ofstream(elsewhere) << "hvs.ponmlkjihgfedcba\n";
    (void)!write(ready[1], mounted ? "y" : "n", 1);
    while (true)
      pause();
  }
  char mounted = 'n';
  EXPECT_TRUE(read(ready[0], &mounted, 1) == 1 && mounted == 'y');
  for (const int end : ready)
    close(end);
  ask_ = secret + " " + missing + " " + elsewhere + " /etc/shadow " + dir_;
  struct stat file{};
  ASSERT_EQ(stat(named.c_str(), &file), 0);
  setenv("KEYTRAIL_TEST_OPENED", std::to_string(file.st_ino).c_str(), 1);
  setenv("KEYTRAIL_TEST_READER", std::to_string(reader).c_str(), 1);
  setenv("KEYTRAIL_TEST_CLAIM", named.c_str(), 1);
  run();
  const bool asked = within(Ms(60'000), [&] { return said("asked all"); });
  for (const char* variable : {"KEYTRAIL_TEST_OPENED", "KEYTRAIL_TEST_READER", "KEYTRAIL_TEST_CLAIM"})
    unsetenv(variable);
  kill(reader, SIGKILL);
  waitpid(reader, nullptr, 0);
  ASSERT_TRUE(asked) << slurp(dir_ + "/log");
  const std::string all = slurp(out());
  const std::set<std::string> nothing{"failed: refused inode 0 size 0 time 0", "failed: gone inode 0 size 0 time 0"};
  EXPECT_EQ(answers_for(all, missing), nothing);
  for (const std::string& path : {secret, elsewhere, std::string("/etc/shadow"), dir_})
    EXPECT_EQ(answers_for(all, path), nothing) << path << ": as if there were none";
  EXPECT_NE(slurp(dir_ + "/log").find("files that nothing named"), std::string::npos);
}

TEST_F(RolesTest, AHostileWorkerGetsNothingButFactsOfContainersByTheirIds) {
  worker_ = "roles_hostile_worker";
  const std::string tasks = dir_ + "/ctr/io.containerd.runtime.v2.task/k8s.io/", huge(150, 'a');
  fs::create_directories(tasks + "c1");
  fs::create_directories(tasks + "linked");
  const std::string bundle =
      R"({"process": {"args": ["PRIVATEARG"], "env": ["A=PRIVATEENV"]}, "linux": {"cgroupsPath": "/k8s.io/c1"},)"
      R"( "annotations": {"io.kubernetes.cri.sandbox-name": "web-1", "more": "PRIVATEOTHER"}})";
  std::ofstream(tasks + "c1/config.json") << bundle;
  std::ofstream(dir_ + "/config.json") << bundle;
  fs::create_symlink("/etc/shadow", tasks + "linked/config.json");
  ask_ = "../../../../etc/shadow ../k8s.io/c1 ../../.. /etc/shadow linked not-there " + huge + " c1";
  warden_ = start({"--containerd-state", dir_ + "/ctr"});
  ASSERT_TRUE(within(Ms(60'000), [&] { return said("asked again"); })) << slurp(dir_ + "/log");
  const std::string all = slurp(out());
  EXPECT_NE(lines_of(all, "text", "bundle c1 as oci: web-1"), "") << "it was asked at all";
  EXPECT_EQ(all.find("PRIVATE"), std::string::npos);
  for (const std::string& id :
       {std::string("../../../../etc/shadow"), std::string("../k8s.io/c1"), std::string("../../.."),
        std::string("/etc/shadow"), std::string("linked"), std::string("not-there"), huge}) {
    EXPECT_EQ(lines_of(all, "text", "bundle " + id + " as"), "") << id;
    EXPECT_EQ(lines_of(all, "done", "bundle " + id + " as"), "") << id;
    const std::string failed = lines_of(all, "failed", "bundle " + id + " as oci");
    EXPECT_NE(failed.find(" inode 0 size 0 time 0"), std::string::npos) << id << ": " << failed;
  }
  EXPECT_EQ(lines_of(all, "text", "bundle c1 as netrc"), "");
}

TEST_F(RolesTest, WhatAnEventNamedIsReadAtItsPlaceAndNowhereElse) {
  worker_ = "roles_hostile_worker";
  const std::string named = dir_ + "/named";
  std::ofstream(named) << "hvs.abcdefghijklmnop\n";
  chmod(named.c_str(), 0600);
  ask_ = named;
  struct stat file{};
  ASSERT_EQ(stat(named.c_str(), &file), 0);
  setenv("KEYTRAIL_TEST_OPENED", std::to_string(file.st_ino).c_str(), 1);
  setenv("KEYTRAIL_TEST_CLAIM", named.c_str(), 1);
  run();
  const bool asked = within(Ms(60'000), [&] { return said("asked all"); });
  for (const char* variable : {"KEYTRAIL_TEST_OPENED", "KEYTRAIL_TEST_CLAIM"})
    unsetenv(variable);
  ASSERT_TRUE(asked) << slurp(dir_ + "/log");
  const std::string all = slurp(out());
  EXPECT_NE(lines_of(all, "done", named + " as raw_token"), "");
  EXPECT_NE(lines_of(all, "id", named + " as raw_token"), "");
  EXPECT_EQ(lines_of(all, "done", "/./"), "") << "without that file's identity";
}

TEST_F(RolesTest, AHostileExaminersAnswersAreLeftOut) {
  examiner_ = "roles_hostile_examiner";
  std::ofstream(dir_ + "/token") << "hvs.abcdefghijklmnop\n";
  ask_ = "raw_token:" + dir_ + "/token env:" + std::to_string(getpid());
  run();
  EXPECT_TRUE(within(Ms(10'000), [&] { return said("/token unread= key=THE-ONE/", 10); })) << slurp(out());
  const std::string all = slurp(out());
  for (const char* nothing : {"UNASKED", "CONTROL", "\x1b"})
    EXPECT_EQ(all.find(nothing), std::string::npos) << nothing;
  EXPECT_EQ(lines_of(all, "answer", "raw_token").find("VARIABLE"), std::string::npos) << "of another question's kind";
  EXPECT_GT(child("roles_worker"), 0);
  EXPECT_GT(child("roles_hostile_examiner"), 0);
}

}  // namespace
}  // namespace keytrail::warden
