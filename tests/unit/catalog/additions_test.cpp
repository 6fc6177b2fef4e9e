// SPDX-License-Identifier: Apache-2.0
// A site's own entries: they work beside the built-in ones, and are refused whole, with the place, when they are wrong.
#include "agent/catalog/additions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace keytrail::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSite = R"(kinds:
- {id: acme.token, title: Acme token, class: access_key, lifetime: long_lived}
files:
- {id: acme.file, provider: acme, kinds: [acme.token], format: raw_token,
   paths: [/etc/acme/acme-token, ~/.acme/t/*], not: [~/.acme/t/*.pub], verified: opened, source: [our own program]}
endpoints:
- {id: ep.site, provider: acme, service: api, suffix: [api.acme.example], verified: opened, source: [our own service]}
- {id: ep.site.region, provider: acme, regex: '^(?P<service>[a-z]+)\.(?P<region>[a-z]+)\.cloud\.acme\.example$',
   domains: [cloud.acme.example], verified: opened, source: [our own service]}
rules:
- {endpoints: [ep.site, ep.site.region], accepts: [acme.token, aws.access_key], verified: opened,
   source: [our own service]}
sockets:
- {id: acme.sock, use: broker, kinds: [acme.token], paths: [/run/acme/*.sock], verified: opened,
   source: [our own program]}
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
  EXPECT_THAT(refusal("endpoints:\n- {id: ep.mine, provider: x, service: s, exact: [sts.amazonaws.com], verified: "
                      "cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: `sts.amazonaws.com` is already aws/sts"));
  EXPECT_THAT(refusal("kinds:\n- {id: aws.access_key, title: T, class: password, lifetime: unknown}\n"),
              HasSubstr("site.yaml:2: kind `aws.access_key` is already part of the built-in catalog"));
  EXPECT_THAT(
      refusal("rules:\n- {endpoints: [ep.aws.s3_global], accepts: [aws.session], verified: cited, source: [s]}\n"),
      HasSubstr("may only name endpoints of the additions"));
}

TEST(Additions, WhatRaisesEvidenceIsRefused) {
  EXPECT_THAT(refusal("programs:\n- {id: p, names: [mytool], obeys_selectors: true, verified: cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: `p`: obeys"));
  EXPECT_THAT(refusal("files:\n- {id: f, provider: x, kinds: [generic.secret], format: opaque, paths: [/a/b], flags: "
                      "[--x], verified: cited, "
                      "source: [s]}\n"),
              HasSubstr("`flags` cannot be added here"));
  EXPECT_THAT(refusal("env:\n- {name: MY_TOKEN, provider: x, use: secret, verified: cited, source: [s]}\n"),
              HasSubstr("site.yaml:2: section `env` cannot be added here"));
}

TEST(Additions, EveryFileIsRefused) {
  EXPECT_THAT(refusal("files:\n- {id: f, provider: x, kinds: [generic.secret], format: opaque, paths: ['/**'], "
                      "verified: cited, source: [s]}\n"),
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
  std::ofstream(directory + "/20-b.yaml")
      << "kinds:\n- {id: acme.token, title: T, class: password, lifetime: unknown}\n";
  EXPECT_THAT(Additions::read_directory(directory).error().message,
              HasSubstr("20-b.yaml:2: kind `acme.token` was already defined at "));
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(Additions::read_directory(directory)->empty());
}

constexpr const char* kFile =
    "files:\n- {id: f, provider: x, kinds: [generic.secret], format: opaque, verified: cited, source: [s], paths: [";

std::string endpoint(const std::string& what) {
  return "endpoints:\n- {id: ep.mine, provider: x, service: s, verified: cited, source: [s], " + what + "}\n";
}

TEST(Hostile, AliasesAndDepthAreRefusedBeforeAnythingIsBuilt) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'i'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i)
      bomb += std::string(i == 0 ? "*" : ",*") + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(refusal(bomb), HasSubstr("site.yaml:1: anchors (&name) are not allowed here"));
  EXPECT_THAT(refusal("kinds: " + std::string(5000, '[') + std::string(5000, ']')), HasSubstr("site.yaml:1: "));
  EXPECT_THAT(refusal("kinds: []\n---\nkinds: []\n"), HasSubstr("more than one document"));
}

TEST(Hostile, TooMuchIsRefusedQuicklyAndShortly) {
  std::string many = "kinds:\n";
  for (int i = 0; i < 10'000; ++i)
    many += "- {id: x.k" + std::to_string(i) + ", title: T, class: password, lifetime: unknown}\n";
  EXPECT_THAT(refusal(many), HasSubstr("more than 2000 entries in `kinds`"));
  std::string wrong = "files:\n";
  for (int i = 0; i < 10'000; ++i)
    wrong += "- {id: f" + std::to_string(i) + ", kinds: [no" + std::to_string(i) + "]}\n";
  const std::string told = refusal(wrong);
  EXPECT_LT(told.size(), 50'000U);
  EXPECT_THAT(told, HasSubstr("more problems"));
  EXPECT_THAT(Additions::read_text(std::string(kMaxAdditionBytes + 1, '#'), "big.yaml").error().message,
              HasSubstr("larger than 1 MiB"));
}

TEST(Hostile, ExpressionsThatTakeMuchAreRefused) {
  EXPECT_THAT(refusal(endpoint("regex: '^((a{100}){100}){100}\\.x\\.org$', domains: [x.org]")),
              HasSubstr("does not compile"));
  EXPECT_THAT(refusal(endpoint("regex: '^" + std::string(600, 'a') + "$', domains: [x.org]")),
              HasSubstr("500 characters at most"));
  // Each within the bounds, but too many.
  std::string many = "endpoints:\n";
  for (int i = 0; i < 65; ++i)
    many += "- {id: e" + std::to_string(i) +
            ", provider: x, service: s, regex: '^a$', domains: [x.org], verified: cited, source: [s]}\n";
  EXPECT_THAT(refusal(many), HasSubstr("more than 64 expressions"));
}

TEST(Hostile, PlacesThatAreNoFilesOnADiskAreRefused) {
  EXPECT_THAT(refusal(kFile + std::string("/etc/acme/../shadow]}\n")), HasSubstr("has a `.` or `..`"));
  EXPECT_THAT(refusal(kFile + std::string("/proc/kcore]}\n")), HasSubstr("is no regular file on a disk"));
  EXPECT_THAT(refusal(kFile + std::string("/dev/sda]}\n")), HasSubstr("is no regular file on a disk"));
  EXPECT_THAT(refusal(kFile + std::string("/a/**/b/**/c/**/d]}\n")), HasSubstr("more than two `**`"));
  EXPECT_THAT(refusal(kFile + std::string("\"/a/b\\ec\"]}\n")), HasSubstr("no control characters"));
}

