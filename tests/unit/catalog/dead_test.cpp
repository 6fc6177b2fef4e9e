// SPDX-License-Identifier: Apache-2.0
// The catalog has no dead entries: each file has a place that leads to it, each host entry a name, each kind of key a
// source, each binding something that names it. Deliberate exceptions stand here, with the reason. (Variables:
// tests/unit/link/catalog_variables_test.cpp.)
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/catalog/source.h"

namespace keytrail::catalog::source {
namespace {

const Model& tree() {
  static const Model model = [] {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(KEYTRAIL_CATALOG_DATA))
      files.push_back(entry.path().string());
    std::ranges::sort(files);
    Model out;
    Problems problems;
    for (const std::string& file : files)
      read_file(file, out, problems);
    EXPECT_TRUE(problems.empty()) << problems.front();
    return out;
  }();
  return model;
}

/// A path that the pattern stands for.
std::string path_of(const std::string& pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '~' && i == 0) {
      out += "/root";
    } else if (pattern.compare(i, 2, "**") == 0) {
      out += i == 0 ? "/srv/walk" : "walk/deep";
      ++i;
    } else {
      out += pattern[i] == '*' ? "w1" : (pattern[i] == '?' ? "w" : std::string(1, pattern[i]));
    }
  }
  return out;
}

bool is_reached(const FileEntry& e) {
  const bool by_path = std::ranges::any_of(e.paths, [&](const std::string& pattern) {
    const File* found = Catalog::builtin().match_file(path_of(pattern));
    return found != nullptr && found->id == e.id;
  });
  const bool by_flag = std::ranges::any_of(e.flags, [&](const std::string& text) {
    const ProgramFlag flag = program_and_flag(text);
    const File* found = Catalog::builtin().file_of_flag(flag.program, flag.flag);
    return found != nullptr && found->id == e.id;
  });
  const bool by_variable = std::ranges::any_of(tree().env, [&](const EnvEntry& one) { return one.file == e.id; });
  return by_path || by_flag || by_variable || !e.options.empty();
}

TEST(NoDeadEntry, EachFileIsReached) {
  ASSERT_GT(tree().files.size(), 300U);
  for (const FileEntry& e : tree().files)
    EXPECT_TRUE(is_reached(e)) << e.where.file << ":" << e.where.line << " " << e.id;
}

TEST(NoDeadEntry, EachPathOfAFileLeadsToIt) {
  std::size_t paths = 0;
  for (const FileEntry& e : tree().files) {
    for (const std::string& pattern : e.paths) {
      const File* found = Catalog::builtin().match_file(path_of(pattern));
      EXPECT_TRUE(found != nullptr && found->id == e.id)
          << e.where.file << ":" << e.where.line << " " << e.id << ": " << pattern << " is "
          << (found == nullptr ? "none" : found->id);
      ++paths;
    }
  }
  EXPECT_GT(paths, 800U);
}

TEST(NoDeadEntry, EachFlagOfAFileLeadsToIt) {
  std::size_t flags = 0;
  for (const FileEntry& e : tree().files) {
    for (const std::string& text : e.flags) {
      const ProgramFlag flag = program_and_flag(text);
      const File* found = Catalog::builtin().file_of_flag(flag.program, flag.flag);
      EXPECT_TRUE(found != nullptr && found->id == e.id) << e.id << ": " << text;
      ++flags;
    }
  }
  EXPECT_GT(flags, 35U);
}

TEST(NoDeadEntry, EachOptionOfAFileLeadsToIt) {
  std::size_t options = 0;
  for (const FileEntry& e : tree().files) {
    for (const std::string& text : e.options) {
      const ProgramFlag option = program_and_flag(text);
      const auto teller = std::ranges::find_if(
          tree().files, [&](const FileEntry& one) { return one.id == option.program || one.format == option.program; });
      ASSERT_NE(teller, tree().files.end()) << e.id << ": nothing is " << option.program;
      const Catalog& catalog = Catalog::builtin();
      const File* found = catalog.file_of_option(*catalog.file(teller->id), option.flag);
      EXPECT_TRUE(found != nullptr && found->id == e.id) << e.id << ": " << text;
      ++options;
    }
  }
  EXPECT_GT(options, 20U);
}

/// A text of a regular expression: of an alternative the `choice`-th, of a repetition as few as may be. The
/// expressions of endpoints.yaml have groups, sets, escapes and repetitions.
class Sample {
 public:
  Sample(std::string_view regex, std::size_t choice) : rest_(regex), choice_(choice) {}
  std::string all() { return alternatives(); }

