// SPDX-License-Identifier: Apache-2.0
// The worker's link against a warden and an examiner played by the test.
#include "agent/examine/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace keytrail::examine {
namespace {

constexpr catalog::Kind kVault{"vault.token",         "vault", "Vault token", KeyClass::kSessionToken,
                               Lifetime::kShortLived, true,    true};

class RoleLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> control{};
    std::array<int, 2> facts{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control.data()), 0);
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, facts.data()), 0);
    warden_.reset(control[0]);
    examiner_.reset(facts[0]);
    auto hello = role::make<role::Hello>(role::Type::kHello);
    hello.armed_ns = 42;
    hello.cpus = 4;
    hello.session[0] = 0xab;
    tell(warden_, hello);
    auto hook = role::make<role::Hook>(role::Type::kHook);
    hook.family = 2;
    hook.chosen.assign("fentry");
    hook.sees_less = 1;
    hook.refused_count = 1;
    hook.refused[0].name.assign("lsm");
    hook.refused[0].why.assign("not compiled in");
    tell(warden_, hook);
    tell(warden_, role::make<role::Bare>(role::Type::kHelloEnd));
    InheritedFds fds =
        parse_inherited_fds("control=" + std::to_string(control[1]) + ",examiner=" + std::to_string(facts[1]));
    auto link = RoleLink::connect(io_, fds, [](std::string_view id) { return id == kVault.id ? &kVault : nullptr; });
    ASSERT_TRUE(link) << link.error().message;
    link_ = std::move(*link);
    role::Bare ready;
    EXPECT_TRUE(hear(ready));
    EXPECT_EQ(ready.head.type, static_cast<std::uint16_t>(role::Type::kReady));
  }

  template <typename Message>
  static void tell(const base::UniqueFd& socket, const Message& message) {
    ASSERT_EQ(send(socket.get(), &message, sizeof(message), MSG_DONTWAIT), static_cast<ssize_t>(sizeof(message)));
  }
  template <typename Message>
  bool hear(Message& message) {
    std::array<char, role::kMaxMessage> buffer;
    const ssize_t n = recv(warden_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return n > 0 && role::decode(buffer.data(), static_cast<std::size_t>(n), message);
  }
  /// Asks for a file and gives the request as the warden got it.
  role::Open ask(std::optional<FileAnswer>& answer, const std::string& kind = {}) {
    FileQuestion question{.path = "/etc/token", .file = {}, .format = "raw_token", .key_kind = kind, .other_kind = {}};
    link_->ask({}, std::move(question), [&answer](FileAnswer got) { answer = std::move(got); });
    role::Open open{};
    EXPECT_TRUE(hear(open));
    return open;
  }
  void run_until(const auto& answer, std::chrono::milliseconds patience = std::chrono::milliseconds(500)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!answer && std::chrono::steady_clock::now() < end)
      io_.run_one_for(std::chrono::milliseconds(20));
  }

  boost::asio::io_context io_;
  base::UniqueFd warden_, examiner_;
  std::unique_ptr<RoleLink> link_;
};

TEST_F(RoleLinkTest, KnowsThePlanFromTheGreeting) {
  EXPECT_EQ(link_->armed_ns(), 42U);
  EXPECT_EQ(link_->cpus(), 4U);
  EXPECT_EQ(link_->session_id(), "ab000000000000000000000000000000");
  ASSERT_EQ(link_->hooks().size(), 1U);
  EXPECT_EQ(link_->hooks()[0].family, Family::kConnect);
  EXPECT_TRUE(link_->hooks()[0].sees_less);
  EXPECT_EQ(link_->hooks()[0].refused.at(0).why, "not compiled in");
}

TEST_F(RoleLinkTest, GathersWhatARuntimeSaysOfAContainer) {
  std::optional<BundleAnswer> answer;
  link_->ask({}, BundleQuestion{.container = "c1"}, [&answer](BundleAnswer got) { answer = std::move(got); });
  role::Open open{};
  ASSERT_TRUE(hear(open));
  EXPECT_EQ(open.hints.asks, static_cast<std::uint8_t>(role::Asks::kBundle));
  EXPECT_EQ(open.hints.kinds.view(), "c1");
  EXPECT_EQ(open.hints.format.view(), bundle::kOci);
  auto fact = role::make<role::BundleFact>(role::Type::kBundleFact, open.head.request);
  fact.what = 3;
  fact.value.assign("shop");
  tell(examiner_, fact);
  auto unknown = fact;
  unknown.what = static_cast<std::uint8_t>(kBundleFacts.size());
  tell(examiner_, unknown);
  auto control = fact;
  control.value.assign("a\x1b[31m");
  tell(examiner_, control);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.facts = 1;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "");
  ASSERT_EQ(answer->facts.size(), 1U);
  EXPECT_EQ(kBundleFacts.at(answer->facts[0].what), keytrail::fact::kNamespace);
  EXPECT_EQ(answer->facts[0].value, "shop");
  EXPECT_EQ(link_->ignored(), 2U);
}

