// SPDX-License-Identifier: Apache-2.0
// Names of containers that change while they run: who is asked about, how often, and who is forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/identify/runtime_state_fixture.h"

namespace keytrail::identify {
namespace {

TEST_F(RuntimeStateTest, AContainerThatIsRenamedHasItsNewNameWithinAMinute) {
  source->on_turn(1);
  source->on_workload(container(kId, "/docker/" + kId));
  examiner.answer({}, {{fact::kCgroup, "/docker/" + kId}, {fact::kRuntime, "docker"}});
  examiner.answer({}, {{fact::kContainerName, "web-1"}});
  (void)posted();
  const std::string own = "container:" + kId + " ";
  for (const char* name : {"web-2", "web-3"}) {
    EXPECT_TRUE(examiner.waiting.empty());
    source->on_turn(now += 60'000 * kMs);
    ASSERT_EQ(examiner.waiting.size(), 1U);
    EXPECT_EQ(examiner.question().format, bundle::kDocker);
    examiner.answer({}, {{fact::kContainerName, name}});
    EXPECT_EQ(posted(), (Posted{{own + fact::kContainerName, std::string(name) + " runtime"}}));
  }
  source->on_turn(now += 60'000 * kMs);
  for (const std::uint64_t wait : {200U, 1000U, 5000U}) {  // a runtime that starts again
    examiner.answer("gone");
    source->on_turn(now += wait * kMs);
  }
  examiner.answer("gone");
  source->on_turn(now += 600'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty()) << "removed";
  EXPECT_TRUE(posted().empty()) << "its last name stays";
  source->on_workload(container(kId, "/docker/" + kId));
  EXPECT_EQ(examiner.waiting.size(), 1U) << "it is asked about as any that is new";
}

TEST_F(RuntimeStateTest, LooksForNewNamesAreSpreadAndLeaveRoom) {
  constexpr int kMany = 600;
  source->on_turn(1);
  for (int i = 0; i < kMany; ++i) {
    const std::string id = "c" + std::to_string(i);
    source->on_workload(container(id, "/docker/" + id));
    examiner.answer({}, {{fact::kCgroup, "/docker/" + id}, {fact::kRuntime, "docker"}});
    examiner.answer({}, {{fact::kContainerName, id}});
  }
  int all = 0;
  for (int second = 0; second < 60; ++second) {
    source->on_turn(now += 1'000 * kMs);
    EXPECT_LE(examiner.waiting.size(), 8U) << "at once";
    int asked = 0;
    for (; !examiner.waiting.empty(); ++asked)
      examiner.answer({}, {{fact::kContainerName, examiner.question().container}});
    EXPECT_LT(asked, kMany / 10) << second;
    all += asked;
    (void)queue.take();
  }
  EXPECT_EQ(all, kMany);
}

TEST_F(RuntimeStateTest, AllOfPodmansNamesAreTwoQuestionsAMinute) {
  source->on_turn(1);
  const auto begin = [&](const std::string& id) {
    source->on_workload(container(id, "/machine.slice/libpod-" + id + ".scope"));
    examiner.answer({}, {{fact::kCgroup, "machine.slice:libpod:" + id}, {fact::kRuntime, "podman"}});
  };
  for (const char* id : {"a", "b", "c"}) {
    begin(id);
    examiner.answer({}, {{fact::kContainerName, std::string("web-") + id}});
  }
  begin("d");
  examiner.answer({});
  examiner.answer({}, {{fact::kContainerName, "web-d"}});
  (void)queue.take();
  source->on_turn(now += 59'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty());
  source->on_turn(now += 1'000 * kMs);
  ASSERT_EQ(examiner.waiting.size(), 1U);
  EXPECT_EQ(examiner.question().format, bundle::kStorageNames);
  examiner.answer({}, {{bundle::kNamed, "a web-a"}, {bundle::kNamed, "b shop"}, {bundle::kNamed, "x"}});
  ASSERT_EQ(examiner.waiting.size(), 1U);
  EXPECT_EQ(examiner.question().format, bundle::kVolatileNames);
  examiner.answer({}, {{bundle::kNamed, "d shop-d"}});
  EXPECT_TRUE(examiner.waiting.empty());
  EXPECT_EQ(posted(), (Posted{{std::string("container:b ") + fact::kContainerName, "shop runtime"},
                              {std::string("container:d ") + fact::kContainerName, "shop-d runtime"}}));
  source->on_turn(now += 60'000 * kMs);
  examiner.answer("timeout");
  for (const char* id : {"b", "c"})
    source->on_workload(container(id, "/machine.slice/libpod-" + std::string(id) + ".scope"));
  EXPECT_TRUE(examiner.waiting.empty()) << "nobody is forgotten because a list was not read, or has it not once";
}

TEST_F(RuntimeStateTest, OfManyThatMayBeRenamedSomeAreLeftAndCounted) {
  for (int i = 0; i < 1'030; ++i) {
    const std::string id = "c" + std::to_string(i);
    source->on_workload(container(id, "/docker/" + id));
    examiner.answer({}, {{fact::kCgroup, "/docker/" + id}, {fact::kRuntime, "docker"}});
    examiner.answer({}, {{fact::kContainerName, id}});
    (void)queue.take();
  }
  EXPECT_EQ(count("runtime_names_not_followed"), 6U);
}

struct PodmansNames : RuntimeStateTest {
  void SetUp() override {
    RuntimeStateTest::SetUp();
    source->on_turn(now);
  }
  void see(const std::string& id) { source->on_workload(container(id, "/machine.slice/libpod-" + id + ".scope")); }
  /// It runs, and is followed: `id` is its name.
  void begin(const std::string& id) {
    see(id);
    auto bundle = take_question(bundle::kOci);
    bundle({.facts = {fact_of(fact::kCgroup, "machine.slice:libpod:" + id), fact_of(fact::kRuntime, "podman")}});
    take_question(bundle::kStorage)({.facts = {fact_of(fact::kContainerName, id)}});
    (void)queue.take();
  }
  /// The question of that format that waits the longest.
  std::function<void(BundleAnswer)> take_question(std::string_view format) {
    const auto it = std::ranges::find_if(examiner.waiting, [&](const auto& one) {
      return std::get<BundleQuestion>(one.first.question).format == format;
    });
    if (it == examiner.waiting.end()) {
      ADD_FAILURE() << "not asked: " << format;
      return [](const BundleAnswer&) {};
    }
    auto done = std::move(it->second);
    examiner.waiting.erase(it);
    return [done = std::move(done)](BundleAnswer answer) { done(std::move(answer)); };
  }
  static BundleFact fact_of(std::string_view name, std::string value) {
    return {static_cast<std::uint8_t>(std::ranges::find(kBundleFacts, name) - kBundleFacts.begin()), std::move(value)};
  }
  using Named = std::vector<std::pair<std::string, std::string>>;
  /// A minute later the lists are read: the first is answered so, the second has nobody.
  void round(const std::string& unread, const Named& all, const std::string& other = {}) {
    source->on_turn(now += 60'000 * kMs);
    examiner.answer(unread, all);
    examiner.answer(other);
  }
  bool is_followed(const std::string& id) {
    see(id);
    if (examiner.waiting.empty()) return true;
    examiner.waiting.pop_back();
    return false;
  }
};

TEST_F(PodmansNames, WhoCameWhileTheListsWereReadIsFollowed) {
  begin("a");
  source->on_turn(now += 60'000 * kMs);
  const auto first = take_question(bundle::kStorageNames);
  first({.facts = {fact_of(bundle::kNamed, "a a")}});
  begin("b");  // the list that was read did not have it yet
  take_question(bundle::kVolatileNames)({});
  EXPECT_TRUE(is_followed("b"));
  round({}, {{bundle::kNamed, "a a"}, {bundle::kNamed, "b shop"}});
  EXPECT_EQ(posted(), (Posted{{std::string("container:b ") + fact::kContainerName, "shop runtime"}}));
}

TEST_F(PodmansNames, WhoTheListsHaveNotIsAskedAboutAndForgottenWhenItIsGone) {
  begin("a");
  begin("b");
  const Named only_a{{bundle::kNamed, "a a"}};
  round({}, only_a);
  source->on_turn(now += 1'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty()) << "once is not enough";
  round({}, only_a);
  source->on_turn(now += 1'000 * kMs);
  ASSERT_EQ(examiner.waiting.size(), 1U);
  EXPECT_EQ(examiner.question().container, "b");
  take_question(bundle::kStorage)({});
  EXPECT_EQ(count("runtime_containers_removed"), 0U);
  take_question(bundle::kVolatile)({});
  EXPECT_EQ(count("runtime_containers_removed"), 1U);
  EXPECT_TRUE(is_followed("a"));
  EXPECT_FALSE(is_followed("b")) << "asked about as any that is new";
}

TEST_F(PodmansNames, WhoTheExaminerLeavesOutOfTheListIsFollowedOn) {
  begin("a");
  begin("b");
  for (int i = 0; i < 2; ++i)
    round({}, {{bundle::kNamed, "a a"}});
  source->on_turn(now += 1'000 * kMs);
  take_question(bundle::kStorage)({.facts = {fact_of(fact::kImageName, "shop:1")}, .skipped = 1});  // a name like a key
  (void)queue.take();
  EXPECT_EQ(count("runtime_containers_removed"), 0U);
  round({}, {{bundle::kNamed, "a a"}, {bundle::kNamed, "b shop"}});
  EXPECT_EQ(posted(), (Posted{{std::string("container:b ") + fact::kContainerName, "shop runtime"}}));
}

TEST_F(PodmansNames, ListsThatAreBothGoneSayNothing) {
  begin("a");
  for (int i = 0; i < 3; ++i)
    round("gone", {}, "gone");
  source->on_turn(now += 1'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty());
  EXPECT_TRUE(is_followed("a"));
}

TEST_F(PodmansNames, AListThatIsTooLargeIsCounted) {
  begin("a");
  source->on_turn(now += 60'000 * kMs);
  examiner.answer("too large");
  EXPECT_TRUE(examiner.waiting.empty());
  EXPECT_EQ(count("runtime_lists_too_large"), 1U);
  BundleAnswer cut{.skipped = 1};
  for (std::size_t i = 0; i < kMaxNodeUsers; ++i)
    cut.facts.push_back(fact_of(bundle::kNamed, "c" + std::to_string(i) + " x"));
  source->on_turn(now += 60'000 * kMs);
  take_question(bundle::kStorageNames)(std::move(cut));
  EXPECT_EQ(count("runtime_lists_too_large"), 2U);
}

}  // namespace
}  // namespace keytrail::identify
