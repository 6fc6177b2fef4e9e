# SPDX-License-Identifier: Apache-2.0
"""The key and the call in different programs, processes, threads; and a pid that is used again."""
from case import ACTOR, PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"

# Reads and ends; then another process gets the same pid and calls. clone3's set_tid gives the pid, without racing for
# it.
REUSE = '''
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
class Args(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("flags pidfd child_tid parent_tid exit_signal stack stack_size tls "
                                               "set_tid set_tid_size cgroup").split()]
first = os.fork()
if first == 0:
    os.execv("/usr/bin/cat", ["cat", sys.argv[1]])
os.waitpid(first, 0)
wanted = (ctypes.c_int32 * 1)(first)
args = Args(exit_signal=17, set_tid=ctypes.addressof(wanted), set_tid_size=1)
for _ in range(100):
    second = libc.syscall(435, ctypes.byref(args), ctypes.sizeof(args))
    if second != -1 or ctypes.get_errno() != 17:
        break
if second == 0:
    os.execv(sys.argv[2], sys.argv[2:])
assert second == first, os.strerror(ctypes.get_errno())
assert os.waitpid(second, 0)[1] == 0
print(second, flush=True)
time.sleep(0.3)
'''


class Lineage(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()

    def in_file(self):
        self.plant(".aws/credentials", self.key.profile())
        return Acquisition("file", CREDENTIALS, self.key.id, selector="default")

    def test_parent_reads_and_forked_child_calls(self):
        read = self.in_file()
        process = self.actor("read", CREDENTIALS, "fork", "call", S3, ";").wait()
        read.pid = process.pid
        child = next(line["pid"] for line in process.said() if line.get("did") == "call")
        self.assertNotEqual(child, process.pid)
        self.expect([read], [Use("inferred", "only_key_held", [self.key.id], pid=child)])

    def test_shell_exports_and_starts(self):
        """The shell reads the key with its script and sets the value inside (a builtin): the started program calls."""
        self.plant("start.sh", f"export AWS_ACCESS_KEY_ID={self.key.id}\n"
                   f"export AWS_SECRET_ACCESS_KEY={self.key.secret}\n{PYTHON} -I {ACTOR} call {S3}\ntrue\n")
        process = self.start(["/bin/bash", "/root/start.sh"]).wait()
        child = next(line["pid"] for line in process.said() if line.get("did") == "call")
        self.assertNotEqual(child, process.pid)
        self.expect([Acquisition("file", "/root/start.sh", self.key.id, selector="AWS_ACCESS_KEY_ID"),
                     Acquisition("environment", "AWS_ACCESS_KEY_ID", self.key.id, pid=child)],
                    [Use("inferred", "only_key_held", [self.key.id], pid=child)])

    def test_bash_that_executes_in_place_keeps_its_pid(self):
        process = self.start(["/bin/bash", "-c", f"exec {PYTHON} -I {ACTOR} call {S3}"], env=self.key.env()).wait()
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", self.key.id, pid=process.pid, exe="/usr/bin/bash"),
                     Acquisition("environment",
                                 "AWS_ACCESS_KEY_ID", self.key.id, pid=process.pid, exe="/usr/bin/python3.11")],
                    [Use("inferred", "only_key_held", [self.key.id], pid=process.pid, exe="/usr/bin/python3.11")])

    def test_key_read_before_an_exec_is_possible_at_most(self):
        read = self.in_file()
        process = self.actor("read", CREDENTIALS, "exec", PYTHON, "-I", ACTOR, "call", S3).wait()
        read.pid = process.pid
        self.expect([read], [Use("possible", "lost_at_exec", [self.key.id], pid=process.pid)])

    def test_one_thread_reads_and_another_calls(self):
        read = self.in_file()
        process = self.actor("thread", "read", CREDENTIALS, ";", "thread", "call", S3, ";").wait()
        threads = {line["did"]: line["tid"] for line in process.said() if "did" in line}
        self.assertNotEqual(threads["read"], threads["call"])
        read.pid = process.pid
        self.expect([read], [Use("inferred", "only_key_held", [self.key.id], pid=process.pid)])

    def test_reused_pid_does_not_join(self):
        read, (_, host) = self.in_file(), self.bucket()
        process = self.start([PYTHON, "-I", "-c", REUSE, CREDENTIALS, "/usr/bin/curl", "-s", "-o", "/dev/null",
                              f"https://{host}/"]).wait()
        pid = int(process.output().splitlines()[-1])
        read.pid, read.exe = pid, "/usr/bin/cat"
        self.expect([read], [Use("unattributed", "no_key_seen", [], host=host, pid=pid, exe="/usr/bin/curl")])
