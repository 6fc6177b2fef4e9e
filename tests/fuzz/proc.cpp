// SPDX-License-Identifier: Apache-2.0
// Target: /proc/PID/{stat,status,loginuid,sessionid,cgroup} and passwd (agent/identify), and the fields of stat that
// the warden reads. An input holds their texts in this order, each ended by a line "%%". They are read from files, as
// the agent does: a folder "proc" in the working directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "agent/base/fd.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/proc_reader.h"
#include "agent/identify/user_names.h"
#include "agent/warden/opener.h"
#include "agent/warden/process.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace keytrail::identify {
namespace {

using fuzz::require;

constexpr std::array<const char*, 6> kFiles{"proc/100/stat",      "proc/100/status", "proc/100/loginuid",
                                            "proc/100/sessionid", "proc/100/cgroup", "proc/passwd"};

void write_file(const char* path, std::string_view text) {
  const base::UniqueFd fd(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  require(fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
          "the working directory can be written to");
}

void check(const CgroupPlace& place) {
  require(place.container.empty() || !place.container.contains('/'), "a container's id is one component");
  require(place.unit.empty() || !place.unit.contains('/'), "a unit is one component");
  require(place.pod_uid.empty() || place.pod_uid.size() == 36 || place.pod_uid.size() == 32,
          "a pod's uid has its length");
  require(place.kind != WorkloadKind::kPod || !place.pod_uid.empty(), "a pod has a uid");
  require(place.kind != WorkloadKind::kContainer || !place.container.empty(), "a container has an id");
}

void run(std::string_view input) {
  const std::string stat(input.substr(0, input.find("%%\n")));
  for (const int field : {22, 50, 51})
    (void)warden::stat_field(stat.c_str(), field);
  for (const char* path : kFiles)
    write_file(path, fuzz::take_until(input, "%%\n"));
  static const ProcReader reader("proc");
  constexpr std::uint64_t kStartNs = 1'000'000'000;  // tick 100, as the seeds have it
  const auto facts = reader.read(100, kStartNs);
  require(!facts || reader.alive(100, kStartNs) == ProcReader::Alive::kYes, "a process that was read is alive");
  if (facts) check(parse_cgroup_path(facts->cgroup));
  UserNames names("proc/passwd");
  require(!names.name(1000).empty(), "a user has a name or a number");
}

}  // namespace
}  // namespace keytrail::identify

int LLVMFuzzerInitialize(int*, char***) {
  using keytrail::fuzz::require;
  for (const char* folder : {"proc", "proc/1", "proc/100"})
    require(::mkdir(folder, 0700) == 0 || errno == EEXIST, "the working directory can be written to");
  keytrail::identify::write_file("proc/1/stat",
                                 "1 (init) S 0\n");  // its presence says that this /proc shows all processes
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::identify::run(keytrail::fuzz::text_of(data, size));
  return 0;
}
