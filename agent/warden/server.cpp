// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/warden/log.h"
#include "agent/warden/messages.h"
#include "agent/warden/notify.h"
#include "keytrail/hooks_wire.h"

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000 * kMs;
constexpr std::size_t kMaxOutbox = 8192;
constexpr int kBurst = 64;  ///< messages taken from one socket before the others get their turn

}  // namespace

std::uint64_t boot_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

Server::Server(Setup setup, Loader& loader) : setup_(std::move(setup)), loader_(loader), places_(setup_.places) {}

int Server::run() {
  if (!prepare()) return 1;
  start_examiner();
  start_worker();
  watchdog_every_ = watchdog_interval_ns();
  begin_clock(boot_ns());
  while (!stopping_ || worker_.pid > 0 || examiner_.pid > 0) {
    std::array<epoll_event, 16> events;
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms(boot_ns()));
    for (int i = 0; i < n; ++i) {
      switch (static_cast<Tag>(events[static_cast<std::size_t>(i)].data.u32)) {
        case kSignals:
          on_signals();
          break;
        case kControl:
          on_control();
          break;
        case kExaminer:
          on_examiner();
          break;
        case kOpener:
          on_opener();
          break;
        case kPlaces:
          on_places();
          break;
      }
    }
    tick(boot_ns());
  }
  openers_.kill();
  return exit_status_;
}

bool Server::prepare() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD, SIGHUP})
    sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);  // blocked here, it comes all the same; the children start with it ignored
  signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  std::array<int, 2> pair{};
  if (!signals_ || !epoll_ || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    say(Level::kError, "Cannot set up the event loop: %s.", strerror(errno));
    return false;
  }
  for (const int end : pair) {
    const int bytes = 2 << 20;  // a file of 256 keys fits several times
    setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
  }
  facts_examiner_end_.reset(pair[0]);
  facts_worker_end_.reset(pair[1]);
  begin_named();
  watch(signals_.get(), kSignals);
  if (openers_.ready() >= 0) watch(openers_.ready(), kOpener);
  own(0, getpid());
  return true;
}

