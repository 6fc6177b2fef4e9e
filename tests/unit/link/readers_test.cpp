// SPDX-License-Identifier: Apache-2.0
// Every take is counted for its reader; which of them are rows, too; who is another reader.
#include "tests/unit/link/scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAAA";
const Program kCat{"/usr/bin/cat", "/usr/bin/cat", {}, {}};

class Readers : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  /// The process is changed as identify would publish it.
  void change(std::uint32_t pid, const std::function<void(Process&)>& how) {
    auto changed = std::make_shared<Process>(*process(pid));
    how(*changed);
    processes[pid] = changed;
  }
  void log_in(std::uint32_t pid, std::uint32_t session) {
    change(pid, [&](Process& one) { one.session_id = session; });
  }
  std::string container_id = std::string(64, 'a');
  /// It is moved into a container: what it forks from here on is there, too. `cgroup`: 0 is the container's own.
  void enter(std::uint32_t pid, std::uint64_t container, std::uint64_t cgroup = 0) {
    change(pid, [&](Process& one) {
      auto workload = std::make_shared<Workload>();
      workload->id = "container:" + std::to_string(container);
      workload->kind = WorkloadKind::kContainer;
      workload->facts.push_back({fact::kContainerId, container_id, KnownBy::kKernel});
      one.workload = workload;
      one.cgroup_id = cgroup != 0 ? cgroup : container;
    });
  }
  /// The child is where its parent is.
  void fork_inside(std::uint32_t parent, std::uint32_t child) {
    auto made = std::make_shared<Process>(*process(parent));
    made->id = {child, clock.now, made->id.exec};
    made->origin = Origin::kForkSeen;
    processes[child] = made;
    send(process(parent)->id, ForkEvent{made->id}, process(parent), made);
  }
  /// Another process opens the file once.
  void cat(std::uint32_t pid, std::uint32_t session = UINT32_MAX) {
    start(pid, kCat);
    log_in(pid, session);
    open(pid);
  }
  /// "COUNT SESSION by PID PID" of each reader, equal ones of several batches summed as the history does.
  Lines read() {
    collect();
    struct Sum {
      std::uint64_t count = 0;
      std::string pids;
    };
    std::map<std::string, Sum> sums;
    for (const KeyReader& one : readers) {
      Sum& sum = sums[one.actor.workload.id + " " + one.actor.program + " '" + one.actor.session + "'"];
      sum.count += one.count;
      for (const InstanceId& instance : one.instances)
        sum.pids += " " + std::to_string(instance.tgid);
    }
    Lines out;
    for (const auto& [who, sum] : sums)
      out.push_back(std::to_string(sum.count) + " " + who + " by" + sum.pids);
    return out;
  }
};

TEST_F(Readers, a_second_process_is_counted_and_is_no_row) {
  cat(10);
  collect();
  cat(11);
  cat(12);
  EXPECT_EQ(read(), Lines{"3 host:test cat '' by 10 11 12"});
  EXPECT_EQ(acquired(), Lines{"file /root/.aws/credentials [default] " + kA + " by 10"});
  ASSERT_EQ(readers.size(), 2U) << "one for each batch, not for each process";
  EXPECT_EQ(readers[1].key.id, kA);
  EXPECT_EQ(readers[1].slot.place, kCredentials);
  EXPECT_EQ(readers[1].actor.id.tgid, 12U) << "the newest";
  EXPECT_LT(readers[0].last_ns, readers[1].first_ns);
  EXPECT_LT(readers[1].first_ns, readers[1].last_ns);
  EXPECT_EQ(readers[1].last_ns, clock.to_wall(clock.now));
}

TEST_F(Readers, of_many_processes_in_one_batch_the_last_sixteen_are_named) {
  for (std::uint32_t pid = 10; pid < 50; ++pid)
    cat(pid);
  collect();
  ASSERT_EQ(readers.size(), 1U);
  EXPECT_EQ(readers[0].count, 40U);
  EXPECT_EQ(readers[0].instances.size(), 16U);
  EXPECT_EQ(readers[0].instances.back().tgid, 49U);
  EXPECT_TRUE(readers[0].instances_truncated);
}

TEST_F(Readers, a_process_that_reads_again_is_counted_each_time_it_is_seen) {
  cat(10);
  open(10);
  EXPECT_EQ(read(), Lines{"2 host:test cat '' by 10"});
}

TEST_F(Readers, a_child_that_reads_what_its_parent_has_is_seen) {
  cat(10);
  fork(10, 11);
  EXPECT_EQ(read(), Lines{"1 host:test cat '' by 10"}) << "it has the key, and did not take it";
  open(11);
  EXPECT_EQ(read(), Lines{"2 host:test cat '' by 10 11"});
}

