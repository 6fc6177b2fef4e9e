// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>

#include "agent/warden/heartbeat.h"
#include "agent/warden/loader_guard.h"
#include "agent/warden/loader_kernel.h"
#include "agent/warden/loader_links.h"
#include "agent/warden/loader_rings.h"
#include "agent/warden/loader_tables.h"
#include "agent/warden/lost_slots.h"
#include "agent/warden/plan.h"
#include "agent/warden/skeleton.h"
#include "agent/warden/targets.h"

namespace keytrail::warden {
namespace {

std::string g_last_failure;  ///< libbpf reports which program was turned down only through its log

int note_libbpf(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  vsnprintf(line.data(), line.size(), format, arguments);
  // The second: what it is to be attached to does not exist in this kernel (process_vm_readv may be left out).
  for (const char* said : {"load failed", "failed to prepare load attributes"}) {
    if (g_last_failure.empty() && strstr(line.data(), said) != nullptr) g_last_failure = line.data();
  }
  return 0;
}

std::uint64_t boot_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

struct DestroySkeleton {
  void operator()(keytrail_bpf* skeleton) const { keytrail_bpf::destroy(skeleton); }
};
using Skeleton = std::unique_ptr<keytrail_bpf, DestroySkeleton>;

/// What the kernel turned down: the alternative's name and why.
struct Refusal {
  std::string alternative, why;
};

std::uint32_t slot_of(kt_u64 name) { return static_cast<std::uint32_t>(name >> 8U) & (KT_EXACT_SLOTS - 1); }

class BpfLoader final : public Loader {
 public:
  BpfLoader(const LoaderOptions& options, Kernel kernel, KernelFilter filter)
      : options_(options),
        kernel_(std::move(kernel)),
        filter_(std::move(filter)),
        cpus_(static_cast<std::uint32_t>(libbpf_num_possible_cpus())) {}
  ~BpfLoader() override {
    targets_.reset();
    links_.clear();
  }
  BpfLoader(const BpfLoader&) = delete;
  BpfLoader& operator=(const BpfLoader&) = delete;

  Result<void> start() {
    Features features = kernel_.features();
    if (Result<void> known = disable(features, options_.disabled_features, "--no-feature"); !known) return known;
    if (Result<void> known = disable(features, options_.configured_off, "the configuration's hooks.disable:"); !known)
      return known;
    targets_.emplace(target_way(features));
    std::map<std::string, std::string> refused;
    for (std::size_t attempt = 0; attempt <= alternatives().size(); ++attempt) {
      plan_ = plan(features, refused);
      if (plan_.chosen.empty()) break;
      Result<std::vector<Refusal>> refusals = load_and_attach();
      if (!refusals) return std::unexpected(refusals.error());
      if (refusals->empty()) {
        armed_ns_ = boot_ns();
        guard_.begin(*skeleton_, armed_ns_);
        (void)lost_slots_.map(cgroups_lost_fd());  // without it each slot stays its first cgroup's
        kernel_.forget_types();
        ::malloc_trim(0);  // what loading took; the opener's child is a copy of this process
        return {};
      }
      for (Refusal& one : *refusals)
        refused[one.alternative] = std::move(one.why);
    }
    std::string why;
    for (const auto& [name, reason] : refused)
      why.append(" ").append(name).append(": ").append(reason).append(".");
    return fail(Error::Code::kRefused,
                "No kernel program could be loaded. It needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN." + why);
  }

  int high_ring_fd() const override { return bpf_map__fd(skeleton_->maps.ring_high); }
  int low_ring_fd() const override { return bpf_map__fd(skeleton_->maps.ring_low); }
  int counters_fd() const override { return bpf_map__fd(skeleton_->maps.counters); }
  int cgroups_lost_fd() const override { return bpf_map__fd(skeleton_->maps.cgroups_lost); }
  KeptFds to_keep() const override {
    return {.high = high_ring_fd(),
            .low = low_ring_fd(),
            .counters = counters_fd(),
            .cgroups_lost = cgroups_lost_fd(),
            .reported = bpf_map__fd(skeleton_->maps.reported)};
  }
  const Result<void>& resumed() const override { return resumed_; }
  std::uint32_t cpus() const override { return cpus_; }
  std::uint64_t armed_ns() const override { return armed_ns_; }
  const std::vector<HookReport>& report() const override { return plan_.reports; }

  Result<void> set_own_process(std::uint32_t slot, std::uint32_t tgid) override {
    if (slot >= KT_OWN_PROCESSES)
      return fail(Error::Code::kInvalid,
                  "There are only " + std::to_string(KT_OWN_PROCESSES) + " places for own processes.");
    guard_.set_own(slot, tgid);
    skeleton_->bss->control.own[slot] = tgid;
    return {};
  }

