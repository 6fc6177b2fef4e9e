// SPDX-License-Identifier: Apache-2.0
// A rule: what it is told, and how it says what it found. Each rule is a class in a file of rules/ and a line in
// rules.cpp. It keeps its own memory within its own bound, so that a flood of one type takes nothing from the others.
// Thread: the pipeline's only one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/config.h"
#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail::judge {

/// What a rule is made with.
struct Setup {
  const catalog::Catalog& catalog;
  base::FindingConfig config;  ///< its own block
  std::size_t limit = 4'096;   ///< entries of each memory of a rule
};

/// What became new since it was asked last.
struct Told {
  std::vector<Row> rows;  ///< findings; observed_ns is left to the judge
  std::vector<FindingChange> changes;
};

class Rule {
 public:
  /// `severity`: unless the configuration says another.
  Rule(const base::FindingType& is, Severity severity, Setup setup);
  virtual ~Rule() = default;
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;

  // A batch, in this order. Touches of a use that sent something are uses.
  virtual void on_slot_change(const SlotChange&) {}
  virtual void on_facts(const WorkloadFacts&) {}
  virtual void on_row(const Row&) {}
  virtual void on_reader(const KeyReader&) {}
  virtual void on_child(const Child&) {}
  virtual void on_use(const UseRow&) {}
  virtual void on_holding(const HoldingChange&) {}
  /// After each batch, some 20 times a second. Unix ns.
  virtual void on_tick(std::int64_t /*now_ns*/) {}
  /// What earlier runs knew: once, before the first batch. Call the base's.
  virtual void load(const Earlier& earlier);

  [[nodiscard]] Told take();

 protected:
  [[nodiscard]] const Setup& setup() const { return setup_; }
  /// The configured number, else its preset.
  [[nodiscard]] std::uint32_t number(std::string_view name) const;
  /// Tells a finding, unless its subject is open already. Type and severity are filled in. False when it was open.
  bool open(std::int64_t time_ns, FindingRow finding);
  void resolve(const std::string& subject, std::int64_t time_ns);
  /// Resolves all that is open of subjects that begin so.
  void resolve_all(std::string_view prefix, std::int64_t time_ns);

 private:
  const base::FindingType& is_;
  Severity severity_;
  const Setup setup_;
  /// By subject: whether it is; the one told longest ago is forgotten first, and told again.
  base::LruMap<std::string, bool> open_;
  Told told_;
};

/// A line of the table.
struct RuleEntry {
  base::FindingType is;
  std::unique_ptr<Rule> (*make)(const base::FindingType& is, Setup setup);
};
[[nodiscard]] std::span<const RuleEntry* const> rules();
/// For the check of the configuration.
[[nodiscard]] std::span<const base::FindingType> finding_types();

template <typename T>
std::unique_ptr<Rule> make_rule(const base::FindingType& is, Setup setup) {
  return std::make_unique<T>(is, std::move(setup));
}

/// " used ", " used (inferred) ", " may have used ": no claim is stronger than its evidence.
[[nodiscard]] std::string_view used_words(Evidence evidence);
/// "/root/.aws/credentials [prod]"
[[nodiscard]] std::string place_words(std::string_view place, std::string_view selector);
/// Texts as one key of a map.
[[nodiscard]] std::string joined(std::initializer_list<std::string_view> parts);

}  // namespace keytrail::judge
