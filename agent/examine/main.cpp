// SPDX-License-Identifier: Apache-2.0
// keytrail-examiner: the only place where secret bytes are read. Takes descriptors from the warden (KEYTRAIL_FDS:
// warden=N), reads, sends facts to the worker (facts=N), wipes. It ends when the warden does. Thread: one.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/catalog/catalog.h"
#include "agent/examine/believed.h"
#include "agent/examine/bundle.h"
#include "agent/examine/formats.h"
#include "agent/examine/inherited.h"
#include "agent/examine/pem_blocks.h"
#include "agent/examine/sandbox.h"
#include "keytrail/role_abi.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kScratchBytes = 4U << 20U;

template <role::Wire Message>
bool send_message(int socket, const Message& message) {
  while (send(socket, &message, sizeof(message), MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

/// One datagram and the descriptor that may come with it. 0 = the warden is gone.
ssize_t receive(int socket, std::span<char> buffer, base::UniqueFd& descriptor) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EINTR ? -1 : 0;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS || at->cmsg_len < CMSG_LEN(sizeof(int))) continue;
    int received = -1;
    memcpy(&received, CMSG_DATA(at), sizeof(received));
    descriptor.reset(received);
  }
  return n;
}

/// Everything the descriptor holds, up to the bound and one byte more. False on a read error.
bool read_all(int descriptor, std::span<char> buffer, std::size_t& length) {
  length = 0;
  while (length < buffer.size()) {
    const ssize_t n = read(descriptor, buffer.data() + length, buffer.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) break;
    length += static_cast<std::size_t>(n);
  }
  return true;
}

class Server {
 public:
  Server(int warden, int facts) : warden_(warden), facts_(facts) {
    state_.env = catalog::kernel_tables().env;
    state_.formats = catalog::kernel_tables().formats;
    state_.programs = catalog::kernel_tables().programs;
    state_.carried = catalog::kernel_tables().carried;
  }

  [[nodiscard]] bool locked() const { return file_.locked() && scratch_.locked(); }

  int run() {
    std::array<char, role::kMaxMessage> buffer;
    while (true) {
      base::UniqueFd descriptor;
      const ssize_t n = receive(warden_, buffer, descriptor);
      if (n == 0) return 0;
      if (n < 0) continue;
      const auto size = static_cast<std::size_t>(n);
      if (role::FingerprintKey key;
          role::type_of(buffer.data(), size) == role::Type::kFingerprintKey && role::decode(buffer.data(), size, key)) {
        state_.key = key.key;
        explicit_bzero(&key, sizeof(key));
        explicit_bzero(buffer.data(), size);
      }
      if (role::type_of(buffer.data(), size) == role::Type::kAreYouThere &&
          !send_message(warden_, role::make<role::Bare>(role::Type::kHere)))
        return 1;
      if (role::Examine asked;
          role::type_of(buffer.data(), size) == role::Type::kExamine && role::decode(buffer.data(), size, asked)) {
        Found found;
        examine(asked, descriptor, found);
        descriptor.reset();
        file_.wipe();
        scratch_.wipe();
        if (!answer(asked, found) || !give_sign()) return 1;
      }
    }
  }

