// SPDX-License-Identifier: Apache-2.0
// Names of hosts and of programs, and who is believed about them.
#include "agent/link/names.h"

#include <gtest/gtest.h>

#include "agent/link/acquisitions.h"
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

TEST(FakeClock, AnyMomentHasAWallTime) {
  const FakeClock clock;
  EXPECT_EQ(clock.to_wall(clock.now + 7), clock.wall_ns() + 7);
  EXPECT_EQ(clock.to_wall(0), clock.wall_ns() - static_cast<std::int64_t>(clock.now));
  for (const std::uint64_t moment : {std::uint64_t{INT64_MAX}, UINT64_MAX})
    (void)clock.to_wall(moment);  // the sanitizer sees an overflow
}

}  // namespace
}  // namespace keytrail::link
