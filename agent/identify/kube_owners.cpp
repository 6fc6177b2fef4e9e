// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_owners.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>

namespace keytrail::identify {
namespace {

using enum OwnerDoubt;
using Kind = KubeFailure::Kind;

/// What the next object would be answered, too.
bool is_servers(const KubeFailure& failure) {
  constexpr unsigned kErrorInside = 500;
  return failure.kind == Kind::kUnreachable || failure.kind == Kind::kUnauthorized ||
         failure.kind == Kind::kCancelled || (failure.kind == Kind::kBusy && failure.status != kErrorInside);
}

/// A name that an object may have: nothing else becomes part of a path.
bool is_object_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 && name.front() != '.' && name.front() != '-' &&
         std::ranges::all_of(
             name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

std::string resource_of(std::string_view kind) {
  std::string out(kind);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out + "s";
}

bool has_uid(const boost::json::object& object, std::string_view wanted) {
  const boost::json::value* meta = object.if_contains("metadata");
  const boost::json::value* uid =
      meta != nullptr && meta->is_object() ? meta->get_object().if_contains("uid") : nullptr;
  return uid != nullptr && uid->is_string() && std::string_view(uid->get_string()) == wanted;
}

}  // namespace

OwnerAnswer KubeOwners::of(std::string_view name_space, const PodOwner& owner) {
  if (!is_object_name(owner.name)) return std::unexpected(kNotSo);
  const std::string resource = resource_of(owner.kind);
  const std::string path = fmt::format("/apis/{}/v1/namespaces/{}/{}/{}", owner.group, url_encoded(name_space),
                                       resource, url_encoded(owner.name));
  const auto now = Clock::now();
  const std::string known_as = path + " " + owner.uid;
  const Known* const known = known_.find(known_as);
  if (known != nullptr && (known->controller || now < known->until)) {
    if (known->failures > 0) due_ = std::min(due_, known->until);
    return known->controller;
  }
  const auto refusal = refusals_.find(resource);
  if (refusal != refusals_.end() && now < refusal->second.again) return not_before(refusal->second.again, kCannotAsk);
  if (now < again_) return not_before(again_, kUnknown);
  ++asked_;
  const KubeResult<boost::json::object> found = api_.get(path, true);
  const Kind failure = found ? Kind::kNotFound : found.error().kind;
  if (failure == Kind::kForbidden) {
    failures_ = 0;
    const auto again = Clock::now() + kRefusedAgain;
    refusals_[resource] = {found.error().text, again};
    return not_before(again, kCannotAsk);
  }
  if (!found && is_servers(found.error())) {  // whoever does not answer must not hold up the pods
    again_ = Clock::now() + std::max<Clock::duration>(wait_after(++failures_), found.error().retry_after);
    return not_before(again_, kUnknown);
  }
  failures_ = 0;
  if (failure == Kind::kNotFound && refusals_.erase(resource) > 0) due_ = Clock::time_point::min();  // the others, too
  Known& answer = *known_.get(known_as).first;
  answer.failures = failure == Kind::kNotFound ? 0 : answer.failures + 1;
  answer.until = Clock::now() + wait_after(answer.failures);
  if (answer.failures > 0) return answer.controller = not_before(answer.until, kUnknown);  // of this object alone
  answer.controller = std::unexpected(found ? kNotSo : kGone);
  if (found && has_uid(*found, owner.uid)) answer.controller = controller_of(*found);
  return answer.controller;
}

std::unexpected<OwnerDoubt> KubeOwners::not_before(Clock::time_point again, OwnerDoubt doubt) {
  due_ = std::min(due_, again);
  return std::unexpected(doubt);
}

KubeOwners::Clock::duration KubeOwners::wait_after(unsigned failures) const {
  Clock::duration out = failed_again_;
  for (; failures > 1 && out < kFailedAgainMost; --failures)
    out *= 2;
  return std::min<Clock::duration>(out, std::max<Clock::duration>(kFailedAgainMost, failed_again_));
}

std::pair<std::string, std::string> KubeOwners::refused() const {
  std::pair<std::string, std::string> out;
  for (const auto& [resource, refusal] : refusals_) {
    out.first += (out.first.empty() ? "" : ", ") + resource;
    out.second = refusal.text;
  }
  return out;
}

bool KubeOwners::take_due() {
  if (Clock::now() < due_) return false;
  due_ = Clock::time_point::max();
  return true;
}

}  // namespace keytrail::identify
