// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/decode.h"

#include <gtest/gtest.h>

#include "tests/replay/record_builder.h"
#include "tests/unit/decode/wire.h"

namespace keytrail::decode {
namespace {

using namespace replay;
using namespace std::string_view_literals;

constexpr catalog::ArgFormat kFormats[] = {{"AKIA", "fmt.aws.akia", true, 20, 20},
                                           {"ghp_", "fmt.github.pat", false, 40, 40}};

std::string sixteen(char c) { return std::string(16, c); }

RecordBytes full_exec() {
  const std::string items = item_of(KT_ITEM_ENV_SHOW, "AWS_PROFILE", "prod") +
                            item_of(KT_ITEM_ENV_SECRET, "AWS_SECRET_ACCESS_KEY", sixteen('f')) +
                            item_of(KT_ITEM_ENV_SECRET, "GH_TOKEN", sixteen('t'), KT_ITEM_F_FORMAT, 1) +
                            item_of(KT_ITEM_ENV_SECRET, "PIN", "") +
                            item_of(KT_ITEM_ARG_FLAG, "--profile", sixteen('p')) +
                            item_of(KT_ITEM_ARG_FORMAT, "", "AKIAIOSFODNN7EXAMPLE", KT_ITEM_F_PUBLIC, 0) +
                            item_of(KT_ITEM_ARG_FORMAT, "", sixteen('g'), 0, 1);
  ev_exec fixed{
      .head =
          head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 5000,
                  {.tgid = 7, .start_ns = 99, .exec = 3, .cgroup_id = 11, .uid = 1000, .gid = 1001, .login_uid = 1002}),
      .parent_start_ns = 88,
      .exe_inode = 77,
      .parent_tgid = 6,
      .parent_exec = 2,
      .session_id = 4,
      .mnt_ns = 41,
      .pid_ns = 42,
      .net_ns = 43,
      .exe_dev = 8,
      .env_truncated = 1,
      .args_kept = KT_ARGS_PART,
      .exe_deleted = 1};
  std::memcpy(fixed.comm, "aws", 3);
  return exec_of(fixed, "/usr/bin/python3.11", "/usr/bin/aws", items);
}

template <typename T>
T body_of(const RecordBytes& record, std::span<const catalog::ArgFormat> formats = {}) {
  auto event = decode(record, formats);
  EXPECT_TRUE(event) << event.error().message;
  return event ? std::get<T>(event->body) : T{};
}

std::string refused(std::span<const std::byte> record) {
  auto event = decode(record, kFormats);
  return event ? "accepted" : event.error().message;
}

TEST(DecodeTest, APathOfAFlagIsTextAndACutOneIsNone) {
  const std::string items = item_of(KT_ITEM_ARG_FLAG, "-i", "/backup/key", KT_ITEM_F_PUBLIC) +
                            item_of(KT_ITEM_ARG_FLAG, "-i", "/backup/cut", KT_ITEM_F_PUBLIC | KT_ITEM_F_TRUNCATED) +
                            item_of(KT_ITEM_ARG_FLAG, "-i", "sixteenCharacter");
  const ev_exec fixed{
      .head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 5000, {.tgid = 7, .start_ns = 99, .exec = 3, .cgroup_id = 11})};
  const auto event = body_of<ExecEvent>(exec_of(fixed, "/usr/bin/ssh", "/usr/bin/ssh", items));
  ASSERT_EQ(event.args.size(), 3U);
  EXPECT_EQ(event.args[0].value, "/backup/key");
  EXPECT_TRUE(event.args[0].fingerprint.empty());
  EXPECT_EQ(event.args[1].value, "");
  EXPECT_EQ(event.args[2].value, "");
  EXPECT_FALSE(event.args[2].fingerprint.empty());
}

