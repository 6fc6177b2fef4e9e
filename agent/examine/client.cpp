// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <utility>

#include "keytrail/hooks_wire.h"

namespace keytrail::examine {
namespace {

namespace asio = boost::asio;

constexpr int kBurst = 256;  ///< messages taken at once before other handlers get their turn
constexpr std::chrono::seconds kGreetingPatience{5};
constexpr std::size_t kMaxClaims = 16;
constexpr std::size_t kMaxRemarks = 64, kMaxProcesses = 8;

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

}  // namespace

RoleLink::RoleLink(asio::io_context& io, base::UniqueFd control, base::UniqueFd facts, KindLookup kinds)
    : io_(io), control_(io, control.release()), facts_(io, facts.release()), timer_(io), kinds_(std::move(kinds)) {
  // Answers meant for an earlier worker may still come: their numbers must not be ours.
  (void)!getrandom(&next_id_, sizeof(next_id_), 0);
}

RoleLink::~RoleLink() = default;

Result<std::unique_ptr<RoleLink>> RoleLink::connect(asio::io_context& io, InheritedFds& fds, KindLookup kinds) {
  if (!fds.get("control") || !fds.get("examiner")) {
    return fail(Error::Code::kInvalid,
                "The sockets to warden and examiner were not handed over: the agent is started by keytrail-warden.");
  }
  try {
    std::unique_ptr<RoleLink> link(
        new RoleLink(io, std::move(fds.get("control")), std::move(fds.get("examiner")), std::move(kinds)));
    if (const Result<void> greeted = link->greet(); !greeted) return std::unexpected(greeted.error());
    const auto ready = role::make<role::Bare>(role::Type::kReady);
    link->send(&ready, sizeof(ready));
    link->wait_control();
    link->wait_facts();
    return link;
  } catch (const std::exception& problem) {
    return fail(Error::Code::kSystem,
                std::string("The sockets to warden and examiner cannot be used: ") + problem.what());
  }
}

Result<void> RoleLink::greet() {
  const Time end = std::chrono::steady_clock::now() + kGreetingPatience;
  while (!greeted_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd ready{control_.native_handle(), POLLIN, 0};
    if (left.count() <= 0 || (poll(&ready, 1, static_cast<int>(left.count())) <= 0 && errno != EINTR)) {
      return fail(Error::Code::kUnavailable, "The warden did not greet within 5 s: is it of the same version?");
    }
    if (!read_control()) return fail(Error::Code::kUnavailable, "The warden is gone.");
  }
  return {};
}

// ---- reading ----

void RoleLink::wait_control() {
  control_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    if (read_control()) return wait_control();
    if (closed_handler_) std::exchange(closed_handler_, nullptr)();
  });
}

void RoleLink::wait_facts() {
  facts_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (!error && read_facts()) wait_facts();
  });
}

/// Takes what is there; false when the other side is gone. What follows the greeting waits until `io` runs: only who
/// runs answers the warden's question.
bool RoleLink::read_control() {
  const bool greeting = !greeted_;
  std::array<char, role::kMaxMessage> buffer;
  for (int i = 0; i < kBurst; ++i) {
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): no lock is held, and MSG_DONTWAIT does not block
    const ssize_t n = recv(control_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    on_control_message(buffer.data(), static_cast<std::size_t>(n));
    if (greeting && greeted_) return true;
  }
  return true;
}

