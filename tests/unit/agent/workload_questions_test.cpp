// SPDX-License-Identifier: Apache-2.0
// From the real history through the API to the command line: workloads asked by what is known of them today, what their
// names rest on, and whether they held a long-lived key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <sstream>

#include "agent/cli/commands.h"
#include "agent/serve/api.h"
#include "agent/serve/coverage.h"
#include "tests/unit/record/fixture.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::record {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kDay = 86'400 * kSecond;
constexpr char kPod[] = "pod:11111111-2222-3333-4444-555555555555";

class WorkloadQuestions : public HistoryTest {
 protected:
  void SetUp() override {
    HistoryTest::SetUp();
    options.retention_ns = 90 * kDay;
    now_ = serve::now_ns();
    clock.now = now_ - 40 * kDay;
    start();
    // Watched without a hole for 40 days.
    Batch batch;
    batch.watched = Watched{.from_boot_ns = 1,
                            .to_boot_ns = static_cast<std::uint64_t>(40 * kDay),
                            .from_ns = now_ - 40 * kDay,
                            .to_ns = now_,
                            .families = UINT32_MAX};
    record(std::move(batch));
    api_ = std::make_unique<serve::Api>(*history, status_, catalog::Catalog::builtin());
  }

  [[nodiscard]] Actor in_pod(char container, std::uint32_t pid = 1) const {
    Actor actor = make_actor(pid);
    const std::string id(64, container);
    actor.workload = {.id = std::string(kPod) + "/" + id,
                      .kind = WorkloadKind::kPod,
                      .name = "pod: of no name/" + id.substr(0, 12),
                      .facts = {{fact::kContainerId, id, KnownBy::kKernel, now_},
                                {fact::kPodUid, "11111111-2222-3333-4444-555555555555", KnownBy::kKernel, now_}}};
    return actor;
  }
  static Key key_of(const char* id, Lifetime lifetime, KeyClass of = KeyClass::kAccessKey) {
    Key key = make_key(id);
    key.lifetime = lifetime;
    key.key_class = of;
    return key;
  }
  void take(const Actor& actor, const Key& key, std::int64_t at_ns) {
    clock.now = at_ns;
    Batch batch;
    batch.rows = {make_acquisition(actor, key, at_ns)};
    batch.holdings = {make_holding(actor, key, at_ns)};
    record(std::move(batch));
  }
  void end(const Actor& actor, std::int64_t at_ns) {
    clock.now = at_ns;
    Batch batch;
    batch.holdings = {{HoldingChange::Kind::kEnd, {actor, {}, {}, 0, 0, How::kDirect, false}}};
    record(std::move(batch));
  }
  void learn_names() {
    clock.now = now_;
    Batch batch;
    batch.workloads = {{kPod,
                        {{fact::kNamespace, "payments", KnownBy::kToken, now_},
                         {fact::kPodName, "api-6d4f-x7", KnownBy::kToken, now_},
                         {fact::kPodName, "forged", KnownBy::kClaimed, now_},
                         {fact::kDeployment, "api", KnownBy::kCluster, now_}}}};
    record(std::move(batch));
  }

  int run(int (*command)(const cli::Options&, cli::World&), cli::Options asked) {
    out_.str("");
    err_.str("");
    cli::World world = cli::real_world(out_, err_);
    world.now_ns = [this] { return now_; };
    world.width = 0;
    world.get = [this](const std::string&, const std::string& target) -> Result<cli::Answer> {
      const serve::ApiAnswer answer = api_->handle("GET", target);
      return cli::Answer{answer.status, answer.body};
    };
    return command(asked, world);
  }
  int long_lived(const char* workload, const char* since = "30d", std::uint64_t limit = 100) {
    cli::Options asked;
    asked.since = since;
    asked.limit = limit;
    asked.filter = {{"workload", workload}, {"lifetime", "long-lived"}};
    return run(cli::run_keys, asked);
  }
  std::string out() { return out_.str(); }
  std::string err() { return err_.str(); }

  std::int64_t now_ = 0;
  serve::testing::FakeStatus status_;
  std::unique_ptr<serve::Api> api_;
  std::ostringstream out_, err_;
};

TEST_F(WorkloadQuestions, EveryFormFindsWhatWasBeforeTheNameWasKnown) {
  take(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 5 * kDay);
  record_use(make_use(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 5 * kDay));
  learn_names();
  for (const char* asked : {"payments/api", "pod/payments/api-6d4f-x7", "deploy/api", kPod, "payments/*"}) {
    cli::Options options;
    options.filter = {{"workload", asked}};
    EXPECT_EQ(run(cli::run_uses, options), cli::kOk) << asked << err();
    EXPECT_THAT(out(), HasSubstr("AKIA1")) << asked;
    EXPECT_EQ(run(cli::run_keys, options), cli::kOk) << asked;
    EXPECT_THAT(out(), HasSubstr("AKIA1")) << asked;
    EXPECT_EQ(run(cli::run_workloads, options), cli::kOk) << asked;
    EXPECT_THAT(out(), HasSubstr("payments/deploy/api")) << asked;
  }
}

