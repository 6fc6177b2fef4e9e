// SPDX-License-Identifier: Apache-2.0
// A loader without a kernel side, and catalog tables of two variables: the roles are tested alone.
#include <sys/mman.h>
#include <time.h>

#include <array>

#include "agent/base/fd.h"
#include "agent/warden/loader.h"

namespace keytrail::catalog {

const KernelTables& kernel_tables() {
  static constexpr std::array<EnvName, 2> kEnv{{{"AWS_ACCESS_KEY_ID", EnvAction::kShow}, {"AWS_SECRET_ACCESS_KEY", EnvAction::kSecret}}};
  static const KernelTables tables{.names = {}, .env = kEnv, .flags = {}, .formats = {}};
  return tables;
}

}  // namespace keytrail::catalog

namespace keytrail::warden {
namespace {

class FakeLoader final : public Loader {
 public:
  FakeLoader()
      : high_(memfd_create("high", MFD_CLOEXEC)), low_(memfd_create("low", MFD_CLOEXEC)), counters_(memfd_create("counters", MFD_CLOEXEC)) {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    armed_ns_ = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    report_.push_back({Family::kExec, "tracepoint", "none", "", false, {{"fentry", "no BTF in this test"}}});
    report_.push_back({Family::kOpen, "", "", "everything", false, {}});
  }
  int high_ring_fd() const override { return high_.get(); }
  int low_ring_fd() const override { return low_.get(); }
  int counters_fd() const override { return counters_.get(); }
  std::uint32_t cpus() const override { return 2; }
  std::uint64_t armed_ns() const override { return armed_ns_; }
  const std::vector<HookReport>& report() const override { return report_; }
  Result<void> set_own_process(std::uint32_t, std::uint32_t) override { return {}; }
  Result<void> sweep() override { return {}; }
  Result<void> sample_sockets() override { return {}; }
  Result<void> watch_name(const std::string&) override { return {}; }
  Result<void> heartbeat() override { return {}; }

 private:
  base::UniqueFd high_, low_, counters_;
  std::uint64_t armed_ns_ = 0;
  std::vector<HookReport> report_;
};

}  // namespace

Result<std::unique_ptr<Loader>> Loader::load(const LoaderOptions& options, const catalog::KernelTables&) {
  for (const std::string& name : options.disabled_features) {
    if (name == "all") return fail(Error::Code::kUnavailable, "This kernel has no BTF: use a kernel with CONFIG_DEBUG_INFO_BTF.");
  }
  return std::make_unique<FakeLoader>();
}

}  // namespace keytrail::warden
