// SPDX-License-Identifier: Apache-2.0
// The compiled catalog is what the builder makes of the tree's YAML, every member of every row; and a base keeps its
// entries.
#include "agent/catalog/build.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/pfr.hpp>
#include <filesystem>
#include <string>
#include <type_traits>

namespace keytrail::catalog::source {
namespace {

std::size_t compared = 0;  ///< values: the comparison itself is seen to work

bool same(std::string_view a, std::string_view b, const std::string& where) {
  ++compared;
  EXPECT_EQ(a, b) << where;
  return a == b;
}

template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
bool same(T a, T b, const std::string& where) {
  ++compared;
  EXPECT_EQ(static_cast<int>(a), static_cast<int>(b)) << where;
  return a == b;
}

template <typename T>
  requires std::is_aggregate_v<T>
bool same(const T& a, const T& b, const std::string& where);

template <typename T>
bool same(std::span<const T> a, std::span<const T> b, const std::string& where) {
  EXPECT_EQ(a.size(), b.size()) << where;
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i)
    equal = same(a[i], b[i], where + "[" + std::to_string(i) + "]");
  return equal;
}

template <typename T>
  requires std::is_aggregate_v<T>
bool same(const T& a, const T& b, const std::string& where) {
  bool equal = true;
  const auto left = boost::pfr::structure_tie(a);
  const auto right = boost::pfr::structure_tie(b);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((equal = same(std::get<I>(left), std::get<I>(right), where + "." + std::to_string(I)) && equal), ...);
  }(std::make_index_sequence<boost::pfr::tuple_size_v<T>>());
  return equal;
}

Model tree() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(KEYTRAIL_CATALOG_DATA))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::ranges::sort(files);
  Model model;
  Problems problems;
  for (const std::string& file : files)
    read_file(file, model, problems);
  check(model, nullptr, problems);
  EXPECT_TRUE(problems.empty());
  add_bulk_readers(model);
  return model;
}

TEST(Built, IsTheCompiledCatalogMemberByMember) {
  const Model model = tree();
  const Built built(model);
  EXPECT_TRUE(same(built.tables(), tables::kTables, "tables"));
  EXPECT_GT(compared, 20'000U);
}

TEST(Built, ABaseAloneStaysAsItIs) {
  const Model nothing;
  const Built built(nothing, tables::kTables);
  EXPECT_TRUE(same(built.tables(), tables::kTables, "tables"));
}

TEST(Built, TheTreeInTwoPartsIsTheTree) {
  // Kinds and files are sorted, so it does not matter which part they came with.
  Model model = tree();
  Model first = model, second;
  const auto half = static_cast<std::ptrdiff_t>(model.files.size() / 2);
  second.files.assign(model.files.begin() + half, model.files.end());
  first.files.resize(static_cast<std::size_t>(half));
  second.kinds.assign(model.kinds.begin() + 10, model.kinds.end());
  first.kinds.resize(10);
  second.formats = model.formats;  // formats come with the kinds they tell of
  const Built base(first);
  const Built both(second, base.tables());
  const Built whole(model);
  EXPECT_TRUE(same(both.tables().kinds, whole.tables().kinds, "kinds"));
  EXPECT_TRUE(same(both.tables().files, whole.tables().files, "files"));
  EXPECT_TRUE(same(both.tables().patterns, whole.tables().patterns, "patterns"));
  EXPECT_TRUE(same(both.tables().exact_leaves, whole.tables().exact_leaves, "leaves"));
  EXPECT_TRUE(same(both.tables().wild_heads, whole.tables().wild_heads, "heads"));
}

}  // namespace
}  // namespace keytrail::catalog::source
