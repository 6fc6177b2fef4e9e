// SPDX-License-Identifier: Apache-2.0
// Keys in an initial environment and in arguments, and the variables and flags that point at files. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/key_index.h"
#include "keytrail/key.h"
#include "keytrail/process.h"

namespace keytrail::link {

struct FoundKey {
  Key key;
  Slot slot;
  std::span<const std::string_view> kinds;  ///< what its variable may hold, when the value does not tell; else empty
  std::string host;   ///< of a URL or connection string: where it leads, as the examiner says; else empty
  bool told = false;  ///< only the examiner tells which key it is: a password's number, a URL's login and host
};

/// The keys of an environment: identifier and secrets that the catalog pairs are one key, a lone secret is known by its
/// fingerprint. `owner`: workload id, part of the id of values that have no fingerprint.
[[nodiscard]] std::vector<FoundKey> keys_of_environment(const SharedList<EnvItem>& env, const catalog::Catalog& catalog,
                                                        std::string_view owner);

/// Whether one of its destinations is in a variable that may hold a key, too, so that its value was not seen.
[[nodiscard]] bool hides_address(const SharedList<EnvItem>& env, const catalog::Catalog& catalog);

/// The keys of arguments: a recognised secret format, or a flag's value that is the secret of a known key.
/// A public identifier alone (`--access-key-id AKIA…`) names a key and hands over none.
[[nodiscard]] std::vector<FoundKey> keys_of_arguments(const SharedList<ArgItem>& args, const catalog::Catalog& catalog,
                                                      KeyIndex& index);

/// Whether a path as people write it is this file: relative to a directory that is not known, from a home ("~/"), with
/// /var/run for /run, through a projected volume's links ("..data").
[[nodiscard]] bool names_path(std::string_view pointer, std::string_view path);
/// The same for a list ("a:b", KUBECONFIG).
[[nodiscard]] bool names_path_in_list(std::string_view pointers, std::string_view path);

/// What is handed out at this Unix socket, when a variable names it and says so ("SPIFFE_ENDPOINT_SOCKET"); else empty.
[[nodiscard]] std::string_view kind_of_named_socket(const SharedList<EnvItem>& env, const catalog::Catalog& catalog,
                                                    std::string_view path);

/// The catalog entry that a pointer variable of this environment (AWS_SHARED_CREDENTIALS_FILE) gives to `path`, or
/// nullptr.
[[nodiscard]] const catalog::File* file_of_pointer(const SharedList<EnvItem>& env, const catalog::Catalog& catalog,
                                                   std::string_view path);
/// The same for a flag of this program (`ssh -i PATH`).
[[nodiscard]] const catalog::File* file_of_argument(const Process& process, const catalog::Catalog& catalog,
                                                    std::string_view path);

}  // namespace keytrail::link