TEST(DecodeTest, TheScriptOfAnInterpreterIsTextAndAModuleIsSaidToBeOne) {
  const auto script = [](const std::string& items) {
    ev_exec fixed{
        .head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 5000, {.tgid = 7, .start_ns = 99, .exec = 3, .cgroup_id = 11})};
    fixed.tty = 136U << 20U | 3U;
    const auto event = body_of<ExecEvent>(exec_of(fixed, "/usr/bin/python3.11", "/usr/bin/python3", items));
    EXPECT_EQ(event.tty, 136U << 20U | 3U);
    return event.script;
  };
  EXPECT_EQ(script(item_of(KT_ITEM_SCRIPT, "", "/srv/run.py", KT_ITEM_F_PUBLIC)), "/srv/run.py");
  EXPECT_EQ(script(item_of(KT_ITEM_SCRIPT, "-m", "http.server", KT_ITEM_F_PUBLIC)), "-m http.server");
  EXPECT_EQ(script(item_of(KT_ITEM_SCRIPT, "-jar", "app.jar", KT_ITEM_F_PUBLIC)), "app.jar");
  EXPECT_EQ(script(item_of(KT_ITEM_SCRIPT, "", "/srv/run.py")), "") << "nothing is shown that is not said to be public";
  EXPECT_EQ(script(""), "");
}

TEST(DecodeTest, HeadIsCopied) {
  const auto event = decode(full_exec(), kFormats);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->head.time_ns, 5000U);
  EXPECT_EQ(event->head.who, (InstanceId{7, 99, 3}));
  EXPECT_EQ(event->head.family, Family::kExec);
  EXPECT_EQ(event->head.cgroup_id, 11U);
  EXPECT_TRUE(event->head.from_ring);
  EXPECT_FALSE(event->head.baseline);
  EXPECT_EQ(event->head.users, (Credentials{1000, 1001, 1002})) << "as they are at that moment, in every event";
}

TEST(DecodeTest, AnEventOfNoTaskHasNoUsers) {
  const auto event = decode(record_of(head_of(KT_EV_BASELINE_DONE, KT_FAMILY_LIFETIME, 1, {.tgid = 0})), kFormats);
  ASSERT_TRUE(event);
  EXPECT_FALSE(event->head.users) << "zeros would look like root";
}

TEST(DecodeTest, ExecHasStringsAndNumbers) {
  const auto exec = body_of<ExecEvent>(full_exec(), kFormats);
  EXPECT_EQ(exec.parent, (InstanceId{6, 88, 2}));
  EXPECT_EQ(exec.exe, "/usr/bin/python3.11");
  EXPECT_EQ(exec.filename, "/usr/bin/aws");
  EXPECT_EQ(exec.comm, "aws");
  EXPECT_EQ(exec.uid, 1000U);
  EXPECT_EQ(exec.login_uid, 1002U);
  EXPECT_EQ(exec.exe_file, (ExecutableFile{.dev = 8, .inode = 77, .deleted = true}));
  EXPECT_EQ(exec.net_ns, 43U);
  EXPECT_TRUE(exec.env_truncated);
  EXPECT_FALSE(exec.args_truncated);
  EXPECT_EQ(exec.args_kept, ArgsKept::kPart);
}

TEST(DecodeTest, ArgumentsOfWhichNothingSoundIsSaidAreLost) {
  const auto kept = [](kt_u8 said) {
    return body_of<ExecEvent>(exec_of({.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 1, {}), .args_kept = said},
                                      "/usr/bin/curl", "", ""))
        .args_kept;
  };
  EXPECT_EQ(kept(KT_ARGS_NONE), ArgsKept::kNone);
  EXPECT_EQ(kept(KT_ARGS_WHOLE), ArgsKept::kWhole);
  EXPECT_EQ(kept(4), ArgsKept::kLost);
  EXPECT_EQ(kept(255), ArgsKept::kLost);
}

TEST(DecodeTest, ExecItemsBecomeVariablesAndArguments) {
  const auto exec = body_of<ExecEvent>(full_exec(), kFormats);
  ASSERT_EQ(exec.env.size(), 4U);
  EXPECT_EQ(exec.env[0].name, "AWS_PROFILE");
  EXPECT_EQ(exec.env[0].value, "prod");
  EXPECT_EQ(exec.env[1].value, "");
  EXPECT_EQ(exec.env[1].fingerprint.bytes[0], 'f');
  EXPECT_EQ(exec.env[1].format, "");
  EXPECT_EQ(exec.env[2].format, "fmt.github.pat") << "what the value begins with";
  EXPECT_TRUE(exec.env[3].fingerprint.empty());
  ASSERT_EQ(exec.args.size(), 3U);
  EXPECT_EQ(exec.args[0].flag, "--profile");
  EXPECT_EQ(exec.args[0].fingerprint.bytes[15], 'p');
  EXPECT_EQ(exec.args[1].format, "fmt.aws.akia");
  EXPECT_EQ(exec.args[1].value, "AKIAIOSFODNN7EXAMPLE");
  EXPECT_EQ(exec.args[2].format, "fmt.github.pat");
  EXPECT_EQ(exec.args[2].value, "");
}

