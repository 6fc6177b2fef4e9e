// SPDX-License-Identifier: Apache-2.0
// The judge itself: which rules run, how they are configured, that none lives at another's cost.
#include "agent/judge/judge.h"

#include "court.h"

namespace keytrail::judge {
namespace {

class JudgeTest : public Court {
 protected:
  static Batch argument(const std::string& id) {
    AcquisitionRow acquisition;
    acquisition.key.id = id;
    acquisition.slot = {From::kArgument, "argument 3", {}};
    return {.rows = {row_of(acquisition, 7)}};
  }
  Result<base::Config> parse(const std::string& text) {
    return base::parse_config(text, "k.yaml", {.findings = finding_types()});
  }
};

TEST_F(JudgeTest, AFloodOfOneTypeLeavesTheOthersTheirMemory) {
  make({}, 4);
  const Batch old{.uses = {use_of("OLD", 1'001)}, .slot_changes = {{"", "/f", "p", 1'000, "OLD", "NEW"}}};
  ASSERT_EQ(look(old).size(), 1U);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(look(argument("fp:" + std::to_string(i))).size(), 1U);
  EXPECT_TRUE(look(old).empty()) << "told once";
}

TEST_F(JudgeTest, ATypeCanBeSwitchedOffAndWeighed) {
  make({{"key_in_arguments", {.enabled = false}}});
  EXPECT_TRUE(look(argument("fp:1")).empty());
  make({{"key_in_arguments", {.severity = "high"}}});
  EXPECT_EQ(look(argument("fp:1")).at(0).severity, Severity::kHigh);
}

TEST_F(JudgeTest, TheConfigurationKnowsTheTypes) {
  const auto config =
      parse("findings:\n  key_in_arguments: {enabled: false}\n  old_key_in_use: {severity: low, quiet_minutes: 30}\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_FALSE(config->findings.at("key_in_arguments").enabled);
  EXPECT_EQ(config->findings.at("old_key_in_use").severity, "low");
  EXPECT_EQ(config->findings.at("old_key_in_use").numbers.at("quiet_minutes"), 30U);
  EXPECT_TRUE(base::render_config(*config).contains("quiet_minutes: 30"));
}

TEST_F(JudgeTest, AWrongTypeIsNamedAndTheKnownOnesAreListed) {
  EXPECT_EQ(parse("findings: {old_key_in_us: {enabled: false}}").error().message,
            "k.yaml:1: findings.old_key_in_us: unknown key; did you mean findings.old_key_in_use?");
  const std::string message = parse("findings: {nonsense: {enabled: false}}").error().message;
  EXPECT_TRUE(message.starts_with("k.yaml:1: findings.nonsense: unknown key; known here: ")) << message;
  for (const base::FindingType& is : finding_types())
    EXPECT_TRUE(message.contains(is.type)) << is.type;
  EXPECT_FALSE(parse("findings: {key_in_arguments: {severity: loud}}"));
  EXPECT_FALSE(parse("findings: {old_key_in_use: {quiet_minutes: 0}}"));
  EXPECT_FALSE(parse("findings: {key_in_arguments: {quiet_minutes: 5}}")) << "a setting of another type";
}

}  // namespace
}  // namespace keytrail::judge
