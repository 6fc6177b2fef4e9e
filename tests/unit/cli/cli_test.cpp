// SPDX-License-Identifier: Apache-2.0
// The parser: words in, command and exit code out. Standard output and error are taken through pipes of GoogleTest.
#include "agent/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <sstream>

#include "agent/cli/completion.h"
#include "agent/cli/table.h"

namespace keytrail::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Done {
  int code;
  std::string out, err;
};

Done run(std::vector<std::string> words) {
  spdlog::drop_all();
  words.insert(words.begin(), "keytrail");
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  int ran = 0;
  const int code = run_cli(static_cast<int>(argv.size()), argv.data(),
                           {{"agent", "runs the agent", [](CLI::App& app) { app.add_flag("--hidden")->group(""); },
                             [&ran] { return ++ran, 42; }}});
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

TEST(Cli, HelpShowsEveryCommandAndTheExitCodes) {
  const Done help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* name : {"agent", "status", "doctor", "uses", "keys", "key", "workloads", "findings", "watch",
                           "explain", "rotation", "catalog", "config", "completion"}) {
    EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + name));
  }
  EXPECT_THAT(help.out, HasSubstr("5 refused"));
  EXPECT_EQ(run({"--version"}).code, 0);
}

TEST(Cli, ExtraCommandsRunAndGiveTheirCode) { EXPECT_EQ(run({"agent"}).code, 42); }

TEST(Cli, WrongUsageIsExit2WithAHint) {
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"nonsense"}).code, 2);
  EXPECT_EQ(run({"uses", "--nonsense"}).code, 2);
  EXPECT_EQ(run({"uses", "-o", "xml"}).code, 2);
  EXPECT_EQ(run({"key"}).code, 2);
  EXPECT_EQ(run({"rotation", "AKIAIOSFODNN7EXAMPLE"}).code, 2);
  EXPECT_THAT(run({"uses", "--nonsense"}).err, HasSubstr("Try: keytrail uses --help"));
}

TEST(Cli, AWordOfAClosedListIsNamedWithTheNearest) {
  EXPECT_THAT(run({"uses", "-o", "tabel"}).err, HasSubstr("jsonl, yaml; did you mean table?"));
  EXPECT_THAT(run({"uses", "--color", "allways"}).err, HasSubstr("did you mean always?"));
  EXPECT_THAT(run({"completion", "bsh"}).err, HasSubstr("did you mean bash?"));
  EXPECT_THAT(run({"uses", "--evidence", "infered"}).err, HasSubstr("did you mean inferred?"));
  EXPECT_THAT(run({"watch", "--kinds", "use,findings"}).err, HasSubstr("did you mean finding?"));
  EXPECT_EQ(run({"uses", "-o", "tabel"}).code, 2);
}

TEST(Cli, HelpIsACommandTooAndFitsTheTerminal) {
  EXPECT_EQ(run({"help", "uses"}).out, run({"uses", "--help"}).out);
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_THAT(run({"help", "usse"}).err, HasSubstr("there is no command keytrail usse; did you mean uses?"));
  ::setenv("COLUMNS", "80", 1);
  for (const char* name : {"agent", "uses", "key", "rotation", "watch", "catalog", "completion"}) {
    std::istringstream lines(run({name, "--help"}).out);
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), 80U) << line;
  }
  EXPECT_THAT(run({"rotation", "--help"}).out, HasSubstr("\n  --wait TEXT "));
  ::unsetenv("COLUMNS");
}

TEST(Cli, AnEmptyWordIsAVariableThatIsNotSet) {
  EXPECT_EQ(run({"uses", ""}).code, 2);
  EXPECT_THAT(run({"uses", "--key", " "}).err, HasSubstr("the value of --key is empty. Is a variable not set?"));
  EXPECT_EQ(run({"rotation", "", "AKIAI44QH8DHBEXAMPLE"}).code, 2);
  EXPECT_THAT(run({"rotation", "AKIAI44QH8DHBEXAMPLE"}).err, HasSubstr("rotation wants two key IDs"));
}

TEST(Cli, WatchHasAnEndAndNoBeginning) {
  EXPECT_EQ(run({"watch", "--until", "yesterday", "--socket", "/nonexistent/s"}).code, 4);
  EXPECT_EQ(run({"watch", "--since", "yesterday", "--socket", "/nonexistent/s"}).code, 2);
  EXPECT_THAT(run({"watch", "--since", "yesterday"}).err, HasSubstr("What was: keytrail uses --since"));
  EXPECT_EQ(run({"watch", "--count", "0", "--socket", "/nonexistent/s"}).code, 2);
}

TEST(Cli, HoldersAreAskedAboutNow) {
  for (const char* option : {"--since", "--until", "--from", "--to"}) {
    const Done done =
        run({"key", "AKIAIOSFODNN7EXAMPLE", "--holders", option, "2025-11-21", "--socket", "/nonexistent/s"});
    EXPECT_EQ(done.code, 2) << option;
  }
  EXPECT_THAT(run({"key", "AKIAIOSFODNN7EXAMPLE", "--holders", "--since", "1h"}).err,
              HasSubstr("a question about now"));
  EXPECT_THAT(run({"uses", "--from", "1h"}).err, HasSubstr("uses has no option --from; did you mean --since?"));
}

