// SPDX-License-Identifier: Apache-2.0
// A loader without a kernel side, and catalog tables of two variables: the roles are tested alone.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "agent/base/fd.h"
#include "agent/catalog/known_places.h"
#include "agent/warden/loader.h"

namespace keytrail::catalog {

const KernelTables& kernel_tables() {
  static constexpr std::array<EnvName, 2> kEnv{
      {{"AWS_ACCESS_KEY_ID", EnvAction::kShow}, {"AWS_SECRET_ACCESS_KEY", EnvAction::kSecret}}};
  static constexpr std::array<ArgRule, 1> kRules{{{"-H", ArgUse::kHeader, false}}};
  static constexpr std::array<ArgProgram, 1> kPrograms{{{"curl", "", "", "", kRules}}};
  static constexpr std::array<CarriedKey, 1> kCarried{{{"x-vault-token", "vault.token"}}};
  static const KernelTables tables{
      .names = {}, .env = kEnv, .flags = {}, .formats = {}, .programs = kPrograms, .carried = kCarried};
  return tables;
}

std::span<const std::string_view> known_places() { return {}; }

}  // namespace keytrail::catalog

namespace keytrail::warden {
namespace {

/// Attaches nothing, but looks at what it is given: a target's "hits" are the bytes of its file.
class FakeTargets final : public TargetTable {
 public:
  Result<std::uint32_t> attach(const HookTarget& target, int file) override {
    struct stat status{};
    if (fstat(file, &status) != 0 || target.offsets.empty() ||
        target.offsets.front() >= static_cast<std::uint64_t>(status.st_size)) {
      ++counts_.refused;
      return fail(Error::Code::kRefused, "That is not inside the file.");
    }
    attached_.push_back(
        {.id = ++last_, .family = target.family, .hits = static_cast<std::uint64_t>(status.st_size), .text = {}});
    return last_;
  }
  Result<TargetReport> detach(std::uint32_t id) override {
    const auto at = std::ranges::find(attached_, id, &TargetReport::id);
    if (at == attached_.end()) return fail(Error::Code::kNotFound, "There is no such target.");
    TargetReport out = *at;
    out.state = TargetReport::State::kDetached;
    attached_.erase(at);
    return out;
  }
  void detach_all() override { attached_.clear(); }
  std::vector<TargetReport> drop_gone() override { return {}; }
  std::vector<TargetReport> report() const override { return attached_; }
  TargetCounts counts() const override {
    TargetCounts out = counts_;
    out.attached = static_cast<std::uint32_t>(attached_.size());
    return out;
  }

