// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace keytrail::warden {
namespace {

using base::UniqueFd;

std::unexpected<Error> system_error(const std::string& what) {
  return fail(Error::Code::kSystem, what + ": " + strerror(errno) + ".");
}

/// Opens a directory (made with `mode` when missing) and checks that it is root's, or `former`'s; then sets owner, mode
/// and group.
Result<UniqueFd> own_directory(int at, const std::string& name, const std::string& shown, mode_t mode, gid_t group,
                               uid_t former = 0) {
  if (mkdirat(at, name.c_str(), 0700) != 0 && errno != EEXIST)
    return system_error("Cannot make the directory " + shown);
  UniqueFd fd(openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail(Error::Code::kRefused, shown + " is no directory, or a symbolic link: remove it.");
  struct stat now{};
  if (fstat(fd.get(), &now) != 0) return system_error("Cannot look at " + shown);
  if (now.st_uid != 0 && now.st_uid != former)
    return fail(Error::Code::kRefused,
                shown + " does not belong to root: remove it, or `chown root` it if its content is trusted.");
  const bool right = (now.st_mode & 07777U) == mode && now.st_uid == 0 && now.st_gid == group;
  if (!right && fchown(fd.get(), 0, group) != 0)
    return system_error("Cannot give " + shown + " to its group (that needs CAP_CHOWN, and a file system with owners)");
  if (!right && fchmod(fd.get(), mode) != 0) return system_error("Cannot set the mode of " + shown);
  return fd;
}

/// All directories above `path` that are missing, as mkdir -p.
void make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    mkdir(path.substr(0, at).c_str(), 0755);
}

Result<void> make_key(int directory) {
  std::array<std::uint8_t, 16> key{};
  if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
    return system_error("Cannot draw a fingerprint key");
  // Written aside and linked: a key that exists is complete, and an existing one is never replaced.
  constexpr const char* kNew = "fingerprint.key.new";
  unlinkat(directory, kNew, 0);
  UniqueFd fd(openat(directory, kNew, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  const bool written =
      fd && write(fd.get(), key.data(), key.size()) == static_cast<ssize_t>(key.size()) && fsync(fd.get()) == 0;
  explicit_bzero(key.data(), key.size());
  if (!written) return system_error("Cannot write the fingerprint key");
  if (linkat(directory, kNew, directory, "fingerprint.key", 0) != 0 && errno != EEXIST)
    return system_error("Cannot put the fingerprint key in its place");
  unlinkat(directory, kNew, 0);
  fsync(directory);
  return {};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

/// Removes a socket that nobody listens on; anything else there is refused.
Result<void> clear_place(const std::string& path) {
  struct stat now{};
  if (lstat(path.c_str(), &now) != 0) {
    if (errno == ENOENT) return {};
    return system_error("Cannot look at " + path);
  }
  if (!S_ISSOCK(now.st_mode) || now.st_uid != 0)
    return fail(Error::Code::kRefused, path + " is not a socket of root's: remove it.");
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return system_error("Cannot make a socket");
  const sockaddr_un address = address_of(path);
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    return fail(Error::Code::kRefused, "Somebody answers on " + path + ": is another agent running?");
  }
  if (unlink(path.c_str()) != 0) return system_error("Cannot remove the old socket " + path);
  return {};
}

}  // namespace

Result<void> make_run_dir(const std::string& dir) {
  make_parents(dir);
  const Result<UniqueFd> run = own_directory(AT_FDCWD, dir, dir, 0755, 0);
  if (!run) return std::unexpected(run.error());
  const Result<UniqueFd> empty = own_directory(run->get(), "empty", dir + "/empty", 0555, 0);
  if (!empty) return std::unexpected(empty.error());
  return {};
}

Result<void> make_state_dir(const std::string& dir, const User& user) {
  make_parents(dir);
  const Result<UniqueFd> state = own_directory(AT_FDCWD, dir, dir, 01770, user.gid, user.uid);
  if (!state) return std::unexpected(state.error());
  const Result<UniqueFd> own = own_directory(state->get(), "warden", dir + "/warden", 0700, 0);
  if (!own) return std::unexpected(own.error());
  return {};
}

Result<std::array<std::uint8_t, 16>> read_fingerprint_key(const std::string& state_dir) {
  const std::string shown = state_dir + "/warden/fingerprint.key";
  const UniqueFd directory(open((state_dir + "/warden").c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return system_error("Cannot open " + state_dir + "/warden");
  UniqueFd fd(openat(directory.get(), "fingerprint.key", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    if (const Result<void> made = make_key(directory.get()); !made) return std::unexpected(made.error());
    fd.reset(openat(directory.get(), "fingerprint.key", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  }
  if (!fd && errno == ELOOP) return fail(Error::Code::kRefused, shown + " is a symbolic link: remove it.");
  if (!fd) return system_error("Cannot open " + shown);
  struct stat now{};
  if (fstat(fd.get(), &now) != 0 || !S_ISREG(now.st_mode) || now.st_uid != 0 || (now.st_mode & 0777U) != 0600 ||
      now.st_size != 16) {
    return fail(Error::Code::kRefused, shown +
                                           " must be a file of 16 bytes, owned by root, mode 0600: put it right, or "
                                           "remove it and lose the link to old fingerprints.");
  }
  std::array<std::uint8_t, 16> key{};
  if (read(fd.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()))
    return system_error("Cannot read " + shown);
  return key;
}

Result<UniqueFd> take_lock(const std::string& run_dir) {
  const std::string path = run_dir + "/warden.lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return system_error("Cannot open " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Error::Code::kUnavailable,
                "Another keytrail-warden runs with " + run_dir + ": stop it, or give this one a --run-dir of its own.");
  }
  return fd;
}

Result<UniqueFd> listen_api(const std::string& run_dir, gid_t group) {
  const std::string path = run_dir + "/api.sock";
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Error::Code::kInvalid, "The name " + path + " is too long for a socket: choose a shorter --run-dir.");
  if (const Result<void> clear = clear_place(path); !clear) return std::unexpected(clear.error());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("Cannot make a socket");
  const sockaddr_un address = address_of(path);
  const mode_t before = umask(0177);  // nobody but root connects until group and mode are set
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  umask(before);
  if (bound != 0) return system_error("Cannot make the socket " + path);
  if (lchown(path.c_str(), 0, group) != 0) return system_error("Cannot give " + path + " to its group (CAP_CHOWN)");
  if (chmod(path.c_str(), 0660) != 0) return system_error("Cannot set the mode of " + path);
  if (listen(fd.get(), 128) != 0) return system_error("Cannot listen on " + path);
  return fd;
}

}  // namespace keytrail::warden