TEST_F(Readers, a_variable_that_is_handed_down_is_taken_once) {
  start(10, aws_program(aws_env(kA)));
  fork(10, 11);
  exec(11, aws_program(aws_env(kA)));
  EXPECT_EQ(read(), Lines{"1 host:test aws '' by 10"});
}

TEST_F(Readers, another_script_of_one_interpreter_is_another_reader_and_a_row) {
  start(10, {"/usr/bin/python3.11", "/opt/a.py", {}, {}});
  open(10);
  start(11, {"/usr/bin/python3.11", "/opt/b.py", {}, {}});
  open(11);
  EXPECT_EQ(read(), (Lines{"1 host:test a.py '' by 10", "1 host:test b.py '' by 11"}));
  EXPECT_EQ(acquired().size(), 2U);
}

TEST_F(Readers, another_login_session_is_another_reader_and_a_row) {
  cat(10, 4);
  cat(11, 4);
  cat(12, 5);
  EXPECT_EQ(read(), (Lines{"2 host:test cat 'login 4' by 10 11", "1 host:test cat 'login 5' by 12"}));
  EXPECT_EQ(acquired().size(), 2U);
}

TEST_F(Readers, a_session_says_by_which_way_as_whom_and_for_whom) {
  const auto cat_by = [&](std::uint32_t pid, const std::function<void(Process&)>& how) {
    start(pid, kCat);
    change(pid, how);
    open(pid);
  };
  const auto text = [](const char* words) { return std::make_shared<const std::string>(words); };
  constexpr std::uint32_t kPts3 = 136U << 20U | 3U;
  cat_by(10, [&](Process& one) {
    one.session_id = 17;
    one.login_uid = 1000;
    one.login_by = LoginBy::kSsh;
    one.login_from = text("192.0.2.7");
    one.tty = kPts3;
    one.acts_as = text("root by sudo, postgres by su");
    one.agent = text("claude code");
    one.distributor = text("Terraform");
  });
  cat_by(11, [&](Process& one) { one.tty = kPts3; });
  cat_by(12, [&](Process& one) {
    one.tty = kPts3;
    one.login_uid = 1000;
  });
  EXPECT_EQ(read(), (Lines{"1 host:test cat 'login 17 by ssh from 192.0.2.7 on pts/3, as root by sudo, postgres by su, "
                           "agent claude code, distributor Terraform' by 10",
                           "1 host:test cat 'pts/3 without a login uid' by 11", "1 host:test cat 'pts/3' by 12"}));
}

TEST_F(Readers, another_file_under_the_programs_path_is_a_row_and_no_other_reader) {
  const auto cat_of = [&](std::uint32_t pid, ExecutableFile file) {
    start(pid, kCat);
    change(pid, [&](Process& one) { one.exe_file = file; });
    open(pid);
  };
  cat_of(10, {.dev = 1, .inode = 77});
  cat_of(11, {.dev = 1, .inode = 77, .deleted = true});
  cat_of(12, {});
  cat_of(13, {.dev = 1, .inode = 77});
  EXPECT_EQ(acquired().size(), 1U) << "the same file, whatever became of its name, and one that nobody knows";
  cat_of(14, {.dev = 1, .inode = 78});
  EXPECT_EQ(read(), Lines{"5 host:test cat '' by 10 11 12 13 14"});
  ASSERT_EQ(acquired().size(), 2U);
  EXPECT_EQ(acquisitions[0].actor.file.inode, 77U);
  EXPECT_EQ(acquisitions[1].actor.file.inode, 78U);
  EXPECT_EQ(readers.back().actor.file.inode, 78U) << "that of the newest process";
  for (std::uint32_t pid = 20; pid < 220; ++pid)
    cat_of(pid, {.dev = 1, .inode = pid, .deleted = true});
  EXPECT_LT(acquired().size(), 6U) << "a program in memory is another file at each start";
}

TEST_F(Readers, a_job_that_logs_in_each_minute_makes_few_rows) {
  constexpr std::uint64_t kMinute = 60'000 * kMs;
  for (std::uint32_t run = 0; run < 600; ++run) {
    cat(1000 + run, 100 + run);
    exit(1000 + run);
    collect();
    clock.now += kMinute;
  }
  std::uint64_t count = 0;
  for (const KeyReader& one : readers)
    count += one.count;
  EXPECT_EQ(count, 600U);
  EXPECT_GT(acquisitions.size(), 10U) << "in ten hours";
  EXPECT_LT(acquisitions.size(), 16U);
  clock.now += 300 * kMinute;
  const std::size_t before = acquisitions.size();
  cat(5000, 5000);
  collect();
  EXPECT_EQ(acquisitions.size(), before + 1) << "the next after a quiet time is a row at once";
}

