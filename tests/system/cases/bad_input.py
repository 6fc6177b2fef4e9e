# SPDX-License-Identifier: Apache-2.0
"""Bad input. A clear error or a counted skip, the agent lives, nothing is lost silently."""
import os
import socket
import sqlite3
import subprocess
import time
import urllib.request

from case import S3, Run, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
HELLO = "1603010200010001fc0303"  # the head of a ClientHello


class Bytes(SystemCase):
    """Malformed requests of an actor: the destination is known by its name, no key is."""

    def raw(self, port, *data):
        _, host = self.bucket()
        steps = [word for text in data for word in ("raw", host, str(port), text)]
        worker = self.agent.role("worker")
        actor = self.actor(*steps).wait()
        self.expect([], [Use("unattributed", "no_key_seen", [], host=host, connections=len(data), pid=actor.pid)],
                    truth={})
        self.assertEqual(self.agent.role("worker"), worker, "the worker lives")

    def test_malformed_client_hello(self):
        # What begins like a handshake and is never one may be anything: a use.
        name = "0000000e000c00000900" + "2e" * 3
        self.raw(443, HELLO, HELLO + "00" * 600, HELLO + "ff" * 600, "16030100", "160301ffff" + "01" * 900,
                 HELLO + "11" * 32 + "20" + "22" * 32 + "ffff", "80" * 40, HELLO + name)

    def test_malformed_http(self):
        text = lambda words: words.encode("latin-1").hex()
        self.raw(80, text("GET"), text("GET / HTTP/1.1\r\nHost: \r\n\r\n"),
                 text("GET / HTTP/1.1\r\nHost: " + "a" * 3000 + "\r\n\r\n"), text("\0" * 64),
                 text("GET /\x1b]0;x\x07 HTTP/1.1\r\nHost: a\x1bb\r\n\r\n"), text("POST " + "/" * 2000),
                 text("GET / HTTP/9.9\nHost:s3.eu-west-1.amazonaws.com\n\n"))

    def test_malformed_dns(self):
        worker = self.agent.role("worker")
        steps = [word for number in range(5) for word in ("resolve", f"junk{number}.test")]
        data = [word for text in ("00", "ff" * 40, "abcd" + "0100000100000000000003" + "ff" * 5)
                for word in ("udp", "198.18.255.53", "53", text)]
        _, host = self.bucket()
        self.actor(*steps, *data, "call", host).wait()
        self.expect([], [Use("unattributed", "no_key_seen", [], host=host)])
        self.assertEqual(self.agent.role("worker"), worker, "the worker lives")


class KeyFiles(SystemCase):
    """Malformed key files: what can be identified is, the rest is said."""

    def test_malformed_credentials_files(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", "[default\n=\naws_access_key_id\n\0\xff\n[ok]\naws_access_key_id = " + key.id
                   + "\naws_secret_access_key = " + key.secret + "\n[half]\naws_access_key_id = AKIA\n")
        self.actor("read", CREDENTIALS).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="ok")], [])
        unparsed = self.agent.status()["tracking"]["entries_unparsed"]
        self.assertGreater(unparsed, 0)
        self.assertIn(f"  {unparsed} entries of key files not understood", self.agent.cli("status", check=0)[1])

    def test_empty_credentials_file_is_no_key(self):
        self.plant(".aws/credentials", "")
        self.actor("read", CREDENTIALS).wait()
        self.expect([], [])

    def test_fifo_and_symlink_hold_nobody_up(self):
        key = self.maker.aws()
        self.plant("elsewhere", key.profile())
        self.start(["/bin/sh", "-c", f"mkdir -p /root/.aws /root/.ssh; ln -s ../elsewhere {CREDENTIALS}; "
                    f"mkfifo /root/.ssh/id_rsa; cat {CREDENTIALS} >/dev/null; "
                    "(echo x > /root/.ssh/id_rsa &); cat /root/.ssh/id_rsa"]).wait()
        self.agent.quiet()
        self.assertEqual([row for row in self.rows() if row["type"] == "use"], [])


