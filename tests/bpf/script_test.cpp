// SPDX-License-Identifier: Apache-2.0
// The script behind an interpreter: the kernel side and the catalog's own finder (of programs that are older than the
// agent) say the same, and nothing else of a command line leaves.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/catalog/script.h"
#include "tests/bpf/exec_items.h"

namespace keytrail::tests {
namespace {

struct Command {
  const char* program;
  std::vector<std::string> words;
  const char* script;  ///< as Process::script; empty: none
};

const std::vector<Command>& commands() {
  static const std::string kSecret = "CANARYargument0123456789";
  static const std::vector<Command> kAll{
      {"python3.11", {"run.py", kSecret}, "run.py"},
      {"python", {"-u", "-X", "dev", "-Wignore", "/srv/run.py", "--token", kSecret}, "/srv/run.py"},
      {"python3", {"-uB", "-m", "http.server", "8000"}, "-m http.server"},
      {"python3", {"-c", kSecret}, ""},
      {"python3", {"-Ic", kSecret}, ""},
      {"python3", {"-"}, ""},
      {"python3", {"--unknown", kSecret}, ""},
      {"python3", {"--check-hash-based-pycs", "always", "a.py"}, "a.py"},
      {"python3", {"--check-hash-based-pycs=always", "a.py"}, "a.py"},
      {"python3", {"--", "-odd.py"}, "-odd.py"},
      {"python3", {"ghp_012345678901234567890123456789012345"}, ""},
      {"python3-config", {"run.py"}, ""},
      {"node", {"--max-old-space-size=512", "-r", "./env.js", "server.js"}, "server.js"},
      {"node", {"-e", kSecret}, ""},
      {"node", {"--eval=1", kSecret}, ""},
      {"node", {"--print=" + kSecret}, ""},
      {"bun", {"--eval=1", kSecret}, ""},
      {"node", {"/app/node_modules/@acme/server/dist/index.js"}, "/app/node_modules/@acme/server/dist/index.js"},
      {"bash", {"deploy.sh"}, "deploy.sh"},
      {"bash", {"-euo", "pipefail", "deploy.sh"}, "deploy.sh"},
      {"bash", {"-lc", kSecret}, ""},
      {"bash", {"-oc", "pipefail", kSecret}, ""},
      {"sh", {"-c", kSecret}, ""},
      {"bash", {"+x", kSecret}, ""},
      {"bash", {"-s", kSecret}, ""},
      {"perl", {"-Ilib", "-MFoo=bar", "-w", "x.pl"}, "x.pl"},
      {"perl", {"-lne", kSecret}, ""},
      {"ruby", {"-rjson", "-I", "lib", "x.rb"}, "x.rb"},
      {"php8.2", {"-d", "memory_limit=1G", "-f", "x.php"}, "x.php"},
      {"php", {"-r", kSecret}, ""},
      {"java", {"-Xmx1g", "-Dkey=" + kSecret, "-cp", "lib/*", "-jar", "app.jar", kSecret}, "app.jar"},
      {"java", {"--add-opens=java.base/java.lang=ALL-UNNAMED", "com.acme.Main"}, "com.acme.Main"},
      {"java", {"@options"}, ""},
      {"deno", {"run", "-A", "--config", "deno.json", "main.ts"}, "main.ts"},
      {"deno", {"run", "-A", "https://deno.land/main.ts?token=" + kSecret}, ""},
      {"deno", {"run", "-A", "https://user:" + kSecret + "@deno.land/x.ts"}, ""},
      {"deno", {"run", "jsr:@std/http/file-server"}, "jsr:@std/http/file-server"},
      {"sh", {"key=" + kSecret}, ""},
      {"python3", {"-m", "mod=" + kSecret}, ""},
      {"python3", {std::string(300, 'x')}, ""},
      {"python3", {}, ""},
      {"true", {"run.py"}, ""}};
  return kAll;
}

std::string script_of(const Record& record) {
  std::string out;
  for (const Item& item : items_of(record)) {
    if (item.head.kind != KT_ITEM_SCRIPT) continue;
    EXPECT_EQ(out, "") << "one at most";
    out = (item.name == "-m" ? "-m " : "") + item.value;
  }
  return out;
}

TEST(Script, IsTheWordThatTheInterpreterRunsAndNothingElse) {
  const Folder folder;
  for (const Command& one : commands()) {
    const std::string program = folder.at(one.program);
    (void)symlink("/bin/true", program.c_str());  // several have one name
    const std::string line = testing::PrintToString(one.words);
    EXPECT_EQ(script_of(run(program, one.words, {})), one.script) << one.program << " " << line;
    std::string found;
    if (const catalog::Interpreter* interpreter = catalog::interpreter_named(one.program)) {
      catalog::ScriptFinder finder(*interpreter);
      for (const std::string& word : one.words) {
        const auto next = finder.word(word);
        if (next == catalog::ScriptFinder::Next::kFound) found = finder.script();
        if (next != catalog::ScriptFinder::Next::kMore) break;
      }
    }
    EXPECT_EQ(found, one.script) << one.program << " " << line;
  }
}

TEST(Exec, TellsTheTerminal) {
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }
  ASSERT_GT(child, 0);
  const std::string name = ptsname(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  close(terminal);
  const auto events = kernel_side().events(KT_EV_EXEC, static_cast<std::uint32_t>(child));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ("/dev/" + terminal_name(events[0].as<ev_exec>().tty), name);
}

}  // namespace
}  // namespace keytrail::tests
