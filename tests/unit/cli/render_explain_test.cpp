// SPDX-License-Identifier: Apache-2.0
// explain: which file the program of a row was.
#include <gmock/gmock.h>

#include "tests/unit/cli/rendered.h"

namespace keytrail::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(RenderTest, ExplainTellsProgramsOfOnePathApart) {
  UseRow use = make_use();
  use.actor.file = {.dev = 8U << 20U | 1U, .inode = 77};
  AcquisitionRow taken = make_acquisition();
  taken.actor.file = {.dev = 8U << 20U | 1U, .inode = 78, .deleted = true};
  history_.stored = {make_row(1, taken), make_row(2, use), make_row(3, make_use())};
  EXPECT_THAT(render_explain(ask("/v1/explain/2"), view_),
              HasSubstr("\n  program: /usr/bin/python3.11, inode 77 on device 8:1\n"));
  EXPECT_THAT(
      render_explain(ask("/v1/explain/1"), view_),
      HasSubstr("\n  program: /usr/bin/python3.11, inode 78 on device 8:1, under no name: deleted, replaced, or "
                "only in memory\n"));
  EXPECT_THAT(render_explain(ask("/v1/explain/3"), view_), HasSubstr("\n  program: /usr/bin/python3.11\n"));
}

TEST_F(RenderTest, ARowWithoutAProcessHasNoProgram) {
  history_.stored = {make_row(1, GapRow{.cause = "ring_full", .text = "12 events were lost."})};
  EXPECT_THAT(render_explain(ask("/v1/explain/1"), view_), Not(HasSubstr("program:")));
}

}  // namespace
}  // namespace keytrail::cli
