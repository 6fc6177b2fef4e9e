// SPDX-License-Identifier: Apache-2.0
// A worker that was taken over: it has what the warden gives the real one, and asks for whatever KEYTRAIL_TEST_ASK
// names (paths, separated by blanks) as every format, with every kind of question, for the warden (whose environment
// names them) and for the process KEYTRAIL_TEST_READER, and as if they were the file KEYTRAIL_TEST_CLAIM, then for
// nonsense. Every text that comes back goes to the file
// KEYTRAIL_TEST_OUT: "id" what names a key, "text" anything else.
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "agent/examine/formats.h"
#include "agent/examine/inherited.h"
#include "keytrail/role_abi.h"

namespace {

using namespace keytrail;

class Hostile {
 public:
  Hostile(int control, int facts) : control_(control), facts_(facts) {}

  static void say(const std::string& line) {
    std::ofstream out(std::getenv("KEYTRAIL_TEST_OUT"), std::ios::app);
    out << line + "\n" << std::flush;
  }

  void ask_for(const std::string& path) {
    for (const std::string_view format : examine::format_names()) {
      if (format == "opaque" || format == "raw_token") continue;  // what they give are ids anyway: see `ask_plain`
      for (const std::uint32_t flags : {0U, role::kOpenLook, role::kOpenLook | role::kOpenTold, ~0U})
        ask(path, std::string(format), role::Asks::kFile, flags);
    }
    if (const char* const reader = std::getenv("KEYTRAIL_TEST_READER"); reader != nullptr) {
      for (const char* const format : {"configuration", "dotenv", "netrc", "pgpass", "ssh_config"})
        ask(path, format, role::Asks::kFile, 0, static_cast<std::uint32_t>(std::atoi(reader)));
    }
    if (const char* const claim = std::getenv("KEYTRAIL_TEST_CLAIM"); claim != nullptr) {
      for (const char* const format : {"netrc", "raw_token", "content"})
        ask(path, format, role::Asks::kFile, 0, 0, identity_of(claim));
    }
    ask(path, "opaque", role::Asks::kFile, 0);
    ask(path, "no_such_format", role::Asks::kFile, 0);
    ask(path, "PRIVATE", role::Asks::kEnvironment, 0);
    ask(path, "curl", role::Asks::kArguments, 0);
    for (const char* const format : {"oci", "docker", "storage", "netrc"})
      ask(path, format, role::Asks::kBundle, ~0U);
    // Around its name.
    for (const std::string& way : {"/root/.aws/../.." + path, "/proc/self/root" + path, "/proc/1/root" + path,
                                   "/dev/fd/../.." + path, "/./" + path, path + "/", path + "/."})
      ask(way, "netrc", role::Asks::kFile, 0);
  }

  /// Messages of every type with bytes that nobody would send; none of them may end the warden.
  void send_nonsense() {
    std::mt19937 random(9);
    std::array<char, role::kMaxMessage + 64> bytes{};
    static constexpr std::array kSizes{sizeof(role::Open),         sizeof(role::AttachTarget), sizeof(role::WatchName),
                                       sizeof(role::DetachTarget), sizeof(role::KeepMounts),   sizeof(role::WatchFound),
                                       sizeof(role::Bare)};
    for (int i = 0; i < 4000; ++i) {
      for (char& one : bytes)
        one = random() % 3 == 0 ? static_cast<char>(random()) : '\0';
      std::size_t size = random() % 4 == 0 ? random() % bytes.size() : kSizes[random() % kSizes.size()];
      role::Head head{.version = role::kVersion,
                      .type = static_cast<std::uint16_t>(random() % 100),
                      .size = static_cast<std::uint32_t>(random() % 8 == 0 ? random() : size),
                      .request = random()};
      if (head.type == static_cast<std::uint16_t>(role::Type::kReady)) continue;
      size = std::max(size, sizeof(head));
      std::memcpy(bytes.data(), &head, sizeof(head));
      (void)!send(control_, bytes.data(), size, MSG_NOSIGNAL);
      hear(0);
    }
    say("nonsense sent");
  }

  void hear(int patience_ms) {
    while (true) {
      std::array<pollfd, 2> ready{{{control_, POLLIN, 0}, {facts_, POLLIN, 0}}};
      if (poll(ready.data(), ready.size(), patience_ms) <= 0) return;
      for (const pollfd& one : ready) {
        if ((one.revents & (POLLIN | POLLHUP)) != 0 && !take(one.fd)) _exit(0);
      }
    }
  }

 private:
  static role::Identity identity_of(const char* path) {
    struct stat file{};
    if (stat(path, &file) != 0) return {};
    return {.inode = file.st_ino,
            .fs_magic = 0,
            .ctime_s = file.st_ctim.tv_sec,
            .size = static_cast<std::uint64_t>(file.st_size),
            .ctime_ns = static_cast<std::uint32_t>(file.st_ctim.tv_nsec),
            .dev = (major(file.st_dev) << 20U) | minor(file.st_dev)};
  }

