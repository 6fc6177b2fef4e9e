// SPDX-License-Identifier: Apache-2.0
// Places that a file which was read names: what lies there is held, and how surely.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kKubeconfig = "/root/.kube/config", kToken = "/root/robot.tok", kApi = "k.test";
const std::string kId = "fp:robot";

KeyFact place_fact(const std::string& selector, const std::string& host, const std::string& option,
                   const std::string& path, bool current = false) {
  KeyFact fact;
  fact.selector = selector;
  fact.selector_hash = fingerprint_of(selector);
  fact.host = host;
  fact.variable = option;
  fact.path = path;
  fact.current = current;
  return fact;
}
KeyFact token_fact(const std::string& kind, const std::string& id = kId, KeyClass key_class = KeyClass::kAccessKey) {
  KeyFact fact;
  fact.key.id = id;
  fact.key.kind = kind;
  fact.key.key_class = key_class;
  fact.key.fingerprint = fingerprint_of(id);
  return fact;
}
const Program kKubectl{.exe = "/usr/bin/kubectl", .filename = "/usr/bin/kubectl"};

class Pointers : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kKubeconfig] = file_of({place_fact("c", kApi, "tokenFile", "../robot.tok", true)});
    examiner.files[kToken] = file_of({token_fact("k8s.static_token")}, 5);
  }
  std::size_t questions_about(const std::string& path) const {
    return static_cast<std::size_t>(std::ranges::count_if(examiner.asked, [&](const ExamineRequest& one) {
      const auto* file = std::get_if<FileQuestion>(&one.question);
      return file != nullptr && file->path == path;
    }));
  }
};

TEST_F(Pointers, WhoReadTheOneFileMayHaveTheKeyOfTheOther) {
  start(10, kKubectl);
  open(10, kKubeconfig);
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"possible told_by_file: " + kId});
  EXPECT_EQ(acquired(), Lines{}) << "its read was not seen";
}

TEST_F(Pointers, TheQuestionSaysWhichFileTellsOfThePlace) {
  start(10, kKubectl);
  open(10, kKubeconfig);
  const auto question_about = [&](const std::string& path) {
    for (const ExamineRequest& one : examiner.asked) {
      const auto* file = std::get_if<FileQuestion>(&one.question);
      if (file != nullptr && file->path == path) return *file;
    }
    return FileQuestion{};
  };
  const FileQuestion first = question_about(kKubeconfig), second = question_about(kToken);
  EXPECT_TRUE(first.teller.empty());
  EXPECT_EQ(second.teller, kKubeconfig);
  EXPECT_NE(second.file.inode, 0U);
  EXPECT_EQ(second.file, first.file) << "as its reader opened it: the warden opens nothing that nobody named";
}

TEST_F(Pointers, ItsReadMakesItTheEntrysKey) {
  start(10, kKubectl);
  open(10, kKubeconfig);
  open(10, kToken);
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kId});
  EXPECT_EQ(acquired(), Lines{"file " + kToken + " [] " + kId + " by 10"});
}

TEST_F(Pointers, AReadBeforeTheAnswerCountsTheSame) {
  start(10, kKubectl);
  examiner.hold = true;
  examiner.files[kToken].format = "raw_token";
  open(10, kKubeconfig);
  open(10, kToken);
  call(10, kApi);
  EXPECT_EQ(told(), Lines{}) << "waits";
  examiner.hold = false;
  examiner.answer_all();
  tick(5'000);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kId});
}

TEST_F(Pointers, PlacesToldToOneWorkloadPushOutNoneOfAnothers) {
  make({.max_found = 4});
  start(10, kKubectl);
  unshare(10, 1, "quiet.service");
  open(10, kKubeconfig);
  std::vector<KeyFact> many;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::string number = std::to_string(i), path = "/srv/f" + number + "/tok";
    examiner.files[path] = file_of({token_fact("k8s.static_token", kId + number)}, 100 + i);
    many.push_back(place_fact("c" + number, kApi, "tokenFile", path));
  }
  examiner.files["/home/b/.kube/config"] = file_of(many);
  start(11, kKubectl);
  unshare(11, 1, "flood.service");
  open(11, "/home/b/.kube/config");
  collect();
  ASSERT_EQ(link->counters().at("found_over_bound"), 5U);
  EXPECT_TRUE(std::ranges::none_of(found, [](const FoundPlace& one) { return one.over && one.path == kToken; }));
}

