// SPDX-License-Identifier: Apache-2.0
// The server's other half: starting, watching and ending the roles, and the clock.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/warden/files.h"
#include "agent/warden/log.h"
#include "agent/warden/messages.h"
#include "agent/warden/notify.h"
#include "agent/warden/server.h"
#include "agent/warden/surroundings.h"

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000 * kMs;
constexpr std::uint64_t kHeartbeatEvery = 3 * kSecond;
constexpr std::uint64_t kAskEvery = 2 * kSecond;
constexpr unsigned kMostUnanswered = 4;                 // so who stops is ended within 10 s
constexpr unsigned kMostKilled = 2;                     // times that an end is waited for, by force
constexpr std::uint64_t kSideCheckEvery = 2 * kSecond;  // all of it is seen within 8 s
constexpr std::uint64_t kTargetCheckEvery = 1 * kSecond;
constexpr std::uint64_t kKeptCheckEvery = 30 * kSecond;
constexpr std::uint64_t kSampleEvery = 60 * kSecond;
constexpr std::uint64_t kStopPatience = 10 * kSecond;

}  // namespace

void Server::own(std::uint32_t slot, pid_t pid) {
  const Result<void> set = loader_.set_own_process(slot, static_cast<std::uint32_t>(pid));
  if (!set) say(Level::kWarn, "The agent's own process %d is not filtered: %s", pid, set.error().message.c_str());
}

/// Room for a burst; more than net.core.wmem_max where CAP_NET_ADMIN allows it.
static void enlarge(int socket) {
  const int bytes = 2 << 20;
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  }
}

/// A pair of sockets, ours and theirs; false when there are no descriptors left.
static bool make_pair(base::UniqueFd& ours, base::UniqueFd& theirs) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  for (const int end : pair)
    enlarge(end);
  ours.reset(pair[0]);
  theirs.reset(pair[1]);
  return true;
}