TEST(DecodeTest, SecretValueOfABuggySenderGoesNoFurther) {
  ev_exec fixed{.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 1, {})};
  const auto exec =
      body_of<ExecEvent>(exec_of(fixed, "/x", "",
                                 item_of(KT_ITEM_ENV_SECRET, "TOKEN", "a raw secret that is no hash") +
                                     item_of(KT_ITEM_ARG_FORMAT, "", "ghp_rawrawraw", KT_ITEM_F_PUBLIC, 1)),
                         kFormats);
  EXPECT_EQ(exec.env[0].value, "");
  EXPECT_TRUE(exec.env[0].fingerprint.empty());
  EXPECT_EQ(exec.args[0].value, "");
}

TEST(DecodeTest, ArgumentOfAnUnknownFormatIsLeftOutAndSaid) {
  const auto exec = body_of<ExecEvent>(full_exec(), {});
  EXPECT_EQ(exec.args.size(), 1U);
  EXPECT_TRUE(exec.args_truncated);
}

TEST(DecodeTest, ExecCutAnywhereIsRefused) {
  const RecordBytes whole = full_exec();
  test::for_each_prefix(whole, [&](std::span<const std::byte> part) {
    if (part.size() < whole.size()) {
      EXPECT_NE(refused(part), "accepted") << part.size();
    }
  });
  test::for_each_damage(whole, [](std::span<const std::byte> data) { (void)decode(data, kFormats); });
}

TEST(DecodeTest, ItemsWithWrongLengthsAreRefused) {
  for (const auto length : std::initializer_list<std::uint16_t>{0, 8, 15, 17, 4096}) {
    std::string item = item_of(KT_ITEM_ENV_SHOW, "A", "b");
    std::memcpy(item.data(), &length, sizeof length);
    EXPECT_EQ(refused(exec_of({.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 1, {})}, "/x", "", item)), kBadItem)
        << length;
  }
}

TEST(DecodeTest, TaskIsAnExecFoundByTheSweep) {
  ev_exec fixed{.head = head_of(KT_EV_TASK, KT_FAMILY_EXEC, 1, {.uid = 5}, KT_F_BASELINE)};
  const auto event = decode(exec_of(fixed, "/sbin/init", "", ""));
  ASSERT_TRUE(event);
  EXPECT_TRUE(event->head.baseline);
  EXPECT_EQ(std::get<TaskEvent>(event->body).exec.exe, "/sbin/init");
  EXPECT_EQ(std::get<TaskEvent>(event->body).exec.uid, 5U);
}

TEST(DecodeTest, PathsAreTurnedRound) {
  const auto open = body_of<OpenEvent>(
      open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {}), .inode = 5, .dev = 9, .mnt_ns = 3, .place_ns = 4},
              "/root/.aws/credentials"));
  EXPECT_EQ(open.mnt_ns, 3U);
  EXPECT_EQ(open.namespace_of_path(), 4U);
  EXPECT_EQ(open.path, "/root/.aws/credentials");
  EXPECT_FALSE(open.path_truncated);
  EXPECT_EQ(open.file.inode, 5U);
  EXPECT_EQ(open.file.dev, 9U);
  EXPECT_EQ(body_of<OpenEvent>(open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {})}, "/")).path, "/");
  const auto signs = [](kt_u16 value) {
    return body_of<OpenEvent>(open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {}), .signs = value}, "/"));
  };
  EXPECT_FALSE(signs(0).secret_shaped || signs(0).over_budget);
  EXPECT_TRUE(signs(KT_OPEN_SHAPED).secret_shaped && !signs(KT_OPEN_SHAPED).over_budget);
  EXPECT_TRUE(signs(KT_OPEN_DETACHED).detached && !signs(KT_OPEN_SHAPED).detached);
  EXPECT_TRUE(signs(KT_OPEN_OVER_BUDGET).over_budget && !signs(KT_OPEN_OVER_BUDGET).secret_shaped);
  EXPECT_TRUE(signs(KT_OPEN_PIPE).is_pipe && !signs(KT_OPEN_SHAPED).is_pipe);
}

