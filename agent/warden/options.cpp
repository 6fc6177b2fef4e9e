// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/options.h"

#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace keytrail::warden {
namespace {

enum Code {
  kStateDir = 256,
  kRunDir,
  kUser,
  kExaminerUser,
  kWorker,
  kExaminer,
  kConfig,
  kApiGroup,
  kNoFeature,
  kContainerdState,
  kDockerRoot,
  kStorageRoot,
  kForeground,
  kPlan,
  kHelp,
  kVersion
};

constexpr option kLong[] = {{"state-dir", required_argument, nullptr, kStateDir},
                            {"run-dir", required_argument, nullptr, kRunDir},
                            {"user", required_argument, nullptr, kUser},
                            {"examiner-user", required_argument, nullptr, kExaminerUser},
                            {"worker", required_argument, nullptr, kWorker},
                            {"examiner", required_argument, nullptr, kExaminer},
                            {"config", required_argument, nullptr, kConfig},
                            {"api-group", required_argument, nullptr, kApiGroup},
                            {"no-feature", required_argument, nullptr, kNoFeature},
                            {"containerd-state", required_argument, nullptr, kContainerdState},
                            {"docker-root", required_argument, nullptr, kDockerRoot},
                            {"storage-root", required_argument, nullptr, kStorageRoot},
                            {"foreground", no_argument, nullptr, kForeground},
                            {"plan", no_argument, nullptr, kPlan},
                            {"help", no_argument, nullptr, kHelp},
                            {"version", no_argument, nullptr, kVersion},
                            {nullptr, 0, nullptr, 0}};

/// A program in the folder of this one.
std::string beside(const char* name) {
  std::array<char, 4096> self{};
  const ssize_t n = readlink("/proc/self/exe", self.data(), self.size() - 1);
  const std::string path(self.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "/usr/bin/" : path.substr(0, slash + 1)) + name;
}

void store(int code, const char* value, Options& out) {
  switch (code) {
    case kStateDir:
      out.state_dir = value;
      break;
    case kRunDir:
      out.run_dir = value;
      break;
    case kUser:
      out.user = value;
      break;
    case kExaminerUser:
      out.examiner_user = value;
      break;
    case kWorker:
      out.worker = value;
      break;
    case kExaminer:
      out.examiner = value;
      break;
    case kConfig:
      out.config = value;
      break;
    case kApiGroup:
      out.api_group = value;
      break;
    case kNoFeature:
      out.disabled_features.emplace_back(value);
      break;
    case kContainerdState:
      out.runtimes.containerd_states.emplace_back(value);
      break;
    case kDockerRoot:
      out.runtimes.docker_roots.emplace_back(value);
      break;
    case kStorageRoot:
      out.runtimes.storage_roots.emplace_back(value);
      break;
    case kForeground:
      out.foreground = true;
      break;
    case kPlan:
      out.plan = true;
      break;
    case kHelp:
      out.help = true;
      break;
    default:
      out.version = true;
      break;
  }
}

}  // namespace

Result<Options> read_options(int argc, char** argv) {
  Options out;
  opterr = 0;
  optind = 1;
  for (int c = 0; (c = getopt_long(argc, argv, ":", kLong, nullptr)) != -1;) {
    const std::string given = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (c == ':') return fail(Error::Code::kInvalid, given + " needs a value; --help lists the options.");
    if (c == '?') return fail(Error::Code::kInvalid, "There is no option " + given + "; --help lists them.");
    store(c, optarg, out);
  }
  if (optind < argc)
    return fail(Error::Code::kInvalid, std::string(argv[optind]) + " is no option; --help lists them.");
  for (std::string* dir : {&out.state_dir, &out.run_dir}) {
    while (dir->size() > 1 && dir->back() == '/')
      dir->pop_back();
    if (dir->empty() || dir->front() != '/' || *dir == "/")
      return fail(Error::Code::kInvalid, "--state-dir and --run-dir need an absolute path below /.");
  }
  for (const auto* folders :
       {&out.runtimes.containerd_states, &out.runtimes.docker_roots, &out.runtimes.storage_roots}) {
    if (!std::ranges::all_of(*folders, [](const std::string& folder) { return folder.starts_with('/'); }))
      return fail(Error::Code::kInvalid, "--containerd-state, --docker-root and --storage-root need an absolute path.");
  }
  if (out.worker.empty()) out.worker = beside("keytrail");
  if (out.examiner.empty()) out.examiner = beside("keytrail-examiner");
  return out;
}

const char* usage() {
  return "keytrail-warden: loads the kernel side of Keytrail and starts examiner and worker.\n"
         "  --state-dir DIR      history and fingerprint key (/var/lib/keytrail)\n"
         "  --run-dir DIR        API socket and lock (/run/keytrail)\n"
         "  --user NAME          the worker's user (keytrail; nobody when it does not exist)\n"
         "  --examiner-user NAME the examiner's user (keytrail-examiner; else nobody)\n"
         "  --worker PATH        the program `keytrail` (beside this one)\n"
         "  --examiner PATH      the program `keytrail-examiner` (beside this one)\n"
         "  --config PATH        the worker's configuration\n"
         "  --api-group GROUP    who may ask on the API socket beside root: a name, or a number where the group is the "
         "node's\n"
         "                       and not the container's (the group of --user)\n"
         "  --no-feature=NAME    do without a kernel feature, to try the next alternative; may be repeated\n"
         "  --containerd-state DIR  containerd's `state` where it is not a usual one; may be repeated\n"
         "  --docker-root DIR    dockerd's `data-root` where it is not a usual one; may be repeated\n"
         "  --storage-root DIR   `graphroot` or `runroot` of Podman or CRI-O where it is not a usual one; may be "
         "repeated\n"
         "  --foreground         run by hand\n"
         "  --plan               load, say how each hook family would be armed, and end: for `keytrail doctor`\n"
         "  --help, --version\n";
}

}  // namespace keytrail::warden
