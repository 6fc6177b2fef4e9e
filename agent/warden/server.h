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
#include "agent/warden/known_places.h"
#include "agent/warden/loader.h"
#include "agent/warden/opener.h"
#include "agent/warden/options.h"
#include "agent/warden/privilege.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

struct Setup {
  Options options;
  User worker_user;
  User examiner_user;
  std::uint64_t started_ns = 0;              ///< ns since boot when the warden began
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

  /// A request that waits for the opener: of the examiner's, or the warden's own for a target.
  struct Job {
    role::Open open;
    std::optional<HookTarget> target;
  };

  bool prepare();
  void start_examiner();
  void start_worker();
  void send_hello();
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
  void attach_opened(const role::Opened& opened, const base::UniqueFd& descriptor);
  void refuse_target(std::uint64_t request, Family family, const std::string& why);
  void drop_targets();

  void wait_for_opener(Job job);
  void pump();
  void start_opener();
  void hand_over_arguments();
  void settle(role::Unread unread, bool unchanged, const role::Identity& file);
  void hand_over(const role::Opened& opened, base::UniqueFd descriptor);
  void pass_on();

  template <role::Wire Message>
  void to_worker(const Message& message) {
    to_worker(reinterpret_cast<const char*>(&message), sizeof(message));
  }
  void to_worker(const char* bytes, std::size_t size);
  void flush_to_worker();
  void notice(const char* cause, std::uint64_t from_ns, std::uint64_t to_ns, const std::string& text);
  void send_kept_notices();
  void add_remark(const std::string& text);

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
  std::array<std::uint8_t, 16> session_{};
  Role worker_{.name = "worker"};
  Role examiner_{.name = "examiner"};
  OpenerChild opener_;
  KnownPlaces places_;
  std::deque<Job> waiting_;
  std::optional<Job> in_flight_;
  bool pumping_ = false;
  std::uint64_t opener_deadline_ = 0;
  role::Opened held_;  ///< opened for the request in flight, and not yet taken by the examiner
  base::UniqueFd held_descriptor_;
  std::deque<std::vector<char>> outbox_;
  std::vector<role::Notice> kept_notices_;  ///< for a worker that is not there
  std::vector<std::string> examiner_remarks_;
  std::uint64_t next_heartbeat_ = 0, next_sample_ = 0, next_target_check_ = 0, next_ask_ = 0, next_watchdog_ = 0,
                watchdog_every_ = 0;
  std::uint64_t next_kept_check_ = 0;
  bool heartbeat_failed_ = false;
  bool stopping_ = false;
  std::uint64_t kill_at_ = 0;
  int exit_status_ = 0;
};

/// CLOCK_BOOTTIME in ns.
[[nodiscard]] std::uint64_t boot_ns();

}  // namespace keytrail::warden
