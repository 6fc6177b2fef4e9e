// SPDX-License-Identifier: Apache-2.0
// Which cloud a machine is in: the documented answers of each provider's metadata service, and what else may answer
// there.
#include "agent/identify/cloud_instance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "agent/identify/fact_queue.h"
#include "tests/unit/identify/scripted_server.h"

namespace keytrail::identify {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

using Answers = std::map<std::string, std::string>;  // by path
using Named = std::map<std::string, std::string>;

const Answers kAws{{"/latest/api/token", "AQAEAHtoken=="},
                   {"/latest/meta-data/mac", "02:29:96:8f:6a:2d"},
                   {"/latest/meta-data/instance-id", "i-1234567890abcdef0"},
                   {"/latest/meta-data/instance-type", "m5.large"},
                   {"/latest/meta-data/placement/region", "eu-west-1"},
                   {"/latest/meta-data/placement/availability-zone", "eu-west-1b"},
                   {"/latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d/owner-id", "123456789012"},
                   {"/latest/meta-data/iam/info",
                    R"({"Code":"Success","LastUpdated":"2026-11-30T12:00:00Z","InstanceProfileArn":)"
                    R"("arn:aws:iam::123456789012:instance-profile/web","InstanceProfileId":"AIPAEXAMPLE"})"}};

/// A metadata service on loopback, and the source that asks it.
struct Stage {
  explicit Stage(std::string_view provider, ScriptedServer::Talk talk, CloudTimes times = {.timeout = 1s, .again = {}})
      : server(std::move(talk)) {
    times.urls = {server.url()};
    source = make_cloud_source(provider, times);
    source->start(queue);
  }
  ~Stage() { source.reset(); }

  /// What is posted of the machine, or nothing once the source says that it knows nothing; `later`: it may yet.
  Named machine(bool later = false) {
    for (int i = 0; i < 500; ++i) {
      for (const WorkloadFacts& post : queue.take()) {
        EXPECT_EQ(post.id, kThisMachine);
        Named out;
        for (const Fact& one : post.facts)
          EXPECT_TRUE(out.emplace(one.name, one.value).second) << one.name;
        return out;
      }
      if (!later && !source->remark().empty()) return {};
      std::this_thread::sleep_for(10ms);
    }
    ADD_FAILURE() << "neither facts nor a remark";
    return {};
  }

