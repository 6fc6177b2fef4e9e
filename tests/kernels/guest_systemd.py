# SPDX-License-Identifier: Apache-2.0
"""Inside a VM whose first process is systemd: the packaged unit from its start to its stop, and who reads a key in
units, scopes, sessions and cron jobs. A part of guest.py; run by a unit."""
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, SOURCE + "/tests/system")

from agent import Agent  # noqa: E402
from stage import keys  # noqa: E402

STATE, RUN = "/var/lib/keytrail", "/run/keytrail"
S3, PORT = "s3.eu-west-1.amazonaws.com", 8080
CONTAINER = "0123456789abcdef" * 4  # of no container
HEARTBEAT_S = 3  # between two
# One process reads the key file and calls: no child of bash's in between.
ACT = f"""IFS= read -r -d '' text <"$1"
exec 3<>/dev/tcp/127.0.0.1/{PORT}
printf 'GET / HTTP/1.1\\r\\nHost: {S3}\\r\\n\\r\\n' >&3
read -r answer <&3
while read -r answer; do :; done <&3
"""


class Installed(Agent):
    """The agent that systemd has started from the installed files."""

    def __init__(self):
        self.socket, self._output = RUN + "/api.sock", b""

    def log(self):
        lines = run("journalctl", "-u", "keytrail", "-n", "400", "--no-pager", "-o", "cat").splitlines()
        return "\n".join([line for line in lines if "keytrail: query " not in line][-20:])


def run(*argv, check=False):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()[-800:]}")
    return done.stdout.strip()


