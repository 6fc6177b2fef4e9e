// SPDX-License-Identifier: Apache-2.0
// Keys in an environment, and the variables and flags that point at files.
#include "agent/link/environment.h"

#include <gtest/gtest.h>

#include "scene.h"

namespace keytrail::link {
namespace {

TEST(Environment, AnIdentifierAloneIsNoKey) {
  const SharedList<EnvItem> env{shown("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAA2")};
  EXPECT_TRUE(keys_of_environment(env, catalog::Catalog::builtin(), "w").empty());
}

TEST(Environment, ASessionTokenAloneIsAKeyOfItsOwn) {
  const SharedList<EnvItem> env{secret("AWS_SESSION_TOKEN", "token of a session")};
  const auto found = keys_of_environment(env, catalog::Catalog::builtin(), "w");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].key.id.starts_with("fp:"));
  EXPECT_EQ(found[0].key.kind, "aws.session");
}

TEST(Environment, APasswordIsNamedByItsPlace) {
  EnvItem password{"PGPASSWORD", {}, {}, 9, false};
  const auto found = keys_of_environment({password}, catalog::Catalog::builtin(), "payments");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key.id, "postgres.password:PGPASSWORD@payments #1");
  EXPECT_TRUE(found[0].key.fingerprint.empty());
}

TEST(Environment, EmptyAndUnknownVariablesAreNothing) {
  const SharedList<EnvItem> env{EnvItem{"AWS_SECRET_ACCESS_KEY", {}, {}, 0, false},
                                secret("NOT_A_NAME_OF_THE_LIST_X", "x")};
  for (const FoundKey& one : keys_of_environment(env, catalog::Catalog::builtin(), "w"))
    EXPECT_NE(one.slot.place, "AWS_SECRET_ACCESS_KEY");
}

TEST(Environment, PointerVariables) {
  const auto& catalog = catalog::Catalog::builtin();
  const SharedList<EnvItem> env{shown("AWS_SHARED_CREDENTIALS_FILE", "keys/mine")};
  EXPECT_NE(file_of_pointer(env, catalog, "/root/keys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "/root/otherkeys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "keys/mine2"), nullptr);
}

TEST(Environment, PathsAsPeopleWriteThem) {
  EXPECT_TRUE(names_path("/a/key", "/a/key"));
  EXPECT_FALSE(names_path("/a/key", "/b/a/key"));
  EXPECT_TRUE(names_path("key", "/a/key"));
  EXPECT_FALSE(names_path("key", "/a/monkey"));
  EXPECT_TRUE(names_path("./key", "/a/key"));
  EXPECT_TRUE(names_path("../../b/key", "/a/b/key"));
  EXPECT_FALSE(names_path("", "/a/key"));
  EXPECT_FALSE(names_path("./", "/a/key"));
}

TEST(Environment, FlagsThatNameAFile) {
  const auto& catalog = catalog::Catalog::builtin();
  Process process;
  process.exe = "/usr/bin/ssh";
  process.args = {ArgItem{.flag = "-i", .value = "/backup/key"}};
  ASSERT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key")->id, "key.ssh_private");
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/other"), nullptr);
  process.exe = "/usr/bin/sed";
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key"), nullptr);
  process.filename = "/opt/bin/ssh";  // a script, under its own name
  EXPECT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
}

}  // namespace
}  // namespace keytrail::link
