// SPDX-License-Identifier: Apache-2.0
// The OpenAPI description and the answers: every answer keeps to its schema and says nothing that the schema does not
// know, every reference leads somewhere. The checker knows what the description uses: $ref, type, const, enum,
// required, properties, additionalProperties, items, allOf, oneOf.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <set>

#include "agent/serve/api.h"
#include "tests/unit/filled.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using namespace testing;
namespace json = boost::json;
using test::filled;
using test::filled_row;

const json::object& description() {
  static const json::value kWhole = json::parse(openapi_json());
  return kWhole.as_object();
}

const json::object& follow(const json::object& schema) {
  const json::value* ref = schema.if_contains("$ref");
  if (ref == nullptr) return schema;
  const std::string path(ref->as_string());  // "#/components/schemas/Key"
  return description().at("components").at("schemas").at(path.substr(path.rfind('/') + 1)).as_object();
}

bool is_of(const json::value& value, std::string_view type) {
  return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) || (type == "integer" && (value.is_int64() || value.is_uint64())) ||
         (type == "number" && value.is_number()) || (type == "boolean" && value.is_bool()) ||
         (type == "null" && value.is_null());
}

bool has_type(const json::value& value, const json::value& type) {
  if (type.is_string()) return is_of(value, std::string_view(type.get_string()));
  return std::ranges::any_of(type.as_array(),
                             [&](const json::value& one) { return is_of(value, std::string_view(one.as_string())); });
}

/// Adds what is wrong with the value, a line each.
void check(const json::value& value, const json::object& given, const std::string& path,
           std::vector<std::string>& wrong);

/// The same without unknown names; those that the schema knows are added to `known`.
void check_open(const json::value& value, const json::object& given, const std::string& path,
                std::vector<std::string>& wrong, std::set<std::string>& known) {
  const json::object& schema = follow(given);
  const auto part = [&](const char* name) { return schema.if_contains(name); };
  if (part("type") && !has_type(value, *part("type")))
    wrong.push_back(path + ": " + json::serialize(value) + " has another type");
  if (part("const") && *part("const") != value) wrong.push_back(path + ": is not " + json::serialize(*part("const")));
  if (part("enum") && std::ranges::find(part("enum")->as_array(), value) == part("enum")->as_array().end())
    wrong.push_back(path + ": " + json::serialize(value) + " is not in the list");
  if (const json::object* object = value.if_object()) {
    if (part("required")) {
      for (const json::value& name : part("required")->as_array()) {
        if (!object->contains(name.as_string())) wrong.push_back(path + ": no " + std::string(name.as_string()));
      }
    }
    for (const auto& [name, item] : *object) {
      const json::value* property = part("properties") ? part("properties")->as_object().if_contains(name) : nullptr;
      const json::value* other = part("additionalProperties");
      const json::value* known_by = property != nullptr ? property : other;
      if (known_by == nullptr) continue;
      known.insert(name);
      check(item, known_by->as_object(), path + "." + std::string(name), wrong);
    }
  }
  if (const json::array* list = value.if_array(); list != nullptr && part("items")) {
    for (const json::value& item : *list)
      check(item, part("items")->as_object(), path + "[]", wrong);
  }
  if (part("allOf")) {
    for (const json::value& one : part("allOf")->as_array())
      check_open(value, one.as_object(), path, wrong, known);
  }
  if (part("oneOf")) {
    int fits = 0;
    for (const json::value& one : part("oneOf")->as_array()) {
      std::vector<std::string> wrong_here;
      std::set<std::string> known_here;
      check_open(value, one.as_object(), path, wrong_here, known_here);
      if (!wrong_here.empty()) continue;
      ++fits;
      known.merge(known_here);
    }
    if (fits != 1) wrong.push_back(path + ": fits " + std::to_string(fits) + " of oneOf");
  }
}

void check(const json::value& value, const json::object& given, const std::string& path,
           std::vector<std::string>& wrong) {
  std::set<std::string> known;
  check_open(value, given, path, wrong, known);
  const json::object& schema = follow(given);
  // {"type": "object"}: rows of the envelope.
  const bool any = !schema.contains("properties") && !schema.contains("allOf");
  if (const json::object* object = value.if_object(); object != nullptr && !any) {
    for (const auto& [name, item] : *object) {
      if (!known.contains(name)) wrong.push_back(path + ": no schema knows " + std::string(name));
    }
  }
}

