// SPDX-License-Identifier: Apache-2.0
// The programs where they are attached, each by a link or a perf event of its own: whether they still are, and again
// where somebody took them away. Thread: the warden's only one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/loader.h"
#include "agent/warden/loader_kernel.h"
#include "agent/warden/plan.h"

struct bpf_link;
struct bpf_program;

namespace keytrail::warden {

class Links {
 public:
  explicit Links(const Kernel& kernel) : kernel_(kernel) {}
  ~Links() { clear(); }
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Attaches a loaded program, which must live as long as this: wherever its section's name says ("tp/syscalls/A,B").
  /// `now_ns`: ns since boot.
  Result<void> attach(const Alternative& choice, bpf_program* which, std::uint64_t now_ns);
  void clear() { attached_.clear(); }
  /// Looks at all of them and attaches again what is not there any more. What could not be is tried with each call, and
  /// told again every 10 s.
  [[nodiscard]] std::vector<Repair> check(std::uint64_t now_ns);

 private:
  /// What holds a program: a libbpf link, or descriptors that attach by being open.
  struct Hold {
    bpf_link* link = nullptr;
    base::UniqueFd event, raw_link;
    std::uint32_t link_id = 0, program_id = 0;  ///< 0: the kernel did not tell, or there is no such thing

    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold();
    /// Nothing is closed: the numbers may be other files' by now.
    void forget();
  };
  enum class State : std::uint8_t {
    kThere,
    kDetached,  ///< the descriptor is ours, the program is not where it was
    kGone,      ///< the descriptor is closed, or another file's
  };
  struct Attached {
    const Alternative* choice;
    bpf_program* program;
    std::string place;  ///< its section's name, or a part of it
    Hold hold;
    std::uint64_t good_ns = 0;       ///< up to then it was there, or its lack is told
    std::uint64_t next_tell_ns = 0;  ///< of what is not there and could not be attached again
  };

  Result<Hold> hold(const Alternative& choice, bpf_program* which, const std::string& section) const;
  Result<void> hold_tracepoint(bpf_program* which, const std::string& name, Hold& out) const;
  Result<void> hold_cgroup(bpf_program* which, const std::string& section, Hold& out) const;
  [[nodiscard]] static State state_of(const Hold& hold);

  const Kernel& kernel_;
  std::vector<Attached> attached_;
};

}  // namespace keytrail::warden
