// SPDX-License-Identifier: Apache-2.0
// The opener against what a container or its attacker can put in its way. Root; all mounts are in mount namespaces of
// child processes.
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/warden/kept_mounts.h"
#include "agent/warden/known_places.h"
#include "agent/warden/opener.h"

namespace keytrail::warden {
namespace {

namespace fs = std::filesystem;
using role::Unread;

/// A process in a mount namespace of its own that did `setup` and waits; it dies with this object. Paths are under /tmp
/// of the host.
class Actor {
 public:
  explicit Actor(const std::function<bool()>& setup, bool own_namespace = true) {
    int ready[2];
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      bool ok = !own_namespace ||
                (unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
      ok = ok && setup();
      (void)!write(ready[1], ok ? "y" : "n", 1);
      while (true)
        pause();
    }
    char answer = 'n';
    close(ready[1]);
    ok_ = read(ready[0], &answer, 1) == 1 && answer == 'y';
    close(ready[0]);
  }
  ~Actor() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool ok() const { return ok_; }
  pid_t pid() const { return pid_; }
  std::uint32_t mnt_ns() const {
    struct stat ns{};
    stat(("/proc/" + std::to_string(pid_) + "/ns/mnt").c_str(), &ns);
    return static_cast<std::uint32_t>(ns.st_ino);
  }

 private:
  pid_t pid_ = -1;
  bool ok_ = false;
};

class OpenerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char pattern[] = "/tmp/keytrail-opener-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }
  void put(const std::string& name, const std::string& text) const { std::ofstream(dir_ + "/" + name) << text; }

  static role::Open request(pid_t pid, const std::string& path) {
    auto out = role::make<role::Open>(role::Type::kOpen, 1);
    out.tgid = static_cast<std::uint32_t>(pid);
    out.path.assign(path);
    return out;
  }
  role::Identity identity(const std::string& name) const {
    struct stat file{};
    struct statfs system{};
    EXPECT_EQ(stat((dir_ + "/" + name).c_str(), &file), 0);
    EXPECT_EQ(statfs((dir_ + "/" + name).c_str(), &system), 0);
    return identity_of(file, static_cast<std::uint64_t>(system.f_type));
  }
  static std::string content(const Opening& opening) {
    char text[64] = {};
    const ssize_t n = read(opening.descriptor.get(), text, sizeof(text));
    return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
  }

