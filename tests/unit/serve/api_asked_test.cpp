// SPDX-License-Identifier: Apache-2.0
// What a question may say: words, key IDs and secrets as they are typed, what is refused, what the log has of it.
#include "agent/serve/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "tests/unit/serve/api_fixture.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ApiTest, ASecretIsRefusedWhereverItStands) {
  const std::string secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
  for (const char* name : {"workload", "host", "kind", "finding_type", "after", "nonsense"}) {
    const ApiAnswer answer = api_.handle("GET", std::string("/v1/workloads?") + name + "=" + secret);
    EXPECT_EQ(answer.status, 400U) << name;
    EXPECT_THAT(answer.body, Not(HasSubstr(secret)));
    EXPECT_THAT(answer.for_log, Not(HasSubstr(secret)));
  }
}

TEST_F(ApiTest, WordsAndIdsAreTakenInAnyLetters) {
  EXPECT_EQ(get("/v1/uses?service=S3&provider=AWS").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?evidence=Inferred").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?key=%20akiaiosfodnn7example").at("rows").as_array().size(), 1U);
}

TEST_F(ApiTest, AWordThatNothingKnowsIsRefusedWithTheNearest) {
  for (const auto& [target, meant] : {std::pair{"/v1/uses?provider=awz", "aws"},
                                      {"/v1/uses?service=s33", "s3"},
                                      {"/v1/keys?kind=aws.acess_key", "aws.access_key"},
                                      {"/v1/watch?service=s33", "s3"}}) {
    EXPECT_THAT(refused(target, 400), HasSubstr("did you mean"));
    EXPECT_THAT(refused(target, 400), HasSubstr(meant)) << target;
  }
  const std::string_view types[] = {"old_key_in_use"};
  Api api(history_, status_, catalog::Catalog::builtin(), 1000, types);
  EXPECT_THAT(api.handle("GET", "/v1/findings?finding_type=old_key").body, HasSubstr("did you mean old_key_in_use?"));
  EXPECT_EQ(api.handle("GET", "/v1/findings?finding_type=OLD_key_in_use").status, 200U);
}

