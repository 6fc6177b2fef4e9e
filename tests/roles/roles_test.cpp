// SPDX-License-Identifier: Apache-2.0
// The real warden, examiner and opener with a fake loader and a small worker (worker.cpp), as root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/warden/files.h"
#include "tests/roles/roles_fixture.h"

namespace keytrail::warden {
namespace {

TEST_F(RolesTest, AFileIsReadAndTheSecretStaysInTheExaminer) {
  const std::string canary = "CanaryCanaryCanaryCanary01234567";
  std::ofstream(dir_ + "/creds") << "[prod]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = "
                                 << canary << "\n";
  chmod((dir_ + "/creds").c_str(), 0600);
  ask_ = "aws_credentials:" + dir_ + "/creds";
  // The libraries that read these copy: their heap is wiped, too, and they need no more system calls than there are.
  const std::pair<std::string, std::string> documents[] = {{"json", "{\"json\": {\"token\": \"" + canary + "\"}}"},
                                                           {"yaml", "yaml:\n  token: '" + canary + "'\n"},
                                                           {"xml", "<a><xml><token>" + canary + "</token></xml></a>"}};
  fs::create_directory(dir_ + "/.granted");  // a place of the catalog's: elsewhere no text of a file leaves
  for (const auto& [name, text] : documents) {
    std::ofstream(dir_ + "/.granted/doc." + name) << text;
    ask_ += " configuration:" + dir_ + "/.granted/doc." + name;
  }
  run();
  ASSERT_TRUE(within(Ms(3000), [&] { return said("key=AKIAAAAAAAAAAAAAAAAA/prod/fp:"); })) << slurp(out());
  for (const auto& [name, text] : documents)
    ASSERT_TRUE(within(Ms(3000), [&] { return said("/" + name + "/fp:"); })) << slurp(out());
  expect_nowhere(canary, "AKIAAAAAAAAAAAAAAAAA");
}

TEST_F(RolesTest, AContainersBundleGivesItsNamesAndNothingElse) {
  const std::string secret = "PLANTED-6f1c0a", id(64, 'b');
  const std::string folder = dir_ + "/ctr/io.containerd.runtime.v2.task/k8s.io/" + id;
  fs::create_directories(folder);
  std::ofstream(folder + "/config.json")
      << R"({"process": {"args": ["/bin/x", ")" << secret << R"("], "env": ["TOKEN=)" << secret
      << R"("]}, "annotations": {"io.kubernetes.cri.sandbox-namespace": "shop", "other": ")" << secret
      << R"("}, "linux": {"cgroupsPath": "/kubepods/pod1/)" << id << R"("}})";
  ask_ = "bundle:" + id + " bundle:not-there";
  warden_ = start({"--containerd-state", dir_ + "/ctr"});
  EXPECT_TRUE(within(Ms(5000), [&] {
    return said("answer bundle:" + id + " unread= keytrail.cgroup.path=/kubepods/pod1/" + id +
                " container.runtime.name=containerd k8s.namespace.name=shop\n");
  })) << slurp(out());
  EXPECT_TRUE(within(Ms(5000), [&] { return said("answer bundle:not-there unread=gone\n"); })) << slurp(out());
  expect_nowhere(secret, "k8s.namespace.name");
}

TEST_F(RolesTest, TheNodesUsersAreNumbersAndNames) {
  ask_ = "users:node";
  run();
  EXPECT_TRUE(within(Ms(5000), [&] { return said("answer users:node unread= user=0 root user="); })) << slurp(out());
}

TEST_F(RolesTest, ATargetIsOpenedByTheWardenAndItsEndIsTold) {
  std::ofstream(dir_ + "/library") << "a library of 23 bytes, ";
  std::ofstream(dir_ + "/short") << "x";
  ask_ = "target:" + dir_ + "/library target:" + dir_ + "/nowhere target:" + dir_ + "/short";
  run();
  for (const char* line :
       {"target attached id=1 hits=0 asked=1", "hits=23 asked=0", "target detached id=1 hits=23 asked=0",
        "target refused id=0 hits=0 asked=1 the file could not be opened: gone",
        "target refused id=0 hits=0 asked=1 That is not inside the file.", "bound=8 refused=1"})
    EXPECT_TRUE(within(Ms(3000), [&] { return said(line); })) << line << "\n" << slurp(out());
}