TEST_F(WorkloadQuestions, WhatIsAskedForByALifetimeNamesWhatMayBelongToIt) {
  const Key known = key_of("AKIA1", Lifetime::kLongLived), unknown = key_of("fp:1", Lifetime::kUnknown);
  for (const Key& key : {known, unknown}) {
    take(in_pod('a'), key, now_ - 5 * kDay);
    record_use(make_use(in_pod('a'), key, now_ - 5 * kDay));
  }
  cli::Options asked;
  asked.filter = {{"lifetime", "long-lived"}};
  EXPECT_EQ(run(cli::run_uses, asked), cli::kOk) << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("AKIA1"), Not(HasSubstr("fp:1")), HasSubstr("INCOMPLETE")));
  EXPECT_THAT(out(), HasSubstr("! 1 more may be of long-lived keys: how long theirs last is not known; "
                               "--lifetime unknown lists them."));
  for (const char* path : {"/v1/uses", "/v1/holders", "/v1/rows"}) {
    const std::string body = api_->handle("GET", std::string(path) + "?lifetime=long_lived").body;
    EXPECT_THAT(body, HasSubstr("\"undecided\":[{")) << path;
    EXPECT_THAT(api_->handle("GET", std::string(path) + "?lifetime=unknown").body, Not(HasSubstr("undecided")));
  }
  EXPECT_THAT(api_->handle("GET", "/v1/uses?lifetime=short_lived").body, HasSubstr("\"undecided\":[{"));
}

TEST_F(WorkloadQuestions, PagesOfALifetimeHaveAllThatMayBelongToIt) {
  for (const char* id : {"fp:1", "fp:2", "fp:3", "AKIA1"}) {
    const Key key = key_of(id, std::string_view(id).starts_with("fp:") ? Lifetime::kUnknown : Lifetime::kLongLived);
    record_use(make_use(in_pod('a'), key, now_ - 5 * kDay));
  }
  std::size_t rows = 0, undecided = 0;
  std::string after;
  do {
    const auto answer = boost::json::parse(api_->handle("GET", "/v1/uses?lifetime=long_lived&limit=1" + after).body);
    rows += answer.at("rows").as_array().size();
    const std::size_t here = answer.at("undecided").as_array().size();
    EXPECT_FALSE(here != 0 && answer.at("complete").as_bool());
    undecided += here;
    const auto& cursor = answer.at("cursor");
    after = cursor.is_null() ? "" : "&after=" + std::string(cursor.as_string());
  } while (!after.empty() && rows + undecided <= 4);
  EXPECT_EQ(rows, 1U);
  EXPECT_EQ(undecided, 3U);
  api_ = std::make_unique<serve::Api>(*history, status_, catalog::Catalog::builtin(), 1);  // the most of one page
  cli::Options asked;
  asked.filter = {{"lifetime", "long-lived"}};
  asked.output = "json";
  (void)run(cli::run_uses, asked);
  const auto whole = boost::json::parse(out());
  EXPECT_EQ(whole.at("rows").as_array().size(), 1U);
  EXPECT_EQ(whole.at("undecided").as_array().size(), 3U);
  EXPECT_FALSE(whole.at("complete").as_bool()) << "the last page alone is";
}

TEST_F(WorkloadQuestions, OneThatNobodyKnowsIsASlipOrWasNeverSeen) {
  take(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 5 * kDay);
  learn_names();
  const auto ask = [&](const char* text, auto command) {
    cli::Options options;
    options.filter = {{"workload", text}};
    return run(command, options);
  };
  for (auto* command : {cli::run_uses, cli::run_keys, cli::run_workloads, cli::run_findings}) {
    EXPECT_EQ(ask("deploy/payments/apo", command), cli::kUsage);
    EXPECT_THAT(err(), HasSubstr("--workload: none of that name was seen; did you mean deploy/payments/api?"));
    EXPECT_EQ(ask("team/nobody", command), cli::kCannotTell);
    EXPECT_THAT(out(), HasSubstr("Never seen on node-1: no workload of this name"));
    EXPECT_EQ(ask("pod/", command), cli::kUsage);
    EXPECT_THAT(err(), HasSubstr("--workload: a name is missing: pod/NAME or pod/NAMESPACE/NAME"));
  }
}

