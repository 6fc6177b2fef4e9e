// SPDX-License-Identifier: Apache-2.0
// Where the warden looks for what runtimes keep of a container, below a root of the test's own.
#include "agent/warden/runtime_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "keytrail/examiner.h"

namespace keytrail::warden {
namespace {

namespace fs = std::filesystem;
using role::Unread;

const std::string kId(64, 'a');
const std::string kTasks = "/run/containerd/io.containerd.runtime.v2.task";

class RuntimeFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only what root owns is a runtime's";
    std::string pattern = testing::TempDir() + "keytrail-bundle-XXXXXX";  // mkdtemp's
    dir_ = mkdtemp(pattern.data());
    root_.reset(open(dir_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  std::string put(const std::string& path, const std::string& text = "{}") const {
    fs::create_directories(fs::path(dir_ + path).parent_path());
    std::ofstream(dir_ + path) << text;
    return dir_ + path;
  }
  [[nodiscard]] Opening look(const std::string& id = kId, std::string_view format = bundle::kOci) const {
    auto asked = role::make<role::Open>(role::Type::kOpen, 1);
    asked.hints.asks = static_cast<std::uint8_t>(role::Asks::kBundle);
    asked.hints.kinds.assign(id);
    asked.hints.format.assign(format);
    asked.path.assign("/etc/shadow");  // nobody looks at it
    asked.file.inode = 99;
    return open_runtime_file(root_.get(), asked, {});
  }

  std::string dir_;
  base::UniqueFd root_;
};

TEST_F(RuntimeFiles, EachRuntimesPlaceIsLookedAt) {
  EXPECT_EQ(look().unread, Unread::kGone);
  const std::string storage = "/containers/storage/overlay-containers/";
  for (const std::string& path :
       {kTasks + "/k8s.io/" + kId + "/config.json", kTasks + "/any-name/" + kId + "/config.json",
        "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/" + kId + "/config.json",
        "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + kId + "/config.json",
        "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/" + kId + "/config.json",
        "/run" + storage + kId + "/userdata/config.json", "/var/lib" + storage + kId + "/userdata/config.json"}) {
    const std::string file = put(path);
    const Opening found = look();
    EXPECT_EQ(found.unread, Unread::kNone) << path;
    EXPECT_TRUE(found.descriptor) << path;
    EXPECT_EQ(found.place, path);
    EXPECT_EQ(look(kId, bundle::kDocker).unread, Unread::kGone) << "another kind of file";
    fs::remove(file);
  }
  put("/var/lib/docker/containers/" + kId + "/config.v2.json");
  EXPECT_TRUE(look(kId, bundle::kDocker).descriptor);
  put("/var/lib/containers/storage/overlay-containers/containers.json");
  EXPECT_TRUE(look(kId, bundle::kStorage).descriptor);
  EXPECT_FALSE(look(kId, bundle::kVolatile).descriptor);
  EXPECT_EQ(look().unread, Unread::kGone);
}

TEST_F(RuntimeFiles, AFolderMayBeLinkedAndNothingBelowIt) {
  put("/data/docker/containers/" + kId + "/config.v2.json");
  fs::create_directories(dir_ + "/var/lib");
  fs::create_symlink("/data/docker", dir_ + "/var/lib/docker");  // as people move it, below this root
  EXPECT_TRUE(look(kId, bundle::kDocker).descriptor);

  const std::string bundle = dir_ + kTasks + "/k8s.io/" + kId;
  put("/etc/secret");
  fs::create_directories(bundle);
  fs::create_symlink("/etc/secret", bundle + "/config.json");
  EXPECT_FALSE(look().descriptor);
  fs::remove_all(bundle);
  fs::create_symlink("/data/docker/containers/" + kId, bundle);
  put("/data/docker/containers/" + kId + "/config.json");
  EXPECT_FALSE(look().descriptor);
}

TEST_F(RuntimeFiles, OnlyASmallRegularFileOfRootsIsOpened) {
  const std::string file = put(kTasks + "/k8s.io/" + kId + "/config.json", std::string(role::kMaxFileBytes, ' '));
  EXPECT_TRUE(look().descriptor);
  std::ofstream(file, std::ios::app) << "x";
  EXPECT_EQ(look().unread, Unread::kTooLarge);
  EXPECT_FALSE(look().descriptor);
  put(kTasks + "/k8s.io/" + kId + "/config.json");
  ASSERT_EQ(chown(file.c_str(), 1000, 1000), 0);
  EXPECT_EQ(look().unread, Unread::kRefused);
  EXPECT_FALSE(look().descriptor);
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(look().unread, Unread::kRefused);
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_EQ(look().unread, Unread::kRefused);
}

TEST_F(RuntimeFiles, AnIdIsOnePartOfThePath) {
  put("/run/containerd/secret/config.json");
  put(kTasks + "/k8s.io/config.json");
  for (const std::string& id : {std::string("../../../secret"), std::string("."), std::string(".."), std::string(),
                                "k8s.io/" + kId, std::string(129, 'a'), std::string("a\nb")})
    EXPECT_EQ(look(id).unread, Unread::kRefused) << id;
}

TEST_F(RuntimeFiles, FurtherFoldersAreLookedAtToo) {
  add_runtime_folders(
      {.containerd_states = {"/srv/ctr/state"}, .docker_roots = {"/srv/docker"}, .storage_roots = {"/srv/containers"}});
  put("/srv/ctr/state/io.containerd.runtime.v2.task/k8s.io/c1/config.json");
  EXPECT_TRUE(look("c1").descriptor);
  put("/srv/docker/containers/" + kId + "/config.v2.json");
  EXPECT_TRUE(look(kId, bundle::kDocker).descriptor);
  put("/srv/containers/overlay-containers/c2/userdata/config.json");
  EXPECT_TRUE(look("c2").descriptor);
  put("/srv/containers/vfs-containers/containers.json");
  EXPECT_TRUE(look("c2", bundle::kStorage).descriptor);
  EXPECT_TRUE(look("all", bundle::kStorageNames).descriptor);
  EXPECT_FALSE(look("c2", bundle::kVolatile).descriptor);
  EXPECT_FALSE(look("all", bundle::kVolatileNames).descriptor);
}

TEST_F(RuntimeFiles, DockersMappedUsersHaveFoldersOfTheirOwn) {
  put("/var/lib/docker/elsewhere/containers/" + kId + "/config.v2.json");
  EXPECT_FALSE(look(kId, bundle::kDocker).descriptor);
  put("/var/lib/docker/300000.300000/containers/" + kId + "/config.v2.json");
  EXPECT_EQ(look(kId, bundle::kDocker).place, "/var/lib/docker/300000.300000/containers/" + kId + "/config.v2.json");
}

TEST_F(RuntimeFiles, TheNodesUsersAreOneFileWhateverIsAsked) {
  const std::string users = put("/etc/passwd");
  put("/etc/shadow");
  for (const char* id : {"node", "shadow", "passwd"})
    EXPECT_EQ(look(id, bundle::kUsers).place, "/etc/passwd") << id;
  ASSERT_EQ(chown(users.c_str(), 1000, 1000), 0);
  EXPECT_FALSE(look("node", bundle::kUsers).descriptor);
}

}  // namespace
}  // namespace keytrail::warden