  Result<void> sweep() override {
    const std::uint64_t was_jiffies = skeleton_->bss->control.jiffies;
    const std::uint64_t was_ns = skeleton_->bss->control.jiffies_at_ns;
    skeleton_->bss->control.sweep_generation++;
    forget_cgroups();
    if (Result<void> ran = run(skeleton_->progs.iter__task_file, KT_SWEEP_LISTENERS); !ran) return ran;
    if (Result<void> ran = run(skeleton_->progs.iter__task, 0); !ran) return ran;
    if (Result<void> ran = run(skeleton_->progs.iter__task_file, KT_SWEEP_BASELINE); !ran) return ran;
    learn_jiffies(was_jiffies, was_ns);
    return {};
  }

  void forget_cgroups() override {
    kt_u64 id = 0;  // twice what the map holds: others may come meanwhile
    for (int i = 0; i < (1 << 14) && bpf_map__get_next_key(skeleton_->maps.cgroups_seen, nullptr, &id, sizeof(id)) == 0;
         ++i)
      bpf_map__delete_elem(skeleton_->maps.cgroups_seen, &id, sizeof(id), 0);
  }

  Result<void> sample_sockets() override {
    const std::uint64_t was_jiffies = skeleton_->bss->control.jiffies;
    const std::uint64_t was_ns = skeleton_->bss->control.jiffies_at_ns;
    skeleton_->bss->control.sweep_generation++;
    // a listening pass is cheap and gives the time base that the samples' idle times need
    if (skeleton_->bss->control.jiffies_per_second == 0) {
      if (Result<void> ran = run(skeleton_->progs.iter__task_file, KT_SWEEP_LISTENERS); !ran) return ran;
      learn_jiffies(was_jiffies, was_ns);
    }
    return run(skeleton_->progs.iter__task_file, KT_SWEEP_SAMPLE);
  }

  Result<void> watch_name(const std::string& base_name) override {
    if (base_name.empty() || base_name.size() > 255 || base_name.find('/') != std::string::npos)
      return fail(Error::Code::kInvalid, "A file name to watch has 1 to 255 bytes and no slash.");
    const kt_u64 key = name_key(base_name);
    const std::uint8_t one = 1;
    if (bpf_map__update_elem(skeleton_->maps.names_watched, &key, sizeof(key), &one, sizeof(one), BPF_ANY) != 0)
      return fail(Error::Code::kSystem, "Watching one more file name failed: " + errno_text(errno) + ".");
    skeleton_->bss->name_exact[slot_of(key)] = 1;
    guard_.wrote_name(key);
    guard_.set_name_slot(slot_of(key));
    return {};
  }

  Result<void> watch_found(std::uint64_t inode, std::uint32_t dev, std::string_view name, std::string_view folder,
                           bool on) override {
    const auto add = [this, on](kt_u64 key, kt_u8& slot) {
      const std::uint8_t one = 1;
      if (!on) {  // the slot may be others', too; the kernel may have given the place up itself
        bpf_map__delete_elem(skeleton_->maps.found, &key, sizeof(key), 0);
        guard_.forgot_found(key);
        return true;
      }
      if (bpf_map__update_elem(skeleton_->maps.found, &key, sizeof(key), &one, sizeof(one), BPF_ANY) != 0) return false;
      slot = 1;
      guard_.wrote_found(key);
      return true;
    };
    if (on && inode != 0) guard_.set_inode_slot(inode & (KT_FOUND_SLOTS - 1));
    bool added = inode == 0 || add(kt_file_key(inode, dev), skeleton_->bss->found_inodes[inode & (KT_FOUND_SLOTS - 1)]);
    if (!name.empty()) {
      const kt_u64 key = name_key(name);
      if (on) guard_.set_name_slot(slot_of(key));
      const kt_u64 place = kt_place_key(key, folder_key(folder.empty() ? "/" : folder));
      added = add(place, skeleton_->bss->name_exact[slot_of(key)]) && added;
    }
    if (!added) return fail(Error::Code::kSystem, "Watching one more file failed: " + errno_text(errno) + ".");
    return {};
  }

  bool was_opened(const kt_opened& what) const override {
    std::array<kt_u64, 2> key{};
    memcpy(key.data(), options_.fingerprint_key.data(), sizeof(key));
    const kt_u64 tag = kt_opened_tag(&what, key[0], key[1]);
    const auto set = static_cast<kt_u32>(tag & (KT_REPORTED_SETS - 1));
    kt_reported known{};
    return what.inode != 0 &&
           bpf_map__lookup_elem(skeleton_->maps.reported, &set, sizeof(set), &known, sizeof(known), 0) == 0 &&
           std::ranges::find(known.tags, tag) != std::end(known.tags);
  }

