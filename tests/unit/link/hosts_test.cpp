// SPDX-License-Identifier: Apache-2.0
// What the caller's hosts file says of a name that it claims.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kHere = "198.51.100.1", kThere = "198.51.100.99";  // ip(1) is where calls go

class HostsCase : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    start(10, aws_program(aws_env("AKIAENV")));
  }
  void put(const std::vector<std::pair<std::string, std::string>>& lines, std::uint64_t inode = 900) {
    std::vector<KeyFact> facts;
    for (const auto& [name, address] : lines) {
      KeyFact& fact = facts.emplace_back();
      fact.host = name;
      fact.selector = address;
    }
    examiner.files[kHosts] = file_of(std::move(facts), inode);
  }
  /// How the only use was judged, and whether its name is only claimed.
  std::string judged() {
    const Lines lines = told();
    return lines.size() != 1 ? "no use" : lines[0] + (uses[0].destination.claimed ? ", claimed" : "");
  }
};

TEST_F(HostsCase, BearsOutANameAtTheAddressThatItGives) {
  put({{kS3, kThere}, {kS3, kHere}});
  call(10);
  EXPECT_EQ(judged(), "inferred only_key_held: AKIAENV");
}

TEST_F(HostsCase, ContradictsANameThatItGivesOnlyOtherAddresses) {
  put({{kS3, kThere}});
  call(10);
  EXPECT_EQ(judged(), "possible names_contradict: AKIAENV, claimed");
}

TEST_F(HostsCase, ContradictsANameAtAnAddressThatItGivesToOthers) {
  put({{"elsewhere.test", kHere}});
  call(10);
  EXPECT_EQ(judged(), "possible names_contradict: AKIAENV, claimed");
}

TEST_F(HostsCase, SaysNothingOfOtherNamesAndAddresses) {
  put({{"elsewhere.test", kThere}});
  call(10);
  EXPECT_EQ(judged(), "inferred only_key_held: AKIAENV, claimed");
}

TEST_F(HostsCase, AUseWaitsForIt) {
  put({{kS3, kHere}});
  examiner.hold = examiner.hold_hosts = true;
  call(10);
  EXPECT_EQ(judged(), "no use");
  examiner.answer_all();
  EXPECT_EQ(judged(), "inferred only_key_held: AKIAENV");
}

TEST_F(HostsCase, IsReadForHoldersOnlyAndAgainWhenSecondsHavePassed) {
  start(11);
  call(11);
  EXPECT_EQ(examiner.hosts_asked, 0U);
  put({{kS3, kThere}});
  call(10);
  call(10);
  EXPECT_EQ(examiner.hosts_asked, 1U);
  put({{kS3, kHere}}, 901);
  tick(6'000);
  collect();
  uses.clear();
  call(10);
  EXPECT_EQ(examiner.hosts_asked, 2U);
  EXPECT_EQ(judged(), "inferred only_key_held: AKIAENV");
}

TEST_F(HostsCase, ANameAskedForIsNotDoubted) {
  put({{kS3, kThere}});
  dns(10, kS3, ip(1));
  call(10);
  EXPECT_EQ(judged(), "inferred only_key_held: AKIAENV");
  EXPECT_EQ(examiner.hosts_asked, 0U);
}

}  // namespace
}  // namespace keytrail::link
