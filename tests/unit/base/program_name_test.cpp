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

TEST(ProgramName, OfAnInterpreterThatWasGivenItsScriptBoth) {
  const auto name = [](std::string exe, std::string filename, std::string script) {
    Process process;
    process.exe = std::move(exe);
    process.filename = std::move(filename);
    process.script = std::move(script);
    return program_name(process);
  };
  EXPECT_EQ(name("/usr/bin/python3.11", "/usr/bin/python3", "/srv/api/run.py"), "python3 run.py");
  EXPECT_EQ(name("/usr/bin/python3.11", "/usr/bin/python3", "-m http.server"), "python3 -m http.server");
  EXPECT_EQ(name("/usr/bin/dash", "/bin/sh", "deploy.sh"), "sh deploy.sh");
  EXPECT_EQ(name("/usr/lib/jvm/java-21/bin/java", "/usr/bin/java", "app.jar"), "java app.jar");
  EXPECT_EQ(name("/usr/bin/python3.11", "/usr/bin/python3", ""), "python3.11") << "as before there were scripts";
  EXPECT_EQ(name("/usr/bin/cat", "/bin/cat", ""), "cat");
}

TEST(ProgramName, OfAScriptWithANewNameEachTimeIsOne) {
  const auto name = [](std::string script) {
    return program_name(Process{.exe = "/bin/dash", .filename = "/bin/sh", .script = std::move(script)});
  };
  EXPECT_EQ(name("/tmp/jenkins8091234567.sh"), "sh jenkins*.sh");
  EXPECT_EQ(name("/home/runner/work/_temp/0b5c1f2e-9d3a-4a6f-8e21-7c4d5e6f7a8b.sh"), "sh *.sh");
  EXPECT_EQ(name("/builds/step-deadbeef01.sh"), "sh step-*.sh");
  EXPECT_EQ(name("/srv/20240101-add.py"), "sh *-add.py");
  EXPECT_EQ(name("/srv/20240102-bad.py"), "sh *-bad.py");
  EXPECT_EQ(name("/srv/00001-add.sh"), "sh 00001-add.sh");
  EXPECT_EQ(name("/srv/facade-decade-2.py"), "sh facade-decade-2.py");
  EXPECT_EQ(name("/tmp/tmpab3x_9k.py"), "sh tmp*.py");
  EXPECT_EQ(name("/tmp/tmp.Xa8kQ2PqLm"), "sh tmp*");
  EXPECT_EQ(name("/srv/tmpl.py"), "sh tmpl.py");
  EXPECT_EQ(name("/srv/facade2.sh"), "sh facade2.sh");
  EXPECT_EQ(name("/srv/backup-2026.sh"), "sh backup-2026.sh");
  EXPECT_EQ(name("-m http.server"), "sh -m http.server");
}

TEST(ProgramName, OfATerminalAsPsShowsIt) {
  EXPECT_EQ(terminal_name(136U << 20U | 3U), "pts/3");
  EXPECT_EQ(terminal_name(136U << 20U | 300U), "pts/300");
  EXPECT_EQ(terminal_name(4U << 20U | 1U), "tty1");
  EXPECT_EQ(terminal_name(4U << 20U | 64U), "ttyS0");
  EXPECT_EQ(terminal_name(204U << 20U | 64U), "tty 204:64");
  EXPECT_EQ(terminal_name(0), "");
}

}  // namespace
}  // namespace keytrail::base