TEST_F(WorkloadQuestions, ExplainTellsWhichFactCountsAndWhichContradicts) {
  take(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 5 * kDay);
  take(in_pod('b', 2), key_of("AKIA1", Lifetime::kLongLived), now_ - 4 * kDay);
  learn_names();
  cli::Options asked;
  asked.filter = {{"workload", "payments/api"}};
  asked.explain = true;
  EXPECT_EQ(run(cli::run_workloads, asked), cli::kOk) << err();
  const std::string text = out();
  EXPECT_THAT(text, HasSubstr("payments/deploy/api: pod, name known by token"));
  EXPECT_THAT(text, HasSubstr("named by k8s.deployment.name, k8s.namespace.name"));
  EXPECT_THAT(text, HasSubstr("kernel > runtime > cluster > token > claimed"));
  EXPECT_THAT(text, HasSubstr("NO, CONTRADICTS: token counts before claimed"));
  EXPECT_THAT(text, HasSubstr("! 1 fact contradicts what counts."));
  EXPECT_THAT(text, HasSubstr("1 more is shown so"));
  EXPECT_THAT(text, HasSubstr(std::string(kPod) + "/" + std::string(64, 'a')));
  EXPECT_THAT(text, Not(HasSubstr("SVID")));
  Batch batch;
  batch.workloads = {{kPod, {{fact::kSpiffeId, "spiffe://kt.test/api", KnownBy::kToken, now_}}}};
  record(std::move(batch));
  EXPECT_EQ(run(cli::run_workloads, asked), cli::kOk) << err();
  EXPECT_THAT(out(), HasSubstr("where no other workload had it since the worker began.\n"));
}

TEST_F(WorkloadQuestions, ThatItHeldNoLongLivedKeyIsToldWithItsCoverage) {
  take(in_pod('a'), key_of("token", Lifetime::kShortLived, KeyClass::kIdentityToken), now_ - 35 * kDay);
  take(in_pod('a'), key_of("fp:tls", Lifetime::kLongLived, KeyClass::kEncryptionKey), now_ - 35 * kDay);
  learn_names();
  EXPECT_EQ(long_lived("payments/api"), cli::kOk) << out() << err();
  EXPECT_THAT(out(), AllOf(HasSubstr("No long-lived key with workload payments/api seen"), HasSubstr("complete"),
                           HasSubstr("ENCRYPTION KEYS"), Not(HasSubstr("INCOMPLETE"))));
  EXPECT_EQ(long_lived("payments/api", "39d"), cli::kOk);
  EXPECT_EQ(long_lived("payments/api", "50d"), cli::kCannotTell) << "nobody watched then";
  EXPECT_THAT(out(), HasSubstr("INCOMPLETE"));
  EXPECT_EQ(long_lived("team/nobody"), cli::kCannotTell);
}

TEST_F(WorkloadQuestions, AHoldingThatBeganBeforeThePeriodCounts) {
  take(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 35 * kDay);
  learn_names();
  EXPECT_EQ(long_lived("payments/api"), cli::kNo) << "a process has it still";
  EXPECT_THAT(out(), HasSubstr("AKIA1"));
  end(in_pod('a'), now_ - 20 * kDay);
  EXPECT_EQ(long_lived("payments/api"), cli::kNo) << "until 20 days ago";
  EXPECT_EQ(long_lived("payments/api", "10d"), cli::kOk) << out();
}

TEST_F(WorkloadQuestions, WhatIsCutOffMayBeTheKeyThatIsAskedFor) {
  take(in_pod('a'), key_of("fp:tls", Lifetime::kLongLived, KeyClass::kEncryptionKey), now_ - 5 * kDay);
  take(in_pod('a'), key_of("AKIA1", Lifetime::kLongLived), now_ - 4 * kDay);
  learn_names();
  EXPECT_EQ(long_lived("payments/api"), cli::kNo);
  EXPECT_EQ(long_lived("payments/api", "30d", 1), cli::kCannotTell) << out();
  EXPECT_THAT(out(), HasSubstr("1 more"));
}

TEST_F(WorkloadQuestions, AKeyOfUnknownLifetimeIsNamedApartAndNobodyCanTell) {
  take(in_pod('a'), key_of("fp:what", Lifetime::kUnknown), now_ - 5 * kDay);
  learn_names();
  EXPECT_EQ(long_lived("payments/api"), cli::kCannotTell);
  EXPECT_THAT(out(), AllOf(HasSubstr("No long-lived key for certain"), HasSubstr("1 key may be long-lived"),
                           HasSubstr("LIFETIME UNKNOWN"), HasSubstr("fp:what"), HasSubstr("INCOMPLETE")));
}

TEST_F(WorkloadQuestions, AGapOfItsTimeMakesItIncomplete) {
  take(in_pod('a'), key_of("token", Lifetime::kShortLived, KeyClass::kIdentityToken), now_ - 35 * kDay);
  learn_names();
  Batch batch;
  Row gap;
  gap.time_ns = now_ - 3 * kDay;
  gap.body = GapRow{.cause = "ring_full", .from_ns = now_ - 3 * kDay, .to_ns = now_ - 3 * kDay + kSecond};
  batch.rows = {gap};
  record(std::move(batch));
  EXPECT_EQ(long_lived("payments/api"), cli::kCannotTell);
  EXPECT_THAT(out(), AllOf(HasSubstr("No long-lived key"), HasSubstr("GAP"), HasSubstr("INCOMPLETE")));
}

}  // namespace
}  // namespace keytrail::record
