// SPDX-License-Identifier: Apache-2.0
// An examiner that was taken over: to every question it answers with whatever the messages can hold, to itself and to
// others' questions, then as asked. It takes its place in the warden as the real one does.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>

#include "agent/examine/inherited.h"
#include "keytrail/role_abi.h"

namespace {

using namespace keytrail;

int facts = -1;

template <role::Wire Message>
void tell(Message message) {
  (void)!send(facts, &message, sizeof(message), MSG_NOSIGNAL);
}

void tell_garbage(std::uint64_t request, std::mt19937& random) {
  std::array<char, role::kMaxMessage + 64> bytes{};
  for (int i = 0; i < 20; ++i) {
    for (char& one : bytes)
      one = static_cast<char>(random());
    static constexpr std::array kSizes{sizeof(role::KeyFact), sizeof(role::EnvFact), sizeof(role::Done),
                                       sizeof(role::ClaimFact)};
    const std::size_t size = random() % 3 == 0 ? random() % bytes.size() + 1 : kSizes[random() % kSizes.size()];
    const role::Head head{.version = role::kVersion,
                          .type = static_cast<std::uint16_t>(96 + (random() % 5)),
                          .size = static_cast<std::uint32_t>(size),
                          .request = request};
    std::memcpy(bytes.data(), &head, std::min(sizeof(head), size));
    (void)!send(facts, bytes.data(), size, MSG_NOSIGNAL);
  }
}

void answer(const role::Examine& asked, std::mt19937& random) {
  const std::uint64_t request = asked.head.request;
  tell_garbage(request, random);
  auto unasked = role::make<role::KeyFact>(role::Type::kKeyFact, request + 1'000'000);  // of no question
  unasked.id.assign("UNASKED");
  tell(unasked);
  tell(role::make<role::Done>(role::Type::kDone, request + 1'000'000));
  auto control = role::make<role::KeyFact>(role::Type::kKeyFact, request);
  control.id.assign("\x1b]0;CONTROL\a");
  tell(control);
  control.id.assign("id");
  control.host.assign("a\nCONTROL");
  tell(control);
  auto variable = role::make<role::EnvFact>(role::Type::kEnvFact, request);  // of another kind of question
  variable.name.assign("VARIABLE");
  tell(variable);
  auto failed = role::make<role::OpenFailed>(role::Type::kOpenFailed, request);  // the warden's to say
  tell(failed);
  auto good = role::make<role::KeyFact>(role::Type::kKeyFact, request);
  good.id.assign("THE-ONE");
  tell(good);
  auto done = role::make<role::Done>(role::Type::kDone, request);
  done.keys = 1;
  tell(done);
  tell(done);  // twice
  tell(good);  // late
}

}  // namespace

int main(int argc, char**) {
  if (argc < 2) return 2;
  examine::InheritedFds fds = examine::take_inherited_fds();
  const int warden = fds.get("warden").get();
  facts = fds.get("facts").get();
  std::mt19937 random(9);
  while (true) {
    std::array<char, role::kMaxMessage> buffer{};
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = recvmsg(warden, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) return 0;
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(at), sizeof(received));
      close(received);
    }
    const auto size = static_cast<std::size_t>(n);
    if (role::type_of(buffer.data(), size) == role::Type::kAreYouThere) {
      // It says that it is there, and sends the warden what is not for it.
      const auto here = role::make<role::Bare>(role::Type::kHere);
      (void)!send(warden, &here, sizeof(here), MSG_NOSIGNAL);
      std::array<char, role::kMaxMessage> scrap{};
      for (char& one : scrap)
        one = static_cast<char>(random());
      const role::Head head{.type = static_cast<std::uint16_t>(random() % 100), .size = sizeof(role::Remark)};
      std::memcpy(scrap.data(), &head, sizeof(head));
      (void)!send(warden, scrap.data(), sizeof(role::Remark), MSG_NOSIGNAL);
    }
    if (role::Examine asked;
        role::type_of(buffer.data(), size) == role::Type::kExamine && role::decode(buffer.data(), size, asked))
      answer(asked, random);
  }
}