  std::string dir_;
};

TEST_F(OpenerTest, OpensAFileThatIsStillTheSame) {
  put("key", "secret");
  auto asked = request(getpid(), dir_ + "/key");
  asked.file = identity("key");
  const Opening opening = open_requested(asked);
  EXPECT_EQ(opening.unread, Unread::kNone);
  EXPECT_EQ(content(opening), "secret");
  EXPECT_EQ(fcntl(opening.descriptor.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
}

TEST_F(OpenerTest, FindsAFileToWhichNoPathLeadsThroughWhatItsReaderHolds) {
  put("key", "secret");
  fs::create_directories(dir_ + "/home/below");
  put("home/below/token", "another");
  const Actor reader(
      [&] { return open((dir_ + "/key").c_str(), O_RDONLY) >= 0 && open((dir_ + "/home").c_str(), O_RDONLY) >= 0; },
      false);
  ASSERT_TRUE(reader.ok());
  const auto opened = [&](const std::string& path, const std::string& name) {
    auto asked = request(reader.pid(), path);
    asked.file = identity(name);
    return open_requested(asked);
  };
  EXPECT_EQ(content(opened("/nowhere", "key")), "secret");
  EXPECT_EQ(content(opened("/some/home/below/token", "home/below/token")), "another") << "below a folder";
  EXPECT_EQ(opened("/some/home/other", "home/below/token").unread, Unread::kGone);
  put("home/below/free", "not held");
  EXPECT_EQ(opened("/some/home/below/token", "home/below/free").unread, Unread::kGone) << "another file";
}

TEST_F(OpenerTest, WhatLiesAtThePlacesOfKeyFilesIsFoundBehindLinksAndMounts) {
  fs::create_directories(dir_ + "/root/.aws");
  fs::create_directories(dir_ + "/home/anna/.config");
  fs::create_directories(dir_ + "/etc/folder");
  put("free", "target of a link");
  put("home/anna/.netrc", "in a home");
  put("etc/key", "no link");
  put("home/anna/.config/other", "at no place");
  fs::create_symlink("/free", dir_ + "/root/.aws/credentials");
  fs::create_symlink("/etc/shadow", dir_ + "/root/.netrc");  // leads no further than the root
  std::vector<std::string_view> places{"/etc/folder", "/etc/key", "/etc/none", "~/.aws/credentials", "~/.netrc"};
  std::vector<std::uint64_t> found;
  const base::UniqueFd root(open(dir_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  look_at_places(root.get(), places, [&](std::uint64_t inode, std::uint32_t dev) {
    found.push_back(inode);
    EXPECT_EQ(dev, identity("free").dev);
  });
  const std::vector<std::uint64_t> right{identity("etc/key").inode, identity("free").inode,
                                         identity("home/anna/.netrc").inode};
  EXPECT_EQ(found, right);
}

TEST_F(OpenerTest, WhatIsHeldWithoutBeingOpenForReadingIsNotRead) {
  put("key", "secret");
  const auto opened = [&](int flags, std::uint32_t request_flags) {
    const Actor reader([&] { return open((dir_ + "/key").c_str(), flags) >= 0; }, false);
    EXPECT_TRUE(reader.ok());
    auto asked = request(reader.pid(), "/nowhere");
    asked.file = identity("key");
    asked.flags = request_flags;
    return open_requested(asked);
  };
  EXPECT_EQ(content(opened(O_RDONLY, 0)), "secret");
  EXPECT_EQ(content(opened(O_RDWR, 0)), "secret");
  EXPECT_EQ(opened(O_PATH, 0).unread, Unread::kGone) << "had of any file";
  EXPECT_EQ(opened(O_WRONLY, 0).unread, Unread::kGone);
  EXPECT_EQ(opened(O_RDONLY, role::kOpenLook).unread, Unread::kGone) << "a look is at a place";
}

TEST_F(OpenerTest, InAHomeOnlyFilesOfItsOwnerAreAtThePlaces) {
  fs::create_directories(dir_ + "/home/eve");
  put("library", "everybody opens it");
  put("home/eve/.own", "hers");
  fs::create_symlink("/library", dir_ + "/home/eve/.link");
  fs::create_symlink("eve", dir_ + "/home/linked");
  for (const char* name : {"/home/eve", "/home/eve/.own"})
    ASSERT_EQ(chown((dir_ + name).c_str(), 65534, 65534), 0);
  const std::vector<std::string_view> places{"~/.link", "~/.own"};
  std::vector<std::uint64_t> found;
  const base::UniqueFd root(open(dir_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(look_at_places(root.get(), places, [&](std::uint64_t inode, std::uint32_t) { found.push_back(inode); }));
  EXPECT_EQ(found, std::vector<std::uint64_t>{identity("home/eve/.own").inode});
}

TEST_F(OpenerTest, ARootGivesSoManyPlacesAndNoMore) {
  const std::vector<std::string_view> places{"~/.a", "~/.b", "~/.c", "~/.d", "~/.e", "~/.f", "~/.g", "~/.h"};
  for (std::size_t i = 0; i < 40; ++i) {
    const std::string home = "home/" + std::to_string(i);
    fs::create_directories(dir_ + "/" + home);
    for (const std::string_view place : places)
      put(home + std::string(place.substr(1)), "x");
  }
  const base::UniqueFd root(open(dir_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto look = [&](std::size_t from, std::size_t& last) {
    std::size_t count = 0;
    const bool all = look_at_places(
        root.get(), places, [&](std::uint64_t, std::uint32_t) { ++count; }, from,
        [&](std::size_t step) { last = step; });
    return std::pair(all, count);
  };
  std::size_t last = 0;
  EXPECT_EQ(look(0, last), std::pair(false, kMaxPlacesOfRoot));
  EXPECT_EQ(last, 3U + 32U) << "the home in which it was full";
  EXPECT_EQ(look(last, last), std::pair(true, std::size_t{64})) << "eight homes";
  EXPECT_EQ(look(3, last), std::pair(true, std::size_t{0})) << "the list of homes hung";
}

TEST_F(OpenerTest, FreshRootsAreLookedAtSoonButNotAtOnce) {
  fs::create_directory(dir_ + "/m");
  put("host", "the machine's");
  const std::string inside = dir_ + "/m/key", host = dir_ + "/host";
  const std::vector<std::string_view> both{inside, host};
  const Actor actor([&] {
    if (mount("none", (dir_ + "/m").c_str(), "tmpfs", 0, nullptr) != 0) return false;
    put("m/key", "inside");
    return true;
  });
  ASSERT_TRUE(actor.ok());
  KnownPlaces places(both);
  const auto finish = [&] {
    std::size_t count = 0;
    for (int i = 0; i < 100 && places.take([&](std::uint64_t, std::uint32_t) { ++count; }); ++i) {
      pollfd ready{places.results().get(), POLLIN, 0};
      poll(&ready, 1, 100);
    }
    places.results().reset();
    waitpid(-1, nullptr, 0);
    return count;
  };
  ASSERT_TRUE(places.tick(1)) << "the machine's root";
  const std::size_t of_machine = finish();
  auto keep = role::make<role::KeepMounts>(role::Type::kKeepMounts);
  keep.tgid = static_cast<std::uint32_t>(actor.pid());
  keep.mnt_ns = actor.mnt_ns();
  places.add(keep);
  EXPECT_EQ(places.due(), 1 + KnownPlaces::kFreshNs);
  EXPECT_FALSE(places.tick(KnownPlaces::kFreshNs));
  ASSERT_TRUE(places.tick(1 + KnownPlaces::kFreshNs));
  EXPECT_GE(finish(), 1U);
  EXPECT_EQ(places.due(), 1 + KnownPlaces::kEveryNs);
  EXPECT_FALSE(places.tick(KnownPlaces::kEveryNs));
  ASSERT_TRUE(places.tick(1 + KnownPlaces::kEveryNs)) << "all";
  EXPECT_GT(finish(), of_machine);
}

TEST_F(OpenerTest, DoesNotMoveTheAccessTime) {
  put("key", "secret");
  const timespec old[2] = {{1000, 0}, {UTIME_NOW, UTIME_NOW}};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir_ + "/key").c_str(), old, 0), 0);
  EXPECT_EQ(content(open_requested(request(getpid(), dir_ + "/key"))), "secret");
  struct stat after{};
  stat((dir_ + "/key").c_str(), &after);
  EXPECT_EQ(after.st_atim.tv_sec, 1000);
}

TEST_F(OpenerTest, SaysThatAFileWasReplaced) {
  put("key", "secret");
  auto asked = request(getpid(), dir_ + "/key");
  asked.file = identity("key");
  put("new", "rotated");
  fs::rename(dir_ + "/new", dir_ + "/key");
  const Opening opening = open_requested(asked);
  EXPECT_EQ(opening.unread, Unread::kChanged);
  EXPECT_FALSE(opening.descriptor);
}

TEST_F(OpenerTest, OpensAPlaceThatIsOnlyToldAsItsReaderCould) {
  put("key", "secret");
  auto nobody = std::make_unique<Actor>([] { return setgid(65534) == 0 && setuid(65534) == 0; }, false);
  ASSERT_TRUE(nobody->ok());
  auto asked = request(nobody->pid(), dir_ + "/key");
  EXPECT_EQ(content(open_requested(asked)), "secret") << "a read that was seen";
  put("config",
      dir_ + "/key\n" + dir_ + "/own/key\n" + dir_ + "/own/folder/key\n" + dir_ + "/own/loop\n" + dir_ + "/own/good\n");
  asked.flags = role::kOpenLook | role::kOpenTold;
  asked.teller.assign(dir_ + "/config");
  asked.file = identity("config");
  EXPECT_EQ(open_requested(asked).unread, Unread::kRefused) << "its folder is root's";
  chmod(dir_.c_str(), 0755);
  EXPECT_EQ(content(open_requested(asked)), "secret");
  fs::create_directory(dir_ + "/own");
  ASSERT_EQ(chown((dir_ + "/own").c_str(), 65534, 65534), 0);
  fs::create_directory(dir_ + "/closed");
  chmod((dir_ + "/closed").c_str(), 0700);
  put("closed/key", "root's");
  fs::create_symlink(dir_ + "/closed/key", dir_ + "/own/key");
  fs::create_symlink("../closed", dir_ + "/own/folder");
  fs::create_symlink("../key", dir_ + "/own/good");
  for (const char* name : {"/own/key", "/own/folder/key", "/own/loop"}) {
    asked.path.assign(dir_ + name);
    EXPECT_NE(open_requested(asked).unread, Unread::kNone) << "where a link leads through what is closed: " << name;
  }
  put("own/untold", "secret");
  chmod((dir_ + "/own/untold").c_str(), 0644);
  asked.path.assign(dir_ + "/own/untold");
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone) << "nothing tells of it";
  asked.path.assign(dir_ + "/own/good");
  EXPECT_EQ(content(open_requested(asked)), "secret");
  asked.file.size += 1;
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone) << "that is not the file any more that he read";
  asked.file.size -= 1;
  asked.path.assign(dir_ + "/key");
  chmod((dir_ + "/key").c_str(), 0640);
  EXPECT_EQ(open_requested(asked).unread, Unread::kRefused);
  EXPECT_EQ(chown((dir_ + "/key").c_str(), 0, 65534), 0);
  EXPECT_EQ(content(open_requested(asked)), "secret") << "its group's";
  asked.tgid = static_cast<std::uint32_t>(getpid());
  EXPECT_EQ(content(open_requested(asked)), "secret") << "root";
  asked.tgid = static_cast<std::uint32_t>(nobody->pid());
  nobody.reset();
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone);
}

TEST_F(OpenerTest, LooksAgainWithoutOpeningWhatIsUnchanged) {
  put("key", "secret");
  auto asked = request(getpid(), dir_ + "/key");
  asked.flags = role::kOpenLook;
  asked.file = identity("key");
  Opening opening = open_requested(asked);
  EXPECT_TRUE(opening.unchanged);
  EXPECT_FALSE(opening.descriptor);
  put("key", "rotated!");
  opening = open_requested(asked);
  EXPECT_FALSE(opening.unchanged);
  EXPECT_EQ(content(opening), "rotated!");
}

TEST_F(OpenerTest, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(mknod((dir_ + "/device").c_str(), S_IFCHR | 0600, makedev(1, 5)), 0);
  for (const char* name : {"/fifo", "/device", ""})
    EXPECT_EQ(open_requested(request(getpid(), dir_ + name)).unread, Unread::kRefused) << name;
}

TEST_F(OpenerTest, RefusesWhatIsTooLarge) {
  put("key", std::string(role::kMaxFileBytes + 1, 'x'));
  EXPECT_EQ(open_requested(request(getpid(), dir_ + "/key")).unread, Unread::kTooLarge);
}

TEST_F(OpenerTest, RefusesProcAndOtherUnknownFileSystems) {
  EXPECT_EQ(open_requested(request(getpid(), "/proc/version")).unread, Unread::kRefused);
  EXPECT_EQ(open_requested(request(getpid(), "/proc/self/root/etc/passwd")).unread, Unread::kRefused);
}

TEST_F(OpenerTest, SaysGoneForAMissingFile) {
  EXPECT_EQ(open_requested(request(getpid(), dir_ + "/none")).unread, Unread::kGone);
}

TEST_F(OpenerTest, KeepsAnAbsoluteSymlinkInsideTheContainersRoot) {
  fs::create_directories(dir_ + "/root/etc");
  put("root/etc/shadow", "inner");
  fs::create_symlink("/etc/shadow", dir_ + "/root/credentials");
  fs::create_symlink("../../../../../../../etc/shadow", dir_ + "/root/climbing");
  const Actor actor([&] { return chroot((dir_ + "/root").c_str()) == 0 && chdir("/") == 0; });
  ASSERT_TRUE(actor.ok());
  EXPECT_EQ(content(open_requested(request(actor.pid(), "/credentials"))), "inner");
  EXPECT_EQ(content(open_requested(request(actor.pid(), "/climbing"))), "inner");
}

TEST_F(OpenerTest, OpensInAnotherMountNamespace) {
  fs::create_directory(dir_ + "/m");
  const Actor actor([&] {
    if (mount("none", (dir_ + "/m").c_str(), "tmpfs", 0, nullptr) != 0) return false;
    put("m/key", "inside");
    return true;
  });
  ASSERT_TRUE(actor.ok());
  EXPECT_EQ(content(open_requested(request(actor.pid(), dir_ + "/m/key"))), "inside");
  EXPECT_EQ(open_requested(request(getpid(), dir_ + "/m/key")).unread, Unread::kGone);
}

TEST_F(OpenerTest, GoesThroughAnotherProcessOfTheNamespaceWhenTheFirstIsGone) {
  fs::create_directory(dir_ + "/m");
  const Actor actor([&] {
    if (mount("none", (dir_ + "/m").c_str(), "tmpfs", 0, nullptr) != 0) return false;
    put("m/key", "inside");
    return true;
  });
  Actor dead([] { return true; }, false);
  ASSERT_TRUE(actor.ok());
  auto asked = request(dead.pid(), dir_ + "/m/key");
  dead.end();
  asked.mnt_ns = actor.mnt_ns();
  asked.alternatives = {static_cast<std::uint32_t>(getpid()), static_cast<std::uint32_t>(actor.pid())};
  asked.alternatives_count = 2;
  EXPECT_EQ(content(open_requested(asked)), "inside");
  asked.mnt_ns = 0;
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone);
}

TEST_F(OpenerTest, KeptMountsServeForAMomentAfterTheirLastProcess) {
  fs::create_directory(dir_ + "/m");
  Actor actor([&] {
    if (mount("none", (dir_ + "/m").c_str(), "tmpfs", 0, nullptr) != 0) return false;
    put("m/key", "inside");
    return true;
  });
  ASSERT_TRUE(actor.ok());
  auto asked = request(actor.pid(), dir_ + "/m/key");
  asked.mnt_ns = actor.mnt_ns();
  auto keep = role::make<role::KeepMounts>(role::Type::kKeepMounts);
  keep.tgid = asked.tgid;
  keep.mnt_ns = asked.mnt_ns;
  KeptMounts kept;
  kept.keep(keep);
  kept.drop_ended(1);
  kept.drop_ended(1 + 2 * KeptMounts::kLongerNs);
  ASSERT_EQ(kept.size(), 1U) << "its process lives";
  actor.end();
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone);
  EXPECT_EQ(content(open_requested(asked, kept.root_of(asked.mnt_ns))), "inside");
  kept.drop_ended(1);
  kept.drop_ended(KeptMounts::kLongerNs);
  EXPECT_EQ(kept.size(), 1U);
  kept.drop_ended(1 + KeptMounts::kLongerNs);
  EXPECT_EQ(kept.size(), 0U);
  EXPECT_EQ(kept.root_of(asked.mnt_ns), -1);
}

TEST_F(OpenerTest, KeepsNoMountsOfItsOwnNoOthersThanThoseNamedAndNotTooMany) {
  auto keep = role::make<role::KeepMounts>(role::Type::kKeepMounts);
  struct stat own{};
  ASSERT_EQ(stat("/proc/self/ns/mnt", &own), 0);
  KeptMounts kept;
  keep.tgid = static_cast<std::uint32_t>(getpid());
  keep.mnt_ns = static_cast<std::uint32_t>(own.st_ino);
  kept.keep(keep);
  EXPECT_EQ(kept.size(), 0U) << "the warden's own";
  std::vector<std::unique_ptr<Actor>> actors;
  for (std::size_t i = 0; i <= KeptMounts::kMax; ++i) {
    actors.push_back(std::make_unique<Actor>([] { return true; }));
    keep.tgid = static_cast<std::uint32_t>(actors.back()->pid());
    keep.mnt_ns = 1;
    kept.keep(keep);
    ASSERT_EQ(kept.root_of(keep.mnt_ns), -1) << "another namespace than its own";
    keep.mnt_ns = actors.back()->mnt_ns();
    kept.keep(keep);
    ASSERT_NE(kept.root_of(keep.mnt_ns), -1);
  }
  EXPECT_EQ(kept.size(), KeptMounts::kMax);
  EXPECT_EQ(kept.root_of(actors.front()->mnt_ns()), -1);
}

TEST_F(OpenerTest, ServesItsOwnNamespaceWhenNobodyElseIsLeft) {
  put("key", "secret");
  Actor dead([] { return true; }, false);
  auto asked = request(dead.pid(), dir_ + "/key");
  asked.mnt_ns = dead.mnt_ns();
  dead.end();
  EXPECT_EQ(content(open_requested(asked)), "secret");
}

TEST_F(OpenerTest, TakesNoOtherProcessForTheOneThatWasMeant) {
  put("key", "secret");
  auto asked = request(getpid(), dir_ + "/key");
  asked.start_ns = 1'000'000'000;  // one second after boot: the number was used again since
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone);
}

