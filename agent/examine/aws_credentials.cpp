// SPDX-License-Identifier: Apache-2.0
// ~/.aws/credentials and ~/.aws/config: https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html, read
// as botocore (Python's configparser) reads them: deeper indented lines continue the option above, options are
// case-insensitive.
#include <algorithm>
#include <cctype>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

struct Profile {
  std::string_view name, id, secret, session, role, source, token_file;
  std::string_view elsewhere;  ///< the option that says where its key comes from, if that is no file of keys
};

/// "[profile dev]" and "[dev]" → "dev". Any other name may be a profile's too, in the credentials file.
std::string_view section_name(std::string_view inner) {
  inner = trimmed(inner);
  if (inner.starts_with("profile ") || inner.starts_with("profile\t")) inner = trimmed(inner.substr(8));
  if (inner.size() >= 2 && (inner.front() == '"' || inner.front() == '\'') && inner.back() == inner.front())
    inner = inner.substr(1, inner.size() - 2);
  return inner;
}

/// Other services that speak S3 have ids of other shapes (32 hexadecimal digits, "GK31c2…", a chosen name). What is
/// no word, is longer than its secret, or as long as a secret and as mixed, stays here: the secret's fingerprint names
/// it.
bool is_access_key_id(std::string_view id, std::string_view secret) {
  constexpr std::size_t kLongest = 61;  // of Google's HMAC keys
  constexpr std::size_t kMayBeSecret = 28;
  const auto has = [&](int (*test)(int)) {
    return std::ranges::any_of(id, [&](unsigned char c) { return test(c) != 0; });
  };
  const bool word =
      std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.'; });
  const bool like_secret = id.size() >= kMayBeSecret && !id.starts_with("GOOG") &&
                           (id.size() > secret.size() || (has(std::isupper) && has(std::islower)));
  return word && id.size() <= kLongest && !like_secret;
}

bool is_aws_id(std::string_view id) { return id.size() >= 16 && (id.starts_with("AKIA") || id.starts_with("ASIA")); }

/// `config`: of ~/.aws/config, where botocore looks at every other way before it takes a key that stands there; in
/// ~/.aws/credentials the key counts before a credential_process.
void report(const Profile& profile, bool config, Work& work) {
  // A role is assumed with the key of another entry, whatever else stands here (botocore's AssumeRoleProvider comes
  // first).
  if (!profile.role.empty() && !profile.source.empty() && profile.source != profile.name) {
    work.at({.selector = profile.name});
    work.add_elsewhere(profile.source);
    work.at({});
  }
  // Of a profile with both, the SDKs differ in which comes first: then neither its own key is certain.
  const bool named = !profile.name.starts_with("sso-session ");  // which profiles name in turn
  if (named && !profile.elsewhere.empty() && (profile.role.empty() || profile.source.empty())) {
    work.at({.selector = profile.name, .current = config && !profile.secret.empty()});
    profile.token_file.empty() ? work.add_elsewhere(profile.elsewhere)
                               : work.add_place("web_identity_token_file", profile.token_file);
    work.at({});
  }
  if (profile.name.empty() || (profile.id.empty() && profile.secret.empty()))
    return;  // a role, SSO or process entry: no key
  if (profile.secret.empty() || !is_name(profile.name, 126)) return work.skip();
  work.at({.selector = profile.name});
  const bool no_key = work.is_no_key(profile.secret) || work.is_no_key(profile.id);
  work.at({});
  if (no_key) return;
  const bool session = profile.id.starts_with("ASIA") || (!profile.session.empty() && !profile.id.starts_with("AKIA"));
  KeyFact fact = session ? work.fact("aws.session", KeyClass::kSessionToken, Lifetime::kShortLived)
                         : work.fact("aws.access_key", KeyClass::kAccessKey, Lifetime::kLongLived);
  if (is_access_key_id(profile.id, profile.secret)) fact.key.id = std::string(profile.id);
  fact.untold = !profile.id.empty() && !is_aws_id(profile.id);
  fact.selector = std::string(profile.name);
  work.add(std::move(fact), profile.secret);
}

class Reader {
 public:
  explicit Reader(Work& work) : work_(work) {}

  void line(std::string_view raw) {
    const std::string_view text = trimmed(raw);
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    const auto indent = static_cast<std::size_t>(text.data() - raw.data());
    if (in_option_ && indent > indent_) return below(text);
    in_option_ = false;
    if (text.front() == '[') return section(text);
    if (const std::size_t at = text.find_first_of("=:"); at != std::string_view::npos && in_section_) {
      in_option_ = true;
      indent_ = indent;
      return option(trimmed(text.substr(0, at)), trimmed(text.substr(at + 1)));
    }
    work_.skip();
  }
  [[nodiscard]] bool finish(bool config) {
    for (const Profile& profile : profiles_)
      report(profile, config, work_);
    return any_section_;
  }

 private:
  void section(std::string_view text) {
    const std::size_t end = text.rfind(']');
    in_section_ = end != std::string_view::npos;
    if (!in_section_) return work_.skip();
    any_section_ = true;
    const std::string_view name = section_name(text.substr(1, end - 1));
    const auto known = std::ranges::find(profiles_, name, &Profile::name);
    current_ = static_cast<std::size_t>(known - profiles_.begin());
    if (known != profiles_.end()) return;
    if (profiles_.size() >= 4 * role::kMaxKeysPerFile) {
      in_section_ = false;
      return work_.skip();
    }
    profiles_.push_back({.name = name});
  }
  /// "s3 =" and below it "endpoint_url = …" ([services …], or in a profile)
  void below(std::string_view text) {
    std::string_view value = text;
    if (same_word(trimmed(cut(value, '=')), "endpoint_url")) address(trimmed(value));
  }
  void address(std::string_view value) {
    if (const std::optional<Url> url = split_url(value); url && !url->host.empty())
      work_.add_address("AWS_ENDPOINT_URL", url->host);
  }
  void option(std::string_view name, std::string_view value) {
    Profile& profile = profiles_[current_];
    if (same_word(name, "endpoint_url")) return address(value);
    if (same_word(name, "source_profile")) profile.source = value;
    for (const std::string_view way : {"credential_process", "web_identity_token_file", "credential_source",
                                       "sso_session", "sso_start_url", "login_session"}) {
      if (same_word(name, way) && !value.empty()) profile.elsewhere = way;
    }
    if (same_word(name, "web_identity_token_file")) profile.token_file = value;
    value = unquoted(value.substr(0, value.find_first_of(" \t#")));  // no key contains one: a comment follows
    if (same_word(name, "role_arn")) profile.role = value;
    if (same_word(name, "aws_access_key_id")) profile.id = value;
    if (same_word(name, "aws_secret_access_key")) profile.secret = value;
    if (same_word(name, "aws_session_token")) profile.session = value;
  }

  Work& work_;
  std::vector<Profile> profiles_;
  std::size_t current_ = 0;
  std::size_t indent_ = 0;
  bool in_section_ = false;
  bool in_option_ = false;
  bool any_section_ = false;
};

role::Unread read(std::string_view bytes, bool config, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  Reader reader(work);
  for_each_line(bytes, [&](std::string_view line) { reader.line(line); });
  return reader.finish(config) ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace

role::Unread aws_credentials(std::string_view bytes, Work& work) { return read(bytes, false, work); }
role::Unread aws_config(std::string_view bytes, Work& work) { return read(bytes, true, work); }

}  // namespace keytrail::examine::format
