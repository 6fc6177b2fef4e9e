// SPDX-License-Identifier: Apache-2.0
// Keys made for these tests with ssh-keygen and openssl, used nowhere else; the expected ids are what those tools
// print.
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kEd25519 = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDajLOeDD7BpNsGfoKQGLiwzezWnq6CnCk2VwjPbFhGSwAAAIjMnagSzJ2o
EgAAAAtzc2gtZWQyNTUxOQAAACDajLOeDD7BpNsGfoKQGLiwzezWnq6CnCk2VwjPbFhGSw
AAAEA5Nzqe/eLzpC0Invdgb0mBSe4/R8tKKvlViJCaMcpYXtqMs54MPsGk2wZ+gpAYuLDN
7NaeroKcKTZXCM9sWEZLAAAAAXQBAgME
-----END OPENSSH PRIVATE KEY-----
)";

constexpr std::string_view kEncrypted = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBY6YNNnA
/moM+WNGhfXi0/AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIL2UzLF9BfSrBCLW
TZRauYibC6GnHmvfGfIF1idRjuyXAAAAkMwxgnOr+ATqujEyvZGY4o9Ud+dkV86dkKjbkq
sqy+wVjETtz/UW7YuWTw9WCNgp1qEmPXOxb8l0BxQYjyVmSyaccXHxkOR/UOqo8yEwYEMS
FldlHccHh/+qMBiRPxKbVlvWDG52A0vgokGaOsoq+mLjEtq14KqcGiQGPyP6yrUxoYquAM
7N5ONqlRcbgeXGAQ==
-----END OPENSSH PRIVATE KEY-----
)";

constexpr std::string_view kRsa = R"(-----BEGIN RSA PRIVATE KEY-----
MIICWwIBAAKBgQC2fQc+ELA73eTAtMX3NzJyaUfdwb+r/NsBoVchEKfyr26xM3ex
6d+O61L3/iP+gFL3lHydZ1uIckAygr1yZBxsMg7uiMLRTWepvkmspE+6YF1mTQjT
NtowQRcxGnCKBWVNcJfVcaK1WeZksS+r0N6LgzcL8eax5dHLU5hX0FU9awIDAQAB
AoGAMqRRvTSOY565W40PHwLPWhbDXdPlqAnckQBAGKnxoZRzqHM69UGMy7Gcbbu2
K2tbGt+3EUtciGoETMAhaLxFcnzRQ4jrSCss/s8xml2FxmsM/xXfh5OSRUzaJ73v
fvGlmy0pLvxX+AVduHeDQn9yARGW/cNgBlD8IEQvetZ/JbECQQDoGHDLmP189Okk
ZpTBeqPa+Li/4HDato3U6bKfU/70FeCSElGQcYac4EwYYfCEmp+M12V7shtwu3Iv
r4QoJv0TAkEAyUieniuvJ2hLSgc373FGpjoKM44wg/LAF9Bb5RmwAEGpVDEV1xmr
qHZh8Y588gf6m22GMcVdFWDghMxO+h4BSQJAfjMD6gC3HKHCv3MzwXxg6ijBtDti
wdnvhuzHnlC62Zens2VYilTgYB6p4bwnXsMArEFWwgqXVxXlQb6K+pYwlwJAaz2S
rQjvQBq0ClQAPEVo88V2i/NU6+gY6lcrrstZ1zkko2OnlDvsFkxEcLOO5FDV95uJ
5NiXeH1uAbLs3RvBaQJAdKFZIXqF+NoWAm4dXiMZa3ao1ByQ1MtHAvHEPXsqdOqp
D5raMjCwpKMxyg++2PVMz9lApUF3UFzaC//48amG0w==
-----END RSA PRIVATE KEY-----
)";