TEST_F(OpenerTest, ComparesWithoutTheDeviceOnOverlay) {
  for (const char* name : {"/lower", "/upper-fs", "/merged"})
    fs::create_directory(dir_ + name);
  put("lower/key", "layered");
  const Actor actor([&] {
    if (mount("none", (dir_ + "/upper-fs").c_str(), "tmpfs", 0, nullptr) != 0) return false;
    fs::create_directory(dir_ + "/upper-fs/up");
    fs::create_directory(dir_ + "/upper-fs/work");
    const std::string options =
        "lowerdir=" + dir_ + "/lower,upperdir=" + dir_ + "/upper-fs/up,workdir=" + dir_ + "/upper-fs/work";
    return mount("none", (dir_ + "/merged").c_str(), "overlay", 0, options.c_str()) == 0;
  });
  if (!actor.ok()) GTEST_SKIP() << "overlay over two file systems cannot be mounted here";
  auto asked = request(actor.pid(), dir_ + "/merged/key");
  const Opening first = open_requested(asked);
  ASSERT_EQ(content(first), "layered");
  asked.file = first.file;
  asked.file.dev = (0U << 20U) | 9999U;  // the kernel's own device number of the overlay, which stat never shows
  EXPECT_EQ(content(open_requested(asked)), "layered");
  asked.file.size += 1;
  EXPECT_EQ(open_requested(asked).unread, Unread::kChanged);
}

