// SPDX-License-Identifier: Apache-2.0
// Target: what examiner and warden send to the worker (agent/examine/client). An input is a row of messages: a letter
// (kLetters; any other byte is the type itself), length (2 bytes, little endian), body. Heads are made good, with the
// number of the running request; a message with a letter also gets its type's size, so that seeds outlive a change of
// the layout.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cstring>

#include "agent/examine/client.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::examine {
namespace {

using fuzz::require;

/// A socket pair of the roles: one end for the worker, one for the target.
struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0, "a socket pair can be had");
    worker.reset(ends[0]);
    other.reset(ends[1]);
  }
  base::UniqueFd worker, other;
};

void send_all(int socket, const void* data, std::size_t size) {
  (void)!::send(socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

template <role::Wire Message>
void send(int socket, const Message& message) {
  send_all(socket, &message, sizeof message);
}

/// The number that the worker gave to its request.
std::uint64_t request_of(int control) {
  std::array<char, role::kMaxMessage> buffer{};
  while (::recv(control, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
    role::Open open;
    if (role::decode(buffer.data(), sizeof open, open) &&
        open.head.type == static_cast<std::uint16_t>(role::Type::kOpen))
      return open.head.request;
  }
  return 0;
}

struct Letter {
  char letter;
  role::Type type;
  std::size_t size;
};
constexpr std::array<Letter, 15> kLetters{{{'t', role::Type::kTarget, sizeof(role::Target)},
                                           {'c', role::Type::kTargetCounts, sizeof(role::TargetCounts)},
                                           {'k', role::Type::kKeyFact, sizeof(role::KeyFact)},
                                           {'e', role::Type::kEnvFact, sizeof(role::EnvFact)},
                                           {'d', role::Type::kDone, sizeof(role::Done)},
                                           {'h', role::Type::kHook, sizeof(role::Hook)},
                                           {'r', role::Type::kRemark, sizeof(role::Remark)},
                                           {'s', role::Type::kRole, sizeof(role::RoleState)},
                                           {'f', role::Type::kOpenFailed, sizeof(role::OpenFailed)},
                                           {'n', role::Type::kNotice, sizeof(role::Notice)},
                                           {'H', role::Type::kHello, sizeof(role::Hello)},
                                           {'E', role::Type::kHelloEnd, sizeof(role::Bare)},
                                           {'C', role::Type::kClaimFact, sizeof(role::ClaimFact)},
                                           {'b', role::Type::kBundleFact, sizeof(role::BundleFact)},
                                           {'a', role::Type::kAreYouThere, sizeof(role::Bare)}}};

bool is_fact(std::uint16_t type) { return type >= static_cast<std::uint16_t>(role::Type::kKeyFact); }

/// Sends the input's messages, those of the examiner on its socket.
void play(std::string_view input, std::uint64_t request, const Pair& control, const Pair& facts) {
  for (int i = 0; i < 64 && input.size() >= 3; ++i) {
    const auto* letter = std::ranges::find(kLetters, input[0], &Letter::letter);
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(input[at]); };
    role::Head head{.type = byte(0), .request = request};
    const std::size_t length = byte(1) | static_cast<std::size_t>(byte(2)) << 8U;
    input.remove_prefix(3);
    std::string bytes = std::string(sizeof head, '\0').append(input.substr(0, length));
    input.remove_prefix(bytes.size() - sizeof head);
    if (letter != kLetters.end()) {
      head.type = static_cast<std::uint16_t>(letter->type);
      bytes.resize(letter->size);
    }
    head.size = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &head, sizeof head);
    send_all(is_fact(head.type) ? facts.other.get() : control.other.get(), bytes.data(), bytes.size());
  }
}

void check(const BundleAnswer& answer) {
  require(answer.unread.size() <= 32, "the reason is one of the words");
  require(answer.facts.size() <= kBundleFacts.size(), "an answer has at most one of each fact");
  for (const BundleFact& fact : answer.facts)
    require(fact.what < kBundleFacts.size() && fact.value.size() <= 510 && fuzz::is_shown_safely(fact.value),
            "a fact is a known one, and plain");
}

void check(const auto& answer) {
  require(answer.keys.size() <= role::kMaxKeysPerFile, "an answer has at most 256 keys");
  require(answer.unread.size() <= 32, "the reason is one of the words");
  require(answer.unread.empty() || answer.keys.empty(), "what was not read has no keys");
  for (const KeyFact& fact : answer.keys) {
    require(fact.key.id.size() <= 254 && fact.key.kind.size() <= 62 && fact.selector.size() <= 126,
            "names keep to the messages");
    for (const std::string* text : {&fact.key.id, &fact.key.kind, &fact.key.principal, &fact.key.parent, &fact.selector,
                                    &fact.variable, &fact.host, &fact.path})
      require(fuzz::is_shown_safely(*text) && text->find_first_of("\n\t") == std::string::npos,
              "what the examiner says has no control characters");
    require(static_cast<unsigned>(fact.key.key_class) <= 5 && static_cast<unsigned>(fact.key.lifetime) <= 2,
            "class and lifetime are known ones");
  }
}

void run(std::string_view input) {
  boost::asio::io_context io;
  Pair control, facts;
  std::vector<std::pair<std::string, base::UniqueFd>> named;
  named.emplace_back("control", std::move(control.worker));
  named.emplace_back("examiner", std::move(facts.worker));
  InheritedFds fds(std::move(named));
  send(control.other.get(), role::make<role::Hello>(role::Type::kHello));
  send(control.other.get(), role::make<role::Bare>(role::Type::kHelloEnd));
  auto link = RoleLink::connect(io, fds, {});
  require(link.has_value(), "a greeted link connects");
  int answers = 0;
  const auto take = [&](const ExamineAnswer& answer) {
    ++answers;
    std::visit([](const auto& one) { check(one); }, answer);
    if (const auto* environment = std::get_if<EnvironmentAnswer>(&answer))
      require(environment->env.size() <= role::kMaxKeysPerFile, "an answer has at most 256 variables");
  };
  // Any kind, as the input says by its length or beginning.
  ExamineQuestion question = FileQuestion{.path = "/root/.aws/credentials"};
  if (input.size() % 3 == 1) question = EnvironmentQuestion{};
  if (input.size() % 3 == 2) question = ArgumentsQuestion{.program = "curl"};
  if (input.starts_with('b')) question = BundleQuestion{.container = "c1"};
  (*link)->examine({{}, std::move(question)}, take);
  (*link)->on_notice(
      [](const WardenNotice& notice) { require(notice.from_ns <= notice.to_ns, "a notice's period runs forward"); });
  io.poll();
  play(input, request_of(control.other.get()), control, facts);
  io.poll();
  require(answers <= 1, "a request is answered once");
  require((*link)->outstanding() + static_cast<std::size_t>(answers) == 1, "a request is answered or outstanding");
  require((*link)->hooks().size() <= kFamilies && (*link)->remarks().size() <= 64, "what the warden says is bounded");
}

}  // namespace
}  // namespace keytrail::examine

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::examine::run(keytrail::fuzz::text_of(data, size));
  return 0;
}