void Server::watch(int fd, Tag tag, bool writable) {
  epoll_event event{.events = EPOLLIN | (writable ? EPOLLOUT : 0U), .data = {.u32 = tag}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Server::unwatch(base::UniqueFd& fd) {
  if (fd) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  fd.reset();
}

// ---- what the worker asks ----

void Server::on_control() {
  std::array<char, role::kMaxMessage> buffer;
  for (int i = 0; i < kBurst && control_; ++i) {
    base::UniqueFd unexpected;
    const ssize_t n = receive_bytes(control_.get(), buffer, unexpected, MSG_DONTWAIT);
    if (n == 0) unwatch(control_);
    if (n <= 0) break;
    on_control_message(buffer.data(), static_cast<std::size_t>(n));
  }
  if (control_ && !outbox_.empty()) flush_to_worker();
}

void Server::on_control_message(const char* data, std::size_t size) {
  const auto check = [](const Result<void>& result, const char* what) {
    if (!result) say(Level::kWarn, "%s failed: %s", what, result.error().message.c_str());
  };
  switch (role::type_of(data, size)) {
    case role::Type::kOpen: {
      role::Open request;
      if (!role::decode(data, size, request)) return;
      request.flags &= role::kOpenLook | role::kOpenTold;
      return wait_for_opener({.open = request, .target = std::nullopt});
    }
    case role::Type::kKeepMounts: {
      role::KeepMounts keep;
      if (!role::decode(data, size, keep)) return;
      places_.add(keep);
      return openers_.keep(keep);
    }
    case role::Type::kAttachTarget: {
      role::AttachTarget request;
      if (role::decode(data, size, request)) on_attach_target(request);
      return;
    }
    case role::Type::kDetachTarget: {
      role::DetachTarget request;
      if (role::decode(data, size, request)) on_detach_target(request);
      return;
    }
    case role::Type::kReportTargets:
      return report_targets();
    case role::Type::kSampleSockets:
      return check(loader_.sample_sockets(), "Sampling the sockets");
    case role::Type::kSweep:
      return check(loader_.sweep(), "The sweep over all processes");
    case role::Type::kWatchName: {
      role::WatchName watch_name;
      if (role::decode(data, size, watch_name))
        check(loader_.watch_name(std::string(watch_name.base_name.view())), "Watching one more file name");
      return;
    }
    case role::Type::kWatchFound: {
      role::WatchFound found;
      if (role::decode(data, size, found))
        check(loader_.watch_found(found.inode, found.dev, found.name.view(), found.folder.view(), found.over == 0),
              "Watching a file that held a key");
      return;
    }
    case role::Type::kHere:
      return note_sign(worker_);
    case role::Type::kStored: {
      role::Bare stored;
      if (!role::decode(data, size, stored)) return;
      notices_.stored(stored.head.request);
      return send_kept_notices();
    }
    case role::Type::kReady:
      worker_ready_ = true;
      send_kept_notices();
      return notify(is_partly_armed() ? "READY=1\nSTATUS=PARTLY ARMED: keytrail status says why, and the fix."
                                      : "READY=1\nSTATUS=Watching.");
    default:
      return;
  }
}

/// Key files lie there: whoever opens one of them is seen, whatever it is called where he finds it.
void Server::on_places() {
  const bool more = places_.take([this](std::uint64_t inode, std::uint32_t dev) {
    if (const Result<void> watched = loader_.watch_found(inode, dev, {}, {}); !watched)
      say(Level::kWarn, "Watching a key file failed: %s", watched.error().message.c_str());
  });
  if (!more) unwatch(places_.results());
}

// ---- what the worker is told ----

void Server::to_worker(const char* bytes, std::size_t size) {
  if (!control_ || outbox_.size() >= kMaxOutbox) return;  // it asks again, or its own deadline answers
  outbox_.emplace_back(bytes, bytes + size);
  flush_to_worker();
}

void Server::flush_to_worker() {
  while (!outbox_.empty()) {
    const int sent = send_bytes(control_.get(), outbox_.front(), -1, MSG_DONTWAIT);
    if (sent == 0) return watch(control_.get(), kControl, true);
    if (sent < 0) outbox_.clear();
    if (sent > 0) outbox_.pop_front();
  }
  watch(control_.get(), kControl);
}

void Server::notice(const char* cause, std::uint64_t from_ns, std::uint64_t to_ns, const std::string& text,
                    std::string_view family) {
  auto message = role::make<role::Notice>(role::Type::kNotice);
  message.from_ns = from_ns;
  message.to_ns = std::max(from_ns, to_ns);
  message.cause.assign(cause);
  message.text.assign(text);
  message.family.assign(family);
  notices_.keep(message);
  send_kept_notices();
}

void Server::send_kept_notices() {
  while (worker_ready_ && control_ && outbox_.size() < kMaxOutbox) {
    const std::optional<role::Notice> next = notices_.next();
    if (!next) return;
    to_worker(*next);
  }
}

void Server::add_remark(const std::string& text) {
  say(Level::kWarn, "%s", text.c_str());
  examiner_remarks_.push_back(text);
  auto remark = role::make<role::Remark>(role::Type::kRemark);
  remark.text.assign(text);
  to_worker(remark);
}

void Server::send_hello() {
  auto hello = role::make<role::Hello>(role::Type::kHello);
  hello.started_ns = setup_.started_ns;
  hello.armed_ns = loader_.armed_ns();
  hello.session = setup_.session;
  hello.resumed = setup_.resumed ? 1 : 0;
  hello.cpus = loader_.cpus();
  hello.hooks = static_cast<std::uint32_t>(loader_.report().size());
  hello.remarks = static_cast<std::uint32_t>(setup_.remarks.size() + examiner_remarks_.size());
  hello.life = worker_.lives;
  to_worker(hello);
  for (const HookReport& report : loader_.report())
    to_worker(to_wire(report));
  for (const std::vector<std::string>* remarks : {&setup_.remarks, &examiner_remarks_}) {
    for (const std::string& text : *remarks) {
      auto remark = role::make<role::Remark>(role::Type::kRemark);
      remark.text.assign(text);
      to_worker(remark);
    }
  }
  const Role self{.name = "warden", .pid = getpid(), .lives = 1, .how = {}, .backoff = {}};
  for (const Role* role : {&self, &std::as_const(examiner_), &std::as_const(worker_)})
    send_role(*role);
  to_worker(role::make<role::Bare>(role::Type::kHelloEnd));
}

void Server::send_role(const Role& role) {
  auto message = role::make<role::RoleState>(role::Type::kRole);
  message.pid = role.pid > 0 ? static_cast<std::uint32_t>(role.pid) : 0;
  message.lives = role.lives;
  message.name.assign(role.name);
  message.ended.assign(role.how);
  to_worker(message);
}

void Server::on_examiner() {
  if (!ready_.empty() || examiner_full_) pass_on();
  std::array<char, role::kMaxMessage> buffer;
  for (int i = 0; i < kBurst && examiner_socket_; ++i) {
    base::UniqueFd unexpected;
    const ssize_t n = receive_bytes(examiner_socket_.get(), buffer, unexpected, MSG_DONTWAIT);
    if (n == 0) unwatch(examiner_socket_);
    if (n <= 0) break;
    role::Remark remark;
    const auto size = static_cast<std::size_t>(n);
    if (role::type_of(buffer.data(), size) == role::Type::kHere) note_sign(examiner_);
    if (role::type_of(buffer.data(), size) != role::Type::kSandboxRemark || !role::decode(buffer.data(), size, remark))
      continue;
    const std::string text(remark.text.view());
    if (examiner_remarks_.size() < 16 && std::ranges::find(examiner_remarks_, text) == examiner_remarks_.end())
      add_remark(text);
  }
}

}  // namespace keytrail::warden
