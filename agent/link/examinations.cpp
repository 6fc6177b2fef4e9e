// SPDX-License-Identifier: Apache-2.0
#include "agent/link/examinations.h"

#include <algorithm>
#include <array>

#include "agent/link/pipes.h"

namespace keytrail::link {
namespace {

/// A helper ended before its file turned out to hold no key: what it wrote may come from a store that is not read.
void mark_callers_of_helper(const Examination& examination) {
  const auto helper = std::ranges::find_if(examination.receivers, [](const Examination::Receiver& one) {
    return !one.instance->alive && one.instance->stdout_pipe != 0 && may_hand_of_store(*one.instance);
  });
  if (helper == examination.receivers.end()) return;
  const std::uint64_t since_ns = helper->instance->doubts.life_from_ns;
  for (const auto& [instance, how] : examination.receivers) {
    if (how == How::kHelper) instance->doubts.mark_unidentified({.time_ns = since_ns});
  }
}

}  // namespace

Examinations::~Examinations() {
  // Who waits and what is waited for own each other until the answer comes, and none will.
  for (const auto& [time_ns, examination] : unanswered_) {
    for (const auto& receiver : examination->receivers)
      receiver.instance->pending.clear();
    examination->receivers.clear();
  }
}

Room Examinations::room_for(const Instance& asker) {
  base::FairShares::Share share = shares_.take(owners_of(asker));
  return share ? std::make_shared<const base::FairShares::Share>(std::move(share)) : nullptr;
}

void Examinations::take_turns() {
  while (asked_ < options_.max_examinations && !turns_.empty()) {
    ++asked_;
    turns_.pop()();
  }
}

ExaminationRef Examinations::begin(std::uint64_t time_ns, std::span<const std::string_view> kinds) {
  auto examination = std::make_shared<Examination>();
  examination->time_ns = time_ns;
  examination->kinds = kinds;
  unanswered_.emplace(time_ns, examination);
  return examination;
}

void Examinations::add_receiver(const ExaminationRef& examination, const InstanceRef& instance, How how) {
  examination->receivers.push_back({instance, how});
  instance->pending.push_back(examination);
}

void Examinations::finish(const ExaminationRef& examination) {
  examination->done = true;
  for (const auto& receiver : examination->receivers)
    std::erase(receiver.instance->pending, examination);
  mark_callers_of_helper(*examination);
  for (const auto& receiver : examination->receivers) {
    holders_.mark_doubts(receiver.instance);  // what it read may have left some
  }
  unanswered_.erase({examination->time_ns, examination});
  examination->receivers.clear();  // instance and examination point at each other until here
}

std::vector<std::uint32_t> Examinations::others_of_mount_ns(std::uint32_t mnt_ns, const InstanceId& who) const {
  if (mnt_ns == 0 || !same_mount_ns_) return {};
  std::vector<std::uint32_t> others = same_mount_ns_(mnt_ns);
  std::erase(others, who.tgid);
  if (others.size() > 8) others.resize(8);
  return others;
}

std::span<const std::string_view> kinds_in(const catalog::File& file) {
  // Not aws_credentials (any S3 service's keys), docker_config (any registry's), pem and jwt (anybody's).
  static constexpr std::array<std::string_view, 5> kOwnKindsOnly{"ssh_private_key", "google_credentials", "pgpass",
                                                                 "age_identity", "gpg_private_key"};
  const bool own = std::ranges::find(kOwnKindsOnly, file.format) != kOwnKindsOnly.end();
  return own ? file.kinds : std::span<const std::string_view>();
}

std::vector<std::string> kinds_found_in(const catalog::File& file) {
  struct Named {
    std::string_view format;
    std::vector<std::string_view> kinds;  // that its parser takes a key for, whatever stands at such a place usually
  };
  // Not google_credentials (gcloud keeps a .boto beside them) and pgpass (a password may be anybody's token).
  static const std::array<Named, 6> kNamed{
      {{"aws_credentials", {"aws.access_key", "aws.session"}},
       {"aws_config", {"aws.access_key", "aws.session"}},
       {"ssh_private_key", {"ssh.host_key", "ssh.private_key"}},
       {"age_identity", {"age.key"}},
       {"gpg_private_key", {"gpg.private_key"}},
       {"jwt",  // of a token its claims say what it is, else the place
        {"generic.identity_token", "k8s.legacy_service_account_token", "k8s.projected_token",
         "k8s.service_account_token", "oidc.id_token", "spiffe.jwt_svid"}}}};
  const auto named = std::ranges::find(kNamed, file.format, &Named::format);
  if (named == kNamed.end()) return {};
  // The same key may be known by another kind that this place may hold (of any S3 service in an AWS file).
  std::vector<std::string> out(named->kinds.begin(), named->kinds.end());
  out.insert(out.end(), file.kinds.begin(), file.kinds.end());
  std::ranges::sort(out);
  const auto twice = std::ranges::unique(out);
  out.erase(twice.begin(), twice.end());
  return out;
}

void mark_receivers(const Examination& examination, std::span<const std::string_view> kinds) {
  for (const auto& [instance, how] : examination.receivers) {
    // What the process itself opened before its exec may be open still.
    if (how != How::kLostAtExec || examination.time_ns > instance->id.start_ns)
      instance->doubts.mark_unidentified(examination.time_ns, kinds);
  }
}

}  // namespace keytrail::link
