// SPDX-License-Identifier: Apache-2.0
// Target: what other processes name (paths, variables, hosts, programs, sockets, texts that may be keys) against the
// built-in catalog.
#include "agent/catalog/catalog.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  using fuzz::require;
  const catalog::Catalog& catalog = catalog::Catalog::builtin();
  std::string_view text = fuzz::text_of(data, size);
  if (const catalog::File* file = catalog.match_file(text))
    require(catalog.file(file->id) == file, "a file's entry is in the catalog");
  if (const catalog::Env* env = catalog.match_env(text)) require(!env->name.empty(), "a variable has a name");
  if (const auto host = catalog.match_host(text)) {
    require(
        !host->provider.empty() && host->service.size() <= text.size() + 64 && host->region.size() <= text.size() + 64,
        "a host has a provider");
    (void)catalog.accepts(*host, "aws.access_key");
    (void)catalog.issues(*host, "aws.access_key");
  }
  (void)catalog.match_socket(text);
  if (const auto format = catalog.match_format(text))
    require(catalog.format(*format) != nullptr, "a format is in the catalog");
  const std::string_view first = fuzz::take_until(text, "\n");
  (void)catalog.match_program(first, text);
  SocketAddress metadata{.address = {169, 254, 169, 254}, .port = 80};
  if (const auto issue = catalog.match_metadata(metadata, first, text))
    require(issue->role.size() <= text.size(), "a role is part of the path");
  return 0;
}
