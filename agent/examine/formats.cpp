// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/formats.h"

#include <algorithm>
#include <array>
#include <exception>

namespace keytrail::examine {
namespace {

struct Format {
  std::string_view name;
  role::Unread (*parse)(std::string_view bytes, Work& work);
};

constexpr std::array<Format, 25> kFormats{{
    {"aws_credentials", format::aws_credentials},
    {"aws_config", format::aws_config},
    {"raw_token", format::raw_token},
    {"jwt", format::jwt},
    {"pem", format::pem},
    {"ssh_private_key", format::ssh_private_key},
    {"opaque", format::opaque},
    {"configuration", format::configuration},
    {"gitconfig", format::gitconfig},
    {"ssh_config", format::ssh_config},
    {"curlrc", format::curlrc},
    {"kubeconfig", format::kubeconfig},
    {"google_credentials", format::google_credentials},
    {"gcloud_store", format::gcloud_store},
    {"git_credentials", format::git_credentials},
    {"netrc", format::netrc},
    {"docker_config", format::docker_config},
    {"dotenv", format::dotenv},
    {"npmrc", format::npmrc},
    {"pgpass", format::pgpass},
    {"age_identity", format::age_identity},
    {"gpg_private_key", format::gpg_private_key},
    {"keyfile", format::keyfile},
    {"hosts_file", format::hosts_file},
    {kContentFormat, format::content},
}};

}  // namespace

std::vector<std::string_view> format_names() {
  std::vector<std::string_view> out;
  out.reserve(std::size(kFormats));
  for (const Format& format : kFormats)
    out.push_back(format.name);
  return out;
}

void parse(const Hints& hints, std::string_view bytes, ExaminerState& state, Arena& scratch, Found& found) {
  found.unread = role::Unread::kUnknownFormat;
  if (bytes.size() > role::kMaxFileBytes) {
    found.unread = role::Unread::kTooLarge;
    return;
  }
  for (const Format& format : kFormats) {
    if (format.name != hints.format) continue;
    try {
      Work work(state, scratch, hints, found);
      found.unread = format.parse(bytes, work);
    } catch (
        const std::exception&) {  // out of memory, or a library's own: its text may quote the file, so it goes nowhere
      found.unread = role::Unread::kUnknownFormat;
      ++found.skipped;
    }
    if (found.bare) std::ranges::for_each(found.keys, strip_texts);  // some parsers add to what they reported
    return;
  }
}

}  // namespace keytrail::examine
