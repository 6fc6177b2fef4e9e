// SPDX-License-Identifier: Apache-2.0
// A rotation on its whole way: what link really says of it, through the real history, to the judge's findings, the
// question about keys, and a worker that is started again.
#include <stdlib.h>

#include <filesystem>

#include "agent/judge/judge.h"
#include "agent/record/history.h"
#include "tests/unit/link/scene.h"

namespace keytrail::link {
namespace {

const std::string kOld = "AKIAAAAAAAAAAAAAAAA2", kNew = "AKIAAAAAAAAAAAAAAAA3";
const std::string kOther = "/srv/app/.aws/credentials";

class RotationTest : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    open_history();
  }
  void TearDown() override {
    history.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
    Scene::TearDown();
  }
  void open_history() {
    history.reset();
    auto opened =
        record::History::open({.path = directory_ + "/history.db", .reserve_bytes = 0, .boot_id = "one"}, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    history = std::move(*opened);
  }
  /// As the pipeline does it.
  void flush() {
    link->on_tick(clock.now);
    examiner.answer_all();
    auto out = link->take();
    Batch batch{.rows = std::move(out.rows),
                .uses = std::move(out.uses),
                .touches = std::move(out.touches),
                .holdings = std::move(out.holdings),
                .lives = std::move(out.lives),
                .slot_changes = std::move(out.slot_changes)};
    judge->on_batch(batch);
    history->submit(std::move(batch));
    ASSERT_TRUE(history->drain(std::chrono::seconds(10)));
  }
  /// Another worker goes on with the same history and the same processes.
  void restart() {
    const auto held = history->all_holdings();
    ASSERT_TRUE(held);
    open_history();
    const auto earlier = history->earlier();
    ASSERT_TRUE(earlier) << earlier.error().message;
    make();
    link->load(*earlier);
    judge = std::make_unique<judge::Judge>(clock, catalog::Catalog::builtin());
    judge->load(*earlier);
    for (const Holding& holding : *held)
      link->adopt(holding, process(holding.actor.id.tgid));
    flush();
  }
  std::size_t findings() {
    const auto page = history->rows({.finding_type = "old_key_in_use"}, {});
    return page ? page->items.size() : 99;
  }
  KeySummary key(const std::string& id) {
    const auto keys = history->keys({.key = id, .chain = false});
    return keys && keys->size() == 1 ? keys->front() : KeySummary{};
  }

  std::unique_ptr<record::History> history;
  std::unique_ptr<judge::Judge> judge = std::make_unique<judge::Judge>(clock, catalog::Catalog::builtin());

 private:
  std::string directory_ = "/tmp/keytrail-rotation-XXXXXX";
};

TEST_F(RotationTest, the_question_about_a_key_knows_what_replaced_it_and_when) {
  examiner.files[kCredentials] = file_of({aws_fact(kOld)}, 1);
  start(10);
  open(10);
  flush();
  EXPECT_EQ(key(kOld).replaced_by, "");
  examiner.files[kCredentials] = file_of({aws_fact(kNew)}, 2);
  start(11);
  open(11);
  flush();
  EXPECT_EQ(key(kOld).replaced_by, kNew);
  EXPECT_GT(key(kOld).replaced_ns, 0);
  EXPECT_LE(key(kOld).replaced_ns, clock.wall_ns());
  EXPECT_EQ(key(kNew).replaced_by, "");
  restart();
  EXPECT_EQ(key(kOld).replaced_by, kNew);
}

TEST_F(RotationTest, a_key_rotated_in_two_files_is_old_wherever_it_is_used) {
  for (const std::string& path : {kCredentials, kOther})
    examiner.files[path] = file_of({aws_fact(kOld)}, 1);
  start(10);
  open(10);
  start(20, {.exe = "/usr/bin/other"});
  open(20, kOther);
  flush();
  for (const std::string& path : {kCredentials, kOther})
    examiner.files[path] = file_of({aws_fact(kNew)}, 2);
  start(11);
  open(11);
  open(11, kOther);
  flush();
  clock.now += 1000 * kMs;
  call(10);
  flush();
  EXPECT_EQ(findings(), 1U);
  call(20);
  flush();
  EXPECT_EQ(findings(), 2U) << "the other file's reader";
}

TEST_F(RotationTest, a_worker_that_is_started_again_knows_old_keys_and_tells_nothing_twice) {
  examiner.files[kCredentials] = file_of({aws_fact(kOld)}, 1);
  start(10);
  open(10);
  start(20, {.exe = "/usr/bin/other"});
  open(20);
  flush();
  examiner.files[kCredentials] = file_of({aws_fact(kNew)}, 2);
  start(11);
  open(11);
  flush();
  clock.now += 1000 * kMs;
  call(10);
  flush();
  EXPECT_EQ(findings(), 1U);
  restart();
  call(10);
  flush();
  EXPECT_EQ(findings(), 1U) << "told before";
  call(20);
  flush();
  EXPECT_EQ(findings(), 2U) << "the rotation is known";
}

}  // namespace
}  // namespace keytrail::link