  FactQueue queue;
  ScriptedServer server;
  std::unique_ptr<IdentitySource> source;
};

std::string path_of(const std::string& request) {
  const std::size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

ScriptedServer::Talk answers(Answers known, std::string needs = {}, std::string headers = {}) {
  return [known = std::move(known), needs = std::move(needs), headers = std::move(headers)](
             const Peer& peer, const std::string& request) {
    const auto found = known.find(path_of(request));
    const bool token = request.starts_with("PUT ");
    if (!token && !needs.empty() && !request.contains("\r\n" + needs + "\r\n"))
      peer.answer(401, "");
    else if (found == known.end() || token != found->first.ends_with("/api/token"))
      peer.answer(404, "not found");
    else
      peer.answer(200, found->second, headers);
    return true;
  };
}

TEST(CloudInstance, OfAwsIsAskedWithAToken) {
  Stage stage("aws", answers(kAws, "X-aws-ec2-metadata-token: AQAEAHtoken=="));
  EXPECT_EQ(stage.machine(), (Named{{"cloud.provider", "aws"},
                                    {"cloud.account.id", "123456789012"},
                                    {"cloud.region", "eu-west-1"},
                                    {"cloud.availability_zone", "eu-west-1b"},
                                    {"host.id", "i-1234567890abcdef0"},
                                    {"host.type", "m5.large"},
                                    {"keytrail.cloud.identity", "arn:aws:iam::123456789012:instance-profile/web"}}));
  for (const std::string& line : stage.server.requests()) {
    for (const char* never : {"security-credentials", "instance-identity", "user-data"})
      EXPECT_THAT(line, Not(HasSubstr(never)));
  }
  EXPECT_EQ(stage.source->remark(), "");
}

TEST(CloudInstance, OfGoogleAzureAndOracle) {
  const std::string v1 = "/computeMetadata/v1/";
  Stage google("gcp",
               answers({{v1 + "instance/id", "5208367423847239"},
                        {v1 + "instance/machine-type", "projects/1234/machineTypes/e2-small"},
                        {v1 + "instance/zone", "projects/1234/zones/us-central1-a"},
                        {v1 + "project/project-id", "acme-prod"},
                        {v1 + "instance/service-accounts/default/email", "web@acme-prod.iam.gserviceaccount.com"}},
                       "Metadata-Flavor: Google", "Metadata-Flavor: Google\r\n"));
  EXPECT_EQ(google.machine(), (Named{{"cloud.provider", "gcp"},
                                     {"cloud.account.id", "acme-prod"},
                                     {"cloud.region", "us-central1"},
                                     {"cloud.availability_zone", "us-central1-a"},
                                     {"host.id", "5208367423847239"},
                                     {"host.type", "e2-small"},
                                     {"keytrail.cloud.identity", "web@acme-prod.iam.gserviceaccount.com"}}));
  const std::string compute = "/metadata/instance/compute/", text = "?api-version=2021-02-01&format=text";
  Stage azure("azure", answers({{compute + "vmId" + text, "02aab8a4-74ef-476e-8182-f6d2ba4166a6"},
                                {compute + "vmSize" + text, "Standard_A3"},
                                {compute + "location" + text, "westeurope"},
                                {compute + "zone" + text, ""},
                                {compute + "subscriptionId" + text, "8d10da13-8125-4ba9-a717-bf7490507b3d"}},
                               "Metadata: true"));
  EXPECT_EQ(azure.machine(), (Named{{"cloud.provider", "azure"},
                                    {"cloud.account.id", "8d10da13-8125-4ba9-a717-bf7490507b3d"},
                                    {"cloud.region", "westeurope"},
                                    {"host.id", "02aab8a4-74ef-476e-8182-f6d2ba4166a6"},
                                    {"host.type", "Standard_A3"}}));
  EXPECT_EQ(azure.source->counters().at("cloud_answers_refused"), 0U) << "a region without zones";
  Stage oracle("oci", answers({{"/opc/v2/instance/id", "ocid1.instance.oc1.phx.abc"},
                               {"/opc/v2/instance/shape", "VM.Standard.E4.Flex"},
                               {"/opc/v2/instance/canonicalRegionName", "us-phoenix-1"},
                               {"/opc/v2/instance/availabilityDomain", "EMIr:PHX-AD-1"},
                               {"/opc/v2/instance/tenantId", "ocid1.tenancy.oc1..aaa"}},
                              "Authorization: Bearer Oracle"));
  EXPECT_EQ(oracle.machine(), (Named{{"cloud.provider", "oracle_cloud"},
                                     {"cloud.account.id", "ocid1.tenancy.oc1..aaa"},
                                     {"cloud.region", "us-phoenix-1"},
                                     {"cloud.availability_zone", "EMIr:PHX-AD-1"},
                                     {"host.id", "ocid1.instance.oc1.phx.abc"},
                                     {"host.type", "VM.Standard.E4.Flex"}}));
}

TEST(CloudInstance, WhatIsNoValueIsLeftOutAndCounted) {
  Answers lies = kAws;
  lies["/latest/meta-data/instance-type"] = "m5\x1b[31m";
  lies["/latest/meta-data/placement/region"] = std::string(300, 'x');
  lies["/latest/meta-data/placement/availability-zone"] = "<html>login</html>";
  lies["/latest/meta-data/iam/info"] = R"({"InstanceProfileArn": {"SecretAccessKey": "x"}})";
  lies["/latest/meta-data/mac"] = "../../iam/security-credentials";
  Stage stage("aws", answers(lies));
  EXPECT_EQ(stage.machine(), (Named{{"cloud.provider", "aws"}, {"host.id", "i-1234567890abcdef0"}}));
  EXPECT_EQ(stage.source->counters().at("cloud_answers_refused"), 4U);
  EXPECT_THAT(stage.server.requests(), Not(Contains(HasSubstr("security-credentials"))));
}

TEST(CloudInstance, WhoeverElseAnswersThereIsNotBelieved) {
  struct Case {
    const char* why;
    ScriptedServer::Talk talk;
  };
  std::atomic<int> elsewhere = 0;
  ScriptedServer other([&](const Peer& peer, const std::string&) {
    ++elsewhere;
    peer.answer(200, "i-1");
    return true;
  });
  const Case cases[] = {
      {"it answers HTTP 302",
       [&](const Peer& peer, const std::string&) {
         peer.answer(302, "", "Location: " + other.url() + "/\r\n");
         return true;
       }},
      {"something else answers there", answers({{"/computeMetadata/v1/instance/id", "1"}})},
      {"", [](const Peer& peer, const std::string&) { return peer.answer(200, std::string(1 << 20, 'x')), true; }},
      {"", [](const Peer& peer, const std::string&) { return peer.say("SSH-2.0-x\r\n"), false; }},
  };
  for (const Case& one : cases) {
    Stage stage("gcp", one.talk);
    EXPECT_THAT(stage.machine(), IsEmpty()) << one.why;
    EXPECT_THAT(stage.source->remark(), HasSubstr("the metadata service of gcp tells nothing"));
    EXPECT_THAT(stage.source->remark(), HasSubstr(one.why));
    EXPECT_THAT(stage.source->remark(), HasSubstr("identity.cloud: off"));
  }
  EXPECT_EQ(elsewhere, 0) << "redirects are not followed";
}

TEST(CloudInstance, OneThatDoesNotAnswerKeepsNobodyWaiting) {
  const auto began = std::chrono::steady_clock::now();
  {
    Stage stage("aws", [](const Peer& peer, const std::string&) { return peer.wait_for_end(), false; },
                {.timeout = 60s, .again = {60s}});
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(stage.source->remark(), "") << "it is still asked";
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s) << "the end waits for nothing";
  Stage slow("aws", [](const Peer& peer, const std::string&) { return peer.wait_for_end(), false; },
             {.timeout = 50ms, .again = {10ms}});
  EXPECT_THAT(slow.machine(), IsEmpty());
  for (int i = 0; i < 200 && slow.server.requests().size() < 2; ++i)
    std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(slow.server.requests().size(), 2U) << "tried again as often as it says";
}

TEST(CloudInstance, IsAskedAgainUntilItAnswers) {
  std::atomic<int> asked = 0;
  Stage stage("gcp",
              [&, talk = answers({{"/computeMetadata/v1/instance/id", "1"}}, "", "Metadata-Flavor: Google\r\n")](
                  const Peer& peer, const std::string& request) {
                if (++asked > 2) return talk(peer, request);
                peer.answer(503, "");
                return true;
              },
              {.timeout = 1s, .again = {1ms, 1ms, 1ms}});
  EXPECT_THAT(stage.machine(true), Contains(Pair("host.id", "1")));
  EXPECT_EQ(stage.source->remark(), "") << "what was amiss is over";
}

TEST(CloudInstance, IsToldAsAWholeOrNotAtAll) {
  std::atomic<int> asked = 0;
  Stage stage("aws",
              [&, talk = answers(kAws)](const Peer& peer, const std::string& request) {
                if (!request.contains("/placement/region") || ++asked > 1) return talk(peer, request);
                peer.answer(500, "");
                return true;
              },
              {.timeout = 1s, .again = {1ms}});
  EXPECT_THAT(stage.machine(true), Contains(Pair("cloud.region", "eu-west-1")));
  Answers huge = kAws;
  huge["/latest/meta-data/instance-type"] = std::string(1 << 20, 'x');
  Stage other("aws", answers(huge));
  const Named machine = other.machine();
  EXPECT_THAT(machine, Contains(Pair("cloud.region", "eu-west-1"))) << "what is too large leaves out one value";
  EXPECT_FALSE(machine.contains("host.type"));
  EXPECT_EQ(other.source->counters().at("cloud_answers_refused"), 1U);
}

TEST(CloudInstance, NobodyThereIsKnownAtOnce) {
  std::string url;
  {
    ScriptedServer gone([](const Peer&, const std::string&) { return false; });
    url = gone.url();
  }
  FactQueue queue;
  const auto source = make_cloud_source("oci", {.timeout = 1s, .again = {}, .urls = {url, url}});
  source->start(queue);
  for (int i = 0; i < 100 && source->remark().empty(); ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_THAT(source->remark(), HasSubstr("oci"));
  EXPECT_THAT(queue.take(), IsEmpty());
}

TEST(CloudInstance, TheFirmwareSaysWhichItIs) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "keytrail-dmi";
  const auto cloud = [&](const char* file, const std::string& text) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / file) << text << "\n";
    return cloud_of_machine(folder.string());
  };
  EXPECT_EQ(cloud("sys_vendor", "Amazon EC2"), "aws");
  EXPECT_EQ(cloud("product_name", "Google Compute Engine"), "gcp");
  EXPECT_EQ(cloud("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"), "azure");
  EXPECT_EQ(cloud("chassis_asset_tag", "OracleCloud.com"), "oci");
  EXPECT_EQ(cloud("sys_vendor", "QEMU"), "");
  std::filesystem::remove_all(folder);
  EXPECT_EQ(cloud_of_machine(folder.string()), "");
  EXPECT_EQ(make_cloud_source("", {}), nullptr) << "nobody is asked";
  EXPECT_EQ(make_cloud_source("off", {}), nullptr);
}

}  // namespace
}  // namespace keytrail::identify
