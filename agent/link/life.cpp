// SPDX-License-Identifier: Apache-2.0
#include "agent/link/life.h"

#include <boost/json.hpp>
#include <charconv>
#include <concepts>
#include <tuple>
#include <vector>

#include "agent/base/host.h"

namespace keytrail::link {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxItems = 256;  ///< of one stored list: more than any bound of Doubts

// The members of what the lists of Doubts hold. Names are stored: never change one.
template <typename T, typename Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

auto members_of(Is<LocalTalk> auto& talk) {
  auto& [remote, time_ns] = talk;
  return std::tuple(NamedDoubt{"remote", remote}, NamedDoubt{"time", time_ns});
}
auto members_of(Is<Unidentified> auto& mark) {
  auto& [time_ns, kind, host, selector_rule] = mark;
  return std::tuple(NamedDoubt{"time", time_ns}, NamedDoubt{"kind", kind}, NamedDoubt{"host", host},
                    NamedDoubt{"rule", selector_rule});
}
auto members_of(Is<Lead> auto& lead) {
  auto& [selector_rule, from, from_hash, to] = lead;
  return std::tuple(NamedDoubt{"rule", selector_rule}, NamedDoubt{"from", from}, NamedDoubt{"hash", from_hash},
                    NamedDoubt{"to", to});
}
auto members_of(Is<MaybeIssued> auto& note) {
  auto& [time_ns, kind, parent, host, always] = note;
  return std::tuple(NamedDoubt{"time", time_ns}, NamedDoubt{"kind", kind}, NamedDoubt{"parent", parent},
                    NamedDoubt{"host", host}, NamedDoubt{"always", always});
}
auto members_of(Is<KeyFileOpened> auto& file) {
  auto& [inode, time_ns] = file;
  return std::tuple(NamedDoubt{"inode", inode}, NamedDoubt{"time", time_ns});
}
auto members_of(Is<OwnName> auto& own) {
  auto& [address, name] = own;
  return std::tuple(NamedDoubt{"address", address}, NamedDoubt{"name", name});
}
auto members_of(Is<Doubts> auto& doubts) { return doubt_members(doubts); }

// A codec per type. What cannot be read leaves the value as it is.
json::value to_json(bool value) { return value; }
json::value to_json(std::uint64_t value) { return value; }
json::value to_json(const std::string& value) { return json::value(value); }
json::value to_json(const Fingerprint& value) { return json::value(value.text()); }
json::value to_json(const SocketAddress& value) { return json::array{base::address_text(value), value.port}; }

void from_json(const json::value& from, bool& value) { value = from.is_bool() && from.get_bool(); }
void from_json(const json::value& from, std::uint64_t& value) {
  boost::system::error_code ignored;
  if (from.is_number()) value = from.to_number<std::uint64_t>(ignored);
}
void from_json(const json::value& from, std::string& value) {
  if (from.is_string()) value = from.get_string();
}
void from_json(const json::value& from, Fingerprint& value) {
  constexpr std::string_view kPrefix = "fp:";
  const std::string_view text = from.is_string() ? std::string_view(from.get_string()) : std::string_view();
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 2 * value.bytes.size()) return;
  for (std::size_t i = 0; i < value.bytes.size(); ++i) {
    const char* digits = text.data() + kPrefix.size() + 2 * i;
    std::from_chars(digits, digits + 2, value.bytes[i], 16);
  }
}
void from_json(const json::value& from, SocketAddress& value) {
  const json::array* parts = from.if_array();
  if (parts == nullptr || parts->size() != 2 || !(*parts)[0].is_string()) return;
  value = base::parse_address(std::string_view((*parts)[0].get_string())).value_or(SocketAddress{});
  std::uint64_t port = 0;
  from_json((*parts)[1], port);
  value.port = static_cast<std::uint16_t>(port);
}

template <typename T>
concept Described = requires(T& value) { members_of(value); };
template <typename T>
concept List = requires(const T& value) {
  typename T::value_type;
  value.begin();
} && !std::same_as<T, std::string>;

/// As every member is at first: such are not written.
template <typename T>
bool is_at_first(const T& value) {
  if constexpr (requires { value.empty(); }) {
    return value.empty();
  } else {
    return value == T{};
  }
}