TEST_F(RoleLinkTest, AnIdThatIsNoPartOfAPathGoesNowhere) {
  std::optional<BundleAnswer> answer;
  link_->ask({}, BundleQuestion{.container = "../../etc"}, [&answer](BundleAnswer got) { answer = std::move(got); });
  role::Open open{};
  EXPECT_FALSE(hear(open));
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "refused");
}

TEST_F(RoleLinkTest, GathersTheFactsOfARequest) {
  std::optional<FileAnswer> answer;
  const role::Open open = ask(answer, "vault.token");
  EXPECT_EQ(open.hints.guessable, 1);
  EXPECT_EQ(open.hints.format.view(), "raw_token");
  auto fact = role::make<role::KeyFact>(role::Type::kKeyFact, open.head.request);
  fact.id.assign("vault.token #0123456789abcdef");
  fact.kind.assign("vault.token");
  tell(examiner_, fact);
  auto claim = role::make<role::ClaimFact>(role::Type::kClaimFact, open.head.request);
  claim.name.assign("k8s.pod.name");
  claim.value.assign("api-1");
  tell(examiner_, claim);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.keys = 1;
  done.file.inode = 9;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "");
  ASSERT_EQ(answer->keys.size(), 1U);
  EXPECT_EQ(answer->keys[0].key.key_class, KeyClass::kSessionToken);
  EXPECT_EQ(answer->keys[0].key.lifetime, Lifetime::kShortLived);
  EXPECT_EQ(answer->keys[0].claims, (std::vector<Claim>{{"k8s.pod.name", "api-1"}}));
  EXPECT_EQ(answer->file.inode, 9U);
}

TEST_F(RoleLinkTest, GivesAnEnvironmentToWhoListensAndToWhoAsked) {
  std::optional<EnvironmentAnswer> answer;
  std::vector<std::string> heard;
  link_->on_answer([&](const InstanceId& who, const ExamineAnswer& got) {
    EXPECT_FALSE(answer) << "the listener comes first";
    heard.push_back(std::to_string(who.tgid) + " " + std::get<EnvironmentAnswer>(got).env.at(0).name);
  });
  link_->ask({.who = {.tgid = 7, .start_ns = 5, .exec = 0}}, EnvironmentQuestion{},
             [&](EnvironmentAnswer got) { answer = std::move(got); });
  role::Open open{};
  ASSERT_TRUE(hear(open));
  EXPECT_EQ(open.hints.asks, static_cast<std::uint8_t>(role::Asks::kEnvironment));
  EXPECT_EQ(open.tgid, 7U);
  EXPECT_EQ(open.start_ns, 5U);
  auto fact = role::make<role::EnvFact>(role::Type::kEnvFact, open.head.request);
  fact.name.assign("AWS_PROFILE");
  fact.value.assign("app");
  tell(examiner_, fact);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.env = 1;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->env.at(0).value, "app");
  EXPECT_EQ(heard, std::vector<std::string>{"7 AWS_PROFILE"});
}

TEST_F(RoleLinkTest, AsksForTheArgumentsOfOneExec) {
  std::optional<ArgumentsAnswer> answer;
  link_->ask({.who = {.tgid = 7, .start_ns = 5, .exec = 3}}, ArgumentsQuestion{.program = "git-remote-http"},
             [&](ArgumentsAnswer got) { answer = std::move(got); });
  role::Open open{};
  ASSERT_TRUE(hear(open));
  EXPECT_EQ(open.hints.asks, static_cast<std::uint8_t>(role::Asks::kArguments));
  EXPECT_EQ(open.hints.format.view(), "git-remote-http");
  EXPECT_EQ(open.tgid, 7U);
  EXPECT_EQ(open.exec, 3U);
  auto fact = role::make<role::KeyFact>(role::Type::kKeyFact, open.head.request);
  fact.id.assign("fp:1");
  fact.kind.assign("github.token");
  fact.variable.assign("-H");
  fact.selector.assign("Authorization");
  fact.host.assign("api.github.com");
  tell(examiner_, fact);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.keys = 1;
  done.skipped = 2;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "");
  EXPECT_EQ(answer->skipped, 2U);
  ASSERT_EQ(answer->keys.size(), 1U);
  EXPECT_EQ(answer->keys[0].variable, "-H");
  EXPECT_EQ(answer->keys[0].host, "api.github.com");
}