class OpenApi : public ::testing::Test {
 protected:
  OpenApi() {
    history_.stored = {filled_row<AcquisitionRow>(), filled_row<UseRow>(),      filled_row<FindingRow>(),
                       filled_row<GapRow>(),         filled_row<RevisionRow>(), make_row(0, make_use())};
    for (std::size_t i = 0; i < history_.stored.size(); ++i)
      history_.stored[i].seq = i + 1;
    history_.edge_list = {filled<Edge>(), Edge{}};
    history_.holding_list = {filled<Holding>(), Holding{}};
    history_.key_list = {filled<KeySummary>(), KeySummary{}};
    history_.workload_list = {filled<WorkloadSummary>(), WorkloadSummary{}};
    history_.key_list[0].key.id = history_.holding_list[0].key.id = kKeyId;
    history_.place_list = {filled<KeyPlace>(), KeyPlace{}};
    history_.reader_list = {filled<KeyReader>(), KeyReader{}};
    history_.place_list[0].key.id = kKeyId;
    history_.reader_list[0].key.id = kKeyId;
    history_.state_now = filled<HistoryStatus>();
    history_.state_now.exporters["otlp"] = {9, 8, 1, 0, 0};
    status_.now.families[0].hook.refused = {{"fentry", "no BTF"}};
    status_.now.exporters.push_back({"otlp", "https://collector:4318", "ok", "timeout", kNoon, kNoon, 3, 5});
    status_.now.roles.push_back({"examiner", 12, 1, "killed"});
    UnseenLives lives;
    lives.callers = {{filled<Actor>(), Reason::kExecNotSeen, {}}};
    status_.lives = std::make_shared<UnseenLives>(lives);
    status_.now.remarks = {"the examiner runs without seccomp"};
  }

  FakeHistory history_;
  FakeStatus status_;
  Api api_{history_, status_, catalog::Catalog::builtin()};
};

TEST_F(OpenApi, EveryAnswerKeepsToItsSchema) {
  std::size_t answers = 0;
  for (const auto& [path, methods] : description().at("paths").as_object()) {
    const json::object& ok = methods.at("get").at("responses").at("200").as_object();
    const json::value* content = ok.if_contains("content");
    if (content == nullptr || !content->as_object().contains("application/json")) continue;
    std::string target(path);
    if (target.ends_with("{seq}")) target.replace(target.find('{'), 5, "2");
    if (target == "/v1/places" || target == "/v1/readers") target += std::string("?key=") + kKeyId;
    if (target == "/v1/rotation") target += std::string("?new=x&old=") + kKeyId;
    const ApiAnswer answer = api_.handle("GET", target);
    ASSERT_EQ(answer.status, 200U) << target;
    const json::value body = json::parse(answer.body);
    EXPECT_FALSE(body.at("rows").as_array().empty()) << target;
    std::vector<std::string> wrong;
    check(body, content->at("application/json").at("schema").as_object(), target, wrong);
    EXPECT_THAT(wrong, ::testing::IsEmpty());
    ++answers;
  }
  EXPECT_EQ(answers, 12U);
}

TEST_F(OpenApi, AnErrorKeepsToItsSchema) {
  std::vector<std::string> wrong;
  check(json::parse(api_.handle("GET", "/v1/nothing").body),
        description().at("components").at("schemas").at("Error").as_object(), "error", wrong);
  EXPECT_THAT(wrong, ::testing::IsEmpty());
}

TEST_F(OpenApi, WhatAnAnswerLacksOrNobodyDescribedIsFound) {
  const json::object row{{"$ref", "#/components/schemas/Row"}};
  const auto wrong_in = [&](const std::function<void(json::object&)>& spoil) {
    json::object use = json::parse(api_.handle("GET", "/v1/explain/6").body).at("rows").at(0).as_object();
    use.erase("explanation");
    use.erase("note");
    spoil(use);
    std::vector<std::string> wrong;
    check(use, row, "row", wrong);
    return wrong.size();
  };
  EXPECT_EQ(wrong_in([](json::object&) {}), 0U);
  EXPECT_GT(wrong_in([](json::object& use) { use.erase("time"); }), 0U);
  EXPECT_GT(wrong_in([](json::object& use) { use["evidence"] = "perhaps"; }), 0U);
  EXPECT_GT(wrong_in([](json::object& use) { use["type"] = "gap"; }), 0U);
  EXPECT_GT(wrong_in([](json::object& use) { use["secret"] = "x"; }), 0U);
  EXPECT_GT(wrong_in([](json::object& use) { use["actor"].as_object()["pid"] = "1"; }), 0U);
}

/// Every "$ref" below a value.
void references(const json::value& value, std::set<std::string>& out) {
  if (const json::object* object = value.if_object()) {
    for (const auto& [name, item] : *object) {
      if (name == "$ref") out.insert(std::string(item.as_string()));
      references(item, out);
    }
  } else if (const json::array* list = value.if_array()) {
    for (const json::value& item : *list)
      references(item, out);
  }
}

TEST_F(OpenApi, EveryReferenceLeadsSomewhereAndEveryPartIsReferredTo) {
  std::set<std::string> referred, there;
  references(description(), referred);
  for (const auto& [kind, parts] : description().at("components").as_object()) {
    for (const auto& [name, part] : parts.as_object())
      there.insert("#/components/" + std::string(kind) + "/" + std::string(name));
  }
  EXPECT_EQ(referred, there);
}

}  // namespace
}  // namespace keytrail::serve
