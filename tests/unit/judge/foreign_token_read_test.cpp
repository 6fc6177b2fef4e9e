// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

const std::string kVictim = "2222-bb";
const std::string kToken =
    "/var/lib/kubelet/pods/" + kVictim + "/volumes/kubernetes.io~projected/kube-api-access-x/..data/token";

class ForeignTokenTest : public Court {
 protected:
  static Actor pod(const std::string& uid, const std::string& name, std::vector<Fact> more = {}) {
    Actor out;
    out.program = "cat";
    out.exe = "/bin/cat";
    out.workload.kind = WorkloadKind::kPod;
    out.workload.id = "pod:" + uid + "/c";
    out.workload.name = name;
    more.push_back({fact::kPodUid, uid, KnownBy::kKernel});
    out.workload.facts = std::move(more);
    return out;
  }
  static Actor on_node(const std::string& exe, std::uint32_t uid = 0) {
    Actor out;
    out.exe = exe;
    out.program = exe.substr(exe.rfind('/') + 1);
    out.uid = uid;
    out.workload.kind = WorkloadKind::kSystemdUnit;
    out.workload.id = "unit:x.service";
    out.workload.name = "x.service";
    return out;
  }
  std::vector<FindingRow> reads(const Actor& who, const std::string& place) {
    AcquisitionRow row;
    row.actor = who;
    row.key.id = "jwt";
    row.slot = {From::kFile, place, ""};
    return look({.rows = {row_of(row, 1'000)}});
  }
};

TEST_F(ForeignTokenTest, BothWhoReadAndWhoseItIsAreNamed) {
  EXPECT_TRUE(reads(pod(kVictim, "payments/api"), "/var/run/secrets/kubernetes.io/serviceaccount/token").empty());
  const auto found = reads(pod("1111-aa", "web/shop"), "/host" + kToken);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "foreign_token_read");
  EXPECT_EQ(found[0].severity, Severity::kHigh);
  EXPECT_EQ(found[0].text, "web/shop (cat) read a token that is mounted for payments/api: jwt");
  EXPECT_TRUE(reads(pod("1111-aa", "web/shop"), "/host" + kToken).empty()) << "it is open";
}

TEST_F(ForeignTokenTest, AProcessOfTheNodeIsNamedAsOne) {
  const auto found = reads(on_node("/usr/bin/tar"), kToken);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text, "x.service on the node (tar) read a token that is mounted for pod 2222-bb: jwt");
  const auto secret =
      reads(on_node("/usr/bin/tar"), "/var/lib/kubelet/pods/" + kVictim + "/volumes/kubernetes.io~secret/db/password");
  ASSERT_EQ(secret.size(), 1U);
  EXPECT_NE(secret[0].text.find("read a secret"), std::string::npos);
}

TEST_F(ForeignTokenTest, ThePodItselfTheKubeletAndCsiDriversAreExpected) {
  EXPECT_TRUE(reads(pod(kVictim, "payments/api"), kToken).empty());
  EXPECT_TRUE(reads(on_node("/usr/bin/kubelet"), kToken).empty());
  EXPECT_TRUE(reads(on_node("/usr/local/bin/k3s"), kToken).empty());
  EXPECT_TRUE(reads(pod("3333", "kube-system/x",
                        {{fact::kImageName, "registry.k8s.io/csi-secrets-store/driver", KnownBy::kRuntime}}),
                    kToken)
                  .empty());
  EXPECT_TRUE(reads(on_node("/usr/bin/cat"), "/etc/passwd").empty());
  EXPECT_TRUE(
      reads(on_node("/usr/bin/cat"), "/var/lib/kubelet/pods/x/volumes/kubernetes.io~empty-dir/t/token").empty());
}

TEST_F(ForeignTokenTest, ANameOfItsOwnMakesNobodyAKnownReader) {
  EXPECT_EQ(reads(on_node("/tmp/kubelet", 1000), kToken).size(), 1U) << "not root";
  Actor forged = pod("4444", "x/y");
  forged.exe = "/usr/bin/kubelet";
  EXPECT_EQ(reads(forged, kToken).size(), 1U) << "in a pod";
  EXPECT_EQ(reads(pod("5555", "x/y", {{fact::kImageName, "csi", KnownBy::kClaimed}}), kToken).size(), 1U);
}

}  // namespace
}  // namespace keytrail::judge
