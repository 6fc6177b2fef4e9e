// SPDX-License-Identifier: Apache-2.0
// The additions of a running agent: refused ones change nothing and are said; good ones count from the reload on.
#include "agent/site_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace keytrail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string kind(const std::string& id) {
  return "kinds:\n- {id: " + id + ", title: T, class: access_key, lifetime: unknown}\n";
}

class Site : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(directory_); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text) { std::ofstream(directory_ + "/a.yaml") << text; }
  std::string directory_ = "/tmp/keytrail-site-" + std::to_string(getpid());
};

TEST_F(Site, RefusedAtStartTheBuiltInCatalogIsUsedAndItIsSaid) {
  write("kinds: [{id: acme.one}]\n");
  const SiteCatalog site(directory_);
  EXPECT_NE(site.catalog().kind("aws.access_key"), nullptr);
  ASSERT_FALSE(site.remarks().empty());
  EXPECT_THAT(site.remarks()[0], HasSubstr("REFUSED, the built-in catalog is used alone"));
  EXPECT_THAT(site.remarks()[1], HasSubstr("a.yaml:1: `title` is missing"));
}

TEST_F(Site, AReloadTakesOverWhatIsSoundAndKeepsWhatWasWhenItIsNot) {
  write(kind("acme.one"));
  SiteCatalog site(directory_);
  const catalog::Catalog& catalog = site.catalog();
  EXPECT_NE(catalog.kind("acme.one"), nullptr);
  EXPECT_FALSE(site.reload()) << "unchanged";
  write(kind("acme.two"));
  EXPECT_TRUE(site.reload());
  EXPECT_NE(catalog.kind("acme.two"), nullptr);
  EXPECT_EQ(catalog.kind("acme.one"), nullptr);
  write(kind("aws.access_key"));
  EXPECT_FALSE(site.reload());
  EXPECT_NE(catalog.kind("acme.two"), nullptr);
  EXPECT_THAT(site.remarks()[0], HasSubstr("REFUSED, those read before stay in use"));
  write(kind("acme.two"));
  EXPECT_FALSE(site.reload());
  EXPECT_THAT(site.remarks(), IsEmpty());
  std::filesystem::remove(directory_ + "/a.yaml");
  EXPECT_TRUE(site.reload());
  EXPECT_EQ(catalog.kind("acme.two"), nullptr);
}

TEST_F(Site, ItsFileNamesAreForTheKernelSide) {
  write(kind("acme.one") +
        "files:\n- {id: acme.file, provider: acme, kinds: [acme.one], format: opaque, paths: [/etc/acme/own-key],\n"
        "   verified: opened, source: [us]}\n");
  EXPECT_THAT(SiteCatalog(directory_).watch_names(), ElementsAre("own-key"));
}

}  // namespace
}  // namespace keytrail
