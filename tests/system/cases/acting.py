# SPDX-License-Identifier: Apache-2.0
"""Who acts: the script behind an interpreter, the terminal of a session, the chain of runuser and su, coding agents and
the tools that they start."""
import json
import os
import shutil
import subprocess
import unittest

from case import SystemCase, needs
from stage.world import PYTHON

CREDENTIALS = "/root/.aws/credentials"
PERSON = 4242
STAYS = 0.5  # seconds: its mounts go with it, and the file in them
CANARY = "not-to-be-seen-0123456789"
MCP = "@modelcontextprotocol/server-filesystem"


def may_log_in():
    write = f"open('/proc/self/loginuid', 'w').write('{PERSON}')"
    return subprocess.run([PYTHON, "-I", "-c", write], capture_output=True, check=False).returncode == 0


class Acting(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())

    def takers(self):
        """The actor of each reader of the file."""
        self.agent.quiet(0.6)
        rows = self.agent.json(f"/v1/readers?key={self.key.id}")["rows"]
        return [row["actor"] for row in rows if row["slot"]["place"] == CREDENTIALS]

    def taker(self):
        found = self.takers()
        self.assertEqual(len(found), 1, found)
        return found[0]


class Scripts(Acting):
    def run_script(self, name, text, *command):
        self.plant(name, text, 0o700)
        self.start([*command, f"/root/{name}", CANARY]).wait()
        return self.taker()["program"]

    def test_python(self):
        program = self.run_script("run.py", f"import time\nopen('{CREDENTIALS}').read()\ntime.sleep({STAYS})\n",
                                  PYTHON, "-u", "-B", "-W", "ignore")
        self.assertEqual(program, "python3 run.py")

    def test_a_module(self):
        self.plant("job/__main__.py", f"open('{CREDENTIALS}').read()\n")
        self.start([PYTHON, "-m", "job", CANARY]).wait()
        self.assertEqual(self.taker()["program"], "python3 -m job")

    def test_a_shell_reads_it_itself(self):
        program = self.run_script("deploy.sh", f"read -r line < {CREDENTIALS}\nsleep {STAYS}\n", "/bin/bash", "-eu")
        self.assertEqual(program, "bash deploy.sh")

    @needs("/usr/bin/perl")
    def test_perl(self):
        program = self.run_script("x.pl", f"open(my $f, '<', '{CREDENTIALS}'); <$f>; sleep 1;\n", "/usr/bin/perl",
                                  "-w")
        self.assertEqual(program, "perl x.pl")

    @needs("/usr/bin/node")
    def test_node(self):
        text = f"require('fs').readFileSync('{CREDENTIALS}')\n"
        program = self.run_script("server.js", text, "/usr/bin/node", "--no-warnings")
        self.assertEqual(program, "node server.js")

    def test_a_program_on_the_command_line_is_shown_nowhere(self):
        self.start([PYTHON, "-c", f"open('{CREDENTIALS}').read(); '{CANARY}'"]).wait()
        self.assertEqual(self.taker()["program"], "python3.11")
        self.assertNotIn(CANARY, json.dumps(self.rows()))

    def test_two_scripts_of_one_directory_are_two_workloads(self):
        for name in ("first.py", "second.py"):
            self.plant(name, f"open('{CREDENTIALS}').read()\n")
        for name in ("first.py", "second.py"):
            self.start([PYTHON, f"/root/{name}"]).wait()
        names = sorted(actor["workload"]["name"] for actor in self.takers())
        self.assertEqual([name.split(" in ")[0] for name in names],
                         ["host: python3 first.py", "host: python3 second.py"])


class OlderThanTheAgent(Acting):
    def make_agent(self):
        return self.own_agent()

    def test_its_script_is_known(self):
        self.plant("old.py", f"import time\nf = open('{CREDENTIALS}')\nf.read()\n"
                             f"print('{{\"did\": \"up\"}}', flush=True)\ntime.sleep(60)\n")
        old = self.start([PYTHON, "-u", "/root/old.py", CANARY])
        old.until("up")
        self.agent.start()
        self.agent.quiet()
        names = [row["actor"]["program"] for row in self.rows() if row.get("actor", {}).get("pid") == old.pid]
        self.assertEqual(set(names), {"python3 old.py"}, names)


