# SPDX-License-Identifier: Apache-2.0
"""Each clause of the closed world is broken by one test, which sees exactly that reason. All other clauses hold in
it."""
import os
import shutil
import signal
import time

from case import ACTOR, PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
SERVER = ("import socket, sys\ns = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); "
          "print('{\"did\": \"listen\"}', flush=True)\n"
          "while True:\n c, _ = s.accept(); c.recv(100); c.sendall(b'hello'); c.close()\n")
# Opens many different files of an interesting name, each of them news to the kernel's filter.
FLOOD = ("import os, sys\nbase = sys.argv[1]\nfor i in range(int(sys.argv[2])):\n"
         " d = f'{base}/{i}'; os.mkdir(d); p = d + '/credentials'\n os.close(os.open(p, os.O_CREAT | os.O_RDWR)); "
         "os.close(os.open(p, os.O_RDONLY)); os.unlink(p); os.rmdir(d)\n")


class WithKey(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()

    def in_file(self):
        self.plant(".aws/credentials", self.key.profile())
        return Acquisition("file", CREDENTIALS, self.key.id, selector="default")

    def in_env(self, **more):
        return Acquisition("environment", "AWS_ACCESS_KEY_ID", self.key.id, **more)

    def possible(self, reason, **more):
        return Use("possible", reason, [self.key.id], **more)


class Clauses(WithKey):
    def broker(self, path, **options):
        server = self.start([PYTHON, "-I", "-c", SERVER, path], cgroup=False, **options)
        server.until("listen")

    def test_all_clauses_hold(self):
        read = self.in_file()
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([read], [Use("inferred", "only_key_held", [self.key.id])])

    def test_unclassified_local_socket(self):
        read, path = self.in_file(), f"{self.world.dir}/broker.sock"
        self.broker(path)
        self.actor("read", CREDENTIALS, "unix", path, "call", S3).wait()
        self.expect([read], [self.possible("local_broker")])

    def test_harmless_local_socket_breaks_nothing(self):
        read, path = self.in_file(), "/run/dbus/system_bus_socket"
        shared = self.filled("run", {})
        os.makedirs(shared + "/dbus")
        self.broker(path, binds={"/run": shared})
        self.actor("read", CREDENTIALS, "unix", path, "call", S3, binds={"/run": shared}).wait()
        self.expect([read], [Use("inferred", "only_key_held", [self.key.id])])

    def test_relay(self):
        read, program = self.in_file(), f"{self.folder}/envoy"
        shutil.copy("/usr/bin/python3.11", program)
        self.start([program, "-I", ACTOR, "read", CREDENTIALS, "call", S3]).wait()
        self.expect([read], [self.possible("relay_or_hub")])

    def test_connection_older_than_the_key(self):
        read = self.in_file()
        self.actor("open", S3, "c", "sleep", "0.3", "read", CREDENTIALS, "sleep", "0.1", "send", "c").wait()
        self.expect([read], [self.possible("opened_before_key")])

    def test_key_file_that_was_not_identified(self):
        """A file too large to be read as a key file may hold anything."""
        self.plant(".aws/credentials", "# " + "x" * (2 << 20) + "\n")
        self.actor("read", CREDENTIALS, "call", S3, env=self.key.env()).wait()
        self.expect([self.in_env(), Acquisition("file", CREDENTIALS, "", unread="too large")],
                    [self.possible("unidentified_file")])

    def test_names_contradict(self):
        """Resolved as one name, greeted as another: the SNI is what the client claims."""
        read = self.in_file()
        self.actor("read", CREDENTIALS, "call", "elsewhere.test", "@" + S3).wait()
        self.expect([read], [self.possible("names_contradict")])


class ExecNotSeen(WithKey):
    def make_agent(self):
        return self.own_agent()

    def test_exec_not_seen(self):
        actor = self.actor("mark", self.flag("runs"), "wait", self.flag("go"), "call", S3, env=self.key.env())
        actor.until("mark")
        self.agent.start()
        self.raise_flag("go")
        actor.wait()
        self.expect([self.in_env(baseline=True)], [self.possible("exec_not_seen")])


class HooksNotArmed(WithKey):
    def make_agent(self):
        return self.own_agent(options=["--no-feature=fentry", "--no-feature=kprobe", "--no-feature=tracepoint"]).start()

    def test_open_family_not_armed(self):
        armed = {family["family"]: family["armed"] for family in self.agent.status()["families"]}
        self.assertEqual((armed["exec"], armed["open"], armed["connect"], armed["name"]), (True, False, True, True),
                         "only the family open is without hooks")
        self.actor("call", S3, env=self.key.env()).wait()
        self.expect([self.in_env()], [self.possible("hooks_not_armed")])


class HooksDisabled(WithKey):
    """hooks.disable counts whichever process is started first; the warden, which parses nothing, asks for it."""
    CONFIG = "hooks: {disable: [fentry, kprobe, tracepoint]}\n"

    def make_agent(self):
        return None

    def disabled(self, **options):
        agent = self.own_agent(config=self.CONFIG, **options).start()
        families = {family["family"]: family for family in agent.status()["families"]}
        self.assertEqual({name for name, family in families.items() if not family["armed"]}, {"open", "request"})
        self.assertIn({"name": "fentry security_file_open",
                       "why": "taken away by the configuration's hooks.disable: fentry"}, families["open"]["refused"])
        self.assertIn("taken away by the configuration's hooks.disable: kprobe", agent.cli("doctor")[1])

    def test_by_the_warden(self):
        self.disabled()

    def test_by_hand(self):
        self.disabled(by_hand=True)


class GapInLife(WithKey):
    def make_agent(self):
        return self.own_agent().start()

    def wait_for_loss(self, seconds=30):
        """The status is made once a while: the first one after the flood may be older than it."""
        limit = time.monotonic() + seconds
        while self.agent.status()["accounting"]["kernel"]["lost"] == 0 and time.monotonic() < limit:
            time.sleep(0.1)

    def lost_by_gaps(self, at_least, seconds=15):
        """What came after the first is told every five seconds."""
        limit = time.monotonic() + seconds
        while True:
            told = sum(row["lost"] or 0 for row in self.agent.rows(self.after, "gap")
                       if row["cause"] in ("ring_full", "budget"))
            if told >= at_least or time.monotonic() > limit:
                return told
            time.sleep(0.5)

    def test_lost_events(self):
        """The worker stands still while another process floods the ring: what was lost is counted, and who lived
        through it is no longer sure."""
        read = self.in_file()
        actor = self.actor("read", CREDENTIALS, "wait", self.flag("go"), "call", S3)
        actor.until("read")
        self.agent.quiet()
        worker = self.agent.role("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            self.start([PYTHON, "-I", "-c", FLOOD, "/root", "120000"], cgroup=False).wait(seconds=120)
        finally:
            os.kill(worker, signal.SIGCONT)
        self.wait_for_loss()
        self.agent.quiet(limit=60)
        lost = self.agent.status()["accounting"]["kernel"]["lost"]
        self.assertGreater(lost, 0, "the flood was too small for this test")
        self.assertEqual(self.lost_by_gaps(lost), lost, "the gap rows tell the kernel's exact count")
        self.raise_flag("go")
        actor.wait()
        # Where the flood takes long, the stopped worker is noticed too, rightly.
        silenced = [row["finding_type"] for row in self.rows() if row.get("finding_type") == "agent_silenced"]
        self.expect([read], [self.possible("gap_in_life")], silenced)
        fresh = self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([read], [self.possible("gap_in_life", pid=actor.pid),
                             Use("inferred", "only_key_held", [self.key.id], pid=fresh.pid)], silenced)