/// A FUSE file system that never answers: every look at it hangs until its descriptor is closed.
TEST_F(OpenerTest, ALookAtAHangingFuseEndsWithItsChild) {
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0) GTEST_SKIP() << "no FUSE here";
  fs::create_directory(dir_ + "/m");
  const Actor actor([&] {
    const std::string options = "fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0";
    return mount("hang", (dir_ + "/m").c_str(), "fuse", 0, options.c_str()) == 0;
  });
  if (!actor.ok()) {
    close(fuse);
    GTEST_SKIP() << "FUSE cannot be mounted here";
  }
  OpenerChild child;
  ASSERT_TRUE(child.start());
  const pid_t pid = child.pid();
  ASSERT_TRUE(child.ask(request(actor.pid(), dir_ + "/m/key")));
  usleep(300'000);
  role::Opened answer;
  base::UniqueFd descriptor;
  EXPECT_FALSE(child.answer(answer, descriptor));  // it hangs
  child.kill();
  int status = 0;
  for (int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) == 0; ++i)
    usleep(10'000);
  EXPECT_TRUE(WIFSIGNALED(status));
  close(fuse);
}

TEST_F(OpenerTest, TheChildPassesADescriptor) {
  put("key", "secret");
  OpenerChild child;
  ASSERT_TRUE(child.start());
  const pid_t pid = child.pid();
  ASSERT_TRUE(child.ask(request(getpid(), dir_ + "/key")));
  role::Opened answer;
  Opening opening;
  for (int i = 0; i < 100 && !child.answer(answer, opening.descriptor); ++i)
    usleep(10'000);
  EXPECT_EQ(answer.unread, 0);
  EXPECT_EQ(content(opening), "secret");
  child.kill();
  waitpid(pid, nullptr, 0);
}

TEST_F(OpenerTest, SaysWhetherTheProcessWasToldToReadTheFile) {
  fs::create_directory(dir_ + "/other");
  put("keys.conf", "a");
  put("other/keys.conf", "b");
  fs::create_symlink(dir_ + "/keys.conf", dir_ + "/link.conf");
  fs::create_directory_symlink(dir_, dir_ + "/folder");
  OpenerChild child;
  ASSERT_TRUE(child.start());
  const pid_t opener = child.pid();
  const auto is_named = [&](pid_t pid, const std::string& path) {
    EXPECT_TRUE(child.ask(request(pid, path)));
    role::Opened answer;
    Opening opening;
    bool answered = false;
    for (int i = 0; i < 100 && !(answered = child.answer(answer, opening.descriptor)); ++i)
      usleep(10'000);
    EXPECT_TRUE(answered && answer.unread == 0) << path;
    return answered && answer.named != 0;
  };
  /// Not of this process, which is the opener's parent: as if it were the warden.
  const auto start = [&](const std::string& command) {
    FILE* const shell = popen(("cd " + dir_ + " && { " + command + " >/dev/null 2>&1 & echo $!; }").c_str(), "r");
    int pid = 0;
    EXPECT_EQ(fscanf(shell, "%d", &pid), 1);
    pclose(shell);
    for (int i = 0; i < 100; ++i) {  // until it is that program
      std::error_code error;
      if (fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).filename() != "dash" && !error) break;
      usleep(10'000);
    }
    usleep(50'000);
    return pid;
  };
  const std::string file = dir_ + "/keys.conf", other = dir_ + "/other/keys.conf";
  const pid_t whole = start("tail -n0 -f " + file);
  const pid_t relative = start("tail -n0 -f keys.conf");
  const pid_t through = start("tail -n0 -f " + dir_ + "/folder/keys.conf");
  const pid_t variable = start("env CONF=" + file + " sleep 60");
  const pid_t elsewhere = start("tail -n0 -f other/keys.conf");
  for (const pid_t pid : {whole, relative, through, variable}) {
    EXPECT_TRUE(is_named(pid, file)) << pid;
    EXPECT_FALSE(is_named(pid, other)) << pid;
  }
  EXPECT_TRUE(is_named(elsewhere, other));
  EXPECT_FALSE(is_named(elsewhere, file)) << "another file of that name";
  const Actor own([&] { return execlp("tail", "tail", "-n0", "-f", file.c_str(), nullptr) == 0; }, false);
  EXPECT_FALSE(is_named(own.pid(), file)) << "what the agent started does not count";
  for (const pid_t pid : {whole, relative, through, variable, elsewhere})
    kill(pid, SIGKILL);
  child.kill();
  waitpid(opener, nullptr, 0);
}

TEST_F(OpenerTest, ReadsTheInitialEnvironment) {
  auto asked = request(getpid(), "");
  asked.hints.asks = static_cast<std::uint8_t>(role::Asks::kEnvironment);
  EXPECT_NE(content(open_requested(asked)).find('='), std::string::npos);
  asked.start_ns = 1'000'000'000;
  EXPECT_EQ(open_requested(asked).unread, Unread::kGone);
}

}  // namespace
}  // namespace keytrail::warden
