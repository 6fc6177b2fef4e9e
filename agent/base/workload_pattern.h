// SPDX-License-Identifier: Apache-2.0
// What people ask a workload by: the one place that takes such a text apart and says which workloads it means. Pure;
// any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/result.h"
#include "keytrail/workload.h"

namespace keytrail::base {

/// "registry:5000/nginx:1.25@sha256:…" taken apart; a registry's port is no tag.
struct ImageParts {
  std::string_view name, tag, digest;
};
[[nodiscard]] ImageParts image_parts(std::string_view image);

/// Letters in any case, blanks around it do not count, a '*' at the end stands for any end:
///   payments/api            a pod of that namespace, or one whose owner (deployment, job, …) has that name
///   pod/NAME, pod/NS/NAME   the same with deploy, rs, sts, ds, job, cronjob, sa; NS/deploy/NAME, too
///   unit/backup, unit/alice/sync.service, user/alice, team/payments
///   ci/acme/shop            its jobs, or with the job's name one of them
///   image/nginx             with any registry and tag, as far as they are not given; or a digest
///   container/NAME          as manifest or runtime call it; or the id, or its first 12 digits or more
/// and whatever a workload is shown as, its id, and the id of a pod for all its containers.
class WorkloadPattern {
 public:
  /// Error kInvalid: a word like pod/ without a name, or with too many; the text itself is not repeated.
  [[nodiscard]] static Result<WorkloadPattern> parse(std::string_view text);

  /// By its id, its shown name and the facts that count.
  [[nodiscard]] bool matches(const Workload& workload) const;
  /// A shown name (also an earlier one) or an id.
  [[nodiscard]] bool matches_name(std::string_view name) const;
  /// Whether a workload with this fact may match; one without any such fact matches by its name or not at all.
  [[nodiscard]] bool may_match(std::string_view fact_name, std::string_view value) const;
  /// Any end is meant: what it matches may be yet to come.
  [[nodiscard]] bool is_open() const { return open_; }
  /// How this workload could have been asked for in the same form: for "did you mean …?".
  [[nodiscard]] std::vector<std::string> texts_of(const Workload& workload) const;

 private:
  enum class How : std::uint8_t { kWhole, kBegins, kUnit, kImage, kDigest, kContainerId };
  struct Term {
    const char* fact;
    std::string text;
    How how = How::kWhole;
  };
  using Terms = std::vector<Term>;  ///< all hold; the last is the one that only few workloads have

  struct Kind;
  static const Kind* kind_of(std::string_view word);

  Result<void> add_kind(const Kind& kind, std::string_view rest);
  void add(Terms terms) { any_of_.push_back(std::move(terms)); }
  [[nodiscard]] bool is(const Term& term, std::string_view value, bool last) const;
  [[nodiscard]] bool is_text(std::string_view value, std::string_view text, bool may_end) const;

  std::string text_;  ///< the whole, in small letters, without the star
  std::string word_;  ///< "pod" of "pod/…", where it is one
  bool open_ = false;
  std::vector<Terms> any_of_;
};

}  // namespace keytrail::base