 private:
  std::string alternatives() {
    std::vector<std::string> all{sequence()};
    while (rest_.starts_with('|')) {
      rest_.remove_prefix(1);
      all.push_back(sequence());
    }
    return all[choice_ % all.size()];
  }
  std::string sequence() {
    std::string out;
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      const std::string one = atom();
      for (std::size_t i = repetitions(); i > 0; --i)
        out += one;
    }
    return out;
  }
  std::string atom() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '^' || c == '$') return {};
    if (c == '.') return "w";
    if (c == '\\') {
      const char escaped = rest_.front();
      rest_.remove_prefix(1);
      return escaped == 'd' ? "7" : (escaped == 'w' ? "w" : std::string(escaped == 'b' ? 0 : 1, escaped));
    }
    if (c == '[') {
      const std::string first(1, rest_.front() == '^' ? 'w' : rest_.front());
      rest_.remove_prefix(rest_.find(']', 1) + 1);
      return first == "\\" ? "7" : first;
    }
    if (c != '(') return {c};
    if (rest_.starts_with("?:")) rest_.remove_prefix(2);
    if (rest_.starts_with("?P<")) rest_.remove_prefix(rest_.find('>') + 1);
    std::string inner = alternatives();
    rest_.remove_prefix(1);  // ')'
    return inner;
  }
  std::size_t repetitions() {
    std::size_t count = 1;
    if (rest_.starts_with('?') || rest_.starts_with('*')) count = choice_ % 2;
    if (rest_.starts_with('{')) {
      count = std::stoul(std::string(rest_.substr(1)));
      rest_.remove_prefix(rest_.find('}') + 1);
    } else if (!rest_.empty() && std::string_view("?*+").contains(rest_.front())) {
      rest_.remove_prefix(1);
    }
    if (rest_.starts_with('?')) rest_.remove_prefix(1);  // lazy
    return count;
  }

  std::string_view rest_;
  std::size_t choice_;
};

bool answers(const EndpointEntry& e, const std::string& host) {
  const auto found = Catalog::builtin().match_host(host);
  return found && found->id == e.id;
}

bool is_reached(const EndpointEntry& e) {
  const auto whole = [&](const std::string& host) { return answers(e, host); };
  const auto below = [&](const std::string& host) { return answers(e, host) || answers(e, "walk." + host); };
  if (std::ranges::any_of(e.exact, whole) || std::ranges::any_of(e.suffix, below)) return true;
  for (std::size_t choice = 0; !e.regex.empty() && choice < 24; ++choice) {
    if (answers(e, Sample(e.regex, choice).all())) return true;
  }
  return false;
}

TEST(NoDeadEntry, EachHostEntryIsReached) {
  ASSERT_GT(tree().endpoints.size(), 400U);
  for (const EndpointEntry& e : tree().endpoints)
    EXPECT_TRUE(is_reached(e)) << e.where.file << ":" << e.where.line << " " << e.id << " "
                               << (e.regex.empty() ? "" : Sample(e.regex, 0).all());
}

TEST(NoDeadEntry, EachSocketIsReached) {
  ASSERT_GT(tree().sockets.size(), 20U);
  for (const SocketEntry& e : tree().sockets) {
    const bool reached = std::ranges::any_of(e.paths, [&](const std::string& pattern) {
      const LocalSocket found = Catalog::builtin().match_socket(path_of(pattern));
      return found.use == e.use && (e.use != SocketUse::kBroker || found.id == e.id);
    });
    EXPECT_TRUE(reached) << e.where.file << ":" << e.where.line << " " << e.id;
  }
}

TEST(NoDeadEntry, EachProgramIsReached) {
  ASSERT_GT(tree().programs.size(), 100U);
  for (const ProgramEntry& e : tree().programs) {
    const bool reached = !e.arguments.empty() || std::ranges::any_of(e.names, [&](const std::string& name) {
      const std::string place = "/usr/bin/" + path_of(name);
      const Program* found = e.script ? Catalog::builtin().match_program("/usr/bin/python3", place)
                                      : Catalog::builtin().match_program(place, place);
      return found != nullptr && found->id == e.id;
    });
    EXPECT_TRUE(reached) << e.where.file << ":" << e.where.line << " " << e.id;
  }
}

