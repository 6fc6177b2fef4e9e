// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/bundle.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/unit/examine/bundle_samples.h"
#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

using Facts = std::map<std::string, std::string>;
using role::Unread;

const std::string kTasks = "/run/containerd/io.containerd.runtime.v2.task/";

struct BundleTest : testing::Test {
  Bench bench;
  Found found;

  Facts read(std::string_view format, const std::string& id, const std::string& place, std::string_view bytes) {
    found = {};
    parse_bundle(format, id, place, bytes, bench.state, bench.scratch, found);
    bench.scratch.wipe();
    Facts out;
    for (const BundleFact& one : found.facts) {
      EXPECT_TRUE(out.emplace(kBundleFacts.at(one.what), one.value).second) << "each fact once";
      EXPECT_EQ(one.value.find("planted"), std::string::npos);
      EXPECT_EQ(one.value.find("sleep"), std::string::npos) << "no argument";
    }
    return out;
  }
  Facts containerd(const std::string& id, std::string_view bytes, const std::string& name_space = "k8s.io") {
    return read(bundle::kOci, id, kTasks + name_space + "/" + id + "/config.json", bytes);
  }
  Facts storage(const std::string& id, std::string_view bytes) {
    return read(bundle::kOci, id, "/var/lib/containers/storage/overlay-containers/" + id + "/userdata/config.json",
                bytes);
  }
};

TEST_F(BundleTest, ContainerdsPodHasItsNames) {
  const Facts facts = containerd(bundles::kCriId, bundles::kCri);
  EXPECT_EQ(found.unread, Unread::kNone);
  EXPECT_EQ(facts,
            (Facts{{fact::kCgroup, "/kubepods/besteffort/podb0658d9e-60b7-4a25-8e49-84b4290349dd/" + bundles::kCriId},
                   {fact::kRuntime, "containerd"},
                   {fact::kContainerType, "container"},
                   {fact::kNamespace, "shop"},
                   {fact::kPodName, "web-6d4cf56db6-abcde"},
                   {fact::kPodUid, "b0658d9e-60b7-4a25-8e49-84b4290349dd"},
                   {fact::kK8sContainer, "app"},
                   {fact::kImageName, "registry.test/web:1"}}));
}

TEST_F(BundleTest, ASandboxIsToldFromAContainer) {
  const Facts facts = containerd(bundles::kSandboxId, bundles::kSandbox);
  EXPECT_EQ(facts.at(fact::kContainerType), "sandbox");
  EXPECT_EQ(facts.at(fact::kPodName), "web-6d4cf56db6-abcde");
  EXPECT_FALSE(facts.contains(fact::kK8sContainer));
}

TEST_F(BundleTest, WithoutAnnotationsThereIsTheCgroup) {
  EXPECT_EQ(containerd("c1", bundles::kCtr), (Facts{{fact::kCgroup, "/k8s.io/c1"}, {fact::kRuntime, "containerd"}}));
}

TEST_F(BundleTest, DockersNamesStandInItsOwnFile) {
  EXPECT_EQ(containerd(bundles::kDockerId, bundles::kMoby, "moby"),
            (Facts{{fact::kCgroup, "/docker/" + bundles::kDockerId}, {fact::kRuntime, "docker"}}));
  const Facts own{{fact::kContainerName, "web-1"},
                  {fact::kImageName, "kt/web:1"},
                  {fact::kComposeProject, "shop"},
                  {fact::kComposeService, "web"},
                  {fact::kImageId, "sha256:ae63bb5ab08114cf3024008e2d0ced2ea8722c979ea4a8ab7cef7b56578f1e79"}};
  EXPECT_EQ(read(bundle::kDocker, bundles::kDockerId, "/var/lib/docker/containers/x/config.v2.json", bundles::kDocker),
            own);
  EXPECT_EQ(read(bundle::kDocker, bundles::kCriId, "/var/lib/docker/containers/x/config.v2.json", bundles::kDocker),
            Facts())
      << "of another container";
  EXPECT_EQ(found.unread, Unread::kUnknownFormat);
}

