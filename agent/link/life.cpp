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
  auto& [time_ns, kind, host, selector_rule, last_ns] = mark;
  return std::tuple(NamedDoubt{"time", time_ns}, NamedDoubt{"kind", kind}, NamedDoubt{"host", host},
                    NamedDoubt{"rule", selector_rule}, NamedDoubt{"last", last_ns});
}
auto members_of(Is<Lead> auto& lead) {
  auto& [selector_rule, from, from_hash, to, first] = lead;
  return std::tuple(NamedDoubt{"rule", selector_rule}, NamedDoubt{"from", from}, NamedDoubt{"hash", from_hash},
                    NamedDoubt{"to", to}, NamedDoubt{"first", first});
}
auto members_of(Is<ToldPlace> auto& place) {
  auto& [path, file, selector_rule, selector, selector_hash, host, current] = place;
  return std::tuple(NamedDoubt{"path", path}, NamedDoubt{"file", file}, NamedDoubt{"rule", selector_rule},
                    NamedDoubt{"selector", selector}, NamedDoubt{"hash", selector_hash}, NamedDoubt{"host", host},
                    NamedDoubt{"current", current});
}
auto members_of(Is<MaybeIssued> auto& note) {
  auto& [time_ns, kind, parent, host, always, handed, first] = note;
  return std::tuple(NamedDoubt{"time", time_ns}, NamedDoubt{"kind", kind}, NamedDoubt{"parent", parent},
                    NamedDoubt{"host", host}, NamedDoubt{"always", always}, NamedDoubt{"handed", handed},
                    NamedDoubt{"first", first});
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

/// What the durable table has no column for.
struct Entry {
  std::string scope, host, entry, rule;
  Fingerprint hash;
  bool current = false, issued = false, issue_told = false, issue_first = false, broker = false;
  std::uint64_t dev = 0;
  std::vector<std::string> kinds;

  bool operator==(const Entry&) const = default;
};
auto members_of(Is<Entry> auto& one) {
  auto& [scope, host, entry, rule, hash, current, issued, issue_told, issue_first, broker, dev, kinds] = one;
  return std::tuple(NamedDoubt{"scope", scope}, NamedDoubt{"host", host}, NamedDoubt{"entry", entry},
                    NamedDoubt{"rule", rule}, NamedDoubt{"hash", hash}, NamedDoubt{"current", current},
                    NamedDoubt{"issued", issued}, NamedDoubt{"issue_told", issue_told},
                    NamedDoubt{"issue_first", issue_first}, NamedDoubt{"broker", broker}, NamedDoubt{"dev", dev},
                    NamedDoubt{"kinds", kinds});
}

/// What the slot says by itself (Holders::adopt) is not said again. A new member of HeldKey does not compile until
/// somebody thought of it here.
Entry entry_of(const HeldKey& what) {
  const auto& [key, slot, scope, since_ns, dev, rule, hash, entry, host, current, kinds, issued, issue_told,
               issue_first, broker, baseline] = what;
  return {.scope = scope,
          .host = host,
          .entry = entry,
          .rule = std::string(rule),
          .hash = hash,
          .current = current,
          .issued = issued && slot.from != From::kIssued,
          .issue_told = issue_told,
          .issue_first = issue_first,
          .broker = broker && slot.from != From::kBroker,
          .dev = dev,
          .kinds = {kinds.begin(), kinds.end()}};
}

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

/// nullptr: the text does not name this holding.
const json::object* entry_in(const json::value& life, std::string_view key_id, const Slot& slot) {
  const json::object* object = life.if_object();
  const json::value* entries = object == nullptr ? nullptr : object->if_contains("entries");
  if (entries == nullptr || !entries->is_array()) return nullptr;
  const auto says = [](const json::object& fields, std::string_view name, std::string_view text) {
    const json::value* value = fields.if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string()) == text : text.empty();
  };
  for (const json::value& entry : entries->get_array()) {
    const json::object* fields = entry.if_object();
    if (fields != nullptr && says(*fields, "key", key_id) && says(*fields, "place", slot.place) &&
        says(*fields, "selector", slot.selector))
      return fields;
  }
  return nullptr;
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
  json::object& life = out.get_object();
  if (instance.stdin_pipe != 0) life["stdin"] = instance.stdin_pipe;
  if (instance.stdout_pipe != 0) life["stdout"] = instance.stdout_pipe;
  if (instance.channel) life["channel"] = true;
  json::array entries;
  for (const Held& held : instance.holdings) {
    const HeldKey& what = *held.what;
    if (!has_entry(what) && !has_opened(held)) continue;
    json::value entry = to_json(entry_of(what));
    json::object& fields = entry.get_object();
    if (has_opened(held)) fields["opened"] = held.opened_ns;
    fields["key"] = what.key.id;
    fields["place"] = what.slot.place;
    fields["selector"] = what.slot.selector;
    if (what.slot.from == From::kFile) fields["scope"] = what.scope;  // also the machine's, which is empty
    entries.push_back(std::move(entry));
  }
  if (!entries.empty()) life["entries"] = std::move(entries);
  return json::serialize(out);
}

bool has_entry(const HeldKey& what) { return what.slot.from == From::kFile || entry_of(what) != Entry{}; }

bool has_opened(const Held& held) { return held.how == How::kLostAtExec && held.opened_ns != 0; }

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
  const auto pipe = [&](std::string_view name) {
    std::uint64_t inode = 0;
    if (const json::value* stored = life->if_contains(name)) from_json(*stored, inode);
    return static_cast<std::uint32_t>(inode);
  };
  instance.stdin_pipe = pipe("stdin");
  instance.stdout_pipe = pipe("stdout");
  instance.channel = life->contains("channel");
}

std::uint64_t apply_entry(HeldKey& what, const std::string& text, const catalog::Catalog& catalog) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* fields = error ? nullptr : entry_in(parsed, what.key.id, what.slot);
  if (fields == nullptr) return 0;
  Entry stored;
  from_json(json::value(*fields), stored);
  if (fields->contains("scope")) what.scope = std::move(stored.scope);  // earlier builds did not store it
  what.host = std::move(stored.host);
  what.entry = std::move(stored.entry);
  if (const catalog::Selector* rule = catalog.selector(stored.rule)) what.selector_rule = rule->id;
  what.selector_hash = stored.hash;
  what.current = stored.current;
  what.issued = what.issued || stored.issued;
  what.issue_told = stored.issue_told;
  what.issue_first = stored.issue_first;
  what.broker = what.broker || stored.broker;
  what.dev = static_cast<std::uint32_t>(stored.dev);
  for (const std::string& id : stored.kinds) {
    if (const catalog::Kind* kind = catalog.kind(id)) what.kinds.push_back(kind->id);
  }
  std::uint64_t opened_ns = 0;
  if (const json::value* opened = fields->if_contains("opened")) from_json(*opened, opened_ns);
  return opened_ns;
}

std::optional<std::string> scope_in_entry(const std::string& text, std::string_view key_id, const Slot& slot) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* fields = error ? nullptr : entry_in(parsed, key_id, slot);
  const json::value* scope = fields == nullptr ? nullptr : fields->if_contains("scope");
  if (scope == nullptr || !scope->is_string()) return std::nullopt;
  return std::string(std::string_view(scope->get_string()));
}

}  // namespace keytrail::link
