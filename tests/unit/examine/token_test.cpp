// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "keytrail/workload.h"
#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

std::string base64url(std::string_view text) {
  std::string out(text.size() * 2 + 8, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  while (!out.empty() && out.back() == '=')
    out.pop_back();
  for (char& c : out)
    c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string token(std::string_view header, std::string_view claims) {
  return base64url(header) + "." + base64url(claims) + ".c2lnbmF0dXJlLXNpZ25hdHVyZQ";
}

constexpr std::string_view kHeader = R"({"alg":"RS256","kid":"k1"})";
constexpr std::string_view kProjected =
    R"({"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:payments:api","jti":"j-1",)"
    R"("iat":1700000000,"exp":1700003607,"kubernetes.io":{"namespace":"payments"}})";

TEST(Jwt, ReadsTheClaimsOfAProjectedToken) {
  Bench bench;
  const std::string text = token(kHeader, kProjected);
  const Found found =
      bench.parse("jwt", "\n" + text + "\n", "k8s.service_account_token", false, KeyClass::kIdentityToken);
  ASSERT_EQ(found.keys.size(), 1U);
  const Key& key = found.keys[0].key;
  EXPECT_EQ(key.id, "k1/j-1");
  EXPECT_EQ(key.kind, "k8s.service_account_token");
  EXPECT_EQ(key.principal, "system:serviceaccount:payments:api");
  EXPECT_EQ(key.issued_s, 1700000000);
  EXPECT_EQ(key.expires_s, 1700003607);
  EXPECT_EQ(key.lifetime, Lifetime::kShortLived);
  EXPECT_EQ(key.key_class, KeyClass::kIdentityToken);
  EXPECT_EQ(key.fingerprint, bench.print(text));
}

std::vector<Claim> claims_in(const std::string& claims) {
  Bench bench;
  return bench.parse("jwt", token(kHeader, claims), "k8s.service_account_token").keys.at(0).claims;
}

TEST(Jwt, OfASpiffeWorkloadNamesIt) {
  Bench bench;
  const auto parsed = [&](const char* claims) { return bench.parse("jwt", token(kHeader, claims), "").keys.at(0); };
  const KeyFact svid = parsed(R"({"sub":"spiffe://kt.test/web","aud":["vault"],"exp":1700000300,"iat":1700000000})");
  EXPECT_EQ(svid.claims, (std::vector<Claim>{{fact::kSpiffeId, "spiffe://kt.test/web"}}));
  EXPECT_EQ(svid.key.kind, "spiffe.jwt_svid");
  EXPECT_EQ(svid.key.lifetime, Lifetime::kShortLived);
  EXPECT_TRUE(parsed(R"({"sub":"spiffe://kt.test","exp":1700000300})").claims.empty()) << "a trust domain";
  EXPECT_TRUE(parsed(R"({"sub":"spiffe://kt.test/web","kubernetes.io":{}})").claims.empty()) << "a pod's";
}

TEST(Jwt, SaysWhichPodAServiceAccountTokenIsFor) {
  EXPECT_EQ(
      claims_in(R"({"kubernetes.io":{"namespace":"payments","node":{"name":"n1","uid":"u"},)"
                R"("pod":{"name":"api-1","uid":"p-1"},"serviceaccount":{"name":"api","uid":"u"},"warnafter":1}})"),
      (std::vector<Claim>{{fact::kNamespace, "payments"},
                          {fact::kServiceAccount, "api"},
                          {fact::kPodName, "api-1"},
                          {fact::kPodUid, "p-1"},
                          {fact::kNodeName, "n1"}}));
  EXPECT_EQ(claims_in(R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",)"
                      R"("kubernetes.io/serviceaccount/secret.name":"s",)"
                      R"("kubernetes.io/serviceaccount/service-account.name":"web"})"),
            (std::vector<Claim>{{fact::kNamespace, "shop"}, {fact::kServiceAccount, "web"}}));
  EXPECT_TRUE(claims_in(R"({"iss":"https://oidc.example","sub":"me"})").empty());
  EXPECT_TRUE(claims_in(R"({"kubernetes.io":{"namespace":7,"pod":"x","serviceaccount":{"name":["a"]}}})").empty());
  EXPECT_TRUE(
      claims_in(R"({"kubernetes.io":{"namespace":"a\u0007b","pod":{"name":")" + std::string(300, 'x') + R"("}}})")
          .empty());
}

TEST(Jwt, TakesATokenWithoutEndForLongLived) {
  Bench bench;
  const Found found = bench.parse("jwt", token(kHeader, R"({"iss":"kubernetes/serviceaccount","sub":"s"})"),
                                  "k8s.service_account_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "k8s.legacy_service_account_token");
  EXPECT_EQ(found.keys[0].key.lifetime, Lifetime::kLongLived);
  EXPECT_TRUE(found.keys[0].key.id.starts_with("fp:"));
}

TEST(Jwt, TellsByTheAudienceWhetherAServiceAccountTokenIsForTheApiServer) {
  Bench bench;
  const auto kind = [&](const std::string& audience) {
    const std::string claims = R"({"iss":"https://oidc.example","exp":1,"kubernetes.io":{},"aud":)" + audience + "}";
    return bench.parse("jwt", token(kHeader, claims), "k8s.projected_token").keys.at(0).key.kind;
  };
  EXPECT_EQ(kind(R"(["https://kubernetes.default.svc"])"), "k8s.service_account_token");
  EXPECT_EQ(kind(R"("https://oidc.example")"), "k8s.service_account_token");
  EXPECT_EQ(kind(R"(["sts.amazonaws.com"])"), "k8s.projected_token");
  EXPECT_EQ(kind("[7]"), "k8s.projected_token");
}

TEST(Jwt, RefusesWhatIsNone) {
  Bench bench;
  for (const std::string& text :
       {std::string("hello"), std::string("eyJ.eyJ.x"), token("[1]", "{}"), token(kHeader, "{"), token("{}", "{}"),
        token(kHeader, std::string(200, '[')), std::string("eyJh..")}) {
    EXPECT_EQ(bench.parse("jwt", text).unread, role::Unread::kUnknownFormat) << text;
  }
}

TEST(Jwt, DropsAbsurdClaims) {
  Bench bench;
  const Found found = bench.parse(
      "jwt", token(R"({"alg":"none","kid":"a\u0000b"})", R"({"sub":"a\u001b[31m","iat":-5,"exp":1e300,"jti":"x"})"));
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.principal.empty());
  EXPECT_TRUE(found.keys[0].key.id.starts_with("fp:"));
  EXPECT_EQ(found.keys[0].key.expires_s, 0);
}

TEST(RawToken, GivesTheFingerprintOfTheTrimmedContent) {
  Bench bench;
  const Found found = bench.parse("raw_token", "  hvs.CAESIJabcdefgh \n", "vault.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, bench.print("hvs.CAESIJabcdefgh").text());
  EXPECT_EQ(found.keys[0].key.kind, "vault.token");
}

TEST(RawToken, RecognisesATokenByItsShape) {
  Bench bench;
  const Found found = bench.parse("raw_token", token(kHeader, kProjected), "vault.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "k1/j-1");
}

TEST(Opaque, FindsTheAwsKeyInside) {
  Bench bench;
  const Found found = bench.parse(
      "opaque", "s3:\n  key: AKIAIOSFODNN7AAAAAAA\n  secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEAAA\n", "unknown");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "AKIAIOSFODNN7AAAAAAA");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEAAA"));
}

TEST(Opaque, ShortValuesHaveATagAndKeepTheirFingerprint) {
  Bench bench;
  const auto id = [&](std::string_view value) {
    const Found found = bench.parse("opaque", value, "db.password");
    EXPECT_TRUE(found.keys.at(0).key.fingerprint.empty());
    return found.keys[0].key.id;
  };
  EXPECT_EQ(label_of(id("hunter2\n")), "db.password");
  EXPECT_EQ(id("hunter2\n"), id("hunter2"));
  EXPECT_NE(id("hunter2"), id("hunter3"));
}

TEST(Opaque, ATagOutlivesTheExaminerAndIsTheNodesOwn) {
  const auto id = [](std::uint8_t key) {
    Bench bench;
    bench.state.key[0] = key;
    return bench.parse("opaque", "hunter2", "db.password").keys.at(0).key.id;
  };
  EXPECT_EQ(id(1), id(1));
  EXPECT_NE(id(1), id(2)) << "without the key no guess can be tried";
}

TEST(Opaque, ATagIsNoPartOfTheFingerprint) {
  Bench bench;
  const std::string tag = tag_of(bench.state.key, "hunter2");
  EXPECT_EQ(tag.size(), 16U);
  EXPECT_FALSE(bench.print("hunter2").text().contains(tag));
}

TEST(Opaque, NoFloodChangesATag) {
  Bench bench;
  std::set<std::string> ids;
  for (int i = 0; i < 20000; ++i)
    ids.insert(bench.parse("opaque", "word " + std::to_string(i), "db.password").keys.at(0).key.id);
  EXPECT_EQ(ids.size(), 20000U);
  EXPECT_TRUE(ids.contains(bench.parse("opaque", "word 0", "db.password").keys.at(0).key.id));
}

TEST(Opaque, GuessableKindsOfAnyLengthHaveATag) {
  Bench bench;
  const Found found = bench.parse("opaque", "correct horse battery staple", "db.password", true);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(label_of(found.keys[0].key.id), "db.password");
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
}

TEST(Opaque, ADatabaseIsNoSecret) {
  Bench bench;
  const Found found = bench.parse("opaque", std::string("SQLite format 3\0\x10 rows", 22), "gcp.access_token");
  EXPECT_EQ(found.unread, role::Unread::kUnknownFormat);
  EXPECT_TRUE(found.keys.empty());
}

TEST(Opaque, SaysNothingOfAnEmptyFile) {
  Bench bench;
  const Found found = bench.parse("opaque", "\n", "x");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.unread, role::Unread::kNone);
}

}  // namespace
}  // namespace keytrail::examine