TEST_F(RoleLinkTest, SaysWhyTheWardenDidNotOpen) {
  std::optional<FileAnswer> answer;
  const role::Open open = ask(answer);
  auto failed = role::make<role::OpenFailed>(role::Type::kOpenFailed, open.head.request);
  failed.unread = static_cast<std::uint16_t>(role::Unread::kChanged);
  tell(warden_, failed);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "changed");
}

TEST_F(RoleLinkTest, TakesLostFactsForARestart) {
  std::optional<FileAnswer> answer;
  const role::Open open = ask(answer);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.keys = 2;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "examiner restarted");
  EXPECT_TRUE(answer->keys.empty());
}

TEST_F(RoleLinkTest, GivesUpAfterTwoSeconds) {
  std::optional<FileAnswer> quiet;
  (void)ask(quiet);
  const auto begin = std::chrono::steady_clock::now();
  run_until(quiet, std::chrono::milliseconds(3000));
  ASSERT_TRUE(quiet);
  EXPECT_EQ(quiet->unread, "timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(2500));
}

TEST_F(RoleLinkTest, SaysThatTheExaminerWasRestarted) {
  std::optional<FileAnswer> lost;
  (void)ask(lost);
  std::string text;
  link_->on_notice([&](const WardenNotice& notice) { text = notice.cause + "|" + notice.text; });
  auto notice = role::make<role::Notice>(role::Type::kNotice);
  notice.cause.assign("examiner_restart");
  notice.text.assign("It was.");
  tell(warden_, notice);
  run_until(lost, std::chrono::milliseconds(3000));
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->unread, "examiner restarted");
  EXPECT_EQ(text, "examiner_restart|It was.");
}

TEST_F(RoleLinkTest, SaysWhichNoticesAreStoredAndAgainWithItsSigns) {
  std::uint64_t number = 0;
  link_->on_notice([&](const WardenNotice& notice) { number = notice.number; });
  tell(warden_, role::make<role::Notice>(role::Type::kNotice, 7));
  io_.run_for(std::chrono::milliseconds(50));
  ASSERT_EQ(number, 7U);
  link_->note_stored(number);
  const auto heard = [&] {
    std::array<char, role::kMaxMessage> buffer;
    std::vector<std::pair<role::Type, std::uint64_t>> out;
    for (ssize_t n = 0; (n = recv(warden_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
      role::Head head;
      std::memcpy(&head, buffer.data(), sizeof(head));
      out.emplace_back(role::type_of(buffer.data(), static_cast<std::size_t>(n)), head.request);
    }
    return out;
  };
  using Heard = std::vector<std::pair<role::Type, std::uint64_t>>;
  EXPECT_EQ(heard(), (Heard{{role::Type::kStored, 7}}));
  tell(warden_, role::make<role::Bare>(role::Type::kAreYouThere));
  io_.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(heard(), (Heard{{role::Type::kHere, 0}, {role::Type::kStored, 7}})) << "the warden may not have taken it";
}

TEST_F(RoleLinkTest, OneThatWasEndedAsStalledWasRestartedToo) {
  std::optional<FileAnswer> lost;
  (void)ask(lost);
  auto notice = role::make<role::Notice>(role::Type::kNotice);
  notice.cause.assign("examiner_stalled");
  tell(warden_, notice);
  run_until(lost, std::chrono::milliseconds(3000));
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->unread, "examiner restarted");
}

TEST_F(RoleLinkTest, AnswersBusyBeyondItsBoundAndEachRequestOnce) {
  constexpr int kAsked = 5000;
  std::vector<int> answers(kAsked, 0);
  int busy = 0;
  for (int i = 0; i < kAsked; ++i) {
    link_->ask({}, FileQuestion{.path = "/x"}, [&, i](const FileAnswer& answer) {
      ++answers[static_cast<std::size_t>(i)];
      busy += answer.unread == "busy" ? 1 : 0;
    });
  }
  EXPECT_EQ(busy, 0) << "callbacks come later";
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  while (std::chrono::steady_clock::now() < end)
    io_.run_for(std::chrono::milliseconds(100));
  EXPECT_GE(busy, kAsked - static_cast<int>(RoleLink::kMaxOutstanding));
  for (const int count : answers)
    EXPECT_EQ(count, 1);
  EXPECT_EQ(link_->outstanding(), 0U);
}

TEST_F(RoleLinkTest, LeavesStrangeAndLateMessagesOut) {
  std::optional<FileAnswer> answer;
  const role::Open open = ask(answer);
  tell(examiner_, role::make<role::KeyFact>(role::Type::kKeyFact, open.head.request + 100));
  tell(examiner_, role::make<role::Done>(role::Type::kDone, open.head.request + 100));
  auto wrong = role::make<role::KeyFact>(role::Type::kKeyFact, open.head.request);
  wrong.id.size = 9999;
  tell(examiner_, wrong);
  tell(examiner_, 12345);
  tell(examiner_, role::make<role::Done>(role::Type::kDone, open.head.request));
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->keys.empty());
  EXPECT_EQ(link_->ignored(), 3U);
}