TEST_F(RolesTest, AnInitialEnvironmentIsReadAndAnEmptyOneIsNotGone) {
  const auto sleeper = [](std::vector<const char*> environment) {
    const pid_t pid = fork();
    if (pid == 0) {
      environment.push_back(nullptr);
      const char* const arguments[] = {"sleep", "60", nullptr};
      execve("/bin/sleep", const_cast<char* const*>(arguments), const_cast<char* const*>(environment.data()));
      _exit(127);
    }
    return pid;
  };
  const pid_t full =
      sleeper({"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=CanaryCanaryCanary", "OTHER=x"});
  const pid_t empty = sleeper({});
  ask_ = "env:" + std::to_string(full) + " env:" + std::to_string(empty);
  run();
  EXPECT_TRUE(within(
      Ms(3000), [&] { return said("env=AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE/ env=AWS_SECRET_ACCESS_KEY=/fp:"); }));
  EXPECT_TRUE(within(Ms(3000), [&] { return said("answer env:" + std::to_string(empty) + " unread=\n"); }));
  EXPECT_FALSE(said("OTHER"));
  EXPECT_FALSE(said("Canary"));
  for (const pid_t pid : {full, empty}) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  EXPECT_TRUE(within(Ms(3000), [&] { return said("answer env:" + std::to_string(full) + " unread=gone"); }));
}

TEST_F(RolesTest, KeptArgumentsGoToTheExaminerAndNowhereElse) {
  ask_ = "args:1 args:404";
  run();
  EXPECT_TRUE(within(Ms(3000), [&] { return said("answer args:1 unread= key=fp:"); })) << slurp(out());
  EXPECT_TRUE(said("/X-Vault-Token/fp:")) << slurp(out());
  EXPECT_TRUE(within(Ms(3000), [&] { return said("answer args:404 unread=gone"); })) << slurp(out());
  expect_nowhere("CanaryCanaryCanaryCanary01234567", "X-Vault-Token");
}

TEST_F(RolesTest, AHangingFileSystemDelaysOthersByASecondAtMost) {
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0) GTEST_SKIP() << "no FUSE here";
  fs::create_directory(dir_ + "/m");
  const pid_t actor = fork();
  if (actor == 0) {
    const std::string options = "fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0";
    const bool mounted = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("hang", (dir_ + "/m").c_str(), "fuse", 0, options.c_str()) == 0;
    std::ofstream(dir_ + (mounted ? "/mounted" : "/refused")) << "x";
    while (true)
      pause();
  }
  EXPECT_TRUE(within(Ms(2000), [&] { return fs::exists(dir_ + "/mounted") || fs::exists(dir_ + "/refused"); }));
  std::ofstream(dir_ + "/token") << "hvs.abcdefghijklmnop\n";
  if (fs::exists(dir_ + "/mounted")) {
    const std::string hanging = "raw_token:" + dir_ + "/m/key@" + std::to_string(actor);
    ask_ = hanging + " raw_token:" + dir_ + "/token";
    run();
    EXPECT_TRUE(within(Ms(3000), [&] { return said("answer " + hanging + " unread=timeout"); })) << slurp(out());
    EXPECT_TRUE(within(Ms(3000), [&] { return said("/token unread= key=fp:"); })) << slurp(out());
    stop();
  }
  kill(actor, SIGKILL);
  close(fuse);
  waitpid(actor, nullptr, 0);
}