TEST(Hostile, WhatWouldBeEverybodysHostIsRefused) {
  EXPECT_THAT(refusal(endpoint("suffix: [com]")), HasSubstr("`com` is too wide"));
  EXPECT_THAT(refusal(endpoint("regex: '^.*$', domains: [internal]")), HasSubstr("`internal` is too wide"));
  EXPECT_EQ(refusal(endpoint("exact: [acmevault]")), "");
}

TEST(Hostile, PlacesOfTheBuiltInCatalogAndOfEachOtherAreRefused) {
  EXPECT_THAT(refusal(kFile + std::string("~/.aws/credentials]}\n")),
              HasSubstr("is already the place of `aws.shared_credentials`"));
  EXPECT_THAT(refusal(kFile + std::string("/etc/x/a, /etc/x/a]}\n")), HasSubstr("is already the place of `f`"));
  EXPECT_THAT(refusal(endpoint("exact: [a.x.org]") +
                      "- {id: e2, provider: x, service: s, exact: [a.x.org], verified: cited, source: [s]}\n"),
              HasSubstr("`a.x.org` already belongs to `ep.mine`"));
  EXPECT_THAT(
      refusal("readers:\n- {id: rd.backup, role: owner, names: [x], reads: [aws.*], verified: cited, source: [s]}\n"),
      HasSubstr("already part of the built-in catalog"));
}