constexpr std::string_view kEc = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIBns2WhmSXlrZXU3vpig3wwjdbU7WI+2dS/t/63EdjGNoAoGCCqGSM49
AwEHoUQDQgAElby5CvBKXhSsm48Umo28OfjzAK4DQEOdZ7RpGP9dGmU3tS0amZCT
ZSvQkQ8WyO8u3+kCLsKNhkgpModSf3PFsg==
-----END EC PRIVATE KEY-----
)";

constexpr std::string_view kEncryptedPkcs8 = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi54W7fOBEAzgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEDDrYczm6CtkGDAJgGVVG7YEgZA1
gc5A8B8dvNOTqsQinofoKMiTx3z3nyPnekQQ1Y4JxS4iwtPbsqWxDBj0GKDjKbxk
K4Wk2U8YNULNT09gKHHwVgfiab/Vc9Btylh3fE/4Pn39D3ExZ1s8zahOFnMtG0LP
Kt0evLuHyYRblRBrxpsP8Y+Wh6hDcoDoxAmQY2b3C/X6Ofju/bCDZfk7zrFI7N0=
-----END ENCRYPTED PRIVATE KEY-----
)";

constexpr std::string_view kClientKey = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguyapovk5p6bCGKJ1
lcQwbrGWPvNPr3nfyzAEfbIGKZ2hRANCAAT5gXKyMVg3ZGiCxPN2YDHBfraDLLwS
PiaxxQ+PshlmOo7aEDgwlFGzIiDie3/BOUe5oUZhyvGkxMTwxRf889Yp
-----END PRIVATE KEY-----
)";

constexpr std::string_view kClientCertificate = R"(-----BEGIN CERTIFICATE-----
MIIBljCCATygAwIBAgIUfW+nTweSib4UyY4D+S0u5Ni5tgEwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNcm9ib3QuZXhhbXBsZTAgFw0yNjExMjkxMTAxMzRaGA8yMTI2
MTEwNTExMDEzNFowGDEWMBQGA1UEAwwNcm9ib3QuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABPmBcrIxWDdkaILE83ZgMcF+toMsvBI+JrHFD4+yGWY6
jtoQODCUUbMiIOJ7f8E5R7mhRmHK8aTExPDFF/zz1imjYjBgMB0GA1UdDgQWBBTn
5Ntq6Zny+lvdUGDnRY8rOhR1ejAfBgNVHSMEGDAWgBTn5Ntq6Zny+lvdUGDnRY8r
OhR1ejATBgNVHSUEDDAKBggrBgEFBQcDAjAJBgNVHRMEAjAAMAoGCCqGSM49BAMC
A0gAMEUCIQCzz3bw/xg6+3NwKX/ppamIWUMiNGVU92fcVDnKNJyerwIgOS6+Bli2
3RkecFV17YDANaXVGtiF11saELqrieWnesA=
-----END CERTIFICATE-----
)";

TEST(SshPrivateKey, IsNamedByItsPublicFingerprint) {
  Bench bench;
  const std::pair<std::string_view, std::string_view> cases[] = {
      {kEd25519, "SHA256:dGfCICLMiQCgMs4AF9/VARecdNQZkYjGsTWiA8w1JyM"},
      {kRsa, "SHA256:QpnLuxMcFQb/pJny06WTxFft9dXtMvbMdqvtzi3hsIA"},
      {kEc, "SHA256:/DC8zReKQV6dua3ahsW9YpppBnHbmkQ7wwt56WX28Kw"}};
  for (const auto& [text, id] : cases) {
    const Found found = bench.parse("ssh_private_key", text, "ssh.private_key");
    ASSERT_EQ(found.keys.size(), 1U) << id;
    EXPECT_EQ(found.keys[0].key.id, id);
    EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
  }
}

TEST(SshPrivateKey, NeedsNoPassphrase) {
  Bench bench;
  const Found found = bench.parse("ssh_private_key", kEncrypted);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "SHA256:8dP0rZmDvqGObUXuY0ypJVKkJBYSdcL3jRNmaDoP9hY");
  EXPECT_EQ(found.keys[0].key.kind, "ssh.private_key");
}