bool RoleLink::read_facts() {
  std::array<char, role::kMaxMessage> buffer;
  for (int i = 0; i < kBurst; ++i) {
    const ssize_t n = recv(facts_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    on_facts_message(buffer.data(), static_cast<std::size_t>(n));
  }
  return true;
}

void RoleLink::on_control_message(const char* data, std::size_t size) {
  switch (role::type_of(data, size)) {
    case role::Type::kHello: {
      role::Hello hello;
      if (!role::decode(data, size, hello)) break;
      started_ns_ = hello.started_ns;
      armed_ns_ = hello.armed_ns;
      session_id_ = hex(hello.session);
      cpus_ = hello.cpus;
      life_ = hello.life;
      resumed_ = hello.resumed != 0;
      return;
    }
    case role::Type::kHook: {
      role::Hook hook;
      if (!role::decode(data, size, hook) || hooks_.size() >= kFamilies) break;
      hooks_.push_back(from_wire(hook));
      return;
    }
    case role::Type::kRemark: {
      role::Remark remark;
      if (!role::decode(data, size, remark) || remarks_.size() >= kMaxRemarks) break;
      const std::string text(remark.text.view());
      if (std::ranges::find(remarks_, text) == remarks_.end()) remarks_.push_back(text);
      return;
    }
    case role::Type::kRole: {
      role::RoleState state;
      if (!role::decode(data, size, state)) break;
      return take_process(state);
    }
    case role::Type::kHelloEnd:
      greeted_ = true;
      return;
    case role::Type::kOpenFailed: {
      role::OpenFailed failed;
      if (!role::decode(data, size, failed)) break;
      const auto at = pending_.find(failed.head.request);
      if (at == pending_.end()) return;  // its deadline was before
      at->second.gathered.file = identity_of(failed.file);
      at->second.gathered.unchanged = failed.unchanged != 0;
      return finish(failed.head.request, role::text_of(static_cast<role::Unread>(failed.unread)));
    }
    case role::Type::kNotice: {
      role::Notice notice;
      if (!role::decode(data, size, notice)) break;
      return take_notice(notice);
    }
    case role::Type::kTarget: {
      role::Target target;
      if (!role::decode(data, size, target)) break;
      if (target_handler_) target_handler_(target.head.request, from_wire(target));
      return;
    }
    case role::Type::kTargetCounts: {
      role::TargetCounts counts;
      if (!role::decode(data, size, counts)) break;
      if (target_counts_handler_) target_counts_handler_(from_wire(counts));
      return;
    }
    case role::Type::kAreYouThere: {
      const auto here = role::make<role::Bare>(role::Type::kHere);
      send(&here, sizeof(here));
      ++asked_;
      if (stored_notice_ != 0) note_stored(stored_notice_);
      return;
    }
    default:
      break;
  }
  ++ignored_;
}

void RoleLink::take_process(const role::RoleState& state) {
  const std::string name(state.name.view());
  auto at = std::ranges::find(processes_, name, &RoleStatus::name);
  if (at == processes_.end()) {
    if (processes_.size() >= kMaxProcesses) return;
    at = processes_.emplace(at);
  }
  *at = {.name = name,
         .pid = state.pid,
         .restarts = state.lives > 0 ? state.lives - 1 : 0,
         .ended = std::string(state.ended.view())};
}

void RoleLink::take_notice(const role::Notice& notice) {
  WardenNotice out{std::string(notice.cause.view()),
                   std::string(notice.text.view()),
                   notice.from_ns,
                   notice.to_ns,
                   std::string(notice.family.view()),
                   notice.head.request};
  if (out.family.empty()) out.family = "open";
  if (out.family == "*") out.family.clear();
  if (out.cause == "examiner_restart" || out.cause == "examiner_stalled") {
    for (auto& [id, pending] : pending_)
      pending.examiner_lost = true;  // some will still be answered; the others say why not
  }
  if (notice_handler_) return notice_handler_(std::move(out));
  if (early_notices_.size() < kMaxRemarks) early_notices_.push_back(std::move(out));
}

void RoleLink::note_stored(std::uint64_t number) {
  stored_notice_ = number;
  const auto stored = role::make<role::Bare>(role::Type::kStored, number);
  send(&stored, sizeof(stored));
}

void RoleLink::on_notice(std::function<void(WardenNotice)> handler) {
  notice_handler_ = std::move(handler);
  asio::post(io_, [this] {
    for (WardenNotice& notice : std::exchange(early_notices_, {}))
      notice_handler_(std::move(notice));
  });
}

void RoleLink::on_facts_message(const char* data, std::size_t size) {
  switch (role::type_of(data, size)) {
    case role::Type::kKeyFact: {
      role::KeyFact fact;
      if (!role::decode(data, size, fact)) break;
      return take_key(fact);
    }
    case role::Type::kClaimFact: {
      role::ClaimFact fact;
      if (!role::decode(data, size, fact)) break;
      return take_claim(fact);
    }
    case role::Type::kEnvFact: {
      role::EnvFact fact;
      if (!role::decode(data, size, fact)) break;
      const auto at = pending_.find(fact.head.request);
      if (at == pending_.end() || at->second.asks != role::Asks::kEnvironment ||
          at->second.gathered.env.size() >= role::kMaxKeysPerFile)
        break;
      at->second.gathered.env.push_back({std::string(fact.name.view()), std::string(fact.value.view()),
                                         Fingerprint{fact.fingerprint}, fact.length, fact.truncated != 0,
                                         std::string(fact.format.view())});
      return;
    }
    case role::Type::kBundleFact: {
      role::BundleFact fact;
      if (!role::decode(data, size, fact)) break;
      const auto at = pending_.find(fact.head.request);
      if (at == pending_.end() || at->second.gathered.facts.size() >= at->second.most_facts) break;
      at->second.gathered.facts.push_back({fact.what, std::string(fact.value.view())});
      return;
    }
    case role::Type::kDone: {
      role::Done done;
      if (!role::decode(data, size, done)) break;
      const auto at = pending_.find(done.head.request);
      if (at == pending_.end()) return;
      at->second.gathered.file = identity_of(done.file);
      at->second.gathered.skipped = done.skipped;
      at->second.gathered.format = std::string(done.format.view());
      const Gathered& got = at->second.gathered;
      const bool complete =
          got.keys.size() == done.keys && got.env.size() == done.env && got.facts.size() == done.facts;
      return finish(done.head.request,
                    complete ? role::text_of(static_cast<role::Unread>(done.unread)) : "examiner restarted");
    }
    default:
      break;
  }
  ++ignored_;
}

void RoleLink::take_key(const role::KeyFact& fact) {
  const auto at = pending_.find(fact.head.request);
  if (at == pending_.end() || at->second.gathered.keys.size() >= role::kMaxKeysPerFile) {
    ++ignored_;
    return;
  }
  KeyFact out;
  out.key.id = std::string(fact.id.view());
  out.key.kind = std::string(fact.kind.view());
  out.key.key_class = static_cast<KeyClass>(fact.key_class);
  out.key.lifetime = static_cast<Lifetime>(fact.lifetime);
  if (const catalog::Kind* kind = kinds_ ? kinds_(out.key.kind) : nullptr; kind != nullptr) {
    out.key.key_class = kind->key_class;
    if (out.key.lifetime == Lifetime::kUnknown) out.key.lifetime = kind->lifetime;
  }
  out.key.fingerprint.bytes = fact.fingerprint;
  out.key.principal = std::string(fact.principal.view());
  out.key.parent = std::string(fact.parent.view());
  out.key.issued_s = fact.issued_s;
  out.key.expires_s = fact.expires_s;
  out.selector = std::string(fact.selector.view());
  out.selector_hash.bytes = fact.selector_hash;
  out.variable = std::string(fact.variable.view());
  out.host = std::string(fact.host.view());
  out.path = std::string(fact.path.view());
  out.current = fact.current != 0;
  out.untold = fact.untold != 0;
  at->second.gathered.keys.push_back(std::move(out));
}

void RoleLink::take_claim(const role::ClaimFact& fact) {
  const auto at = pending_.find(fact.head.request);
  if (at == pending_.end() || at->second.gathered.keys.empty() ||
      at->second.gathered.keys.back().claims.size() >= kMaxClaims) {
    ++ignored_;
    return;
  }
  at->second.gathered.keys.back().claims.push_back({std::string(fact.name.view()), std::string(fact.value.view())});
}

// ---- asking ----

void RoleLink::examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) {
  auto open = role::make<role::Open>(role::Type::kOpen, ++next_id_);
  const bool fits = write_request(request, kinds_, open);
  const auto asks = static_cast<role::Asks>(open.hints.asks);
  if (pending_.size() >= kMaxOutstanding) return refuse_later(asks, std::move(done), "busy");
  if (!fits) return refuse_later(asks, std::move(done), "refused");
  std::size_t most_facts = 0;
  if (const auto* bundle = std::get_if<BundleQuestion>(&request.question))
    most_facts = bundle::is_list(bundle->format) ? kMaxNodeUsers : kBundleFacts.size();
  pending_.emplace(next_id_, Pending{request.reach.who, asks, std::move(done), {}, most_facts, false});
  deadlines_.emplace_back(std::chrono::steady_clock::now() + kDeadline, next_id_);
  arm_timer();
  outbox_.push_back(open);
  flush();
}

