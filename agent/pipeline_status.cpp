// SPDX-License-Identifier: Apache-2.0
// What other threads ask of the pipeline: made on its own thread.
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "agent/pipeline.h"

namespace keytrail {
namespace {

constexpr std::uint64_t kPublishEvery = 100'000'000;

}  // namespace

void Pipeline::count_identity(std::map<std::string, std::uint64_t>& out) const {
  const identify::WorkloadStats& stats = identify_.workload_stats();
  out["cgroups_forgotten"] = identify_.stats().cgroups_forgotten;
  out["workloads"] = identify_.workloads_known();
  out["facts_over_bound"] = stats.facts_refused;
  out["facts_like_keys"] = stats.facts_like_keys;
  out["workloads_over_bound"] = stats.over_bound;
  out["identity_posts_dropped"] = facts_.dropped();
  out["node_users_skipped"] = node_users_.skipped();
  for (const auto& source : sources_)
    out.merge(source->counters());
}

void Pipeline::publish() {
  PipelineSnapshot next;
  capture::CaptureMoment now = capture_.moment();
  next.kernel = std::move(now.counters);
  next.worker = session_.since_armed();
  next.in_flight = now.backlog + session_.pending();
  next.tracking = link_.counters();
  count_identity(next.tracking);
  for (std::size_t i = 0; i < kFamilies; ++i)
    next.silent[i] = hooks_silence_[i].is_silent();
  next.warden_silent = warden_silence_.is_silent();
  next.told = notices_.shown(clock_.boot_ns());
  for (const auto& source : sources_) {
    if (std::string remark = source->remark(); !remark.empty()) next.told.push_back(std::move(remark));
  }
  next.roles = roles_.processes();
  const std::scoped_lock lock(mutex_);
  snapshot_ = std::move(next);
}

// Reading all counters costs more than most of what is drained.
void Pipeline::publish_news(std::uint64_t now) {
  const std::uint64_t received = session_.totals().received;
  if (received == published_received_ && session_.pending() == published_pending_) return;
  if (now < published_ns_ + kPublishEvery) return;
  published_ns_ = now;
  published_received_ = received;
  published_pending_ = session_.pending();
  publish();
}

PipelineSnapshot Pipeline::snapshot() const {
  const std::scoped_lock lock(mutex_);
  return snapshot_;
}

std::shared_ptr<const UnseenLives> Pipeline::unseen() {
  auto made = std::make_shared<std::promise<std::shared_ptr<const UnseenLives>>>();
  auto got = made->get_future();
  boost::asio::post(timer_.get_executor(), [this, made] {
    auto lives = link_.unseen(clock_.boot_ns());
    made->set_value(lives ? std::make_shared<const UnseenLives>(*std::move(lives)) : nullptr);
  });
  return got.wait_for(std::chrono::seconds(1)) == std::future_status::ready ? got.get() : nullptr;
}

}  // namespace keytrail