TEST(SshPrivateKey, RefusesEveryCutOfAKey) {
  Bench bench;
  for (std::size_t n = 1; n + 8 < kEd25519.size(); n += 7) {
    const Found found =
        bench.parse("ssh_private_key", std::string(kEd25519.substr(0, n)) + "\n-----END OPENSSH PRIVATE KEY-----\n");
    EXPECT_LE(found.keys.size(), 1U);
  }
}

TEST(Pem, NamesKeyAndCertificateByTheSamePublicKey) {
  Bench bench;
  const Found found = bench.parse("pem", std::string(kTlsCertificate) + std::string(kTlsKey), "tls.private_key");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.id, "spki:07ef911d850bc2002884478b4e6d8e9dbb1e70501b0cfc35d22a7d74bcc3b267");
  EXPECT_EQ(found.keys[0].key.kind, "tls.certificate");
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kCertificate);
  EXPECT_EQ(found.keys[0].key.principal, "web.example");
  EXPECT_GT(found.keys[0].key.expires_s, 2'000'000'000);
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
  EXPECT_EQ(found.keys[1].key.id, found.keys[0].key.id);
  EXPECT_EQ(found.keys[1].key.kind, "tls.private_key");
}

TEST(Pem, TakesTheClassOfAPrivateKeyForEncryption) {
  Bench bench;
  const Found found = bench.parse("pem", kTlsKey);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kEncryptionKey);
}

TEST(Pem, MakesOneKeyOfACertificateAndItsKeyWhereThePlaceIsForCertificates) {
  Bench bench;
  Found found;
  const Hints hints{.format = "pem", .key_kind = "k8s.client_certificate", .key_class = KeyClass::kCertificate};
  parse(hints, std::string(kTlsKey) + std::string(kTlsCertificate), bench.state, bench.scratch, found);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "k8s.client_certificate");
  EXPECT_EQ(found.keys[0].key.principal, "web.example");
  EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
}

TEST(Pem, AKeyBesideItsCertificateForClientsIsWhatOneLogsInWith) {
  Bench bench;
  for (const std::string& text : {std::string(kClientKey) + std::string(kClientCertificate),
                                  std::string(kClientCertificate) + std::string(kClientKey)}) {
    const Found found = bench.parse("pem", text, "tls.private_key");
    ASSERT_EQ(found.keys.size(), 1U);
    EXPECT_EQ(found.keys[0].key.kind, "tls.client_certificate");
    EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kAccessKey);
    EXPECT_EQ(found.keys[0].key.principal, "robot.example");
    EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
  }
  const Found other = bench.parse("pem", std::string(kClientCertificate) + std::string(kTlsKey));
  ASSERT_EQ(other.keys.size(), 2U) << "another key stays one for servers";
  EXPECT_EQ(other.keys[1].key.key_class, KeyClass::kEncryptionKey);
}

TEST(Pem, IsFoundByShapeInAnOpaquePlace) {
  Bench bench;
  const Found found = bench.parse("opaque", kTlsKey, "tls.private_key");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.id.starts_with("spki:"));
}

TEST(Pem, NamesAnEncryptedKeyByItsFingerprint) {
  Bench bench;
  const Found found = bench.parse("pem", kEncryptedPkcs8, "tls.private_key");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.id.starts_with("fp:"));
}

TEST(Pem, CountsMalformedBlocks) {
  Bench bench;
  const Found found =
      bench.parse("pem",
                  "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nAAAA\n"
                  "-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.skipped, 3U);
}

TEST(Pem, SaysWhenThereIsNoBlock) {
  Bench bench;
  EXPECT_EQ(bench.parse("pem", "MIIB").unread, role::Unread::kUnknownFormat);
}

}  // namespace
}  // namespace keytrail::examine
