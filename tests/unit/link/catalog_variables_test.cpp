// SPDX-License-Identifier: Apache-2.0
// Every variable of the catalog has its effect on what link says: a secret is a key, an identifier the id of its pair,
// a pointer leads to its file, an address to its destination. A variable without one is a setting, and says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/catalog/source.h"
#include "agent/link/environment.h"
#include "small_world.h"

namespace keytrail::link {
namespace {

using catalog::EnvUse;
using catalog::source::EnvEntry;

constexpr std::string_view kValue = "Xq7vT2mN8sK4wL9zR3bD6hJ1";  ///< no format's
constexpr std::string_view kPath = "/srv/app/some-file";

const std::vector<EnvEntry>& variables() {
  static const catalog::source::Model model = [] {
    catalog::source::Model out;
    catalog::source::Problems problems;
    catalog::source::read_file(KEYTRAIL_CATALOG_DATA "/env.yaml", out, problems);
    EXPECT_TRUE(problems.empty()) << problems.front();
    return out;
  }();
  return model.env;
}

/// A name that the entry stands for.
std::string name_of(std::string text) {
  for (std::size_t at = text.find('*'); at != std::string::npos; at = text.find('*', at))
    text.replace(at, 1, "WALK");
  return text;
}

EnvItem hidden(const std::string& name, const std::string& value) { return {name, value, {}, 40, false}; }

bool is_key(const std::string& name) {
  const auto found = keys_of_environment({secret(name, std::string(kValue))}, catalog::Catalog::builtin(), "w");
  return found.size() == 1 && found.front().slot.place == name && !found.front().key.kind.empty();
}

/// The key's own id, or whose password it is.
bool identifies(const std::string& name, const std::string& pair) {
  const auto found = keys_of_environment({shown(name, "walk-id"), secret(pair, std::string(kValue))},
                                         catalog::Catalog::builtin(), "w");
  return found.size() == 1 && (found.front().key.id == "walk-id" || found.front().key.principal == "walk-id");
}

bool points(const std::string& name, const std::string& file) {
  const std::string path(kPath);
  const catalog::File* found = file_of_pointer({shown(name, path)}, catalog::Catalog::builtin(), path);
  return found != nullptr && found->id == file;
}

/// Where a connection to the address in the variable goes, with nothing else known of it.
std::string destination_of(const EnvEntry& e, const std::string& name, const std::string& value) {
  const Instance caller = instance_of({.env = {e.url() ? hidden(name, value) : shown(name, value)}});
  const Destination to = resolved(caller, hello(""), ip(9, 4711)).destination;
  return to.provider + "/" + to.service;
}

bool binds(const EnvEntry& e, const std::string& name) {
  const auto endpoint = catalog::Catalog::builtin().bound_endpoint(name);
  if (!endpoint) return false;
  if (endpoint->service == "by-scheme")
    return destination_of(e, name, "postgres://198.51.100.9:4711") == "postgres/database" &&
           destination_of(e, name, "redis://198.51.100.9:4711") == "redis/redis";
  const std::string expected = std::string(endpoint->provider) + "/" + endpoint->service;
  return destination_of(e, name, "198.51.100.9:4711") == expected &&
         destination_of(e, name, "https://198.51.100.9:4711/path") == expected &&
         destination_of(e, name, "198.51.100.8:4711") == "/";
}

/// By the selector of a file: one of no file chooses nothing.
bool chooses(const std::string& name) {
  const catalog::Catalog& catalog = catalog::Catalog::builtin();
  return std::ranges::any_of(catalog.list(), [&](const auto& line) {
    const catalog::File* file = line.section == "files" ? catalog.file(line.id) : nullptr;
    const catalog::Selector* selector = file == nullptr ? nullptr : catalog.selector(file->selector);
    return selector != nullptr &&
           std::ranges::find(selector->steps, name, &catalog::Selector::Step::name) != selector->steps.end();
  });
}

/// What is not as the entry says; empty when all of it is.
std::string dead_part(const EnvEntry& e) {
  const std::string name = name_of(e.name);
  const catalog::Env* entry = catalog::Catalog::builtin().match_env(name);
  if (entry == nullptr || entry->name != e.name) return "another entry has its names";
  if (!e.binding.empty() && !binds(e, name)) return "binds nothing";
  switch (e.use) {
    case EnvUse::kSecret:
      return is_key(name) ? "" : "is no key";
    case EnvUse::kIdentifier:
      if (e.setting || chooses(e.name)) return "";
      return identifies(name, e.pair) ? "" : "is the id of no key with " + e.pair;
    case EnvUse::kPointer:
      return points(name, e.file) ? "" : "points nowhere";
    case EnvUse::kSelector:
      return chooses(e.name) ? "" : "chooses nothing";
    case EnvUse::kDestination:
      return e.binding.empty() ? "is no address" : "";
  }
  return "?";
}

TEST(CatalogVariables, EachHasItsEffect) {
  std::size_t settings = 0, bound = 0;
  ASSERT_GT(variables().size(), 900U);
  for (const EnvEntry& e : variables()) {
    EXPECT_EQ(dead_part(e), "") << e.where.file << ":" << e.where.line << " " << e.name;
    settings += e.setting ? 1 : 0;
    bound += e.binding.empty() ? 0 : 1;
  }
  EXPECT_GE(bound, 190U);
  EXPECT_LE(settings, 170U) << "names that are only explained are few";
}

TEST(CatalogVariables, ADeadOneIsSeen) {
  EnvEntry dead{.name = "WALK_NOWHERE"};
  EXPECT_EQ(dead_part(dead), "another entry has its names");
  dead.name = "HOMEBREW_GITHUB_API_TOKEN";
  dead.use = EnvUse::kPointer;
  EXPECT_EQ(dead_part(dead), "points nowhere");
  dead.use = EnvUse::kSelector;
  EXPECT_EQ(dead_part(dead), "chooses nothing");
  dead.binding = "bind.vault";
  EXPECT_EQ(dead_part(dead), "binds nothing");
}

}  // namespace
}  // namespace keytrail::link