  Result<std::size_t> take_arguments(const kt_exec& program, std::span<char> out) override {
    kt_kept kept;
    if (bpf_map__lookup_elem(skeleton_->maps.arguments_kept, &program, sizeof(program), &kept, sizeof(kept), 0) != 0)
      return fail(Error::Code::kUnavailable, "The arguments are not kept any more.");
    bpf_map__delete_elem(skeleton_->maps.arguments_kept, &program, sizeof(program), 0);
    const std::size_t length = std::min<std::size_t>({kept.len, sizeof(kept.text), out.size()});
    memcpy(out.data(), kept.text, length);
    explicit_bzero(&kept, sizeof(kept));
    return length;
  }

  void drop_old_arguments() override {
    std::vector<kt_exec> now;
    kt_exec key{};
    for (const kt_exec* last = nullptr; now.size() < KT_KEPT_PROCESSES; last = &now.back()) {
      if (bpf_map__get_next_key(skeleton_->maps.arguments_kept, last, &key, sizeof(key)) != 0) break;
      now.push_back(key);
    }
    const auto is = [](const kt_exec& a) {
      return [&a](const kt_exec& b) { return a.start_ns == b.start_ns && a.tgid == b.tgid && a.exec == b.exec; };
    };
    std::erase_if(now, [&](const kt_exec& one) {
      const bool old = std::ranges::any_of(kept_before_, is(one));
      if (old) bpf_map__delete_elem(skeleton_->maps.arguments_kept, &one, sizeof(one), 0);
      return old;
    });
    kept_before_ = std::move(now);
  }

  TargetTable& targets() override { return *targets_; }

  std::vector<Repair> check() override {
    const std::uint64_t now = boot_ns();
    std::vector<Repair> out = links_.check(now);
    lost_slots_.give_back([this](std::uint64_t id) { return cgroup_ids_.is_gone(id); });
    for (Repair& one : guard_.check(*skeleton_, now))
      out.push_back(std::move(one));
    return out;
  }

  Result<void> heartbeat() override {
    bool armed[KT_FAMILIES]{};
    for (const HookReport& one : plan_.reports)
      armed[static_cast<std::size_t>(one.family)] = !one.chosen.empty();
    return make_heartbeats(skeleton_->bss->control, armed);
  }

 private:
  [[nodiscard]] bpf_program* program(std::string_view name) const {
    return bpf_object__find_program_by_name(skeleton_->obj, std::string(name).c_str());
  }

  /// One attempt: what the plan chose is loaded and attached; what is refused is returned and everything is undone.
  Result<std::vector<Refusal>> load_and_attach() {
    links_.clear();
    if (Result<void> opened = open_skeleton(); !opened) return std::unexpected(opened.error());
    std::vector<Refusal> refusals = choose_programs();
    if (!refusals.empty()) return refusals;
    g_last_failure.clear();
    if (const int error = bpf_object__load_skeleton(skeleton_->skeleton); error != 0) return load_refused(-error);
    if (Result<void> filled = filter_.fill_maps(*skeleton_); !filled) return std::unexpected(filled.error());
    for (const Alternative* choice : plan_.chosen) {
      for (std::string_view name : choice->programs) {
        Result<void> attached = links_.attach(*choice, program(name), boot_ns());
        if (!attached) refusals.push_back({std::string(choice->name), attached.error().message});
      }
    }
    if (!refusals.empty()) links_.clear();
    return refusals;
  }

  /// With the rings that were kept, unless they do not fit.
  Result<void> open_skeleton() {
    skeleton_.reset(keytrail_bpf::open(nullptr));
    if (!skeleton_)
      return fail(Error::Code::kSystem, "The kernel programs cannot be opened: " + errno_text(errno) + ".");
    prepare();
    if (options_.kept.high < 0) return {};
    resumed_ = reuse_rings(*skeleton_, options_.kept);
    if (resumed_) return {};
    options_.kept = {};
    return open_skeleton();
  }

