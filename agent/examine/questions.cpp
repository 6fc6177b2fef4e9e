// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/questions.h"

#include <algorithm>
#include <array>
#include <utility>

namespace keytrail::examine {
namespace {

role::Identity identity_of(const FileIdentity& from) {
  return {.inode = from.inode,
          .fs_magic = from.fs_magic,
          .ctime_s = from.ctime_s,
          .size = from.size,
          .ctime_ns = from.ctime_ns,
          .dev = from.dev};
}

void write_reach(const Reach& reach, auto& out) {
  out.start_ns = reach.who.start_ns;
  out.tgid = reach.who.tgid;
  out.mnt_ns = reach.mnt_ns;
  out.alternatives_count = static_cast<std::uint32_t>(std::min(reach.same_mount_ns.size(), role::kMaxAlternatives));
  std::copy_n(reach.same_mount_ns.begin(), out.alternatives_count, out.alternatives.begin());
}

role::Hints hints_of_kind(const std::string& id, const KindLookup& kinds) {
  role::Hints out;
  out.key_kind.assign(id);
  if (const catalog::Kind* kind = kinds ? kinds(id) : nullptr; kind != nullptr) {
    out.key_class = static_cast<std::uint8_t>(kind->key_class);
    out.lifetime = static_cast<std::uint8_t>(kind->lifetime);
    out.guessable = kind->guessable ? 1 : 0;
  }
  return out;
}

role::Hints hints_of(const FileQuestion& question, const KindLookup& kinds) {
  role::Hints out = hints_of_kind(question.key_kind, kinds);
  out.format.assign(question.format);
  if (const catalog::Kind* kind = kinds ? kinds(question.other_kind) : nullptr; kind != nullptr) {
    out.other_kind.assign(question.other_kind);
    out.other_class = static_cast<std::uint8_t>(kind->key_class);
    out.other_lifetime = static_cast<std::uint8_t>(kind->lifetime);
  }
  const std::string_view all = question.kinds;
  const bool fits = all.size() <= out.kinds.bytes.size();
  out.kinds.assign(fits ? all : all.substr(0, all.rfind(' ', out.kinds.bytes.size())));  // whole names only
  return out;
}

bool write_file(const ExamineQuestion& asked, const KindLookup& kinds, role::Open& out) {
  const auto& question = std::get<FileQuestion>(asked);
  out.flags = (question.look ? role::kOpenLook : 0U) | (question.told ? role::kOpenTold : 0U);
  out.file = identity_of(question.file);
  out.hints = hints_of(question, kinds);
  return out.path.assign(question.path) && out.teller.assign(question.teller);
}

ExamineAnswer file_answer(std::string unread, Gathered gathered) {
  return FileAnswer{std::move(unread), std::move(gathered.keys),   gathered.skipped,
                    gathered.file,     std::move(gathered.format), gathered.unchanged};
}

bool write_environment(const ExamineQuestion& asked, const KindLookup& kinds, role::Open& out) {
  const auto& question = std::get<EnvironmentQuestion>(asked);
  out.hints = hints_of_kind(question.key_kind, kinds);
  return out.hints.format.assign(question.named);
}

ExamineAnswer environment_answer(std::string unread, Gathered gathered) {
  return EnvironmentAnswer{std::move(unread), std::move(gathered.keys), std::move(gathered.env), gathered.skipped};
}

bool write_arguments(const ExamineQuestion& asked, const KindLookup& /*kinds*/, role::Open& out) {
  return out.hints.format.assign(std::get<ArgumentsQuestion>(asked).program);
}

ExamineAnswer arguments_answer(std::string unread, Gathered gathered) {
  return ArgumentsAnswer{std::move(unread), std::move(gathered.keys), gathered.skipped};
}

bool write_bundle(const ExamineQuestion& asked, const KindLookup& /*kinds*/, role::Open& out) {
  const auto& question = std::get<BundleQuestion>(asked);
  return is_bundle_id(question.container) && out.hints.kinds.assign(question.container) &&
         out.hints.format.assign(question.format);
}

ExamineAnswer bundle_answer(std::string unread, Gathered gathered) {
  return BundleAnswer{std::move(unread), std::move(gathered.facts), gathered.skipped};
}

struct QuestionKind {
  role::Asks asks;
  bool (*write)(const ExamineQuestion& question, const KindLookup& kinds, role::Open& out);
  ExamineAnswer (*answer)(std::string unread, Gathered gathered);
};

/// In the order of ExamineQuestion and of role::Asks.
constexpr std::array<QuestionKind, role::kAsks> kKinds{{
    {role::Asks::kFile, write_file, file_answer},
    {role::Asks::kEnvironment, write_environment, environment_answer},
    {role::Asks::kArguments, write_arguments, arguments_answer},
    {role::Asks::kBundle, write_bundle, bundle_answer},
}};
static_assert(kKinds.size() == std::variant_size_v<ExamineQuestion> &&
              kKinds.size() == std::variant_size_v<ExamineAnswer>);

}  // namespace

FileIdentity identity_of(const role::Identity& from) {
  return {.dev = from.dev,
          .inode = from.inode,
          .fs_magic = from.fs_magic,
          .ctime_s = from.ctime_s,
          .ctime_ns = from.ctime_ns,
          .size = from.size};
}

bool write_target(const Reach& reach, const std::string& path, const FileIdentity& file, const HookTarget& target,
                  role::AttachTarget& out) {
  write_reach(reach, out);
  out.family = static_cast<std::uint32_t>(target.family);
  out.this_process = target.pid != 0 ? 1 : 0;
  out.file = identity_of(file);
  out.offsets_count = static_cast<std::uint32_t>(std::min(target.offsets.size(), role::kMaxTargetOffsets));
  std::copy_n(target.offsets.begin(), out.offsets_count, out.offsets.begin());
  return out.path.assign(path) && out.offsets_count == target.offsets.size() && out.offsets_count > 0 &&
         (target.pid == 0 || target.pid == reach.who.tgid);
}

bool write_request(const ExamineRequest& request, const KindLookup& kinds, role::Open& out) {
  write_reach(request.reach, out);
  out.exec = request.reach.who.exec;
  const QuestionKind& kind = kKinds[request.question.index()];
  const bool fits = kind.write(request.question, kinds, out);
  out.hints.asks = static_cast<std::uint8_t>(kind.asks);
  return fits;
}

ExamineAnswer make_answer(role::Asks asks, std::string unread, Gathered gathered) {
  if (!unread.empty()) gathered.keys.clear();
  return kKinds[static_cast<std::size_t>(asks)].answer(std::move(unread), std::move(gathered));
}

}  // namespace keytrail::examine