TEST_F(BundleTest, PodmansNameAndImageStandInTheListOfAll) {
  EXPECT_EQ(storage(bundles::kPodmanId, bundles::kPodman),
            (Facts{{fact::kCgroup, "/libpod_parent/libpod-" + bundles::kPodmanId}, {fact::kRuntime, "podman"}}));
  const std::string place = "/var/lib/containers/storage/overlay-containers/containers.json";
  EXPECT_EQ(read(bundle::kStorage, bundles::kPodmanId, place, bundles::kStorage),
            (Facts{{fact::kContainerName, "web-2"},
                   {fact::kImageName, "localhost/kt/web:1"},
                   {fact::kImageId, "sha256:fccc3e864894af657fae549823c8ae4e0a148825ebc2856f13a4ca3df66fe464"}}));
  EXPECT_EQ(read(bundle::kStorage, bundles::kCriId, place, bundles::kStorage), Facts());
  EXPECT_EQ(found.unread, Unread::kNone) << "it is no container of this file";
}

TEST_F(BundleTest, OfAListOfAllThereAreIdsAndNamesAndNothingElse) {
  const std::string place = "/var/lib/containers/storage/overlay-containers/containers.json";
  const auto names = [&](std::string_view bytes) {
    found = {};
    parse_bundle(bundle::kStorageNames, "all", place, bytes, bench.state, bench.scratch, found);
    bench.scratch.wipe();
    std::string out;
    for (const BundleFact& one : found.facts) {
      EXPECT_EQ(kBundleFacts.at(one.what), bundle::kNamed);
      out += one.value + "\n";
    }
    return out;
  };
  EXPECT_EQ(names(bundles::kStorage), bundles::kPodmanId + " web-2\n");
  EXPECT_EQ(found.unread, Unread::kNone);
  EXPECT_EQ(names(R"([{"id": "a", "names": ["x", "y"]}, {"id": "b"}, {"id": "c", "names": []}, 7,
                      {"id": "../d", "names": ["d"]}, {"id": "e", "names": ["planted\u001b[1m"]},
                      {"id": "f", "names": ["ghp_16C7e42F292c6912E7710c838347Ae178B4a"]}])"),
            "a x\n");
  EXPECT_EQ(found.skipped, 3U);
  EXPECT_EQ(names("{}"), "");
  EXPECT_EQ(found.unread, Unread::kUnknownFormat);
}

TEST_F(BundleTest, CrioIsAskedForItsOwnAnnotationsOnly) {
  const Facts facts = storage(bundles::kPodmanId, bundles::kCrio);
  EXPECT_EQ(facts.at(fact::kRuntime), "cri-o");
  EXPECT_EQ(facts.at(fact::kPodName), "web-6d4cf56db6-abcde") << "not what a pod's annotation forged";
  EXPECT_EQ(facts.at(fact::kNamespace), "shop");
  EXPECT_EQ(facts.at(fact::kK8sContainer), "app");
  EXPECT_EQ(facts.at(fact::kContainerType), "container");
  EXPECT_EQ(facts.at(fact::kImageName), "registry.test/web:1");
}

TEST_F(BundleTest, AnImagesAnnotationsNameNoPodOfPodmans) {
  std::string forged = bundles::kPodman;
  forged.insert(forged.find("\"io.container.manager\""),
                R"("io.kubernetes.pod.name": "victim", "io.kubernetes.cri.sandbox-name": "victim", )");
  EXPECT_EQ(storage(bundles::kPodmanId, forged).size(), 2U);
}

TEST_F(BundleTest, ADigestIsSplitFromTheName) {
  std::string digest = bundles::kCri;
  digest.replace(digest.find("registry.test/web:1"), 19, "registry.test/web@sha256:0123abcd");
  const Facts facts = containerd(bundles::kCriId, digest);
  EXPECT_EQ(facts.at(fact::kImageName), "registry.test/web");
  EXPECT_EQ(facts.at(fact::kImageDigest), "registry.test/web@sha256:0123abcd");
}

