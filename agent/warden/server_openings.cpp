// SPDX-License-Identifier: Apache-2.0
// The event loop's openings: requests wait, go to an opener's child, and what it made goes on to the examiner.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/warden/files.h"
#include "agent/warden/log.h"
#include "agent/warden/messages.h"
#include "agent/warden/process.h"
#include "agent/warden/server.h"

namespace keytrail::warden {
namespace {

constexpr const char* kPlacesFile = "/warden/places";
constexpr std::size_t kMaxWaiting = 4096;
constexpr std::size_t kMaxReady = 16;                ///< each is a descriptor with up to 1 MiB behind it
constexpr std::ptrdiff_t kLookAhead = 256;           ///< so many that wait for others are passed over
constexpr std::uint64_t kGivenUpNs = 2'000'000'000;  ///< then the worker has no use for it (RoleLink::kDeadline)

std::uint64_t awake_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000) + static_cast<std::uint64_t>(now.tv_nsec);
}

std::string boot_id() {
  const base::UniqueFd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 36> text{};
  const ssize_t size = file ? read(file.get(), text.data(), text.size()) : 0;
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// Nobody waits for it any more; who asked for a target always does.
bool is_given_up(const Job& job) { return !job.target && awake_ns() - job.asked_ns >= kGivenUpNs; }

bool asks_for_arguments(const Job& job) {
  return job.open.hints.asks == static_cast<std::uint8_t>(role::Asks::kArguments);
}

}  // namespace

/// Without a key of its own the warden begins with no places, and stores none: a session's key is nobody's next time.
void Server::begin_named() {
  Result<base::SipKey> key = read_fingerprint_key(setup_.options.state_dir);
  named_.emplace(key ? *key : setup_.session, mount_namespace(open_process(1).get()),
                 [this](const kt_opened& what) { return loader_.was_opened(what); });
  if (key) explicit_bzero(key->data(), key->size());
  named_->load(setup_.options.state_dir + kPlacesFile, boot_id());
}

void Server::store_places() {
  if (const Result<void> stored = named_->store(setup_.options.state_dir + kPlacesFile, boot_id()); !stored)
    say(Level::kWarn, "%s After a restart these key files are known again when they are read.",
        stored.error().message.c_str());
}

void Server::refuse_unnamed(const Job& job) {
  constexpr std::uint64_t kSaidEveryNs = 60'000'000'000;
  ++unnamed_;
  if (const std::uint64_t now = boot_ns(); now >= next_unnamed_ns_) {
    next_unnamed_ns_ = now + kSaidEveryNs;
    say(Level::kWarn, "The worker asked for %llu files that nothing named (no event, no known place): refused.",
        static_cast<unsigned long long>(unnamed_ - std::exchange(unnamed_said_, unnamed_)));
  }
  // A place may have been forgotten honestly; what is asked of an event is mostly known.
  const bool is_look = (job.open.flags & (role::kOpenLook | role::kOpenTold)) == role::kOpenLook;
  if (!is_look && !std::exchange(unnamed_told_, true))
    add_remark("The worker asked the warden for a file that nothing named, and was refused: see the warden's log.");
  settle(job, role::Unread::kRefused);
}

void Server::wait_for_opener(Job job) {
  job.by = named_->what_names(job.open);
  if (job.by == NamedBy::kNothing) return refuse_unnamed(job);
  if (waiting_.size() < kMaxWaiting) {
    job.user = user_of(job.open.tgid, job.open.start_ns);
    job.asked_ns = awake_ns();
    waiting_.push_back(std::move(job));
    return pump();
  }
  if (job.target) return refuse_target(job.open.head.request, job.target->family, "too many files wait to be opened");
  auto busy = role::make<role::OpenFailed>(role::Type::kOpenFailed, job.open.head.request);
  busy.unread = static_cast<std::uint16_t>(role::Unread::kBusy);
  to_worker(busy);
}

/// Begins with the next requests: those whose user has not got half of the children already. Those that waited too long
/// are answered. What ends at once comes back here from within: the loop takes the one after it.
void Server::pump() {
  if (std::exchange(pumping_, true)) return;
  const auto can_go = [this](const Job& job) {
    return is_given_up(job) || (ready_.size() < kMaxReady && (asks_for_arguments(job) || openers_.room_for(job)));
  };
  while (!waiting_.empty() && !stopping_) {
    const auto end = waiting_.begin() + std::min(kLookAhead, std::ssize(waiting_));
    const auto next = std::find_if(waiting_.begin(), end, can_go);
    if (next == end) break;
    Job job = std::move(*next);
    waiting_.erase(next);
    if (is_given_up(job)) {
      settle(job, role::Unread::kTimeout);
    } else if (asks_for_arguments(job)) {
      hand_over_arguments(std::move(job));
    } else if (!openers_.ask(job, boot_ns())) {
      settle(job, role::Unread::kBusy);
    }
  }
  pumping_ = false;
}

