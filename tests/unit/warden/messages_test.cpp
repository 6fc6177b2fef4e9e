// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/messages.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "keytrail/hooks_wire.h"

namespace keytrail {
namespace {

TEST(RoleAbi, ReadsBackWhatWasMade) {
  auto open = role::make<role::Open>(role::Type::kOpen, 7);
  open.path.assign("/root/.aws/credentials");
  EXPECT_EQ(role::type_of(&open, sizeof(open)), role::Type::kOpen);
  role::Open copy;
  ASSERT_TRUE(role::decode(&open, sizeof(open), copy));
  EXPECT_EQ(copy.path.view(), "/root/.aws/credentials");
  EXPECT_EQ(copy.head.request, 7U);
}

TEST(RoleAbi, KnowsNoOtherVersionSizeOrScrap) {
  auto open = role::make<role::Open>(role::Type::kOpen);
  EXPECT_EQ(role::type_of(&open, sizeof(open) - 1), role::Type{0});
  EXPECT_EQ(role::type_of(&open, 3), role::Type{0});
  open.head.version = role::kVersion + 1;
  EXPECT_EQ(role::type_of(&open, sizeof(open)), role::Type{0});
}

TEST(RoleAbi, RefusesLengthsBeyondTheirField) {
  role::Open out;
  auto open = role::make<role::Open>(role::Type::kOpen);
  open.path.size = 1023;
  EXPECT_FALSE(role::decode(&open, sizeof(open), out));
  open.path.size = 0;
  open.alternatives_count = role::kMaxAlternatives + 1;
  EXPECT_FALSE(role::decode(&open, sizeof(open), out));
  open.alternatives_count = 0;
  open.hints.format.size = 47;
  EXPECT_FALSE(role::decode(&open, sizeof(open), out));
  open.hints.format.size = 0;
  EXPECT_TRUE(role::decode(&open, sizeof(open), out));
  open.hints.asks = role::kAsks;
  EXPECT_FALSE(role::decode(&open, sizeof(open), out)) << "a kind of question that nobody can answer";

  role::Hook hook_out;
  auto hook = role::make<role::Hook>(role::Type::kHook);
  hook.refused_count = role::kMaxRefused + 1;
  EXPECT_FALSE(role::decode(&hook, sizeof(hook), hook_out));
  hook.refused_count = 0;
  hook.family = 6;
  EXPECT_FALSE(role::decode(&hook, sizeof(hook), hook_out));
}

TEST(RoleAbi, RefusesValuesOutsideTheirEnumeration) {
  role::Done done_out;
  auto done = role::make<role::Done>(role::Type::kDone);
  done.unread = 100;
  EXPECT_FALSE(role::decode(&done, sizeof(done), done_out));
  role::KeyFact fact_out;
  auto fact = role::make<role::KeyFact>(role::Type::kKeyFact);
  fact.key_class = 6;
  EXPECT_FALSE(role::decode(&fact, sizeof(fact), fact_out));
}

TEST(RoleAbi, RefusesFactsWithControlCharactersAndFlagsThatAreNone) {
  role::KeyFact out;
  auto fact = role::make<role::KeyFact>(role::Type::kKeyFact);
  fact.host.assign("api.example");
  fact.principal.assign("Zo\xC3\xAB");
  EXPECT_TRUE(role::decode(&fact, sizeof(fact), out));
  for (const char* text : {"a\nb", "\x1b[2J", "\x7f", "a\xC2\x85"}) {
    role::KeyFact wrong = fact;
    wrong.host.assign(text);
    EXPECT_FALSE(role::decode(&wrong, sizeof(wrong), out)) << text;
    wrong = fact;
    wrong.id.assign(text);
    EXPECT_FALSE(role::decode(&wrong, sizeof(wrong), out)) << text;
  }
  fact.untold = 2;
  EXPECT_FALSE(role::decode(&fact, sizeof(fact), out));
  role::Opened opened_out;
  auto opened = role::make<role::Opened>(role::Type::kOpened);
  opened.named = 2;
  EXPECT_FALSE(role::decode(&opened, sizeof(opened), opened_out));
  opened.named = 1;
  opened.place.size = role::kMaxPlace + 1;
  EXPECT_FALSE(role::decode(&opened, sizeof(opened), opened_out));
}

TEST(RoleAbi, ATargetHasPlacesInReachAndAProcessWhereOneIsMeant) {
  role::AttachTarget out;
  auto target = role::make<role::AttachTarget>(role::Type::kAttachTarget);
  EXPECT_FALSE(role::decode(&target, sizeof(target), out)) << "no offset";
  target.offsets_count = role::kMaxTargetOffsets;
  EXPECT_TRUE(role::decode(&target, sizeof(target), out));
  const auto wrong = [&](auto member, std::uint32_t value) {
    role::AttachTarget changed = target;
    changed.*member = value;
    EXPECT_FALSE(role::decode(&changed, sizeof(changed), out)) << value;
  };
  wrong(&role::AttachTarget::offsets_count, role::kMaxTargetOffsets + 1);
  wrong(&role::AttachTarget::alternatives_count, role::kMaxAlternatives + 1);
  wrong(&role::AttachTarget::family, 6);
  wrong(&role::AttachTarget::this_process, 1);  // of which process?
  wrong(&role::AttachTarget::this_process, 2);
  target.path.size = 1023;
  EXPECT_FALSE(role::decode(&target, sizeof(target), out));

  role::Target report_out;
  auto report = role::make<role::Target>(role::Type::kTarget);
  EXPECT_TRUE(role::decode(&report, sizeof(report), report_out));
  report.state = 4;
  EXPECT_FALSE(role::decode(&report, sizeof(report), report_out));
  report.state = 0;
  report.family = 6;
  EXPECT_FALSE(role::decode(&report, sizeof(report), report_out));
}

TEST(RoleAbi, ReportsOfTargetsComeBackWhole) {
  const TargetReport dropped{.state = TargetReport::State::kDropped,
                             .id = 7,
                             .family = Family::kRequest,
                             .hits = 1U << 20U,
                             .text = "its file is gone"};
  const role::Target sent = to_wire(dropped, 9);
  role::Target received;
  ASSERT_TRUE(role::decode(&sent, sizeof(sent), received));
  EXPECT_EQ(received.head.request, 9U);
  const TargetReport got = from_wire(received);
  EXPECT_EQ(got.state, dropped.state);
  EXPECT_EQ(got.id, 7U);
  EXPECT_EQ(got.family, Family::kRequest);
  EXPECT_EQ(got.hits, dropped.hits);
  EXPECT_EQ(got.text, dropped.text);
  const TargetCounts counts =
      from_wire(to_wire(TargetCounts{.attached = 1, .bound = 2, .over_bound = 3, .refused = 4, .dropped = 5}));
  EXPECT_EQ(
      counts.attached + 10 * counts.bound + 100 * counts.over_bound + 1000 * counts.refused + 10000 * counts.dropped,
      54321U);
}

TEST(RoleAbi, ViewsOfWrongLengthsStayInside) {
  role::Text<6> text;
  text.size = 1000;
  EXPECT_EQ(text.view().size(), 6U);
  EXPECT_FALSE(text.assign("1234567"));
  EXPECT_EQ(text.view(), "123456");
}

HookReport a_report() {
  return {.family = Family::kOpen,
          .chosen = "tracepoint sys_exit_openat",
          .cost = "every system call",
          .missing = "opens through io_uring",
          .sees_less = true,
          .refused = {{"fentry security_file_open", "no trampolines"}, {"kprobe", "none in this kernel"}}};
}

void expect_same(const HookReport& got, const HookReport& want) {
  EXPECT_EQ(got.family, want.family);
  EXPECT_EQ(got.chosen, want.chosen);
  EXPECT_EQ(got.cost, want.cost);
  EXPECT_EQ(got.missing, want.missing);
  ASSERT_EQ(got.refused.size(), want.refused.size());
  for (std::size_t i = 0; i < want.refused.size(); ++i) {
    EXPECT_EQ(got.refused[i].name, want.refused[i].name);
    EXPECT_EQ(got.refused[i].why, want.refused[i].why);
  }
}

TEST(HookReports, ComeBackWholeFromTheWire) {
  const role::Hook sent = to_wire(a_report());
  role::Hook received;
  ASSERT_TRUE(role::decode(&sent, sizeof(sent), received));
  expect_same(from_wire(received), a_report());
  EXPECT_TRUE(from_wire(received).sees_less);
}

TEST(HookReports, ComeBackFromTheTextOfThePlan) {
  const HookReport unarmed{.family = Family::kExec};
  const std::vector<HookReport> got =
      reports_from_text(to_text(unarmed) + "nonsense\nbogus\ta\tb\tc\n" + to_text(a_report()));
  ASSERT_EQ(got.size(), 2U);
  expect_same(got[0], unarmed);
  expect_same(got[1], a_report());
}

TEST(Messages, CarryOneDescriptor) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const base::UniqueFd left(pair[0]);
  base::UniqueFd right(pair[1]);
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const base::UniqueFd reader(pipe_ends[0]);
  const base::UniqueFd writer(pipe_ends[1]);
  EXPECT_EQ(warden::send_message(left.get(), role::make<role::Examine>(role::Type::kExamine, 3), writer.get()), 1);
  std::array<char, role::kMaxMessage> buffer;
  base::UniqueFd received;
  ASSERT_EQ(warden::receive_bytes(right.get(), buffer, received, MSG_DONTWAIT),
            static_cast<ssize_t>(sizeof(role::Examine)));
  ASSERT_TRUE(received);
  EXPECT_EQ(write(received.get(), "x", 1), 1);
  EXPECT_EQ(warden::receive_bytes(right.get(), buffer, received, MSG_DONTWAIT), -1);
  right.reset();
  EXPECT_EQ(warden::send_message(left.get(), role::make<role::Bare>(role::Type::kReady), -1, MSG_DONTWAIT), -1);
}

}  // namespace
}  // namespace keytrail