TEST(DecodeTest, PathThatWasCutHasNoRoot) {
  const auto open = body_of<OpenEvent>(
      open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {}, KT_F_TRUNCATED)}, "/deep/er/token"));
  EXPECT_EQ(open.path, "deep/er/token");
  EXPECT_TRUE(open.path_truncated);
}

TEST(DecodeTest, AbsolutePathIsTakenAsItIs) {
  ev_open fixed{.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {}), .path_len = 9};
  EXPECT_EQ(body_of<OpenEvent>(record_of(fixed, "/etc/a\0xx"sv)).path, "/etc/a");
}

TEST(DecodeTest, SlashWithinANameCannotImitateAPath) {
  ev_open fixed{.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, 1, {}, KT_F_LEAF_FIRST), .path_len = 31};
  EXPECT_EQ(body_of<OpenEvent>(record_of(fixed, "memfd:/root/.aws/credentials\0\0\0"sv)).path,
            "/memfd:\\x2froot\\x2f.aws\\x2fcredentials");
}

TEST(DecodeTest, MappedAddressIsIpv4) {
  ev_connect fixed{.head = head_of(KT_EV_CONNECT, KT_FAMILY_CONNECT, 1, {}),
                   .cookie = 5,
                   .address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 2, 3},
                   .port = 443,
                   .v6 = 1,
                   .net_ns = 8};
  const auto connect = body_of<ConnectEvent>(record_of(fixed));
  EXPECT_FALSE(connect.remote.v6);
  EXPECT_EQ(connect.remote.address, (std::array<std::uint8_t, 16>{10, 1, 2, 3}));
  EXPECT_EQ(connect.remote.port, 443);
  fixed.address[0] = 0x20;
  EXPECT_TRUE(body_of<ConnectEvent>(record_of(fixed)).remote.v6);
}

TEST(DecodeTest, ForkExitSocketAndHeads) {
  EXPECT_EQ(body_of<ForkEvent>(record_of(ev_fork{.head = head_of(KT_EV_FORK, KT_FAMILY_EXEC, 1, {}),
                                                 .child_start_ns = 3,
                                                 .child_tgid = 2,
                                                 .child_exec = 4}))
                .child,
            (InstanceId{2, 3, 4}));
  (void)body_of<ExitEvent>(record_of(ev_exit{.head = head_of(KT_EV_EXIT, KT_FAMILY_EXEC, 1, {})}));
  const auto socket = body_of<SocketEvent>(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, 1, {}),
                                                               .cookie = 9,
                                                               .bytes_sent = 10,
                                                               .error = 111,
                                                               .state = KT_SOCKET_FAILED}));
  EXPECT_EQ(socket.state, SocketState::kFailed);
  EXPECT_EQ(socket.error, 111);
  EXPECT_EQ(body_of<BaselineDoneEvent>(record_of(head_of(KT_EV_BASELINE_DONE, KT_FAMILY_LIFETIME, 77, {}))).armed_ns,
            77U);
  EXPECT_EQ(body_of<HeartbeatEvent>(record_of(head_of(KT_EV_HEARTBEAT, KT_FAMILY_NAME, 1, {}))).family, Family::kName);
}

