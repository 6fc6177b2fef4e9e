// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

class KeyInArgumentsTest : public Court {
 protected:
  static AcquisitionRow argument(const std::string& id) {
    AcquisitionRow acquisition;
    acquisition.actor.program = "curl";
    acquisition.key.id = id;
    acquisition.slot = {From::kArgument, "argument 3", {}};
    return acquisition;
  }
};

TEST_F(KeyInArgumentsTest, IsFoundOnce) {
  const auto found = look({.rows = {row_of(argument("fp:1"), 7)}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "key_in_arguments");
  EXPECT_EQ(found[0].severity, Severity::kMedium);
  EXPECT_EQ(found[0].attack, Words{"T1552"});
  EXPECT_TRUE(look({.rows = {row_of(argument("fp:1"), 8)}}).empty());
}

TEST_F(KeyInArgumentsTest, OtherPlacesAreNone) {
  AcquisitionRow file = argument("fp:1");
  file.slot.from = From::kFile;
  EXPECT_TRUE(look({.rows = {row_of(file, 7)}}).empty());
}

TEST_F(KeyInArgumentsTest, StaysOpenUntilTheKeyIsReplaced) {
  ASSERT_EQ(look({.rows = {row_of(argument("AKIA1"), 7), row_of(argument("AKIA12"), 7)}}).size(), 2U);
  clock.now += 24 * 60 * kMinute;
  (void)look();
  EXPECT_EQ(became(), Words{});
  (void)look({.slot_changes = {{"", "/f", "", 9, "AKIA1", "AKIA2"}}});
  EXPECT_EQ(became(), Words{"resolved key_in_arguments"});
}

}  // namespace
}  // namespace keytrail::judge
