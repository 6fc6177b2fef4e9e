// SPDX-License-Identifier: Apache-2.0
// Target: a file of /etc/keytrail/catalog.d (agent/catalog). What is taken is then asked, as the worker asks it.
#include "agent/catalog/additions.h"

#include "tests/fuzz/fuzz.h"

namespace keytrail::catalog {
namespace {

using fuzz::require;

constexpr std::size_t kMaxQuoted = 400;
constexpr std::size_t kMaxError = 200'000;  // 100 lines, each byte of them escaped

void check_error(const std::string& error, std::string_view input) {
  require(fuzz::is_shown_safely(error) && error.size() <= kMaxError, "an error is short and can be shown");
  require(!fuzz::repeats(error, input, kMaxQuoted), "an error quotes little of the file");
  for (std::string_view rest = error; !rest.empty();) {
    const std::string_view line = fuzz::take_until(rest, "\n");
    require(line.starts_with("fuzz.yaml:") || line.starts_with("catalog.d: "), "each line names the file");
  }
}

void ask(const Additions& additions) {
  const Catalog catalog = Catalog::with_additions(additions);
  for (const std::string& name : additions.watch_names()) {
    require(!name.empty() && !name.contains('/'), "a name to watch is one component");
    (void)catalog.match_file("/srv/" + name);
  }
  (void)catalog.match_file("/root/.aws/credentials");
  const auto s3 = catalog.match_host("s3.eu-west-1.amazonaws.com");
  require(s3 && s3->provider == "aws", "a built-in host stays what it is");
  (void)catalog.match_host("vault.corp.example");
  (void)catalog.match_program("/usr/bin/deploy", "/opt/deploy.py");
  (void)catalog.match_socket("/run/broker.sock");
  (void)catalog.list();
}

}  // namespace
}  // namespace keytrail::catalog

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  const std::string text(fuzz::text_of(data, size));
  const auto additions = catalog::Additions::read_text(text, "fuzz.yaml");
  if (additions) {
    catalog::ask(*additions);
  } else {
    catalog::check_error(additions.error().message, text);
  }
  return 0;
}