 private:
  /// The warden's question waits behind the files that it sent before: without a sign it would take this for stalled.
  bool give_sign() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == signed_s_) return true;
    signed_s_ = now.tv_sec;
    return send_message(warden_, role::make<role::Bare>(role::Type::kHere));
  }

  void examine(const role::Examine& asked, const base::UniqueFd& descriptor, Found& found) {
    found.unread = role::Unread::kGone;
    if (descriptor) (this->*kReaders[asked.hints.asks])(asked, descriptor.get(), found);
  }

  /// The whole file in locked memory, up to the bound and one byte more; false: `found` says why not.
  bool read_whole(int descriptor, std::string_view& bytes, Found& found) {
    const std::span<char> buffer = file_.take(role::kMaxFileBytes + 1);
    std::size_t length = 0;
    const bool read = !buffer.empty() && read_all(descriptor, buffer, length);
    if (!read) found.unread = role::Unread::kRefused;
    if (read) file_.keep(length);  // else something may lie behind it
    bytes = {buffer.data(), length};
    return read;
  }

  void read_environment(const role::Examine& asked, int descriptor, Found& found) {
    std::string_view bytes;
    if (!read_whole(descriptor, bytes, found)) return;
    // A process that ended meanwhile reads as empty; one beyond the bound is read as far as the bound.
    found.unread = bytes.empty() && asked.file.size > 0 ? role::Unread::kGone : role::Unread::kNone;
    Hints kind;
    believe_kind(asked.hints, catalog_, kind);
    parse_environment(bytes.substr(0, role::kMaxFileBytes), state_, scratch_, found,
                      {.name = asked.hints.format.view(),
                       .kind = kind.key_kind,
                       .key_class = kind.key_class,
                       .lifetime = kind.lifetime,
                       .guessable = kind.guessable});
  }

  void read_arguments(const role::Examine& asked, int descriptor, Found& found) {
    std::string_view bytes;
    if (read_whole(descriptor, bytes, found))
      parse_arguments(asked.hints.format.view(), bytes, state_, scratch_, found);
  }

  void read_file(const role::Examine& asked, int descriptor, Found& found) {
    std::string_view bytes;
    if (!read_whole(descriptor, bytes, found)) return;
    Belief belief;
    believe(asked, bytes, catalog_, state_, scratch_, belief);
    found.bare = belief.bare;
    parse(belief.hints, bytes, state_, scratch_, found);
  }

  void read_bundle(const role::Examine& asked, int descriptor, Found& found) {
    std::string_view bytes;
    if (read_whole(descriptor, bytes, found))
      parse_bundle(asked.hints.format.view(), asked.hints.kinds.view(), asked.place.view(), bytes, state_, scratch_,
                   found);
  }

  /// How each kind of question is read, in the order of role::Asks.
  using Reader = void (Server::*)(const role::Examine& asked, int descriptor, Found& found);
  static constexpr std::array<Reader, role::kAsks> kReaders{&Server::read_file, &Server::read_environment,
                                                            &Server::read_arguments, &Server::read_bundle};

  bool answer(const role::Examine& asked, const Found& found) {
    for (const KeyFact& fact : found.keys) {
      auto out = role::make<role::KeyFact>(role::Type::kKeyFact, asked.head.request);
      out.issued_s = fact.key.issued_s;
      out.expires_s = fact.key.expires_s;
      out.fingerprint = fact.key.fingerprint.bytes;
      out.selector_hash = fact.selector_hash.bytes;
      out.key_class = static_cast<std::uint8_t>(fact.key.key_class);
      out.lifetime = static_cast<std::uint8_t>(fact.key.lifetime);
      out.id.assign(fact.key.id);
      out.kind.assign(fact.key.kind);
      out.principal.assign(fact.key.principal);
      out.parent.assign(fact.key.parent);
      out.selector.assign(fact.selector);
      out.variable.assign(fact.variable);
      out.host.assign(fact.host);
      out.path.assign(fact.path);
      out.current = fact.current ? 1 : 0;
      out.untold = fact.untold ? 1 : 0;
      if (!send_message(facts_, out)) return false;
      for (const Claim& claim : fact.claims) {
        auto said = role::make<role::ClaimFact>(role::Type::kClaimFact, asked.head.request);
        if (said.name.assign(claim.name) && said.value.assign(claim.value) && !send_message(facts_, said)) return false;
      }
    }
    for (const EnvItem& item : found.env) {
      auto out = role::make<role::EnvFact>(role::Type::kEnvFact, asked.head.request);
      out.fingerprint = item.fingerprint.bytes;
      out.length = item.length;
      out.truncated = item.truncated ? 1 : 0;
      out.name.assign(item.name);
      out.value.assign(item.value);
      out.format.assign(item.format);
      if (!send_message(facts_, out)) return false;
    }
    for (const BundleFact& fact : found.facts) {
      auto out = role::make<role::BundleFact>(role::Type::kBundleFact, asked.head.request);
      out.what = fact.what;
      out.value.assign(fact.value);
      if (!send_message(facts_, out)) return false;
    }
    auto done = role::make<role::Done>(role::Type::kDone, asked.head.request);
    done.file = asked.file;
    done.unread = static_cast<std::uint16_t>(found.unread);
    done.keys = static_cast<std::uint16_t>(found.keys.size());
    done.env = static_cast<std::uint16_t>(found.env.size());
    done.facts = static_cast<std::uint16_t>(found.facts.size());
    done.format.assign(found.format);
    done.skipped = static_cast<std::uint16_t>(std::min<std::uint32_t>(found.skipped, UINT16_MAX));
    return send_message(facts_, done);
  }

  int warden_;
  int facts_;
  time_t signed_s_ = 0;  ///< when the last sign went out
  Arena file_{role::kMaxFileBytes + 1};
  Arena scratch_{kScratchBytes};
  ExaminerState state_;
  const catalog::Catalog& catalog_ = catalog::Catalog::builtin();
};