TEST_F(RolesTest, TheWorkerHasNoPrivilegeAtAll) {
  run();
  const pid_t worker = child("roles_worker");
  ASSERT_GT(worker, 0);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(status_line(worker, set), "\t0000000000000000") << set;
  EXPECT_EQ(status_line(worker, "NoNewPrivs"), "\t1");
  EXPECT_EQ(status_line(worker, "Uid"), "\t65534\t65534\t65534\t65534");
  EXPECT_TRUE(said("dumpable=0"));
  EXPECT_TRUE(said("api=1 rings=1"));
  EXPECT_TRUE(said("args=2:agent"));
}

TEST_F(RolesTest, TheExaminerHasNothing) {
  run();
  const pid_t examiner = child("roles_examiner");
  ASSERT_GT(examiner, 0);
  ASSERT_TRUE(within(Ms(2000), [&] { return status_line(examiner, "Seccomp") == "\t2"; }));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(status_line(examiner, set), "\t0000000000000000") << set;
  EXPECT_EQ(status_line(examiner, "NoNewPrivs"), "\t1");
  EXPECT_TRUE(fs::is_empty("/proc/" + std::to_string(examiner) + "/root/"));
  for (const char* ns : {"net", "mnt", "ipc", "uts"}) {
    const std::string theirs = fs::read_symlink("/proc/" + std::to_string(examiner) + "/ns/" + ns);
    EXPECT_NE(theirs, fs::read_symlink(std::string("/proc/self/ns/") + ns)) << ns;
  }
  std::size_t descriptors = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/" + std::to_string(examiner) + "/fd"))
    ++descriptors;
  EXPECT_EQ(descriptors, 5U);  // standard ones, warden, facts
}

TEST_F(RolesTest, CodeInTheSandboxIsRefused) {
  fs::create_directory(dir_ + "/empty");
  const std::string command =
      dir_ + "/bin/roles_examiner --self-test --root " + dir_ + "/empty > " + dir_ + "/self 2>&1";
  EXPECT_EQ(WEXITSTATUS(system(command.c_str())), 0) << slurp(dir_ + "/self");
  const std::string said_by_it = slurp(dir_ + "/self");
  for (const char* call :
       {"openat: refused", "socket: refused", "ptrace: refused", "execve: refused", "clone: refused"}) {
    EXPECT_NE(said_by_it.find(call), std::string::npos) << call;
  }
}

TEST_F(RolesTest, AKilledExaminerIsBackWithinASecondAndTheWorkerIsTold) {
  std::ofstream(dir_ + "/token") << "hvs.abcdefghijklmnop\n";
  ask_ = "raw_token:" + dir_ + "/token";
  run();
  ASSERT_TRUE(within(Ms(3000), [&] { return said("unread= key=fp:"); }));
  const pid_t before = child("roles_examiner");
  kill(before, SIGKILL);
  EXPECT_TRUE(within(Ms(1000), [&] {
    return child("roles_examiner") != before && child("roles_examiner") > 0 && said("notice examiner_restart");
  }));
  const std::string known = slurp(out());
  EXPECT_TRUE(
      within(Ms(1000), [&] { return slurp(out()).find("unread= key=fp:", known.size()) != std::string::npos; }));
}

TEST_F(RolesTest, AKilledWorkerIsBackWithinASecondAndTheNextOneIsTold) {
  run();
  kill(child("roles_worker"), SIGKILL);
  EXPECT_TRUE(within(Ms(1000), [&] { return said("life=2") && said("notice worker_restart"); })) << slurp(out());
  EXPECT_EQ(slurp(out() + ".forgotten"), "x") << "cgroups are announced anew to the next one";
  const std::string all = slurp(out());
  const auto session = [&](std::size_t from) { return all.substr(all.find("session=", from), 40); };
  EXPECT_EQ(session(0), session(all.find("life=2")));
}

TEST_F(RolesTest, NoDescriptorOfTheCallerLivesOnInTheWarden) {
  run();  // `start` leaves its log open beside 1 and 2
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(warden_) + "/fd")) {
    std::error_code error;
    const int fd = std::stoi(entry.path().filename());
    EXPECT_TRUE(fd <= 2 || fs::read_symlink(entry, error) != dir_ + "/log") << fd;
  }
}