def show(unit, *properties):
    """Properties of a unit as systemd has them."""
    lines = run("systemctl", "show", unit, *("--property=" + name for name in properties)).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(path, text, mode=0o644, owner=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    if owner:
        shutil.chown(path, owner, owner)


def until(what, condition, seconds=120):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        got = condition()
        if got:
            return got
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


class Cloud(socketserver.StreamRequestHandler):
    """Answers what looks like S3; whoever called stays for a while, for this machine is slow."""

    calls = 0

    def handle(self):
        Cloud.calls += 1
        self.request.recv(4096)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        time.sleep(5)


def serve():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", PORT), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Systemd:
    def __init__(self, build):
        self.build, self.maker, self.agent, self.readers = build, keys.Maker(), Installed(), {}

    # ---- what packaging/quickstart.sh does, and what this machine's packages would have brought

    def install(self):
        for folder in ("/srv", "/home"):  # files on the machine's own are not read: they come over FUSE
            os.makedirs(folder, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder, check=True)
        os.makedirs("/usr/lib/keytrail", exist_ok=True)
        run("mount", "--bind", self.build + "/bin", "/usr/lib/keytrail", check=True)
        if not os.path.lexists("/usr/bin/keytrail"):
            os.symlink("/usr/lib/keytrail/keytrail", "/usr/bin/keytrail")
        os.makedirs("/etc/keytrail", exist_ok=True)
        shutil.copy(SOURCE + "/packaging/keytrail.yaml", "/etc/keytrail/keytrail.yaml")
        shutil.copy(SOURCE + "/packaging/systemd/keytrail.service", "/etc/systemd/system/keytrail.service")
        for user in ("keytrail", "keytrail-examiner", "messagebus", "sshd"):
            if not known(user):
                run("useradd", "--system", "--user-group", "--home-dir", "/nonexistent", "--shell",
                    "/usr/sbin/nologin", user, check=True)
        if not known("alice"):
            run("useradd", "--create-home", "--shell", "/bin/bash", "alice", check=True)
        with open("/etc/pam.d/common-session") as file:
            if "pam_systemd.so" not in file.read():
                with open("/etc/pam.d/common-session", "a") as more:
                    more.write("session optional pam_systemd.so\n")
        write("/usr/local/bin/act", "#!/bin/bash\n" + ACT, 0o755)

    # ---- who reads

    def plant(self, name, workload, path, owner="root", mode=0o600, **more):
        """A key of its own for each reader, so that a row tells who it is of."""
        key = self.maker.aws()
        write(path, key.profile(), mode, owner)
        self.readers[name] = {"key": key.id, "workload": workload, **more}
        return path

    def unit(self, name, reads, more="", run_by="/bin/bash /usr/local/bin/act"):
        write(f"/run/systemd/system/{name}", f"[Service]\nType=oneshot\n{more}\nExecStart={run_by} {reads}\n")

    def prepare(self):
        credentials = ".aws/credentials"
        self.unit("backup@.service", "/srv/%i/" + credentials, "Slice=nightly-backup.slice")
        self.plant("template", "unit:backup@db.service", "/srv/db/" + credentials,
                   cgroup="/nightly.slice/nightly-backup.slice/backup@db.service")
        self.unit("dynamic.service", "/srv/dynamic/" + credentials, "DynamicUser=yes")
        self.plant("DynamicUser", "unit:dynamic.service", "/srv/dynamic/" + credentials, mode=0o644)
        self.unit("private.service", "/srv/private/" + credentials, "PrivateTmp=yes\nProtectHome=yes")
        self.plant("PrivateTmp", "unit:private.service", "/srv/private/" + credentials)
        self.unit("rooted.service", "/home/app/" + credentials,
                  "RootDirectory=/srv/root\nMountAPIVFS=yes\n"
                  + "".join(f"BindReadOnlyPaths=/{name}\n" for name in ("usr", "bin", "lib", "lib64")))
        self.plant("RootDirectory", "unit:rooted.service", "/srv/root/home/app/" + credentials)
        for name in ("usr", "bin", "lib", "lib64", "proc", "sys", "dev", "run", "tmp"):
            os.makedirs("/srv/root/" + name, exist_ok=True)
        self.unit("loaded.service", "${CREDENTIALS_DIRECTORY}/cloud", "LoadCredential=cloud:/srv/loaded/cloud")
        self.plant("LoadCredential", "unit:loaded.service", "/srv/loaded/cloud",
                   place="/run/credentials/loaded.service/cloud")
        variables = self.maker.aws()
        write("/srv/variables.env", "".join(f"{name}={value}\n" for name, value in variables.env().items()), 0o600)
        self.unit("variables.service", "/dev/null", "EnvironmentFile=/srv/variables.env")
        self.readers["EnvironmentFile"] = {"key": variables.id, "workload": "unit:variables.service"}
        self.plant("scope", "unit:adhoc.scope", "/srv/scope/" + credentials)
        uid = pwd.getpwnam("alice").pw_uid
        person = {"owner": "alice", "person": "alice"}
        self.plant("su", f"user:{uid}", "/home/alice/su/" + credentials, **person)
        self.plant("ssh", f"user:{uid}", "/home/alice/ssh/" + credentials, by="by ssh", **person)
        # Debian's cron opens no session of logind's: the job stays in the unit, and the person is who is logged in.
        self.plant("cron", "unit:cron-test.service", "/home/alice/cron/" + credentials, by="by cron", **person)
        self.plant("user unit", f"unit:{uid}/sync.service", "/home/alice/sync/" + credentials, owner="alice",
                   known_by="claimed")
        self.plant("forged container", f"container:{uid}/{CONTAINER}", "/home/alice/forged/" + credentials,
                   owner="alice", known_by="claimed")
        self.plant("forged pod", "unit:delegated.service", "/home/alice/pod/" + credentials, owner="alice")
        run("chown", "-R", "alice:alice", "/home/alice", check=True)
        self.unit("delegated.service", "/home/alice/pod/" + credentials, "User=alice\nDelegate=yes",
                  "/bin/bash /usr/local/bin/forge kubepods/pod01234567-0123-0123-0123-0123456789ab/" + CONTAINER)
        # What somebody may do below a cgroup of his own, here the one that he is in.
        write("/usr/local/bin/forge", '#!/bin/bash\nown=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)\n'
              '[ -n "$3" ] && own=$(dirname "$own")\n'
              'mkdir -p "$own/$1" && echo $$ >"$own/$1/cgroup.procs" && exec /bin/bash /usr/local/bin/act "$2"\n',
              0o755)
        write("/etc/cron.d/keytrail-test", "@reboot alice /usr/local/bin/act /home/alice/cron/" + credentials + "\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/ssh_host_ed25519_key")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/id", check=True)
        write("/home/alice/.ssh/authorized_keys", open("/root/id.pub").read(), 0o600, "alice")
        shutil.chown("/home/alice/.ssh", "alice", "alice")
        self.unit("sshd-test.service", "-D -f /usr/share/openssh/sshd_config", "Type=simple\nRuntimeDirectory=sshd",
                  "/usr/sbin/sshd")
        self.unit("cron-test.service", "-f", "Type=simple", "/usr/sbin/cron")
        run("systemctl", "daemon-reload", check=True)

    def act(self):
        """All of them at once: each start costs seconds here."""
        units = ["backup@db.service", "dynamic.service", "private.service", "rooted.service", "loaded.service",
                 "variables.service", "delegated.service", "sshd-test.service", "cron-test.service"]
        run("systemctl", "start", "systemd-user-sessions.service", check=True)  # else nobody may log in
        run("systemctl", "start", "--no-block", *units, check=True)
        act, forge = "/usr/local/bin/act", "/usr/local/bin/forge"
        jobs = [["systemd-run", "--quiet", "--scope", "--unit=adhoc", act, "/srv/scope/.aws/credentials"],
                ["su", "-l", "alice", "-c", act + " /home/alice/su/.aws/credentials"],
                ["ssh", "-i", "/root/id", "-o", "StrictHostKeyChecking=no", "-o", "ConnectionAttempts=20", "-o",
                 "BatchMode=yes", "alice@127.0.0.1", act + " /home/alice/ssh/.aws/credentials"]]
        begun = [subprocess.Popen(job, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True) for job in jobs]
        uid = pwd.getpwnam("alice").pw_uid
        write("/var/lib/systemd/linger/alice", "")  # loginctl's enable-linger, without its limit of 25 s
        run("systemctl", "start", "--no-block", f"user@{uid}.service", check=True)
        until("alice's own manager", lambda: os.path.exists(f"/run/user/{uid}/systemd/private"))
        as_alice = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "env", "-i", "PATH=/usr/bin:/bin",
                    f"XDG_RUNTIME_DIR=/run/user/{uid}"]
        for more in (["--unit=sync", act, "/home/alice/sync/.aws/credentials"],
                     ["--unit=forged", "-p", "Delegate=yes", forge, f"docker-{CONTAINER}.scope",
                      "/home/alice/forged/.aws/credentials", "beside"]):
            print(run(*as_alice, "systemd-run", "--user", "--quiet", "--wait", *more), flush=True)
        for job, process in zip(jobs, begun):
            said = process.communicate(timeout=120)[0]
            if process.returncode != 0:
                print(f"{job[0]}: exit {process.returncode}: {said}", flush=True)

    def reader(self, name):
        """Raises when the rows say something else of one reader, or do not say it."""
        want = self.readers[name]
        rows = self.agent.rows(0, "acquisition,use,gap")
        taken = next((row for row in rows if row["type"] == "acquisition" and row["key"]["id"] == want["key"]
                      and row["actor"]["exe"].endswith("/bash")), None)
        calls = [row for row in rows if row["type"] == "use" and taken
                 and row["actor"]["pid"] == taken["actor"]["pid"]]
        if not calls:  # whether the key is named depends on how slow this machine is
            unit = want["workload"].rpartition(":")[2]
            raise AssertionError("\n".join([f"the key was {'' if taken else 'not '}taken, and no call seen; beside:",
                                            *(json.dumps(row)[:600] for row in rows if unit in json.dumps(row))]))
        for row in [taken, *calls]:
            workload = row["actor"]["workload"]
            facts = {fact["name"]: fact for fact in workload.get("facts", [])}
            got = {"workload": workload["id"], "known_by": workload["known_by"],
                   "cgroup": facts.get("keytrail.cgroup.path", {}).get("value"),
                   "person": row["actor"]["login_user"], "by": row["actor"]["session"],
                   "place": row.get("slot", {}).get("place")}
            for key, value in want.items():
                if key == "key" or (key == "place" and row["type"] == "use"):
                    continue
                if value not in (got[key] or ""):
                    raise AssertionError(f"{key}: {got[key]}, not {value}: {json.dumps(row)[:1500]}")

    def readers_are_told(self):
        self.prepare()
        self.act()

    # ---- the unit's life

    def start_and_readiness(self):
        begin = time.monotonic()
        run("systemctl", "start", "keytrail", check=True)
        took = time.monotonic() - begin
        status = self.agent.status()
        assert self.agent.armed(status), "READY before it was armed"
        state = show("keytrail", "ActiveState", "SubState", "StatusText", "NFileDescriptorStore")
        assert (state["ActiveState"], state["SubState"]) == ("active", "running"), state
        assert state["NFileDescriptorStore"] == "5", state
        assert show("keytrail", "CPUWeight")["CPUWeight"] == "200"
        print(f"      armed {took:.1f} s after systemctl start; its status line: {state['StatusText']}", flush=True)

    def gaps(self):
        return [row for row in self.agent.rows(0, "gap") if row["cause"] == "agent_restart"]

    def restart(self):
        stopped = time.time()
        run("systemctl", "restart", "keytrail", check=True)
        armed = time.time()
        gap = until("the gap of the restart", self.gaps)[-1]
        begin, end = seconds(gap["from"]), seconds(gap["to"])
        assert stopped - 4 * HEARTBEAT_S <= begin and end <= armed, (stopped, armed, gap)
        print("      " + gap["text"], flush=True)

    def main_pid(self):
        return int(show("keytrail", "MainPID")["MainPID"])

    def killed(self):
        """A key is read while the worker stands still, and the warden is killed: what waited is read after all."""
        had = len(self.gaps())
        time.sleep(HEARTBEAT_S + 1)  # until one was read
        path = self.plant("killed", "unit:late.service", "/srv/late/.aws/credentials")
        write("/usr/local/bin/late", "while ! [ -e /srv/go ]; do sleep 0.1; done\n. /usr/local/bin/act\n")
        self.unit("late.service", path, "", "/bin/bash /usr/local/bin/late")
        run("systemctl", "daemon-reload", check=True)
        run("systemctl", "start", "--no-block", "late.service", check=True)
        until("the late reader", lambda: show("late.service", "MainPID")["MainPID"] != "0")
        time.sleep(2)
        warden, calls = self.main_pid(), Cloud.calls
        with open(f"/proc/{warden}/task/{warden}/children") as file:
            children = [int(word) for word in file.read().split()]
        worker = next(pid for pid in children if os.readlink(f"/proc/{pid}/exe").endswith("/keytrail"))
        os.kill(worker, signal.SIGSTOP)  # for less than the 8 s after which it were another one
        write("/srv/go", "")
        until("its call", lambda: Cloud.calls > calls, 6)
        killed = time.time()
        os.kill(warden, signal.SIGKILL)
        self.another_warden(warden)
        armed = time.time()
        gap = until("the gap", lambda: self.gaps()[had:])[-1]
        begin, end = seconds(gap["from"]), seconds(gap["to"])
        assert killed - 4 * HEARTBEAT_S - 3 <= begin <= killed <= end <= armed, (killed, armed, gap)
        print(f"      {gap['from']} to {gap['to']}: {gap['text']}", flush=True)
        assert re.search(r"[1-9][0-9]* events were read after all", gap["text"]), gap
        with contextlib.suppress(AssertionError):
            until("what waited in the rings", lambda: self.told("killed"))
        self.reader("killed")

    @staticmethod
    def another_warden(than):
        """Waits for it; when the other one was seen to be gone."""
        until("the warden's end", lambda: not os.path.exists(f"/proc/{than}"))
        gone = time.time()
        until("another warden", lambda: show("keytrail", "ActiveState")["ActiveState"] == "active", 300)
        return gone

    def told(self, name):
        with contextlib.suppress(AssertionError):
            self.reader(name)
            return True
        return False

    def watchdog(self):
        """As the unit has it, but for the time."""
        write("/run/systemd/system/keytrail.service.d/soon.conf", "[Service]\nWatchdogSec=5s\n")
        run("systemctl", "daemon-reload", check=True)
        run("systemctl", "restart", "keytrail", check=True)
        had, warden = len(self.gaps()), self.main_pid()
        os.kill(warden, signal.SIGSTOP)
        gone = self.another_warden(warden)
        gap = until("the gap", lambda: self.gaps()[had:])[-1]
        assert seconds(gap["from"]) <= gone, (gone, gap)  # its hooks saw until then
        assert "watchdog" in run("journalctl", "-u", "keytrail", "--no-pager", "-o", "cat").lower()

    def stop(self):
        run("systemctl", "stop", "keytrail", check=True)
        state = show("keytrail", "ActiveState", "Result", "NFileDescriptorStore", "ControlGroup")
        assert state["ActiveState"] == "inactive" and state["Result"] == "success", state
        assert state["NFileDescriptorStore"] == "0", state
        assert not os.path.exists("/sys/fs/cgroup/system.slice/keytrail.service"), "its cgroup is left"
        left = [pid for pid in os.listdir("/proc") if pid.isdigit()
                and run("readlink", f"/proc/{pid}/exe").startswith("/usr/lib/keytrail/")]
        assert not left, left
        ours = [program["name"] for program in json.loads(run("bpftool", "-j", "prog", "show"))
                if re.match("fentry__|kprobe__|tp_btf__|cgroup__|cgroup_skb__|iter__", program.get("name", ""))]
        assert not ours, ours