bool report(int warden, const std::vector<std::string>& remarks) {
  for (const std::string& text : remarks) {
    auto remark = role::make<role::Remark>(role::Type::kSandboxRemark);
    remark.text.assign(text);
    if (!send_message(warden, remark)) return false;
  }
  return send_message(warden, role::make<role::Bare>(role::Type::kSandboxReady));
}

struct Options {
  SandboxOptions sandbox;
  bool self_test = false;
};

std::optional<Options> read_options(int argc, char** argv) {
  static const option kLong[] = {{"uid", required_argument, nullptr, 'u'},  {"gid", required_argument, nullptr, 'g'},
                                 {"root", required_argument, nullptr, 'r'}, {"self-test", no_argument, nullptr, 't'},
                                 {"version", no_argument, nullptr, 'v'},    {nullptr, 0, nullptr, 0}};
  Options out;
  for (int c = 0; (c = getopt_long(argc, argv, "", kLong, nullptr)) != -1;) {
    switch (c) {
      case 'u':
        out.sandbox.uid = static_cast<uid_t>(strtoul(optarg, nullptr, 10));
        break;
      case 'g':
        out.sandbox.gid = static_cast<gid_t>(strtoul(optarg, nullptr, 10));
        break;
      case 'r':
        out.sandbox.root = optarg;
        break;
      case 't':
        out.self_test = true;
        break;
      case 'v':
        puts("keytrail-examiner " KEYTRAIL_VERSION);
        exit(0);
      default:
        return std::nullopt;
    }
  }
  return out;
}

int start(const Options& options) {
  InheritedFds fds;
  if (!options.self_test) {
    fds = take_inherited_fds();
    if (!fds.get("warden") || !fds.get("facts")) {
      fputs(
          "keytrail-examiner: it is started by keytrail-warden, which hands it its sockets; by hand only --self-test "
          "works.\n",
          stderr);
      return 2;
    }
  }
  if (!openssl_wipe()) fputs("keytrail-examiner: OpenSSL's memory is not wiped when freed.\n", stderr);
  Server server(options.self_test ? -1 : fds.get("warden").get(), options.self_test ? -1 : fds.get("facts").get());
  Sandbox sandbox = enter_sandbox(options.sandbox);
  if (!server.locked())
    sandbox.remarks.emplace_back("The examiner's buffers for keys are not locked: RLIMIT_MEMLOCK is too small.");
  if (options.self_test) {
    for (const std::string& remark : sandbox.remarks)
      (void)!write(STDERR_FILENO, (remark + "\n").c_str(), remark.size() + 1);
    return self_test() ? 0 : 1;
  }
  if (!report(fds.get("warden").get(), sandbox.remarks)) return 1;
  return server.run();
}

}  // namespace
}  // namespace keytrail::examine

int main(int argc, char** argv) {
  try {
    const std::optional<keytrail::examine::Options> options = keytrail::examine::read_options(argc, argv);
    if (!options) return 2;
    // Not exit(): handlers of libraries would make calls that the filter refuses.
    _exit(keytrail::examine::start(*options));
  } catch (const std::exception&) {
    (void)!write(STDERR_FILENO, "keytrail-examiner: out of memory\n", 33);
    _exit(1);
  }
}