TEST_F(Pointers, AnAddressThatThereIsNoRoomForIsSomethingUnidentified) {
  std::vector<KeyFact> many;
  for (int i = 0; i < 33; ++i)
    many.push_back(place_fact("p" + std::to_string(i), {}, "AWS_ENDPOINT_URL", "minio.test:9000"));
  examiner.files["/root/.aws/config"] = file_of(many);
  start(10, aws_program(aws_env("AKIAAAAAAAAAAAAAAAA2")));
  open(10, "/root/.aws/config");
  EXPECT_EQ(link->counters()["told_places_over_budget"], 1U);
  call(10);
  tick(5'000);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(told()[0], "possible unidentified_file: AKIAAAAAAAAAAAAAAAA2");
}

TEST_F(Pointers, APlaceThatCannotBeReadIsSomethingUnidentified) {
  examiner.files[kToken] = {.unread = "gone"};
  start(10, kKubectl);
  open(10, kKubeconfig);
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"unattributed unidentified_file:"});
}

TEST_F(Pointers, TheRoleOfAnIdentityTokenSaysWhereItGoes) {
  const std::string id = "issuer/42";
  examiner.files["/root/.aws/config"] = file_of({place_fact("wi", {}, "web_identity_token_file", "/root/tok")});
  examiner.files["/root/tok"] = file_of({token_fact("k8s.service_account_token", id, KeyClass::kIdentityToken)});
  examiner.files[kCredentials] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA2")});
  Program aws = aws_program({}, {flag("--profile", "wi")});
  start(10, aws);
  open(10, kCredentials);
  open(10, "/root/.aws/config");
  call(10, "sts.amazonaws.com");
  EXPECT_EQ(told(), Lines{"possible several_keys: " + id + " AKIAAAAAAAAAAAAAAAA2"}) << "the profile's own first";
}

TEST_F(Pointers, WhoReadsThePlaceOfAnEntryUsesThatEntry) {
  const std::string id = "issuer/42", a = "AKIAAAAAAAAAAAAAAAA2";
  examiner.files["/root/.aws/config"] = file_of({place_fact("wi", {}, "web_identity_token_file", "/root/tok")});
  KeyFact token = token_fact("oidc.id_token", id, KeyClass::kIdentityToken);
  token.untold = true;  // a token of whoever: by what it is told to be it is a pod's
  token.key.kind = "generic.jwt";
  examiner.files["/root/tok"] = file_of({token});
  examiner.files[kCredentials] = file_of({aws_fact(a)});
  start(10);  // boto3 with the profile in its code
  open(10, kCredentials);
  open(10, "/root/.aws/config");
  open(10, "/root/tok");
  call(10, "sts.amazonaws.com");
  EXPECT_EQ(told(), Lines{"possible several_keys: " + id + " " + a}) << "not the file's default";
  call(10);
  EXPECT_TRUE(told().back().starts_with("possible parent_or_issued: aws.session@" + id + " " + a))
      << "what was bought with it is a key, and comes first";
  EXPECT_EQ(std::ranges::count(acquired(), "issued sts.amazonaws.com [] aws.session@" + id + " by 10"), 1);
}

TEST_F(Pointers, AnExternalAccountNamesTheTokenThatIsSpentForItsOwn) {
  const std::string adc = "/root/.config/gcloud/application_default_credentials.json";
  examiner.files[adc] = file_of({place_fact({}, {}, "file", "/root/subject")});
  KeyFact token = token_fact("k8s.service_account_token", "kid/1", KeyClass::kIdentityToken);
  examiner.files["/root/subject"] = file_of({token});
  start(10);
  open(10, adc);
  open(10, "/root/subject");
  call(10, "sts.googleapis.com");
  call(10, "storage.googleapis.com");
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: kid/1", "inferred only_key_held: gcp.federated_token@kid/1"}));
}

TEST_F(Pointers, ItIsToldTwiceOfAPlaceThatAnotherProcessOpensItself) {
  start(10, kKubectl);
  open(10, kKubeconfig);
  start(20, {.exe = "/usr/bin/cat", .filename = "/bin/cat"});
  open(20, kToken);
  EXPECT_EQ(acquired(), Lines{"file " + kToken + " [] " + kId + " by 20"}) << "a place of no other note is known now";
}

TEST_F(Pointers, FilesThatIncludeEachOtherEnd) {
  examiner.files["/root/.gitconfig"] = file_of({place_fact({}, {}, "path", "a.inc")});
  examiner.files["/root/a.inc"] = file_of({place_fact({}, {}, "path", "a.inc"), token_fact("github.token", "fp:git")});
  start(10);
  open(10, "/root/.gitconfig");
  EXPECT_EQ(questions_about("/root/a.inc"), 3U);
  call(10, "api.github.com");
  EXPECT_EQ(told(), Lines{"possible told_by_file: fp:git"});
}

