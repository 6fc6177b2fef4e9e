#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the whole agent, on the stage of tests/system: real kernel side, real processes, a fake cloud, an OTLP
sink. Needs root.

  agent_bench.py --build DIR rest [STARTS]       memory of all roles at rest, and start to armed
  agent_bench.py --build DIR latency [CALLS]     call to row, call to acknowledged export, read of the key to
                                                 acknowledged export
  agent_bench.py --build DIR loops [MINUTES]     shell loops of curl and aws: accounting, memory, rows
  agent_bench.py --build DIR execs [COUNT]       a build's short programs, without and with a secret in their
                                                 environment
  agent_bench.py --build DIR load [MINUTES]      memory and user CPU of all roles before, under and for so many minutes
                                                 after a load (load.py)
"""
import argparse
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../system"))

import accounting  # noqa: E402
from agent import Build, UnixHttp  # noqa: E402
from case import S3, Run, SystemCase  # noqa: E402
from stage import keys  # noqa: E402
from stage.world import PYTHON, World  # noqa: E402

CREDENTIALS = "/root/.aws/credentials"
SETTLE_S = 15


def memory(pid):
    """Resident and proportional kB of one process: PSS shares a page among those that map it, so that a sum counts it
    once."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        found = {line.split(":")[0]: int(line.split()[1])
                 for line in file if line.split(":")[0] in ("Rss", "Pss", "Private_Dirty")}
    return found["Rss"], found["Pss"], found["Private_Dirty"]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def user_s(agent):
    """{role: user CPU in s}, in steps of a clock tick; openers are one."""
    out = {}
    for name, pid in roles(agent).items():
        try:
            with open(f"/proc/{pid}/stat") as file:
                ticks = int(file.read().rsplit(")", 1)[1].split()[11])
        except OSError:
            continue  # an opener that ended meanwhile
        name = "openers" if name.startswith("opener") else name
        out[name] = out.get(name, 0) + ticks / os.sysconf("SC_CLK_TCK")
    return out


def roles(agent):
    """{name: pid}; "opener" is the warden's own child that opens files."""
    named = {"warden": agent.process.pid, "worker": agent.role("worker"), "examiner": agent.role("examiner")}
    others = [pid for pid in agent.children() if pid not in named.values()]
    return {**named, **{f"opener{number or ''}": pid for number, pid in enumerate(others)}}


def quantiles(name, values, unit="ms"):
    values = sorted(values)
    pick = lambda part: values[min(len(values) - 1, int(len(values) * part))]
    print(f"{name}: n {len(values)}, p50 {pick(.5):.0f}, p90 {pick(.9):.0f}, p99 {pick(.99):.0f}, "
          f"max {values[-1]:.0f} {unit}")
    print("  raw: " + " ".join(f"{value:.0f}" for value in values))


