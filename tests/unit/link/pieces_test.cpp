// SPDX-License-Identifier: Apache-2.0
// The small pure pieces: names, program names, keys of an environment, slots, lives.
#include <gtest/gtest.h>

#include "agent/link/acquisitions.h"
#include "agent/link/environment.h"
#include "agent/link/life.h"
#include "agent/link/names.h"
#include "agent/link/slots.h"
#include "scene.h"

namespace keytrail::link {
namespace {

TEST(Names, Registrable) {
  EXPECT_EQ(registrable("s3.eu-west-1.amazonaws.com"), "amazonaws.com");
  EXPECT_EQ(registrable("localhost"), "localhost");
  EXPECT_EQ(registrable("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(registrable(".com"), ".com");
  EXPECT_EQ(registrable(""), "");
}

TEST(Names, AddressText) {
  EXPECT_EQ(address_text(ip(7)), "198.51.100.7");
  EXPECT_TRUE(is_loopback(loopback(1)));
  Endpoint six;
  six.v6 = true;
  six.address[15] = 1;
  EXPECT_EQ(address_text(six), "::1");
  EXPECT_TRUE(is_loopback(six));
  six.address[0] = 0x20;
  EXPECT_FALSE(is_loopback(six));
}

TEST(Names, OldNamesOfOthersAreNotBelieved) {
  Names names(8, 60);
  names.learn(DnsEvent{1, {{"S3.example.", ip(1, 0), 5}}}, 1, nullptr);
  EXPECT_EQ(names.of_namespace(1, ip(1), 2), "s3.example");
  EXPECT_EQ(names.of_namespace(2, ip(1), 2), "");
  EXPECT_EQ(names.of_namespace(1, ip(1), 61'000'000'000U), "");
}

TEST(ProgramName, ScriptsAppletsAndLinks) {
  EXPECT_EQ(program_name("/usr/bin/python3.11", "/usr/bin/aws"), "aws");
  EXPECT_EQ(program_name("/usr/bin/python3.11", "/usr/bin/python3"), "python3.11");
  EXPECT_EQ(program_name("/bin/busybox", "/bin/wget"), "wget");
  EXPECT_EQ(program_name("/usr/bin/runc", "/proc/self/exe"), "runc");
  EXPECT_EQ(program_name("/usr/bin/x", "/dev/fd/5"), "x");
  EXPECT_EQ(program_name("", ""), "");
}

TEST(Environment, AnIdentifierAloneIsNoKey) {
  const SharedList<EnvItem> env{shown("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAA2")};
  EXPECT_TRUE(keys_of_environment(env, catalog::Catalog::builtin(), "w").empty());
}

TEST(Environment, ASessionTokenAloneIsAKeyOfItsOwn) {
  const SharedList<EnvItem> env{secret("AWS_SESSION_TOKEN", "token of a session")};
  const auto found = keys_of_environment(env, catalog::Catalog::builtin(), "w");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].key.id.starts_with("fp:"));
  EXPECT_EQ(found[0].key.kind, "aws.session");
}

TEST(Environment, APasswordIsNamedByItsPlace) {
  EnvItem password{"PGPASSWORD", {}, {}, 9, false};
  const auto found = keys_of_environment({password}, catalog::Catalog::builtin(), "payments");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key.id, "postgres.password:PGPASSWORD@payments #1");
  EXPECT_TRUE(found[0].key.fingerprint.empty());
}

TEST(Environment, EmptyAndUnknownVariablesAreNothing) {
  const SharedList<EnvItem> env{EnvItem{"AWS_SECRET_ACCESS_KEY", {}, {}, 0, false}, secret("NOT_A_NAME_OF_THE_LIST_X", "x")};
  for (const FoundKey& one : keys_of_environment(env, catalog::Catalog::builtin(), "w"))
    EXPECT_NE(one.slot.place, "AWS_SECRET_ACCESS_KEY");
}

TEST(Environment, PointerVariables) {
  const auto& catalog = catalog::Catalog::builtin();
  const SharedList<EnvItem> env{shown("AWS_SHARED_CREDENTIALS_FILE", "keys/mine")};
  EXPECT_NE(file_of_pointer(env, catalog, "/root/keys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "/root/otherkeys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "keys/mine2"), nullptr);
}

TEST(Environment, PathsAsPeopleWriteThem) {
  EXPECT_TRUE(names_path("/a/key", "/a/key"));
  EXPECT_FALSE(names_path("/a/key", "/b/a/key"));
  EXPECT_TRUE(names_path("key", "/a/key"));
  EXPECT_FALSE(names_path("key", "/a/monkey"));
  EXPECT_TRUE(names_path("./key", "/a/key"));
  EXPECT_TRUE(names_path("../../b/key", "/a/b/key"));
  EXPECT_FALSE(names_path("", "/a/key"));
  EXPECT_FALSE(names_path("./", "/a/key"));
}

TEST(Environment, FlagsThatNameAFile) {
  const auto& catalog = catalog::Catalog::builtin();
  Process process;
  process.exe = "/usr/bin/ssh";
  process.args = {ArgItem{.flag = "-i", .value = "/backup/key"}};
  ASSERT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key")->id, "key.ssh_private");
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/other"), nullptr);
  process.exe = "/usr/bin/sed";
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key"), nullptr);
  process.filename = "/opt/bin/ssh";  // a script, under its own name
  EXPECT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
}

TEST(FakeClock, AnyMomentHasAWallTime) {
  const FakeClock clock;
  EXPECT_EQ(clock.to_wall(clock.now + 7), clock.wall_ns() + 7);
  EXPECT_EQ(clock.to_wall(0), clock.wall_ns() - static_cast<std::int64_t>(clock.now));
  for (const std::uint64_t moment : {std::uint64_t{INT64_MAX}, UINT64_MAX})
    (void)clock.to_wall(moment);  // the sanitizer sees an overflow
}

KnownFile& file_on(Slots& slots, std::string_view container, std::uint32_t dev) {
  KnownFile& file = slots.file(container, "/p");
  Slots::follow(file, 1, dev);
  return file;
}

TEST(Slots, AnotherDeviceUnderTheSamePathIsAnotherFile) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  EXPECT_TRUE(slots.update(file, {}, {aws_fact("A")}, 100).empty());
  EXPECT_TRUE(slots.update(file_on(slots, "", 2), {}, {aws_fact("B")}, 100).empty());
  EXPECT_EQ(slots.update(file_on(slots, "", 2), {}, {aws_fact("C")}, 100).size(), 1U);
  EXPECT_TRUE(slots.update(file_on(slots, "0123456789abcdef", 2), {}, {aws_fact("A")}, 100).empty());
}

TEST(Slots, TheChangeTimeOfTheFileIsTheTimeOfTheRotation) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  (void)slots.update(file, {}, {aws_fact("A")}, 100);
  FileIdentity later;
  later.ctime_s = 5;
  EXPECT_EQ(slots.update(file, later, {aws_fact("B")}, 9'000'000'000).at(0).time_ns, 5'000'000'000);
  later.ctime_s = 50;
  EXPECT_EQ(slots.update(file, later, {aws_fact("C")}, 9'000'000'000).at(0).time_ns, 9'000'000'000) << "a clock set back";
  later.ctime_s = INT64_MAX / 8;
  EXPECT_EQ(slots.update(file, later, {aws_fact("D")}, 9'000'000'000).at(0).time_ns, 9'000'000'000) << "no number of ns";
}

TEST(Slots, SurviveARestart) {
  Slots before(8);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, 100);
  Slots after(8);
  after.load(before.take_state());
  EXPECT_EQ(after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, 200).size(), 1U);
}

TEST(Slots, BadStateIsSkipped) {
  Slots slots(8);
  slots.load({{"slot:/p#", "{"}, {"slot:/q#", "[]"}, {"slot:/r#", R"({"key":7})"}, {"other", "x"}});
  EXPECT_TRUE(slots.update(file_on(slots, "", 1), {}, {aws_fact("A")}, 1).empty());
}

TEST(Life, ComesBackAsItWas) {
  Instance instance;
  instance.exec_seen = true;
  instance.life_from_ns = 7;
  instance.local_talks.push_back({loopback(8200), 9});
  mark_unidentified(instance, 5, "aws.access_key");
  mark_unidentified(instance, {.time_ns = 7, .kind = {}, .host = "cluster.test:6443", .selector_rule = "sel.k8s.context"});
  Instance again;
  apply_life(again, encode_life(instance));
  EXPECT_TRUE(again.exec_seen);
  EXPECT_EQ(again.life_from_ns, 7U);
  EXPECT_EQ(again.broker_ns, 9U);
  ASSERT_EQ(again.unidentified.size(), 2U);
  EXPECT_EQ(again.unidentified[0].kind, "aws.access_key");
  EXPECT_EQ(again.unidentified[1].host, "cluster.test:6443");
  EXPECT_EQ(again.unidentified[1].kind, "");
  for (const char* bad : {"", "{", "[]", "7", R"({"exec_seen":1,"unidentified":[],"broker":"x"})"}) {
    Instance other;
    apply_life(other, bad);
    EXPECT_FALSE(other.exec_seen) << bad;
  }
}

TEST(Instance, MarksAreBounded) {
  Instance instance;
  for (int i = 0; i < 1000; ++i)
    mark_unidentified(instance, 5, "kind" + std::to_string(i));
  EXPECT_LE(instance.unidentified.size(), 33U);
  EXPECT_EQ(instance.unidentified.back().kind, "") << "what does not fit concerns every kind";
}

}  // namespace
TEST(Slots, GenerationsOfAProjectedVolumeAreOnePlace) {
  EXPECT_EQ(Slots::place_of("/run/secrets/kubernetes.io/serviceaccount/..2026_11_21_04_00_00.17/token"),
            "/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(Slots::place_of("/root/.aws/credentials"), "/root/.aws/credentials");
  EXPECT_EQ(Slots::place_of("/a/../b/..data"), "/a/../b");
  EXPECT_EQ(Slots::place_of(""), "");
}

}  // namespace keytrail::link
