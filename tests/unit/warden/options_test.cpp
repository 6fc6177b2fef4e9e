// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/options.h"

#include <gtest/gtest.h>

#include "agent/warden/configured.h"
#include "agent/warden/privilege.h"

namespace keytrail::warden {
namespace {

Result<Options> read(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "keytrail-warden");
  std::vector<char*> argv;
  for (std::string& text : arguments)
    argv.push_back(text.data());
  argv.push_back(nullptr);
  return read_options(static_cast<int>(arguments.size()), argv.data());
}

TEST(Options, HaveDefaults) {
  const auto options = read({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->state_dir, "/var/lib/keytrail");
  EXPECT_EQ(options->run_dir, "/run/keytrail");
  EXPECT_TRUE(options->worker.ends_with("/keytrail"));
  EXPECT_TRUE(options->examiner.ends_with("/keytrail-examiner"));
}

TEST(Options, CollectFeatures) {
  const auto options = read({"--no-feature=fentry", "--no-feature", "kprobe_multi", "--run-dir=/tmp/x//"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->disabled_features, (std::vector<std::string>{"fentry", "kprobe_multi"}));
  EXPECT_EQ(options->run_dir, "/tmp/x");
}

TEST(Options, AGroupIsANameOrANumber) {
  EXPECT_EQ(read({"--api-group", "4711"})->api_group, "4711");
  EXPECT_EQ(find_group("root").value_or(1), 0U);
  EXPECT_EQ(find_group("4711").value_or(0), 4711U);
  for (const char* wrong : {"no such group", "", "-1", "4294967295", "12x"}) {
    const auto group = find_group(wrong);
    ASSERT_FALSE(group) << wrong;
    EXPECT_NE(group.error().message.find("give its number"), std::string::npos);
  }
}

TEST(Options, NameFoldersOfRuntimes) {
  const auto options = read({"--containerd-state=/run/a", "--containerd-state", "/run/b", "--docker-root=/srv/docker",
                             "--storage-root=/srv/containers"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->runtimes.containerd_states, (std::vector<std::string>{"/run/a", "/run/b"}));
  EXPECT_EQ(options->runtimes.docker_roots, (std::vector<std::string>{"/srv/docker"}));
  EXPECT_EQ(options->runtimes.storage_roots, (std::vector<std::string>{"/srv/containers"}));
  for (const char* wrong : {"--containerd-state=run/a", "--docker-root=docker", "--storage-root="})
    EXPECT_FALSE(read({wrong})) << wrong;
}

TEST(Options, RefuseWhatTheyDoNotKnow) {
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--unknown"}, {"--user"}, {"word"}, {"--run-dir=relative"}, {"--state-dir=/"}}) {
    EXPECT_FALSE(read(wrong)) << wrong[0];
  }
}

TEST(Configured, NamesAreLinesAndBounded) {
  EXPECT_EQ(read_names("fentry\n\nkprobe"), (std::vector<std::string>{"fentry", "kprobe"}));
  EXPECT_TRUE(read_names("").empty());
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += std::string(100, 'x') + "\n";
  ASSERT_EQ(read_names(many).size(), 64U);
  EXPECT_EQ(read_names(many)[0], std::string(64, 'x'));
}

}  // namespace
}  // namespace keytrail::warden
