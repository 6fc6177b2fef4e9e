// SPDX-License-Identifier: Apache-2.0
// Roles of programs, each reached by each of its names, and interpreters.
#include <gtest/gtest.h>

#include "agent/catalog/script.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {
namespace {

std::string title(std::string_view exe, std::string_view filename = {}, std::string_view script = {}) {
  const Role* role = Catalog::builtin().match_role(exe, filename, script);
  return role == nullptr ? "" : std::string(role->title);
}

TEST(Roles, EachIsReachedByEachOfItsNamesAndFolders) {
  for (const tables::RoleData& one : tables::kTables.roles) {
    EXPECT_FALSE(one.names.empty() && one.inside.empty()) << one.is.id;
    for (const std::string_view pattern : one.names) {
      const std::string name(pattern.substr(0, pattern.find('*')));
      EXPECT_EQ(title("/usr/bin/" + name), one.is.title) << name;
      EXPECT_EQ(title("/usr/bin/node", "/usr/bin/node", "/opt/" + name), one.is.title) << name;
    }
    for (const std::string_view part : one.inside)
      EXPECT_EQ(title("/home/a" + std::string(part) + "x"), one.is.title) << part;
  }
}

TEST(Roles, AreKnownByTheWaysInWhichPeopleInstallThem) {
  EXPECT_EQ(title("/home/a/.local/share/claude/versions/2.1.177", "/home/a/.local/bin/claude"), "claude code");
  EXPECT_EQ(
      title("/usr/bin/node", "/usr/bin/node", "/home/a/.claude/local/node_modules/@anthropic-ai/claude-code/cli.js"),
      "claude code");
  EXPECT_EQ(title("/usr/bin/node", "/usr/bin/node", "/usr/local/bin/gemini"), "gemini-cli");
  EXPECT_EQ(title("/usr/bin/python3.12", "/home/a/.local/bin/aider"), "aider");
  EXPECT_EQ(title("/usr/local/bin/copilot"), "") << "that of AWS";
  EXPECT_EQ(title("/usr/local/bin/goose"), "") << "that of databases";
  EXPECT_EQ(title("/usr/bin/node", "/usr/bin/node", "server.js"), "");
  EXPECT_EQ(title("/usr/bin/python3.12", "/usr/bin/python3", "-m terraform"), "") << "a module is no program";
  EXPECT_EQ(title("/usr/bin/terraform (deleted)"), "Terraform");
}

TEST(Interpreters, AreKnownWithAndWithoutTheirVersion) {
  for (const char* name : {"python", "python3", "python3.11", "/usr/bin/php8.2", "ruby3.1", "node", "java", "sh"})
    EXPECT_NE(interpreter_named(name), nullptr) << name;
  for (const char* name : {"python3-config", "pythonista", "cat", "", "3"})
    EXPECT_EQ(interpreter_named(name), nullptr) << name;
  EXPECT_EQ(interpreter_named("sh"), interpreter_named("/usr/bin/dash"));
}

}  // namespace
}  // namespace keytrail::catalog
