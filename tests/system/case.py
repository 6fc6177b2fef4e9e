# SPDX-License-Identifier: Apache-2.0
"""The base of every case: plants files, starts processes on the stage, and compares the complete set of rows of its
cgroup with the expected one."""
import itertools
import json
import os
import subprocess
import time
import unittest

import rows
from agent import Agent
from stage import fetch, keys
from stage.world import PATH, PYTHON, World, cgroup_roots, die_with_runner

HERE = os.path.dirname(os.path.abspath(__file__))
ACTOR = HERE + "/actor.py"
S3 = "s3.eu-west-1.amazonaws.com"
STS = "sts.eu-west-1.amazonaws.com"
CREDENTIALS = "/root/.aws/credentials"


class Run:
    """What all cases share; made once by run.py."""
    world: World = None
    build = None
    maker: keys.Maker = None
    numbers = itertools.count()
    processes, agents = [], []
    _agent: Agent = None

    @classmethod
    def agent(cls, options=()):
        """The agent that most cases share, started at first need; another where the last had other options, or is
        stopped."""
        last = cls._agent
        if last is not None and (last.process is None or last.options != [*Agent.common_options, *options]):
            cls.end_agent()
        if cls._agent is None:
            cls._agent = Agent(cls.build, f"{cls.world.dir}/s{next(cls.numbers)}", options)
            cls._agent.start()
        return cls._agent

    @classmethod
    def end_agent(cls):
        if cls._agent is not None:
            cls._agent.close()
            cls._agent = None

    @classmethod
    def close(cls):
        """Ends everything, also after a case that was interrupted."""
        for process in cls.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for agent in cls.agents:
            agent.close()
        cls.end_agent()
        if cls.world is not None:
            cls.world.close()
            cls.world = None


def needs(*programs):
    """Skips a case, or a class of cases, whose client is not on this machine."""
    missing = [name for name in programs if not os.access(name, os.X_OK)]
    return unittest.skipIf(missing, "not on this machine: " + ", ".join(missing))


class Started:
    """A process on the stage."""

    def __init__(self, process, folder, out, err):
        self.process, self.pid, self.folder, self.out_path, self.err_path = process, process.pid, folder, out, err

    def wait(self, code=0, seconds=60):
        """Waits for its end. Raises when it ends otherwise than expected: then the case itself did not happen."""
        got = self.process.wait(seconds)
        if code is not None and got != code:
            raise AssertionError(f"the case's own process ended with {got}, expected {code}: {self.errors()[-1500:]}")
        return self

    def said(self):
        """The JSON lines an actor printed."""
        with open(self.out_path) as file:
            return [json.loads(line) for line in file if line.startswith("{") and line.endswith("\n")]

    def until(self, did, count=1, seconds=30):
        """Waits until the actor said it did something `count` times."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            found = [line for line in self.said() if line.get("did") == did]
            if len(found) >= count:
                return found
            if self.process.poll() is not None and len([x for x in self.said() if x.get("did") == did]) < count:
                break
            time.sleep(0.02)
        raise AssertionError(f"the actor did not say \"{did}\" {count} times: {self.errors()[-1500:]}")

    def output(self):
        with open(self.out_path, errors="replace") as file:
            return file.read()

    def errors(self):
        with open(self.err_path, errors="replace") as file:
            return file.read()

    def path(self, inside):
        """A path of the process's own mounts, as seen from here."""
        return f"/proc/{self.pid}/root{inside}"


