// SPDX-License-Identifier: Apache-2.0
// The descriptions of records: nothing is forgotten, and what schema 1.0 had stays as it was (records_1.0.txt, made
// before there were descriptions; the login user, a fact of the process, has moved from the workload to the actor
// since).
#include "keytrail/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <set>

#include "agent/serve/row_json.h"
#include "tests/unit/filled.h"

namespace keytrail {

/// Three descriptions of the same two members.
namespace pairs {
struct Whole {
  int first = 0;
  std::optional<std::uint64_t> second;
};
struct Forgotten {
  int first = 0;
  std::optional<std::uint64_t> second;
};
struct Twice {
  int first = 0;
  std::optional<std::uint64_t> second;
};
}  // namespace pairs

template <>
struct Fields<pairs::Whole> {
  static constexpr auto kList =
      std::tuple{field("first", &pairs::Whole::first, ""), left_out(&pairs::Whole::second, "a reason")};
};
template <>
struct Fields<pairs::Forgotten> {
  static constexpr auto kList = std::tuple{field("first", &pairs::Forgotten::first, "")};
};
template <>
struct Fields<pairs::Twice> {
  static constexpr auto kList =
      std::tuple{field("first", &pairs::Twice::first, ""), field("again", &pairs::Twice::first, "")};
};

namespace serve {
namespace {

namespace json = boost::json;
using test::filled;
using test::filled_row;

/// What is in `was` is in `is`, with the same value; `is` may have more names.
::testing::AssertionResult contains(const json::value& is, const json::value& was, const std::string& path) {
  if (const json::object* old = was.if_object()) {
    for (const auto& [name, value] : *old) {
      const json::value* now = is.is_object() ? is.get_object().if_contains(name) : nullptr;
      const std::string here = path + "." + std::string(name);
      if (now == nullptr) return ::testing::AssertionFailure() << here << " is gone";
      if (auto same = contains(*now, value, here); !same) return same;
    }
    return ::testing::AssertionSuccess();
  }
  if (const json::array* old = was.if_array()) {
    if (!is.is_array() || is.get_array().size() != old->size())
      return ::testing::AssertionFailure() << path << " has another length";
    for (std::size_t i = 0; i < old->size(); ++i) {
      if (auto same = contains(is.get_array()[i], (*old)[i], path + "[]"); !same) return same;
    }
    return ::testing::AssertionSuccess();
  }
  if (is != was)
    return ::testing::AssertionFailure() << path << " was " << json::serialize(was) << ", is " << json::serialize(is);
  return ::testing::AssertionSuccess();
}

template <typename Body>
Row empty_row() {
  return Row{0, 0, 0, Body{}};
}

TEST(Fields, WhatSchema1HadIsWrittenAsItWas) {
  const std::map<std::string, json::object> now = {
      {"acquisition", to_json(filled_row<AcquisitionRow>())},
      {"use", to_json(filled_row<UseRow>())},
      {"finding", to_json(filled_row<FindingRow>())},
      {"gap", to_json(filled_row<GapRow>())},
      {"revision", to_json(filled_row<RevisionRow>())},
      {"edge", to_json(filled<Edge>())},
      {"holding", to_json(filled<Holding>())},
      {"key", to_json(filled<KeySummary>())},
      {"workload", to_json(filled<WorkloadSummary>())},
      {"history", to_json(filled<HistoryStatus>())},
      {"coverage_gap", to_json(filled<GapRow>())},
      {"empty_acquisition", to_json(empty_row<AcquisitionRow>())},
      {"empty_use", to_json(empty_row<UseRow>())},
      {"empty_gap", to_json(empty_row<GapRow>())},
      {"empty_key", to_json(KeySummary{})},
      {"empty_edge", to_json(Edge{})},
  };
  std::ifstream file(KEYTRAIL_RECORDS);
  std::set<std::string> compared;
  std::string name, text;
  while (file >> name && std::getline(file, text)) {
    ASSERT_TRUE(now.contains(name)) << name;
    EXPECT_TRUE(contains(now.at(name), json::parse(text), name));
    compared.insert(name);
  }
  EXPECT_EQ(compared.size(), now.size());
}

TEST(Fields, AForgottenOrRepeatedMemberDoesNotCompile) {
  EXPECT_TRUE(detail::complete<pairs::Whole>());
  EXPECT_FALSE(detail::complete<pairs::Forgotten>());
  EXPECT_FALSE(detail::complete<pairs::Twice>());
}

template <typename Record>
void expect_names_differ(const Record& record) {
  std::set<std::string_view> names;
  each_value(record, [&](const auto& line, const auto& value) {
    EXPECT_TRUE(names.insert(line.name).second) << Fields<Record>::kName << " has " << line.name << " twice";
    if constexpr (Described<std::remove_cvref_t<decltype(value)>>) expect_names_differ(value);
  });
}

TEST(Fields, NamesOfARecordDiffer) {
  expect_names_differ(filled_row<AcquisitionRow>());
  expect_names_differ(filled_row<UseRow>());
  expect_names_differ(filled_row<FindingRow>());
  expect_names_differ(filled_row<GapRow>());
  expect_names_differ(filled_row<RevisionRow>());
  expect_names_differ(filled<Candidate>());
  expect_names_differ(filled<Edge>());
  expect_names_differ(filled<Holding>());
  expect_names_differ(filled<KeySummary>());
  expect_names_differ(filled<KeyReader>());
  expect_names_differ(filled<WorkloadSummary>());
  expect_names_differ(filled<HistoryStatus>());
}

}  // namespace
}  // namespace serve
}  // namespace keytrail