TEST_F(RolesTest, AWorkerThatCrashesInALoopIsStartedMoreSlowly) {
  run();
  int lives = 0;
  const auto end = std::chrono::steady_clock::now() + Ms(2000);
  while (std::chrono::steady_clock::now() < end) {
    if (const pid_t worker = child("roles_worker"); worker > 0) {
      kill(worker, SIGKILL);
      ++lives;
      within(Ms(100), [&] { return child("roles_worker") != worker; });
    }
    usleep(2000);
  }
  EXPECT_GE(lives, 3);
  EXPECT_LE(lives, 8);
}

TEST_F(RolesTest, HupIsPassedOnToTheWorkerAndEndsNobody) {
  run();
  const pid_t worker = child("roles_worker");
  const pid_t examiner = child("roles_examiner");
  kill(warden_, SIGHUP);
  EXPECT_TRUE(within(Ms(2000), [&] { return said("reload"); })) << slurp(out());
  EXPECT_EQ(child("roles_worker"), worker);
  EXPECT_EQ(child("roles_examiner"), examiner);
  kill(examiner, SIGHUP);  // a terminal that goes away says it to all
  EXPECT_FALSE(within(Ms(200), [&] { return child("roles_examiner") != examiner; }));
}

TEST_F(RolesTest, TermEndsAllInOrderAndRemovesTheSocket) {
  run();
  const pid_t examiner = child("roles_examiner");
  EXPECT_EQ(stop(), 0);
  EXPECT_TRUE(said("stopped"));
  EXPECT_FALSE(fs::exists(dir_ + "/run/api.sock"));
  EXPECT_NE(kill(examiner, 0), 0);
}

TEST_F(RolesTest, AllEndWhenTheWardenIsKilled) {
  run();
  const pid_t examiner = child("roles_examiner");
  const pid_t worker = child("roles_worker");
  kill(warden_, SIGKILL);
  waitpid(std::exchange(warden_, -1), nullptr, 0);
  EXPECT_TRUE(within(Ms(2000), [&] { return kill(examiner, 0) != 0 && kill(worker, 0) != 0; }));
  EXPECT_TRUE(said("closed"));
  // The socket it left is stale: the next one takes its place.
  fs::remove(out());
  run();
}

TEST_F(RolesTest, ASecondWardenIsRefusedWithASentence) {
  run();
  EXPECT_EQ(wait_for(start({}, "second")), 1);
  EXPECT_NE(slurp(dir_ + "/second").find("Another keytrail-warden runs"), std::string::npos);
}

TEST_F(RolesTest, ThatNothingCanBeLoadedIsOneSentence) {
  EXPECT_EQ(wait_for(start({"--no-feature=all"})), 1);
  EXPECT_NE(slurp(dir_ + "/log").find("This kernel has no BTF"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir_ + "/run/api.sock"));
}

TEST_F(RolesTest, AnUnknownOptionIsNamed) {
  EXPECT_EQ(wait_for(start({"--no-such"})), 2);
  EXPECT_NE(slurp(dir_ + "/log").find("There is no option --no-such"), std::string::npos);
}

TEST_F(RolesTest, WhatIsNotArmedIsSaidAsPartlyArmed) {
  run();
  EXPECT_TRUE(within(Ms(2000), [&] { return said("remark PARTLY ARMED: open is not armed: everything"); }))
      << slurp(out());
  EXPECT_NE(slurp(dir_ + "/log").find("PARTLY ARMED: open is not armed"), std::string::npos);
}

TEST_F(RolesTest, AHookThatIsDetachedIsToldWithinThreeSeconds) {
  run();
  std::ofstream(out() + ".detach") << "x";
  EXPECT_TRUE(within(Ms(3000), [&] { return said("notice hook_detached") && said("is attached again."); }))
      << slurp(out());
}