  void prepare() {
    bpf_map__set_max_entries(skeleton_->maps.ring_high, options_.ring_bytes_high);
    bpf_map__set_max_entries(skeleton_->maps.ring_low, options_.ring_bytes_low);
    bpf_map__set_max_entries(skeleton_->maps.counters, cpus_);
    auto& variables = *skeleton_->rodata;
    memcpy(variables.cfg_sip_key, options_.fingerprint_key.data(), sizeof(variables.cfg_sip_key));
    variables.cfg_budget = options_.budget_per_cgroup;
    variables.cfg_v1_controllers = kernel_.v1_controllers();
    filter_.write_variables(*skeleton_);
    skeleton_->bss->control.heartbeat_tgid = static_cast<std::uint32_t>(getpid());
    if (bpf_program* const unix_program = program("cgroup__connect_unix"); unix_program != nullptr) {
      bpf_program__set_type(unix_program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
      bpf_program__set_expected_attach_type(unix_program, static_cast<bpf_attach_type>(kCgroupUnixConnect));
    }
  }

  std::vector<Refusal> choose_programs() {
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, skeleton_->obj) bpf_program__set_autoload(each, false);
    std::vector<Refusal> refusals;
    for (const Alternative* choice : plan_.chosen) {
      for (std::string_view name : choice->programs) {
        if (bpf_program* const found = program(name); found != nullptr)
          bpf_program__set_autoload(found, true);
        else
          refusals.push_back({std::string(choice->name), "not built in"});
      }
    }
    return refusals;
  }

  /// Finds the program that libbpf's log names; a failure that names none concerns them all.
  Result<std::vector<Refusal>> load_refused(int error) {
    const std::size_t begin = g_last_failure.find('\'');
    const std::size_t end = g_last_failure.find('\'', begin + 1);
    const std::string name = end == std::string::npos ? "" : g_last_failure.substr(begin + 1, end - begin - 1);
    for (const Alternative* choice : plan_.chosen) {
      for (std::string_view one : choice->programs) {
        if (one == name)
          return std::vector<Refusal>{{std::string(choice->name), "refused at load: " + errno_text(error)}};
      }
    }
    return fail(Error::Code::kRefused, "The kernel refused the programs: " + errno_text(error) +
                                           ". It needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN.");
  }

  Result<void> run(bpf_program* which, std::uint32_t mode) {
    if (bpf_program__fd(which) < 0)
      return fail(Error::Code::kUnavailable,
                  "This kernel has no iterators: what is older than the agent stays unknown.");
    skeleton_->bss->control.sweep_mode = mode;
    bpf_link* const link = bpf_program__attach_iter(which, nullptr);
    if (link == nullptr)
      return fail(Error::Code::kRefused, "The sweep is refused at attach: " + errno_text(errno) + ".");
    const base::UniqueFd file(bpf_iter_create(bpf_link__fd(link)));
    std::array<char, 64> nothing{};
    ssize_t n = -1;
    if (file) {
      do {
        n = read(file.get(), nothing.data(), nothing.size());
      } while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
    }
    const int error = errno;
    bpf_link__destroy(link);
    if (n < 0) return fail(Error::Code::kSystem, "The sweep failed: " + errno_text(error) + ".");
    return {};
  }

  /// HZ from two moments at least a tenth of a second apart; the configured values are 100, 250, 300 and 1000.
  void learn_jiffies(std::uint64_t was_jiffies, std::uint64_t was_ns) {
    kt_control& control = skeleton_->bss->control;
    if (was_ns == 0 || control.jiffies_at_ns - was_ns < 100'000'000) return;
    const double rate =
        static_cast<double>(control.jiffies - was_jiffies) * 1e9 / static_cast<double>(control.jiffies_at_ns - was_ns);
    std::uint64_t best = 100;
    for (std::uint64_t one : {250U, 300U, 1000U}) {
      if (std::abs(rate - static_cast<double>(one)) < std::abs(rate - static_cast<double>(best))) best = one;
    }
    control.jiffies_per_second = best;
  }

  LoaderOptions options_;
  Kernel kernel_;
  KernelFilter filter_;
  std::uint32_t cpus_;
  Skeleton skeleton_;
  Links links_{kernel_};  ///< detached before the skeleton goes
  TableGuard guard_{filter_};
  std::optional<Targets> targets_;  ///< the same
  LostSlots lost_slots_;
  CgroupIds cgroup_ids_;
  std::vector<kt_exec> kept_before_;  ///< programs whose arguments waited at the last check
  Plan plan_;
  std::uint64_t armed_ns_ = 0;
  Result<void> resumed_ = fail(Error::Code::kNotFound, "No rings were kept.");
};

}  // namespace

Result<std::unique_ptr<Loader>> Loader::load(const LoaderOptions& options, const catalog::KernelTables& tables) {
  libbpf_set_print(note_libbpf);
  Result<Kernel> kernel = Kernel::open();
  if (!kernel) return std::unexpected(kernel.error());
  Result<KernelFilter> filter = KernelFilter::make(tables);
  if (!filter) return std::unexpected(filter.error());
  auto loader = std::make_unique<BpfLoader>(options, std::move(*kernel), std::move(*filter));
  if (Result<void> started = loader->start(); !started) return std::unexpected(started.error());
  return loader;
}

}  // namespace keytrail::warden