TEST(Cli, AnUnknownCommandIsNamedWithTheOneThatWasMeant) {
  EXPECT_THAT(run({"use"}).err, HasSubstr("there is no command keytrail use; did you mean uses?"));
  EXPECT_THAT(run({"holders", "AKIAIOSFODNN7EXAMPLE"}).err,
              HasSubstr("no command keytrail holders; keytrail key has an option --holders"));
  EXPECT_THAT(run({"catalog", "macth"}).err,
              HasSubstr("no command keytrail catalog macth; did you mean match?\nTry: keytrail catalog --help"));
  EXPECT_THAT(run({"nonsense"}).err, HasSubstr("there is no command keytrail nonsense\n"));
}

TEST(Cli, BothFormsOfAKeyAreUnderstood) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"uses", "AKIAIOSFODNN7EXAMPLE", "--socket", "/nonexistent/s"},
                                             {"uses", "--key", "AKIAIOSFODNN7EXAMPLE", "--socket", "/nonexistent/s"},
                                             {"keys", "AKIAIOSFODNN7EXAMPLE", "--socket", "/nonexistent/s"}}) {
    EXPECT_EQ(run(words).code, 4);
  }
}

TEST(Cli, ASecretOnTheCommandLineIsNeverRepeated) {
  const std::string secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"uses", secret}, {"uses", "AKIAIOSFODNN7EXAMPLE", secret}, {secret}, {"status", "--limit", secret}}) {
    const Done done = run(words);
    EXPECT_EQ(done.code, 2);
    EXPECT_THAT(done.err, HasSubstr("that is a secret"));
    EXPECT_THAT(done.out + done.err, Not(HasSubstr("wJalr")));
  }
}

TEST(Cli, EveryHelpTextHasAnExample) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"status"},
                                                                                     {"doctor"},
                                                                                     {"uses"},
                                                                                     {"keys"},
                                                                                     {"key"},
                                                                                     {"workloads"},
                                                                                     {"findings"},
                                                                                     {"watch"},
                                                                                     {"explain"},
                                                                                     {"rotation"},
                                                                                     {"catalog", "match"},
                                                                                     {"catalog", "list"},
                                                                                     {"catalog", "check"},
                                                                                     {"config", "check"},
                                                                                     {"config", "show"},
                                                                                     {"completion"},
                                                                                     {"catalog"},
                                                                                     {"config"},
                                                                                     {"agent"}}) {
    std::vector<std::string> asked = words;
    asked.emplace_back("--help");
    EXPECT_THAT(run(asked).out, ::testing::ContainsRegex("Example: .*keytrail " + words[0])) << words[0];
  }
}

TEST(Cli, CompletionsOfferTheValuesOfAnOption) {
  const std::string bash = run({"completion", "bash"}).out;
  EXPECT_THAT(bash, ::testing::ContainsRegex("--provider\\) COMPREPLY=.*'[^']* aws [^']*'"));
  EXPECT_THAT(bash, ::testing::ContainsRegex("--service\\) COMPREPLY=.*'[^']* s3 [^']*'"));
  EXPECT_THAT(bash, HasSubstr("'confirmed inferred possible unattributed'"));
  EXPECT_THAT(bash, ::testing::ContainsRegex("--type\\) COMPREPLY=.*old_key_in_use"));
  EXPECT_THAT(bash, HasSubstr("-o) COMPREPLY"));
  EXPECT_THAT(bash, HasSubstr("--color) COMPREPLY=($(compgen -W 'auto always never'"));
  EXPECT_THAT(bash, ::testing::ContainsRegex("\n    uses\\) words='[^']*' keys=yes ;;"));
  EXPECT_THAT(bash, ::testing::ContainsRegex("\n    status\\) words='[^']*' ;;"));
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_THAT(run({"completion", shell}).out, HasSubstr("keytrail completion workloads)")) << shell;
  EXPECT_THAT(run({"completion", "zsh"}).out, ::testing::ContainsRegex("--kind\\) compadd -- .*aws.access_key"));
  EXPECT_THAT(run({"completion", "fish"}).out, ::testing::ContainsRegex("-l kind -xa '.*aws.access_key"));
}

TEST(Cli, CompletionsNameCommandsAndOptions) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Done done = run({"completion", shell});
    EXPECT_THAT(done.out, Not(HasSubstr("hidden")));
    EXPECT_EQ(done.code, 0);
    EXPECT_THAT(done.out, HasSubstr("workloads"));
    EXPECT_THAT(done.out, HasSubstr("evidence"));
  }
  EXPECT_EQ(run({"completion", "csh"}).code, 2);
  EXPECT_EQ(completion_script("csh", {}), "");
}

}  // namespace
}  // namespace keytrail::cli
