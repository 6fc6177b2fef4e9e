# SPDX-License-Identifier: Apache-2.0
"""Keys that one program hands to another through a pipe: a command's output, a pipeline, a credential_process."""
import json

from case import PYTHON, SystemCase
from rows import Acquisition, Use

CAT, AWS = "/usr/bin/cat", "/usr/bin/aws"
WITH_OUTPUT = """
import boto3, configparser, subprocess, sys
text = sys.stdin.read() if sys.argv[1] == "-" else subprocess.check_output([{cat!r}, sys.argv[1]], text=True)
keys = configparser.ConfigParser()
keys.read_string(text)
boto3.client("s3", aws_access_key_id=keys["default"]["aws_access_key_id"],
             aws_secret_access_key=keys["default"]["aws_secret_access_key"]).list_objects_v2(Bucket=sys.argv[2])
""".format(cat=CAT)


CALL = """
import socket, ssl, sys
context = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
def call(host):
    with context.wrap_socket(socket.create_connection((host, 443)), server_hostname=host) as sock:
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: " + host.encode() + b"\\r\\n\\r\\n")
        sock.recv(1000)
"""
# What a worker is given: by its pipe (forked), by a standard input (fed), as an opened file (passed).
WORKERS = """
import os, socket, subprocess, sys
CALL = %CALL%
exec(CALL)
path, forked, fed, passed = sys.argv[1:]
ends = os.pipe()
if os.fork() == 0:
    os.close(ends[1])
    os.read(ends[0], 1000) and call(forked)
    os._exit(0)
worker = subprocess.Popen([sys.executable, "-I", "-c", CALL + "sys.stdin.read() and call(sys.argv[1])", fed],
                          stdin=subprocess.PIPE, text=True)
ours, theirs = socket.socketpair()
receiver = subprocess.Popen([sys.executable, "-I", "-c", CALL + '''
import os
fds = socket.recv_fds(socket.socket(fileno=0), 1, 1)[1]
os.pread(fds[0], 1000, 0) and call(sys.argv[1])
''', passed], stdin=theirs)
with open(path) as file:
    text = file.read()
    socket.send_fds(ours, [b"x"], [file.fileno()])
os.write(ends[1], text.encode())
worker.communicate(text)
receiver.wait()
os.wait()
""".replace("%CALL%", repr(CALL))
READ_AND_CALL = CALL + """
(sys.stdin if sys.argv[1] == "-" else open(sys.argv[1])).read()
call(sys.argv[2])
"""


class Pipes(SystemCase):
    def planted(self):
        key, (name, host) = self.maker.aws(), self.bucket()
        self.plant("srv/keys", key.profile())
        self.plant("code.py", WITH_OUTPUT)
        return (name, [Acquisition("file", "/root/srv/keys", key.id, selector="default", exe=CAT)],
                [Use("possible", "from_helper", [key.id], host=host)])

    def test_what_a_program_reads_through_a_child(self):
        name, acquisitions, uses = self.planted()
        self.start([PYTHON, "/root/code.py", "/root/srv/keys", name]).wait()
        self.expect(acquisitions, uses)

    def test_what_comes_through_a_pipeline(self):
        name, acquisitions, uses = self.planted()
        self.start(["/bin/sh", "-c", f"{CAT} /root/srv/keys | {PYTHON} /root/code.py - {name}"]).wait()
        self.expect(acquisitions, uses)

    def test_a_credential_process(self):
        key, (name, host) = self.maker.aws(), self.bucket()
        self.plant("creds.json", json.dumps({"Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret}))
        self.plant(".aws/config", f"[profile ci]\ncredential_process = {CAT} /root/creds.json\nregion = eu-west-1\n")
        self.start([AWS, "--profile", "ci", "s3", "ls", f"s3://{name}/"]).wait(code=None)
        self.expect([Acquisition("file", "/root/creds.json", key.id, exe=CAT)],
                    [Use("possible", "from_helper", [key.id], host=host)])

    def test_a_credential_process_beside_a_default_key(self):
        """Read in any case, and the default of its file; a program in Python may have a profile in its code."""
        key, unused = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", unused.profile())
        self.plant("creds.json", json.dumps({"Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret}))
        self.plant(".aws/config", f"[profile ci]\ncredential_process = {CAT} /root/creds.json\nregion = eu-west-1\n")
        self.start([PYTHON, "-c", "import boto3; boto3.Session(profile_name='ci').client('s3').list_buckets()"]).wait()
        self.expect([Acquisition("file", "/root/.aws/credentials", unused.id, selector="default"),
                     Acquisition("file", "/root/creds.json", key.id, exe=CAT)],
                    [Use("possible", "from_helper", [key.id, unused.id])])

    def test_what_a_shell_hands_on(self):
        key, place = self.maker.aws(), "/root/srv/keys"
        self.plant("srv/keys", key.profile())
        self.plant("call.py", READ_AND_CALL)
        run = f"{PYTHON} -I /root/call.py"
        substituted, here, looped, listed = hosts = [self.bucket()[1] for _ in range(4)]
        lines = [f"{run} <({CAT} {place}) {substituted}", f"{CAT} {place} | {{ read -r a; {run} - {looped}; }}",
                 f"{CAT} {place} | /usr/bin/xargs -0 {run} /dev/null {listed}",
                 f'read -r a < {place}; {run} - {here} <<< "$a"']
        self.start(["/bin/bash", "-c", "; ".join(lines)]).wait()
        self.expect([Acquisition("file", place, key.id, selector="default", exe=CAT),
                     Acquisition("file", place, key.id, selector="default", exe="/usr/bin/bash")],
                    [Use("possible", "lost_at_exec" if host == listed else "from_helper", [key.id], host=host)
                     for host in hosts])

    def test_keys_that_reach_a_worker_without_an_open(self):
        """One process each: forked before the key is read, given the opened file, or reader of another's environment;
        each holds an unused key of its own (or none), so a missed hand-over would be a wrong name."""
        key, own = self.maker.aws(), self.maker.aws()
        (forked, fed, passed) = hosts = [self.bucket()[1] for _ in range(3)]
        self.plant("srv/keys", key.profile())
        self.plant("workers.py", WORKERS)
        self.start([PYTHON, "-I", "/root/workers.py", "/root/srv/keys", *hosts],
                   env={"AWS_ACCESS_KEY_ID": own.id, "AWS_SECRET_ACCESS_KEY": own.secret}).wait()
        place = "/root/srv/keys"
        both = lambda host: Use("possible", "several_keys", [own.id, key.id], host=host)
        takes = [Acquisition("environment", "AWS_ACCESS_KEY_ID", own.id),
                 Acquisition("file", place, key.id, selector="default")]
        self.expect(2 * takes,  # the script and what it starts with -c are two programs
                    [both(forked), both(fed), both(passed)])

    def test_who_reads_an_environment_takes_its_keys(self):
        key, (name, host) = self.maker.aws(), self.bucket()
        holder = self.actor("mark", self.flag("up"), "wait", self.flag("end"),
                            env={"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret})
        holder.until("mark")
        thief = self.actor("read", f"/proc/{holder.pid}/environ", "call", host).wait()
        self.raise_flag("end")
        self.expect([Acquisition("environment", "AWS_ACCESS_KEY_ID", key.id, pid=holder.pid),
                     Acquisition("memory", "environment of python3 actor.py", key.id,
                                 selector="AWS_ACCESS_KEY_ID", pid=thief.pid)],
                    [Use("inferred", "only_key_held", [key.id], host=host, pid=thief.pid)])
