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
  /// Opens a file of another mount namespace, as through /proc/PID/root.
  void open_in(std::uint32_t mnt_ns, std::uint32_t pid, const std::string& path) {
    OpenEvent event;
    event.path = path;
    event.mnt_ns = process(pid)->mnt_ns;
    event.place_ns = mnt_ns;
    event.file = examiner.files.at(in_mount_ns(mnt_ns, path)).file;
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

TEST_F(ContentCase, TheMachinesFilesAreTheSameThroughAnotherDoor) {
  const std::string place = "/etc/kubernetes/admin.conf";
  for (const std::string& door : {std::string(), std::string("/tmp/host"), std::string("/var/lib/a/rootfs")})
    put(door + place, "kubeconfig", {aws_fact("AKIAFREE")});
  put("/tmp/host/etc/machine-id", "secret-shaped");
  start(10);
  open(10, place);
  open(10, "/tmp/host" + place);
  open(10, "/var/lib/a/rootfs" + place);
  open_shaped(10, "/tmp/host/etc/machine-id");
  EXPECT_THAT(formats_asked(), ElementsAre("kubeconfig", "kubeconfig", "kubeconfig")) << "none by its content";
}

TEST_F(ContentCase, AFileOfAnotherRootIsLookedAtThereAndTheSlotIsTheirsWhoLiveThere) {
  examiner.files[in_mount_ns(1, kCredentials)] = file_of({aws_fact("AKIAOWN")}, 601);
  put(in_mount_ns(7, kCredentials), "", {aws_fact("AKIATHEIRS")});
  start(20);
  unshare(20, 7, "service");
  open(20);
  start(10);
  open(10);
  open_in(7, 10, kCredentials);
  EXPECT_EQ(examiner.asked.back().reach.mnt_ns, 7U);
  EXPECT_THAT(examiner.asked.back().reach.same_mount_ns, ElementsAre(20U));
  EXPECT_THAT(acquired(), ElementsAre("file /root/.aws/credentials [default] AKIATHEIRS by 20",
                                      "file /root/.aws/credentials [default] AKIAOWN by 10",
                                      "file /root/.aws/credentials [default] AKIATHEIRS by 10"));
  EXPECT_FALSE(replaced("AKIAOWN")) << "another root's file is no rotation of its reader's own";
  call(10);
  tick(5'000);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(uses[0].keys.size(), 2U) << "its own key is not superseded either";
  put(in_mount_ns(7, kCredentials), "", {aws_fact("AKIANEXT")});
  open_in(7, 10, kCredentials);
  collect();
  EXPECT_TRUE(replaced("AKIATHEIRS"));
  EXPECT_EQ(slot_changes.back().scope, "unit:service");
  EXPECT_TRUE(holders[20]["AKIATHEIRS"].slot_changed);
}

TEST_F(ContentCase, WhatAFileOfAnotherRootNamesIsNotLookedForInTheReadersOwn) {
  KeyFact included;
  included.path = "/root/.aws/more";
  included.variable = "AWS_SHARED_CREDENTIALS_FILE";
  put(in_mount_ns(7, "/root/.aws/config"), "", {included});
  start(10, aws_program(aws_env("AKIAENV")));
  open_in(7, 10, "/root/.aws/config");
  EXPECT_EQ(examiner.asked.size(), 1U);
  call(10);
  tick(5'000);
  EXPECT_THAT(told(), ElementsAre("possible unidentified_file: AKIAENV"));
}

TEST_F(ContentCase, AFileOfAMountThatNobodyElseCanGoToIsARowAlsoWhenItIsGone) {
  put("/free", "");
  examiner.files["/free"].unread = "gone";
  start(10);
  OpenEvent event;
  event.path = "/free";
  event.mnt_ns = 1;
  event.detached = true;
  event.file = examiner.files.at("/free").file;
  send(process(10)->id, event, process(10));
  EXPECT_THAT(acquired(), ElementsAre("file /free [] unread gone by 10"));
}

TEST_F(ContentCase, WhereAKeyWasFoundIsWatchedOnceAndAKnownPlaceAsTheFileAlone) {
  put("/tmp/.x", "aws_credentials", {aws_fact("AKIAFREE")});
  put("/tmp/.y", std::string(kSecretShaped));
  put(kCredentials, "", {aws_fact("AKIAHOME")});
  start(10);
  start(11);
  for (const std::uint32_t pid : {10U, 11U}) {
    for (const char* path : {"/tmp/.x", "/tmp/.y"})
      open_shaped(pid, path);
    open(pid, kCredentials);
  }
  collect();
  Lines watched;
  for (const FoundPlace& one : found)
    watched.push_back(one.path + " " + std::to_string(one.inode));
  EXPECT_THAT(watched, ElementsAre("/tmp/.x 501", " 503"));
}

TEST_F(ContentCase, PlacesOfAnEarlierRunAreWatchedAgainAndTheBoundSaysSo) {
  make({.max_found = 2});
  Earlier earlier;
  for (const char* place : {"/tmp/.x", "/tmp/.y", "/root/.aws/credentials"})
    earlier.slots.push_back({"", place, "default", 1, "", "AKIAFREE"});
  link->load(earlier);
  collect();
  ASSERT_EQ(found.size(), 2U) << "the catalog's own are watched anyway";
  EXPECT_EQ(found[0].path + found[1].path, "/tmp/.x/tmp/.y");
  EXPECT_EQ(found[0].inode, 0U);
  EXPECT_EQ(link->counters().at("found_over_bound"), 0U);
  put("/tmp/.z", "aws_credentials", {aws_fact("AKIAFREE")});
  start(10);
  open_shaped(10, "/tmp/.z");
  EXPECT_EQ(link->counters().at("found_over_bound"), 1U);
}

TEST_F(ContentCase, PlacesInOneHomePushOutNoneOfAnotherAfterARestart) {
  make({.max_found = 4});
  Earlier earlier;
  earlier.slots.push_back({"", "/home/a/app/creds", "default", 1, "", "AKIAFREE"});
  for (int i = 0; i < 8; ++i)
    earlier.slots.push_back({"", "/home/b/f" + std::to_string(i) + "/creds", "default", 1, "", "AKIAFLOOD"});
  link->load(earlier);
  collect();
  ASSERT_EQ(link->counters().at("found_over_bound"), 5U);
  EXPECT_TRUE(
      std::ranges::none_of(found, [](const FoundPlace& one) { return one.over && one.path == "/home/a/app/creds"; }));
}

TEST_F(ContentCase, OneOwnersFloodOfPlacesPushesOutNoneOfAnothers) {
  make({.max_found = 8});
  put("/tmp/.x", "aws_credentials", {aws_fact("AKIAFREE")});
  start(10);
  unshare(10, 1, "quiet.service");
  open_shaped(10, "/tmp/.x");
  start(11);
  unshare(11, 1, "flood.service");
  for (int i = 0; i < 50; ++i) {
    const std::string path = "/srv/f" + std::to_string(i);
    put(path, "aws_credentials", {aws_fact("AKIAFLOOD" + std::to_string(i))});
    open_shaped(11, path);
  }
  collect();
  std::map<std::string, bool> watched;  // as the kernel side keeps it
  for (const FoundPlace& one : found) {
    if (!one.path.empty()) watched[one.path] = !one.over;
    if (one.inode != 0) watched[std::to_string(one.inode)] = !one.over;
  }
  EXPECT_TRUE(watched["/tmp/.x"] && watched["501"]);
  EXPECT_TRUE(watched["/srv/f49"]) << "the newest of its own";
  EXPECT_EQ(std::ranges::count_if(watched, [](const auto& one) { return one.second; }), 16) << "of each kind 8";
  EXPECT_EQ(link->counters().at("found_over_bound"), 86U);
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

TEST_F(ContentCase, WhatItsShapeMadeACandidateAndNobodyReadIsGivenUpOncePerWorkloadAndReason) {
  put("/srv/app/token", "");
  examiner.files["/srv/app/token"].unread = "gone";
  start(10);
  open(10, "/srv/app/token");  // its name alone
  tick(100);
  collect();
  EXPECT_EQ(link->counters().at("files_unread"), 0U) << "only its reader is weakened";
  for (const char* reason : {"gone", "changed", "refused", "too large", "timeout"}) {
    for (int i = 0; i < 3; ++i) {
      const std::string path = "/srv/app/" + std::string(reason) + std::to_string(i);
      put(path, "");
      examiner.files[path].unread = reason;
      open_shaped(10, path);
    }
  }
  tick(6'000);
  collect();
  std::erase_if(gaps, [](const GapRow& gap) { return gap.cause != kFilesUnread; });
  Lines given_up;
  std::uint64_t files = 0;
  for (const GapRow& gap : gaps) {
    given_up.push_back(gap.cause + " " + gap.scope + " " + gap.detail + (gap.kinds.empty() ? "" : " of some kinds"));
    files += gap.lost.value_or(0);
  }
  std::ranges::sort(given_up);
  given_up.erase(std::ranges::unique(given_up).begin(), given_up.end());
  const std::string of = "files_unread " + process(10)->workload->name + " ";
  EXPECT_THAT(given_up, ElementsAre(of + "changed", of + "gone", of + "refused", of + "timeout", of + "too large"));
  EXPECT_EQ(files, 15U);
  EXPECT_LE(gaps.size(), 10U) << "the first of each at once, the others together";
  EXPECT_EQ(link->counters().at("files_unread"), 15U);
  EXPECT_TRUE(acquired().empty());
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
  options.max_questions = 16;  // of which one process may have 4
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
