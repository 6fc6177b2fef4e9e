// SPDX-License-Identifier: Apache-2.0
// A part of the agent gave no sign for 10 s: the warden, the worker, the examiner, the hooks of a family; or its
// programs were detached, or told to filter by something else (ATT&CK T1562.001: it may have been stopped so that it
// does not see). Resolved when no more of it is told for half a minute.
#include <map>

#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

constexpr std::int64_t kQuiet = 30'000'000'000;

class AgentSilenced final : public Rule {
 public:
  AgentSilenced(const base::FindingType& is, Setup setup) : Rule(is, Severity::kHigh, std::move(setup)) {}

  void load(const Earlier& earlier) override {
    Rule::load(earlier);
    for (const FindingChange& one : earlier.findings) {
      if (one.type == kType && one.state == FindingState::kOpen) last_[one.subject] = one.time_ns;
    }
  }

  void on_row(const Row& row) override {
    const auto* gap = std::get_if<GapRow>(&row.body);
    if (gap == nullptr || !is_about_us(gap->cause)) return;
    FindingRow finding;
    finding.subject = gap->cause + (gap->family.empty() ? "" : "|" + gap->family);
    finding.text = sentence(*gap);
    finding.attack = {"T1562.001"};
    last_[finding.subject] = gap->to_ns;
    open(row.time_ns, std::move(finding));
  }

  void on_tick(std::int64_t now_ns) override {
    std::erase_if(last_, [&](const auto& one) {
      if (now_ns - one.second < kQuiet) return false;
      resolve(one.first, now_ns);
      return true;
    });
  }

  static constexpr std::string_view kType = "agent_silenced";

 private:
  static bool is_changed(std::string_view cause) { return cause == "hook_detached" || cause == "map_changed"; }
  static bool is_about_us(std::string_view cause) {
    return cause.ends_with("_silent") || cause.ends_with("_stalled") || is_changed(cause);
  }
  static std::string sentence(const GapRow& gap) {
    if (is_changed(gap.cause)) {
      return "the agent's hooks" + (gap.family.empty() ? "" : " (" + gap.family + ")") +
             " were tampered with; what happened meanwhile may be unseen: " + gap.text;
    }
    const std::string who =
        gap.cause == "hook_silent" ? "hooks (" + gap.family + ")" : gap.cause.substr(0, gap.cause.find('_'));
    return "the agent's " + who + " gave no sign for 10 s; what happened meanwhile may be unseen";
  }

  std::map<std::string, std::int64_t> last_;  ///< by subject (at most one for each role and family): Unix ns
};

}  // namespace

extern const RuleEntry kAgentSilenced;
const RuleEntry kAgentSilenced{{AgentSilenced::kType, {}}, make_rule<AgentSilenced>};

}  // namespace keytrail::judge