TEST_F(BundleTest, WhatIsNoNameIsLeftOutAndCounted) {
  for (const std::string& bad : {std::string("a\\u001b[31m"), std::string("a\\nb"), std::string(600, 'x'),
                                 std::string("ghp_16C7e42F292c6912E7710c838347Ae178B4a")}) {
    std::string bundle = bundles::kCri;
    bundle.replace(bundle.find("\"shop\""), 6, "\"" + bad + "\"");
    const Facts facts = containerd(bundles::kCriId, bundle);
    EXPECT_FALSE(facts.contains(fact::kNamespace)) << bad;
    EXPECT_TRUE(facts.contains(fact::kPodName));
    EXPECT_EQ(found.skipped, 1U);
  }
}

TEST_F(BundleTest, WhatIsNoBundleGivesNothing) {
  std::string deep(200, '[');
  for (const std::string& bytes :
       {std::string(), std::string("null"), std::string("[]"), std::string(R"({"linux": 1})"), deep,
        std::string("{\"linux\": {\"cgroupsPath\": \"/a"), bundles::kDocker,
        "[" + std::string((1U << 20U) - 4, ' ') + "1]"}) {
    EXPECT_EQ(containerd(bundles::kCriId, bytes), Facts());
    EXPECT_EQ(found.unread, Unread::kUnknownFormat);
  }
  std::string many = R"({"linux": {"cgroupsPath": "/a/b"}, "annotations": {"a": [)";
  while (many.size() < role::kMaxFileBytes - 8)
    many += "1,";
  many += "1]}}";
  EXPECT_EQ(containerd(bundles::kCriId, many), Facts()) << "its tree does not fit";
  EXPECT_EQ(read("no such", bundles::kCriId, kTasks, bundles::kCri), Facts());
  EXPECT_EQ(read(bundle::kOci, bundles::kCriId, "/srv/config.json", bundles::kCri).size(), 1U)
      << "nobody's place: no runtime's word but the path";
}

TEST_F(BundleTest, UsersHaveNumbersAndNamesAndNothingElse) {
  const auto users = [&](std::string_view bytes) {
    found = {};
    parse_bundle(bundle::kUsers, "node", "/etc/passwd", bytes, bench.state, bench.scratch, found);
    std::string out;
    for (const BundleFact& one : found.facts) {
      EXPECT_EQ(kBundleFacts.at(one.what), bundle::kUser);
      out += one.value + "\n";
    }
    return out;
  };
  EXPECT_EQ(users("root:x:0:0:root:/root:/bin/sh\r\n# a remark\n\ntoor:$6$planted$hash:0:0::/:\nbob:x:1001:1001"),
            "0 root\n0 toor\n1001 bob\n");
  EXPECT_EQ(found.unread, Unread::kNone);
  EXPECT_EQ(found.skipped, 0U);
  for (const char* bad :
       {"a", "a:x", "a:x:", "a:x:-1:0", "a:x:1x:0", "a:x:4294967296:0", "a\x1b[1m:x:1:1", "+@admins:x:::"})
    EXPECT_EQ(users(bad), "") << bad;
  EXPECT_EQ(found.skipped, 1U);
  EXPECT_EQ(users(std::string("a:x:1:1\n\0", 9)), "");
  EXPECT_EQ(found.unread, Unread::kUnknownFormat);
  std::string many;
  for (std::size_t i = 0; i < kMaxNodeUsers + 3; ++i)
    many += "u:x:" + std::to_string(i) + ":0\n";
  (void)users(many);
  EXPECT_EQ(found.facts.size(), kMaxNodeUsers);
  EXPECT_EQ(found.skipped, 3U);
}

TEST(BundleId, IsAPartOfAPath) {
  EXPECT_TRUE(is_bundle_id(bundles::kCriId));
  EXPECT_TRUE(is_bundle_id("my_app-1.x"));
  for (const std::string& bad : {std::string(), std::string("."), std::string(".."), std::string("../../etc/shadow"),
                                 std::string("a..b"), std::string("a/b"), std::string("a b"), std::string("a\0b", 3),
                                 std::string("a:b"), std::string(129, 'a'), std::string(".hidden")})
    EXPECT_FALSE(is_bundle_id(bad)) << bad;
}

}  // namespace
}  // namespace keytrail::examine
