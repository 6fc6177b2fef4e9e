// SPDX-License-Identifier: Apache-2.0
// Key files at no known place: their content says what they are. What is shaped like a secret and is not recognised
// weakens what is said of its reader.
#include <gmock/gmock.h>

#include "scene.h"

namespace keytrail::link {
namespace {

using ::testing::ElementsAre;

const std::string kAnywhere = "/srv/app/credentials";

class ContentCase : public Scene {
 protected:
  /// A file of this path that shows this format, and holds these keys when it is read as such.
  void put(const std::string& path, const std::string& format, std::vector<KeyFact> keys = {}) {
    FileAnswer answer = file_of(std::move(keys), ++inodes_);
    answer.file.size = 100;
    answer.format = format;
    examiner.files[path] = std::move(answer);
  }
  void open_shaped(std::uint32_t pid, const std::string& path) {
    OpenEvent event;
    event.path = path;
    event.mnt_ns = process(pid)->mnt_ns;
    event.file = examiner.files.at(path).file;
    event.secret_shaped = true;
    send(process(pid)->id, event, process(pid));
  }
  [[nodiscard]] Lines formats_asked() const {
    Lines out;
    for (const ExamineRequest& request : examiner.asked)
      out.push_back(std::get<FileQuestion>(request.question).format);
    return out;
  }

 private:
  std::uint64_t inodes_ = 500;
};

TEST_F(ContentCase, AKeyFileUnderAFreePathIsReadAsWhatItsContentShows) {
  put(kAnywhere, "aws_credentials", {aws_fact("AKIAFREE")});
  start(10);
  open(10, kAnywhere);
  call(10);
  EXPECT_THAT(formats_asked(), ElementsAre("content", "aws_credentials"));
  EXPECT_THAT(acquired(), ElementsAre("file /srv/app/credentials [default] AKIAFREE by 10"));
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("inferred only_key_held: AKIAFREE"));
}

TEST_F(ContentCase, TheSameStateOfAFileIsLookedThroughOnce) {
  put(kAnywhere, "aws_credentials", {aws_fact("AKIAFREE")});
  put("/srv/app/token", "");
  start(10);
  start(11);
  for (const std::uint32_t pid : {10U, 11U}) {
    open(pid, kAnywhere);
    open(pid, "/srv/app/token");
  }
  EXPECT_THAT(formats_asked(), ElementsAre("content", "aws_credentials", "content", "aws_credentials"));
  collect();
  EXPECT_TRUE(holders[10].contains("AKIAFREE") && holders[11].contains("AKIAFREE"));
}

TEST_F(ContentCase, WhatIsNotRecognisedIsNoRowAndWeakensOnlyWhereItIsShapedLikeASecret) {
  put("/srv/app/token", std::string(kSecretShaped));
  put("/srv/app/free", std::string(kSecretShaped));
  start(10, aws_program(aws_env("AKIAENV")));
  open(10, "/srv/app/token");
  start(11, aws_program(aws_env("AKIAENV")));
  open_shaped(11, "/srv/app/free");
  call(10);
  call(11);
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("inferred only_key_held: AKIAENV", "possible unidentified_file: AKIAENV"));
  for (const std::string& line : acquired())
    EXPECT_TRUE(line.starts_with("environment")) << line;
}

TEST_F(ContentCase, AFileWithoutASecretWeakensNothing) {
  put("/run/systemd/resolve/stub-resolv.conf", "");
  start(10, aws_program(aws_env("AKIAENV")));
  open_shaped(10, "/run/systemd/resolve/stub-resolv.conf");
  call(10);
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("inferred only_key_held: AKIAENV"));
}

TEST_F(ContentCase, WhatCouldNotBeReadOrIsOverTheBudgetWeakens) {
  put("/srv/app/free", "");
  examiner.files["/srv/app/free"].unread = "gone";
  start(10, aws_program(aws_env("AKIAENV")));
  open_shaped(10, "/srv/app/free");
  start(11, aws_program(aws_env("AKIAENV")));
  OpenEvent over;
  over.over_budget = true;
  send(process(11)->id, over, process(11));
  call(10);
  call(11);
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("possible unidentified_file: AKIAENV", "possible unidentified_file: AKIAENV"));
}

TEST_F(ContentCase, AKeyThatNothingNamesIsNoRow) {
  KeyFact told = aws_fact("ghp");
  told.key.kind = "github.token";
  KeyFact untold = aws_fact("nameless");
  untold.key.kind = "generic.secret";
  untold.untold = true;
  put("/srv/app/free", "configuration", {told, untold});
  start(10);
  open_shaped(10, "/srv/app/free");
  EXPECT_THAT(acquired(), ElementsAre("file /srv/app/free [default] ghp by 10"));
}

TEST_F(ContentCase, FilesAtNoKnownPlaceLeaveRoomForThoseThatAre) {
  LinkOptions options;
  options.max_examinations = 4;
  make(options);
  examiner.hold = true;
  start(10);
  for (int i = 0; i < 10; ++i) {
    const std::string path = "/srv/app/free" + std::to_string(i);
    put(path, "");
    open_shaped(10, path);
  }
  examiner.files[kCredentials] = file_of({aws_fact("AKIAKNOWN")});
  open(10);
  EXPECT_THAT(formats_asked(), ElementsAre("content", "content", "aws_credentials"));
  examiner.hold = false;
  examiner.answer_all();
  EXPECT_EQ(acquired().size(), 1U);
  EXPECT_EQ(dropped(), 0U);
}

TEST_F(ContentCase, LookingThroughFilesIsNoBulkReading) {
  start(10, aws_program(aws_env("AKIAENV")));
  for (int i = 0; i < 20; ++i) {
    const std::string path = "/srv/app/free" + std::to_string(i);
    put(path, "");
    open_shaped(10, path);
  }
  call(10);
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("inferred only_key_held: AKIAENV"));
}

}  // namespace
}  // namespace keytrail::link