class Bench(SystemCase):
    """Not a test case: borrows how a case plants files and starts processes."""

    def make_agent(self):
        return self.own_agent()

    # ---- at rest

    def rest(self, starts):
        for number in range(starts):
            self.agent.start()
            armed = self.agent.status()["armed_in_ms"]
            time.sleep(SETTLE_S)
            lines = {name: memory(pid) for name, pid in roles(self.agent).items()}
            total = [sum(column) for column in zip(*lines.values())]
            print(f"start {number + 1}: armed in {armed} ms; kB RSS/PSS/private dirty: "
                  + ", ".join(f"{name} {'/'.join(map(str, line))}" for name, line in lines.items())
                  + f"; all {'/'.join(map(str, total))}")
            self.agent.stop()

    # ---- latency

    def watch(self, stop):
        """Host → when its first use row came out of the API's stream."""
        seen = {}
        connection = UnixHttp(self.agent.socket, 1)
        connection.request("GET", "/v1/watch?kinds=use")
        stream = connection.getresponse()

        def follow():
            while not stop.is_set():
                try:
                    line = stream.fp.readline()
                except OSError:
                    # its time limit; a line that was begun is lost with it, and then its host is missing in the end
                    continue
                if line.startswith(b"data: "):
                    row = json.loads(line[6:])
                    seen.setdefault(row["destination"]["host"], time.time_ns())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        return seen

    def latency(self, calls):
        """Each call: a new process reads a new key and calls a host of its own. t0 is after connect, before the first
        byte of TLS."""
        self.agent.start()
        time.sleep(2)
        stop = threading.Event()
        rows, began = self.watch(stop), {}
        for _ in range(calls):
            self.plant(".aws/credentials", self.maker.aws().profile())
            _, host = self.bucket()
            said = {line["did"]: line["time_ns"]
                    for line in self.actor("read", CREDENTIALS, "call", host).wait().said()}
            began[host] = (said["read"], said["connect"])
        self.agent.quiet(2)
        time.sleep(3)
        stop.set()
        sent = {}
        for _, body, at in self.agent.sink.bodies:
            for host in began:
                if host.encode() in body:
                    sent.setdefault(host, []).append(at)
        acknowledged = {host: sorted(times)[1] for host, times in sent.items() if len(times) > 1}  # spans and logs
        print(f"{calls} calls: {len(rows.keys() & began.keys())} rows in the stream, {len(acknowledged)} acknowledged; "
              f"load {os.getloadavg()[0]:.1f}")
        print("accounting: " + ("; ".join(self.agent.accounting_errors()) or "difference 0"))
        quantiles("call to row (in the API's stream)",
                  [(at - began[host][1]) / 1e6 for host, at in rows.items() if host in began])
        quantiles("call to acknowledged export", [(at - began[host][1]) / 1e6 for host, at in acknowledged.items()])
        quantiles("key read to acknowledged export", [(at - began[host][0]) / 1e6 for host, at in acknowledged.items()])

    # ---- loops

    def loops(self, minutes):
        """Two shells, for the whole time: one starts curl with a key in its environment, one starts aws with a
        profile."""
        self.agent.start()
        key, other = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", other.profile("prod"))
        _, host = self.bucket()
        curl = self.start(["/bin/bash", "-c", f"n=0; while :; do curl -s -o /dev/null https://{host}/; n=$((n+1)); "
                           "echo $n > /root/count; done"], env=key.env())
        aws = self.start(["/bin/bash", "-c", "n=0; while :; do aws s3 ls > /dev/null; n=$((n+1)); echo $n > "
                          "/root/count; done"], env={"AWS_PROFILE": "prod"})
        begin = time.monotonic()
        pids, rows, samples = roles(self.agent), 0, []
        cpu = {name: cpu_s(pid) for name, pid in pids.items()}
        while time.monotonic() - begin < minutes * 60:
            time.sleep(5)
            status = self.agent.status()
            now = status["history"]["rows"]
            samples.append((time.monotonic() - begin, (now - rows) / 5,
                            {name: memory(pid) for name, pid in pids.items()}))
            rows = now
        counts = [open(one.path("/root/count")).read().strip() for one in (curl, aws)]
        for one in (curl, aws):
            one.process.kill()
            one.process.wait()
        status = self.agent.quiet(3, 60)
        print(f"{minutes} minutes, load {os.getloadavg()[0]:.1f}: {counts[0]} runs of curl, {counts[1]} "
              f"of aws; {status['history']['rows']} rows; rows/s in windows of 5 s: "
              f"mean {sum(one[1] for one in samples) / len(samples):.2f}, most {max(one[1] for one in samples):.1f}")
        print("accounting: " + ("; ".join(accounting.broken(status))
                                or f"difference 0 of {status['accounting']['kernel']['hits']} hits")
              + f"; lost {status['accounting']['kernel']['lost']}")
        for name, pid in pids.items():
            kb = [one[2][name][0] for one in samples]
            third = max(1, len(kb) // 3)
            print(f"{name}: RSS kB first third {sum(kb[:third]) // third}, last third {sum(kb[-third:]) // third}, "
                  f"most {max(kb)}; CPU {(cpu_s(pid) - cpu[name]) / (minutes * 60) * 100:.1f} % of a core; raw: "
                  + " ".join(str(value) for value in kb[::max(1, len(kb) // 20)]))

    # ---- load

    def sizes(self):
        """{name: PSS in kB}; openers come and go, so they are one."""
        out = {"warden": 0, "worker": 0, "examiner": 0, "openers": 0}
        for name, pid in roles(self.agent).items():
            try:
                out[name if name in out else "openers"] += memory(pid)[1]
            except (OSError, KeyError):
                continue  # an opener that ended meanwhile
        return {**out, "all": sum(out.values())}

    def show(self, what, sizes):
        print(f"{what:<30}" + "".join(f"{name} {kb / 1024:5.1f}  " for name, kb in sizes.items()) + "MB PSS",
              flush=True)

    def run_load(self, name, seconds, rate, *more):
        """One load: its peak, and user CPU for each event that the kernel side sent."""
        sent = self.agent.status()["accounting"]["kernel"]["sent"]
        begin, before = time.monotonic(), user_s(self.agent)
        load = self.start([PYTHON, "-I", os.path.join(HERE, "load.py"), str(seconds), str(rate), "/root/load", *more])
        peak = self.sizes()
        while load.process.poll() is None:
            time.sleep(1)
            now = self.sizes()
            peak = {role: max(peak[role], now[role]) for role in now}
        did = load.wait().output().strip()
        time.sleep(3)  # what waits is done; questions would count, too
        spent = {role: s - before.get(role, 0) for role, s in user_s(self.agent).items()}
        every = sum(spent.values())
        took = time.monotonic() - begin
        beyond = every - self.idle * took
        status = self.agent.quiet(2, 60)
        events = max(status["accounting"]["kernel"]["sent"] - sent, 1)
        self.show(f"{name}, most of each", peak)
        print(f"  {did}\n  {events} events; user CPU " + ", ".join(f"{role} {s:.2f} s" for role, s in spent.items())
              + f"; {every / events * 1e6:.1f} us an event, {beyond / events * 1e6:.1f} beyond what rest takes, "
              f"{spent['worker'] / events * 1e6:.1f} of the worker, {events / took:.0f} events/s\n"
              f"  load average {os.getloadavg()[0]:.1f}; lost {status['accounting']['kernel']['lost']}; accounting: "
              + ("; ".join(accounting.broken(status)) or "difference 0"), flush=True)

    def load(self, minutes):
        """Peaks are those of samples, one a second."""
        self.agent.start()
        time.sleep(SETTLE_S)
        begin = sum(user_s(self.agent).values())
        time.sleep(SETTLE_S)
        self.idle = (sum(user_s(self.agent).values()) - begin) / SETTLE_S
        rest = self.sizes()
        self.show("at rest", rest)
        print(f"  user CPU {self.idle * 100:.2f} % of a core")
        self.run_load("not examined", 30, 50)
        self.run_load("examined too", 60, 50, "examined")
        for minute in range(1, int(minutes) + 1):
            time.sleep(60)
            if minute in (1, 2, 3, 5, 10) or minute == int(minutes):
                after = self.sizes()
                self.show(f"{minute} min after, {after['all'] / rest['all']:.2f} of rest", after)

    # ---- execs

    def execs(self, count):
        """As many programs as a build starts, one after the other; CPU of all roles for each."""
        self.agent.start()
        loop = f"i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done"
        secret = self.maker.text(12)
        for name, env in (("plain", {}), ("DATABASE_URL", {"DATABASE_URL": f"postgres://app:{secret}@db/x"}),
                          ("PGPASSWORD", {"PGPASSWORD": secret})):
            pids, begin = roles(self.agent), time.monotonic()
            cpu = {role: cpu_s(pid) for role, pid in pids.items()}
            self.start(["/bin/sh", "-c", loop], env=env).wait(seconds=600)
            took = time.monotonic() - begin
            status = self.agent.quiet(3, 60)
            used = {role: cpu_s(pid) - cpu[role] for role, pid in pids.items()}
            all_s = sum(used.values())
            print(f"{name}: {count} execs in {took:.1f} s, load {os.getloadavg()[0]:.1f}; CPU "
                  f"{all_s / took * 100:.1f} % of a core, {all_s / count * 1e6:.0f} us an exec ("
                  + ", ".join(f"{role} {value:.2f} s" for role, value in used.items())
                  + "); accounting: "
                  + ("; ".join(accounting.broken(status)) or "difference 0")
                  + f"; lost {status['accounting']['kernel']['lost']}; rows {status['history']['rows']}")


def run(bench, doc, usual):
    """The command line of a bench: `usual` is {method: the type of its number, and that when none is given}."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("what", choices=usual)
    parser.add_argument("count", nargs="?", type=float)
    options = parser.parse_args()
    kind, count = usual[options.what]
    try:
        Run.build, Run.maker = Build(os.path.abspath(options.build)), keys.Maker()
        Run.world = World(Run.maker)
        os.chmod(Run.world.dir, 0o755)
        bench._testMethodName = options.what
        bench.setUp()
        getattr(bench, options.what)(kind(options.count or count))
    finally:
        bench.doCleanups()
        Run.close()


if __name__ == "__main__":
    run(Bench(), __doc__, {"rest": (int, 3), "latency": (int, 100), "loops": (float, 10), "execs": (int, 10000),
                           "load": (int, 5)})
