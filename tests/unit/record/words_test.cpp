// SPDX-License-Identifier: Apache-2.0
// The numbers and words that histories, answers and exports hold. A line of these tables is never changed: histories of
// users have it. A new enumerator gets a new number and a new line.
#include "keytrail/words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "keytrail/event.h"
#include "keytrail/row.h"

namespace keytrail {
namespace {

using Table = std::vector<std::pair<int, std::string>>;

template <Worded E>
void pinned(const Table& expected) {
  Table found;
  for (const Word<E>& one : kWords<E>)
    found.emplace_back(static_cast<int>(one.value), one.word);
  std::ranges::sort(found);
  EXPECT_EQ(found, expected);
  for (const auto& [number, word] : expected) {
    EXPECT_EQ(to_string(from_number<E>(number)), word);
    EXPECT_EQ(from_word<E>(word), from_number<E>(number));
  }
}

// Whether a number has an enumerator is seen in how the compiler writes it: "keytrail::Evidence::kPossible", else
// "(keytrail::Evidence)7".
template <auto kValue>
consteval bool declared() {
  const std::string_view name = __PRETTY_FUNCTION__;
  return name.find("kValue = (") == std::string_view::npos;
}

template <Worded E, std::size_t... kNumbers>
consteval bool complete(std::index_sequence<kNumbers...>) {
  return ((declared<static_cast<E>(kNumbers)>() == (find_word(static_cast<E>(kNumbers)) != nullptr)) && ...);
}

/// Each enumerator below 96 is in the list, and nothing else.
template <Worded E>
inline constexpr bool kComplete = complete<E>(std::make_index_sequence<96>());

static_assert(declared<Evidence::kPossible>() && !declared<static_cast<Evidence>(77)>());
static_assert(kComplete<Evidence> && kComplete<Reason> && kComplete<Outcome> && kComplete<Severity> && kComplete<From>);
static_assert(kComplete<KeyClass> && kComplete<Lifetime> && kComplete<How> && kComplete<NameSource> &&
              kComplete<WorkloadKind>);
static_assert(kComplete<KnownBy> && kComplete<RowKind> && kComplete<Revised> && kComplete<FindingState> &&
              kComplete<Family>);

TEST(WordsTest, numbers_and_words_stay) {
  pinned<Evidence>({{0, "unattributed"}, {1, "possible"}, {2, "inferred"}, {3, "confirmed"}});
  pinned<Reason>({{0, "key_id_in_request"},
                  {1, "provider_log"},
                  {2, "only_key_held"},
                  {3, "selector"},
                  {4, "issued_by_role"},
                  {5, "helper"},
                  {6, "several_keys"},
                  {7, "selector_in_runtime"},
                  {8, "lost_at_exec"},
                  {9, "from_helper"},
                  {10, "parent_or_issued"},
                  {11, "exec_not_seen"},
                  {12, "gap_in_life"},
                  {13, "hooks_not_armed"},
                  {14, "local_broker"},
                  {15, "relay_or_hub"},
                  {16, "opened_before_key"},
                  {17, "unidentified_file"},
                  {18, "names_contradict"},
                  {19, "no_key_seen"},
                  {20, "no_key_of_this_kind"},
                  {21, "owner_decides"},
                  {22, "another_entry_meant"},
                  {23, "entry_of_another_host"},
                  {24, "another_key_in_request"},
                  {25, "no_key_in_request"},
                  {26, "not_seen_whole"},
                  {27, "not_tied"},
                  {28, "unknown_destination"},
                  {29, "name_at_local_address"},
                  {30, "told_by_file"}});
  pinned<Outcome>({{0, "unknown"}, {1, "ok"}, {2, "refused"}, {3, "failed"}});
  pinned<Severity>({{0, "info"}, {1, "low"}, {2, "medium"}, {3, "high"}});
  pinned<From>({{0, "file"},
                {1, "environment"},
                {2, "argument"},
                {3, "metadata"},
                {4, "broker"},
                {5, "issued"},
                {6, "keyring"},
                {7, "memory"},
                {8, "unknown"}});
  pinned<KeyClass>({{0, "access_key"},
                    {1, "identity_token"},
                    {2, "session_token"},
                    {3, "password"},
                    {4, "certificate"},
                    {5, "encryption_key"}});
  pinned<Lifetime>({{0, "unknown"}, {1, "long_lived"}, {2, "short_lived"}});
  pinned<How>(
      {{0, "direct"}, {1, "fork"}, {2, "exec"}, {3, "baseline"}, {4, "helper"}, {5, "lost_at_exec"}, {6, "told"}});
  pinned<NameSource>(
      {{0, "request"}, {1, "sni"}, {2, "connect"}, {3, "environment"}, {4, "dns"}, {5, "address"}, {6, "none"}});
  pinned<WorkloadKind>({{0, "host"},
                        {1, "systemd_unit"},
                        {2, "container"},
                        {3, "pod"},
                        {4, "login_session"},
                        {5, "ci_job"},
                        {6, "spiffe"}});
  pinned<KnownBy>({{0, "kernel"}, {1, "runtime"}, {2, "cluster"}, {3, "token"}, {4, "claimed"}});
  pinned<RowKind>({{1, "acquisition"}, {2, "use"}, {3, "finding"}, {4, "gap"}, {5, "revision"}});
  pinned<Revised>({{0, "key"}, {1, "evidence"}, {2, "state"}, {3, "bytes"}, {4, "workload"}});
  pinned<FindingState>({{0, "open"}, {1, "resolved"}, {2, "accepted"}});
  pinned<Family>({{0, "exec"}, {1, "open"}, {2, "connect"}, {3, "name"}, {4, "lifetime"}, {5, "request"}});
}

TEST(WordsTest, a_number_or_word_that_is_not_known_is_said_to_be_unknown) {
  for (const std::int64_t number :
       {std::int64_t{77}, std::int64_t{-1}, std::int64_t{255}, std::int64_t{256}, INT64_MIN, INT64_MAX}) {
    EXPECT_STREQ(to_string(from_number<Reason>(number)), "unknown");
    EXPECT_STREQ(explain(from_number<Reason>(number)), "not known to this version");
  }
  EXPECT_EQ(from_number<RowKind>(0), kUnknownValue<RowKind>) << "no kind has this number";
  EXPECT_EQ(from_word<Evidence>("certain"), std::nullopt);
  EXPECT_EQ(from_word<Evidence>(""), std::nullopt);
}

TEST(WordsTest, a_sentence_lists_the_words_in_order) {
  EXPECT_EQ(words_text<Evidence>(), "confirmed, inferred, possible or unattributed");
}

}  // namespace
}  // namespace keytrail