class Configuration(SystemCase):
    def make_agent(self):
        return None

    def refused(self, config):
        """What an agent says that does not start."""
        agent = self.own_agent(config=config)
        with self.assertRaises(RuntimeError) as raised:
            agent.start(wait=5)
        return str(raised.exception)

    def test_unknown_name_gets_the_nearest_known_one(self):
        text = "queries:\n  max_row: 60\n"
        self.assertIn("did you mean queries.max_rows?", self.refused(text))
        path = self.folder + "/keytrail.yaml"
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([Run.build.keytrail, "config", "check", "--config", path], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("did you mean queries.max_rows?", done.stdout + done.stderr)

    def test_malformed_file_is_refused_with_its_line(self):
        self.assertRegex(self.refused("queries: [\n"), r"keytrail\.yaml:\d+")

    def test_a_hook_that_does_not_exist_is_refused(self):
        said = self.refused("hooks: {disable: [btf]}\n")
        self.assertIn("hooks.disable", said)
        self.assertIn("must be one of: fentry, kprobe", said)

    def test_value_out_of_range_is_refused(self):
        self.assertIn("queries.max_rows", self.refused("queries:\n  max_rows: 0\n"))

    def test_a_metrics_port_that_is_taken_is_a_remark_and_is_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            agent = self.own_agent(config=f"prometheus: {{listen: '127.0.0.1:{port}'}}\n").start()
            self.assertIn(f"nothing listens on 127.0.0.1:{port}: Address already in use", " ".join(
                agent.status()["remarks"]))
        limit = time.monotonic() + 20
        while any("prometheus" in one for one in agent.status()["remarks"]) and time.monotonic() < limit:
            time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            self.assertIn(b"keytrail_", answer.read())


class History(SystemCase):
    def make_agent(self):
        return self.own_agent().start()

    def test_history_of_a_newer_version_is_refused_and_left_alone(self):
        self.agent.stop()
        path = self.agent.state + "/history.db"
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 9999")
        database.close()
        with open(path, "rb") as file:
            before = file.read()
        with self.assertRaises(RuntimeError) as raised:
            self.agent.start(wait=5)
        self.assertRegex(str(raised.exception), r"(?i)newer")
        self.assertIn("refuses its configuration or its history", str(raised.exception))  # and is not started again
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)


class Collector(SystemCase):
    """A collector that refuses, hangs or answers nonsense. What it never got is waiting, what it refused is rejected,
    the sum is exact."""

    def make_agent(self):
        return self.own_agent().start()

    def traffic(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def terms(self):
        return self.agent.status()["accounting"]["exporters"][0]

    def until(self, what, seconds=40):
        limit = time.monotonic() + seconds
        while not what(self.terms()):
            if time.monotonic() > limit:
                self.fail(f"not within {seconds} s: {self.terms()}")
            time.sleep(0.2)

    def test_refuses(self):
        self.agent.sink.manner = "refuse"
        self.traffic()
        self.until(lambda terms: terms["rejected"] >= 2 and terms["waiting"] == 0)

    def test_hangs_and_comes_back(self):
        self.agent.sink.manner = "hang"
        self.traffic()
        self.until(lambda terms: terms["waiting"] >= 2)
        self.agent.sink.manner = "ok"
        self.until(lambda terms: terms["waiting"] == 0 and terms["rejected"] == 0)

    def test_answers_nonsense_and_comes_back(self):
        self.agent.sink.manner = "nonsense"
        self.traffic()
        self.until(lambda terms: terms["waiting"] >= 2)
        self.agent.sink.manner = "ok"
        self.until(lambda terms: terms["waiting"] == 0 and terms["rejected"] == 0)

    def test_is_busy_and_comes_back(self):
        self.agent.sink.manner = "busy"
        self.traffic()
        self.until(lambda terms: terms["waiting"] >= 2)
        self.agent.sink.manner = "ok"
        self.until(lambda terms: terms["waiting"] == 0 and terms["rejected"] == 0)


class FullDisk(SystemCase):
    """The state lies on a small file system of the agent's own mount namespace; it is filled, and freed again."""

    def make_agent(self):
        agent = self.own_agent()
        agent.small_disk_mb = 6
        return agent.start()

    def test_full_disk(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        first = [Acquisition("file", CREDENTIALS, key.id,
                             selector="default")], [Use("inferred", "only_key_held", [key.id])]
        self.expect(*first)
        ballast = f"/proc/{self.agent.process.pid}/root{self.agent.state}/ballast"
        with open(ballast, "wb", 0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        worker = self.agent.role("worker")
        for _ in range(30):
            self.actor("call", S3, env=self.maker.aws().env()).wait()
        time.sleep(2)
        self.agent.status()
        self.assertEqual(self.agent.role("worker"), worker, "the worker lives")
        os.unlink(ballast)
        other = self.maker.aws()
        self.plant(".aws/credentials", other.profile())
        reader = self.actor("read", CREDENTIALS, "call", S3).wait()
        limit = time.monotonic() + 20
        while not any(row["type"] == "use" and row["actor"]["pid"] == reader.pid for row in self.rows()):
            self.assertLess(time.monotonic(), limit, "rows are written again once there is room")
            time.sleep(0.3)
        uses = [row for row in self.rows() if row["type"] == "use"]
        if len(uses) < 32:
            self.assertTrue([row for row in self.agent.rows(self.after, "gap")], "what could not be written is a gap")
