// SPDX-License-Identifier: Apache-2.0
#include "agent/base/workload_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <utility>

#include "agent/base/workload_facts.h"

namespace keytrail::base {
namespace {

constexpr std::size_t kShortId = 12;  // digits of a container's id, as the runtimes show it

/// Facts that give a name to what owns a pod, or to the pod.
constexpr std::array kOwners{fact::kPodName,   fact::kDeployment, fact::kReplicaSet, fact::kStatefulSet,
                             fact::kDaemonSet, fact::kJob,        fact::kCronJob};

char small(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

std::string in_small(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), small);
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// `text` is in small letters.
bool begins(std::string_view value, std::string_view text) {
  return value.size() >= text.size() && std::ranges::equal(value.substr(0, text.size()), text, {}, small);
}

std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    out.emplace_back(text.substr(at, end - at));
    if (end == text.size()) return out;
    at = end + 1;
  }
}

}  // namespace

ImageParts image_parts(std::string_view image) {
  ImageParts out;
  if (const std::size_t at = image.find('@'); at != std::string_view::npos) {
    out.digest = image.substr(at + 1);
    image = image.substr(0, at);
  }
  const std::size_t slash = image.rfind('/'), colon = image.rfind(':');
  const bool tag = colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  out.name = tag ? image.substr(0, colon) : image;
  if (tag) out.tag = image.substr(colon + 1);
  return out;
}

/// What stands before the first '/'.
struct WorkloadPattern::Kind {
  std::span<const std::string_view> words;
  std::span<const std::pair<const char*, How>> facts;  ///< one of these
  const char* scope =
      nullptr;  ///< the fact that NAME/… narrows it to; nullptr: the rest is the name, whatever is in it
  const char* forms;
};

namespace {
constexpr std::string_view kPodWords[] = {"pod", "pods"};
constexpr std::string_view kDeploymentWords[] = {"deploy", "deployment", "deployments"};
constexpr std::string_view kReplicaSetWords[] = {"rs", "replicaset", "replicasets"};
constexpr std::string_view kStatefulSetWords[] = {"sts", "statefulset", "statefulsets"};
constexpr std::string_view kDaemonSetWords[] = {"ds", "daemonset", "daemonsets"};
constexpr std::string_view kJobWords[] = {"job", "jobs"};
constexpr std::string_view kCronJobWords[] = {"cronjob", "cronjobs", "cj"};
constexpr std::string_view kAccountWords[] = {"sa", "serviceaccount", "serviceaccounts"};
constexpr std::string_view kUnitWords[] = {"unit"};
constexpr std::string_view kUserWords[] = {"user", "person"};
constexpr std::string_view kAgentWords[] = {"agent"};
constexpr std::string_view kCiWords[] = {"ci"};
constexpr std::string_view kImageWords[] = {"image"};
constexpr std::string_view kContainerWords[] = {"container"};
constexpr std::string_view kTeamWords[] = {"team"};
}  // namespace