TEST(Hostile, FormatsAndIdsAreNamedWithWhatWasMeant) {
  EXPECT_THAT(refusal("files:\n- {id: f, provider: x, kinds: [generic.secret], format: opake, verified: cited, source: "
                      "[s], paths: [/a/b]}\n"),
              HasSubstr("format `opake` (did you mean `opaque`?)"));
  EXPECT_THAT(refusal("kinds:\n- {id: 'Acme Token', title: T, class: password, lifetime: unknown}\n"),
              HasSubstr("an id has 1 to 64 of"));
  EXPECT_THAT(refusal("kinds:\n- {id: a.b, title: " + std::string(81, 'T') + ", class: password, lifetime: unknown}\n"),
              HasSubstr("site.yaml:2: `title` has 80 bytes at most"));
}

TEST(Hostile, WhatIsNoPlainFileIsNotWaitedFor) {
  const std::string directory = "/tmp/keytrail-additions-fifo-" + std::to_string(getpid());
  std::filesystem::create_directory(directory);
  ASSERT_EQ(mkfifo((directory + "/a.yaml").c_str(), 0600), 0);
  EXPECT_THAT(Additions::read_directory(directory).error().message, HasSubstr("a.yaml is not a regular file"));
  std::filesystem::remove(directory + "/a.yaml");
  std::filesystem::create_symlink("/dev/zero", directory + "/b.yaml");
  EXPECT_THAT(Additions::read_directory(directory).error().message, HasSubstr("b.yaml is not a regular file"));
  std::filesystem::remove(directory + "/b.yaml");
  std::ofstream(directory + "/c.yaml") << kSite;
  std::filesystem::permissions(directory + "/c.yaml", std::filesystem::perms::all);
  EXPECT_THAT(Additions::read_directory(directory).error().message, HasSubstr("everybody may write to it"));
  std::filesystem::remove_all(directory);
}

TEST(Replace, LookUpsGoOnAndWhatWasGivenStaysValid) {
  const auto first = Additions::read_text(kSite, "acme.yaml");
  ASSERT_TRUE(first);
  Catalog catalog = Catalog::builtin();
  const Catalog& seen = catalog;
  EXPECT_FALSE(seen.match_host("eu.api.acme.example"));
  catalog.replace(Catalog::with_additions(*first));
  const File* file = seen.match_file("/etc/acme/acme-token");
  const auto host = seen.match_host("eu.api.acme.example");
  ASSERT_NE(file, nullptr);
  ASSERT_TRUE(host);
  std::atomic<bool> stop{false};
  std::jthread reader([&] {
    while (!stop)
      EXPECT_EQ(seen.match_host("sts.amazonaws.com")->service, "sts");
  });
  for (int i = 0; i < 20; ++i)
    catalog.replace(i % 2 == 0 ? Catalog::builtin() : Catalog::with_additions(*first));
  catalog.replace(Catalog::builtin());
  stop = true;
  EXPECT_EQ(seen.match_file("/etc/acme/acme-token"), nullptr);
  EXPECT_FALSE(seen.match_host("eu.api.acme.example")) << "no answer outlives the catalog that gave it";
  EXPECT_EQ(file->kind, "acme.token");
  EXPECT_TRUE(seen.accepts(*host, "acme.token")) << "a destination found before keeps its rule";
  EXPECT_TRUE(first->same_as(*Additions::read_text(kSite, "acme.yaml")));
  EXPECT_FALSE(first->same_as(Additions::none()));
}

TEST(Readers, ASiteHasItsOwn) {
  const auto additions = Additions::read_text(std::string(kSite) +
                                                  "readers:\n- {id: acme.backup, role: backup, names: [acme-backup], "
                                                  "reads: ['*'], verified: opened, source: [us]}\n",
                                              "a.yaml");
  ASSERT_TRUE(additions) << additions.error().message;
  const Catalog catalog = Catalog::with_additions(*additions);
  EXPECT_TRUE(catalog.match_program("/usr/bin/acme-backup", "")->bulk_reader);
  EXPECT_EQ(catalog.match_reader("/usr/bin/acme-backup", "", nullptr)->role, ReaderRole::kBackup);
  EXPECT_EQ(additions->summary(), "1 kind, 1 file, 2 endpoints, 1 rule, 1 socket, 1 program, 1 reader");
}

}  // namespace
}  // namespace keytrail::catalog
