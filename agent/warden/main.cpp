// SPDX-License-Identifier: Apache-2.0
// keytrail-warden: the privileged role. It makes what only root can make, loads the kernel side, starts examiner and
// worker, gives up what it does not need, and serves. Thread: one.
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/catalog/known_places.h"
#include "agent/warden/configured.h"
#include "agent/warden/files.h"
#include "agent/warden/kept_rings.h"
#include "agent/warden/loader.h"
#include "agent/warden/log.h"
#include "agent/warden/runtime_files.h"
#include "agent/warden/server.h"
#include "agent/warden/surroundings.h"
#include "keytrail/hooks_wire.h"

namespace keytrail::warden {
namespace {

int refuse(const Error& error) {
  say(Level::kError, "%s", error.message.c_str());
  return 1;
}

void report_plan(const Loader& loader) {
  for (const HookReport& report : loader.report()) {
    if (!report.armed()) {
      say(Level::kWarn, "%s: not armed. %s", to_string(report.family), report.missing.c_str());
    } else {
      say(Level::kInfo, "%s: %s%s%s", to_string(report.family), report.chosen.c_str(),
          report.missing.empty() ? "" : "; does not see: ", report.missing.c_str());
    }
  }
}

Result<std::unique_ptr<Loader>> load(const Options& options, std::vector<std::string> configured_off,
                                     const std::optional<KeptRings>& kept) {
  Result<std::array<std::uint8_t, 16>> key = read_fingerprint_key(options.state_dir);
  if (!key) return std::unexpected(key.error());
  LoaderOptions loading;
  loading.fingerprint_key = *key;
  loading.disabled_features = options.disabled_features;
  loading.configured_off = std::move(configured_off);
  if (kept) loading.kept = kept->fds();
  Result<std::unique_ptr<Loader>> loader = Loader::load(loading, catalog::kernel_tables());
  explicit_bzero(loading.fingerprint_key.data(), loading.fingerprint_key.size());
  explicit_bzero(key->data(), key->size());
  return loader;
}

/// Nothing of ours stays in the kernel.
int print_plan(const Loader& loader) {
  for (const HookReport& report : loader.report())
    fputs(to_text(report).c_str(), stdout);
  return fflush(stdout) == 0 ? 0 : 1;
}

/// Needs no directory, no lock and no key: it may run beside an agent.
int plan_only(const Options& options) {
  const Result<User> user = find_user(options.user);
  if (!user) return refuse(user.error());
  LoaderOptions loading;
  loading.disabled_features = options.disabled_features;
  Result<std::vector<std::string>> off = configured_off(options, *user);
  if (!off) return refuse(off.error());
  loading.configured_off = std::move(*off);
  const Result<std::unique_ptr<Loader>> loader = Loader::load(loading, catalog::kernel_tables());
  return loader ? print_plan(**loader) : refuse(loader.error());
}

/// Settles whose rings they are. systemd then has what the next warden is to go on with, and nothing else of ours.
Result<void> settle_rings(const Loader& loader, const Stored& stored, Setup& setup) {
  setup.resumed = loader.resumed().has_value();
  if (setup.resumed) {
    setup.session = stored.rings->session;
    say(Level::kInfo, "The warden before this one did not end in order: what waits in its rings is read.");
  } else if (getrandom(setup.session.data(), setup.session.size(), 0) != static_cast<ssize_t>(setup.session.size())) {
    return fail(Error::Code::kSystem, std::string("getrandom: ") + strerror(errno) + ".");
  } else if (stored.rings) {
    say(Level::kWarn, "The rings that systemd kept are not used: %s", loader.resumed().error().message.c_str());
    forget_rings(stored.rings->session);
  }
  for (const std::string& name : stored.stale)
    forget_kept(name);
  if (!keep_rings(loader.to_keep(), setup.session))
    say(Level::kInfo,
        "Nobody keeps the rings here (systemd's FileDescriptorStoreMax= would): what waits in them when the warden is "
        "killed is lost with it; the gap says so.");
  return {};
}

int run(const Options& options, std::vector<StoredFd> handed) {
  if (geteuid() != 0) {
    say(Level::kError, "Keytrail needs root to load its kernel side: start it with sudo, or through systemd.");
    return 1;
  }
  if (options.plan) return plan_only(options);
  const Surroundings here = look_around();
  if (const Result<void> possible = can_begin(here); !possible) return refuse(possible.error());
  add_runtime_folders(options.runtimes);
  Setup setup{.options = options,
              .worker_user = {},
              .examiner_user = {},
              .started_ns = boot_ns(),
              .session = {},
              .resumed = false,
              .api = {},
              .remarks = {},
              .places = catalog::known_places()};
  const Result<User> user = find_user(options.user);
  if (!user) return refuse(user.error());
  setup.worker_user = *user;
  if (user->fallback)
    setup.remarks.push_back("There is no user " + options.user + ": the worker runs as nobody. `useradd --system " +
                            options.user + "` puts that right.");
  const Result<User> examiner_user = find_user(options.examiner_user);
  if (!examiner_user) return refuse(examiner_user.error());
  setup.examiner_user = *examiner_user;
  Result<std::vector<std::string>> off = configured_off(options, *user);
  if (!off && off.error().code == Error::Code::kInvalid) {
    (void)refuse(off.error());
    return 2;  // as the worker would: see supervise.cpp
  }
  if (!off) setup.remarks.push_back(off.error().message);
  for (std::string& missing : what_is_missing(here))
    setup.remarks.push_back(std::move(missing));
  for (const std::string& remark : setup.remarks)
    say(Level::kWarn, "%s", remark.c_str());
  if (const Result<void> made = make_run_dir(options.run_dir); !made) return refuse(made.error());
  const Result<base::UniqueFd> lock = take_lock(options.run_dir);
  if (!lock) return refuse(lock.error());
  if (const Result<void> made = make_state_dir(options.state_dir, *user); !made) return refuse(made.error());
  const Result<gid_t> group =
      options.api_group.empty() ? Result<gid_t>(user->fallback ? 0 : user->gid) : find_group(options.api_group);
  if (!group) return refuse(group.error());
  Result<base::UniqueFd> api = listen_api(options.run_dir, *group);
  if (!api) return refuse(api.error());
  setup.api = std::move(*api);
  const std::string socket_path = options.run_dir + "/api.sock";
  Stored stored = choose_rings(std::move(handed));
  for (const std::string& sentence : stored.refused)
    say(Level::kWarn, "%s", sentence.c_str());
  const Result<std::unique_ptr<Loader>> loader =
      load(options, off ? std::move(*off) : std::vector<std::string>(), stored.rings);
  const Result<void> settled = loader ? settle_rings(**loader, stored, setup) : Result<void>();
  stored.rings.reset();  // the loader has its own descriptors of them
  if (!loader || !settled) {
    unlink(socket_path.c_str());
    return refuse(loader ? settled.error() : loader.error());
  }
  report_plan(**loader);
  for (std::string& missing : what_is_missing((*loader)->report()))
    say(Level::kError, "%s", setup.remarks.emplace_back(std::move(missing)).c_str());
  if (!keep_only(warden_capabilities()))
    setup.remarks.emplace_back("The warden keeps all of root's capabilities: the kernel did not let it give them up.");
  const int status = Server(std::move(setup), **loader).run();
  unlink(socket_path.c_str());
  return status;
}

}  // namespace
}  // namespace keytrail::warden

int main(int argc, char** argv) {
  using namespace keytrail;
  const Result<warden::Options> options = warden::read_options(argc, argv);
  if (!options) {
    warden::say(warden::Level::kError, "%s", options.error().message.c_str());
    return 2;
  }
  if (options->help) {
    fputs(warden::usage(), stdout);
    return 0;
  }
  if (options->version) {
    puts("keytrail-warden " KEYTRAIL_VERSION);
    return 0;
  }
  return warden::run(*options, warden::take_handed());
}