@unittest.skipUnless(may_log_in(), "this kernel lets root set no login")
class Sessions(Acting):
    @needs("/usr/sbin/runuser")
    def test_as_whom_a_person_acts(self):
        # Two steps: to another user, and from there on (root may do both without a password).
        line = f"/usr/sbin/runuser -u root -- /usr/sbin/runuser -u root -- sh -c 'cat {CREDENTIALS}; sleep {STAYS}'"
        self.start(["/bin/sh", "-c", line + " >/dev/null"], login_uid=PERSON).wait()
        actor = self.taker()
        self.assertEqual(actor["login_user"], str(PERSON))
        self.assertRegex(actor["session"], r"^login \d+, as root by runuser, root by runuser$")

    @needs("/usr/bin/script")
    def test_the_terminal(self):
        self.start(["/usr/bin/script", "-qec", f"cat {CREDENTIALS}; sleep {STAYS}", "/dev/null"],
                   login_uid=PERSON).wait()
        self.assertRegex(self.taker()["session"], r"^login \d+ on pts/\d+$")

    @needs("/usr/bin/script")
    def test_a_terminal_without_a_login_uid_says_so(self):
        self.start(["/usr/bin/script", "-qec", f"cat {CREDENTIALS}; sleep {STAYS}", "/dev/null"]).wait()
        self.assertRegex(self.taker()["session"], r"^pts/\d+ without a login uid$")

    def test_what_a_coding_agent_starts_is_its_own(self):
        self.plant("bin/claude", f"#!/bin/sh\ncat {CREDENTIALS} >/dev/null\nsleep {STAYS}\n", 0o755)
        self.start(["/root/bin/claude"], login_uid=PERSON).wait()
        self.start(["/bin/sh", "-c", f"cat {CREDENTIALS}; sleep {STAYS}"], login_uid=PERSON).wait()
        by_agent, by_person = sorted(self.takers(), key=lambda one: "agent" not in one["session"])
        self.assertEqual(by_agent["workload"]["name"], f"person: {PERSON} (claude code)")
        self.assertRegex(by_agent["session"], r"^login \d+, agent claude code$")
        self.assertEqual(by_agent["login_user"], str(PERSON))
        self.assertEqual(by_person["workload"]["name"], f"person: {PERSON}")
        for workload in ("agent/claude code", "agent/claude"):
            found = self.agent.cli("keys", "--workload", workload, check=0)[1]
            self.assertIn(self.key.id, found, workload)


@needs("/usr/bin/node")
class McpServer(Acting):
    """A real tool of agents, from npm's registry."""
    def setUp(self):
        super().setUp()
        self.packages = os.environ.get("KEYTRAIL_MCP", "/var/tmp/keytrail-mcp")
        if not os.path.exists(f"{self.packages}/node_modules/{MCP}"):
            npm = shutil.which("npm")
            if npm is None:
                self.skipTest("npm is not installed")
            done = subprocess.run([npm, "install", "--prefix", self.packages, "--no-audit", "--no-fund", MCP],
                                  capture_output=True, text=True, check=False, timeout=180)
            if done.returncode != 0:
                self.skipTest("npm's registry did not answer: " + done.stderr.strip()[-200:])

    def test_what_it_reads_is_an_agents(self):
        asked = [{"method": "initialize", "id": 1, "params": {"protocolVersion": "2024-11-05", "capabilities": {},
                                                             "clientInfo": {"name": "t", "version": "1"}}},
                 {"method": "notifications/initialized"},
                 {"method": "tools/call", "id": 2, "params": {"name": "read_text_file",
                                                             "arguments": {"path": CREDENTIALS}}}]
        said = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked)
        self.plant("asked.jsonl", said)
        server = "/mnt/node_modules/.bin/mcp-server-filesystem"
        line = f"(cat /root/asked.jsonl; sleep 3) | node {server} /root"
        self.start(["/bin/sh", "-c", line], binds={"/mnt": self.packages}).wait()
        actor = self.taker()
        self.assertEqual(actor["program"], "node mcp-server-filesystem")
        self.assertEqual(actor["session"], "agent MCP server")
