// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/named.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/opener.h"
#include "keytrail/examiner.h"

namespace keytrail::warden {
namespace {

using role::Unread;

constexpr std::uint64_t kMagic = 0x31636C7074656BU;  // "ketplc1"

struct StoredHead {
  std::uint64_t magic = kMagic;
  std::array<char, 40> boot{};
};

std::array<char, 40> boot_of(std::string_view text) {
  std::array<char, 40> out{};
  std::ranges::copy(text.substr(0, out.size()), out.begin());
  return out;
}

/// The file itself, whatever stands in it by now.
bool is_that_file(const role::Identity& named, role::Identity now) {
  now.size = named.size;
  now.ctime_s = named.ctime_s;
  now.ctime_ns = named.ctime_ns;
  return named.inode != 0 && same_file(named, now);
}

template <typename Object>
bool read_whole(int fd, Object* out, std::size_t count) {
  static_assert(std::is_trivially_copyable_v<Object>);
  const auto bytes = static_cast<ssize_t>(count * sizeof(Object));
  return read(fd, static_cast<void*>(out), static_cast<std::size_t>(bytes)) == bytes;
}

template <typename Object>
bool write_whole(int fd, const Object* from, std::size_t count) {
  static_assert(std::is_trivially_copyable_v<Object>);
  const auto bytes = static_cast<ssize_t>(count * sizeof(Object));
  return write(fd, from, static_cast<std::size_t>(bytes)) == bytes;
}

}  // namespace

kt_opened opened_of(const role::Open& asked) {
  kt_opened out{};
  out.start_ns = asked.start_ns;
  out.inode = asked.file.inode;
  out.size = asked.file.size;
  out.ctime_s = asked.file.ctime_s;
  out.ctime_ns = asked.file.ctime_ns;
  out.dev = asked.file.dev;
  out.tgid = asked.tgid;
  out.fs_magic = static_cast<kt_u32>(asked.file.fs_magic);
  return out;
}

std::string slot_place(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/', 1));  // with the slash before it
    path.remove_prefix(part.size());
    if (part.size() <= 3 || !part.starts_with("/..")) out += part;
  }
  return out;
}

Named::Named(const base::SipKey& key, std::uint32_t machine_mnt_ns, WasOpened was_opened)
    : key_(key), machine_mnt_ns_(machine_mnt_ns), was_opened_(std::move(was_opened)) {}

std::uint64_t Named::number_of(std::uint32_t mnt_ns, std::string_view path) const {
  const std::uint32_t ns = mnt_ns == machine_mnt_ns_ ? 0 : mnt_ns;
  std::string text(reinterpret_cast<const char*>(&ns), sizeof(ns));
  text += slot_place(path);
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const std::array<std::uint8_t, 16> hash = base::siphash_2_4_128(key_, {bytes, text.size()});
  std::uint64_t out = 0;
  memcpy(&out, hash.data(), sizeof(out));
  return out;
}

std::uint64_t Named::number_of(const kt_opened& what) const {
  std::uint64_t first = 0, second = 0;
  memcpy(&first, key_.data(), sizeof(first));
  memcpy(&second, key_.data() + sizeof(first), sizeof(second));
  return kt_opened_tag(&what, first, second);
}

const Named::Place* Named::find(std::uint32_t mnt_ns, std::string_view path) {
  return mnt_ns == 0 ? nullptr : places_.find(number_of(mnt_ns, path));
}

void Named::note_place(std::uint32_t mnt_ns, std::string_view path, std::uint32_t owner) {
  const auto [place, made] = places_.get(number_of(mnt_ns, path));
  fresh_ = fresh_ || made || place->owner != owner;
  *place = {owner, mnt_ns == machine_mnt_ns_ ? 1U : 0U};
}

NamedBy Named::what_names(const role::Open& asked) {
  if (asked.hints.asks == static_cast<std::uint8_t>(role::Asks::kBundle))
    return is_bundle_id(asked.hints.kinds.view()) ? NamedBy::kRuntime : NamedBy::kNothing;
  if (asked.hints.asks != static_cast<std::uint8_t>(role::Asks::kFile)) return NamedBy::kProcess;
  const kt_opened opening = opened_of(asked);
  if ((asked.flags & role::kOpenTold) != 0) {
    const bool has_read = was_opened_(opening) || led_.find(number_of(opening)) != nullptr;
    return has_read && !asked.teller.view().empty() ? NamedBy::kTeller : NamedBy::kNothing;
  }
  if ((asked.flags & role::kOpenLook) != 0) {
    if (asked.path.view() == kHostsPlace) return NamedBy::kHosts;
    return find(asked.mnt_ns, asked.path.view()) != nullptr ? NamedBy::kPlace : NamedBy::kNothing;
  }
  return was_opened_(opening) ? NamedBy::kEvent : NamedBy::kNothing;
}

