// SPDX-License-Identifier: Apache-2.0
// What keys look like and where they are: kinds, files, variables, selectors, formats. YAML to source::Model, strict
// about keys and values.
#include <array>
#include <string_view>
#include <utility>

#include "agent/catalog/fields.h"

namespace keytrail::catalog::source {

void read_proof(Fields& f, Model& model) {
  ProofEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.text = f.text("where", true);
  e.names = f.text("names", true);
  model.proofs.push_back(std::move(e));
}

void read_kind(Fields& f, Model& model) {
  KindEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.title = f.text("title", true);
  e.provider = f.text("provider");
  if (e.provider.empty()) e.provider = e.id.substr(0, e.id.find('.'));
  e.key_class = f.word("class", KeyClass::kAccessKey, true);
  e.lifetime = f.word("lifetime", Lifetime::kUnknown, true);
  e.authenticates = f.flag("authenticates", true);
  e.guessable = f.flag("guessable", e.key_class == KeyClass::kPassword);
  e.wildcard = f.flag("wildcard", false);
  e.audience_decides = f.flag("audience_decides", false);
  e.host_bound = f.flag("host_bound", false);
  e.public_id = f.text("public_id");
  e.proofs = f.list("proof");
  e.signs = f.list("signs");
  e.note = f.text("note");
  if (e.key_class == KeyClass::kEncryptionKey && e.authenticates) {
    f.problem(e.where.line,
              "`" + e.id + "` is an encryption key: say `authenticates: false`, or give it another class");
  }
  model.kinds.push_back(std::move(e));
}

void read_file_entry(Fields& f, Model& model) {
  FileEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.format = f.text("format");
  e.by_content = f.flag("by_content", false);
  e.selector = f.text("selector");
  e.paths = f.list("paths");
  e.exclusions = f.list("not");
  e.flags = f.list("flags");
  e.options = f.list("options");
  e.note = f.text("note");
  e.unverified = f.list("unverified");
  e.verified = f.verified();
  if (e.kinds.empty() != e.format.empty())
    f.problem(e.where.line, "`" + e.id + "`: a key needs `kinds` and `format`; a configuration has neither");
  model.files.push_back(std::move(e));
}

void read_env(Fields& f, Model& model) {
  EnvEntry e{.where = f.where()};
  e.name = f.text("name", true);
  e.provider = f.text("provider", true);
  const std::size_t use =
      f.choice("use", {"identifier", "secret", "pointer", "destination", "selector", "setting"}, 0, true);
  e.setting = use == 5;
  e.use = e.setting ? EnvUse::kIdentifier : static_cast<EnvUse>(use);
  e.kinds = f.list("kinds");
  e.pair = f.text("pair");
  e.owner = f.flag("owner", false);
  e.file = f.text("file");
  e.binding = f.text("binding");
  e.show = f.flag("show", e.use != EnvUse::kSecret);
  e.note = f.text("note");
  e.verified = f.verified();
  if (e.use == EnvUse::kSecret && e.show)
    f.problem(e.where.line, "`" + e.name + "` is a secret: its value is never shown");
  model.env.push_back(std::move(e));
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
  e.verified = f.verified();
  model.selectors.push_back(std::move(e));
}

void read_format(Fields& f, const std::string& file, Model& model, Problems& problems) {
  FormatEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.regex = f.text("regex", true);
  e.public_id = f.flag("public_id", false);
  e.weak = f.flag("weak", false);
  e.only = f.flag("only", false);
  const YAML::Node argument = f.node("argument");
  if (argument.IsDefined()) {
    Fields a(argument, file, problems);
    e.has_argument = true;
    e.prefix = a.text("prefix", true);
    e.min_len = a.number("min");
    e.max_len = a.number("max");
    a.finish();
    const std::size_t shortest = e.kinds.empty() ? 1 : 3;  // what is no key may begin with "<"
    if (e.prefix.size() < shortest || e.min_len < e.prefix.size() || e.max_len < e.min_len) {
      a.problem(a.where().line, "`argument` needs a prefix of 3 characters or more, and prefix length <= min <= max");
    }
  }
  (void)f.text("note");
  e.verified = f.verified();
  model.formats.push_back(std::move(e));
}

}  // namespace keytrail::catalog::source