TEST_F(RoleLinkTest, LeavesOutWhatAHostileExaminerSays) {
  std::optional<FileAnswer> answer;
  const role::Open open = ask(answer);
  auto fact = role::make<role::KeyFact>(role::Type::kKeyFact, open.head.request);
  fact.id.assign("\x1b]0;title\a");
  tell(examiner_, fact);
  fact.id.assign("id");
  fact.host.assign("two\nlines");
  tell(examiner_, fact);
  auto variable = role::make<role::EnvFact>(role::Type::kEnvFact, open.head.request);
  variable.name.assign("OF_ANOTHER_KIND_OF_QUESTION");
  tell(examiner_, variable);
  auto claim = role::make<role::ClaimFact>(role::Type::kClaimFact, open.head.request);
  tell(examiner_, claim);  // of no key
  fact.host.assign("host.example");
  tell(examiner_, fact);
  auto done = role::make<role::Done>(role::Type::kDone, open.head.request);
  done.keys = 1;
  tell(examiner_, done);
  run_until(answer);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->unread, "");
  ASSERT_EQ(answer->keys.size(), 1U);
  EXPECT_EQ(answer->keys[0].host, "host.example");
  EXPECT_EQ(link_->ignored(), 4U);
}

TEST_F(RoleLinkTest, TellsWhenTheWardenIsGone) {
  std::optional<FileAnswer> closed;
  link_->on_closed([&] { closed.emplace(); });
  warden_.reset();
  run_until(closed);
  EXPECT_TRUE(closed);
}

TEST(RoleLinkConnect, OnlyWhoRunsAnswersTheWardensQuestion) {
  std::array<int, 2> control{};
  std::array<int, 2> facts{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control.data()), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, facts.data()), 0);
  const base::UniqueFd warden(control[0]);
  const base::UniqueFd examiner(facts[0]);
  for (const role::Type type : {role::Type::kHelloEnd, role::Type::kAreYouThere}) {
    const auto message = role::make<role::Bare>(type);
    ASSERT_EQ(send(warden.get(), &message, sizeof(message), 0), static_cast<ssize_t>(sizeof(message)));
  }
  boost::asio::io_context io;
  InheritedFds fds =
      parse_inherited_fds("control=" + std::to_string(control[1]) + ",examiner=" + std::to_string(facts[1]));
  const auto link = RoleLink::connect(io, fds, {});
  ASSERT_TRUE(link);
  const auto heard = [&] {
    std::array<char, role::kMaxMessage> buffer;
    const ssize_t n = recv(warden.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return n > 0 ? std::optional(role::type_of(buffer.data(), static_cast<std::size_t>(n))) : std::nullopt;
  };
  EXPECT_EQ(heard(), std::optional(role::Type::kReady));
  EXPECT_FALSE(heard()) << "it does not run yet";
  io.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(heard(), std::optional(role::Type::kHere));
}

TEST(RoleLinkConnect, FailsWithASentenceWithoutDescriptors) {
  boost::asio::io_context io;
  InheritedFds none;
  const auto link = RoleLink::connect(io, none, {});
  ASSERT_FALSE(link);
  EXPECT_NE(link.error().message.find("keytrail-warden"), std::string::npos);
}

TEST(InheritedFds, LeavesOutWhatIsNoDescriptor) {
  const int fd = dup(0);
  InheritedFds fds = parse_inherited_fds("a=" + std::to_string(fd) + ",b=" + std::to_string(fd) +
                                         ",c=999,d=x,=5,e,f=1,g=-4,h=99999999999999");
  EXPECT_EQ(fds.get("a").get(), fd);
  for (const char* name : {"b", "c", "d", "", "e", "f", "g", "h"})
    EXPECT_FALSE(fds.get(name)) << name;
}

}  // namespace
}  // namespace keytrail::examine
