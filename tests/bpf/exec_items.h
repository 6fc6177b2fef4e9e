// SPDX-License-Identifier: Apache-2.0
// Programs that the tests start, and the items of their exec events.
#pragma once

#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {

/// What leaves of one variable or argument.
struct Item {
  ev_item head{};
  std::string name, value;
};

inline std::vector<Item> items_of(const Record& record) {
  const auto& event = record.as<ev_exec>();
  std::size_t at = (sizeof(ev_exec) + event.exe_len + event.filename_len + 7U) & ~std::size_t{7};
  EXPECT_EQ(record.bytes.size(), at + event.items_len);
  std::vector<Item> out;
  while (at + sizeof(ev_item) <= record.bytes.size()) {
    Item item;
    memcpy(&item.head, record.bytes.data() + at, sizeof(ev_item));
    item.name = record.bytes.substr(at + sizeof(ev_item), item.head.name_len);
    item.value = record.bytes.substr(at + sizeof(ev_item) + item.head.name_len, item.head.value_len);
    EXPECT_EQ(item.head.item_len % 8, 0);
    EXPECT_GE(item.head.item_len, sizeof(ev_item) + item.name.size() + item.value.size());
    at += item.head.item_len;
    out.push_back(std::move(item));
  }
  return out;
}

inline std::map<std::string, Item> environment_of(const Record& record) {
  std::map<std::string, Item> out;
  for (Item& item : items_of(record)) {
    if (item.head.kind == KT_ITEM_ENV_SHOW || item.head.kind == KT_ITEM_ENV_SECRET) out[item.name] = std::move(item);
  }
  return out;
}

/// Runs a program with these arguments and variables; the exec event.
inline Record run(const std::string& program, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& variables) {
  const std::uint32_t tgid = in_child([&] {
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    std::vector<char*> envp;
    for (const std::string& one : arguments)
      argv.push_back(const_cast<char*>(one.c_str()));
    for (const std::string& one : variables)
      envp.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    execve(program.c_str(), argv.data(), envp.data());
    return 1;
  });
  std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  EXPECT_EQ(events.size(), 1U);
  return events.empty() ? Record{std::string(sizeof(ev_exec), '\0')} : events[0];
}

inline std::string fingerprint(std::string_view value) {
  const auto bytes = siphash_value(kKey, value);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace keytrail::tests