TEST(NoDeadEntry, EachFormatOfAValueIsReached) {
  const auto formats = kernel_tables().formats;
  std::size_t values = 0;
  for (const FormatEntry& e : tree().formats) {
    if (!e.has_argument) continue;
    std::string value = e.prefix;
    value.resize(std::max<std::size_t>(e.min_len, value.size()), 'q');
    const ArgFormat* found = format_of_text(formats, value);
    EXPECT_TRUE(found != nullptr && found->format_id == e.id)
        << e.where.file << ":" << e.where.line << " " << e.id << " is "
        << (found == nullptr ? "none" : found->format_id);
    ++values;
  }
  EXPECT_GT(values, 200U);
}

TEST(NoDeadEntry, EachSelectorChooses) {
  std::set<std::string> used;
  for (const FileEntry& e : tree().files)
    used.insert(e.selector);
  ASSERT_GT(tree().selectors.size(), 40U);
  for (const SelectorEntry& e : tree().selectors)
    EXPECT_TRUE(used.contains(e.id)) << e.where.file << ":" << e.where.line << " " << e.id << ": of no file";
}

/// Kinds of key that no place shows, and why they are here all the same.
const std::map<std::string, std::string>& unseen() {
  static const std::map<std::string, std::string> kUnseen{
      {"aws.api_gateway_key", "any text in a header; where it is kept it is some secret"},
      {"oci.auth_token", "a password at the registry, kept as registries' passwords are"},
      {"cloudflare.r2_session", "kept as AWS's sessions are"},
      {"oauth.authorization_code", "comes from the browser, and is spent at once"},
      {"github.app_jwt", "signed by the program with the application's key"},
      {"aembit.agent_secret", "sent by the vendor's own agent; no place is documented"},
      {"aembit.attestation", "made by the vendor's own agent"},
      {"riptides.join_token", "sent by the vendor's own agent; no place is documented"},
      {"tls.certificate", "public; the examiner says it of a certificate whose use is not told"},
      {"generic.dummy", "the examiner says it of what stands in for a key"},
      {"generic.stored_secret", "the examiner says it of what a program is given to keep or to pass on"}};
  return kUnseen;
}

std::set<std::string> shown_kinds(const Model& m) {
  std::set<std::string> out;
  const auto add = [&](const std::vector<std::string>& kinds) { out.insert(kinds.begin(), kinds.end()); };
  for (const FileEntry& e : m.files)
    add(e.kinds);
  for (const EnvEntry& e : m.env) {
    if (e.use == EnvUse::kSecret || e.use == EnvUse::kPointer) add(e.kinds);
  }
  for (const FormatEntry& e : m.formats)
    add(e.kinds);
  for (const MetadataEntry& e : m.metadata)
    add(e.kinds);
  for (const SocketEntry& e : m.sockets)
    add(e.kinds);
  for (const CarriedEntry& e : m.carried)
    add({e.kind});
  for (const auto* list : {&m.requests, &m.commands, &m.brokers}) {
    for (const IssueEntry& e : *list)
      add(e.kinds);
  }
  for (const IssuerEntry& e : m.issuers) {
    for (const ActionEntry& action : e.actions)
      add(action.gives);
  }
  return out;
}

TEST(NoDeadEntry, EachKindHasASource) {
  const std::set<std::string> shown = shown_kinds(tree());
  for (const KindEntry& e : tree().kinds)
    EXPECT_NE(shown.contains(e.id), unseen().contains(e.id))
        << e.where.file << ":" << e.where.line << " " << e.id << ": a place that holds one, or a reason here, not both";
}

TEST(NoDeadEntry, TheCompilerRefusesWhatNothingLeadsTo) {
  const auto problem = [](const std::string& text) {
    Model model;
    Problems problems;
    read_text(text, "t.yaml", model, problems);
    check(model, &tree(), problems);
    return problems.empty() ? std::string() : problems.front();
  };
  EXPECT_NE(problem("env:\n- {name: A, provider: a, use: destination, verified: cited, source: [x]}\n").find("binding"),
            std::string::npos);
  EXPECT_NE(problem("env:\n- {name: A, provider: a, use: pointer, verified: cited, source: [x]}\n").find("`file`"),
            std::string::npos);
  EXPECT_NE(problem("bindings:\n- {id: bind.a, provider: a, service: a, verified: cited, source: [x]}\n")
                .find("named by no variable"),
            std::string::npos);
  EXPECT_NE(problem("files:\n- {id: a.b, provider: a, kinds: [generic.secret], format: opaque, verified: cited, "
                    "source: [x]}\n")
                .find("needs `paths`"),
            std::string::npos);
}

}  // namespace
}  // namespace keytrail::catalog::source
