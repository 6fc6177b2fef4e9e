// SPDX-License-Identifier: Apache-2.0
// What the kernel side costs those that it watches. Interleaved rounds: nothing attached, attached, nothing, attached,
// …; medians and ratios. The catalog's own tables, both rings drained by a timer every 2 ms in another thread, as the
// worker does. Needs root.
//   kernel_bench [ROUNDS] [--no-feature=NAME …]
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/warden/loader.h"
#include "keytrail/event_abi.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kHitFiles = 5'000;  ///< so that each is opened four times in a round of hits

struct Case {
  std::string name;
  int count;
  std::function<void(int)> once;  ///< the argument grows over all rounds
};

double cpu_ns(int who) {
  rusage used{};
  getrusage(who, &used);
  const auto ns = [](const timeval& at) {
    return static_cast<double>(at.tv_sec) * 1e9 + static_cast<double>(at.tv_usec) * 1e3;
  };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

/// CPU time of this thread and of the children it waited for: other work on the machine does not count as ours, as it
/// would in wall time.
double nanoseconds_each(const Case& one, int& serial) {
  const double begin = cpu_ns(RUSAGE_THREAD) + cpu_ns(RUSAGE_CHILDREN);
  for (int i = 0; i < one.count; ++i)
    one.once(serial++);
  return (cpu_ns(RUSAGE_THREAD) + cpu_ns(RUSAGE_CHILDREN) - begin) / one.count;
}

void open_close(const char* path) { close(open(path, O_RDONLY | O_CLOEXEC)); }

/// Starts /bin/true with so many variables, a key pair among them.
class Starter {
 public:
  explicit Starter(int count) {
    for (int i = 0; i < count - 2; ++i)
      text_.push_back("SOME_VARIABLE_" + std::to_string(i) + "=a value of ordinary length");
    text_.emplace_back("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE");
    text_.emplace_back("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    for (std::string& one : text_)
      variables_.push_back(one.data());
    variables_.push_back(nullptr);
  }
  void once() const {
    const pid_t child = vfork();
    if (child == 0) {
      char name[] = "true";
      char* arguments[] = {name, nullptr};
      execve("/bin/true", arguments, variables_.data());
      _exit(1);
    }
    waitpid(child, nullptr, 0);
  }

 private:
  std::vector<std::string> text_;
  std::vector<char*> variables_;
};

class Server {
 public:
  Server() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address_);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address_), length) != 0 || listen(listener_, 128) != 0)
      perror("listen");
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length);
  }
  void connect_close() const {
    with_connection([](int, int) {});
  }
  /// A whole handshake of TLS 1.3 with a name, both ends in this thread.
  void connect_tls_close() const {
    with_connection([&](int client, int peer) {
      SSL* ends[] = {SSL_new(client_.get()), SSL_new(server_.get())};
      SSL_set_fd(ends[0], client);
      SSL_set_fd(ends[1], peer);
      SSL_set_tlsext_host_name(ends[0], "s3.eu-west-1.amazonaws.com");
      SSL_set_connect_state(ends[0]);
      SSL_set_accept_state(ends[1]);
      fcntl(client, F_SETFL, O_NONBLOCK);
      fcntl(peer, F_SETFL, O_NONBLOCK);
      int turns = 0;
      while ((SSL_is_init_finished(ends[0]) == 0 || SSL_is_init_finished(ends[1]) == 0) && ++turns < 100)
        SSL_do_handshake(ends[turns % 2]);
      if (turns >= 100) fprintf(stderr, "the handshake does not end\n");
      SSL_free(ends[0]);
      SSL_free(ends[1]);
    });
  }

 private:
  using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

  template <typename F>
  void with_connection(F&& work) const {
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const linger reset{1, 0};  // no TIME_WAIT: the ports would run out
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (connect(client, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) != 0) perror("connect");
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    work(client, peer);
    close(client);
    close(peer);
  }
  static Context server_context() {
    Context out(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    if (SSL_CTX_use_certificate(out.get(), certificate) != 1 || SSL_CTX_use_PrivateKey(out.get(), key) != 1)
      fprintf(stderr, "no certificate\n");
    X509_free(certificate);
    EVP_PKEY_free(key);
    return out;
  }

  Context client_{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
  Context server_ = server_context();
  int listener_;
  sockaddr_in address_{};
};

class Drain {
 public:
  /// Without a loader only the thread and its timer run: both sides of the comparison have them.
  explicit Drain(keytrail::warden::Loader* loader) {
    if (loader != nullptr) {
      rings_ = ring_buffer__new(loader->high_ring_fd(), [](void*, void*, size_t) { return 0; }, nullptr, nullptr);
      ring_buffer__add(rings_, loader->low_ring_fd(), [](void*, void*, size_t) { return 0; }, nullptr);
    }
    thread_ = std::thread([this] {
      while (!stop_) {
        if (rings_ != nullptr) ring_buffer__consume(rings_);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
  }
  ~Drain() {
    stop_ = true;
    thread_.join();
    ring_buffer__free(rings_);
  }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

 private:
  ring_buffer* rings_ = nullptr;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 9;
  keytrail::warden::LoaderOptions options;
  options.budget_per_cgroup = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--no-feature="))
      options.disabled_features.push_back(argument.substr(strlen("--no-feature=")));
    else
      rounds = std::max(1, atoi(argv[i]));
  }
  char pattern[] = "/tmp/keytrail-bench-XXXXXX";
  const std::string folder = mkdtemp(pattern);
  const std::string deep = folder + "/home/someone/.aws";
  std::filesystem::create_directories(deep);
  std::ofstream(deep + "/credentials") << "x";
  std::ofstream(deep + "/nothing-special") << std::string(1000, 'x');  // as large as a secret may be
  const std::string hit = deep + "/credentials";
  const std::string miss = deep + "/nothing-special";
  // A hit that is no repeat: another size each time, and of one file only so often that it is no repeat either
  // (CHANGES_MAX of bpf/lib/opened.h). The truncate is timed alone too and taken off.
  std::vector<std::string> hits;
  for (int i = 0; i < kHitFiles; ++i) {
    hits.push_back(deep + "/" + std::to_string(i) + "/credentials");
    std::filesystem::create_directories(deep + "/" + std::to_string(i));
    std::ofstream(hits.back()) << "x";
  }
  const auto of = [&hits](int n) { return hits[static_cast<std::size_t>(n) % hits.size()].c_str(); };
  const Server server;
  const Starter few(32), many(200);
  const std::vector<Case> cases{
      {"getppid", 200'000, [](int) { syscall(SYS_getppid); }},
      {"open+close, missed", 40'000, [&](int) { open_close(miss.c_str()); }},
      {"truncate", 20'000, [&](int n) { (void)!truncate(of(n), n % 100'000 + 1); }},
      {"truncate+open+close, hit", 20'000,
       [&](int n) {
         (void)!truncate(of(n), n % 100'000 + 1);
         open_close(of(n));
       }},
      {"open+close, repeated", 40'000, [&](int) { open_close(hit.c_str()); }},
      {"fork+exec, 32 variables", 150, [&](int) { few.once(); }},
      {"fork+exec, 200 variables", 150, [&](int) { many.once(); }},
      {"connect+close", 2'000, [&](int) { server.connect_close(); }},
      {"connect+TLS+close", 400, [&](int) { server.connect_tls_close(); }},
  };
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> raw;
  std::vector<double> armed_ms;
  int serial = 0;
  std::string hooks;
  for (int round = 0; round < rounds; ++round) {
    {
      const Drain idle(nullptr);
      for (const Case& one : cases)
        raw[one.name].first.push_back(nanoseconds_each(one, serial));
    }
    const auto begin = Clock::now();
    auto loader = keytrail::warden::Loader::load(options, keytrail::catalog::kernel_tables());
    if (!loader) {
      fprintf(stderr, "%s\n", loader.error().message.c_str());
      return 1;
    }
    armed_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    hooks.clear();
    for (const auto& report : (*loader)->report())
      hooks += report.chosen.empty()
                   ? ""
                   : std::string("  ") + keytrail::to_string(report.family) + ": " + report.chosen + "\n";
    const Drain drain(loader->get());
    for (const Case& one : cases)
      raw[one.name].second.push_back(nanoseconds_each(one, serial));
  }
  std::filesystem::remove_all(folder);

  double load = 0;
  getloadavg(&load, 1);
  printf("load average at the end: %.1f\n", load);
  printf("%d interleaved rounds, medians, ns of CPU per operation\n%s\n", rounds, hooks.c_str());
  printf("%-28s %12s %12s %10s %8s\n", "", "nothing", "attached", "added", "ratio");
  for (const Case& one : cases) {
    const double bare = median(raw[one.name].first);
    const double attached = median(raw[one.name].second);
    printf("%-28s %12.0f %12.0f %+10.0f %8.2f\n", one.name.c_str(), bare, attached, attached - bare, attached / bare);
  }
  const double bare = median(raw["truncate+open+close, hit"].first) - median(raw["truncate"].first);
  const double attached = median(raw["truncate+open+close, hit"].second) - median(raw["truncate"].second);
  printf("%-28s %12.0f %12.0f %+10.0f %8.2f\n", "open+close, hit (difference)", bare, attached, attached - bare,
         attached / bare);
  printf("start to armed: median %.0f ms of %zu\n\nraw:\n", median(armed_ms), armed_ms.size());
  for (const Case& one : cases) {
    for (const auto& [label, values] :
         {std::pair{"nothing", &raw[one.name].first}, std::pair{"attached", &raw[one.name].second}}) {
      printf("%-28s %-8s", one.name.c_str(), label);
      for (double value : *values)
        printf(" %.0f", value);
      printf("\n");
    }
  }
  return 0;
}