class SystemCase(unittest.TestCase):
    """A case: `start` and `actor` make processes, `expect` compares. `tearDown` checks the accounting and looks for
    secrets."""
    maxDiff = None

    def setUp(self):
        self.world, self.maker = Run.world, keys.Maker()
        self.tag = f"{type(self).__name__}.{self._testMethodName}"
        self.folder = f"{self.world.dir}/cases/{self.tag}"
        os.makedirs(self.folder)
        self.groups, self.started, self.files = self.world.group(self.tag), [], {}
        self.cgroup = f"/{self.world.name}/{self.tag}"  # another run of the same case may be on this machine
        self._finished = False
        self.addCleanup(self._cleanup)
        self.agent = self.make_agent()
        self.begin_ns = time.time_ns()
        self.after = self.agent.last_seq() if self.agent and self.agent.process else 0

    def make_agent(self):
        """Cases that need an agent of their own override this; None starts without one."""
        return Run.agent()

    def own_agent(self, **options):
        """An agent of this case only, not yet started; closed at the end. The shared one ends before: of two, each sees
        the other open key files."""
        Run.end_agent()
        # a short path: its socket's is bounded
        agent = Agent(Run.build, f"{self.world.dir}/a{next(Run.numbers)}", **options)
        Run.agents.append(agent)
        self.addCleanup(agent.close)
        return agent

    def _cleanup(self):
        for one in self.started:
            if one.process.poll() is None:
                one.process.kill()
            one.process.wait()
        self.world.clear(self.groups)

    # ---- acting

    def plant(self, path, text, mode=0o600):
        """A file of the case's home (relative) that exists when its first process starts."""
        self.files[path] = (text, mode)

    def filled(self, name, files):
        """A folder of the case with these files, {path: (text, mode)}: for `trees`. Returns its path."""
        folder = f"{self.folder}/{name}"
        os.makedirs(folder)
        for path, (text, mode) in files.items():
            place = f"{folder}/{path}"
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(os.open(place, os.O_CREAT | os.O_WRONLY, mode), "w") as file:
                file.write(text)
            os.chmod(place, mode)
        return folder

    def start(self, argv, env=None, trees=None, binds=None, cgroup=True, mount_of=0, cgroups=None, login_uid=None):
        """Starts a process on the stage: same pid through the exec, own home, own mounts (or, with `mount_of`, those of
        another process).
        `cgroups`: others than the case's own (`unit`). `login_uid`: somebody logged in (audit)."""
        number = len(self.started)
        plan = {"argv": argv, "env": {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "AWS_REGION": "eu-west-1",
                                      "AWS_DEFAULT_REGION": "eu-west-1", **(env or {})},
                "cwd": "/root", "uid": 0, "netns": self.world.netns,
                "trees": {"/root": self.filled(f"home{number}", self.files), **(trees or {})},
                "binds": {**self.world.binds(), **(binds or {})}, "mount_of": mount_of,
                "cgroups": cgroups or (self.groups if cgroup else []), "login_uid": login_uid}
        plan_path, base = f"{self.folder}/plan{number}", f"{self.folder}/{number}"
        # for others too, or it is shaped like a secret itself and the stage's own reading of it is found
        with open(os.open(plan_path, os.O_CREAT | os.O_WRONLY, 0o644), "w") as file:
            json.dump(plan, file)
        ready_read, ready_write = os.pipe()
        go_read, go_write = os.pipe()
        with open(base + ".out", "wb") as out, open(base + ".err", "wb") as err:
            process = subprocess.Popen([PYTHON, "-I", HERE + "/stage/enter.py", plan_path, str(ready_write),
                                        str(go_read)], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       pass_fds=(ready_write, go_read), start_new_session=True, cwd="/",
                                       env={"PATH": PATH}, preexec_fn=die_with_runner)
        os.close(ready_write)
        os.close(go_read)
        Run.processes.append(process)
        one = Started(process, self.folder, base + ".out", base + ".err")
        self.started.append(one)
        if os.read(ready_read, 1) != b"r":
            raise RuntimeError("the stage could not be entered: " + one.errors())
        os.close(ready_read)
        os.write(go_write, b"g")
        os.close(go_write)
        return one

    def actor(self, *steps, env=None, **options):
        """Starts actor.py with these steps."""
        return self.start([PYTHON, "-I", ACTOR, *steps], env=env, **options)

    def unit(self, name):
        """The cgroups of a systemd unit of this name; what is left in them is ended with the case."""
        groups = [f"{root}/{self.world.name}-{name}.service" for root in cgroup_roots()]
        for group in groups:
            os.makedirs(group, exist_ok=True)
        self.addCleanup(self.world.clear, groups)
        return groups

    def flag(self, name):
        """A path outside the homes that an actor can wait for; `raise_flag` makes it."""
        return f"{self.folder}/flag-{name}"

    def raise_flag(self, name):
        open(self.flag(name), "w").close()

    def bucket(self):
        """A name of S3 that no other case calls: uses without a key of one program to one place are one use, whoever
        makes them."""
        name = "b" + self.maker.public(12)
        return name, f"{name}.{S3}"

    def fetched(self, make, *what):
        """What stage/fetch.py gives; a case whose client cannot be had on this machine is skipped, with the reason."""
        try:
            return make(f"{self.folder}/fetched", *what)
        except fetch.Missing as missing:
            self.skipTest(str(missing))

    # ---- asking

    def mine(self, all_rows):
        """The rows of this case: by its cgroup, or by a process that it started. A row without any cgroup cannot be
        told apart, so it counts too if it happened in this case: a use is written again a minute later."""
        pids = {one.pid for one in self.started}
        begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.begin_ns // 10**9))
        out = []
        for row in all_rows:
            if row["type"] not in ("acquisition", "use", "finding") or "actor" not in row:
                continue
            cgroup = row["actor"]["workload"].get("cgroup", "")
            untold = cgroup == "" and row["time"] >= begin
            if cgroup.endswith(self.cgroup) or row["actor"]["pid"] in pids or untold:
                out.append(row)
        return out

    def rows(self):
        return self.mine(self.agent.rows(self.after))

    def connections_seen(self, host, pid=None):
        """Connections that the cloud itself counted in this case: its truth. With a pid, only those that this actor
        reported."""
        ports = {row["port"] for row in self.world.truth(self.begin_ns) if row["kind"] == "request"
                 and (row["sni"] or row["host"]) == host}
        return len(ports)

    def sent(self, host):
        """What the cloud got from this case's requests to a host, as digests (stage/services.py), each once, in order.
        "" is none."""
        seen = [row["sent"] for row in self.world.truth(self.begin_ns) if row["kind"] == "request"
                and (row["sni"] or row["host"]) == host]
        return list(dict.fromkeys(seen))

    def expect(self, acquisitions=(), uses=(), findings=(), truth=None):
        """Compares the complete set. `truth` is {host: connections} as the cloud must have seen it, by default the sum
        of `uses`."""
        wanted = dict(truth) if truth is not None else {}
        if truth is None:
            for use in uses:
                if use.connections is not None and use.host:
                    wanted[use.host] = wanted.get(use.host, 0) + use.connections
        for host, count in wanted.items():
            self.assertEqual(self.connections_seen(host), count,
                             f"the case itself went wrong: connections to {host} that the cloud saw")
        differences, limit = ["nothing asked yet"], time.monotonic() + 12
        while differences and time.monotonic() < limit:
            self.agent.quiet(0.6)
            got = self.rows()
            differences = rows.compare(acquisitions, [r for r in got if r["type"] == "acquisition"])
            differences += rows.compare(uses, self.uses(got))
            differences += self._compare_findings(findings, [r for r in got if r["type"] == "finding"])
        if differences:
            self.fail("rows differ from what is expected:\n  " + "\n  ".join(differences))

    def uses(self, got):
        edges = [edge
                 for edge in self.agent.edges() if edge["actor"]["workload"].get("cgroup", "").endswith(self.cgroup)]
        return rows.merge_uses([row for row in got if row["type"] == "use"], edges)

    @staticmethod
    def _compare_findings(wanted, got):
        left, missing = sorted(row["finding_type"] for row in got), []
        for one in wanted:
            if one in left:
                left.remove(one)
            else:
                missing.append(one)
        return [f"missing finding: {one}" for one in missing] + [f"extra finding: {one}" for one in left]

    # ---- the end of every case

    def finish(self, secrets=()):
        """Accounting and canary scan; called by tearDown, or earlier by a case that ends its agent itself."""
        self._finished = True
        self.agent.quiet(0.5)
        errors = self.agent.accounting_errors()
        self.assertEqual(errors, [], "the accounting does not add up")
        world = self.world.issued
        secrets = [*self.maker.secrets, *secrets, world["imds"].secret, world["imds"].token, world["sts"].secret,
                   world["imds_token"]]
        self.assertEqual(self.agent.leaks(secrets), [], "a secret leaked")

    def tearDown(self):
        if not self._finished and self.agent is not None and self.agent.process is not None:
            self.finish()


class OneHolder(SystemCase):
    """A process that took a key and used it, and waits for the flag "end"."""

    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.holder = self.actor("read", CREDENTIALS, "call", S3, "wait", self.flag("end"))
        self.holder.until("call")
        self.expect([rows.Acquisition("file", CREDENTIALS, self.key.id, selector="default")],
                    [rows.Use("inferred", "only_key_held", [self.key.id])])
