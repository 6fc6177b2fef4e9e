// SPDX-License-Identifier: Apache-2.0
// YAML to source::Model: one function per section, strict about keys and values. Any thread; no state.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <utility>

#include "agent/catalog/source.h"

namespace keytrail::catalog::source {
namespace {

using Names = std::initializer_list<std::string_view>;

std::string join(const std::vector<std::string_view>& names) {
  std::string out;
  for (std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

/// The keys of one entry, each asked for once; what nobody asked for is a problem.
class Fields {
 public:
  Fields(const YAML::Node& node, const std::string& file, Problems& problems) : node_(node), file_(file), problems_(problems) {
    where_ = {file, node.Mark().line + 1};
    if (!node.IsMap()) problem(where_.line, "an entry must be a map {key: value, …}");
  }

  [[nodiscard]] const Where& where() const { return where_; }

  std::string text(std::string_view key, bool required = false) {
    const YAML::Node value = get(key, required);
    if (!value.IsDefined()) return {};
    if (!value.IsScalar()) {
      problem(value.Mark().line + 1, "`" + std::string(key) + "` must be a text");
      return {};
    }
    return value.Scalar();
  }

  std::vector<std::string> list(std::string_view key, bool required = false) {
    const YAML::Node value = get(key, required);
    std::vector<std::string> out;
    if (!value.IsDefined()) return out;
    if (!value.IsSequence()) {
      problem(value.Mark().line + 1, "`" + std::string(key) + "` must be a list [a, b]");
      return out;
    }
    for (const YAML::Node& item : value) {
      if (item.IsScalar()) {
        out.push_back(item.Scalar());
      } else {
        problem(item.Mark().line + 1, "`" + std::string(key) + "` must hold texts only");
      }
    }
    return out;
  }

  bool flag(std::string_view key, bool fallback) {
    const YAML::Node value = get(key, false);
    if (!value.IsDefined()) return fallback;
    if (value.IsScalar() && (value.Scalar() == "true" || value.Scalar() == "false")) return value.Scalar() == "true";
    problem(value.Mark().line + 1, "`" + std::string(key) + "` must be true or false");
    return fallback;
  }

  std::uint16_t number(std::string_view key) {
    const std::string value = text(key, true);
    const bool digits = !value.empty() && value.size() <= 5 && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
    const unsigned long parsed = digits ? std::stoul(value) : 65536UL;
    if (parsed > 65535UL) {
      problem(where_.line, "`" + std::string(key) + "` must be a number from 0 to 65535");
      return 0;
    }
    return static_cast<std::uint16_t>(parsed);
  }

  /// Index of the value among `known`, or `fallback` when the key is absent.
  std::size_t choice(std::string_view key, Names known, std::size_t fallback, bool required = false) {
    const std::string value = text(key, required);
    if (value.empty()) return fallback;
    std::size_t index = 0;
    for (std::string_view name : known) {
      if (name == value) return index;
      ++index;
    }
    problem(where_.line, "`" + std::string(key) + "` is `" + value + "`; it must be one of: " + join({known.begin(), known.end()}));
    return fallback;
  }

  YAML::Node node(std::string_view key) { return get(key, false); }

  /// Says what was given and never asked for.
  void finish() {
    if (!node_.IsMap()) return;
    for (const auto& pair : node_) {
      const std::string key = pair.first.IsScalar() ? pair.first.Scalar() : std::string("?");
      if (std::ranges::find(asked_, key) != asked_.end()) continue;
      problem(pair.first.Mark().line + 1, "unknown key `" + key + "`; known here: " + join({asked_.begin(), asked_.end()}));
    }
  }

  void problem(int line, const std::string& what) { problems_.push_back(file_ + ":" + std::to_string(line) + ": " + what); }

 private:
  YAML::Node get(std::string_view key, bool required) {
    asked_.emplace_back(key);
    if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node found = std::as_const(node_)[std::string(key)];
    if (!found.IsDefined() && required) problem(where_.line, "`" + std::string(key) + "` is missing");
    return found;
  }

  YAML::Node node_;
  const std::string& file_;
  Problems& problems_;
  Where where_;
  std::vector<std::string> asked_;
};

std::string verified(Fields& f) {
  static constexpr std::array<const char*, 3> kMarks = {"opened", "indexed", "cited"};
  (void)f.list("source", true);
  const std::size_t index = f.choice("verified", {"opened", "indexed", "cited"}, 2, true);
  return kMarks.at(index);
}

void read_kind(Fields& f, Model& model) {
  KindEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.title = f.text("title", true);
  e.provider = f.text("provider");
  if (e.provider.empty()) e.provider = e.id.substr(0, e.id.find('.'));
  e.key_class = static_cast<KeyClass>(
      f.choice("class", {"access_key", "identity_token", "session_token", "password", "certificate", "encryption_key"}, 0, true));
  e.lifetime = static_cast<Lifetime>(f.choice("lifetime", {"unknown", "long_lived", "short_lived"}, 0, true));
  e.authenticates = f.flag("authenticates", true);
  e.guessable = f.flag("guessable", e.key_class == KeyClass::kPassword);
  e.wildcard = f.flag("wildcard", false);
  e.audience_decides = f.flag("audience_decides", false);
  e.host_bound = f.flag("host_bound", false);
  e.public_id = f.text("public_id");
  e.note = f.text("note");
  if (e.key_class == KeyClass::kEncryptionKey && e.authenticates) {
    f.problem(e.where.line, "`" + e.id + "` is an encryption key: say `authenticates: false`, or give it another class");
  }
  model.kinds.push_back(std::move(e));
}

void read_file_entry(Fields& f, Model& model) {
  FileEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.format = f.text("format");
  e.selector = f.text("selector");
  e.paths = f.list("paths", true);
  e.exclusions = f.list("not");
  e.note = f.text("note");
  (void)f.list("unverified");
  e.verified = verified(f);
  if (e.kinds.empty() != e.format.empty())
    f.problem(e.where.line, "`" + e.id + "`: a key needs `kinds` and `format`; a configuration has neither");
  model.files.push_back(std::move(e));
}

void read_env(Fields& f, Model& model) {
  EnvEntry e{.where = f.where()};
  e.name = f.text("name", true);
  e.provider = f.text("provider", true);
  const std::size_t use = f.choice("use", {"identifier", "secret", "pointer", "destination", "selector", "setting"}, 0, true);
  e.use = use == 5 ? EnvUse::kIdentifier : static_cast<EnvUse>(use);
  e.kinds = f.list("kinds");
  e.pair = f.text("pair");
  e.file = f.text("file");
  e.binding = f.text("binding");
  e.show = f.flag("show", e.use != EnvUse::kSecret);
  e.note = f.text("note");
  e.verified = verified(f);
  if (e.use == EnvUse::kSecret && e.show) f.problem(e.where.line, "`" + e.name + "` is a secret: its value is never shown");
  model.env.push_back(std::move(e));
}

void read_endpoint(Fields& f, Model& model) {
  EndpointEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.service = f.text("service");
  e.exact = f.list("exact");
  e.suffix = f.list("suffix");
  e.regex = f.text("regex");
  e.domains = f.list("domains");
  e.region = f.text("region");
  e.region_default = f.text("region_default");
  e.api = f.text("api");
  e.note = f.text("note");
  (void)f.list("unverified");
  e.verified = verified(f);
  model.endpoints.push_back(std::move(e));
}

void read_issuer(Fields& f, const std::string& file, Model& model, Problems& problems) {
  IssuerEntry e{.where = f.where()};
  e.id = f.text("id", true);
  (void)f.flag("hands_out_others", false);
  for (const YAML::Node& node : f.node("actions")) {
    Fields a(node, file, problems);
    ActionEntry action;
    action.action = a.text("action", true);
    action.takes = a.list("takes", true);
    action.gives = a.list("gives", true);
    a.finish();
    e.actions.push_back(std::move(action));
  }
  e.verified = verified(f);
  model.issuers.push_back(std::move(e));
}

AcceptEntry read_accept(Fields& f) {
  AcceptEntry a;
  a.kinds = f.list("accepts");
  a.issuers = f.list("issuers");
  a.anonymous = static_cast<Anonymous>(f.choice("anonymous", {"never", "possible", "common"}, 0));
  a.open = f.flag("open", false);
  (void)f.text("note");
  (void)verified(f);
  return a;
}

void read_rule(Fields& f, Model& model) {
  RuleEntry e{.where = f.where()};
  e.endpoints = f.list("endpoints", true);
  e.by_service = f.flag("by_service", false);
  e.accept = read_accept(f);
  model.rules.push_back(std::move(e));
}

void read_service(Fields& f, Model& model) {
  ServiceEntry e{.where = f.where()};
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.host_regex = f.text("host");
  e.accept = read_accept(f);
  model.services.push_back(std::move(e));
}

void read_binding(Fields& f, Model& model) {
  BindingEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.env = f.list("env", true);
  e.names = f.list("names");
  (void)f.text("form");
  e.accept = read_accept(f);
  model.bindings.push_back(std::move(e));
}

void read_port(Fields& f, Model& model) {
  PortEntry e{.where = f.where()};
  e.port = f.number("port");
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.accept = read_accept(f);
  model.ports.push_back(std::move(e));
}

void read_selector(Fields& f, const std::string& file, Model& model, Problems& problems) {
  SelectorEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.selects = f.text("selects", true);
  e.host_binds = f.flag("host_binds", false);
  static constexpr std::array<const char*, 4> kBy = {"argument", "environment", "overridden", "default"};
  for (const YAML::Node& node : f.node("steps")) {
    Fields s(node, file, problems);
    std::size_t given = 0;
    for (std::size_t by = 0; by < kBy.size(); ++by) {
      const std::string name = s.text(kBy.at(by));
      if (name.empty()) continue;
      ++given;
      e.steps.push_back({static_cast<Selector::Step::By>(by), name});
    }
    s.finish();
    if (given != 1) s.problem(s.where().line, "a step is exactly one of: argument, environment, overridden, default");
  }
  (void)f.text("note");
  e.verified = verified(f);
  model.selectors.push_back(std::move(e));
}

void read_metadata(Fields& f, Model& model) {
  MetadataEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.addresses = f.list("addresses");
  e.hosts = f.list("hosts");
  e.paths = f.list("paths", true);
  e.role = f.flag("role", false);
  e.step = f.flag("step", false);
  (void)f.text("note");
  e.verified = verified(f);
  if (e.addresses.empty() && e.hosts.empty()) f.problem(e.where.line, "`" + e.id + "` needs `addresses` or `hosts`");
  model.metadata.push_back(std::move(e));
}

void read_socket(Fields& f, Model& model) {
  SocketEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.use = static_cast<SocketUse>(f.choice("use", {"harmless", "broker"}, 0, true));
  e.kinds = f.list("kinds");
  e.paths = f.list("paths", true);
  (void)f.text("note");
  e.verified = verified(f);
  model.sockets.push_back(std::move(e));
}

void read_program(Fields& f, Model& model) {
  ProgramEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.names = f.list("names", true);
  e.script = f.flag("script", false);
  e.obeys_selectors = f.flag("obeys_selectors", false);
  e.runtime = f.flag("runtime", false);
  e.relay = f.flag("relay", false);
  e.hub = f.flag("hub", false);
  e.bulk_reader = f.flag("bulk_reader", false);
  e.helper = f.flag("helper", false);
  (void)f.text("note");
  e.verified = verified(f);
  model.programs.push_back(std::move(e));
}

void read_format(Fields& f, const std::string& file, Model& model, Problems& problems) {
  FormatEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.regex = f.text("regex", true);
  e.public_id = f.flag("public_id", false);
  e.weak = f.flag("weak", false);
  const YAML::Node argument = f.node("argument");
  if (argument.IsDefined()) {
    Fields a(argument, file, problems);
    e.has_argument = true;
    e.prefix = a.text("prefix", true);
    e.min_len = a.number("min");
    e.max_len = a.number("max");
    a.finish();
    if (e.prefix.size() < 4 || e.min_len < e.prefix.size() || e.max_len < e.min_len) {
      a.problem(a.where().line, "`argument` needs a prefix of 4 characters or more, and prefix length <= min <= max");
    }
  }
  (void)f.text("note");
  e.verified = verified(f);
  model.formats.push_back(std::move(e));
}

using Section = std::function<void(Fields&, const std::string&, Model&, Problems&)>;

template <void (*Read)(Fields&, Model&)>
void plain(Fields& f, const std::string& /*file*/, Model& model, Problems& /*problems*/) {
  Read(f, model);
}

const std::vector<std::pair<std::string_view, Section>>& sections() {
  static const std::vector<std::pair<std::string_view, Section>> kSections = {
      {"kinds", plain<read_kind>},         {"files", plain<read_file_entry>},  {"env", plain<read_env>},
      {"endpoints", plain<read_endpoint>}, {"issuers", read_issuer},           {"rules", plain<read_rule>},
      {"services", plain<read_service>},   {"bindings", plain<read_binding>},  {"ports", plain<read_port>},
      {"selectors", read_selector},        {"metadata", plain<read_metadata>}, {"sockets", plain<read_socket>},
      {"programs", plain<read_program>},   {"formats", read_format},
  };
  return kSections;
}

void read_document(const YAML::Node& document, const std::string& name, Model& model, Problems& problems) {
  const auto problem = [&](const YAML::Node& node, const std::string& what) {
    problems.push_back(name + ":" + std::to_string(node.Mark().line + 1) + ": " + what);
  };
  if (document.IsNull() || !document.IsDefined()) return;
  if (!document.IsMap()) return problem(document, "the file must be a map of sections");
  for (const auto& pair : document) {
    const std::string section = pair.first.IsScalar() ? pair.first.Scalar() : std::string("?");
    const YAML::Node& entries = pair.second;
    if (!entries.IsSequence()) {
      problem(pair.first, "section `" + section + "` must be a list");
      continue;
    }
    if (section == "installed") {
      for (const YAML::Node& item : entries)
        model.installed.push_back(item.IsScalar() ? item.Scalar() : std::string());
      continue;
    }
    const auto found = std::ranges::find(sections(), section, &std::pair<std::string_view, Section>::first);
    if (found == sections().end()) {
      std::vector<std::string_view> known = {"installed"};
      for (const auto& [known_name, read] : sections())
        known.push_back(known_name);
      problem(pair.first, "unknown section `" + section + "`; known: " + join(known));
      continue;
    }
    for (const YAML::Node& node : entries) {
      Fields fields(node, name, problems);
      found->second(fields, name, model, problems);
      fields.finish();
    }
  }
}

}  // namespace

void read_text(const std::string& text, const std::string& name, Model& model, Problems& problems) {
  try {
    read_document(YAML::Load(text), name, model, problems);
  } catch (const YAML::Exception& error) {
    problems.push_back(name + ":" + std::to_string(error.mark.line + 1) + ": not YAML: " + error.msg);
  }
}

void read_file(const std::string& path, Model& model, Problems& problems) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) {
    problems.push_back(path + ":1: cannot be read");
    return;
  }
  read_text(text.str(), path, model, problems);
}

}  // namespace keytrail::catalog::source