bool Named::limit(NamedBy by, const role::Open& asked, role::Opened& found) {
  const auto unread = static_cast<Unread>(found.unread);
  const std::string_view path = asked.path.view(), where = found.place.view();
  const auto is_at_known_place = [&] {
    const Place* const place = find(found.mnt_ns, path);
    return place != nullptr && found.owner != role::kNobody && place->owner == found.owner &&
           slot_place(where) == slot_place(path);
  };
  bool may_be_told = false;
  switch (by) {
    case NamedBy::kNothing:
      break;
    case NamedBy::kEvent:
      may_be_told = unread == Unread::kNone || is_that_file(asked.file, found.file) || is_at_known_place();
      // The path is the worker's word: where a link leads to the file it is whatever the link will lead to.
      if (unread == Unread::kNone && found.mnt_ns != 0 && where == path) note_place(found.mnt_ns, path, found.owner);
      break;
    case NamedBy::kPlace:
      may_be_told = found.mnt_ns == asked.mnt_ns && is_at_known_place();
      break;
    case NamedBy::kHosts:
      may_be_told = where == kHostsPlace;
      break;
    case NamedBy::kTeller: {
      // The opener went no further than the process could. Why it found nothing would say whether a word that somebody
      // guessed stands in the file that tells.
      may_be_told = unread == Unread::kNone || found.file.inode != 0;
      if (unread != Unread::kNone) break;
      role::Open led = asked;
      led.file = found.file;
      led_.get(number_of(opened_of(led)));
      break;
    }
    case NamedBy::kProcess:
      may_be_told = true;
      break;
    case NamedBy::kRuntime:
      found.file = {};  // what the file is like is nobody's business
      may_be_told = true;
      break;
  }
  if (may_be_told) return true;
  const role::Head head = found.head;
  const bool hung = unread == Unread::kTimeout && by != NamedBy::kNothing;
  found = {};
  found.head = head;
  found.unread = static_cast<std::uint16_t>(by == NamedBy::kNothing ? Unread::kRefused
                                            : hung                  ? Unread::kTimeout
                                                                    : Unread::kGone);
  return hung;
}

// Not synced: nobody waits for a disk here, and after a power cut a damaged file is none.
Result<void> Named::store(const std::string& path, std::string_view boot) {
  if (!fresh_) return {};
  fresh_ = false;
  const std::string aside = path + ".new";
  unlink(aside.c_str());
  const base::UniqueFd file(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  const StoredHead head{.boot = boot_of(boot)};
  std::vector<Stored> all;
  for (const auto& [place, what] : places_.items())
    all.push_back({place, what});
  std::ranges::reverse(all);  // the freshest last, as they are to be read
  if (!file || !write_whole(file.get(), &head, 1) || !write_whole(file.get(), all.data(), all.size()) ||
      rename(aside.c_str(), path.c_str()) != 0) {
    fresh_ = true;
    return fail(Error::Code::kSystem, "Cannot write " + path + ": " + strerror(errno) + ".");
  }
  return {};
}

void Named::load(const std::string& path, std::string_view boot) {
  const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  StoredHead head;
  if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid()) return;
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (bytes < sizeof(head) || (bytes - sizeof(head)) % sizeof(Stored) != 0 ||
      (bytes - sizeof(head)) / sizeof(Stored) > kMaxPlaces || !read_whole(file.get(), &head, 1) || head.magic != kMagic)
    return;
  std::vector<Stored> all((bytes - sizeof(head)) / sizeof(Stored));
  if (!read_whole(file.get(), all.data(), all.size())) return;
  const bool same_boot = head.boot == boot_of(boot);
  for (const Stored& one : all) {
    if (same_boot || one.what.lasting != 0) *places_.get(one.place).first = one.what;
  }
}

}  // namespace keytrail::warden
