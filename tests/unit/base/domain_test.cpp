// SPDX-License-Identifier: Apache-2.0
#include "agent/base/domain.h"

#include <gtest/gtest.h>

namespace keytrail::base {
namespace {

struct Case {
  const char* host;
  const char* domain;
};

TEST(Domain, IsWhatOneOwnerRegistered) {
  for (const auto& [host, domain] : {
           Case{"sts.eu-west-1.amazonaws.com", "amazonaws.com"},
           Case{"evil-123.eu-west-1.elb.amazonaws.com", "evil-123.eu-west-1.elb.amazonaws.com"},
           Case{"elb.amazonaws.com", "elb.amazonaws.com"},
           Case{"bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com"},
           Case{"s3.amazonaws.com", "s3.amazonaws.com"},
           Case{"a.me.github.io", "me.github.io"},
           Case{"www.example.co.uk", "example.co.uk"},
           Case{"auth.docker.io", "docker.io"},
           Case{"vault.team.svc.cluster.local", "cluster.local"},
           Case{"localhost", "localhost"},
           Case{"10.0.0.1", "10.0.0.1"},
           Case{"::1", "::1"},
           Case{".com", ".com"},
           Case{"", ""},
       }) {
    EXPECT_EQ(registrable_domain(host), domain) << host;
  }
}

TEST(Domain, OnlyALocalServerAnswersWhatNobodyCanRegister) {
  for (const char* host : {"example.com", "a.b.example.co.uk", "vault.dev"})
    EXPECT_TRUE(is_public_name(host)) << host;
  for (const char* host : {"vault.team.svc.cluster.local", "printer.local", "db.internal", "localhost", "10.0.0.1", ""})
    EXPECT_FALSE(is_public_name(host)) << host;
}

}  // namespace
}  // namespace keytrail::base
