// SPDX-License-Identifier: Apache-2.0
// A named pipe is opened by its path, and no program begins with it: what its reader may have got.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";

class NamedPipes : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
    start(20, {.exe = "/usr/bin/bash", .filename = "/bin/bash"});
  }
  /// A child of the shell that reads the key and writes into the pipe, which the shell has opened for it.
  void write_key(std::uint32_t pid) {
    fork(20, pid);
    exec(pid, {.exe = "/usr/bin/cat", .filename = "/bin/cat", .stdout_pipe = kFifo});
    open(pid);
    exit(pid);
  }
  /// A child of the shell that reads a pipe of that number, and nobody knows what it is called.
  void start_reader(std::uint32_t pid) {
    fork(20, pid);
    exec(pid, {.stdin_pipe = kFifo});
  }
  /// Of another unit, where a named pipe has the same number.
  void open_as_stranger(std::uint32_t pid) {
    start(pid);
    unshare(pid, 1, "stranger" + std::to_string(pid) + ".service");
    open_fifo(pid);
  }
  static constexpr std::uint32_t kFifo = 77;
  void open_fifo(std::uint32_t pid) {
    OpenEvent event;
    event.path = "/srv/free/pipe";
    event.file.inode = kFifo;
    event.is_pipe = true;
    send(process(pid)->id, event, process(pid));
  }
};

TEST_F(NamedPipes, AReaderGetsWhatItsWriterTook) {
  start(10, {.env = aws_env(kB)});
  open_fifo(10);
  write_key(21);
  call(10);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_TRUE(told()[0].starts_with("possible ")) << told()[0];
  EXPECT_NE(told()[0].find(kA), std::string::npos) << told()[0];
  EXPECT_NE(told()[0].find(kB), std::string::npos) << told()[0];
}

TEST_F(NamedPipes, AReaderGetsWhatWasWrittenBefore) {
  write_key(21);
  start(10);
  open_fifo(10);
  call(10);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_NE(told()[0].find(kA), std::string::npos) << told()[0];
}

TEST_F(NamedPipes, WhoeverElseMayHaveWrittenThereIsADoubt) {
  start(10, {.env = aws_env(kB)});
  open_fifo(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible unidentified_file: " + kB});
}

// The number of an anonymous pipe is that of a named one elsewhere, or can be made so.
TEST_F(NamedPipes, AStrangerWithTheNumberOfAPipeTakesNothingAwayFromItsReader) {
  start_reader(12);
  open_as_stranger(30);
  write_key(21);
  call(12);
  EXPECT_EQ(told(), Lines{"possible from_helper: " + kA});
}

TEST_F(NamedPipes, NorFromOneThatBeginsWhenItsWriterHasEnded) {
  write_key(21);
  open_as_stranger(30);
  start_reader(12);
  call(12);
  EXPECT_EQ(told(), Lines{"possible from_helper: " + kA});
}

TEST_F(NamedPipes, NorDoManyOfThem) {
  start_reader(12);
  for (std::uint32_t pid = 30; pid < 60; ++pid)
    open_as_stranger(pid);
  write_key(21);
  call(12);
  EXPECT_EQ(told(), Lines{"possible from_helper: " + kA});
}

}  // namespace
}  // namespace keytrail::link
