// SPDX-License-Identifier: Apache-2.0
// The warden at work: one epoll loop that opens for the worker, passes descriptors to the examiner, supervises both and
// keeps time for the kernel side. In: requests of the worker (role_abi.h). Out: descriptors to the examiner, notices to
// the worker. Thread: the only one.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/child.h"
#include "agent/warden/kept_notices.h"
#include "agent/warden/kept_rings.h"
#include "agent/warden/known_places.h"
#include "agent/warden/loader.h"
#include "agent/warden/openers.h"
#include "agent/warden/options.h"
#include "agent/warden/privilege.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

struct Setup {
  Options options;
  User worker_user;
  User examiner_user;
  std::uint64_t started_ns = 0;              ///< ns since boot when the warden began
  SessionId session{};                       ///< of the loader's rings and counters
  bool resumed = false;                      ///< they were there before this warden
  base::UniqueFd api;                        ///< listening socket for the worker
  std::vector<std::string> remarks;          ///< what could not be had so far
  std::span<const std::string_view> places;  ///< where key files lie (KnownPlaces); none: nothing is looked for
};

class Server {
 public:
  Server(Setup setup, Loader& loader);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Starts the roles and works until SIGTERM or SIGINT. The exit status: 0, or 1 when the worker refuses its
  /// configuration.
  int run();

 private:
  enum Tag : std::uint32_t { kSignals, kControl, kExaminer, kOpener, kPlaces };

  /// A supervised child.
  struct Role {
    const char* name;
    pid_t pid = -1;
    std::uint32_t lives = 0;  ///< how often it was started
    std::uint64_t started_ns = 0;
    std::uint64_t ended_ns = 0;    ///< 0: it never ended
    std::uint64_t lost_ns = 0;     ///< since when nothing was done, at its last end
    std::uint64_t restart_ns = 0;  ///< when to start it again; 0: not planned
    std::string how;               ///< how it ended
    std::uint64_t here_ns = 0;     ///< when it last said that it is there; 0: not yet in this life
    unsigned unanswered = 0;       ///< so often it was asked since
    bool stalled = false;          ///< it was given up, and is being ended
    Backoff backoff;
  };

  /// What was opened and waits for the examiner's socket.
  struct Ready {
    Job job;
    role::Opened opened;
    base::UniqueFd descriptor;
  };

  bool prepare();
  void start_examiner();
  void start_worker();
  void send_hello();
  [[nodiscard]] bool is_partly_armed() const;
  void send_role(const Role& role);
  void greet_examiner();
  void own(std::uint32_t slot, pid_t pid);
  /// Asks whether it is there; who does not say so for too long is ended, and started again as any that ends.
  void ask_for_sign(Role& role, int socket);
  void note_sign(Role& role);
  void tell_restart(Role& role, const char* what_may_lack);

  void on_signals();
  void on_control();
  void on_control_message(const char* data, std::size_t size);
  void on_examiner();
  void on_opener();
  void on_places();
  void reap();
  void on_ended(Role& role, int status);

  void on_attach_target(const role::AttachTarget& request);
  void on_detach_target(const role::DetachTarget& request);
  void report_targets();
  void attach_opened(const Job& job, const base::UniqueFd& descriptor);
  void refuse_target(std::uint64_t request, Family family, const std::string& why);
  void drop_targets();

  void wait_for_opener(Job job);
  void pump();
  void hand_over_arguments(Job job);
  /// What nothing names is not opened, and nothing is said of it.
  void refuse_unnamed(const Job& job);
  void begin_named();
  void store_places();
  void settle(const Job& job, role::Unread unread, bool unchanged = false, const role::Identity& file = {});
  void hand_over(Ready ready);
  void pass_on();
  void give_up_late(std::uint64_t now);

  template <role::Wire Message>
  void to_worker(const Message& message) {
    to_worker(reinterpret_cast<const char*>(&message), sizeof(message));
  }
  void to_worker(const char* bytes, std::size_t size);
  void flush_to_worker();
  /// `family`: whose events may be missing; empty: files are not opened, "*": anyone's.
  void notice(const char* cause, std::uint64_t from_ns, std::uint64_t to_ns, const std::string& text,
              std::string_view family = {});
  void send_kept_notices();
  void add_remark(const std::string& text);

  /// Has the kernel side looked at, and tells what was not as it had been left.
  void check_kernel_side(std::uint64_t now);
  void begin_clock(std::uint64_t now);
  void tick(std::uint64_t now);
  void begin_stop();
  [[nodiscard]] int timeout_ms(std::uint64_t now) const;
  void watch(int fd, Tag tag, bool writable = false);
  void unwatch(base::UniqueFd& fd);

  Setup setup_;
  Loader& loader_;
  base::UniqueFd epoll_, signals_;
  base::UniqueFd control_;                                ///< to the worker; new for each of its lives
  base::UniqueFd examiner_socket_;                        ///< to the examiner; new for each of its lives
  base::UniqueFd facts_examiner_end_, facts_worker_end_;  ///< both kept, so that each side outlives the other
  Role worker_{.name = "worker"};
  Role examiner_{.name = "examiner"};
  Openers openers_{[this](std::size_t child, pid_t pid) { own(3 + static_cast<std::uint32_t>(child), pid); }};
  KnownPlaces places_;
  std::optional<Named> named_;
  std::uint64_t unnamed_ = 0, unnamed_said_ = 0;  ///< questions about files that nothing named
  std::uint64_t next_unnamed_ns_ = 0;             ///< when that is said again
  std::deque<Job> waiting_;
  std::deque<Ready> ready_;
  std::deque<std::vector<char>> outbox_;
  KeptNotices notices_;
  bool worker_ready_ = false;  ///< in this life
  std::vector<std::string> examiner_remarks_;
  std::uint64_t next_heartbeat_ = 0, next_sample_ = 0, next_target_check_ = 0, next_ask_ = 0, next_watchdog_ = 0,
                watchdog_every_ = 0;
  std::uint64_t next_kept_check_ = 0, next_side_check_ = 0;
  bool pumping_ = false;
  bool examiner_full_ = false;  ///< its socket took nothing more: told when it does
  bool unnamed_told_ = false;   ///< status has a remark of what nothing named
  bool heartbeat_failed_ = false;
  bool stopping_ = false;
  std::uint64_t kill_at_ = 0;
  unsigned killed_ = 0;  ///< so often the roles were ended by force at the stop
  int exit_status_ = 0;
};

/// CLOCK_BOOTTIME in ns.
[[nodiscard]] std::uint64_t boot_ns();

}  // namespace keytrail::warden
