// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/kernel_side.h"

#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <cstdlib>
#include <sstream>

namespace keytrail::tests {
namespace {

using catalog::EnvAction;
using Match = catalog::NamePattern::Match;

const catalog::KernelTables& tables() {
  static constexpr std::array<catalog::NamePattern, 7> kNames{{{Match::kExact, "credentials"},
                                                               {Match::kExact, "tok"},
                                                               {Match::kPrefix, "id_"},
                                                               {Match::kPrefix, "client-certificate"},
                                                               {Match::kSuffix, ".pem"},
                                                               {Match::kSuffix, ".private.key"},
                                                               {Match::kExact, "KeyTrailFlood"}}};
  static constexpr std::array<catalog::NamePattern, 1> kDirectories{{{Match::kExact, "keytrail-cache"}}};
  static constexpr std::array<catalog::EnvName, 8> kEnv{{{"AWS_ACCESS_KEY_ID", EnvAction::kShow},
                                                         {"AWS_SECRET_ACCESS_KEY", EnvAction::kSecret},
                                                         {"SHORT_SECRET", EnvAction::kSecret},
                                                         {"PGPASSWORD", EnvAction::kSecret, false, false, true},
                                                         {"AWS_CONFIG_FILE", EnvAction::kShowAndWatchBaseName},
                                                         {"TF_VAR_", EnvAction::kSecret, true, false, false},
                                                         {"_TOKEN", EnvAction::kSecret, false, true, false},
                                                         {"TF_VAR_SHOWN_TOKEN", EnvAction::kShow}}};
  using Action = catalog::FlagAction;
  static constexpr std::array<catalog::ArgFlag, 4> kFlags{{{"--profile", Action::kHash},
                                                           {"-i", Action::kHash, 1},
                                                           {"--token", Action::kPresence},
                                                           {"--authfile", Action::kNone, catalog::kAnyProgram}}};
  static constexpr std::array<std::string_view, 1> kFlagPrograms{"ssh"};
  static constexpr std::array<catalog::ArgFormat, 3> kFormats{{{"AKIA", "fmt.aws.akia", true, 20, 20},
                                                               {"ghp_", "fmt.github", false, 24, 40, "github.token"},
                                                               {"op://", "fmt.ref", false, 6, 99}}};
  // Of a longer name the kernel knows 15 characters; ssh has flags of its own besides.
  static constexpr std::array<catalog::ArgProgram, 3> kPrograms{{{"true"}, {"keytrail-examined"}, {"ssh"}}};
  static const catalog::KernelTables kTables{kNames,    kEnv,         kFlags,
                                             kFormats,  kDirectories, kFlagPrograms,
                                             kPrograms, {},           catalog::kernel_tables().interpreters};
  return kTables;
}

struct Into {
  std::vector<Record>* records;
  bool high;
};

int collect(void* context, void* data, std::size_t size) {
  auto* into = static_cast<Into*>(context);
  into->records->push_back({std::string(static_cast<const char*>(data), size), into->high});
  return 0;
}

Into g_high{nullptr, true};  // libbpf keeps the address
Into g_low{nullptr, false};

}  // namespace

std::string joined(std::string_view leaf_first) {
  std::string out;
  while (!leaf_first.empty()) {
    const std::size_t end = leaf_first.find('\0');
    if (end == std::string_view::npos) return "broken";
    out.insert(0, std::string("/").append(leaf_first.substr(0, end)));
    leaf_first.remove_prefix(end + 1);
  }
  return out.empty() ? "/" : out;
}

KernelSide::KernelSide(const warden::LoaderOptions& options) {
  warden::LoaderOptions with_key = options;
  with_key.fingerprint_key = kKey;
  Result<std::unique_ptr<warden::Loader>> loaded = warden::Loader::load(with_key, tables());
  if (!loaded) {
    ADD_FAILURE() << loaded.error().message;
    exit(1);
  }
  loader_ = std::move(*loaded);
  rings_ = ring_buffer__new(loader_->high_ring_fd(), collect, &g_high, nullptr);
  ring_buffer__add(rings_, loader_->low_ring_fd(), collect, &g_low);
  counters_bytes_ = (std::size_t{loader_->cpus()} * KT_COUNTERS * sizeof(kt_u64) + 4095) / 4096 * 4096;
  counters_ =
      static_cast<const kt_u64*>(mmap(nullptr, counters_bytes_, PROT_READ, MAP_SHARED, loader_->counters_fd(), 0));
  lost_ = static_cast<const kt_lost*>(
      mmap(nullptr, KT_LOST_SLOTS * sizeof(kt_lost), PROT_READ, MAP_SHARED, loader_->cgroups_lost_fd(), 0));
}

KernelSide::~KernelSide() {
  ring_buffer__free(rings_);
  munmap(const_cast<kt_u64*>(counters_), counters_bytes_);
  munmap(const_cast<kt_lost*>(lost_), KT_LOST_SLOTS * sizeof(kt_lost));
}

std::vector<Record> KernelSide::drain() {
  std::vector<Record> out = std::move(pending_);
  pending_.clear();
  g_high.records = g_low.records = &out;
  const std::size_t before = out.size();
  ring_buffer__consume(rings_);
  for (std::size_t i = before; i < out.size(); ++i) {
    for (std::string_view canary : kCanaries)
      EXPECT_EQ(out[i].bytes.find(canary), std::string::npos)
          << "a secret left through a ring: " << canary << ", event type " << out[i].head().type;
  }
  return out;
}

std::vector<Record> KernelSide::events(std::uint16_t type, std::uint32_t tgid) {
  std::vector<Record> out;
  std::vector<Record> others;
  for (Record& record : drain()) {
    const bool mine = record.head().type == type && (tgid == 0 || record.head().tgid == tgid);
    (mine ? out : others).push_back(std::move(record));
  }
  pending_ = std::move(others);
  return out;
}

Totals KernelSide::totals(std::uint32_t family) const {
  Totals out{};
  for (std::uint32_t cpu = 0; cpu < loader_->cpus(); ++cpu) {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] += __atomic_load_n(&counters_[cpu * KT_COUNTERS + family * KT_COUNTERS_PER_FAMILY + i], __ATOMIC_RELAXED);
  }
  return out;
}