TEST_F(RolesTest, WhatAWorkerWasToldAndDidNotLiveToWriteDownTheNextOneIsTold) {
  run();
  std::ofstream(out() + ".detach") << "x";
  ASSERT_TRUE(within(Ms(3000), [&] { return said("notice hook_detached"); })) << slurp(out());
  kill(child("roles_worker"), SIGKILL);
  ASSERT_TRUE(within(Ms(3000), [&] { return said("life=2") && said("notice hook_detached", 2); })) << slurp(out());
  std::this_thread::sleep_for(Ms(200));  // this one says that it stored it
  kill(child("roles_worker"), SIGKILL);
  ASSERT_TRUE(within(Ms(3000), [&] { return said("life=3") && said("notice worker_restart", 2); })) << slurp(out());
  EXPECT_FALSE(said("notice hook_detached", 3)) << slurp(out());
}

TEST_F(RolesTest, AnUnknownUserIsReplacedByNobodyAndSaid) {
  warden_ = start({"--user", "no-such-user-here"});
  EXPECT_TRUE(within(Ms(3000), [&] { return said("remark There is no user no-such-user-here"); }));
}

TEST_F(RolesTest, TellsSystemdWhenItIsReady) {
  const int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", dir_.c_str());
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  setenv("NOTIFY_SOCKET", address.sun_path, 1);
  setenv("WATCHDOG_USEC", "200000", 1);
  run();
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  std::string all;
  within(Ms(1000), [&] {
    char text[256];
    const ssize_t n = recv(listener, text, sizeof(text), MSG_DONTWAIT);
    if (n > 0) all.append(text, static_cast<std::size_t>(n)).append("\n");
    return false;
  });
  close(listener);
  EXPECT_NE(all.find("READY=1"), std::string::npos);
  EXPECT_NE(all.find("WATCHDOG=1", all.find("WATCHDOG=1") + 1), std::string::npos);
}

TEST_F(RolesTest, TheFingerprintKeyIsKeptAndGuarded) {
  const User user{65534, 65534, false};
  ASSERT_TRUE(make_state_dir(dir_ + "/state", user));
  const auto first = read_fingerprint_key(dir_ + "/state");
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, *read_fingerprint_key(dir_ + "/state"));
  const std::string path = dir_ + "/state/warden/fingerprint.key";
  chmod(path.c_str(), 0644);
  EXPECT_FALSE(read_fingerprint_key(dir_ + "/state"));
  chmod(path.c_str(), 0600);
  ASSERT_EQ(chown(path.c_str(), 65534, 0), 0);
  EXPECT_FALSE(read_fingerprint_key(dir_ + "/state"));
  fs::rename(path, path + ".old");
  fs::create_symlink(path + ".old", path);
  const auto linked = read_fingerprint_key(dir_ + "/state");
  ASSERT_FALSE(linked);
  EXPECT_NE(linked.error().message.find("symbolic link"), std::string::npos);
}

TEST_F(RolesTest, TheApiSocketReplacesOnlyADeadOneOfRoots) {
  ASSERT_TRUE(make_run_dir(dir_ + "/run"));
  const std::string path = dir_ + "/run/api.sock";
  auto first = listen_api(dir_ + "/run", 65534);
  ASSERT_TRUE(first);
  struct stat now{};
  stat(path.c_str(), &now);
  EXPECT_EQ(now.st_mode & 07777U, 0660U);
  EXPECT_EQ(now.st_gid, 65534U);
  EXPECT_FALSE(listen_api(dir_ + "/run", 0)) << "somebody answers";
  first->reset();
  EXPECT_TRUE(listen_api(dir_ + "/run", 0)) << "nobody answers";
  ASSERT_EQ(lchown(path.c_str(), 65534, 0), 0);
  EXPECT_FALSE(listen_api(dir_ + "/run", 0)) << "not root's";
  fs::remove(path);
  std::ofstream(path) << "x";
  EXPECT_FALSE(listen_api(dir_ + "/run", 0)) << "no socket";
}

}  // namespace
}  // namespace keytrail::warden