void RoleLink::flush() {
  while (!outbox_.empty() && !waiting_writable_) {
    // One whose deadline has passed is not asked any more.
    if (pending_.contains(outbox_.front().head.request) && !send(&outbox_.front(), sizeof(role::Open))) {
      if (errno != EAGAIN) return outbox_.clear();  // the warden is gone: the deadline answers
      return wait_writable();
    }
    outbox_.pop_front();
  }
}

void RoleLink::wait_writable() {
  waiting_writable_ = true;
  control_.async_wait(asio::posix::descriptor_base::wait_write, [this](const boost::system::error_code& error) {
    waiting_writable_ = false;
    if (!error) flush();
  });
}

void RoleLink::refuse_later(role::Asks asks, std::function<void(ExamineAnswer)> done, std::string unread) {
  asio::post(io_, [asks, done = std::move(done), unread = std::move(unread)] { done(make_answer(asks, unread, {})); });
}

void RoleLink::finish(std::uint64_t id, std::string unread) {
  auto node = pending_.extract(id);
  if (node.empty()) return;
  Pending pending = std::move(node.mapped());
  ExamineAnswer answer = make_answer(pending.asks, std::move(unread), std::move(pending.gathered));
  if (answer_handler_) answer_handler_(pending.who, answer);
  pending.done(std::move(answer));
}

void RoleLink::arm_timer() {
  if (timer_armed_ || deadlines_.empty()) return;
  timer_armed_ = true;
  timer_.expires_at(deadlines_.front().first);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_timer();
  });
}

void RoleLink::on_timer() {
  timer_armed_ = false;
  const Time now = std::chrono::steady_clock::now();
  while (!deadlines_.empty() && (deadlines_.front().first <= now || !pending_.contains(deadlines_.front().second))) {
    const std::uint64_t id = deadlines_.front().second;
    deadlines_.pop_front();
    if (const auto at = pending_.find(id); at != pending_.end())
      finish(id, at->second.examiner_lost ? "examiner restarted" : "timeout");
  }
  arm_timer();
}

bool RoleLink::send(const void* data, std::size_t size) {
  // A datagram goes whole or not at all.
  return ::send(control_.native_handle(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace keytrail::examine