TEST_F(Readers, who_enters_a_running_container_is_another_reader_than_what_it_runs) {
  start(10, kCat);
  enter(10, 77);
  open(10);
  fork_inside(10, 11);
  open(11);
  start(20, kCat);
  enter(20, 77);
  fork_inside(20, 21);
  open(21);
  EXPECT_EQ(read(), (Lines{"2 container:77 cat '' by 10 11", "1 container:77 cat 'exec' by 21"}));
  EXPECT_EQ(acquired().size(), 2U);
}

TEST_F(Readers, another_instance_of_a_container_is_another_reader) {
  for (const std::uint32_t pid : {10U, 11U}) {
    start(pid, kCat);
    enter(pid, pid);
    open(pid);
  }
  EXPECT_EQ(read(), (Lines{"1 container:10 cat '' by 10", "1 container:11 cat '' by 11"}));
  EXPECT_EQ(acquired().size(), 2U);
}

TEST_F(Readers, a_container_that_is_found_running_is_entered_by_who_comes_later) {
  make_process({10, 10, 0}, kCat, {}, Origin::kBaseline);
  enter(10, 77);
  open(10);
  start(20, kCat);
  enter(20, 77);
  open(20);
  EXPECT_EQ(read(), (Lines{"1 container:77 cat '' by 10", "1 container:77 cat 'exec' by 20"}));
}

TEST_F(Readers, a_container_is_one_although_its_first_process_was_seen_on_its_way_into_its_cgroups) {
  start(10, kCat);
  enter(10, 77, 501);
  open(10, "/tmp/x");
  enter(10, 77);
  fork_inside(10, 11);
  open(11);
  start(20, kCat);
  enter(20, 77);
  open(20);
  EXPECT_EQ(read(), (Lines{"1 container:77 cat '' by 11", "1 container:77 cat 'exec' by 20"}));
}

TEST_F(Readers, who_is_seen_on_its_way_into_a_running_container_has_entered_it) {
  start(10, kCat);
  enter(10, 77);
  open(10);
  for (const std::uint32_t pid : {20U, 30U}) {
    start(pid, kCat);
    enter(pid, 77, 501);
    open(pid, "/tmp/x");
    enter(pid, 77);
    open(pid);
  }
  EXPECT_EQ(read(), (Lines{"1 container:77 cat '' by 10", "2 container:77 cat 'exec' by 20 30"}));
}

TEST_F(Readers, the_next_container_of_a_name_is_entered_by_nobody_though_the_end_of_the_one_before_was_lost) {
  container_id = "web";
  start(10, kCat);
  enter(10, 77);
  open(10);
  start(20, kCat);
  enter(20, 77, 78);
  open(20);
  EXPECT_EQ(read(), Lines{"2 container:77 cat '' by 10 20"});
}

TEST_F(Readers, the_next_container_of_an_id_is_entered_by_nobody) {
  start(10, kCat);
  enter(10, 77);
  open(10);
  exit(10);
  start(20, kCat);
  enter(20, 77, 78);
  open(20);
  EXPECT_EQ(read(), Lines{"2 container:77 cat '' by 10 20"});
}

TEST_F(Readers, a_file_that_could_not_be_read_is_news_in_another_session_too) {
  examiner.files[kCredentials].unread = "refused";
  std::uint32_t pid = 10;
  for (const std::uint32_t session : {4U, 4U, 5U})
    cat(pid++, session);
  EXPECT_EQ(acquired().size(), 2U);
  EXPECT_TRUE(read().empty()) << "of which key is not known";
}

