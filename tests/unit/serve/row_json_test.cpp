// SPDX-License-Identifier: Apache-2.0
// Rows as JSON: names, times, text from outside.
#include "agent/serve/row_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "agent/base/times.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using base::format_rfc3339;
using base::parse_rfc3339;
namespace json = boost::json;

TEST(Times, RoundTripWithNanoseconds) {
  EXPECT_EQ(format_rfc3339(kNoon + 123'456'789), "2025-11-21T12:00:00.123456789Z");
  EXPECT_EQ(parse_rfc3339("2025-11-21T12:00:00.123456789Z"), kNoon + 123'456'789);
  EXPECT_EQ(parse_rfc3339("2025-11-21T13:00:00+01:00"), kNoon);
  EXPECT_EQ(parse_rfc3339("2025-11-21T12:00:00.5Z"), kNoon + kSecond / 2);
  EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(Times, MalformedOnesAreRefused) {
  for (const char* text : {"", "yesterday", "2025-11-21", "2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z",
                           "2025-11-21T24:00:00Z", "2025-11-21T12:00:00", "2025-11-21T12:00:00.Z",
                           "2025-11-21T12:00:00Zx", "9999-01-01T00:00:00Z", "2025-11-21T12:00:00+25:00"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

TEST(RowJson, AKeysEndMayBeAnyNumber) {
  UseRow use = make_use();
  const auto end = [&](std::int64_t seconds) {
    use.keys[0].key.expires_s = seconds;
    return to_json(make_row(7, use)).at("keys").as_array().at(0).at("key").at("expires");
  };
  EXPECT_EQ(end(253'402'300'799).as_string(),
            "9999-12-31T23:59:59.000000000Z");  // RFC 5280, section 4.1.2.5: a certificate without end
  EXPECT_EQ(end(1).as_string(), "1970-01-01T00:00:01.000000000Z");
  for (const std::int64_t seconds : {INT64_MAX, INT64_MIN, std::int64_t{253'402'300'800}})
    EXPECT_TRUE(end(seconds).is_null());
}

TEST(RowJson, UseHasEveryAgreedField) {
  const json::object row = to_json(make_row(7, make_use()));
  EXPECT_EQ(row.at("seq").as_uint64(), 7U);
  EXPECT_EQ(row.at("type").as_string(), "use");
  EXPECT_EQ(row.at("time").as_string(), "2025-11-21T12:00:00.000000000Z");
  EXPECT_EQ(row.at("actor").at("pid").as_uint64(), 8121U);
  EXPECT_EQ(row.at("actor").at("workload").at("name").as_string(), "payments/api");
  EXPECT_EQ(row.at("keys").as_array().at(0).at("key").at("id").as_string(), kKeyId);
  EXPECT_EQ(row.at("keys").as_array().at(0).at("slot").at("selector").as_string(), "prod");
  EXPECT_EQ(row.at("keys").as_array().at(0).at("reason").as_string(), "selector");
  EXPECT_EQ(row.at("destination").at("name_source").as_string(), "sni");
  EXPECT_EQ(row.at("evidence").as_string(), "inferred");
  EXPECT_TRUE(row.at("requests").is_null());
  EXPECT_EQ(row.at("connections").as_uint64(), 1234U);
  EXPECT_TRUE(row.at("keys").as_array().at(0).at("key").at("expires").is_null());
}

TEST(RowJson, AnExecutableIsAFileAndNotItsPath) {
  UseRow use = make_use();
  const auto file = [&] { return json::serialize(to_json(make_row(7, use)).at("actor").at("exe_file")); };
  EXPECT_EQ(file(), R"({"device":null,"inode":0,"deleted":false})") << "not known";
  use.actor.file = {.dev = 8U << 20U | 1U, .inode = 77};
  EXPECT_EQ(file(), R"({"device":"8:1","inode":77,"deleted":false})");
  use.actor.file = {.dev = 1, .inode = UINT64_MAX, .deleted = true};
  EXPECT_EQ(file(), R"({"device":"0:1","inode":18446744073709551615,"deleted":true})") << "in memory only";
}

TEST(RowJson, GapRevisionAndFindingHaveTheirs) {
  GapRow gap;
  gap.cause = "ring_full";
  gap.from_ns = kNoon;
  gap.to_ns = kNoon + 1;
  EXPECT_TRUE(to_json(make_row(1, gap)).at("lost").is_null());
  gap.lost = 0;
  EXPECT_EQ(to_json(make_row(1, gap)).at("lost").as_uint64(), 0U);
  FindingRow finding;
  finding.type = "old_key_in_use";
  finding.attack = {"T1552.001"};
  const json::object row = to_json(make_row(2, finding));
  EXPECT_EQ(row.at("type").as_string(), "finding");
  EXPECT_EQ(row.at("finding_type").as_string(), "old_key_in_use");
  EXPECT_EQ(row.at("attack").as_array().at(0).as_string(), "T1552.001");
  EXPECT_EQ(to_json(make_row(3, RevisionRow{2, Revised::kState, "resolved"})).at("of_seq").as_uint64(), 2U);
}

TEST(RowJson, TextFromOutsideIsValidUtf8WithoutControlCharacters) {
  AcquisitionRow row = make_acquisition();
  row.slot.place = "/tmp/x\x1b]0;owned\a\n{\"a\":1}\xff\xe2\x80\xae";
  const std::string text = to_json_text(make_row(1, row));
  for (const char c : text)
    EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  EXPECT_THAT(text, ::testing::HasSubstr("\\\\x1b]0;owned\\\\x07\\\\x0a{\\\"a\\\":1}\\\\xff\\\\u{202e}"));
  boost::system::error_code error;
  json::parse(text, error);
  EXPECT_FALSE(error);
}

}  // namespace
}  // namespace keytrail::serve
