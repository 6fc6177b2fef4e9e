// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_owners.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>

namespace keytrail::identify {
namespace {

using Kind = KubeFailure::Kind;

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

std::expected<PodOwner, OwnerDoubt> KubeOwners::of(std::string_view name_space, const PodOwner& owner) {
  if (!is_object_name(owner.name)) return std::unexpected(OwnerDoubt::kNotSo);
  const std::string resource = resource_of(owner.kind);
  const std::string path = fmt::format("/apis/{}/v1/namespaces/{}/{}/{}", owner.group, url_encoded(name_space),
                                       resource, url_encoded(owner.name));
  const auto now = Clock::now();
  const std::string known_as = path + " " + owner.uid;
  if (const auto it = known_.find(known_as); it != known_.end() && (it->second.controller || now < it->second.until))
    return it->second.controller;
  const auto refusal = refusals_.find(resource);
  if (refusal != refusals_.end() && now < refusal->second.again) return std::unexpected(OwnerDoubt::kCannotAsk);
  if (now < again_) return std::unexpected(OwnerDoubt::kUnknown);
  const KubeResult<boost::json::object> found = api_.get(path, true);
  const Kind failure = found ? Kind::kNotFound : found.error().kind;
  if (failure == Kind::kForbidden) {
    refusals_[resource] = {found.error().text, now + kRefusedAgain};
    return std::unexpected(OwnerDoubt::kCannotAsk);
  }
  if (failure != Kind::kNotFound) {  // a server that does not answer must not hold up the pods
    failed_ = true;
    again_ = Clock::now() + failed_again_;
    return std::unexpected(OwnerDoubt::kUnknown);
  }
  if (refusals_.erase(resource) > 0) granted_ = true;
  Known known{std::unexpected(found ? OwnerDoubt::kNotSo : OwnerDoubt::kUnknown), Clock::now() + failed_again_};
  if (found && has_uid(*found, owner.uid)) known.controller = controller_of(*found);
  if (known_.size() >= kMaxKnown) known_.clear();
  return known_.insert_or_assign(known_as, std::move(known)).first->second.controller;
}

std::pair<std::string, std::string> KubeOwners::refused() const {
  std::pair<std::string, std::string> out;
  for (const auto& [resource, refusal] : refusals_) {
    out.first += (out.first.empty() ? "" : ", ") + resource;
    out.second = refusal.text;
  }
  return out;
}

bool KubeOwners::ask_again() {
  const bool recovered = failed_ && Clock::now() >= again_;
  if (recovered) failed_ = false;
  return std::exchange(granted_, false) || recovered;
}

}  // namespace keytrail::identify
