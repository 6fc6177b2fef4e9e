// SPDX-License-Identifier: Apache-2.0
// How an answer gets onto a screen or into a pipe: words, tables, lines, JSON and YAML; and how a stream is read.
#include "agent/cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "agent/cli/event_stream.h"
#include "agent/cli/table.h"
#include "agent/cli/terminal.h"
#include "agent/cli/words.h"

namespace keytrail::cli {
namespace {

using ::testing::HasSubstr;
namespace json = boost::json;

TEST(Words, ThousandsAndKinds) {
  EXPECT_EQ(thousands(0), "0");
  EXPECT_EQ(thousands(999), "999");
  EXPECT_EQ(thousands(8'812'400), "8,812,400");
  EXPECT_EQ(thousands(-1000), "-1,000");
  EXPECT_EQ(kind_words("no.such.kind"), "no.such.kind");
}

TEST(Table, WidthsCountWhatIsSeen) {
  Table table({{"A"}, {"B", Align::kRight}});
  table.add({"äö", "1"});
  table.add({"", "22"});
  EXPECT_EQ(table.text(), "A    B\näö   1\n-   22\n");
  EXPECT_FALSE(table.has_unknown());
  EXPECT_EQ(display_width("日本"), 4U);
}

TEST(Table, WhatIsEqualInAllRowsIsSaidOnce) {
  Table table({{"A"}, {"B"}, {"C"}});
  table.add({"1", "same", ""});
  EXPECT_EQ(table.text(), "A  B     C\n1  same  -\n") << "one row has no others to be equal to";
  table.add({"2", "same", ""});
  EXPECT_EQ(table.text(), "In all rows: B same\nA\n1\n2\n");
}

TEST(Table, CellsWrapAtBlanksAndRowsWhereNoWordMayBeBroken) {
  Table table({{"ID"}, {"WHY"}});
  table.add({"AKIAIOSFODNN7EXAMPLE", "one two three four five"});
  EXPECT_EQ(table.text(36),
            "ID                    WHY\nAKIAIOSFODNN7EXAMPLE  one two three\n                      four five\n");
  EXPECT_EQ(table.text(25), "ID AKIAIOSFODNN7EXAMPLE\n  WHY one two three four\n  five\n");
}

TEST(Table, ARowThatWouldBeTallIsWrittenInLines) {
  Table table({{"A"}, {"WHY"}});
  table.add({std::string(30, 'a'), "one two three four five six seven eight nine ten eleven twelve thirteen"});
  table.add({std::string(30, 'b'), "-"});
  EXPECT_THAT(table.text(40), HasSubstr("A " + std::string(30, 'a') + "\n  WHY one two"));
}

TEST(Terminal, LongLinesAreBrokenAndVerdictsColoured) {
  EXPECT_EQ(for_terminal("short\n", 40, false), "short\n");
  EXPECT_EQ(for_terminal("  one two three four five six seven eight nine ten\n", 40, false),
            "  one two three four five six seven\n      eight nine ten\n");
  EXPECT_EQ(for_terminal("NOT CLEAR: 1\nx\n", 0, true), "\x1b[31mNOT CLEAR: 1\x1b[0m\nx\n");
  EXPECT_EQ(for_terminal("NOT CLEAR: 1\n", 0, false), "NOT CLEAR: 1\n");
}

TEST(Output, JsonYamlAndLines) {
  const json::object answer =
      json::parse(R"({"rows":[{"a":1},{"a":2.5}],"coverage":{"lost":0},"complete":true,"cursor":null})").as_object();
  EXPECT_EQ(json_lines(answer), "{\"a\":1}\n{\"a\":2.5E0}\n{\"type\":\"coverage\",\"lost\":0,\"complete\":true}\n");
  EXPECT_THAT(pretty_json(answer), HasSubstr("\"a\": 2.5\n"));
  EXPECT_EQ(json::parse(pretty_json(answer)), json::value(answer));
  EXPECT_THAT(to_yaml(answer), HasSubstr("complete: true"));
}

TEST(EventStream, EventsInAnyPieces) {
  std::string seen;
  EventStream stream([&](std::string_view name, std::string_view data) {
    seen += std::string(name) + "=" + std::string(data) + ";";
    return data != "end";
  });
  for (const char c : std::string(": hello\n\nid: 1\nevent: row\r\ndata: {\"a\":1}\n\ndata: two\ndata: lines\n\n"))
    EXPECT_TRUE(stream.feed(std::string(1, c)));
  EXPECT_EQ(seen, "row={\"a\":1};message=two\nlines;");
  EXPECT_FALSE(stream.feed("data: end\n\ndata: never\n\n"));
}

}  // namespace
}  // namespace keytrail::cli
