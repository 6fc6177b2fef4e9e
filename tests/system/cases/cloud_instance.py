# SPDX-License-Identifier: Apache-2.0
"""Which instance of a cloud the machine is, asked of a metadata service at its real address in a network of its own."""
import ctypes
import json
import subprocess
import threading
import time

from case import PYTHON, SystemCase
from stage.world import PATH, die_with_runner

INSTANCE = {"instance-id": "i-1234567890abcdef0", "instance-type": "m5.large", "placement/region": "eu-west-1",
            "placement/availability-zone": "eu-west-1b", "mac": "02:29:96:8f:6a:2d",
            "network/interfaces/macs/02:29:96:8f:6a:2d/owner-id": "123456789012",
            "iam/info": json.dumps({"Code": "Success",
                                    "InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/web"})}
KNOWN = {"cloud.provider": "aws", "cloud.account.id": "123456789012", "cloud.region": "eu-west-1",
         "cloud.availability_zone": "eu-west-1b", "host.id": "i-1234567890abcdef0", "host.type": "m5.large",
         "keytrail.cloud.identity": "arn:aws:iam::123456789012:instance-profile/web"}

# IMDSv2 as AWS documents it. What it is asked is written to standard output; without answers nobody listens.
SERVICE = """
import ctypes, http.server, json, os, subprocess, sys
answers = json.loads(sys.argv[1])
assert ctypes.CDLL(None).unshare(0x40000000) == 0
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
if not answers:
    print("ready", flush=True)
    sys.stdin.read()
subprocess.run(["ip", "address", "add", "169.254.169.254/32", "dev", "lo"], check=True)
token = os.urandom(28).hex()
class Service(http.server.BaseHTTPRequestHandler):
    def answer(self):
        print(self.command, self.path, flush=True)
        name = self.path.removeprefix("/latest/meta-data/")
        if (self.command, self.path) == ("PUT", "/latest/api/token"):
            status, body = (200, token) if "X-aws-ec2-metadata-token-ttl-seconds" in self.headers else (400, "")
        elif self.headers.get("X-aws-ec2-metadata-token") != token:
            status, body = 401, ""
        else:
            status, body = (200, answers[name]) if name in answers else (404, "")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    do_GET = do_PUT = answer
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Service)
print("ready", flush=True)
server.serve_forever()
"""


class InACloud(SystemCase):
    answers = INSTANCE

    def make_agent(self):
        self.asked = f"{self.folder}/asked"
        with open(self.asked, "wb") as out:
            self.service = subprocess.Popen([PYTHON, "-I", "-c", SERVICE, json.dumps(self.answers)],
                                            stdin=subprocess.PIPE, stdout=out, env={"PATH": PATH},
                                            preexec_fn=die_with_runner)
        self.addCleanup(self.end_service)
        self.until(lambda: "ready" in self.requests())
        network = f"/proc/{self.service.pid}/ns/net"
        made = []

        def inside():  # the sink of its exporter listens where this thread is
            with open(network) as file:
                assert ctypes.CDLL(None).setns(file.fileno(), 0x40000000) == 0
            made.append(self.own_agent(config="identity: {cloud: aws}\n"))
        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        made[0].within = ["nsenter", "--net=" + network]
        return made[0].start()

    def end_service(self):
        self.service.stdin.close()
        self.service.kill()
        self.service.wait()

    def requests(self):
        with open(self.asked) as file:
            return file.read().split("\n")

    def until(self, holds, seconds=15):
        limit = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), limit, f"not within {seconds} s")
            time.sleep(0.05)

    def test_the_machine_is_in_status_and_in_each_resource_and_nobody_asked_for_it(self):
        self.until(lambda: self.agent.status()["machine"] == KNOWN)
        self.assertIn("machine: cloud.account.id 123456789012", self.agent.cli("status")[1])
        self.assertFalse([line for line in self.requests() if "credentials" in line or "identity" in line
                          or "user-data" in line], "only what names the machine")
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", "/root/.aws/credentials", cgroups=self.unit("reader")).wait()
        self.until(lambda: any(row.get("key", {}).get("id") == key.id for row in self.agent.rows(self.after)))
        worker = self.agent.role("worker")
        own = [row for row in self.agent.rows() if row.get("actor", {}).get("pid") == worker]
        self.assertEqual(own, [], "what the agent asks is nobody's acquisition or use")
        self.agent.quiet()
        sent = self.agent.sink.bytes()
        for name, value in KNOWN.items():
            self.assertIn(name.encode(), sent)
            self.assertIn(value.encode(), sent)


class Nowhere(InACloud):
    answers = {}
    test_the_machine_is_in_status_and_in_each_resource_and_nobody_asked_for_it = None

    def test_one_line_of_status_says_so_and_nothing_waits(self):
        self.until(lambda: any("metadata service of aws" in remark for remark in self.agent.status()["remarks"]), 5)
        self.assertEqual(self.agent.status()["machine"], {})
        self.assertNotIn("metadata service", self.agent.log())
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", "/root/.aws/credentials").wait()
        self.until(lambda: any(row.get("key", {}).get("id") == key.id for row in self.agent.rows(self.after)), 5)
