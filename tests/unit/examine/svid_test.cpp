// SPDX-License-Identifier: Apache-2.0
// Whom an SVID names. Keys and certificates were made for these tests with openssl and are used nowhere else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/examine/spiffe_id.h"
#include "keytrail/workload.h"
#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kKey = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglhPI1TC8LdhPwLh0
xOcf/4GEoKYTe3rrWiXT3KAMxaWhRANCAARU4AYM2Bfvp/CVvGLQ4cesC1DxZWyz
+WSH9iw1Ahqo4DQSWSenTDT1mJNsosCqTftJKq+Pi80Dkg9/bnns3uKr
-----END PRIVATE KEY-----
)";
// URI:spiffe://kt.test/ns/shop/sa/web, no authority
constexpr std::string_view kSvid = R"(-----BEGIN CERTIFICATE-----
MIIB0TCCAXegAwIBAgIUUihst76A2NQxPptqvK6mfb855+AwCgYIKoZIzj0EAwIw
EDEOMAwGA1UECgwFU1BJUkUwIBcNMjYxMTMwMTMzNDA2WhgPMjEyNjExMDYxMzM0
MDZaMBAxDjAMBgNVBAoMBVNQSVJFMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
VOAGDNgX76fwlbxi0OHHrAtQ8WVss/lkh/YsNQIaqOA0Elknp0w09ZiTbKLAqk37
SSqvj4vNA5IPf2557N7iq6OBrDCBqTAdBgNVHQ4EFgQUzhu7kwrDEuvPBDVU1a4L
Z2/9EowwHwYDVR0jBBgwFoAUzhu7kwrDEuvPBDVU1a4LZ2/9EowwKgYDVR0RBCMw
IYYfc3BpZmZlOi8va3QudGVzdC9ucy9zaG9wL3NhL3dlYjAMBgNVHRMBAf8EAjAA
MB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAOBgNVHQ8BAf8EBAMCB4Aw
CgYIKoZIzj0EAwIDSAAwRQIgMeenQdWkT9mKYgR89tN4+ToeKNj+BVneKhF85CbS
qhwCIQD+R5VhAuIFCMM4AkvTQajCe4CWa/0vTktDYcAdthHmIg==
-----END CERTIFICATE-----
)";
// URI:spiffe://kt.test/a, URI:spiffe://kt.test/b
constexpr std::string_view kTwoNames = R"(-----BEGIN CERTIFICATE-----
MIIB2DCCAX6gAwIBAgIUMdfzsiYt6t5JEqKEIOaGK9s528cwCgYIKoZIzj0EAwIw
EDEOMAwGA1UECgwFU1BJUkUwIBcNMjYxMTMwMTMzNDA2WhgPMjEyNjExMDYxMzM0
MDZaMBAxDjAMBgNVBAoMBVNQSVJFMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
bKFhFAL7CQuknRvKxGLb7y6klOvS3MBUaeJbLSwJQJpMQihp4/JA7f1xR62BD2G7
4ZfB4/rEHyjMTzgJ9qJwUqOBszCBsDAdBgNVHQ4EFgQUrPA7ZbMsmARSiEycV7eY
I+R5fLQwHwYDVR0jBBgwFoAUrPA7ZbMsmARSiEycV7eYI+R5fLQwMQYDVR0RBCow
KIYSc3BpZmZlOi8va3QudGVzdC9hhhJzcGlmZmU6Ly9rdC50ZXN0L2IwDAYDVR0T
AQH/BAIwADAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwDgYDVR0PAQH/
BAQDAgeAMAoGCCqGSM49BAMCA0gAMEUCIQDBc/chFoEW1+8a9M3pP+12RYVh4hmm
dEEGxsqz8Sn0PgIgEelsStswe42UepNgWCNi8nbhGa33hIxRvjiZGQKIwn4=
-----END CERTIFICATE-----
)";
// URI:spiffe://kt.test/a of an authority
constexpr std::string_view kAuthority = R"(-----BEGIN CERTIFICATE-----
MIIByDCCAW2gAwIBAgIUFOVw+c2bJ3/7hQwozVYNo2KorhEwCgYIKoZIzj0EAwIw
EDEOMAwGA1UECgwFU1BJUkUwIBcNMjYxMTMwMTMzNDA2WhgPMjEyNjExMDYxMzM0
MDZaMBAxDjAMBgNVBAoMBVNQSVJFMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
oalbiNvtXoCVVWHdH1nXvcMbD40Z008PT1qFvzG7O3RdGrLzxK7wMiRX4Y8wu+wT
p2y+O8XNGMvyBDv44s2qvaOBojCBnzAdBgNVHQ4EFgQUg6mRre2sVvoPgPZBr5yX
JYg+jYwwHwYDVR0jBBgwFoAUg6mRre2sVvoPgPZBr5yXJYg+jYwwHQYDVR0RBBYw
FIYSc3BpZmZlOi8va3QudGVzdC9hMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0lBBYw
FAYIKwYBBQUHAwEGCCsGAQUFBwMCMA4GA1UdDwEB/wQEAwIHgDAKBggqhkjOPQQD
AgNJADBGAiEAn0TR1xXjfxx8joMdcAB2Roykfar6wDhmT7bSca/KOx0CIQCBJArM
DK5X8bODL0jFUN8iCv5O+rqAbO2PFBGmydFieg==
-----END CERTIFICATE-----
)";