  void ask(const std::string& path, const std::string& format, role::Asks asks, std::uint32_t flags,
           std::uint32_t reader = 0, const role::Identity& file = {}) {
    auto open = role::make<role::Open>(role::Type::kOpen, ++last_);
    open.tgid = reader != 0 ? reader : asks == role::Asks::kEnvironment ? 1U : static_cast<std::uint32_t>(getppid());
    open.flags = flags;
    open.file = file;
    if ((flags & role::kOpenLook) != 0) open.file.inode = 1;  // not that one: what is there now is read
    if ((flags & role::kOpenTold) != 0) open.teller.assign(path);
    open.hints.asks = static_cast<std::uint8_t>(asks);
    open.hints.format.assign(format);
    open.hints.key_kind.assign("acme.none");
    open.path.assign(path);
    if (asks == role::Asks::kBundle) open.hints.kinds.assign(path);
    // Arguments and environment are the named process's: no path is asked for (the fake loader has some arguments of
    // its own for every process).
    asked_[last_] = asks == role::Asks::kFile        ? path + " as " + format
                    : asks == role::Asks::kArguments ? "arguments of a process"
                    : asks == role::Asks::kBundle    ? "bundle " + path + " as " + format
                                                     : "environment of a process";
    (void)!send(control_, &open, sizeof(open), MSG_NOSIGNAL);
    hear(asked_.size() % 64 == 0 ? 20 : 0);
  }

  bool take(int socket) {
    std::array<char, role::kMaxMessage> buffer{};
    const ssize_t n = recv(socket, buffer.data(), buffer.size(), 0);
    if (n <= 0) return false;
    const auto size = static_cast<std::size_t>(n);
    role::KeyFact key;
    role::ClaimFact claim;
    role::EnvFact env;
    role::BundleFact bundle;
    role::Done done;
    role::OpenFailed failed;
    switch (role::type_of(buffer.data(), size)) {
      case role::Type::kKeyFact:
        if (!role::decode(buffer.data(), size, key)) break;
        say("id " + asked_[key.head.request] + ": " + std::string(key.id.view()));
        for (const std::string_view text : {key.principal.view(), key.parent.view(), key.selector.view(),
                                            key.variable.view(), key.host.view(), key.path.view()}) {
          if (!text.empty()) say("text " + asked_[key.head.request] + ": " + std::string(text));
        }
        break;
      case role::Type::kClaimFact:
        if (role::decode(buffer.data(), size, claim))
          say("text " + asked_[claim.head.request] + ": " + std::string(claim.value.view()));
        break;
      case role::Type::kEnvFact:
        if (role::decode(buffer.data(), size, env))
          say("env " + asked_[env.head.request] + ": " + std::string(env.name.view()) + "=" +
              std::string(env.value.view()));
        break;
      case role::Type::kBundleFact:
        if (role::decode(buffer.data(), size, bundle))
          say("text " + asked_[bundle.head.request] + ": " + std::string(bundle.value.view()));
        break;
      case role::Type::kDone:
        if (role::decode(buffer.data(), size, done))
          say("done " + asked_[done.head.request] + ": " + role::text_of(static_cast<role::Unread>(done.unread)));
        break;
      case role::Type::kOpenFailed:
        if (role::decode(buffer.data(), size, failed))
          say("failed " + asked_[failed.head.request] + ": " + role::text_of(static_cast<role::Unread>(failed.unread)) +
              " inode " + std::to_string(failed.file.inode) + " size " + std::to_string(failed.file.size) + " time " +
              std::to_string(failed.file.ctime_s) + (failed.unchanged != 0 ? " unchanged" : ""));
        break;
      case role::Type::kAreYouThere: {
        const auto here = role::make<role::Bare>(role::Type::kHere);
        (void)!send(control_, &here, sizeof(here), MSG_NOSIGNAL);
        break;
      }
      default:
        break;
    }
    return true;
  }

  int control_, facts_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, std::string> asked_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[2]) == "--list-disabled-hooks") return 0;  // no configuration
  examine::InheritedFds fds = examine::take_inherited_fds();
  Hostile hostile(fds.get("control").get(), fds.get("examiner").get());
  Hostile::say("worker pid=" + std::to_string(getpid()));
  std::istringstream asked(std::getenv("KEYTRAIL_TEST_ASK") == nullptr ? "" : std::getenv("KEYTRAIL_TEST_ASK"));
  for (std::string path; asked >> path;)
    hostile.ask_for(path);
  hostile.hear(1500);
  Hostile::say("asked all");
  hostile.send_nonsense();
  asked.clear();
  asked.seekg(0);
  if (std::string path; asked >> path) hostile.ask_for(path);
  hostile.hear(1500);
  Hostile::say("asked again");
  hostile.hear(-1);
}
