// SPDX-License-Identifier: Apache-2.0
// What a file says is for a host: such a key is a candidate there, and is called what that host's keys are.
#include <gtest/gtest.h>

#include "agent/link/looks.h"
#include "scene.h"

namespace keytrail::link {
namespace {

KeyFact entry_for(const std::string& host, const std::string& kind, KeyClass key_class = KeyClass::kAccessKey) {
  KeyFact fact;
  fact.key.id = "fp:" + std::string(32, 'a');
  fact.key.kind = kind;
  fact.key.key_class = key_class;
  fact.selector = fact.host = host;
  fact.untold = true;
  return fact;
}

std::string kind_of(const std::string& host, const std::string& kind, const std::string& entry) {
  const catalog::Catalog& catalog = catalog::Catalog::builtin();
  return std::string(kind_at_host(entry_for(host, kind), *catalog.file(entry), catalog));
}

TEST(HostEntries, AreCalledWhatTheHostsKeysAre) {
  EXPECT_EQ(kind_of("index.docker.io", "oauth.refresh_token", "registry.docker_config"), "docker.hub_token");
  EXPECT_EQ(kind_of("team.azurecr.io", "oauth.refresh_token", "registry.docker_config"), "azure.acr_refresh_token");
  EXPECT_EQ(kind_of("0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", "rclone.remote_secret", "saas.rclone"),
            "cloudflare.r2_key");
  EXPECT_EQ(kind_of("r.example", "oauth.refresh_token", "registry.docker_config"), "") << "a host of one's own";
  EXPECT_EQ(kind_of("registry.npmjs.org", "npm.token", "pkg.npmrc"), "") << "it is taken as what it is";
}

TEST(HostEntries, APasswordStaysWhatItIsCalled) {
  const catalog::Catalog& catalog = catalog::Catalog::builtin();
  const KeyFact fact = entry_for("api.heroku.com", "http.basic_password", KeyClass::kPassword);
  EXPECT_EQ(kind_at_host(fact, *catalog.file("vcs.netrc"), catalog), "");
}

class HostEntriesScene : public Scene {};

TEST_F(HostEntriesScene, AreCandidatesAtTheirHostAndNowhereElse) {
  const std::string netrc = "/root/.netrc";
  examiner.files[netrc] = file_of({entry_for("api.heroku.com", "http.basic_password", KeyClass::kPassword)});
  start(10);
  open(10, netrc);
  call(10, "api.heroku.com");
  ASSERT_EQ(told().size(), 1U);
  EXPECT_NE(told().front().find("fp:"), std::string::npos) << told().front();
  call(10, "api.wandb.ai");
  ASSERT_EQ(told().size(), 2U);
  EXPECT_EQ(told().back().find("fp:"), std::string::npos) << told().back();
}

}  // namespace
}  // namespace keytrail::link