void Server::start_examiner() {
  unwatch(examiner_socket_);
  base::UniqueFd theirs;
  examiner_.restart_ns = 0;
  Result<pid_t> pid = fail(Error::Code::kSystem, "no descriptors left");
  if (make_pair(examiner_socket_, theirs)) {
    // Each message holds a copy of up to 1 MiB: some twenty of them wait there, the others as questions.
    const int bytes = 32 << 10;
    setsockopt(examiner_socket_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    pid = spawn({.path = setup_.options.examiner,
                 .arguments = {"keytrail-examiner", "--uid", std::to_string(setup_.examiner_user.uid), "--gid",
                               std::to_string(setup_.examiner_user.gid), "--root", setup_.options.run_dir + "/empty"},
                 .environment = {},
                 .descriptors = {{"warden", theirs.get()}, {"facts", facts_examiner_end_.get()}},
                 .before_exec = {}});
  }
  if (!pid) {
    say(Level::kError, "Cannot start the examiner: %s", pid.error().message.c_str());
    examiner_socket_.reset();
    examiner_.restart_ns = boot_ns() + kSecond;
    return;
  }
  examiner_.pid = *pid;
  examiner_.started_ns = boot_ns();
  ++examiner_.lives;
  own(1, *pid);
  send_role(examiner_);
  watch(examiner_socket_.get(), kExaminer);
  greet_examiner();
  if (!ready_.empty()) pass_on();
  if (examiner_.ended_ns == 0) return;
  tell_restart(examiner_, "what it was reading then may be unread.");
}

void Server::tell_restart(Role& role, const char* what_may_lack) {
  const std::uint64_t gap_ms = (role.started_ns - role.lost_ns + kMs - 1) / kMs;
  const std::string name(role.name);
  const bool stalled = std::exchange(role.stalled, false);
  notice((name + (stalled ? "_stalled" : "_restart")).c_str(), role.lost_ns, role.started_ns,
         "The " + name + " ended (" + role.how + ") and was started again after " + std::to_string(gap_ms) +
             " ms: " + what_may_lack);
}

void Server::note_sign(Role& role) {
  role.here_ns = boot_ns();
  role.unanswered = 0;
}

void Server::ask_for_sign(Role& role, int socket) {
  if (role.pid <= 0) return;
  if (role.stalled) {  // killed, and still there
    if (++role.unanswered <= kMostUnanswered + kMostKilled) return;
    if (&role == &worker_) {  // it holds the history's lock: another one could not begin before this one is gone
      if (role.unanswered > kMostUnanswered + kMostKilled + 1) return;
      say(Level::kError, "The worker does not even end: it is frozen, or waits in the kernel. Nothing is recorded.");
      return notify("STATUS=NOTHING IS RECORDED: the worker is frozen, or waits in the kernel, and does not end.");
    }
    say(Level::kError, "The %s does not even end: it is frozen, or waits in the kernel. Starting another one.",
        role.name);
    return on_ended(role, SIGKILL);  // it does nothing any more when it is let go
  }
  if (role.here_ns != 0 && ++role.unanswered > kMostUnanswered) {
    say(Level::kError, "The %s has not answered for %u s: ending it.", role.name,
        static_cast<unsigned>(kMostUnanswered * kAskEvery / kSecond));
    role.stalled = true;
    kill(role.pid, SIGKILL);
    return;
  }
  const auto question = role::make<role::Bare>(role::Type::kAreYouThere);
  if (&role == &worker_) return to_worker(question);
  send_message(socket, question, -1, MSG_DONTWAIT);
}

void Server::greet_examiner() {
  Result<std::array<std::uint8_t, 16>> key = read_fingerprint_key(setup_.options.state_dir);
  if (!key) return say(Level::kError, "The examiner gets no fingerprint key: %s", key.error().message.c_str());
  auto message = role::make<role::FingerprintKey>(role::Type::kFingerprintKey);
  message.key = *key;
  send_message(examiner_socket_.get(), message, -1, MSG_DONTWAIT);
  explicit_bzero(&message, sizeof(message));
  explicit_bzero(key->data(), key->size());
}

/// What the examiner said to a worker that is gone is of no use to the next one.
static void drain(int socket) {
  std::array<char, role::kMaxMessage> buffer;
  while (recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

void Server::start_worker() {
  unwatch(control_);
  outbox_.clear();
  waiting_.clear();
  drain(facts_worker_end_.get());
  base::UniqueFd theirs;
  worker_.restart_ns = 0;
  Result<pid_t> pid = fail(Error::Code::kSystem, "no descriptors left");
  if (make_pair(control_, theirs)) {
    Spawn what{
        .path = setup_.options.worker,
        .arguments = {"keytrail", "agent"},
        .environment = {{"KEYTRAIL_STATE_DIR", setup_.options.state_dir}, {"KEYTRAIL_RUN_DIR", setup_.options.run_dir}},
        .descriptors = {{"high", loader_.high_ring_fd()},
                        {"low", loader_.low_ring_fd()},
                        {"counters", loader_.counters_fd()},
                        {"cgroups_lost", loader_.cgroups_lost_fd()},
                        {"control", theirs.get()},
                        {"examiner", facts_worker_end_.get()},
                        {"api", setup_.api.get()}},
        .before_exec = [this] { return become_worker(setup_.worker_user); }};
    if (!setup_.options.config.empty())
      what.arguments.insert(what.arguments.end(), {"--config", setup_.options.config});
    pid = spawn(what);
  }
  if (!pid) {
    say(Level::kError, "Cannot start the worker: %s", pid.error().message.c_str());
    control_.reset();
    worker_.restart_ns = boot_ns() + kSecond;
    return;
  }
  worker_.pid = *pid;
  worker_.started_ns = boot_ns();
  ++worker_.lives;
  own(2, *pid);
  watch(control_.get(), kControl);
  send_hello();
  if (worker_.ended_ns != 0) tell_restart(worker_, "the rings kept what fitted, the counters say what did not.");
}

void Server::on_signals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo == SIGCHLD) {
      reap();
    } else if (info.ssi_signo == SIGHUP) {
      if (worker_.pid > 0)
        kill(worker_.pid, SIGHUP);  // the worker reads its catalog additions again; nothing is parsed here
    } else if (stopping_) {
      kill_at_ = boot_ns();  // asked twice: no more patience
    } else {
      say(Level::kInfo, "Ending.");
      begin_stop();
    }
  }
}

void Server::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
    if (WIFSTOPPED(status)) {
      if (openers_.stopped(pid))
        notice("opener_stalled", boot_ns(), boot_ns(), "An opener was stopped by somebody and was started again.");
      continue;  // the others do not answer for long enough
    }
    if (pid == worker_.pid) on_ended(worker_, status);
    if (pid == examiner_.pid) on_ended(examiner_, status);
    places_.ended(pid);
    openers_.ended(pid);
  }
}

