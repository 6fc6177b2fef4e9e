// SPDX-License-Identifier: Apache-2.0
#include "agent/base/program_name.h"

#include <gtest/gtest.h>

namespace keytrail::base {
namespace {

TEST(ProgramName, IsThatOfTheScriptOrAppletNotOfItsInterpreter) {
  EXPECT_EQ(program_name("/usr/bin/python3.11", "/usr/bin/aws"), "aws");
  EXPECT_EQ(program_name("/usr/bin/dash", "/bin/sh"), "sh");
  EXPECT_EQ(program_name("/bin/busybox", "/bin/wget"), "wget");
}

TEST(ProgramName, IsNotThatOfALinkAnybodyCanMake) {
  EXPECT_EQ(program_name("/usr/bin/evil", "/tmp/kubelet"), "evil");
  EXPECT_EQ(program_name("/usr/bin/shred", "/tmp/x"), "shred");
}

TEST(ProgramName, OfAPathThatSaysNothingIsTheExecutables) {
  EXPECT_EQ(program_name("/usr/bin/python3.11", "/usr/bin/python3"), "python3.11");
  EXPECT_EQ(program_name("/usr/bin/runc", "/proc/self/exe"), "runc");
  EXPECT_EQ(program_name("/usr/bin/python3.11", "/dev/fd/5"), "python3.11");
  EXPECT_EQ(program_name("/usr/bin/x (deleted)", ""), "x");
}

TEST(ProgramName, FallsBackToTheComm) {
  EXPECT_EQ(program_name("", "/usr/bin/aws", "python3"), "aws");
  EXPECT_EQ(program_name("", "", "kubelet"), "kubelet");
  EXPECT_EQ(program_name("", ""), "");
}

}  // namespace
}  // namespace keytrail::base
