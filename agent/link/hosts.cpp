// SPDX-License-Identifier: Apache-2.0
#include "agent/link/hosts.h"

#include <algorithm>
#include <utility>

#include "agent/base/host.h"
#include "agent/link/names.h"

namespace keytrail::link {
namespace {

constexpr std::uint64_t kFreshNs = 5'000'000'000;
constexpr const char* kPlace = "/etc/hosts";

}  // namespace

void HostNames::check(Resolved& where, const Instance& caller, const catalog::Catalog& catalog) {
  Destination& to = where.destination;
  // A proxy resolves the name itself.
  if (!to.claimed || to.name_source == NameSource::kConnectProxy || !caller.process) return;
  const HostsFile* file = files_.find(caller.process->mnt_ns);
  if (file == nullptr) return;
  bool other_address = false, other_name = false;
  for (const HostsFile::Entry& entry : file->entries) {
    const bool at_address = entry.address == to.address;
    if (at_address && agree(entry.name, to.host, catalog)) {
      to.claimed = false;
      return;
    }
    other_name = other_name || at_address;
    other_address = other_address || entry.name == to.host;
  }
  if (other_address || other_name) where.contradiction = to.ambiguous = true;
}

void HostsFiles::look(const InstanceRef& caller, std::uint64_t time_ns) {
  const std::uint32_t mnt_ns = caller->process ? caller->process->mnt_ns : 0;
  if (!caller->alive || mnt_ns == 0 || examinations_.crowded(*caller)) return;
  HostsFile& file = names_.of(mnt_ns);
  const InstanceRef asker = file.asker.lock();
  const bool same_namespace = asker && (asker == caller || asker->alive);
  if (same_namespace && !file.asking->done) {
    const bool waits = std::ranges::find(caller->pending, file.asking) != caller->pending.end();
    return waits ? void() : Examinations::add_receiver(file.asking, caller, How::kDirect);
  }
  if (!same_namespace) file = {};
  if (same_namespace && time_ns < file.asked_ns + kFreshNs) return;
  const Room room = examinations_.room_for(*caller);
  if (!room) return;
  file.asked_ns = time_ns;
  file.asker = caller;
  file.asking = examinations_.begin(time_ns, {});
  Examinations::add_receiver(file.asking, caller, How::kDirect);
  FileQuestion question;
  question.path = kPlace;
  question.file = file.identity;
  question.format = kHostsFormat;
  question.look = true;
  examinations_.ask(owners_of(*caller), {caller->id, mnt_ns, {}}, std::move(question),
                    [this, mnt_ns, room, asking = file.asking](FileAnswer& answer) {
                      on_answer(mnt_ns, asking, answer);
                      examinations_.finish(asking);
                      uses_.weigh_ready();
                    });
}

void HostsFiles::on_answer(std::uint32_t mnt_ns, const ExaminationRef& asking, const FileAnswer& answer) {
  HostsFile& file = names_.of(mnt_ns);
  if (file.asking != asking) return;  // asked again by somebody else
  if (!answer.unchanged) {
    file.identity = answer.unread.empty() ? answer.file : FileIdentity{};
    file.entries.clear();
    for (const KeyFact& fact : answer.keys) {
      if (std::string name = base::host_text(fact.host); !name.empty())
        file.entries.push_back({std::move(name), fact.selector});
    }
  }
}

}  // namespace keytrail::link