const WorkloadPattern::Kind* WorkloadPattern::kind_of(std::string_view word) {
  using Fact = std::pair<const char*, How>;
  static constexpr Fact kPod[] = {{fact::kPodName, How::kWhole}};
  static constexpr Fact kDeploy[] = {{fact::kDeployment, How::kWhole}};
  static constexpr Fact kReplica[] = {{fact::kReplicaSet, How::kWhole}};
  static constexpr Fact kStateful[] = {{fact::kStatefulSet, How::kWhole}};
  static constexpr Fact kDaemon[] = {{fact::kDaemonSet, How::kWhole}};
  static constexpr Fact kJobs[] = {{fact::kJob, How::kWhole}};
  static constexpr Fact kCron[] = {{fact::kCronJob, How::kWhole}};
  static constexpr Fact kAccount[] = {{fact::kServiceAccount, How::kWhole}};
  static constexpr Fact kUnit[] = {{fact::kUnit, How::kUnit}};
  static constexpr Fact kUser[] = {{fact::kPerson, How::kWhole}};
  static constexpr Fact kAgent[] = {{fact::kAgent, How::kBegins}};
  static constexpr Fact kCi[] = {{fact::kCiJob, How::kBegins}};
  static constexpr Fact kImage[] = {{fact::kImageName, How::kImage}, {fact::kImageDigest, How::kDigest}};
  static constexpr Fact kContainer[] = {
      {fact::kK8sContainer, How::kWhole}, {fact::kContainerName, How::kWhole}, {fact::kContainerId, How::kContainerId}};
  static constexpr Fact kTeam[] = {{fact::kTeam, How::kWhole}};
  static const Kind kKinds[] = {
      {kPodWords, kPod, fact::kNamespace, "pod/NAME or pod/NAMESPACE/NAME"},
      {kDeploymentWords, kDeploy, fact::kNamespace, "deploy/NAME or deploy/NAMESPACE/NAME"},
      {kReplicaSetWords, kReplica, fact::kNamespace, "rs/NAME or rs/NAMESPACE/NAME"},
      {kStatefulSetWords, kStateful, fact::kNamespace, "sts/NAME or sts/NAMESPACE/NAME"},
      {kDaemonSetWords, kDaemon, fact::kNamespace, "ds/NAME or ds/NAMESPACE/NAME"},
      {kJobWords, kJobs, fact::kNamespace, "job/NAME or job/NAMESPACE/NAME"},
      {kCronJobWords, kCron, fact::kNamespace, "cronjob/NAME or cronjob/NAMESPACE/NAME"},
      {kAccountWords, kAccount, fact::kNamespace, "sa/NAME or sa/NAMESPACE/NAME"},
      {kUnitWords, kUnit, fact::kUnitOwner, "unit/NAME or unit/USER/NAME"},
      {kUserWords, kUser, nullptr, "user/NAME"},
      {kAgentWords, kAgent, nullptr, "agent/NAME"},
      {kCiWords, kCi, nullptr, "ci/REPOSITORY or ci/REPOSITORY JOB"},
      {kImageWords, kImage, nullptr, "image/NAME, image/NAME:TAG or image/sha256:…"},
      {kContainerWords, kContainer, nullptr, "container/NAME or container/ID"},
      {kTeamWords, kTeam, nullptr, "team/NAME"},
  };
  for (const Kind& kind : kKinds) {
    if (std::ranges::find(kind.words, word) != kind.words.end()) return &kind;
  }
  return nullptr;
}

Result<WorkloadPattern> WorkloadPattern::parse(std::string_view given) {
  WorkloadPattern out;
  std::string_view text = trimmed(given);
  if (text.ends_with('*')) {
    out.open_ = true;
    text.remove_suffix(1);
  } else if (text.empty()) {
    return fail(Error::Code::kInvalid, "workload: the name is empty");
  }
  out.text_ = in_small(text);
  const std::size_t slash = out.text_.find('/');
  if (slash == std::string::npos) return out;
  const std::string_view rest = std::string_view(out.text_).substr(slash + 1);
  if (const Kind* kind = kind_of(out.text_.substr(0, slash))) {
    if (auto r = out.add_kind(*kind, rest); !r) return std::unexpected(r.error());
    out.word_ = out.text_.substr(0, slash);
  }
  const std::vector<std::string> parts = parts_of(out.text_);
  if (parts.front().empty()) return out;
  if (parts.size() == 2) {
    for (const char* owner : kOwners)
      out.add({{fact::kNamespace, parts[0]}, {owner, parts[1]}});
  }
  const Kind* inner = parts.size() == 3 ? kind_of(parts[1]) : nullptr;
  if (inner != nullptr && inner->scope == std::string_view(fact::kNamespace))
    out.add({{fact::kNamespace, parts[0]}, {inner->facts.front().first, parts[2]}});
  if (out.text_.starts_with("spiffe://")) out.add({{fact::kSpiffeId, out.text_}});
  return out;
}