TEST(DecodeTest, PayloadsAreParsedByProtocol) {
  const auto payload = [](std::uint8_t protocol, std::string_view data, std::uint16_t flags = 0) {
    return body_of<PayloadEvent>(record_of(ev_payload{.head = head_of(KT_EV_PAYLOAD, KT_FAMILY_NAME, 1, {}, flags),
                                                      .cookie = 6,
                                                      .data_len = static_cast<std::uint16_t>(data.size()),
                                                      .protocol = protocol},
                                           data));
  };
  EXPECT_EQ(payload(KT_PAYLOAD_HTTP, "GET /x HTTP/1.1\nHost.Example:81").name, "host.example");
  EXPECT_EQ(payload(KT_PAYLOAD_HTTP, "CONNECT a.b:443 HTTP/1.1\n").protocol, PayloadEvent::Protocol::kHttpConnect);
  EXPECT_EQ(payload(KT_PAYLOAD_SSH, "SSH-2.0-x").protocol, PayloadEvent::Protocol::kSsh);
  const PayloadEvent socks = payload(KT_PAYLOAD_SOCKS, std::string_view("\x03\x01\xbb"
                                                                        "A.Test",
                                                                        9));
  EXPECT_EQ(socks.protocol, PayloadEvent::Protocol::kSocks);
  EXPECT_EQ(socks.name, "a.test");
  EXPECT_EQ(socks.port, 443);
  EXPECT_EQ(payload(KT_PAYLOAD_SOCKS, std::string_view("\x01\x00\x50\xc0\x00\x02\x07", 7)).name, "192.0.2.7");
  EXPECT_EQ(payload(KT_PAYLOAD_SOCKS, std::string_view("\x04\x00\x50"
                                                       "0123456789abcdef",
                                                       19))
                .name,
            "3031:3233:3435:3637:3839:6162:6364:6566");
  for (const std::string_view bad : {"", "\x03",
                                     "\x01\x01\x01"
                                     "12345",
                                     "\x04\x01\x01"
                                     "1234",
                                     "\x07\x01\x01"
                                     "1234"})
    EXPECT_EQ(payload(KT_PAYLOAD_SOCKS, bad).protocol, PayloadEvent::Protocol::kOther) << bad;
  EXPECT_EQ(payload(KT_PAYLOAD_QUIC, "no packet").unread, PayloadEvent::Unread::kUnreadable);
  EXPECT_EQ(payload(KT_PAYLOAD_TLS, std::string_view("\x16\x03\x01\x00\x05\x01\x00", 7)).unread,
            PayloadEvent::Unread::kCut);
  EXPECT_EQ(payload(KT_PAYLOAD_TLS_DATA, "").protocol, PayloadEvent::Protocol::kTlsData);
  EXPECT_EQ(payload(KT_PAYLOAD_STATUS, "404").status, 404);
  EXPECT_EQ(payload(KT_PAYLOAD_STATUS, "x\xff").status, 0);
  EXPECT_EQ(payload(KT_PAYLOAD_TLS, "nonsense").protocol, PayloadEvent::Protocol::kOther);
  EXPECT_TRUE(payload(KT_PAYLOAD_HTTP, "GET /x HTTP/1.0\n", KT_F_TRUNCATED).truncated);
}

TEST(DecodeTest, APeekTellsWhoseAndWhatWasLookedAt) {
  const auto peek = [](std::uint32_t what) {
    return body_of<PeekEvent>(record_of(ev_peek{
        .head = head_of(KT_EV_PEEK, KT_FAMILY_OPEN, 1, {}), .start_ns = 9, .tgid = 7, .exec = 3, .what = what}));
  };
  EXPECT_EQ(peek(KT_PEEK_ENVIRONMENT).of, (InstanceId{7, 9, 3}));
  EXPECT_EQ(peek(KT_PEEK_ENVIRONMENT).what, PeekEvent::What::kEnvironment);
  EXPECT_EQ(peek(KT_PEEK_MEMORY).what, PeekEvent::What::kMemory);
  EXPECT_EQ(peek(KT_PEEK_TRACE).what, PeekEvent::What::kTrace);
  EXPECT_EQ(refused(record_of(ev_peek{.head = head_of(KT_EV_PEEK, KT_FAMILY_OPEN, 1, {}), .what = 3})), kUnknownValue);
}

TEST(DecodeTest, UnixNamesKeepTheirKind) {
  const auto path = [](std::string_view raw) {
    return body_of<UnixConnectEvent>(record_of(ev_unix{.head = head_of(KT_EV_UNIX, KT_FAMILY_CONNECT, 1, {}),
                                                       .path_len = static_cast<std::uint16_t>(raw.size())},
                                               raw))
        .path;
  };
  EXPECT_EQ(path("/run/a.sock\0junk"sv), "/run/a.sock");
  EXPECT_EQ(path("\0abs\0x"sv), "@abs@x");
  EXPECT_EQ(path(""), "");
}

