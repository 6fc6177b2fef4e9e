// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/ring_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/replay/fake_ring.h"

namespace keytrail::capture {
namespace {

using replay::FakeRing;
using Step = RingReader::Step;

constexpr std::uint32_t kBytes = 1U << 16U;

std::vector<std::byte> bytes_of(std::size_t count, std::uint8_t value) {
  return std::vector<std::byte>(count, std::byte{value});
}

struct RingReaderTest : testing::Test {
  FakeRing fake{kBytes};
  RingReader reader = *RingReader::map(fake.fd(), kBytes);
  RingReader::Record record;
};

TEST_F(RingReaderTest, EmptyRingHasNothing) {
  std::uint64_t cursor = reader.consumer();
  EXPECT_EQ(reader.peek(cursor, record), Step::kEmpty);
}

TEST_F(RingReaderTest, GivesTheRecordsBytesAndItsEnd) {
  fake.write(bytes_of(13, 7));
  std::uint64_t cursor = 0;
  ASSERT_EQ(reader.peek(cursor, record), Step::kRecord);
  EXPECT_EQ(record.length, 13U);
  EXPECT_EQ(record.data[12], std::byte{7});
  EXPECT_EQ(record.end, 24U);  // 8 + 13, rounded up to 8
}

TEST_F(RingReaderTest, BusyRecordStopsTheReaderUntilItIsWritten) {
  fake.write(bytes_of(16, 1), FakeRing::kBusy);
  fake.write(bytes_of(16, 2));
  std::uint64_t cursor = 0;
  EXPECT_EQ(reader.peek(cursor, record), Step::kBusy);
  EXPECT_EQ(cursor, 0U);
  EXPECT_EQ(record.end, 24U);
}

TEST_F(RingReaderTest, DiscardedRecordsArePassedOver) {
  fake.write(bytes_of(16, 1), FakeRing::kDiscard);
  fake.write(bytes_of(16, 2));
  std::uint64_t cursor = 0;
  ASSERT_EQ(reader.peek(cursor, record), Step::kRecord);
  EXPECT_EQ(record.data[0], std::byte{2});
}

TEST_F(RingReaderTest, RecordThatWrapsIsReadInOnePiece) {
  fake.start_at(kBytes - 16);
  reader.set_consumer(fake.consumer());
  fake.write(bytes_of(64, 9));
  std::uint64_t cursor = reader.consumer();
  ASSERT_EQ(reader.peek(cursor, record), Step::kRecord);
  for (std::size_t i = 0; i < 64; ++i)
    EXPECT_EQ(record.data[i], std::byte{9}) << i;
}

TEST(RingReaderMapTest, TheLongestRecordThatWrapsIsReadInOnePiece) {
  constexpr std::uint32_t kLarge = 1U << 20U;
  FakeRing fake(kLarge);
  RingReader reader = *RingReader::map(fake.fd(), kLarge);
  fake.start_at(kLarge - 8);  // its header is the last of the first row, all of its bytes lie in the second
  reader.set_consumer(fake.consumer());
  ASSERT_TRUE(fake.write(bytes_of(RingReader::kRecordMax - 8, 9)));
  RingReader::Record record;
  std::uint64_t cursor = reader.consumer();
  ASSERT_EQ(reader.peek(cursor, record), Step::kRecord);
  EXPECT_EQ(record.data[record.length - 1], std::byte{9});
  reader.set_consumer(record.end);
  ASSERT_TRUE(fake.write(bytes_of(RingReader::kRecordMax - 7, 9)));
  cursor = reader.consumer();
  EXPECT_EQ(reader.peek(cursor, record), Step::kEmpty) << "longer ones are no records";
  EXPECT_EQ(reader.corrupt(), 1U);
}

TEST_F(RingReaderTest, LengthBeyondWhatWasWrittenIsGivenUpAndCounted) {
  for (std::uint32_t length : {17U, kBytes, 0x3FFFFFFFU}) {
    const std::uint64_t before = reader.corrupt();
    std::uint64_t cursor = fake.producer();
    fake.write_as(bytes_of(16, 1), length + 8);
    EXPECT_EQ(reader.peek(cursor, record), Step::kEmpty) << length;
    EXPECT_EQ(cursor, fake.producer());
    EXPECT_EQ(reader.corrupt(), before + 1);
    reader.set_consumer(cursor);
  }
}

TEST_F(RingReaderTest, DamagedConsumerPositionsAreGivenUpAndCounted) {
  fake.write(bytes_of(16, 1));
  for (std::uint64_t position : {std::uint64_t{3}, std::uint64_t{1} << 40U, ~std::uint64_t{0}}) {
    std::uint64_t cursor = position;
    EXPECT_EQ(reader.peek(cursor, record), Step::kEmpty) << position;
    EXPECT_EQ(cursor, fake.producer());
  }
  EXPECT_EQ(reader.corrupt(), 3U);
}

TEST(RingReaderMapTest, RefusesSizesThatNoRingHas) {
  const FakeRing fake(kBytes);
  for (std::uint32_t bytes : {1U, 100U, 4097U, 65537U}) {
    const auto reader = RingReader::map(fake.fd(), bytes);
    ASSERT_FALSE(reader) << bytes;
    EXPECT_EQ(reader.error().code, Error::Code::kInvalid);
  }
}

TEST(RingReaderMapTest, AsksTheKernelOnlyForBpfMaps) {
  const FakeRing fake(kBytes);
  const auto reader = RingReader::map(fake.fd(), 0);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, Error::Code::kNotFound);
}

TEST(RingReaderMapTest, ReportsADescriptorThatCannotBeMapped) {
  const auto reader = RingReader::map(-1, kBytes);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, Error::Code::kSystem);
}

}  // namespace
}  // namespace keytrail::capture