Result<void> WorkloadPattern::add_kind(const Kind& kind, std::string_view rest) {
  Terms narrowed;
  if (kind.scope != nullptr) {
    const std::vector<std::string> parts = parts_of(rest);
    if (parts.size() > 2 || (parts.size() == 2 && parts[0].empty()))
      return fail(Error::Code::kInvalid, fmt::format("workload: {}", kind.forms));
    if (parts.size() == 2) narrowed.push_back({kind.scope, parts[0]});
    rest = rest.substr(rest.find('/') + 1);
  }
  if (rest.empty() && !open_)
    return fail(Error::Code::kInvalid, fmt::format("workload: a name is missing: {}", kind.forms));
  for (const auto& [name, how] : kind.facts) {
    Terms terms = narrowed;
    terms.push_back({name, std::string(rest), how});
    add(std::move(terms));
  }
  return {};
}

bool WorkloadPattern::is_text(std::string_view value, std::string_view text, bool may_end) const {
  return begins(value, text) && (value.size() == text.size() || (open_ && may_end));
}

bool WorkloadPattern::is(const Term& term, std::string_view value, bool last) const {
  const std::string_view text = term.text;
  switch (term.how) {
    case How::kWhole:
      break;
    case How::kUnit:
      return is_text(value, text, last) || (!text.contains('.') && is_text(value, term.text + ".service", false));
    case How::kBegins:  // "acme/shop" means its jobs, not those of "acme/shop-2"
      return is_text(value, text, last) ||
             (begins(value, text) && value.size() > text.size() && value[text.size()] == ' ');
    case How::kImage: {
      if (image_parts(text).name == text && !open_) value = image_parts(value).name;
      if (is_text(value, text, last)) return true;
      for (std::size_t at = value.find('/'); at != std::string_view::npos; at = value.find('/', at + 1)) {
        if (is_text(value.substr(at + 1), text, last)) return true;
      }
      return false;
    }
    case How::kDigest:  // of "NAME@sha256:…" the name's end, the digest, or both
      for (const std::string_view one : {value, value.substr(value.find('@') + 1)}) {
        if (is_text(one, text, last)) return true;
      }
      return false;
    case How::kContainerId:
      return is_text(value, text, last) || (text.size() >= kShortId && begins(value, text));
  }
  return is_text(value, text, last);
}

bool WorkloadPattern::matches_name(std::string_view name) const {
  return !name.empty() && (is_text(name, text_, true) || is_text(parent_id(name), text_, false));
}

bool WorkloadPattern::matches(const Workload& workload) const {
  if (matches_name(workload.name) || matches_name(workload.id)) return true;
  return std::ranges::any_of(any_of_, [&](const Terms& terms) {
    return std::ranges::all_of(terms, [&](const Term& term) {
      const Fact* known = workload.find(term.fact);
      return known != nullptr && is(term, known->value, &term == &terms.back());
    });
  });
}

bool WorkloadPattern::may_match(std::string_view fact_name, std::string_view value) const {
  return std::ranges::any_of(
      any_of_, [&](const Terms& terms) { return terms.back().fact == fact_name && is(terms.back(), value, true); });
}

std::vector<std::string> WorkloadPattern::texts_of(const Workload& workload) const {
  std::vector<std::string> out;
  const Kind* kind = kind_of(word_);
  if (kind == nullptr) return {workload.name};
  for (const auto& [name, how] : kind->facts) {
    const std::string_view value = workload.value(name);
    if (value.empty()) continue;
    const std::string_view scope = kind->scope == nullptr ? std::string_view() : workload.value(kind->scope);
    out.push_back(fmt::format("{}/{}{}{}", word_, scope, scope.empty() ? "" : "/", value));
  }
  return out;
}

}  // namespace keytrail::base
