// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/known_places.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "agent/warden/log.h"
#include "agent/warden/opener.h"
#include "agent/warden/privilege.h"
#include "agent/warden/process.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;

constexpr std::size_t kMaxHomes = 64;
constexpr std::uint64_t kDeadlineNs = 2'000'000'000;
constexpr std::uint64_t kBtrfs = 0x9123683E;
constexpr std::uint64_t kOverlay = 0x794c7630;

constexpr std::size_t kNoHome = 0, kHomeOfRoot = 1, kListOfHomes = 2, kFirstHome = 3;  // steps

enum class Told : std::uint32_t { kFound, kAt, kRootIsFull, kRoundIsFull };

/// What the child says through the pipe.
struct Report {
  std::uint64_t inode = 0;  ///< kAt: the step
  std::uint32_t dev = 0;    ///< kAt: the root's mount namespace
  Told what = Told::kFound;
};

std::uint32_t device_of(const struct stat& file) { return (major(file.st_dev) << 20U) | minor(file.st_dev); }

/// Without O_DIRECTORY: that would have an automount made.
UniqueFd find_folder(int parent, const char* name) {
  return UniqueFd(openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

/// A folder on a file system that answers: no link, no automount.
bool is_plain_folder(int folder, struct stat& status) {
  struct statfs system{};
  return folder >= 0 && fstatfs(folder, &system) == 0 &&
         is_known_filesystem(static_cast<std::uint64_t>(system.f_type)) && fstat(folder, &status) == 0 &&
         S_ISDIR(status.st_mode);
}

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> out;
  UniqueFd readable(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> list(readable ? fdopendir(readable.get()) : nullptr, closedir);
  if (!list) return out;
  (void)readable.release();
  for (const dirent* one = readdir(list.get()); one != nullptr && out.size() < kMaxHomes; one = readdir(list.get())) {
    if (one->d_name[0] != '.') out.emplace_back(one->d_name);
  }
  return out;
}

/// stat shows another device than the kernel's: of an overlay the root's is right, where that is one; of btrfs none is.
std::uint32_t kernels_device(const struct stat& file, std::uint64_t magic, const struct stat& root,
                             std::uint64_t root_magic) {
  if (magic == kBtrfs || (magic == kOverlay && root_magic != kOverlay)) return 0;
  return device_of(magic == kOverlay ? root : file);
}

[[noreturn]] void look_and_end(std::span<const std::string_view> places, std::span<const role::KeepMounts> roots,
                               std::size_t from, int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "keytrail-places");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  constexpr int kOut = 3;
  if (out != kOut && dup2(out, kOut) < 0) _exit(1);
  if (syscall(SYS_close_range, kOut + 1U, ~0U, 0U) != 0) {
    for (int fd = kOut + 1; fd < 1024; ++fd)
      close(fd);
  }
  (void)keep_only(opener_capabilities());
  const auto tell = [](const Report& report) {
    if (write(kOut, &report, sizeof(report)) != static_cast<ssize_t>(sizeof(report))) _exit(0);
  };
  std::size_t left = kMaxPlacesOfRound;
  for (const role::KeepMounts& one : roots) {
    const UniqueFd process = one.mnt_ns == 0 ? open_process(1) : open_named(one.tgid, one.start_ns);
    const UniqueFd root(process ? openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1);
    const auto found = [&](std::uint64_t inode, std::uint32_t dev) {
      if (left == 0) {
        tell(Report{0, 0, Told::kRoundIsFull});
        _exit(0);
      }
      --left;
      tell(Report{inode, dev, Told::kFound});
    };
    const auto begins = [&](std::size_t step) { tell(Report{step, one.mnt_ns, Told::kAt}); };
    if (root && !look_at_places(root.get(), places, found, from, begins)) tell(Report{0, 0, Told::kRootIsFull});
    from = 0;
  }
  _exit(0);
}

}  // namespace

bool look_at_places(int root, std::span<const std::string_view> places, const OnePlace& found, std::size_t from,
                    const StepBegins& begins) {
  struct stat root_status{};
  struct statfs root_system{};
  if (fstat(root, &root_status) != 0 || fstatfs(root, &root_system) != 0) return true;
  std::size_t count = 0;
  const auto look = [&](const std::string& path, const struct stat* home) {  // false: there are too many
    int error = 0;
    const UniqueFd file = find_in_root(root, path, error);
    struct stat status{};
    struct statfs system{};
    if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size > static_cast<off_t>(role::kMaxFileBytes) || fstatfs(file.get(), &system) != 0)
      return true;
    if (home != nullptr && status.st_uid != home->st_uid) return true;
    const auto magic = static_cast<std::uint64_t>(system.f_type);
    const std::uint32_t dev =
        kernels_device(status, magic, root_status, static_cast<std::uint64_t>(root_system.f_type));
    if (dev == 0 || !is_known_filesystem(magic)) return true;
    if (count == kMaxPlacesOfRoot) return false;
    ++count;
    found(status.st_ino, dev);
    return true;
  };
  const auto look_in_home = [&](int parent, const std::string& name, const std::string& path) {
    const UniqueFd folder = find_folder(parent, name.c_str());
    struct stat home{};
    if (!is_plain_folder(folder.get(), home)) return true;
    return std::ranges::all_of(places, [&](std::string_view place) {
      return !place.starts_with("~/") || look(path + std::string(place.substr(1)), &home);
    });
  };
  const auto is_wanted = [&](std::size_t step) {
    if (step >= from && begins) begins(step);
    return step >= from;
  };
  if (is_wanted(kNoHome) && !std::ranges::all_of(places, [&](std::string_view place) {
        return place.starts_with("~/") || look(std::string(place), nullptr);
      }))
    return false;
  if (is_wanted(kHomeOfRoot) && !look_in_home(root, "root", "/root")) return false;
  if (from == kFirstHome) return true;  // the list hung
  if (begins) begins(kListOfHomes);
  const UniqueFd home = find_folder(root, "home");
  struct stat home_status{};
  if (!is_plain_folder(home.get(), home_status)) return true;
  std::size_t step = kFirstHome;
  for (const std::string& name : names_in(home.get())) {
    if (is_wanted(step) && !look_in_home(home.get(), name, "/home/" + name)) return false;
    ++step;
  }
  return true;
}