TEST_F(Pointers, AVariableThatAFileNamesIsAKeyForTheHostOfItsEntry) {
  KeyFact variable = place_fact("npm.corp", "npm.corp", "CI_DEPLOY_K", {});
  KeyFact value = token_fact("npm.token");
  value.variable = "CI_DEPLOY_K";
  value.untold = true;
  examiner.files["/root/.npmrc"] = file_of({variable});
  examiner.environments[10] = {.keys = {value}};
  start(10, {.exe = "/usr/bin/node", .filename = "/usr/bin/npm"});
  open(10, "/root/.npmrc");
  EXPECT_EQ(acquired(), Lines{"environment CI_DEPLOY_K [] " + kId + " by 10"});
  call(10, "registry.npmjs.org");
  EXPECT_EQ(told(), Lines{"possible entry_of_another_host: " + kId});
  uses.clear();
  call(10, "npm.corp", ip(2));
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kId});
}

TEST_F(Pointers, AVariableThatAFileNamesIsThatOfItsEntryAfterARestartToo) {
  KeyFact value = token_fact("npm.token");
  value.variable = "CI_DEPLOY_K";
  value.untold = true;
  examiner.files["/root/.npmrc"] = file_of({place_fact("npm.corp", "npm.corp", "CI_DEPLOY_K", {})});
  examiner.environments[10] = {.keys = {value}};
  start(10, {.exe = "/usr/bin/node", .filename = "/usr/bin/npm"});
  open(10, "/root/.npmrc");
  restart(10);
  call(10, "registry.npmjs.org");
  call(10, "npm.corp", ip(2));
  EXPECT_EQ(told(), (Lines{"possible entry_of_another_host: " + kId, "inferred only_key_held: " + kId}));
}

TEST_F(Pointers, APodsTokenThatAFileNamesSaysWhoseItIs) {
  KeyFact token = token_fact("k8s.service_account_token", "issuer/42", KeyClass::kIdentityToken);
  token.claims = {{"pod", "api"}};
  examiner.files[kToken] = file_of({token});
  start(10, kKubectl);
  open(10, kKubeconfig);
  collect();
  ASSERT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens[0].place, kToken);
}

TEST_F(Pointers, AnEntryWithoutAKeyInAToldFileIsSomethingUnidentified) {
  examiner.files["/root/.gitconfig"] = file_of({place_fact({}, {}, "path", "a.inc")});
  examiner.files["/root/a.inc"] = file_of({KeyFact{}});
  examiner.files[kCredentials] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA2")});
  start(10);
  open(10, kCredentials);
  open(10, "/root/.gitconfig");
  call(10);
  EXPECT_EQ(told(), Lines{"possible unidentified_file: AKIAAAAAAAAAAAAAAAA2"});
}

TEST_F(Pointers, AVariableThatIsNotThereGivesNothing) {
  examiner.files["/root/.npmrc"] = file_of({place_fact("npm.corp", "npm.corp", "CI_DEPLOY_K", {})});
  start(10, {.exe = "/usr/bin/node", .filename = "/usr/bin/npm"});
  open(10, "/root/.npmrc");
  EXPECT_EQ(acquired(), Lines{});
  call(10, "registry.npmjs.org");
  EXPECT_EQ(told(), Lines{});
}

/// Addresses that a file or an argument names, as a variable could.
class ToldAddresses : public Scene {
 protected:
  const KeyFact address_ = place_fact("default", "", "AWS_ENDPOINT_URL", "minio.test:9000");
};

TEST_F(ToldAddresses, OfAFileBindTheProgramThatReadIt) {
  examiner.files[kCredentials] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA2")});
  examiner.files["/root/.aws/config"] = file_of({address_});
  start(10);
  open(10);
  open(10, "/root/.aws/config");
  call(10, "minio.test", ip(7, 9000));
  EXPECT_EQ(told(), Lines{"inferred only_key_held: AKIAAAAAAAAAAAAAAAA2"});
  EXPECT_EQ(uses.front().destination.provider, "aws");
  call(10, "minio.test", ip(7, 9001));
  EXPECT_EQ(told().back(), "possible unknown_destination: AKIAAAAAAAAAAAAAAAA2") << "another port is another place";
}

TEST_F(ToldAddresses, OfArgumentsBindTheirProgram) {
  examiner.files[kCredentials] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA2")});
  examiner.arguments[10] = {.unread = {}, .keys = {address_}, .skipped = 0};
  start(10, {.exe = "/usr/bin/python3", .filename = "/usr/bin/aws", .args_kept = ArgsKept::kWhole});
  open(10);
  call(10, "minio.test", ip(7, 9000));
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(uses.front().destination.provider, "aws");
  EXPECT_NE(uses.front().reason, Reason::kUnknownDestination);
}

}  // namespace
}  // namespace keytrail::link