 private:
  std::vector<TargetReport> attached_;
  TargetCounts counts_{.bound = 8};
  std::uint32_t last_ = 0;
};

class FakeLoader final : public Loader {
 public:
  explicit FakeLoader(const KeptFds& kept) : resumed_(is_ring(kept.high)) {
    high_.reset(resumed_ ? fcntl(kept.high, F_DUPFD_CLOEXEC, 3) : memfd_create("high", MFD_CLOEXEC));
    low_.reset(resumed_ ? fcntl(kept.low, F_DUPFD_CLOEXEC, 3) : memfd_create("low", MFD_CLOEXEC));
    counters_.reset(resumed_ ? fcntl(kept.counters, F_DUPFD_CLOEXEC, 3) : memfd_create("counters", MFD_CLOEXEC));
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    armed_ns_ = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    report_.push_back({Family::kExec, "tracepoint", "none", "", false, {{"fentry", "no BTF in this test"}}});
    report_.push_back({Family::kOpen, "", "", "everything", false, {}});
  }
  int high_ring_fd() const override { return high_.get(); }
  int low_ring_fd() const override { return low_.get(); }
  int counters_fd() const override { return counters_.get(); }
  int cgroups_lost_fd() const override { return counters_.get(); }  // nobody here looks into it
  KeptFds to_keep() const override {
    return {.high = high_.get(),
            .low = low_.get(),
            .counters = counters_.get(),
            .cgroups_lost = counters_.get(),
            .reported = counters_.get()};
  }
  const Result<void>& resumed() const override { return resumed_; }
  std::uint32_t cpus() const override { return 2; }
  std::uint64_t armed_ns() const override { return armed_ns_; }
  const std::vector<HookReport>& report() const override { return report_; }
  Result<void> set_own_process(std::uint32_t, std::uint32_t) override { return {}; }
  Result<void> sweep() override { return {}; }
  /// A mark in the test's folder for each time.
  void forget_cgroups() override {
    if (const char* out = getenv("KEYTRAIL_TEST_OUT"); out != nullptr)
      std::ofstream(std::string(out) + ".forgotten", std::ios::app) << "x";
  }
  Result<void> sample_sockets() override { return {}; }
  Result<void> watch_name(const std::string&) override { return {}; }
  Result<void> watch_found(std::uint64_t, std::uint32_t, std::string_view, std::string_view, bool) override {
    return {};
  }
  /// Every file was opened by everybody; where KEYTRAIL_TEST_OPENED names inodes, separated by blanks, only those.
  bool was_opened(const kt_opened& what) const override {
    const char* const inodes = getenv("KEYTRAIL_TEST_OPENED");
    if (inodes == nullptr) return true;
    std::istringstream all(inodes);
    const std::istream_iterator<std::uint64_t> begin(all), end;
    return what.inode != 0 && std::find(begin, end, what.inode) != end;
  }
  /// Every process but number 404 was started with these, which can be taken as often as one likes.
  void drop_old_arguments() override {}
  Result<std::size_t> take_arguments(const kt_exec& program, std::span<char> out) override {
    // Each letter is the one before it: the secret itself must not be in this program's own data.
    static constexpr std::string_view kWords = "dvsm\1.I\1Y.Wbvmu.Uplfo;!DbobszDbobszDbobszDbobsz12345678\1w/uftu\1";
    if (program.tgid == 404) return fail(Error::Code::kUnavailable, "The arguments are not kept any more.");
    std::ranges::transform(kWords, out.begin(), [](char c) { return static_cast<char>(c - 1); });
    return kWords.size();
  }
  TargetTable& targets() override { return targets_; }
  /// The hooks of one family go and come with a file of that name in the test's folder.
  std::vector<Repair> check() override {
    if (const char* out = getenv("KEYTRAIL_TEST_OUT");
        out != nullptr && access((std::string(out) + ".detach").c_str(), F_OK) == 0) {
      unlink((std::string(out) + ".detach").c_str());
      return {{.cause = "hook_detached",
               .family = "connect",
               .from_ns = armed_ns_,
               .done = true,
               .text = "The program at cgroup/connect4 was detached by somebody, and is attached again."}};
    }
    return {};
  }
  Result<void> heartbeat() override { return {}; }

 private:
  /// Its rings are files in memory.
  static Result<void> is_ring(int fd) {
    if (fd < 0) return fail(Error::Code::kNotFound, "No rings were kept.");
    if (fcntl(fd, F_GET_SEALS) >= 0) return {};
    return fail(Error::Code::kInvalid, "What was kept as high is no ring.");
  }

  Result<void> resumed_;
  base::UniqueFd high_, low_, counters_;
  std::uint64_t armed_ns_ = 0;
  std::vector<HookReport> report_;
  FakeTargets targets_;
};

}  // namespace

Result<std::unique_ptr<Loader>> Loader::load(const LoaderOptions& options, const catalog::KernelTables&) {
  for (const std::string& name : options.disabled_features) {
    if (name == "all")
      return fail(Error::Code::kUnavailable, "This kernel has no BTF: use a kernel with CONFIG_DEBUG_INFO_BTF.");
  }
  return std::make_unique<FakeLoader>(options.kept);
}

}  // namespace keytrail::warden
