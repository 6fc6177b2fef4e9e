// SPDX-License-Identifier: Apache-2.0
// The build-time tool: the data of the tree is sound, and each kind of mistake is named with file and line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "agent/catalog/build.h"
#include "agent/catalog/emit.h"
#include "agent/catalog/source.h"

namespace keytrail::catalog::source {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* kKind = "kinds:\n- {id: x.key, title: X key, class: access_key, lifetime: long_lived}\n";

Problems problems_of(const std::string& text) {
  Model model;
  Problems problems;
  read_text(text, "x.yaml", model, problems);
  check(model, nullptr, problems);
  return problems;
}

TEST(Data, TheTreeHasNoProblems) {
  Model model;
  Problems problems;
  for (const auto& entry : std::filesystem::directory_iterator(KEYTRAIL_CATALOG_DATA))
    read_file(entry.path().string(), model, problems);
  check(model, nullptr, problems);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_THAT(emit_tables(Built(model).tables()), HasSubstr("const Tables kTables"));
  EXPECT_THAT(emit_kernel_tables(kernel_rules(model)), HasSubstr("kernel_tables()"));
}

TEST(Mistakes, ABadReferenceIsNamed) {
  EXPECT_THAT(problems_of(std::string(kKind) +
                          "files:\n- {id: f, provider: x, kinds: [x.keys], format: opaque, paths: [/a/b],\n"
                          "   verified: cited, source: [s]}\n"),
              ElementsAre("x.yaml:4: `f` names the kind `x.keys`, which does not exist (did you mean `x.key`?)"));
  EXPECT_THAT(
      problems_of("files:\n- {id: f, provider: x, selector: sel.no, paths: [/a/b], verified: cited, source: [s]}\n"),
      ElementsAre(HasSubstr("x.yaml:2: `f` names the selector `sel.no`")));
}

TEST(Mistakes, ADuplicateNamesBothPlaces) {
  EXPECT_THAT(problems_of(std::string(kKind) + "- {id: x.key, title: X, class: password, lifetime: unknown}\n"),
              ElementsAre("x.yaml:3: kind `x.key` was already defined at x.yaml:2"));
}

TEST(Mistakes, AFlagIsOfOneEntryAndNamesItsProgramShortly) {
  const auto with = [](const std::string& flags) {
    return std::string(kKind) +
           "files:\n- {id: f, provider: x, kinds: [x.key], format: opaque, paths: [/a/b], flags: " + flags +
           ",\n   verified: cited, source: [s]}\n";
  };
  EXPECT_THAT(problems_of(with("[--key, x -i, y -i]")), IsEmpty());
  EXPECT_THAT(problems_of(with("[key]")), ElementsAre(HasSubstr("`key` must be a flag")));
  EXPECT_THAT(problems_of(with("[sixteen-letters- -i]")), ElementsAre(HasSubstr("15 characters at most")));
  EXPECT_THAT(problems_of(with("[--key, --key]")), ElementsAre(HasSubstr("`--key` is a flag of `f` already")));
}

TEST(Mistakes, ABadExpressionIsNamed) {
  EXPECT_THAT(problems_of("endpoints:\n- {id: e, provider: x, service: s, regex: '^(a$', domains: [a.org], verified: "
                          "cited, source: [s]}\n"),
              ElementsAre(StartsWith("x.yaml:2: `e`: the expression does not compile: missing )")));
}

TEST(Mistakes, AnExpressionWithoutDomainsIsRefused) {
  EXPECT_THAT(
      problems_of("endpoints:\n- {id: e, provider: x, service: s, regex: '^a$', verified: cited, source: [s]}\n"),
      ElementsAre(HasSubstr("x.yaml:2: `e`: an expression needs `domains`")));
}

TEST(Mistakes, AnUnknownKeyListsTheKnownOnes) {
  EXPECT_THAT(
      problems_of(
          "kinds:\n- {id: x.key, title: X key, class: access_key,\n   lifetme: long_lived, lifetime: unknown}\n"),
      ElementsAre(StartsWith("x.yaml:3: unknown key `lifetme` (did you mean `lifetime`?); known here: id, title, "
                             "provider, class, lifetime")));
}

TEST(Mistakes, AnUnknownSectionOrValueIsNamed) {
  EXPECT_THAT(
      problems_of(
          "arguments:\n- {id: a, names: [x], tokens: [key], password: no.kind, verified: cited, source: [s]}\n"),
      ElementsAre(HasSubstr("`no.kind`, which does not exist"), HasSubstr("`key` must be a flag")));
  EXPECT_THAT(problems_of("kind:\n- {id: a}\n"),
              ElementsAre(StartsWith("x.yaml:1: unknown section `kind` (did you mean `kinds`?); known: ")));
  EXPECT_THAT(problems_of("kinds:\n- {id: x.key, title: X, class: acess, lifetime: unknown}\n"),
              ElementsAre(StartsWith("x.yaml:2: `class` is `acess`; it must be one of: access_key, ")));
  EXPECT_THAT(problems_of("kinds:\n- {id: x.key, title: X, class: access_key}\n"),
              ElementsAre("x.yaml:2: `lifetime` is missing"));
}

TEST(Mistakes, NewSectionsAreCheckedToo) {
  EXPECT_THAT(
      problems_of("readers:\n- {id: r, role: owner, names: [x], reads: [awz.*], verified: cited, source: [s]}\n"),
      ElementsAre(HasSubstr("x.yaml:2: `r`: `awz.*` fits no entry")));
  EXPECT_THAT(problems_of("readers:\n- {id: r, role: owner, reads: ['*'], verified: cited, source: [s]}\n"),
              testing::Contains(HasSubstr("x.yaml:2: `r` needs `names` or `folders`")));
  EXPECT_THAT(problems_of("issuers:\n- {id: i, requests: [iss.no], actions: [], verified: cited, source: [s]}\n"),
              ElementsAre(HasSubstr("names the request `iss.no`, which does not exist")));
  EXPECT_THAT(problems_of("kinds:\n- {id: x.key, title: X, class: access_key, lifetime: unknown, proof: [no]}\n"),
              ElementsAre(HasSubstr("names the proof `no`")));
}

TEST(Mistakes, WhatIsThereTwiceIsNamed) {
  EXPECT_THAT(problems_of("kinds:\n- {id: a.b, id: c.d, title: X, class: password, lifetime: unknown}\n"),
              ElementsAre("x.yaml:2: `id` is there twice"));
  EXPECT_THAT(problems_of("kinds: []\nkinds: []\n"),
              ElementsAre("x.yaml:2: section `kinds` is there twice; join them"));
}

TEST(Mistakes, AnEncryptionKeyNeverAuthenticates) {
  EXPECT_THAT(problems_of("kinds:\n- {id: x.key, title: X, class: encryption_key, lifetime: unknown}\n"),
              ElementsAre(HasSubstr("say `authenticates: false`")));
}

TEST(Mistakes, AShownSecretIsRefused) {
  EXPECT_THAT(
      problems_of("env:\n- {name: X_TOKEN, provider: x, use: secret, show: true, verified: cited, source: [s]}\n"),
      ElementsAre(HasSubstr("is a secret: its value is never shown")));
}

TEST(Mistakes, ARelativePathIsRefused) {
  EXPECT_THAT(problems_of("files:\n- {id: f, provider: x, paths: [a/b], verified: cited, source: [s]}\n"),
              ElementsAre(HasSubstr("x.yaml:2: `f`: `a/b` must start with /, ~/ or **/")));
}

TEST(Mistakes, WhatIsNoYamlHasALine) {
  EXPECT_THAT(problems_of("kinds:\n- {id: x\n"), ElementsAre(StartsWith("x.yaml:")));
  EXPECT_THAT(problems_of("[1, 2]"), ElementsAre(HasSubstr("must be a map of sections")));
  EXPECT_THAT(problems_of("kinds: 3\n"), ElementsAre(HasSubstr("x.yaml:1: section `kinds` must be a list")));
  EXPECT_THAT(problems_of("kinds: [3]\n"), testing::Contains(HasSubstr("an entry must be a map")));
  EXPECT_THAT(problems_of(""), IsEmpty());
}

TEST(Mistakes, ARangeThatIsNoBlock) {
  const auto block = [](const std::string& text) {
    return problems_of("ranges:\n- {provider: x, date: 2026-11-29, blocks: ['" + text +
                       "'], verified: cited, source: [s]}\n");
  };
  EXPECT_THAT(block("52.92.0.0/16"), IsEmpty());
  EXPECT_THAT(block("2606:4700::/32"), IsEmpty());
  for (const char* wrong : {"52.92.0.0", "52.92.0.0/33", "52.92.1.0/16", "2606:4700::1/32", "aws/16", "52.92.0.0/",
                            "/8", "52.92.0.0/-1", "52.92.0.0/16x"})
    EXPECT_THAT(block(wrong), ElementsAre(HasSubstr("is no block of addresses"))) << wrong;
}

TEST(Mistakes, AllAreFoundInOneRun) {
  EXPECT_EQ(problems_of(std::string(kKind) +
                        "- {id: x.key, title: X, class: password, lifetime: unknown}\n"
                        "env:\n- {name: A, provider: x, use: identifier, kinds: [no], verified: cited, source: [s]}\n")
                .size(),
            2U);
}

TEST(Mistakes, AnAdditionCannotTakeABuiltInId) {
  Model base;
  Problems problems;
  read_text(kKind, "base.yaml", base, problems);
  Model addition;
  read_text(kKind, "mine.yaml", addition, problems);
  check(addition, &base, problems);
  EXPECT_THAT(problems,
              ElementsAre("mine.yaml:2: kind `x.key` is already part of the built-in catalog; choose another id"));
}

TEST(Patterns, AreCutAsTheKernelNamesPaths) {
  EXPECT_THAT(cut_pattern("/var/run/secrets/x/..*/token")->segments, ElementsAre("run", "secrets", "x", "token"));
  EXPECT_TRUE(cut_pattern("~/.aws/credentials")->anywhere);
  EXPECT_FALSE(cut_pattern("~/.netrc")->anywhere);
  EXPECT_FALSE(cut_pattern("~/snap/x")->anywhere);
  EXPECT_FALSE(cut_pattern("/"));
  EXPECT_FALSE(cut_pattern(""));
}

}  // namespace
}  // namespace keytrail::catalog::source
