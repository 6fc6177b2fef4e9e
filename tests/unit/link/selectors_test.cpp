// SPDX-License-Identifier: Apache-2.0
// Which entry of a file a program means, as a table: arguments, environment, host and entries → the entry, and who said
// so.
#include "agent/link/selectors.h"

#include <gtest/gtest.h>

#include "small_world.h"

namespace keytrail::link {
namespace {

struct Row {
  std::string what;
  std::vector<Held> entries;
  Program program;
  /// "ENTRY told|default|beaten", with " not all" where a holding is no entry of the file; "-": no step decides.
  std::string expected;
  std::string host = kS3;
};

Held entry(const std::string& profile) { return from_file(aws_fact("AKIA" + profile, profile)); }

std::string told(const Row& row) {
  const Instance caller = instance_of(row.program);
  std::vector<const Held*> all;
  for (const Held& one : row.entries)
    all.push_back(&one);
  const auto narrowed = narrow(all, caller, row.host, catalog::Catalog::builtin());
  if (!narrowed) return "-";
  std::string out = narrowed->index ? all[*narrowed->index]->what->slot.selector : "none";
  out += narrowed->beaten ? " beaten" : narrowed->told ? " told" : " default";
  return out + (narrowed->covers_all ? "" : " not all");
}

TEST(Narrow, EntriesOfAnAwsFile) {
  const std::vector<Held> three{entry("default"), entry("staging"), entry("prod")};
  const Row rows[] = {
      {"nothing said", three, aws_program(), "default default"},
      {"by the variable", three, aws_program({shown("AWS_PROFILE", "prod")}), "prod told"},
      {"the argument beats it", three, aws_program({shown("AWS_PROFILE", "prod")}, {flag("--profile", "staging")}),
       "staging told"},
      {"the last argument counts", three, aws_program({}, {flag("--profile", "prod"), flag("--profile", "staging")}),
       "staging told"},
      {"an entry that is not there", three, aws_program({shown("AWS_PROFILE", "app")}), "none told"},
      {"no default", {entry("staging"), entry("prod")}, aws_program(), "none default"},
      {"a pair in the environment beats the file",
       {entry("default"), from_variable(aws_fact("AKIAENV"))},
       aws_program(aws_env("AKIAENV")),
       " beaten"},
      {"another key that nothing speaks of",
       {entry("default"), held(aws_fact("AKIAX", ""), From::kBroker, "/x.sock")},
       aws_program(),
       "default default not all"},
      {"no file among them", {from_variable(aws_fact("AKIAENV"))}, aws_program(), "-"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(told(row), row.expected) << row.what;
}

TEST(Narrow, EntriesByHost) {
  const auto of_host = [](const std::string& id, const std::string& host) {
    KeyFact fact;
    fact.key.id = id;
    fact.key.kind = "github.token";
    fact.selector = fact.host = host;
    return held(fact, From::kFile, "/root/.git-credentials");
  };
  const Program git{"/usr/bin/git", "/usr/bin/git", {}, {}, false};
  const std::vector<Held> two{of_host("fp:1", "github.com"), of_host("fp:2", "git.example")};
  const Row rows[] = {
      {"the one of the host", two, git, "git.example told", "git.example"},
      {"the other", two, git, "github.com told", "github.com"},
      {"a host without an entry", two, git, "-", "elsewhere.example"},
      {"one key under two names is one",
       {of_host("fp:1", "github.com"), of_host("fp:1", "github.com")},
       git,
       "github.com told",
       "github.com"},
      {"two keys of one host are not told apart",
       {of_host("fp:1", "github.com"), of_host("fp:2", "github.com")},
       git,
       "none told",
       "github.com"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(told(row), row.expected) << row.what;
}

}  // namespace
}  // namespace keytrail::link
