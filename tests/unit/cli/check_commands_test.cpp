// SPDX-License-Identifier: Apache-2.0
// Commands that ask no agent: the catalog (match, list, check) and the configuration (check, show).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <string>

#include "agent/cli/commands.h"
#include "tests/unit/cli/command_line.h"

namespace keytrail::cli {
namespace {

using namespace serve::testing;
using ::testing::HasSubstr;
namespace json = boost::json;

TEST_F(CommandsTest, CatalogMatchUsesTheAgentsMatcher) {
  options_.words = {"/root/.aws/credentials"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("file"));
  options_.words = {"s3.eu-west-1.amazonaws.com"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("aws / s3 / eu-west-1"));
  options_.words = {"/no/such/thing"};
  EXPECT_EQ(run_catalog_match(options_, world_), kNo);
  options_.words = {};
  EXPECT_EQ(run_catalog_list(options_, world_), kOk);
}

TEST_F(CommandsTest, CatalogMatchShowsTheMarkTheKindsAndTheReaders) {
  options_.output = "json";
  options_.words = {"/root/.aws/credentials"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  const json::object file = json::parse(out()).at("rows").at(0).as_object();
  EXPECT_EQ(file.at("entry"), "aws.shared_credentials");
  EXPECT_EQ(file.at("verified"), "opened");
  EXPECT_EQ(file.at("kinds").at(0), "aws.access_key");
  EXPECT_EQ(file.at("readers").at(0), "rd.aws_cli");
  out_.str("");
  options_.words = {"api.github.com/app/installations/42/access_tokens"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").at(1).at("matches"), "request");
  out_.str("");
  options_.output = "table";
  options_.words = {"AKIASP2TPHJSQH3FJRUX"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("a public key ID of account 171436882533"));
  options_.words = {"/opt/CrowdStrike/falcon"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("reads in bulk, without using"));
}

TEST_F(CommandsTest, CatalogMatchHasItsFactsAsMembers) {
  options_.output = "json";
  options_.words = {"s3.eu-west-1.amazonaws.com"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  const json::object host = json::parse(out()).at("rows").at(0).as_object();
  EXPECT_EQ(host.at("provider"), "aws");
  EXPECT_EQ(host.at("service"), "s3");
  EXPECT_EQ(host.at("region"), "eu-west-1");
  EXPECT_THAT(json::serialize(host.at("kinds")), HasSubstr("\"aws.access_key\""));
}

TEST_F(CommandsTest, CatalogListNamesTheNearestSectionAndSaysWhatCitedMeans) {
  options_.words = {"enpoints"};
  EXPECT_EQ(run_catalog_list(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("did you mean endpoints?"));
  options_.words = {"readers"};
  EXPECT_EQ(run_catalog_list(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("rd.aws_cli"));
  EXPECT_THAT(out(), HasSubstr("cited = the page is the right reference and was not opened"));
}

TEST_F(CommandsTest, CatalogCheckSaysWhatIsWrongWhereAndHowToMendIt) {
  const std::string path = directory_.file("site.yaml");
  std::ofstream(path) << "kinds:\n- {id: acme.token, title: Acme token, clas: access_key, lifetime: long_lived}\n";
  options_.words = {path};
  EXPECT_EQ(run_catalog_check(options_, world_), kNo);
  EXPECT_THAT(err(), HasSubstr("site.yaml:2: unknown key `clas` (did you mean `class`?)"));
  EXPECT_THAT(err(), HasSubstr("is refused as a whole"));
  std::ofstream(path) << "kinds:\n- {id: acme.token, title: Acme token, class: access_key, lifetime: long_lived}\n"
                         "files:\n- {id: acme.file, provider: acme, kinds: [acme.token], format: opaque, paths: "
                         "[/etc/acme/*], verified: opened,"
                         " source: [us]}\n";
  EXPECT_EQ(run_catalog_check(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("site.yaml: correct, 1 kind, 1 file"));
  EXPECT_THAT(out(), HasSubstr("site.yaml:4: `/etc/acme/*` has a wildcard in its last part"));
  out_.str("");
  options_.output = "json";
  EXPECT_EQ(run_catalog_check(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").at(0).at("correct"), true);
  options_.words = {directory_.file("none.yaml")};
  EXPECT_EQ(run_catalog_check(options_, world_), kUsage);
}

TEST_F(CommandsTest, ConfigCheckSaysWhereItIsWrong) {
  const std::string path = directory_.file("c.yaml");
  std::ofstream(path) << "history: {max_bm: 3}\n";
  options_.words = {path};
  EXPECT_EQ(run_config_check(options_, world_), kNo);
  EXPECT_THAT(err(), HasSubstr(":1: history.max_bm: unknown key; did you mean history.max_mb?"));
  std::ofstream(path) << "history: {max_mb: 30}\n";
  EXPECT_EQ(run_config_check(options_, world_), kOk);
  options_.config = path;
  EXPECT_EQ(run_config_show(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("max_mb: 30"));
  options_.config.clear();
  options_.words = {path + ".nosuch"};
  EXPECT_EQ(run_config_check(options_, world_), kUsage);
}

}  // namespace
}  // namespace keytrail::cli