template <List T>
json::value to_json(const T& list);
template <List T>
void from_json(const json::value& from, T& list);

template <Described T>
json::value to_json(const T& value) {
  json::object out;
  const auto write = [&](const auto& member) {
    if (!is_at_first(member.value)) out[member.name] = to_json(member.value);
  };
  std::apply([&](const auto&... member) { (write(member), ...); }, members_of(value));
  return out;
}
template <Described T>
void from_json(const json::value& from, T& value) {
  const json::object* object = from.if_object();
  if (object == nullptr) return;
  const auto read = [&](const auto& member) {
    if (const json::value* stored = object->if_contains(member.name)) from_json(*stored, member.value);
  };
  std::apply([&](const auto&... member) { (read(member), ...); }, members_of(value));
}

template <List T>
json::value to_json(const T& list) {
  json::array out;
  for (const auto& item : list)
    out.push_back(to_json(item));
  return out;
}
template <List T>
void from_json(const json::value& from, T& list) {
  const json::array* stored = from.if_array();
  if (stored == nullptr) return;
  std::vector<typename T::value_type> items;
  for (const json::value& item : *stored) {
    if (items.size() >= kMaxItems) break;
    from_json(item, items.emplace_back());
  }
  list = std::move(items);
}

/// Builds before kept the marks as {"KIND or @HOST": time}.
void read_old_marks(const json::object& life, Doubts& doubts) {
  const json::value* marks = life.if_contains("unidentified");
  if (marks == nullptr || !marks->is_object()) return;
  for (const auto& [name, time] : marks->get_object()) {
    Unidentified mark;
    from_json(time, mark.time_ns);
    if (name.starts_with('@'))
      mark.host = name.substr(1);
    else
      mark.kind = name;
    doubts.mark_unidentified(std::move(mark));
  }
}

}  // namespace

std::string encode_life(const Instance& instance) {
  json::value out = to_json(instance.doubts);
  json::array entries;  // what the durable table has no column for
  for (const Held& held : instance.holdings) {
    const HeldKey& what = *held.what;
    if (!has_entry(what)) continue;
    entries.push_back(json::object{{"key", what.key.id},
                                   {"place", what.slot.place},
                                   {"selector", what.slot.selector},
                                   {"host", what.host},
                                   {"current", what.current}});
  }
  if (!entries.empty()) out.get_object()["entries"] = std::move(entries);
  return json::serialize(out);
}

bool has_entry(const HeldKey& what) { return !what.host.empty() || what.current; }

bool same_doubts(const Doubts& left, const Doubts& right) {
  const auto same = [](const auto& a, const auto& b) {
    if constexpr (requires { a.value.shares(b.value); }) {
      return a.value.shares(b.value);
    } else {
      return a.value == b.value;
    }
  };
  return std::apply(
      [&](const auto&... a) {
        return std::apply([&](const auto&... b) { return (same(a, b) && ...); }, doubt_members(right));
      },
      doubt_members(left));
}

void apply_life(Instance& instance, const std::string& text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* life = error ? nullptr : parsed.if_object();
  if (life == nullptr) return;
  instance.doubts = {};
  from_json(parsed, instance.doubts);
  read_old_marks(*life, instance.doubts);
}

void apply_entry(HeldKey& what, const std::string& text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  const json::value* entries = object == nullptr ? nullptr : object->if_contains("entries");
  if (entries == nullptr || !entries->is_array()) return;
  const auto string = [](const json::value& entry, std::string_view name) -> std::string_view {
    const json::object* fields = entry.if_object();
    const json::value* value = fields == nullptr ? nullptr : fields->if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
  };
  for (const json::value& entry : entries->get_array()) {
    if (string(entry, "key") != what.key.id || string(entry, "place") != what.slot.place ||
        string(entry, "selector") != what.slot.selector)
      continue;
    what.host = string(entry, "host");
    const json::value* current = entry.get_object().if_contains("current");
    what.current = current != nullptr && current->is_bool() && current->get_bool();
    return;
  }
}

}  // namespace keytrail::link
