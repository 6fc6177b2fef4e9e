// SPDX-License-Identifier: Apache-2.0
// Dictionary tables made from descriptions: what is stored is read again, and an older history gets the columns it
// lacks.
#include "agent/record/columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "agent/record/dictionary.h"
#include "agent/record/dictionary_view.h"
#include "agent/record/schema.h"
#include "tests/unit/filled.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

using test::filled;

class Columns : public ::testing::Test {
 protected:
  Columns() {
    std::ofstream(directory_.file()).close();
    db_ = std::move(*Database::open(directory_.file(), Database::Mode::kWrite));
    EXPECT_TRUE(prepare_schema(*db_, directory_.file(), clock_));
  }

  TemporaryDirectory directory_;
  FakeClock clock_;
  std::unique_ptr<Database> db_;
};

/// Every field of two records is the same.
template <typename Record>
void expect_same(const Record& a, const Record& b) {
  std::vector<std::string> of_a, of_b;
  const auto put = [](std::vector<std::string>& out) {
    return [&out]<typename T>(const auto& line, const T& value) {
      if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>)
        out.push_back(std::string(line.name) + " " + std::to_string(static_cast<std::int64_t>(value)));
      else
        out.push_back(std::string(line.name) + " " + std::string(stored(value)));
    };
  };
  each_value(a, put(of_a));
  each_value(b, put(of_b));
  EXPECT_EQ(of_a, of_b);
}

TEST_F(Columns, EveryFieldIsStoredAndReadAgain) {
  Dictionary dictionary(*db_, 100);
  DictionaryView view(*db_);
  const auto key = dictionary.key(filled<Key>());
  const auto slot = dictionary.slot(filled<Slot>());
  const auto destination = dictionary.destination(filled<Destination>());
  ASSERT_TRUE(key && slot && destination);
  expect_same(**view.key(*key), filled<Key>());
  expect_same(**view.slot(*slot), filled<Slot>());
  expect_same(**view.destination(*destination), filled<Destination>());
}

TEST_F(Columns, NamesOfOldHistoriesStay) {
  EXPECT_EQ(std::string(select_sql<Key>()),
            "SELECT key_id, kind, class, lifetime, fingerprint, principal, parent, issued_s, expires_s FROM key WHERE "
            "id = ?1");
  EXPECT_EQ(std::string(select_sql<Slot>()), "SELECT origin, place, selector FROM slot WHERE id = ?1");
  EXPECT_EQ(std::string(select_sql<Destination>()),
            "SELECT provider, service, region, host, address, port, action, name_source, ambiguous, claimed FROM "
            "destination WHERE id = ?1");
}

TEST_F(Columns, AnOlderTableGetsWhatItLacksAndKeepsItsEntries) {
  Dictionary dictionary(*db_, 100);
  const auto first = dictionary.key(filled<Key>());
  ASSERT_TRUE(first);
  std::vector<Column> wanted = columns_of<Key>();
  wanted.push_back({"owner", "TEXT"});
  ASSERT_TRUE(complete_table(*db_, "key", wanted));
  ASSERT_TRUE(complete_table(*db_, "key", wanted));  // nothing is left to do
  DictionaryView view(*db_);
  expect_same(**view.key(*first), filled<Key>());
  // An entry that differs in the new column only is another entry; a program that does not know the column writes on.
  const std::string insert = insert_text("key", wanted);
  const Key key = filled<Key>();
  auto entry = [&](const char* owner) {
    return db_->number(insert.c_str(), 0, key.id, key.kind, key.key_class, key.lifetime, key.fingerprint.text(),
                       key.principal, key.parent, key.issued_s, key.expires_s, owner, 1);
  };
  EXPECT_EQ(*entry(""), *first);
  EXPECT_NE(*entry("alice"), *first);
  EXPECT_EQ(*entry("alice"), *entry("alice"));
  dictionary.forget();
  EXPECT_EQ(*dictionary.key(key), *first);
  EXPECT_EQ(*db_->number("SELECT count(*) FROM sqlite_schema WHERE name = 'key_parent'", 0), 1);
}

TEST_F(Columns, AColumnOfANewerProgramStays) {
  std::vector<Column> wanted = columns_of<Slot>();
  wanted.push_back({"depth", "INTEGER"});
  ASSERT_TRUE(complete_table(*db_, "slot", wanted));
  ASSERT_TRUE(complete_tables(*db_));
  EXPECT_EQ(*db_->number("SELECT count(*) FROM pragma_table_info('slot') WHERE name = 'depth'", 0), 1);
}

TEST_F(Columns, OfAnActorItsTextsAndItsFileStandInItsTable) {
  std::vector<std::string> names;
  for (const Column& column : columns_of<Actor>())
    names.push_back(column.name);
  EXPECT_EQ(names, (std::vector<std::string>{"exe", "exe_dev", "exe_inode", "exe_deleted", "program", "comm", "user",
                                             "login_user", "session"}));
}

TEST_F(Columns, FilesOfOnePathAreToldApartWhereAProcessIsMeant) {
  Dictionary dictionary(*db_, 100);
  Actor first = filled<Actor>(), second = first;
  first.file = {.dev = 0x800001, .inode = UINT64_MAX, .deleted = false};
  second.file = {.dev = 0x800001, .inode = 78, .deleted = true};
  const auto a = dictionary.program(first, Ran::kProcess), b = dictionary.program(second, Ran::kProcess);
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  for (const Ran of : {Ran::kReader, Ran::kUse})
    EXPECT_EQ(*dictionary.program(first, of), *dictionary.program(second, of)) << "an update splits no edge";
  DictionaryView view(*db_);
  EXPECT_EQ((*view.program(*a))->file, first.file);
  EXPECT_EQ((*view.program(*b))->file, second.file);
  EXPECT_EQ((*view.program(*b))->program, second.program) << "what stands behind it is read, too";
}

}  // namespace
}  // namespace keytrail::record
