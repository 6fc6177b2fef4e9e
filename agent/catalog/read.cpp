// SPDX-License-Identifier: Apache-2.0
// One YAML file to source::Model: its sections, and what a file must be before it is read at all. Any thread; no state.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/yaml_guard.h"
#include "agent/catalog/fields.h"

namespace keytrail::catalog::source {
namespace {

/// The largest file of the tree has 30,000; one of additions (1 MiB) may have as many.
constexpr std::size_t kMaxValues = 100'000;

using Section = std::function<void(Fields&, const std::string&, Model&, Problems&)>;

template <void (*Read)(Fields&, Model&)>
void plain(Fields& f, const std::string& /*file*/, Model& model, Problems& /*problems*/) {
  Read(f, model);
}

const std::vector<std::pair<std::string_view, Section>>& sections() {
  static const std::vector<std::pair<std::string_view, Section>> kSections = {
      {"proofs", plain<read_proof>},
      {"kinds", plain<read_kind>},
      {"files", plain<read_file_entry>},
      {"env", plain<read_env>},
      {"endpoints", plain<read_endpoint>},
      {"issuers", read_issuer},
      {"rules", plain<read_rule>},
      {"services", plain<read_service>},
      {"bindings", plain<read_binding>},
      {"ports", plain<read_port>},
      {"requests", plain<read_request>},
      {"selectors", read_selector},
      {"metadata", plain<read_metadata>},
      {"sockets", plain<read_socket>},
      {"programs", plain<read_program>},
      {"commands", plain<read_command>},
      {"brokers", plain<read_broker>},
      {"readers", plain<read_reader>},
      {"formats", read_format},
      {"arguments", plain<read_arguments>},
      {"carried", plain<read_carried>},
      {"ranges", plain<read_ranges>},
      {"roles", plain<read_role>},
      {"interpreters", plain<read_interpreter>},
  };
  return kSections;
}

void read_document(const YAML::Node& document, const std::string& name, Model& model, Problems& problems) {
  const auto problem = [&](const YAML::Node& node, const std::string& what) {
    problems.push_back(name + ":" + std::to_string(node.Mark().line + 1) + ": " + what);
  };
  if (document.IsNull() || !document.IsDefined()) return;
  if (!document.IsMap()) return problem(document, "the file must be a map of sections");
  std::set<std::string> seen;
  for (const auto& pair : document) {
    const std::string section = pair.first.IsScalar() ? pair.first.Scalar() : std::string("?");
    const YAML::Node& entries = pair.second;
    if (!seen.insert(section).second)
      problem(pair.first, "section `" + base::printable(section) + "` is there twice; join them");
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
      problem(pair.first, "unknown section `" + base::printable(section) + "`" + did_you_mean(section, known) +
                              "; known: " + join(known));
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
  if (const Result<void> sound = base::check_yaml(text, name, {.values = kMaxValues}); !sound) {
    problems.push_back(sound.error().message);
    return;
  }
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
