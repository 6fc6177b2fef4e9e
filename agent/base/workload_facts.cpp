// SPDX-License-Identifier: Apache-2.0
#include "agent/base/workload_facts.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace keytrail::base {
namespace {

constexpr std::size_t kShownId = 12;
constexpr std::size_t kContainerId = 64;

bool before(const Fact& a, const Fact& b) { return std::tie(a.name, a.known_by) < std::tie(b.name, b.known_by); }

/// Puts a name together and keeps the weakest way in which its parts are known.
class Naming {
 public:
  explicit Naming(std::span<const Fact> facts) : facts_(facts) {}

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] bool is_below_root() const {
    const Fact* cgroup = find(fact::kCgroup);
    return cgroup != nullptr && cgroup->value != "/";
  }
  Naming& text(std::string_view text) {
    out_.text += text;
    return *this;
  }
  Naming& fact(std::string_view name, std::size_t max = kMaxFactValue) {
    if (const Fact* found = find(name)) {
      out_.text.append(found->value, 0, max);
      out_.known_by = std::max(out_.known_by, found->known_by);
    }
    return *this;
  }
  /// By its first 12 digits, as the runtimes show it; an id of free text whole.
  Naming& container() {
    const Fact* id = find(fact::kContainerId);
    return fact(fact::kContainerId, id != nullptr && id->value.size() == kContainerId ? kShownId : kMaxFactValue);
  }
  [[nodiscard]] ShownName done() { return std::move(out_); }

 private:
  [[nodiscard]] const Fact* find(std::string_view name) const {
    const auto it = std::ranges::find(facts_, name, &Fact::name);
    return it == facts_.end() ? nullptr : &*it;
  }

  std::span<const Fact> facts_;
  ShownName out_;
};

}  // namespace

Joined join_fact(std::vector<Fact>& facts, Fact fact) {
  if (fact.name.empty() || fact.name.size() > kMaxFactName || fact.value.empty() || fact.value.size() > kMaxFactValue)
    return Joined::kRefused;
  const auto at = std::lower_bound(facts.begin(), facts.end(), fact, before);
  if (at != facts.end() && at->name == fact.name && at->known_by == fact.known_by) {
    if (at->value == fact.value) return Joined::kKnown;
    *at = std::move(fact);
    return Joined::kNew;
  }
  if (facts.size() >= kMaxFacts) return Joined::kRefused;
  facts.insert(at, std::move(fact));
  return Joined::kNew;
}

ShownName shown_name(WorkloadKind kind, std::span<const Fact> facts) {
  Naming name(facts);
  switch (kind) {
    case WorkloadKind::kPod:
    case WorkloadKind::kContainer:
      if (name.has(fact::kNamespace) && name.has(fact::kPodName))
        return name.fact(fact::kNamespace).text("/").fact(fact::kPodName).done();
      if (kind == WorkloadKind::kPod) {
        name.text("pod: ").fact(fact::kPodUid);
        return name.has(fact::kContainerId) ? name.text("/").container().done() : name.done();
      }
      name.text("container: ");
      return name.has(fact::kContainerName) ? name.fact(fact::kContainerName).done() : name.container().done();
    case WorkloadKind::kSystemdUnit:
      if (name.has(fact::kUnitOwner)) name.fact(fact::kUnitOwner).text("/");
      return name.fact(fact::kUnit).done();
    case WorkloadKind::kLoginSession:
      return name.text("person: ").fact(fact::kPerson).done();
    case WorkloadKind::kCiJob:
      return name.text("ci: ").fact(fact::kCiJob).done();
    case WorkloadKind::kHost:
    case WorkloadKind::kSpiffe:
      break;
  }
  name.text("host: ").fact(fact::kProgram);
  // One interpreter in two directories is two workloads: equal names would make them one in whatever goes by the name.
  return name.is_below_root() ? name.text(" in ").fact(fact::kCgroup).done() : name.done();
}

std::string_view parent_id(std::string_view id) {
  if (!id.starts_with("pod:")) return {};
  const std::size_t slash = id.find('/');
  return slash == std::string_view::npos ? std::string_view() : id.substr(0, slash);
}

}  // namespace keytrail::base
