// SPDX-License-Identifier: Apache-2.0
// OpenSSH's client configuration (ssh_config(5)): which key file is offered to which host, and what it includes. It
// holds no key itself. A host that is a pattern names none; what a pattern includes is not looked for.
#include <array>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

struct Keyword {
  std::string_view name, value;
};

/// "Name value", "Name=value", "Name = \"value\"".
Keyword split(std::string_view line) {
  const std::size_t end = std::min(line.find_first_of(" \t="), line.size());
  std::string_view value = trimmed(line.substr(end));
  if (value.starts_with('=')) value = trimmed(value.substr(1));
  return {line.substr(0, end), unquoted(value)};
}

class Reader {
 public:
  explicit Reader(Work& work) : work_(work) {}

  void line(std::string_view text) {
    const Keyword keyword = split(text);
    if (same_word(keyword.name, "Host") || same_word(keyword.name, "Match")) {
      finish();
      const bool one =
          same_word(keyword.name, "Host") && keyword.value.find_first_of(" \t*?!") == std::string_view::npos;
      host_ = one ? keyword.value : std::string_view();
    } else if (same_word(keyword.name, "HostName")) {
      name_ = keyword.value;
    } else if (same_word(keyword.name, "IdentityFile")) {
      if (identities_ < kMaxIdentities) files_[identities_++] = keyword.value;
    } else if (same_word(keyword.name, "Include")) {
      work_.at({});
      if (keyword.value.find_first_of("*?[ ") == std::string_view::npos) work_.add_place("Include", keyword.value);
    }
  }
  void finish() {
    const std::string_view host = name_.empty() || host_.empty() ? host_ : name_;
    work_.at({.selector = host_, .host = host});
    for (std::size_t i = 0; i < identities_; ++i)
      work_.add_place("IdentityFile", files_[i]);
    work_.at({});
    host_ = name_ = {};
    identities_ = 0;
  }

 private:
  static constexpr std::size_t kMaxIdentities = 8;

  Work& work_;
  std::string_view host_, name_;
  std::array<std::string_view, kMaxIdentities> files_;
  std::size_t identities_ = 0;
};

}  // namespace

role::Unread ssh_config(std::string_view bytes, Work& work) {
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  Reader reader(work);
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line);
    if (!line.empty() && line.front() != '#') reader.line(line);
  });
  reader.finish();
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
