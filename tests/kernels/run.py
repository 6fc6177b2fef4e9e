#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Proves the hooks that this machine's kernel may not have: sudo tests/kernels/run.py --build DIR [--kernel 6.12|6.1]
[--full] [--only PATTERN] [--systemd] [--bench]

Boots Debian's kernel in QEMU on this machine's own file system (read-only) and runs there: the tests of the kernel
side, `keytrail doctor` for every alternative, and system cases with fentry and with kprobe. Default: a selection, and
what --minutes do not suffice for is skipped by name; --full: the cases of FULL with each twin, then the packaged unit
under systemd. Ends with
"N passed, N failed, N skipped".
"""
import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import vm  # noqa: E402

CASES = ["test_connections_are_counted", "test_one_thread_reads_and_another_calls",
         "test_when_nobody_reads_the_new_key"]
FULL = ["files.", "environment.", "metadata.", "decoys.", "lineage.", "rotation.", "restarts.", "closed_world."]
# Both twins of every hook: the features to take away, the hook of the open family that is left, and the programs that
# must run.
TWINS = [(twin, without, {kernel: [f"{twin}__file_open_{how}", f"{twin}__file_receive", f"{twin}__unix_stream_connect"]
                          for kernel, how in (("6.12", "fast"), ("6.1", "slow"))})
         for twin, without in (("fentry", ["connect_unix"]), ("kprobe", ["fentry", "connect_unix"]))]
OPEN, UNIX = "open", "connect"
# What must be answered when features are taken away: family, hook.
ALTERNATIVES = [([], OPEN, "fentry security_file_open"),
                (["rdonly_cast"], OPEN, "fentry security_file_open with probe_read"),
                (["fentry"], OPEN, "kprobe security_file_open"),
                (["fentry", "rdonly_cast"], OPEN, "kprobe security_file_open with probe_read"),
                (["fentry", "kprobe"], OPEN, "tracepoint sys_exit_openat"),
                (["fentry", "kprobe", "rdonly_cast"], OPEN, "tracepoint sys_exit_openat with probe_read"),
                (["fentry", "kprobe", "tracepoint"], OPEN, ""),
                (["rdonly_cast"], "exec", "tp_btf sched_process_exec with probe_read"),
                (["rdonly_cast"], UNIX, "cgroup connect4, connect6 with probe_read"),
                (["rdonly_cast"], "lifetime", "tp_btf sched_process_fork, sched_process_exit with probe_read"),
                ([], UNIX, "cgroup connect_unix"), (["connect_unix"], UNIX, "fentry security_unix_stream_connect"),
                (["fentry", "connect_unix"], UNIX, "kprobe security_unix_stream_connect"),
                (["fentry", "connect_unix", "kprobe"], UNIX, "tracepoint sys_enter_connect")]
NOT_ON_6_1 = {"rdonly_cast", "connect_unix"}
# Its own services, a person's way in, and jobs.
SYSTEMD_PACKAGES = ["systemd", "dbus", "libpam-systemd", "cron", "openssh-server", "openssh-client"]
SYSTEMD_BOOT = "init=/lib/systemd/systemd systemd.unit=keytrail-tests.target fstab=no"
# Without every test of the verifier alone: the first run of the kernel side has them.
AGAIN = "Accounting*:Connect*:Heartbeat*:Open*:Received*:Sweep*"


def alternatives(kernel):
    """(features to take away, family, hook) that this kernel can show: on one without a feature the same hook needs one
    less taken away."""
    out = []
    for without, family, hook in ALTERNATIVES:
        if kernel == "6.1":
            lacks_cast = hook in ("fentry security_file_open", "kprobe security_file_open",
                                  "tracepoint sys_exit_openat")
            if lacks_cast or hook == "cgroup connect_unix":
                continue
            without = [name for name in without if name not in NOT_ON_6_1]
        out.append((without, family, hook))
    return out


def steps(options):
    """What matters most comes first."""
    cases = [{"name": "cases, " + name, "do": "system_cases", "without": without,
              "cases": options.only or (FULL if options.full else CASES)} for name, without, _ in TWINS]
    benches = [{"name": "bench, " + name, "do": "bench", "without": without, "rounds": 5}
               for name, without, _ in [*TWINS, ("tracepoint", ["fentry", "kprobe"], {})]]
    if options.bench:
        return benches
    if options.only:
        return cases
    answers = []
    for without, _, _ in alternatives(options.kernel):
        if without not in answers:
            answers.append(without)
    out = [{"name": "kernel side, fentry", "do": "kernel_side", "without": [], "filter": "*"}, *cases,
           {"name": "kernel side, kprobe", "do": "kernel_side", "without": ["fentry", "connect_unix"], "filter": AGAIN},
           {"name": "doctor", "do": "doctor", "each_without": answers}]
    return out


class Report:
    """Counts what the guest says and prints a line for each result."""

    def __init__(self, kernel):
        self.done = set()
        self.kernel, self.counts, self.ended, self._tests, self._begin = kernel, {
            "ok": 0, "FAIL": 0, "skip": 0}, False, {}, time.monotonic()

    def result(self, verdict, text):
        self.counts[verdict] += 1
        print(f"{verdict:4}  {text}", flush=True)

    def take(self, event):
        if "kernel" in event:
            print(f"      Linux {event['kernel']} is up after {time.monotonic() - self._begin:.0f} s", flush=True)
        self.ended |= event.get("end", False)
        step = event.get("step", "")
        if "test" in event:
            self._take_test(step, event)
        elif "rows" in event or "error" in event:
            self._take_doctor(event)
        elif "runs" in event:
            self._take_runs(step, event["runs"])
        elif step.startswith(("kernel", "bench")) and "status" in event:
            passed, skipped = self._tests.get(step, [0, 0])
            self.result("ok" if event["status"] == 0 and (passed or step.startswith("bench")) else "FAIL",
                        f"{step}: {passed} tests, {skipped} of them need a newer kernel" if passed else step)
        if "done_s" in event:
            self.done.add(step)
            print(f"      {step}: {event['done_s']:.0f} s of the guest's", flush=True)

    def _take_test(self, step, event):
        tests = self._tests.setdefault(step, [0, 0])
        tests[0] += 1
        if step.startswith(("cases", "systemd")):
            self.result(event["verdict"], f"{step}: {event['test']} ({event['seconds']:.0f} s)")
        elif event["verdict"] == "FAIL":
            self.result("FAIL", f"{step}: {event['test']}")
        elif event["verdict"] == "skip":
            tests[1] += 1
            if self.kernel != "6.1":  # nothing is missing in a newer one
                self.result("FAIL", f"{step}: {event['test']} was skipped")

    def _take_doctor(self, event):
        words = " ".join("--no-feature=" + name for name in event["without"]) or "nothing taken away"
        if "error" in event:
            self.result("FAIL", f"doctor, {words}: {event['error']}")
            return
        rows = {row["family"]: row for row in event["rows"] if "family" in row}
        for without, family, hook in alternatives(self.kernel):
            if without == event["without"]:
                how = rows[family]["how"]
                right = how.split(", ")[0] == hook if family == OPEN else hook in how
                self.result("ok" if right else "FAIL", f"doctor, {words}: {family}: {how or 'not armed'}; "
                            f"costs: {rows[family]['cost'] or 'nothing elsewhere'}; does not "
                            f"see: {rows[family]['missing'] or '-'}")

    def _take_runs(self, step, runs):
        wanted = next(programs[self.kernel] for name, _, programs in TWINS if step == "cases, " + name)
        for name in wanted:
            self.result("ok" if runs.get(name) else "FAIL", f"{step}: {name} ran {runs.get(name, 0)} times")
        others = {name for name in runs if name.startswith(("fentry__", "kprobe__", "tracepoint__"))
                  and runs[name]} - set(wanted)
        if others:
            self.result("FAIL", f"{step}: other twins ran too: {', '.join(sorted(others))}")
        print("      " + ", ".join(f"{name} {count}" for name, count in sorted(runs.items())), flush=True)


def run_machine(options, report, kernel, plan, until, systemd=None):
    """One machine that does the steps of `plan`; `until`: the monotonic time at which it ends. `systemd`: packages to
    lie over its root, of which systemd is the first process."""
    work = tempfile.mkdtemp(prefix="run-", dir=os.path.join(options.build, "kernels"))
    machine, report.ended = None, False
    job = ["/usr/bin/python3", HERE + "/guest.py", work + "/plan.json"]
    try:
        with open(work + "/plan.json", "w") as file:
            json.dump({"build": options.build, "steps": plan}, file)
        more = {}
        if systemd:
            write_units(work + "/units", job)
            more = {"layers": [systemd, work + "/units"], "boot": SYSTEMD_BOOT}
        machine = vm.Machine(kernel, work, job, [SOURCE, options.build], options.accel, options.icount, **more)
        for line in machine.lines(until - time.monotonic()):
            if line.startswith("@@ "):
                report.take(json.loads(line[3:]))
            else:
                print(line, flush=True)
        if not report.ended:
            report.result("FAIL", "the guest did not end in order:\n" + machine.console()[-3000:])
    except TimeoutError as error:  # a slow machine; but a VM that does nothing at all is a failure
        for step in plan:
            if step["name"] not in report.done:
                report.result("skip" if report.done else "FAIL", f"{step['name']}: {error}")
    finally:
        if machine:
            machine.close()
        shutil.rmtree(work, ignore_errors=True)


def write_units(layer, job):
    """What systemd starts there: the job, and nothing that this machine has enabled for itself."""
    units = layer + "/etc/systemd/system"
    os.makedirs(units)
    for name in ("timers.target", "sockets.target"):
        os.symlink("/dev/null", f"{units}/{name}")
    with open(units + "/keytrail-tests.target", "w") as file:
        file.write("[Unit]\nRequires=sysinit.target keytrail-tests.service\n")
    with open(units + "/keytrail-tests.service", "w") as file:
        file.write("[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=sysinit.target dbus.socket\n"
                   "SuccessAction=poweroff-immediate\nFailureAction=poweroff-immediate\n[Service]\n"
                   f"ExecStart={' '.join(job)}\nEnvironment=PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 HOME=/root\n"
                   "StandardOutput=file:/dev/ttyS1\nStandardError=inherit\n")


def run(options):
    report = Report(options.kernel)
    folder = os.path.join(options.build, "kernels")
    os.makedirs(folder, exist_ok=True)
    vm.need_programs()
    kernel = vm.fetch_kernel(options.kernel, folder)
    until = time.monotonic() + options.minutes * 60
    if not options.systemd:
        run_machine(options, report, kernel, steps(options), until)
    if options.systemd or (options.full and not (options.bench or options.only)):
        try:
            packages = vm.fetch_packages(SYSTEMD_PACKAGES, folder)
        except vm.Unavailable as reason:
            report.result("skip", f"systemd: {reason}")
            return report
        run_machine(options, report, kernel,
                    [{"name": "systemd", "do": "systemd", "only": options.only}], until, packages)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True,
                        help="the build folder; the kernel's package is kept in its folder kernels")
    parser.add_argument("--kernel", choices=sorted(vm.META_PACKAGES), default="6.12")
    parser.add_argument("--full", action="store_true",
                        help="the system cases of FULL (files to closed_world) with each twin, then systemd")
    parser.add_argument("--only", action="append", default=[],
                        help="only system cases, those whose name holds this; of --systemd its parts")
    parser.add_argument("--systemd", action="store_true", help="only the packaged unit under systemd")
    parser.add_argument("--bench", action="store_true",
                        help="only the kernel side's price (needs a build with -DKEYTRAIL_BENCH=ON)")
    parser.add_argument("--icount", action="store_true", help="let the guest's clock count instructions (for --bench)")
    parser.add_argument("--accel", default="tcg,thread=multi",
                        help="QEMU's accelerator; kvm where Debian's kernels boot on it")
    parser.add_argument("--minutes", type=float, default=15, help="when to stop (15)")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if os.geteuid() != 0:
        print("tests/kernels needs root. Try: sudo tests/run.sh")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the machine too
    begin = time.monotonic()
    try:
        counts = run(options).counts
    except vm.Unavailable as reason:
        print(f"skip  kernels ({options.kernel}): {reason}")
        counts = {"ok": 0, "FAIL": 0, "skip": 1}
    print(f"      {time.monotonic() - begin:.0f} s in all")
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
