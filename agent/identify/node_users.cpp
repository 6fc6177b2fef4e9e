// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/node_users.h"

#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

namespace keytrail::identify {
namespace {

constexpr std::uint64_t kAgainNs = 60'000'000'000, kSoonNs = 10'000'000'000;

}  // namespace

void NodeUsers::on_turn(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  if (asked_ || now_ns < next_ns_) return;
  asked_ = true;
  examiner_.ask<BundleQuestion>(
      {}, {.container = "node", .format = std::string(bundle::kUsers)},
      [this, alive = std::weak_ptr<bool>(alive_)](const BundleAnswer& answer) {
        if (alive.expired()) return;
        asked_ = false;
        const bool later =
            answer.unread == "busy" || answer.unread == "timeout" || answer.unread == "examiner restarted";
        next_ns_ = now_ns_ + (later ? kSoonNs : kAgainNs);
        if (!answer.unread.empty()) return;
        skipped_ = answer.skipped;
        UserNames::Names names;
        for (const BundleFact& one : answer.facts) {
          const std::string_view text = one.value;
          const std::size_t blank = text.find(' ');
          const bool known = one.what < kBundleFacts.size() && kBundleFacts[one.what] == bundle::kUser;
          if (!known || blank == text.npos) continue;
          const std::string_view number = text.substr(0, blank);
          std::uint32_t uid = 0;
          const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
          if (error != std::errc() || end != number.data() + number.size()) continue;
          names.try_emplace(uid, text.substr(blank + 1));  // the first of several names wins, as in getpwuid
        }
        take_(std::move(names));
      });
}

}  // namespace keytrail::identify
