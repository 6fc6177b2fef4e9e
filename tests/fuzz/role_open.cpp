// SPDX-License-Identifier: Apache-2.0
// Target: what the worker asks of the warden (agent/warden). A sound request is carried out for this process itself:
// whatever a taken-over worker writes into it, only a small regular file is opened; what
// it holds is copied into memory and looked at by nobody.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "agent/warden/opener.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::warden {
namespace {

using fuzz::require;

template <role::Wire Message>
bool take(std::string_view bytes, Message& out) {
  return role::decode(bytes.data(), bytes.size(), out);
}

/// Every message that the warden reads, as the bytes are and with a good length.
template <role::Wire Message>
void decode_as(std::string_view bytes) {
  Message message;
  (void)take(bytes, message);
  std::string fitted(bytes.substr(0, sizeof(Message)));
  fitted.resize(sizeof(Message));
  (void)take(fitted, message);
}

void open(std::string_view bytes) {
  std::string fitted(bytes.substr(0, sizeof(role::Open)));
  fitted.resize(sizeof(role::Open));
  role::Open request;
  if (!take(fitted, request)) return;
  require(request.path.view().size() <= request.path.bytes.size(), "a text lies within its message");
  if (request.hints.asks == static_cast<std::uint8_t>(role::Asks::kEnvironment))
    return;  // of any process by its number: not this machine's
  if (request.hints.asks == static_cast<std::uint8_t>(role::Asks::kBundle)) request.file = {};  // made by the warden
  request.tgid = static_cast<std::uint32_t>(::getpid());
  request.start_ns = 0;
  request.alternatives_count = 0;
  Opening opening = open_requested(request);
  if (!opening.descriptor) return;
  require(opening.place.empty() || (opening.place.front() == '/' && opening.place.size() <= role::kMaxPlace),
          "where it was found is a path");
  require(opening.unread == role::Unread::kNone && !opening.unchanged, "what is handed over was opened");
  struct stat file{};
  require(::fstat(opening.descriptor.get(), &file) == 0 && S_ISREG(file.st_mode), "only a regular file is opened");
  require(static_cast<std::size_t>(file.st_size) <= role::kMaxFileBytes && is_known_filesystem(opening.file.fs_magic),
          "only a small file of a known file system");
  require(same_file(request.file, opening.file) || (request.flags & (role::kOpenLook | role::kOpenTold)) != 0,
          "only the file that was meant");
  if (file.st_size > 4096) return;
  take_copy(opening, true);
  struct stat copy{};
  require(opening.unread == role::Unread::kChanged ||
              (opening.descriptor && ::fstat(opening.descriptor.get(), &copy) == 0 && copy.st_size == file.st_size &&
               ::write(opening.descriptor.get(), "x", 1) < 0),
          "the examiner gets a sealed copy");
}

}  // namespace
}  // namespace keytrail::warden

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  const std::string_view bytes = fuzz::text_of(data, size);
  (void)role::type_of(bytes.data(), bytes.size());
  warden::decode_as<role::WatchName>(bytes);
  warden::decode_as<role::Open>(bytes);
  warden::decode_as<role::AttachTarget>(bytes);
  warden::decode_as<role::DetachTarget>(bytes);
  warden::decode_as<role::KeepMounts>(bytes);
  warden::decode_as<role::Bare>(bytes);
  warden::decode_as<role::WatchFound>(bytes);
  warden::decode_as<role::Remark>(bytes);
  warden::decode_as<role::Opened>(bytes);
  warden::decode_as<role::Examine>(bytes);
  warden::decode_as<role::FingerprintKey>(bytes);
  warden::open(bytes);
  return 0;
}
