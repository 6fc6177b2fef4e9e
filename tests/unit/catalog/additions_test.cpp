// SPDX-License-Identifier: Apache-2.0
// A site's own entries: they work beside the built-in ones, and are refused whole, with the place, when they are wrong.
#include "agent/catalog/additions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace keytrail::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSite = R"(kinds:
- {id: acme.token, title: Acme token, class: access_key, lifetime: long_lived}
files:
- {id: acme.file, provider: acme, kinds: [acme.token], format: raw_token, paths: [/etc/acme/acme-token, ~/.acme/t/*], not: [~/.acme/t/*.pub],
   verified: opened, source: [our own program]}
endpoints:
- {id: ep.site, provider: acme, service: api, suffix: [api.acme.example], verified: opened, source: [our own service]}
- {id: ep.site.region, provider: acme, regex: '^(?P<service>[a-z]+)\.(?P<region>[a-z]+)\.cloud\.acme\.example$', domains: [cloud.acme.example],
   verified: opened, source: [our own service]}
rules:
- {endpoints: [ep.site, ep.site.region], accepts: [acme.token, aws.access_key], verified: opened, source: [our own service]}
sockets:
- {id: acme.sock, use: broker, kinds: [acme.token], paths: [/run/acme/*.sock], verified: opened, source: [our own program]}
programs:
- {id: acme.proxy, names: [acme-proxy], relay: true, verified: opened, source: [our own program]}
)";

TEST(Additions, WorkBesideTheBuiltInCatalog) {
  const auto additions = Additions::read_text(kSite, "acme.yaml");
  ASSERT_TRUE(additions) << additions.error().message;
  const Catalog catalog = Catalog::with_additions(*additions);
  ASSERT_NE(catalog.match_file("/etc/acme/acme-token"), nullptr);
  EXPECT_EQ(catalog.match_file("/etc/acme/acme-token")->kind, "acme.token");
  EXPECT_EQ(catalog.match_file("/srv/.acme/t/one")->id, "acme.file");
  EXPECT_EQ(catalog.match_file("/srv/.acme/t/one.pub"), nullptr);
  EXPECT_EQ(catalog.kind("acme.token")->title, "Acme token");
  const auto host = catalog.match_host("eu.api.acme.example");
  ASSERT_TRUE(host);
  EXPECT_TRUE(host->takes_keys);
  EXPECT_TRUE(catalog.accepts(*host, "acme.token"));
  EXPECT_EQ(catalog.match_host("store.north.cloud.acme.example")->region, "north");
  EXPECT_EQ(catalog.match_socket("/run/acme/a.sock").use, SocketUse::kBroker);
  EXPECT_TRUE(catalog.match_program("/opt/acme/acme-proxy", "")->relay);
  // What was there is still there.
  EXPECT_EQ(catalog.match_file("/root/.aws/credentials")->id, "aws.shared_credentials");
  EXPECT_EQ(catalog.match_file("/root/.ssh/id_ed25519.pub"), nullptr);
  EXPECT_EQ(catalog.match_host("sts.amazonaws.com")->service, "sts");
  EXPECT_EQ(Catalog::builtin().match_file("/etc/acme/acme-token"), nullptr);
  EXPECT_THAT(additions->watch_names(), ElementsAre("acme-token"));
}

std::string refusal(const std::string& text) {
  const auto additions = Additions::read_text(text, "site.yaml");
  return additions ? "" : additions.error().message;
}

TEST(Additions, AContradictionRefusesAll) {
  EXPECT_THAT(refusal("endpoints:\n- {id: ep.mine, provider: x, service: s, exact: [sts.amazonaws.com], verified: cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: `sts.amazonaws.com` is already aws/sts"));
  EXPECT_THAT(refusal("kinds:\n- {id: aws.access_key, title: T, class: password, lifetime: unknown}\n"),
              HasSubstr("site.yaml:2: kind `aws.access_key` is already part of the built-in catalog"));
  EXPECT_THAT(refusal("rules:\n- {endpoints: [ep.aws.s3_global], accepts: [aws.session], verified: cited, source: [s]}\n"),
              HasSubstr("may only name endpoints of the additions"));
}

TEST(Additions, WhatRaisesEvidenceIsRefused) {
  EXPECT_THAT(refusal("programs:\n- {id: p, names: [mytool], obeys_selectors: true, verified: cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: `p`: obeys"));
  EXPECT_THAT(refusal("env:\n- {name: MY_TOKEN, provider: x, use: secret, verified: cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: section `env` cannot be added here"));
}

TEST(Additions, EveryFileIsRefused) {
  EXPECT_THAT(
      refusal("files:\n- {id: f, provider: x, kinds: [generic.secret], format: opaque, paths: ['/**'], verified: cited, source: [s]}\n"),
      HasSubstr("site.yaml:2: `f`: `/**` would be every file"));
}

TEST(Additions, WhatIsQuotedIsShortAndPlain) {
  const std::string escape = refusal("kinds:\n- {id: \"a\\e[31mb\", nonsense: 1}\n");
  EXPECT_THAT(escape, HasSubstr("site.yaml:2: unknown key `nonsense`"));
  EXPECT_EQ(escape.find('\x1b'), std::string::npos);
  EXPECT_LT(refusal("kinds:\n- {" + std::string(100'000, 'a') + ": 1}\n").size(), 3000U);
  std::string many = "kinds:\n";
  for (int i = 0; i < 1000; ++i)
    many += "- {}\n";
  EXPECT_THAT(refusal(many), HasSubstr("more problems"));
  EXPECT_LT(refusal(many).size(), 50'000U);
}

TEST(Additions, ADirectoryIsReadInOrder) {
  const std::string directory = "/tmp/keytrail-additions-" + std::to_string(getpid());
  std::filesystem::create_directory(directory);
  EXPECT_TRUE(Additions::read_directory(directory)->empty());
  std::ofstream(directory + "/10-a.yaml") << kSite;
  std::ofstream(directory + "/readme.txt") << "not read";
  const auto good = Additions::read_directory(directory);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_FALSE(good->empty());
  std::ofstream(directory + "/20-b.yaml") << "kinds:\n- {id: acme.token, title: T, class: password, lifetime: unknown}\n";
  EXPECT_THAT(Additions::read_directory(directory).error().message, HasSubstr("20-b.yaml:2: kind `acme.token` was already defined at "));
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(Additions::read_directory(directory)->empty());
}

}  // namespace
}  // namespace keytrail::catalog