/// From the kernel's memory through a pipe: nobody looks at them here.
void Server::hand_over_arguments(Job job) {
  const role::Open& asked = job.open;
  std::array<char, KT_KEPT_MAX> text;
  const Result<std::size_t> length =
      loader_.take_arguments({.start_ns = asked.start_ns, .tgid = asked.tgid, .exec = asked.exec}, text);
  if (!length) return settle(job, role::Unread::kGone);
  std::array<int, 2> ends{-1, -1};
  const bool made = pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0;
  base::UniqueFd out(ends[0]), in(ends[1]);
  const bool whole = made && write(in.get(), text.data(), *length) == static_cast<ssize_t>(*length);
  explicit_bzero(text.data(), text.size());
  in.reset();
  if (!whole) return settle(job, role::Unread::kRefused);
  auto opened = role::make<role::Opened>(role::Type::kOpened, asked.head.request);
  hand_over({std::move(job), opened, std::move(out)});
}

void Server::on_opener() {
  for (Openers::Answer& answer : openers_.take())
    hand_over({std::move(answer.job), answer.opened, std::move(answer.descriptor)});
  pump();
}

/// Files that did not answer in time. A child that was stopped says nothing of the file: another one has a try.
void Server::give_up_late(std::uint64_t now) {
  std::vector<Openers::Late> late = openers_.tick(now);
  for (Openers::Late& one : late) {
    if (one.begun) {
      say(Level::kWarn,
          "A file system does not answer: opening or reading was given up after 1 s (%zu of its kind hang).",
          openers_.abandoned());
      settle(one.job, role::Unread::kTimeout);
      continue;
    }
    notice("opener_stalled", one.since_ns, now, "An opener did not run and was started again: files may be unread.");
    if (std::exchange(one.job.again, true)) {
      settle(one.job, role::Unread::kTimeout);
    } else {
      waiting_.push_front(std::move(one.job));
    }
  }
  if (!late.empty() || (!waiting_.empty() && is_given_up(waiting_.front()))) pump();
}

void Server::hand_over(Ready ready) {
  if (!named_->limit(ready.job.by, ready.job.open, ready.opened)) ready.descriptor.reset();
  const auto unread = static_cast<role::Unread>(ready.opened.unread);
  const bool unchanged = ready.opened.unchanged != 0;
  if (unread != role::Unread::kNone || unchanged || !ready.descriptor) {
    const bool nothing = unread == role::Unread::kNone && !unchanged;
    return settle(ready.job, nothing ? role::Unread::kRefused : unread, unchanged, ready.opened.file);
  }
  if (ready.job.target) return attach_opened(ready.job, ready.descriptor);
  ready_.push_back(std::move(ready));
  pass_on();
}

/// Gives what was opened to the examiner; while its socket is full, further requests wait.
void Server::pass_on() {
  if (std::exchange(examiner_full_, false) && examiner_socket_) watch(examiner_socket_.get(), kExaminer);
  while (!ready_.empty()) {
    const Ready& next = ready_.front();
    auto message = role::make<role::Examine>(role::Type::kExamine, next.job.open.head.request);
    message.file = next.opened.file;
    message.hints = next.job.open.hints;
    message.named = next.opened.named;
    message.place = next.opened.place;
    const int sent =
        examiner_socket_ ? send_message(examiner_socket_.get(), message, next.descriptor.get(), MSG_DONTWAIT) : -1;
    if (sent == 0) {
      examiner_full_ = true;
      return watch(examiner_socket_.get(), kExaminer, true);
    }
    const Ready done = std::move(ready_.front());
    ready_.pop_front();
    if (sent < 0) settle(done.job, role::Unread::kExaminerRestarted, false, done.opened.file);
  }
  pump();
}

/// Ends a request with an answer to the worker.
void Server::settle(const Job& job, role::Unread unread, bool unchanged, const role::Identity& file) {
  if (job.target) {
    refuse_target(job.open.head.request, job.target->family,
                  std::string("the file could not be opened: ") + role::text_of(unread));
  } else {
    auto failed = role::make<role::OpenFailed>(role::Type::kOpenFailed, job.open.head.request);
    failed.unread = static_cast<std::uint16_t>(unread);
    failed.unchanged = unchanged ? 1 : 0;
    failed.file = file;
    to_worker(failed);
  }
}

}  // namespace keytrail::warden
