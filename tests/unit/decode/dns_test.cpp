// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/dns.h"

#include <gtest/gtest.h>

#include "tests/unit/decode/wire.h"

namespace keytrail::decode {
namespace {

using test::Wire;

Wire name(std::string_view text) {
  Wire out;
  while (!text.empty()) {
    const std::string_view label = text.substr(0, text.find('.'));
    out.u8(static_cast<unsigned>(label.size())).text(label);
    text.remove_prefix(std::min(text.size(), label.size() + 1));
  }
  return out.u8(0);
}
Wire header(std::size_t answers, std::size_t flags = 0x8180) {
  return Wire().u16(7).u16(flags).u16(1).u16(answers).u16(0).u16(0);
}
Wire question(std::string_view text) { return name(text).u16(1).u16(1); }
Wire record(const Wire& owner, std::size_t type, std::size_t ttl, const Wire& data) {
  return Wire().add(owner).u16(type).u16(1).u32(ttl).u16(data.size()).add(data);
}
const Wire kToQuestion = Wire().u16(0xC00C);
const Wire kAddress = Wire().u8(10).u8(0).u8(0).u8(9);

TEST(DnsTest, GivesTheAddressesOfTheQuestion) {
  const DnsMessage message = parse_dns(header(2)
                                           .add(question("S3.Amazonaws.com"))
                                           .add(record(kToQuestion, 1, 60, kAddress))
                                           .add(record(kToQuestion, 28, 30, Wire().zeros(15).u8(1))));
  ASSERT_EQ(message.answers.size(), 2U);
  EXPECT_EQ(message.answers[0].name, "s3.amazonaws.com");
  EXPECT_EQ(message.answers[0].address.address[3], 9);
  EXPECT_EQ(message.answers[0].ttl_s, 60U);
  EXPECT_TRUE(message.answers[1].address.v6);
  EXPECT_EQ(message.answers[1].address.address[15], 1);
  EXPECT_FALSE(message.truncated || message.malformed);
}

TEST(DnsTest, FollowsCnamesInAnyOrderWithTheShortestTtl) {
  const DnsMessage message = parse_dns(header(3)
                                           .add(question("a.example"))
                                           .add(record(name("c.example"), 1, 300, kAddress))
                                           .add(record(name("b.example"), 5, 20, name("c.example")))
                                           .add(record(kToQuestion, 5, 100, name("b.example"))));
  ASSERT_EQ(message.answers.size(), 1U);
  EXPECT_EQ(message.answers[0].name, "a.example");
  EXPECT_EQ(message.answers[0].ttl_s, 20U);
}

TEST(DnsTest, AddressOfAnotherNameIsNotTheAnswer) {
  EXPECT_TRUE(parse_dns(header(1).add(question("a.example")).add(record(name("sts.amazonaws.com"), 1, 300, kAddress)))
                  .answers.empty());
}

TEST(DnsTest, CnameLoopEnds) {
  const DnsMessage message = parse_dns(header(3)
                                           .add(question("a.example"))
                                           .add(record(kToQuestion, 5, 9, name("b.example")))
                                           .add(record(name("b.example"), 5, 9, name("a.example")))
                                           .add(record(name("b.example"), 1, 9, kAddress)));
  EXPECT_EQ(message.answers.size(), 1U);
}

TEST(DnsTest, CompressionLoopsAreRefused) {
  for (std::size_t target : {0xC00CU, 0xC00DU, 0xC000U, 0xFFFFU}) {
    EXPECT_TRUE(parse_dns(header(0).add(Wire().u16(target).u16(1).u16(1))).malformed) << target;
  }
  const DnsMessage message =
      parse_dns(header(1).add(question("a.b")).add(record(Wire().u8(1).text("x").u16(0xC015), 1, 9, kAddress)));
  EXPECT_TRUE(message.answers.empty());
  EXPECT_TRUE(message.truncated);
}

TEST(DnsTest, LongChainOfPointersIsRefusedWhenTheNameGrowsTooLong) {
  Wire data = header(1);
  for (int i = 0; i < 10; ++i)
    data.u8(60).text(std::string(60, 'a'));
  data.u8(0).u16(1).u16(1);
  EXPECT_TRUE(parse_dns(data).malformed);
}

TEST(DnsTest, QueriesAndOtherOperationsAreMalformed) {
  EXPECT_TRUE(parse_dns(header(0, 0x0100).add(question("a.b"))).malformed);
  EXPECT_TRUE(parse_dns(header(0, 0xA800).add(question("a.b"))).malformed);
  EXPECT_TRUE(parse_dns({}).malformed);
}

TEST(DnsTest, NoSuchNameIsAnEmptyAnswer) {
  const DnsMessage message = parse_dns(header(0, 0x8183).add(question("a.b")));
  EXPECT_FALSE(message.malformed);
  EXPECT_TRUE(message.answers.empty());
}

TEST(DnsTest, NamesWithBytesNoHostHasAreDropped) {
  // A dot within a label.
  EXPECT_TRUE(parse_dns(header(0).add(Wire().u8(3).text("a.b").u8(0).u16(1).u16(1))).malformed);
  EXPECT_TRUE(parse_dns(header(0).add(Wire().u8(2).text("\x1b[").u8(0).u16(1).u16(1))).malformed);
}

TEST(DnsTest, WrongAddressSizesAreIgnored) {
  EXPECT_TRUE(
      parse_dns(header(1).add(question("a.b")).add(record(kToQuestion, 1, 9, Wire().zeros(5)))).answers.empty());
  EXPECT_TRUE(parse_dns(header(1).add(question("a.b")).add(record(kToQuestion, 28, 9, kAddress))).answers.empty());
}

TEST(DnsTest, NegativeTtlIsZero) {
  EXPECT_EQ(
      parse_dns(header(1).add(question("a.b")).add(record(kToQuestion, 1, 0x80000001, kAddress))).answers.at(0).ttl_s,
      0U);
}

TEST(DnsTest, AnswersAreBounded) {
  Wire data = header(200).add(question("a.b"));
  for (int i = 0; i < 200; ++i)
    data.add(record(kToQuestion, 1, 9, kAddress));
  const DnsMessage message = parse_dns(data);
  EXPECT_EQ(message.answers.size(), 64U);
  EXPECT_TRUE(message.truncated);
}

TEST(DnsTest, CutAnywhereOnlyCompleteRecordsCount) {
  const Wire whole = header(2)
                         .add(question("a.example"))
                         .add(record(kToQuestion, 5, 100, name("b.example")))
                         .add(record(name("b.example"), 1, 300, kAddress));
  test::for_each_prefix(whole, [&](std::span<const std::byte> part) {
    const DnsMessage message = parse_dns(part);
    EXPECT_EQ(message.answers.size(), part.size() == whole.size() ? 1U : 0U);
    EXPECT_EQ(message.malformed || message.truncated, part.size() != whole.size()) << part.size();
  });
  test::for_each_damage(whole, [](std::span<const std::byte> data) { (void)parse_dns(data); });
}

}  // namespace
}  // namespace keytrail::decode