const Claim kNamed{fact::kSpiffeId, "spiffe://kt.test/ns/shop/sa/web"};

TEST(SpiffeId, IsATrustDomainAndAPath) {
  for (const char* id : {"spiffe://kt.test/web", "spiffe://a/ns/shop/sa/W-1_2.3"})
    EXPECT_TRUE(is_spiffe_id(id)) << id;
  for (const char* id :
       {"", "spiffe://", "spiffe:///web", "spiffe://kt.test", "spiffe://kt.test/", "spiffe://KT.test/web",
        "spiffe://kt.test/a//b", "spiffe://kt.test/a/../b", "spiffe://kt.test/a/./b", "spiffe://kt.test/a?b",
        "spiffe://kt.test:80/a", "spiffe://u@kt.test/a", "spiffe://kt.test/a\nb", "https://kt.test/web"})
    EXPECT_FALSE(is_spiffe_id(id)) << id;
  EXPECT_FALSE(is_spiffe_id("spiffe://kt.test/" + std::string(300, 'a')));
}

TEST(X509Svid, NamesItsWorkload) {
  Bench bench;
  const Found found = bench.parse("pem", kSvid, "spiffe.x509_svid", false, KeyClass::kCertificate);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_THAT(found.keys[0].claims, ElementsAre(kNamed));
  EXPECT_EQ(found.keys[0].key.kind, "spiffe.x509_svid");
  EXPECT_EQ(found.keys[0].key.principal, kNamed.value);
  EXPECT_GT(found.keys[0].key.issued_s, 1'700'000'000);
  EXPECT_GT(found.keys[0].key.expires_s, 4'000'000'000);
}

TEST(X509Svid, IsOneKeyWithItsPrivateHalfWhereverTheyLie) {
  Bench bench;
  for (const std::string_view kind : {"spiffe.x509_svid", ""}) {
    const Found found = bench.parse("pem", std::string(kSvid) + std::string(kKey), kind, false, KeyClass::kCertificate);
    ASSERT_EQ(found.keys.size(), 1U) << kind;
    EXPECT_EQ(found.keys[0].key.kind, "spiffe.x509_svid");
    EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
    EXPECT_THAT(found.keys[0].claims, ElementsAre(kNamed));
  }
  const Found turned = bench.parse("pem", std::string(kKey) + std::string(kSvid), "tls.private_key");
  ASSERT_EQ(turned.keys.size(), 1U);
  EXPECT_THAT(turned.keys[0].claims, ElementsAre(kNamed));
  EXPECT_EQ(turned.keys[0].key.key_class, KeyClass::kAccessKey) << "what one logs in with";
}

TEST(X509Svid, WhatIsNoneNamesNobody) {
  Bench bench;
  for (const std::string_view text : {kTwoNames, kAuthority, kTlsCertificate}) {
    const Found found = bench.parse("pem", text, "spiffe.x509_svid", false, KeyClass::kCertificate);
    ASSERT_EQ(found.keys.size(), 1U);
    EXPECT_THAT(found.keys[0].claims, IsEmpty());
  }
}

}  // namespace
}  // namespace keytrail::examine