TEST(DecodeTest, CgroupPathIsTurnedRound) {
  const std::string leaf = leaf_first("/system.slice/backup.service");
  const auto cgroup =
      body_of<CgroupEvent>(record_of(ev_cgroup{.head = head_of(KT_EV_CGROUP, KT_FAMILY_EXEC, 1, {.cgroup_id = 44}),
                                               .path_len = static_cast<std::uint16_t>(leaf.size()),
                                               .claimed = 1,
                                               .owner = 1000},
                                     leaf));
  EXPECT_EQ(cgroup.cgroup_id, 44U);
  EXPECT_EQ(cgroup.path, "/system.slice/backup.service");
  EXPECT_EQ(cgroup.claimed, 1U);
  EXPECT_EQ(cgroup.owner, 1000U);
}

TEST(DecodeTest, CgroupPathThatWasCutHasNoRoot) {
  const std::string leaf = leaf_first("/kubepods/pod1");
  for (const auto flag : std::initializer_list<std::uint16_t>{KT_F_TRUNCATED, KT_F_MISSING}) {
    const auto cgroup =
        body_of<CgroupEvent>(record_of(ev_cgroup{.head = head_of(KT_EV_CGROUP, KT_FAMILY_EXEC, 1, {}, flag),
                                                 .path_len = static_cast<std::uint16_t>(leaf.size())},
                                       leaf));
    EXPECT_EQ(cgroup.path, "kubepods/pod1");
  }
}

TEST(DecodeTest, ExeIsCutOnlyWhenTheFlagCanMeanIt) {
  ev_exec fixed{.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 1, {}, KT_F_TRUNCATED)};
  EXPECT_EQ(body_of<ExecEvent>(exec_of(fixed, "/usr/bin/aws", "", "")).exe, "usr/bin/aws");
  EXPECT_EQ(body_of<ExecEvent>(exec_of(fixed, "/usr/bin/aws", std::string(KT_PATH_MAX - 1, 'f'), "")).exe,
            "/usr/bin/aws");
  fixed.env_truncated = 1;
  EXPECT_EQ(body_of<ExecEvent>(exec_of(fixed, "/usr/bin/aws", "", "")).exe, "/usr/bin/aws");
  std::string deep;
  for (int i = 0; i < 40; ++i)
    deep += "/a";
  EXPECT_EQ(body_of<ExecEvent>(exec_of(fixed, deep + "/usr/bin/aws", "", "")).exe.front(), 'a');
}

TEST(DecodeTest, ExeThatCouldNotBeReadIsEmpty) {
  EXPECT_EQ(
      body_of<ExecEvent>(exec_of({.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, 1, {}, KT_F_MISSING)}, "", "", "")).exe,
      "");
}

TEST(DecodeTest, NonsenseIsRefusedWithItsReason) {
  EXPECT_EQ(refused({}), kTooShort);
  EXPECT_EQ(refused(record_of(head_of(99, 0, 1, {}))), kUnknownType);
  EXPECT_EQ(refused(record_of(head_of(KT_EV_FORK, 9, 1, {}))), kUnknownFamily);
  EXPECT_EQ(refused(record_of(head_of(KT_EV_OPEN, 0, 1, {}))), kTooShort);
  EXPECT_EQ(refused(record_of(ev_open{.head = head_of(KT_EV_OPEN, 0, 1, {}), .path_len = 1})), kBeyondRecord);
  EXPECT_EQ(refused(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, 0, 1, {}), .state = 4})), kUnknownValue);
  EXPECT_EQ(refused(record_of(ev_dns{.head = head_of(KT_EV_DNS, 0, 1, {}), .data_len = 3}, "abc")), kBadDns);
}

TEST(DecodeTest, AnyBytesAreSurvived) {
  for (std::uint16_t type = 0; type < 16; ++type) {
    const RecordBytes record = record_of(head_of(type, 0, 1, {}), std::string(200, '\xFF'));
    test::for_each_prefix(record, [](std::span<const std::byte> part) { (void)decode(part, kFormats); });
    const RecordBytes zeros = record_of(head_of(type, 0, 1, {}), std::string(200, '\0'));
    test::for_each_damage(zeros, [](std::span<const std::byte> data) { (void)decode(data, kFormats); });
  }
}

}  // namespace
}  // namespace keytrail::decode