def seconds(text):
    """Of an RFC 3339 time."""
    from cases.restarts import seconds as parse
    return parse(text)


def known(user):
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(user)
    return None


def systemd(step, build, tell):
    """All parts in their order; each is a result."""
    world = Systemd(build)
    serve()

    def part(name, function, *arguments):
        if step["only"] and not any(pattern in name for pattern in step["only"]) and not name.startswith("start"):
            return False
        begin = time.monotonic()
        verdict = "ok"
        try:
            function(*arguments)
        except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError, KeyError, StopIteration) as error:
            verdict = "FAIL"
            print(f"      {name}: {error}\n" + world.agent.log(), flush=True)
        tell(step=step["name"], test=name, verdict=verdict, seconds=time.monotonic() - begin)
        return verdict == "ok"

    world.install()
    if part("start, READY when armed", world.start_and_readiness):
        if part("reader: all units, scopes, sessions and jobs run", world.readers_are_told):
            with contextlib.suppress(AssertionError):
                until("all rows", lambda: all(world.told(name) for name in world.readers), 60)
            print(run("systemctl", "--failed", "--no-legend", "--plain"), flush=True)
            for name in world.readers:
                part("reader, " + name, world.reader, name)
        part("restart", world.restart)
        part("kill -9", world.killed)
        part("watchdog", world.watchdog)
        part("stop", world.stop)
    tell(step=step["name"], status=0)
