// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader_links.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kTellEvery = 10'000'000'000;

/// A perf event's programs, as PERF_EVENT_IOC_QUERY_BPF gives them: at most 64 are at one tracepoint.
struct Query {
  std::uint32_t room = 64;
  std::uint32_t count = 0;
  std::array<std::uint32_t, 64> ids{};
};

constexpr char kCalls[] = "tp/syscalls/";

/// Where a program is attached: its section's name; of one for several system calls, that of each.
std::vector<std::string> places_of(std::string_view section) {
  if (!section.starts_with(kCalls)) return {std::string(section)};
  std::vector<std::string> out;
  for (std::size_t begin = strlen(kCalls); begin <= section.size();) {
    const std::size_t end = std::min(section.find(',', begin), section.size());
    out.push_back(kCalls + std::string(section.substr(begin, end - begin)));
    begin = end + 1;
  }
  return out;
}

std::uint32_t id_of_program(const bpf_program* which) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  return bpf_obj_get_info_by_fd(bpf_program__fd(which), &info, &size) == 0 ? info.id : 0;
}

}  // namespace

Links::Hold& Links::Hold::operator=(Hold&& other) noexcept {
  std::swap(link, other.link);
  std::swap(link_id, other.link_id);
  std::swap(program_id, other.program_id);
  event = std::move(other.event);
  raw_link = std::move(other.raw_link);
  return *this;
}

Links::Hold::~Hold() { bpf_link__destroy(link); }

void Links::Hold::forget() {
  if (link != nullptr) bpf_link__disconnect(link);
  bpf_link__destroy(std::exchange(link, nullptr));
  (void)event.release();
  (void)raw_link.release();
}

Result<void> Links::attach(const Alternative& choice, bpf_program* which, std::uint64_t now_ns) {
  for (std::string& place : places_of(bpf_program__section_name(which))) {
    Result<Hold> held = hold(choice, which, place);
    if (!held) return std::unexpected(held.error());
    // Neither: an iterator, which is run on demand, or a call that this kernel does not have.
    if (held->link != nullptr || held->event || held->raw_link)
      attached_.push_back({.choice = &choice,
                           .program = which,
                           .place = std::move(place),
                           .hold = *std::move(held),
                           .good_ns = now_ns});
  }
  return {};
}

Result<Links::Hold> Links::hold(const Alternative& choice, bpf_program* which, const std::string& section) const {
  Hold out;
  if (section.starts_with("iter/")) return out;
  Result<void> done;
  if (section.starts_with(kCalls)) {
    done = hold_tracepoint(which, section.substr(strlen(kCalls)), out);
  } else if (section.starts_with("cgroup")) {
    done = hold_cgroup(which, section, out);
  } else {
    out.link = bpf_program__attach(which);
    if (out.link == nullptr)
      done = fail(Error::Code::kRefused, std::string(choice.name) + " is refused at attach: " + errno_text(errno));
  }
  if (!done) return std::unexpected(done.error());
  bpf_link_info info{};
  std::uint32_t size = sizeof(info);
  const int link = out.link != nullptr ? bpf_link__fd(out.link) : out.raw_link.get();
  if (link >= 0 && bpf_obj_get_info_by_fd(link, &info, &size) == 0) out.link_id = info.id;
  out.program_id = id_of_program(which);
  return out;
}

Result<void> Links::hold_tracepoint(bpf_program* which, const std::string& name, Hold& out) const {
  Result<base::UniqueFd> event = kernel_.tracepoint(name);
  // A call that this kernel does not have (open on arm64, handles without CONFIG_FHANDLE) opens nothing; openat is in
  // all of them.
  if (!event && event.error().code == Error::Code::kNotFound && name != "sys_exit_openat") return {};
  if (!event) return std::unexpected(event.error());
  if (ioctl(event->get(), PERF_EVENT_IOC_SET_BPF, bpf_program__fd(which)) != 0 ||
      ioctl(event->get(), PERF_EVENT_IOC_ENABLE, 0) != 0)
    return fail(Error::Code::kRefused, name + " is refused at attach: " + errno_text(errno));
  out.event = *std::move(event);
  return {};
}

Result<void> Links::hold_cgroup(bpf_program* which, const std::string& section, Hold& out) const {
  const bpf_attach_type type = section == "cgroup/connect_unix" ? static_cast<bpf_attach_type>(kCgroupUnixConnect)
                                                                : bpf_program__expected_attach_type(which);
  out.raw_link = base::UniqueFd(bpf_link_create(bpf_program__fd(which), kernel_.cgroup_root(), type, nullptr));
  if (!out.raw_link) return fail(Error::Code::kRefused, section + " is refused at attach: " + errno_text(errno));
  return {};
}

// A detached cgroup link stays open and names no cgroup any more; links of other kinds cannot be detached, only closed
// (by a debugger of this process) or given another program. A perf event says which programs stand at its tracepoint.
Links::State Links::state_of(const Hold& hold) {
  if (hold.event) {
    Query query;
    if (ioctl(hold.event.get(), PERF_EVENT_IOC_QUERY_BPF, &query) != 0)
      return errno == EBADF || errno == ENOTTY ? State::kGone : State::kThere;  // it may not be asked here
    const auto last = query.ids.begin() + std::min<std::uint32_t>(query.count, query.room);
    const bool there = hold.program_id == 0 || std::find(query.ids.begin(), last, hold.program_id) != last;
    return there ? State::kThere : State::kDetached;
  }
  bpf_link_info info{};
  std::uint32_t size = sizeof(info);
  if (hold.link_id == 0) return State::kThere;  // the kernel never told of it
  if (bpf_obj_get_info_by_fd(hold.link != nullptr ? bpf_link__fd(hold.link) : hold.raw_link.get(), &info, &size) != 0 ||
      info.id != hold.link_id)
    return State::kGone;
  const bool moved = hold.program_id != 0 && info.prog_id != 0 && info.prog_id != hold.program_id;
  const bool cgroup_left = info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == 0;
  return moved || cgroup_left ? State::kDetached : State::kThere;
}

std::vector<Repair> Links::check(std::uint64_t now_ns) {
  std::vector<Repair> out;
  for (Attached& one : attached_) {
    const bool held = one.hold.link != nullptr || one.hold.event || one.hold.raw_link;
    const State state = held ? state_of(one.hold) : State::kGone;
    if (state == State::kThere) {
      one.good_ns = now_ns;
      continue;
    }
    if (state == State::kGone) one.hold.forget();
    one.hold = Hold();
    Result<Hold> again = hold(*one.choice, one.program, one.place);
    const bool held_again = again.has_value();
    const std::string why = held_again ? std::string() : again.error().message;
    if (held_again) one.hold = *std::move(again);
    if (!held_again && now_ns < one.next_tell_ns) continue;
    Repair& repair = out.emplace_back();
    repair.cause = "hook_detached";
    repair.family = to_string(one.choice->family);
    repair.from_ns = std::exchange(one.good_ns, now_ns);
    repair.done = held_again;
    repair.text = "The program at " + one.place + " was detached by somebody, and " +
                  (held_again ? "is attached again." : "could not be attached again: " + why);
    one.next_tell_ns = held_again ? 0 : now_ns + kTellEvery;
  }
  return out;
}

}  // namespace keytrail::warden
