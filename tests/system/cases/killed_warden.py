# SPDX-License-Identifier: Apache-2.0
"""A warden that is killed, with all of its service, where systemd keeps its rings (played here): what waited in them is
read by the next one, and the gap says from when on nothing is known. Without systemd nothing is read, and the gap
covers it."""
import contextlib
import fcntl
import os
import signal
import socket
import time

from case import SystemCase
from cases.restarts import seconds
from rows import Acquisition
from stage.world import PYTHON

CREDENTIALS = "/root/.aws/credentials"
HEARTBEAT = 3  # seconds between two
NOTHING_KNOWN = "An unknown number of events may be missing."
# The descriptors after the dash become 3, 4, … of this very process, as systemd hands them over.
START = """import os, sys
end = sys.argv.index("-")
for number, fd in enumerate(map(int, sys.argv[1:end])):
    os.dup2(fd, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""


class Manager:
    """systemd's notify socket and descriptor store."""

    def __init__(self, path):
        self.path, self.kept = path, {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)

    def listen(self):
        """Takes in what was said so far; the names that are kept then."""
        while True:
            try:
                said, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except BlockingIOError:
                return sorted(self.kept)
            fields = dict(line.split("=", 1) for line in said.decode().splitlines() if "=" in line)
            if fields.get("FDSTORE") == "1":
                self.forget(fields["FDNAME"])
                self.kept[fields["FDNAME"]] = fcntl.fcntl(descriptors[0], fcntl.F_DUPFD_CLOEXEC, 100)
            if fields.get("FDSTOREREMOVE") == "1":
                self.forget(fields["FDNAME"])
            for fd in descriptors:
                os.close(fd)

    def forget(self, name):
        fd = self.kept.pop(name, None)
        if fd is not None:
            os.close(fd)

    def hand_to(self, agent):
        """What the next start gets."""
        self.listen()
        agent.variables["NOTIFY_SOCKET"] = self.path
        agent.variables["LISTEN_FDS"] = str(len(self.kept))
        agent.variables["LISTEN_FDNAMES"] = ":".join(self.kept)
        agent.handed = tuple(self.kept.values())
        agent.within = [PYTHON, "-I", "-c", START, *map(str, agent.handed), "-"]

    def close(self):
        for name in list(self.kept):
            self.forget(name)
        self.socket.close()


class KilledWarden(SystemCase):
    def make_agent(self):
        return self.own_agent()

    def setUp(self):
        super().setUp()
        self.manager = Manager(self.agent.folder + "/notify")
        self.addCleanup(self.manager.close)

    def kill_all(self):
        """kill -9 of all that the service has, as systemd does it when its main process is gone."""
        for pid in [self.agent.process.pid, *self.agent.children()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.agent.stop()

    def read_while_the_worker_stands_still(self):
        """A key file is read, its event waits in the ring, and everything is killed. Returns the acquisition, and when
        it was killed."""
        self.agent.start()
        time.sleep(HEARTBEAT + 1)  # until one was read
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.agent.quiet()
        os.kill(self.agent.role("worker"), signal.SIGSTOP)
        reader = self.actor("read", CREDENTIALS, "wait", self.flag("end"))
        reader.until("read")
        self.manager.listen()
        self.kill_all()
        return Acquisition("file", CREDENTIALS, key.id, selector="default", pid=reader.pid), time.time()

    def the_gap(self):
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            found = [row for row in self.agent.rows(0, "gap") if row["cause"] == "agent_restart"]
            if found:
                self.assertEqual(len(found), 1, found)
                return found[0]
            time.sleep(0.1)
        self.fail("no gap row of the restart")

    def test_what_waited_in_the_rings_is_read_by_the_next_warden(self):
        self.manager.hand_to(self.agent)
        read, killed = self.read_while_the_worker_stands_still()
        self.assertEqual(len(self.manager.kept), 5, self.manager.kept)
        self.manager.hand_to(self.agent)
        self.agent.start()
        gap = self.the_gap()
        self.assertIsNone(gap["lost"])
        self.assertRegex(gap["text"], r"[1-9][0-9]* events were read after all")
        begin, end = seconds(gap["from"]), seconds(gap["to"])
        self.assertLessEqual(begin, killed, "it begins before the hooks were gone")
        self.assertGreater(begin, killed - 4 * HEARTBEAT, "at the last heartbeat before the worker stood still")
        self.assertGreater(end, killed)
        # Not `expect`: what the stage's own cp read, and whose process has ended, is there too.
        limit, rows = time.monotonic() + 12, []
        while not any(row["type"] == "acquisition" and read.matches(row) for row in rows):
            self.assertLess(time.monotonic(), limit, f"not read after all: {read}: {rows}")
            self.agent.quiet(0.6)
            rows = self.rows()

    def test_without_systemd_it_is_lost_and_lies_in_the_gap(self):
        read, killed = self.read_while_the_worker_stands_still()
        self.assertEqual(self.manager.kept, {})
        self.agent.start()
        gap = self.the_gap()
        self.assertEqual(gap["text"], NOTHING_KNOWN)
        self.assertLess(seconds(gap["from"]), killed)
        self.assertGreater(seconds(gap["to"]), killed)
        self.assertIn("Nobody keeps the rings here", self.agent.log())
        self.expect([], [])

    def test_a_warden_that_ends_in_order_leaves_nothing(self):
        self.manager.hand_to(self.agent)
        self.agent.start()
        self.assertEqual(len(self.manager.listen()), 5)
        self.agent.stop()
        self.assertEqual(self.manager.listen(), [])
        self.manager.hand_to(self.agent)
        self.agent.start()
        self.assertEqual(self.the_gap()["text"], NOTHING_KNOWN)

    def test_a_descriptor_that_is_no_ring_is_refused(self):
        self.manager.hand_to(self.agent)
        self.agent.start()
        self.agent.quiet()  # something is stored
        self.manager.listen()
        self.kill_all()
        name = next(name for name in self.manager.kept if "-high-" in name)
        self.manager.forget(name)
        self.manager.kept[name] = fcntl.fcntl(self.manager.socket.fileno(), fcntl.F_DUPFD_CLOEXEC, 100)
        self.manager.hand_to(self.agent)
        self.agent.start()
        self.assertIn("The rings that systemd kept are not used: What was kept as ring_high is another kind or size of "
                      "map, or none.", self.agent.log())
        self.assertEqual(self.the_gap()["text"], NOTHING_KNOWN)
        self.assertEqual(len(self.manager.listen()), 5, "the new ones")