TEST_F(Readers, what_could_not_be_read_is_a_row_once_and_a_gap_each_time_for_it_may_be_any_key) {
  for (const std::string why : {"gone", "changed", "timeout", "busy", "examiner restarted", "too large", "refused"}) {
    make();
    acquisitions.clear();
    gaps.clear();
    examiner.files[kCredentials].unread = why;
    cat(10, 4);
    tick();
    EXPECT_EQ(acquired().size(), 1U) << why;
    ASSERT_EQ(gaps.size(), 1U) << why << ": also the first";
    EXPECT_EQ(gaps[0].text, "1 key file was not read (" + why + "), of " + acquisitions[0].actor.workload.name + ".");
    const std::uint64_t second_ns = clock.now;
    for (std::uint32_t pid = 11; pid < 14; ++pid)
      cat(pid, 4);
    EXPECT_EQ(link->untold(), 3U) << why;
    tick(6000);
    EXPECT_EQ(link->untold(), 0U) << why;
    EXPECT_EQ(acquired().size(), 1U) << why;
    ASSERT_EQ(gaps.size(), 2U) << why;
    EXPECT_EQ(gaps[1].cause, kFilesUnread);
    EXPECT_EQ(gaps[1].detail, why);
    EXPECT_EQ(gaps[1].family, "open");
    EXPECT_EQ(gaps[1].scope, acquisitions[0].actor.workload.name);
    EXPECT_EQ(gaps[1].lost, 3U);
    EXPECT_TRUE(std::ranges::count(gaps[1].kinds, "aws.session") == 1);
    EXPECT_GE(gaps[1].from_ns, clock.to_wall(second_ns));
  }
}

TEST_F(Readers, what_an_unread_file_may_be_is_what_its_place_can_hold) {
  const auto kinds = [&](const std::string& path, const std::string& why) {
    make();
    gaps.clear();
    examiner.files[path].unread = why;
    start(10, kCat);
    open(10, path);
    tick();
    collect();
    EXPECT_EQ(gaps.size(), 1U) << path;
    return gaps.empty() ? std::vector<std::string>{"no gap"} : gaps[0].kinds;
  };
  using Kinds = std::vector<std::string>;
  EXPECT_EQ(kinds("/root/.ssh/id_ed25519", "gone"), (Kinds{"ssh.host_key", "ssh.private_key"}));
  EXPECT_EQ(kinds("/root/.ssh/id_ed25519", "unknown format"), Kinds{}) << "it may be anything";
  EXPECT_EQ(kinds("/root/.netrc", "gone"), Kinds{}) << "of any host";
  EXPECT_EQ(kinds("/root/.pgpass", "gone"), Kinds{}) << "a password may be anybody's token";
  EXPECT_EQ(std::ranges::count(kinds(kCredentials, "gone"), "minio.access_key"), 1) << "which is known from elsewhere";
  const Kinds token = kinds("/var/run/secrets/kubernetes.io/serviceaccount/token", "gone");
  EXPECT_EQ(std::ranges::count(token, "k8s.service_account_token"), 1);
  EXPECT_EQ(std::ranges::count(token, "ssh.private_key"), 0);
}

TEST_F(Readers, what_an_earlier_run_knew_is_no_news_and_is_counted) {
  cat(10, 4);
  collect();
  const Holding holding = holders[10][kA];
  const ProcessRef who = process(10);
  make();
  link->adopt(holding, who);
  readers.clear();
  acquisitions.clear();
  cat(11, 4);
  EXPECT_EQ(read(), Lines{"1 host:test cat 'login 4' by 11"});
  EXPECT_TRUE(acquired().empty());
}

TEST_F(Readers, WhoDropsRootIsTheUserThatItActsForNow) {
  const auto become = [&](std::uint32_t pid, std::uint32_t uid, const char* name) {
    change(pid, [&](Process& one) {
      one.former = {one.credentials(), one.account, clock.now + 1};
      one.uid = uid;
      one.account = std::make_shared<const Account>(Account{.user = name, .login_user = {}});
    });
  };
  start(10);
  become(10, 0, "root");
  open(10);
  collect();
  EXPECT_EQ(holders[10].at(kA).actor.user, "root");
  become(10, 33, "www-data");
  call(10);
  collect();
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].actor.uid, 33U);
  EXPECT_EQ(uses[0].actor.user, "www-data");
  EXPECT_EQ(holders[10].at(kA).actor.user, "www-data") << "who has it, as whom it has it now";
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_EQ(acquisitions[0].actor.user, "root") << "who took it, as whom it took it";
}

TEST_F(Readers, AUseThatWaitsForItsKeysIsTheUsersOfThatMoment) {
  start(10);
  change(10, [](Process& one) { one.uid = 0; });
  examiner.hold = true;
  open(10);
  call(10);
  change(10, [&](Process& one) {
    one.former = {one.credentials(), one.account, clock.now + 1};
    one.uid = 33;
  });
  connect(10, 99, ip(2));
  examiner.hold = false;
  examiner.answer_all();
  tick();
  collect();
  ASSERT_FALSE(uses.empty());
  EXPECT_EQ(uses[0].actor.uid, 0U);
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_EQ(acquisitions[0].actor.uid, 0U) << "the examiner's answer came later";
}

}  // namespace
}  // namespace keytrail::link
