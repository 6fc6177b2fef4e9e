// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/openers.h"
#include "agent/warden/process.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <new>

#include "agent/warden/log.h"

namespace keytrail::warden {
namespace {

/// How long the machine has slept since its start, and a constant.
std::uint64_t slept_ns() {
  const auto ns = [](clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return (static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000) + static_cast<std::uint64_t>(now.tv_nsec);
  };
  return ns(CLOCK_BOOTTIME) - ns(CLOCK_MONOTONIC);
}

}  // namespace

Openers::Openers(std::function<void(std::size_t, pid_t)> started)
    : started_(std::move(started)), ready_(epoll_create1(EPOLL_CLOEXEC)) {
  void* const shared = mmap(nullptr, sizeof(HangBoard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared != MAP_FAILED) board_ = new (shared) HangBoard();
}

Openers::~Openers() {
  kill();
  if (board_ != nullptr) munmap(board_, sizeof(HangBoard));
}

bool Openers::room_for(const Job& job) const {
  std::size_t busy = 0, own = 0, of_users = 0;
  for (const Child& child : children_) {
    busy += child.job ? 1U : 0U;
    own += child.job && child.job->user == job.user ? 1U : 0U;
    of_users += child.job && child.job->user != 0 ? 1U : 0U;
  }
  return busy < children_.size() && own < kMostOfOne && (job.user == 0 || of_users < kMostOfUsers);
}

bool Openers::start(std::size_t index) {
  Child& child = children_[index];
  if (child.process.running()) return true;
  if (child.job) return false;  // it died at work: `take` is still to see what it said
  end(index);
  const Result<void> done = child.process.start(board_ != nullptr ? HangGuard(*board_, index) : HangGuard());
  if (!done) {
    say(Level::kWarn, "Cannot start the opener: %s", done.error().message.c_str());
    return false;
  }
  epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<std::uint32_t>(index)}};
  epoll_ctl(ready_.get(), EPOLL_CTL_ADD, child.process.socket(), &event);
  started_(index, child.process.pid());
  return true;
}

/// Kills it; `ended` hears when it is gone.
void Openers::end(std::size_t index) {
  Child& child = children_[index];
  if (child.process.socket() >= 0)
    epoll_ctl(ready_.get(), EPOLL_CTL_DEL, child.process.socket(), nullptr);  // one forked just now may have it, too
  if (child.process.running()) abandoned_.push_back({child.process.pid(), child.user});
  child.process.kill();
  child.job.reset();
}

bool Openers::ask(Job job, std::uint64_t now_ns) {
  const uid_t user = job.user;
  const auto of_user = static_cast<std::size_t>(std::ranges::count(abandoned_, user, &Abandoned::user));
  const bool careful = of_user >= kMostAbandonedOfOne || abandoned_.size() >= kMostAbandoned;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    Child& child = children_[i];
    if (child.job || !start(i)) continue;
    if (board_ != nullptr) {
      board_->children[i].request = 0;
      board_->children[i].user = user;
      board_->children[i].careful = careful ? 1 : 0;
    }
    if (!child.process.ask(job.open)) {
      end(i);
      continue;
    }
    child.job = std::move(job);
    child.user = user;
    child.since_ns = now_ns;
    child.slept_ns = slept_ns();
    return true;
  }
  return false;
}

void Openers::keep(const role::KeepMounts& asked) {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (start(i)) (void)children_[i].process.keep(asked);
  }
}

std::vector<Openers::Answer> Openers::take() {
  std::vector<Answer> out;
  std::array<epoll_event, kOpenerChildren> events;
  const int n = epoll_wait(ready_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i) {
    const std::size_t index = events[static_cast<std::size_t>(i)].data.u32;
    Child& child = children_[index];
    Answer answer{.job = {}, .opened = role::make<role::Opened>(role::Type::kOpened), .descriptor = {}};
    const bool sound = child.process.answer(answer.opened, answer.descriptor);
    const bool asked = child.job && answer.opened.head.request == child.job->open.head.request;
    if (sound && !asked) continue;
    if (!sound) {  // it is gone, or talks nonsense
      answer.descriptor.reset();
      answer.opened = role::make<role::Opened>(role::Type::kOpened);
      answer.opened.unread = static_cast<std::uint16_t>(role::Unread::kRefused);
    }
    if (child.job) {
      answer.job = std::move(*child.job);
      out.push_back(std::move(answer));
    }
    child.job.reset();
    if (!sound) end(index);
  }
  return out;
}