void KnownPlaces::add(const role::KeepMounts& process) {
  if (places_.empty() || process.mnt_ns == 0) return;
  std::erase_if(roots_, [&](const Root& one) { return one.process.mnt_ns == process.mnt_ns; });
  roots_.push_back({process, false});
  if (roots_.size() > kMaxRoots) drop_ended();
  if (roots_.size() > kMaxRoots) roots_.pop_front();
  fresh_ = true;
}

void KnownPlaces::drop_ended() {
  std::erase_if(roots_, [](const Root& one) { return !open_named(one.process.tgid, one.process.start_ns); });
}

bool KnownPlaces::tick(std::uint64_t now_ns) {
  if (places_.empty()) return false;
  if (results_ && now_ns >= deadline_ns_) {
    if (pid_ > 0) {
      cut_ = true;
      if (!said_hung_)
        say(Level::kWarn,
            "Looking at the places of key files took over 2 s and was ended: a file system may not "
            "answer. The next round begins behind it. Further ones are not told.");
      said_hung_ = true;
    }
    kill();  // what it found so far is taken; `take` sees the end
  }
  return !results_ && now_ns >= due() && begin(now_ns);
}

std::uint64_t KnownPlaces::due() const {
  if (places_.empty()) return 0;
  if (results_) return deadline_ns_;
  return fresh_ ? std::min(next_ns_, began_ns_ + kFreshNs) : next_ns_;
}

std::vector<role::KeepMounts> KnownPlaces::roots_of_round(bool all, std::size_t& from) {
  std::vector<role::KeepMounts> out;
  if (all) out.emplace_back();  // the machine's
  for (Root& one : roots_) {
    if (all || !one.looked) out.push_back(one.process);
    one.looked = true;
  }
  from = 0;
  if (!all || !behind_) return out;
  const std::uint32_t mnt_ns = behind_->mnt_ns;
  const auto at = std::find_if(out.begin(), out.end(), [&](const auto& one) { return one.mnt_ns == mnt_ns; });
  if (at != out.end()) {
    from = behind_->step + 1;
    std::rotate(out.begin(), at, out.end());
  }
  behind_.reset();
  return out;
}

bool KnownPlaces::begin(std::uint64_t now_ns) {
  drop_ended();
  const bool all = now_ns >= next_ns_;
  std::size_t from = 0;
  const std::vector<role::KeepMounts> roots = roots_of_round(all, from);
  fresh_ = false;
  began_ns_ = now_ns;
  if (all) next_ns_ = now_ns + kEveryNs;
  deadline_ns_ = now_ns + kDeadlineNs;
  if (roots.empty()) return false;
  at_ = {roots.front().mnt_ns, from};
  cut_ = false;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  results_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  fcntl(results_.get(), F_SETFL, O_NONBLOCK);
  pid_ = fork();
  if (pid_ == 0) look_and_end(places_, roots, from, theirs.get());
  if (pid_ < 0) results_.reset();
  return pid_ > 0;
}

void KnownPlaces::say_full() {
  if (said_full_) return;
  said_full_ = true;
  say(Level::kWarn,
      "More files lie at the places of key files than are looked at (%zu of one root, %zu at once): the rest is "
      "known by name only. Further ones are not told.",
      kMaxPlacesOfRoot, kMaxPlacesOfRound);
}

bool KnownPlaces::take(const OnePlace& found) {
  std::array<Report, 64> room{};
  while (results_) {
    const ssize_t bytes = read(results_.get(), room.data(), sizeof(room));  // whole ones: each was written at once
    if (bytes <= 0) {
      if (bytes < 0) return true;
      pid_ = -1;
      if (cut_) behind_ = at_;
      return false;
    }
    for (const Report& one : std::span(room).first(static_cast<std::size_t>(bytes) / sizeof(Report))) {
      if (one.what == Told::kFound) found(one.inode, one.dev);
      if (one.what == Told::kAt) at_ = {one.dev, static_cast<std::size_t>(one.inode)};
      if (one.what == Told::kRoundIsFull) cut_ = true;
      if (one.what == Told::kRootIsFull || one.what == Told::kRoundIsFull) say_full();
    }
  }
  return false;
}

void KnownPlaces::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  pid_ = -1;
  deadline_ns_ += kDeadlineNs;
}

}  // namespace keytrail::warden