std::uint64_t KernelSide::lost_of(std::uint64_t cgroup_id, std::uint32_t family) const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < KT_LOST_SLOTS; ++i) {
    const std::uint64_t owner = __atomic_load_n(&lost_[i].cgroup_id, __ATOMIC_RELAXED);
    if (owner != 0 && (cgroup_id == 0 || owner == cgroup_id))
      sum += __atomic_load_n(&lost_[i].lost[family], __ATOMIC_RELAXED);
  }
  return sum;
}

void KernelSide::expect_identity() const {
  for (std::uint32_t family = 0; family < KT_FAMILIES; ++family) {
    // other programs of this machine go on meanwhile: a hook between its hit and its fate makes a difference for a
    // moment
    for (int attempt = 0;; ++attempt) {
      const Totals t = totals(family);
      std::uint64_t fates = 0;
      for (std::size_t i = 1; i < t.size(); ++i)
        fates += t[i];
      if (fates == t[KT_C_HITS]) break;
      if (attempt == 200) {
        EXPECT_EQ(fates, t[KT_C_HITS]) << "family " << family;
        break;
      }
    }
  }
}

namespace {
/// Attached before the first test acts, whichever it is.
class Attached : public testing::Environment {
  void SetUp() override { kernel_side(); }
};
const testing::Environment* const g_attached = testing::AddGlobalTestEnvironment(new Attached);
}  // namespace

KernelSide& kernel_side() {
  static KernelSide side = [] {
    warden::LoaderOptions options;
    const char* const without = getenv("KEYTRAIL_NO_FEATURE");
    std::istringstream names(without == nullptr ? "" : without);
    for (std::string name; names >> name;)
      options.disabled_features.push_back(name);
    return KernelSide(options);
  }();
  return side;
}

}  // namespace keytrail::tests
