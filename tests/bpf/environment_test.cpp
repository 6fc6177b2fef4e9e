// SPDX-License-Identifier: Apache-2.0
// The environment of programs that start: what of it leaves the kernel side, wherever in its block it lies.
#include "tests/bpf/exec_items.h"

namespace keytrail::tests {
namespace {

TEST(Exec, VariablesLeaveAsTheCatalogSays) {
  const std::string secret = "CANARYenvironment0123456789";
  const std::string password = "CANARYpassword0123456789";
  const Record record =
      run("/bin/true", {},
          {"PATH=/bin", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=" + secret,
           "SHORT_SECRET=tooshort", "PGPASSWORD=" + password, "TF_VAR_db=" + secret, "GH_TOKEN=" + secret,
           "TF_VAR_SHOWN_TOKEN=shown", "novalue", "AWS_SECRET_ACCESS_KEYS=" + secret, "=odd", "HOME=/root"});
  const std::map<std::string, Item> items = environment_of(record);
  ASSERT_EQ(items.size(), 7U);
  EXPECT_EQ(items.at("AWS_ACCESS_KEY_ID").value, "AKIAIOSFODNN7EXAMPLE");
  EXPECT_EQ(items.at("AWS_ACCESS_KEY_ID").head.kind, KT_ITEM_ENV_SHOW);
  EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").head.kind, KT_ITEM_ENV_SECRET);
  EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").value, fingerprint(secret));
  EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").head.full_len, secret.size());
  EXPECT_EQ(items.at("SHORT_SECRET").value, "");
  EXPECT_EQ(items.at("SHORT_SECRET").head.full_len, 8U);
  EXPECT_EQ(items.at("PGPASSWORD").value, "");
  EXPECT_EQ(items.at("PGPASSWORD").head.full_len, password.size());
  EXPECT_EQ(items.at("TF_VAR_db").value, fingerprint(secret));
  EXPECT_EQ(items.at("GH_TOKEN").value, fingerprint(secret));
  EXPECT_EQ(items.at("TF_VAR_SHOWN_TOKEN").value, "shown");
  EXPECT_EQ(record.as<ev_exec>().envc, 12);
}

TEST(Exec, NamesOfEveryLengthAreReadToTheirEnd) {
  const std::string value = "=a=CANARYenvironment0123456789";
  std::vector<std::string> variables;
  for (std::size_t length = 7; length < 70; ++length) {
    variables.push_back(std::string(length - 6, length % 2 == 0 ? 'a' : '\xbd') + "_TOKEN=" + value);
    variables.push_back(std::string(length - 6, '<') + "_TOKEN");
  }
  const std::map<std::string, Item> items = environment_of(run("/bin/true", {}, variables));
  EXPECT_EQ(items.size(), 57U) << "7 to 63 bytes, none without a value";
  for (const auto& [name, item] : items) {
    EXPECT_LT(name.size(), std::size_t{KT_ITEM_NAME_MAX});
    EXPECT_TRUE(name.ends_with("_TOKEN"));
    EXPECT_EQ(item.value, fingerprint(value)) << name.size();
  }
}

TEST(Exec, VariablesAreFoundWhereverAPieceOfTheBlockEnds) {
  const std::string secret = "CANARYenvironment0123456789";
  for (std::size_t before_the_end = 0; before_the_end < 80; ++before_the_end) {
    const std::string filler = "FILL=" + std::string(4096 - 6 - before_the_end, 'x');  // with its NUL so much less
    const Record record = run("/bin/true", {},
                              {filler, "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "GH_TOKEN=" + secret, "A=", filler,
                               "PLAIN", "AWS_SECRET_ACCESS_KEY=" + secret});
    const std::map<std::string, Item> items = environment_of(record);
    ASSERT_EQ(items.size(), 3U) << before_the_end;
    EXPECT_EQ(items.at("AWS_ACCESS_KEY_ID").value, "AKIAIOSFODNN7EXAMPLE");
    EXPECT_EQ(items.at("AWS_ACCESS_KEY_ID").head.position, 2);
    EXPECT_EQ(items.at("GH_TOKEN").value, fingerprint(secret));
    EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").value, fingerprint(secret));
    EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").head.position, 7);
    EXPECT_EQ(record.as<ev_exec>().envc, 7) << before_the_end;
    EXPECT_EQ(record.as<ev_exec>().env_truncated, 0);
  }
}

TEST(Exec, EachOfManyVariablesIsCountedAndThoseOfInterestAreFoundAmongThem) {
  std::vector<std::string> variables;
  for (std::size_t i = 0; i < 1900; ++i)
    variables.push_back("V" + std::to_string(i) + "=" + std::string(i * 7 % 61, 'v'));
  for (const std::size_t at : {0U, 1U, 500U, 1234U, 1899U})
    variables[at] = "T" + std::to_string(at) + "_TOKEN=CANARYenvironment0123456789";
  const Record record = run("/bin/true", {}, variables);
  const std::map<std::string, Item> items = environment_of(record);
  EXPECT_EQ(items.size(), 5U);
  for (const auto& [name, item] : items)
    EXPECT_EQ("T" + std::to_string(item.head.position - 1) + "_TOKEN", name);
  EXPECT_EQ(record.as<ev_exec>().envc, 1900);
  EXPECT_EQ(record.as<ev_exec>().env_truncated, 0);
}

TEST(Exec, WhatFillsAnItemUpIsZero) {
  const Record record =
      run("/bin/true", {"--profile=prod"}, {"A_TOKEN=short", "ABC_TOKEN=CANARYenvironment0123456789"});
  const auto& event = record.as<ev_exec>();
  std::size_t at = (sizeof(ev_exec) + event.exe_len + event.filename_len + 7U) & ~std::size_t{7};
  ASSERT_EQ(items_of(record).size(), 3U);
  for (const Item& item : items_of(record)) {
    const std::size_t used = sizeof(ev_item) + item.name.size() + item.value.size();
    EXPECT_EQ(record.bytes.substr(at + used, item.head.item_len - used), std::string(item.head.item_len - used, '\0'));
    at += item.head.item_len;
  }
}

TEST(Exec, FingerprintsOfEveryLengthAgreeWithTheReference) {
  std::string value;
  for (std::size_t length : {16U, 17U, 23U, 24U, 31U, 64U, 255U, 511U, 512U, 513U, 576U, 577U, 578U, 4000U, 100'000U}) {
    value.assign(length, 'q');
    value[length / 2] = static_cast<char>('A' + length % 26);
    const Record record = run("/bin/true", {}, {"A=1", "AWS_SECRET_ACCESS_KEY=" + value, "AWS_ACCESS_KEY_ID=behind"});
    const std::map<std::string, Item> items = environment_of(record);
    ASSERT_EQ(items.size(), 2U) << length;
    EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").value, fingerprint(value)) << length;
    EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").head.full_len, length);
    EXPECT_EQ(items.at("AWS_SECRET_ACCESS_KEY").head.flags & KT_ITEM_F_TRUNCATED,
              length > KT_HASHED_MAX ? KT_ITEM_F_TRUNCATED : 0);
    EXPECT_EQ(items.at("AWS_ACCESS_KEY_ID").value, "behind") << "the walk lost its place after " << length;
  }
}

TEST(Exec, AVariableSaysWhatItsValueLooksLike) {
  const Record record =
      run("/bin/true", {"op://Prod/token/of-the-team"},
          {"A_TOKEN=ghp_0123456789012345678901234", "B_TOKEN=op://a/b", "C_TOKEN=ghp_short", "D_TOKEN=x"});
  const std::map<std::string, Item> items = environment_of(record);
  ASSERT_EQ(items.size(), 4U);
  const auto format = [&](const char* name) {
    const ev_item& head = items.at(name).head;
    return (head.flags & KT_ITEM_F_FORMAT) != 0 ? static_cast<int>(head.format) : -1;
  };
  EXPECT_EQ(format("A_TOKEN"), 1);
  EXPECT_EQ(format("B_TOKEN"), 2);
  EXPECT_EQ(format("C_TOKEN"), -1);
  EXPECT_EQ(format("D_TOKEN"), -1);
  EXPECT_EQ(items_of(record).size(), 4U) << "a reference among the arguments is of no interest";
}

}  // namespace
}  // namespace keytrail::tests
