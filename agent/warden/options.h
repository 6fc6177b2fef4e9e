// SPDX-License-Identifier: Apache-2.0
// keytrail-warden's command line.
#pragma once

#include <string>
#include <vector>

#include "keytrail/result.h"

namespace keytrail::warden {

/// Where container runtimes keep what they know of their containers.
struct RuntimeFolders {
  std::vector<std::string> containerd_states;  ///< containerd's `state`
  std::vector<std::string> docker_roots;       ///< dockerd's `data-root`
  std::vector<std::string> storage_roots;      ///< `graphroot` or `runroot` of Podman and CRI-O
};

struct Options {
  std::string state_dir = "/var/lib/keytrail";
  std::string run_dir = "/run/keytrail";
  std::string user = "keytrail";
  std::string examiner_user = "keytrail-examiner";
  std::string worker;     ///< default: `keytrail` beside this program
  std::string examiner;   ///< default: `keytrail-examiner` beside this program
  std::string config;     ///< handed to the worker; "" = its default
  std::string api_group;  ///< who may ask beside root, by name or number; "" = the group of `user`
  std::vector<std::string> disabled_features;
  RuntimeFolders runtimes;  ///< beside the usual ones
  bool foreground = false;  ///< said by hand: nothing differs but the words at the end
  bool plan = false;        ///< only say what this kernel offers
  bool help = false;
  bool version = false;
};

/// Fails with a sentence for an unknown option or a missing value.
[[nodiscard]] Result<Options> read_options(int argc, char** argv);
[[nodiscard]] const char* usage();

}  // namespace keytrail::warden
