# SPDX-License-Identifier: Apache-2.0
"""Inside the VM: does the steps of a plan, one after the other, and says what happened. Run by run.py through
guest_init.sh as `guest.py PLAN`.

A line that begins with "@@ " is a JSON object for run.py; every other line is for people.
"""
import json
import os
import re
import subprocess
import sys
import threading
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = "/usr/bin/python3"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
               "HOME": "/root", "PYTHONDONTWRITEBYTECODE": "1"}
# of GoogleTest; a test's own output may stand before it
RESULT = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ([^ ,]+)[ ,].*\(\d+ ms\)$")
OUR_PROGRAMS = ("fentry__", "kprobe__", "tracepoint__", "tp_btf__", "cgroup__", "cgroup_skb__", "iter__")


def tell(**event):
    print("@@ " + json.dumps(event), flush=True)


class Counts(threading.Thread):
    """How often each program of ours ran, as the kernel counts it (kernel.bpf_stats_enabled). Programs go with their
    agent, so it looks once a second."""

    def __init__(self):
        super().__init__(daemon=True)
        with open("/proc/sys/kernel/bpf_stats_enabled", "w") as file:
            file.write("1")
        self._seen, self._over = {}, threading.Event()

    def look(self):
        shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, env=ENVIRONMENT)
        for program in json.loads(shown.stdout or "[]"):
            if program.get("name", "").startswith(OUR_PROGRAMS):
                self._seen[program["id"]] = (program["name"], program.get("run_cnt", 0), program.get("run_time_ns", 0))

    def run(self):
        while not self._over.wait(1):
            self.look()

    def end(self):
        """name → runs, of all agents together; a little too low, never too high."""
        self._over.set()
        self.join()
        runs = {}
        for name, count, _ in self._seen.values():
            runs[name] = runs.get(name, 0) + count
        return runs


def stream(argv, **more):
    """Runs a program, passes on its lines; (exit status, all lines)."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env={**ENVIRONMENT, **more})
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        yield line.rstrip("\n")
    process.wait()
    yield process.returncode


def kernel_side(step, build):
    """The tests of tests/bpf with some features taken away."""
    shown = False
    for line in stream([build + "/tests/bpf/bpf_test", "--gtest_filter=" + step["filter"]],
                       KEYTRAIL_NO_FEATURE=" ".join(step["without"])):
        if isinstance(line, int):
            tell(step=step["name"], status=line)
            return
        shown = "[       OK" not in line and not line.startswith(("[ RUN", "[-----", "[=====", "Note:", "Running main"))
        result = RESULT.search(line)
        if result:
            tell(step=step["name"], test=result[2],
                 verdict={"OK": "ok", "FAILED": "FAIL", "SKIPPED": "skip"}[result[1]])
        if shown and line:
            print("      " + line, flush=True)


def system_cases(step, build):
    """System cases, every agent without some features; how often each program ran."""
    argv = [PYTHON, SOURCE + "/tests/system/run.py", "--build", build]
    argv += [word for pattern in step["cases"]
             for word in ("--only", pattern)] + [word for name in step["without"] for word in ("--no-feature", name)]
    counts = Counts()
    counts.start()
    for line in stream(argv):
        if isinstance(line, int):
            tell(step=step["name"], status=line, runs=counts.end())
            return
        words = line.split()
        if len(words) >= 4 and words[0] in ("ok", "FAIL", "skip") and words[2] == "s":
            tell(step=step["name"], test=words[3].rstrip(":"), verdict=words[0], seconds=float(words[1]))
            if words[0] == "ok":
                continue
        print("      " + line, flush=True)


def doctor(step, build):
    """What the agent answers when it is asked for its plan, for each way to reach an alternative."""
    sys.path.insert(0, SOURCE + "/tests/system")
    from agent import Agent, Build

    for number, without in enumerate(step["each_without"]):
        agent = Agent(Build(build), f"/tmp/d{number}", options=["--no-feature=" + name for name in without], sink=False)
        try:
            agent.start(60)
            tell(step=step["name"], without=without, rows=agent.json("/v1/doctor")["rows"])
            if number == 0:
                print(agent.cli("doctor")[1], flush=True)
        except (RuntimeError, OSError) as error:
            tell(step=step["name"], without=without, error=str(error))
        finally:
            agent.close()
    tell(step=step["name"], status=0)


def bench(step, build):
    """The kernel side's price here: ratios say something, times in an emulated machine do not."""
    for line in stream([build + "/tests/bench/kernel/kernel_bench", str(step["rounds"]),
                        *("--no-feature=" + name for name in step["without"])]):
        if isinstance(line, int):
            tell(step=step["name"], status=line)
            return
        print("      " + line, flush=True)


def systemd(step, build):
    """The packaged unit under systemd; this process is one of its units."""
    import guest_systemd
    guest_systemd.systemd(step, build, tell)


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    tell(kernel=os.uname().release)
    for step in plan["steps"]:
        begin = time.monotonic()
        {"kernel_side": kernel_side, "system_cases": system_cases, "doctor": doctor,
         "bench": bench, "systemd": systemd}[step["do"]](step, plan["build"])
        tell(step=step["name"], done_s=time.monotonic() - begin)
    tell(end=True)


if __name__ == "__main__":
    main()