TEST_F(ApiTest, AWordThatWasSeenIsKnownWhateverTheCatalogSays) {
  history_.edge_list[0].use.destination.service = "brand-new";
  EXPECT_EQ(get("/v1/uses?service=brand-new").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?service=brand-new&workload=nobody").at("rows").as_array().size(), 0U);
}

TEST_F(ApiTest, AWorkloadIsAskedForInEachOfItsForms) {
  for (const char* asked : {"payments/api", "pod/payments/api", "pod/API", "pod:u", "ci/acme/shop", "payments/*"}) {
    for (const char* path : {"/v1/rows", "/v1/uses", "/v1/findings"})
      get(std::string(path) + "?workload=" + asked);
    EXPECT_EQ(get(std::string("/v1/uses?workload=") + asked).at("rows").as_array().size(), 1U) << asked;
    EXPECT_TRUE(get(std::string("/v1/uses?workload=") + asked).at("workload_known").as_bool()) << asked;
  }
  EXPECT_THAT(refused("/v1/uses?workload=pod/", 400), HasSubstr("pod/NAMESPACE/NAME"));
  EXPECT_FALSE(get("/v1/uses").contains("workload_known")) << "none was asked for";
}

TEST_F(ApiTest, AWorkloadThatWasNeverSeenIsAnsweredSoOrTakenForASlip) {
  history_.workload_list = {{.workload = make_actor().workload}};
  EXPECT_THAT(refused("/v1/uses?workload=payments/apo", 400), HasSubstr("did you mean payments/api?"));
  EXPECT_THAT(refused("/v1/watch?workload=pod/payments/apo", 400), HasSubstr("did you mean pod/payments/api?"));
  for (const char* path : {"uses", "keys", "holders", "workloads", "findings", "rows"}) {
    const json::object answer = get(std::string("/v1/") + path + "?workload=team/some-other-people");
    EXPECT_FALSE(answer.at("workload_known").as_bool()) << path;
    EXPECT_FALSE(answer.at("complete").as_bool()) << path;
    EXPECT_THAT(json::serialize(answer.at("coverage").at("why")), HasSubstr("unknown_workload")) << path;
  }
  EXPECT_FALSE(get("/v1/uses?workload=payments/ap*zzz*").at("workload_known").as_bool()) << "what is open is no slip";
  EXPECT_TRUE(get("/v1/workloads?workload=payments/api").at("workload_known").as_bool());
}

TEST_F(ApiTest, AnEmptyAnswerLooksOnceWhetherTheWorkloadIsKnown) {
  history_.workload_list.emplace_back().workload = make_acquisition().actor.workload;
  const std::string name = history_.workload_list[0].workload.name;
  history_.edge_list.clear();
  history_.workloads_asked = 0;
  EXPECT_TRUE(get("/v1/uses?workload=" + name).at("workload_known").as_bool());
  EXPECT_EQ(history_.workloads_asked, 1);
}

TEST_F(ApiTest, KeysOfOneLifetimeHaveThoseBesideThemOfWhichItIsNotKnown) {
  Key unknown = make_key("fp:0d4417be9f2177aa04b6c1d2e3f40516");
  unknown.lifetime = Lifetime::kUnknown;
  history_.key_list = {{.key = make_key()}, {.key = unknown}};
  const json::object answer = get("/v1/keys?lifetime=Long-Lived");
  EXPECT_EQ(answer.at("rows").as_array().size(), 1U);
  ASSERT_EQ(answer.at("undecided").as_array().size(), 1U);
  EXPECT_EQ(answer.at("undecided").at(0).at("key").at("id").as_string(), unknown.id);
  EXPECT_FALSE(answer.at("complete").as_bool());
  EXPECT_FALSE(get("/v1/keys").contains("undecided"));
  EXPECT_THAT(refused("/v1/keys?lifetime=long_live", 400), HasSubstr("did you mean long_lived?"));
}

TEST_F(ApiTest, TheBeginningOfAKeyIdSuggestsAndAWrongShapeIsSaid) {
  history_.key_list = {{.key = make_key()}, {.key = make_key("AKIAIOSFAAAAAEXAMPLE")}};
  EXPECT_THAT(refused("/v1/uses?key=AKIAIOSFO", 400), HasSubstr("did you mean AKIAIOSFODNN7EXAMPLE?"));
  EXPECT_THAT(refused("/v1/holders?key=akiaiosf", 400),
              HasSubstr("did you mean AKIAIOSFODNN7EXAMPLE, AKIAIOSFAAAAAEXAMPLE?"));
  EXPECT_THAT(refused("/v1/keys?key=AKIAQQQQ", 400), HasSubstr("has 20 characters, and this has 8"));
  EXPECT_THAT(refused("/v1/keys?key=fp:12", 400), HasSubstr("32 hexadecimal digits"));
  EXPECT_TRUE(get("/v1/keys?key=AKIAQQQQQQQQQEXAMPLE").at("rows").as_array().empty()) << "whole, and never seen";
  const auto held_by_nobody = get("/v1/holders?key=AKIAIOSFAAAAAEXAMPLE");
  EXPECT_TRUE(held_by_nobody.at("rows").as_array().empty());
  EXPECT_TRUE(held_by_nobody.at("key_known").as_bool());
  for (const char* list : {"/v1/holders", "/v1/places", "/v1/readers"})
    EXPECT_FALSE(get(std::string(list) + "?key=AKIAQQQQQQQQQEXAMPLE").at("key_known").as_bool()) << list;
  EXPECT_FALSE(get("/v1/holders").contains("key_known")) << "no key was asked for";
}

TEST_F(ApiTest, ASecretAsKeyIsRefusedAndNeverRepeated) {
  for (const char* secret :
       {"wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN%20PRIVATE%20KEY-----abc", "ghp_0123456789abcdefghijABCDEFGHIJ012345"}) {
    const ApiAnswer answer = api_.handle("GET", std::string("/v1/uses?key=") + secret);
    EXPECT_EQ(answer.status, 400U) << secret;
    EXPECT_THAT(answer.body, HasSubstr("that is a secret, not a key ID"));
    EXPECT_THAT(answer.body, Not(HasSubstr(std::string(secret).substr(0, 6))));
    EXPECT_EQ(answer.for_log, "/v1/uses?key=(unknown)");
    EXPECT_THAT(answer.body, HasSubstr("\"code\":\"secret\""));
  }
  EXPECT_EQ(api_.handle("GET", "/v1/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl").for_log, "(unknown path)");
}

TEST_F(ApiTest, TheLogHasOfWhatWasTypedOnlyTheKeysOfThisNode) {
  history_.key_list = {{.key = make_key()}};
  EXPECT_EQ(api_.handle("GET", "/v1/uses?key=akiaiosfodnn7example&since=2025-11-21T12:00:00Z&workload=x").for_log,
            "/v1/uses?key=AKIAIOSFODNN7EXAMPLE&since&workload");
  EXPECT_EQ(api_.handle("GET", "/v1/watch?key=AKIAIOSFODNN7EXAMPLE").for_log, "/v1/watch?key=AKIAIOSFODNN7EXAMPLE");
  EXPECT_EQ(api_.handle("GET", "/v1/explain/12").for_log, "/v1/explain");
  EXPECT_EQ(api_.handle("GET", "/v1/uses?key=hunter2").for_log, "/v1/uses?key=(unknown)");
  history_.append(make_row(3, GapRow{}));  // which is everybody's
  for (const char* typed :
       {"/v1/rows?key=hunter2", "/v1/holders?key=hunter2", "/v1/holders?key=hunter2&since=2025-11-21T12:00:00Z",
        "/v1/watch?key=hunter2", "/v1/rotation?old=hunter2&new=AKIAIOSFODNN7EXAMPLE", "/v1/uses?provider=hunter2",
        "/v1/keys?key=hunter2&workload=hunter2", "/v1/uses?pid=hunter2", "/v1/workloads?key=hunter2",
        "/v1/status?key=hunter2", "/hunter2", "/v1/hunter2?hunter2=hunter2", "/v1/explain/hunter2",
        "/v1/uses?hunter2%zz"}) {
    EXPECT_THAT(api_.handle("GET", typed).for_log, Not(HasSubstr("hunter2"))) << typed;
  }
}

TEST_F(ApiTest, BesideAKeyOfThisNodeTheLogHasNoWordThatWasTyped) {
  history_.key_list = {{.key = make_key()}};
  const std::string uses = "/v1/uses?key=AKIAIOSFODNN7EXAMPLE";
  EXPECT_EQ(api_.handle("GET", uses + "&workload=hunter2").for_log, uses + "&workload");
  const ApiAnswer refused = api_.handle("GET", uses + "&provider=hunter2");
  EXPECT_EQ(refused.status, 400U);
  EXPECT_THAT(refused.for_log, HasSubstr("&provider"));
  for (const char* name : {"workload", "host", "provider", "service", "kind", "finding_type", "evidence", "pid",
                           "limit", "after", "since", "until", "kinds", "old", "new", "hunter2"}) {
    for (const char* path : {"/v1/uses", "/v1/rows", "/v1/keys", "/v1/holders", "/v1/findings", "/v1/watch"}) {
      const std::string target = std::string(path) + "?key=AKIAIOSFODNN7EXAMPLE&" + name + "=hunter2";
      EXPECT_THAT(api_.handle("GET", target).for_log, Not(HasSubstr("hunter2"))) << target;
    }
  }
  const std::string known = "AKIAIOSFODNN7EXAMPLE";
  const std::string moved = api_.handle("GET", "/v1/rotation?old=" + known + "&new=hunter2").for_log;
  EXPECT_THAT(moved, AllOf(HasSubstr("old=" + known), HasSubstr("new=(unknown)")));
  const std::string back = api_.handle("GET", "/v1/rotation?old=hunter2&new=" + known).for_log;
  EXPECT_THAT(back, AllOf(HasSubstr("old=(unknown)"), HasSubstr("new=" + known)));
}

TEST_F(ApiTest, AnEmptyPeriodIsNoQuestion) {
  for (const char* path : {"uses", "keys", "rows", "watch"}) {
    const std::string target = std::string("/v1/") + path + "?until=2025-11-21T12:00:00Z&since=2025-11-21T12:00:00Z";
    EXPECT_EQ(get(target, 400).at("error").at("code").as_string(), "from_after_to") << path;
  }
}

TEST_F(ApiTest, KeyIdsOfEveryFormAreTaken) {
  for (const char* id :
       {"AKIAIOSFODNN7EXAMPLE", "fp:0d4417be9f2177aa04b6c1d2e3f40516", "2f1d0e3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
        "login%40host%20%231", "aws.session%40role/deployer", "0d4417be-9f21-77aa-04b6-c1d2e3f40516"}) {
    get(std::string("/v1/uses?key=") + id);
  }
}

TEST_F(ApiTest, WrongParametersSayWhatIsWantedWithoutTheValue) {
  EXPECT_THAT(refused("/v1/rows?limit=0", 400), HasSubstr("from 1 to 10000"));
  EXPECT_THAT(refused("/v1/rows?limit=99999", 400), HasSubstr("from 1 to 10000"));
  EXPECT_THAT(refused("/v1/rows?pid=x", 400), HasSubstr("pid: must be"));
  EXPECT_THAT(refused("/v1/rows?since=canary", 400), Not(HasSubstr("canary")));
  EXPECT_THAT(refused("/v1/rows?since=2025-11-21T12:00:00Z&until=2025-11-21T11:00:00Z", 400),
              HasSubstr("before until"));
  EXPECT_THAT(refused("/v1/rows?evidence=sure", 400), HasSubstr("confirmed, inferred"));
  EXPECT_THAT(refused("/v1/rows?kinds=use,", 400), HasSubstr("kinds:"));
  EXPECT_THAT(refused("/v1/rows?nope=1", 400), HasSubstr("unknown parameter; known: key"));
  EXPECT_THAT(refused("/v1/rows?pid=1&pid=2", 400), HasSubstr("twice"));
  EXPECT_THAT(refused("/v1/rows?workload=" + std::string(600, '*'), 400), HasSubstr("512"));
  EXPECT_THAT(refused("/v1/explain/seven", 400), HasSubstr("sequence number"));
  EXPECT_THAT(refused("/v1/explain/99", 404), HasSubstr("no row 99"));
}

TEST_F(ApiTest, UnknownPathsMethodsAndBytes) {
  EXPECT_THAT(refused("/v2/uses", 404), HasSubstr("/v1/uses"));
  EXPECT_THAT(refused("/", 404), HasSubstr("/v1/uses"));
  EXPECT_EQ(api_.handle("POST", "/v1/uses").status, 405U);
  EXPECT_EQ(api_.handle("GET", "http://elsewhere/v1/uses").status, 400U);
  EXPECT_EQ(api_.handle("GET", "/v1/uses?key=%zz").status, 400U);
  EXPECT_EQ(api_.handle("GET", "/" + std::string(5000, 'a')).status, 400U);
  EXPECT_EQ(api_.handle("GET", "/v1/uses?workload=%00'%3B%20DROP%20TABLE%20rows--").status, 200U);
}

}  // namespace
}  // namespace keytrail::serve
