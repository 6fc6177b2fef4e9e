// SPDX-License-Identifier: Apache-2.0
// A worker for these tests: takes its descriptors as the real one does, prints what it is and hears, and examines what
// KEYTRAIL_TEST_ASK names ("format:path", "format:path@pid", "env:pid", "bundle:id" or "users:node"; "target:path"
// attaches there, separated by spaces) again and again. Its lines go to the file KEYTRAIL_TEST_OUT, appended.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/examine/client.h"

namespace {

using namespace keytrail;
using examine::RoleLink;

class Worker {
 public:
  Worker(boost::asio::io_context& io, RoleLink& link) : link_(link), timer_(io) {}

  void ask_all() {
    std::istringstream asked(std::getenv("KEYTRAIL_TEST_ASK") == nullptr ? "" : std::getenv("KEYTRAIL_TEST_ASK"));
    for (std::string what; asked >> what;)
      ask(what);
    timer_.expires_after(std::chrono::milliseconds(200));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) ask_all();
    });
  }
  static void say(const std::string& line) {
    std::ofstream out(std::getenv("KEYTRAIL_TEST_OUT"), std::ios::app);
    out << line + "\n" << std::flush;
  }

 private:
  void ask(const std::string& what) {
    const std::string first = what.substr(0, what.find(':'));
    const std::string second = what.substr(what.find(':') + 1);
    const auto tell = [what](const auto& answer, const std::vector<EnvItem>& env) {
      std::string line = "answer " + what + " unread=" + answer.unread;
      for (const KeyFact& fact : answer.keys)
        line += " key=" + fact.key.id + "/" + fact.selector + "/" + fact.key.fingerprint.text();
      for (const EnvItem& item : env)
        line += " env=" + item.name + "=" + item.value + "/" + item.fingerprint.text();
      say(line);
    };
    Reach reach;
    if (first == "target") {  // a target at offset 4 of the file; what comes of it is said by on_target
      reach.who.tgid = static_cast<std::uint32_t>(getppid());
      (void)link_.attach_target(reach, second, {}, {.family = Family::kRequest, .offsets = {4}});
      (void)link_.report_targets();
      return;
    }
    if (first == "env") {
      reach.who.tgid = static_cast<std::uint32_t>(std::atoi(second.c_str()));
      return link_.ask(reach, EnvironmentQuestion{},
                       [tell](const EnvironmentAnswer& answer) { tell(answer, answer.env); });
    }
    if (first == "args") {
      reach.who.tgid = static_cast<std::uint32_t>(std::atoi(second.c_str()));
      return link_.ask(reach, ArgumentsQuestion{"curl"}, [tell](const ArgumentsAnswer& answer) { tell(answer, {}); });
    }
    if (first == "bundle" || first == "users") {
      const std::string format(first == "users" ? bundle::kUsers : bundle::kOci);
      return link_.ask(reach, BundleQuestion{.container = second, .format = format},
                       [what](const BundleAnswer& answer) {
                         std::string line = "answer " + what + " unread=" + answer.unread;
                         for (const BundleFact& fact : answer.facts)
                           line += " " + std::string(kBundleFacts.at(fact.what)) + "=" + fact.value;
                         say(line);
                       });
    }
    const std::size_t at = second.find('@');
    reach.who.tgid =
        static_cast<std::uint32_t>(at == std::string::npos ? getppid() : std::atoi(second.c_str() + at + 1));
    link_.ask(reach, FileQuestion{.path = second.substr(0, at), .format = first},
              [tell](const FileAnswer& answer) { tell(answer, {}); });
  }

  RoleLink& link_;
  boost::asio::steady_timer timer_;
};

std::string capabilities() {
  std::ifstream status("/proc/self/status");
  std::string out;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Cap") || line.starts_with("NoNewPrivs") || line.starts_with("Groups")) out += " " + line;
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[2]) == "--list-disabled-hooks") return 0;  // no configuration
  examine::InheritedFds fds = examine::take_inherited_fds();
  boost::asio::io_context io;
  boost::asio::signal_set reload(io, SIGHUP);  // before anything is said
  reload.async_wait([](const boost::system::error_code& error, int) {
    if (!error) Worker::say("reload");
  });
  Result<std::unique_ptr<RoleLink>> link = RoleLink::connect(io, fds, [](std::string_view) { return nullptr; });
  if (!link) {
    std::fprintf(stderr, "%s\n", link.error().message.c_str());
    return 2;
  }
  Worker::say(
      "worker pid=" + std::to_string(getpid()) + " uid=" + std::to_string(getuid()) +
      " life=" + std::to_string((*link)->life()) + " cpus=" + std::to_string((*link)->cpus()) +
      " hooks=" + std::to_string((*link)->hooks().size()) + " session=" + (*link)->session_id() +
      " resumed=" + std::to_string((*link)->resumed() ? 1 : 0) + " dumpable=" + std::to_string(prctl(PR_GET_DUMPABLE)) +
      " args=" + std::to_string(argc) + ":" + argv[argc - 1] + " api=" + std::to_string(fds.get("api") ? 1 : 0) +
      " rings=" + std::to_string(fds.get("high") && fds.get("low") && fds.get("counters") ? 1 : 0) + capabilities());
  for (const std::string& remark : (*link)->remarks())
    Worker::say("remark " + remark);
  (*link)->on_notice([&](const examine::WardenNotice& notice) {
    Worker::say("notice " + notice.cause + " " + std::to_string((notice.to_ns - notice.from_ns) / 1'000'000) + " " +
                notice.text);
    if ((*link)->life() > 1) (*link)->note_stored(notice.number);
  });
  (*link)->on_target([&](std::uint64_t request, const TargetReport& target) {
    static constexpr const char* kStates[] = {"attached", "refused", "detached", "dropped"};
    Worker::say(std::string("target ") + kStates[static_cast<std::size_t>(target.state)] +
                " id=" + std::to_string(target.id) + " hits=" + std::to_string(target.hits) +
                " asked=" + std::to_string(request != 0 ? 1 : 0) + " " + target.text);
    if (target.state == TargetReport::State::kAttached && request == 0) (void)(*link)->detach_target(target.id);
  });
  (*link)->on_target_counts([](const TargetCounts& counts) {
    Worker::say("targets attached=" + std::to_string(counts.attached) + " bound=" + std::to_string(counts.bound) +
                " refused=" + std::to_string(counts.refused));
  });
  (*link)->on_closed([&] {
    Worker::say("closed");
    io.stop();
  });
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int) {
    Worker::say("stopped");
    io.stop();
  });
  Worker worker(io, **link);
  worker.ask_all();
  io.run();
  return 0;
}
