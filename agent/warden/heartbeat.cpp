// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/heartbeat.h"

#include <elf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "agent/base/fd.h"

namespace keytrail::warden {
namespace {

/// A whole program: exit(0). It needs no file system to exec from.
std::string tiny_program() {
#if defined(__x86_64__)
  constexpr std::array<unsigned char, 9> kCode{0x31, 0xFF, 0xB8, 0x3C, 0x00,
                                               0x00, 0x00, 0x0F, 0x05};  // xor edi,edi; mov eax,60; syscall
  constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
  constexpr std::array<unsigned char, 12> kCode{0x00, 0x00, 0x80, 0xD2, 0xA8, 0x0B,
                                                0x80, 0xD2, 0x01, 0x00, 0x00, 0xD4};  // mov x0,0; mov x8,93; svc 0
  constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "the heartbeat's program is written for x86-64 and arm64"
#endif
  constexpr std::uint64_t kBase = 0x400000;
  Elf64_Ehdr head{};
  Elf64_Phdr segment{};
  memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_ident[EI_VERSION] = EV_CURRENT;
  head.e_type = ET_EXEC;
  head.e_machine = kMachine;
  head.e_version = EV_CURRENT;
  head.e_entry = kBase + sizeof(head) + sizeof(segment);
  head.e_phoff = sizeof(head);
  head.e_ehsize = sizeof(head);
  head.e_phentsize = sizeof(segment);
  head.e_phnum = 1;
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_X;
  segment.p_vaddr = kBase;
  segment.p_filesz = segment.p_memsz = sizeof(head) + sizeof(segment) + kCode.size();
  segment.p_align = 0x1000;
  std::string out(reinterpret_cast<const char*>(&head), sizeof(head));
  out.append(reinterpret_cast<const char*>(&segment), sizeof(segment));
  out.append(reinterpret_cast<const char*>(kCode.data()), kCode.size());
  return out;
}

/// vm.memfd_noexec takes the right to be executed from those that do not ask for it; kernels before 6.3 know no asking.
base::UniqueFd make_executable() {
  constexpr unsigned kExecutable = 0x0010U;  // MFD_EXEC
  base::UniqueFd file(memfd_create(KT_HEARTBEAT_MEMFD, MFD_CLOEXEC | kExecutable));
  if (!file && errno == EINVAL) file.reset(memfd_create(KT_HEARTBEAT_MEMFD, MFD_CLOEXEC));
  return file;
}

bool open_something() {
  const base::UniqueFd file(memfd_create(KT_HEARTBEAT_MEMFD, MFD_CLOEXEC));
  if (!file) return false;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  return static_cast<bool>(base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
}

/// Fork and exec of the tiny program; both families beat.
bool run_something() {
  const base::UniqueFd file = make_executable();
  const std::string program = tiny_program();
  if (!file || write(file.get(), program.data(), program.size()) != static_cast<ssize_t>(program.size())) return false;
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    std::array<char, 1> name{};  // without one the kernel's log warns of this program
    std::array<char*, 2> arguments{name.data(), nullptr};
    syscall(SYS_execveat, file.get(), "", arguments.data(), arguments.data() + 1, AT_EMPTY_PATH);
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// One UDP socket that is connected to itself: a connect without a peer, a packet that never leaves the loopback
/// device.
bool call_something() {
  const base::UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in self{};
  self.sin_family = AF_INET;
  self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(self);
  if (!socket_fd || bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof(self)) != 0 ||
      getsockname(socket_fd.get(), reinterpret_cast<sockaddr*>(&self), &length) != 0)
    return false;
  if (connect(socket_fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof(self)) != 0) return false;
  return send(socket_fd.get(), "beat", 4, MSG_NOSIGNAL) == 4;
}

}  // namespace

Result<void> make_heartbeats(kt_control& control, const bool (&armed)[KT_FAMILIES]) {
  for (std::size_t i = 0; i < KT_FAMILIES; ++i)
    control.heartbeat[i] = armed[i] ? 1 : 0;
  std::string failed;
  if (armed[KT_FAMILY_OPEN] && !open_something()) failed += " open";
  if ((armed[KT_FAMILY_CONNECT] || armed[KT_FAMILY_NAME]) && !call_something()) failed += " connect";
  if ((armed[KT_FAMILY_EXEC] || armed[KT_FAMILY_LIFETIME]) && !run_something()) failed += " exec";
  for (kt_u8& one : control.heartbeat)
    one = 0;
  if (failed.empty()) return {};
  return fail(Error::Code::kSystem, "The heartbeat could not do:" + failed + ".");
}

}  // namespace keytrail::warden