void Server::on_ended(Role& role, int status) {
  const std::uint64_t now = boot_ns();
  role.pid = -1;
  role.ended_ns = now;
  role.lost_ns = role.stalled ? role.here_ns : now;
  role.here_ns = 0;
  role.unanswered = 0;
  role.how = role.stalled          ? "it did not answer"
             : WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                   : "exit status " + std::to_string(WEXITSTATUS(status));
  if (&role == &worker_) {
    unwatch(control_);
    worker_ready_ = false;
    notices_.take_back();
    if (!stopping_) loader_.forget_cgroups();
    loader_.targets().detach_all();  // the next worker does not know them, nor the one that is being opened
    openers_.forget_targets();
  }
  if (&role == &examiner_) unwatch(examiner_socket_);
  send_role(role);
  if (stopping_) {
    if (&role == &worker_ && WIFEXITED(status) && WEXITSTATUS(status) == 0)
      forget_rings(setup_.session);  // it has read and stored all that was in them
    if (&role == &worker_ && examiner_.pid > 0)
      kill(examiner_.pid, SIGTERM);  // after the worker: until then it may still be asked
    return;
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (code == 127)
    say(Level::kError, "The %s cannot be executed: is %s there?", role.name,
        (&role == &worker_ ? setup_.options.worker : setup_.options.examiner).c_str());
  if (code == 126) say(Level::kError, "The %s could not give up its privileges and was not started.", role.name);
  if (&role == &worker_ && (code == 2 || code == 78)) {  // EX_CONFIG: starting it again changes nothing
    say(Level::kError, "The worker refuses its configuration or its history; its own message says why.");
    exit_status_ = 2;
    return begin_stop();
  }
  const std::uint64_t delay = role.backoff.ended(now - role.started_ns);
  say(Level::kWarn, "The %s ended (%s); starting it again in %llu ms.", role.name, role.how.c_str(),
      static_cast<unsigned long long>(delay / kMs));
  role.restart_ns = now + delay;
}

void Server::begin_stop() {
  stopping_ = true;
  notify("STOPPING=1");
  kill_at_ = boot_ns() + kStopPatience;
  openers_.kill();
  store_places();
  unwatch(places_.results());
  places_.kill();
  ready_.clear();
  waiting_.clear();
  if (worker_.pid > 0) {
    kill(worker_.pid, SIGTERM);
  } else if (examiner_.pid > 0) {
    kill(examiner_.pid, SIGTERM);
  }
}

bool Server::is_partly_armed() const {
  return std::ranges::any_of(setup_.remarks, [](const std::string& one) { return one.starts_with(kPartlyArmed); });
}

void Server::check_kernel_side(std::uint64_t now) {
  for (const Repair& one : loader_.check()) {
    say(Level::kError, "%s", one.text.c_str());
    notice(one.cause, one.from_ns, now, one.text, one.family.empty() ? "*" : one.family);
  }
}

void Server::begin_clock(std::uint64_t now) {
  next_side_check_ = now + kSideCheckEvery;
  next_heartbeat_ = now + kHeartbeatEvery;
  next_sample_ = now + kSampleEvery;
  next_ask_ = now + kAskEvery;
  next_watchdog_ = now;
}

void Server::tick(std::uint64_t now) {
  if (watchdog_every_ > 0 && now >= next_watchdog_) {
    notify("WATCHDOG=1");
    next_watchdog_ = now + watchdog_every_;
  }
  if (stopping_) {
    if (now < kill_at_) return;
    for (Role* const role : {&worker_, &examiner_}) {
      if (role->pid > 0) kill(role->pid, SIGKILL);
      if (killed_ == kMostKilled) role->pid = -1;  // frozen, or it waits in the kernel: nobody waits for it
    }
    ++killed_;
    kill_at_ = now + kSecond;
    return;
  }
  give_up_late(now);
  if (examiner_.restart_ns != 0 && now >= examiner_.restart_ns) start_examiner();
  if (worker_.restart_ns != 0 && now >= worker_.restart_ns) start_worker();
  if (!ready_.empty() && !examiner_socket_) pass_on();  // nobody is there: the worker is told so
  if (now >= next_heartbeat_) {
    next_heartbeat_ = now + kHeartbeatEvery;
    const Result<void> beat = loader_.heartbeat();
    if (!beat && !heartbeat_failed_)
      say(Level::kWarn, "The heartbeat through the hooks failed: %s", beat.error().message.c_str());
    heartbeat_failed_ = !beat;
  }
  if (now >= next_ask_) {
    next_ask_ = now + kAskEvery;
    ask_for_sign(examiner_, examiner_socket_.get());
    ask_for_sign(worker_, control_.get());
  }
  if (now >= next_side_check_) {
    next_side_check_ = now + kSideCheckEvery;
    check_kernel_side(now);
  }
  if (now >= next_sample_) {
    next_sample_ = now + kSampleEvery;
    (void)loader_.sample_sockets();
  }
  if (now >= next_kept_check_) {
    next_kept_check_ = now + kKeptCheckEvery;
    loader_.drop_old_arguments();
    store_places();
  }
  if (places_.tick(now)) watch(places_.results().get(), kPlaces);
  if (now >= next_target_check_) {
    next_target_check_ = now + kTargetCheckEvery;
    drop_targets();
  }
}

int Server::timeout_ms(std::uint64_t now) const {
  std::uint64_t next = now + 60 * kSecond;
  const auto consider = [&](std::uint64_t when) {
    if (when != 0) next = std::min(next, when);
  };
  if (watchdog_every_ > 0) consider(next_watchdog_);
  if (stopping_) {
    consider(kill_at_);
  } else {
    consider(openers_.due());
    consider(examiner_.restart_ns);
    consider(worker_.restart_ns);
    consider(next_heartbeat_);
    consider(next_ask_);
    consider(next_side_check_);
    consider(next_sample_);
    consider(places_.due());
    if (loader_.targets().counts().attached > 0) consider(next_target_check_);
  }
  return next <= now ? 0 : static_cast<int>((next - now + kMs - 1) / kMs);
}

}  // namespace keytrail::warden
