# SPDX-License-Identifier: Apache-2.0
"""Starts, asks and ends one agent for the cases: its state in a temporary folder, its export to a sink of ours, nothing
of the machine's own paths."""
import http.client
import json
import os
import signal
import socket
import subprocess
import time

import accounting
import canary
from otlp_sink import Sink
from stage.world import PATH, die_with_runner, end


class Build:
    """Where the executables are."""

    def __init__(self, folder):
        self.folder = folder
        self.keytrail, self.warden, self.examiner = (self._find(name)
                                                     for name in ("keytrail", "keytrail-warden", "keytrail-examiner"))

    def _find(self, name):
        for place in (f"{self.folder}/bin/{name}", f"{self.folder}/agent/{name}", f"{self.folder}/agent/warden/{name}",
                      f"{self.folder}/agent/examine/{name}", f"{self.folder}/{name}"):
            if os.access(place, os.X_OK) and os.path.isfile(place):
                return place
        raise FileNotFoundError(f"{name} is not in {self.folder}; build it with: ninja -C {self.folder}")


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Agent:
    """`folder` keeps state and log between two starts, so that a restart finds its history."""
    common_options = []  # of every agent of the run: --no-feature=NAME

    def __init__(self, build, folder, options=(), config="", sink=True, state=None, by_hand=False):
        self.build, self.folder, self.options = build, folder, [*self.common_options, *options]
        self.by_hand = by_hand  # `keytrail agent`, which becomes the warden
        self.state, self.run = state or folder + "/state", folder + "/run"
        self.socket, self.log_path = self.run + "/api.sock", folder + "/log"
        self.config_path = folder + "/keytrail.yaml"
        for path in (folder, self.state, self.run):
            os.makedirs(path, mode=0o755, exist_ok=True)
        self.sink = Sink() if sink else None
        self.variables = {}  # of its environment, beside PATH
        self.within = []  # the command that runs it: setpriv, unshare
        self.handed = ()  # descriptors that it gets under their own numbers
        self.process, self._output, self.small_disk_mb = None, bytearray(), 0
        self.configure("sampling:\n  slots_s: 2\n" + config)

    def configure(self, more):
        """Writes the configuration: this agent's own paths and sink, then `more`. No cloud is asked where this machine
        is."""
        text = self._config_text() + more
        with open(self.config_path, "w") as file:
            file.write(("" if "identity:" in text else "identity: {cloud: off}\n") + text)

    def _config_text(self):
        text = f"history:\n  path: {self.state}/history.db\n  reserve_mb: 1\napi:\n  socket: {self.socket}\n"
        if self.sink:
            text += f"otlp:\n  - name: sink\n    endpoint: {self.sink.endpoint}\n    from_start: true\n"
        return text

    # ---- life

    def command(self):
        if self.by_hand:
            return [self.build.keytrail, "agent", "--config", self.config_path, *self.options]
        disk = []
        if self.small_disk_mb:  # a file system of its own namespace: it goes away with the agent
            disk = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                    f"mount -t tmpfs -o size={self.small_disk_mb}m,mode=755 none '{self.state}' && exec \"$@\"", "sh"]
        return [*self.within, *disk, self.build.warden, "--foreground", "--state-dir", self.state, "--run-dir",
                self.run, "--worker", self.build.keytrail, "--examiner", self.build.examiner, "--config",
                self.config_path, *self.options]

    def start(self, wait=15):
        """Starts and waits until armed. Raises with the end of the log when it does not."""
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env={"PATH": PATH, **self.variables}, start_new_session=True,
                                        pass_fds=self.handed, preexec_fn=die_with_runner)
        log.close()
        limit = time.monotonic() + wait
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                break
            status = self.try_status()
            if status and self.armed(status):
                return self
            time.sleep(0.05)
        tail = self.log()[-3000:]
        self.stop()
        raise RuntimeError(f"the agent was not armed within {wait} s:\n{tail}")

    @staticmethod
    def armed(status):
        return bool(status["armed_since"])

    def stop(self):
        """Ends the warden by its pid; it takes its children with it. Returns its exit status."""
        if self.process is None:
            return None
        children = self.children()
        end(self.process, 10)
        for pid in children:  # whatever a killed warden left
            if self._alive(pid):
                os.kill(pid, signal.SIGKILL)
        code, self.process = self.process.returncode, None
        return code

    def close(self):
        self.stop()
        if self.sink:
            self.sink.close()
            self.sink = None

    @staticmethod
    def _alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def children(self):
        """Pids of the warden's children: examiner and worker, and an opener now and then."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                return [int(word) for word in file.read().split()]
        except OSError:
            return []

    def role(self, name, wait=5):
        """Pid of "worker" or "examiner"."""
        program = os.path.realpath({"worker": self.build.keytrail, "examiner": self.build.examiner}[name])
        limit = time.monotonic() + wait
        while time.monotonic() < limit:
            for pid in self.children():
                try:
                    if os.path.realpath(f"/proc/{pid}/exe") == program:
                        return pid
                except OSError:
                    continue
            time.sleep(0.01)
        raise RuntimeError(f"no {name} under the warden within {wait} s")

    # ---- questions

    def get(self, path, timeout=10):
        """(status, bytes) of a request to the local API."""
        connection = UnixHttp(self.socket, timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        self._output += body
        return answer.status, body

    def json(self, path, timeout=10):
        status, body = self.get(path, timeout)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def try_status(self):
        try:
            answer = self.json("/v1/status", 2)
            return answer["rows"][0] if "rows" in answer else answer
        except (OSError, RuntimeError, ValueError, IndexError, http.client.HTTPException):
            return None

    def status(self):
        """What `keytrail status -o json` says."""
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            status = self.try_status()
            if status:
                return status
            time.sleep(0.05)
        raise RuntimeError("no status within 10 s:\n" + self.log()[-2000:])

    def rows(self, after=0, kinds="acquisition,use,finding,gap,revision"):
        """All rows after a sequence number, every page."""
        out, cursor = [], after
        while True:
            page = self.json(f"/v1/rows?kinds={kinds}&after={cursor}&limit=500")
            out += page["rows"]
            if not page.get("cursor"):
                return out
            cursor = page["cursor"]

    def edges(self, more=""):
        """Equal uses summed, every page: the totals that include what a window still holds back."""
        out, cursor = [], 0
        while True:
            page = self.json(f"/v1/uses?after={cursor}&limit=500{more}")
            out += page["rows"]
            if not page.get("cursor"):
                return out
            cursor = page["cursor"]

    def last_seq(self):
        rows = self.rows()
        return max((row["seq"] for row in rows), default=0)

    def cli(self, *words, check=None):
        """Runs the command line; (exit status, standard output). Its output is scanned for secrets with the rest."""
        done = subprocess.run([self.build.keytrail, *words, "--socket", self.socket], capture_output=True,
                              env={"PATH": PATH}, timeout=30, stdin=subprocess.DEVNULL)
        self._output += done.stdout + done.stderr
        if check is not None and done.returncode != check:
            raise AssertionError(f"keytrail {' '.join(words)}: exit {done.returncode}, expected {check}: "
                                 f"{done.stderr.decode()[:500]}")
        return done.returncode, done.stdout.decode()

    def quiet(self, settle=1.0, limit=20):
        """Waits until nothing is in flight and no row came for `settle` seconds. Returns the status."""
        before, since, deadline = None, time.monotonic(), time.monotonic() + limit
        while True:
            status = self.status()
            now = (self.last_rows(status), len(accounting.broken(status)))
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since >= settle or time.monotonic() > deadline:
                return status
            time.sleep(0.1)

    @staticmethod
    def last_rows(status):
        return status["history"]["rows"]

    # ---- checks at the end of every case

    def accounting_errors(self, limit=10):
        """The identities that do not hold although the agent is at rest. A busy machine gets `limit` seconds."""
        deadline = time.monotonic() + limit
        while True:
            errors = accounting.broken(self.status())
            if not errors or time.monotonic() > deadline:
                return errors
            time.sleep(0.2)

    def log(self):
        try:
            with open(self.log_path, "rb") as file:
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def leaks(self, secrets, key_ids=(), memory=True):
        """Where a secret appears: history, write-ahead log, logs, sent bytes, API and command line output, and with
        `memory` the worker's."""
        scanner = canary.Scanner(secrets)
        for words in (["status"], ["uses"], ["keys"], ["workloads"], ["findings"], ["status", "-o", "json"],
                      ["keys", "-o", "json"], *(["key", key_id, "--holders"] for key_id in list(key_ids)[:3])):
            self.cli(*words)
        hits = []
        for folder, _, names in os.walk(self.state):
            for name in names:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        hits += scanner.hits(file.read(), name)
                except OSError:
                    continue
        hits += scanner.hits(self.log().encode(), "log")
        hits += scanner.hits(self._output, "API and command line")
        if self.sink:
            hits += scanner.hits(self.sink.bytes(), "OTLP")
        if memory and self.process is not None:
            for name, data in canary.process_memory(self.role("worker")):
                hits += scanner.hits(data, f"worker memory {name}")
        return hits