std::vector<Openers::Late> Openers::tick(std::uint64_t now_ns) {
  std::vector<Late> out;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    Child& child = children_[i];
    if (!child.job || now_ns < deadline_of(child)) continue;
    const std::uint64_t request = child.job->open.head.request;
    const bool begun = board_ == nullptr || board_->children[i].request == request;
    if (begun && board_ != nullptr) shun_what_hung(board_->children[i].waits, child.user, now_ns);
    out.push_back({.job = std::move(*child.job), .since_ns = child.since_ns, .begun = begun});
    end(i);
    (void)start(i);  // now: a process that ends at once needs its mounts kept
  }
  if (std::erase_if(shunned_, [&](const Shunned& one) { return one.until_ns <= now_ns; }) > 0) publish_shunned();
  return out;
}

std::uint64_t Openers::due() const {
  std::uint64_t next = 0;
  const auto consider = [&](std::uint64_t when) { next = next == 0 ? when : std::min(next, when); };
  for (const Child& child : children_) {
    if (child.job) consider(deadline_of(child));
  }
  for (const Shunned& one : shunned_)
    consider(one.until_ns);
  return next;
}

std::uint64_t Openers::deadline_of(const Child& child) {
  return child.since_ns + kDeadlineNs + (slept_ns() - child.slept_ns);
}

/// A file may be late for its user's doing, or because the machine is slow: only what hung for two users is left alone
/// for all. Those that are gone may be one of the two, so they are none.
void Openers::shun_what_hung(std::uint64_t key, uid_t user, std::uint64_t now_ns) {
  if (key == 0) return;
  if (!is_mount(key)) return shun({.key = key, .until_ns = now_ns + kShunWayNs});
  const auto is_others = [&](const Shunned& one) {
    return one.mount == key && one.user != user && one.user != kGoneUser && user != kGoneUser;
  };
  const bool of_two = std::ranges::any_of(shunned_, is_others);
  shun({.key = key_of_user(key, user), .until_ns = now_ns + kShunNs, .mount = key, .user = user});
  if (of_two) shun({.key = key, .until_ns = now_ns + kShunNs});
}

void Openers::shun(const Shunned& what) {
  const auto known = std::ranges::find(shunned_, what.key, &Shunned::key);
  if (known != shunned_.end()) {
    known->until_ns = what.until_ns;
    return;
  }
  if (shunned_.size() >= kMaxShunned) shunned_.erase(std::ranges::min_element(shunned_, {}, &Shunned::until_ns));
  shunned_.push_back(what);
  for (auto& slot : board_->answered) {
    if (slot == what.key) slot = 0;
  }
  publish_shunned();
}

void Openers::publish_shunned() {
  if (board_ == nullptr) return;
  for (std::size_t i = 0; i < board_->shunned.size(); ++i)
    board_->shunned[i] = i < shunned_.size() ? shunned_[i].key : 0;
}

void Openers::ended(pid_t pid) {
  std::erase_if(abandoned_, [pid](const Abandoned& one) { return one.pid == pid; });
  for (std::size_t i = 0; i < children_.size(); ++i) {
    Child& child = children_[i];
    if (child.process.pid() != pid) continue;
    child.process.forget();
    if (!child.job) end(i);
  }
}

bool Openers::stopped(pid_t pid) {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (children_[i].process.pid() != pid || children_[i].job) continue;
    end(i);
    (void)start(i);
    return true;
  }
  return false;
}

void Openers::forget_targets() {
  for (Child& child : children_) {
    if (child.job && child.job->target) child.job->target->offsets.clear();
  }
}

void Openers::kill() {
  for (std::size_t i = 0; i < children_.size(); ++i)
    end(i);
}

}  // namespace keytrail::warden
