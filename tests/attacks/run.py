#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the attacks: /usr/bin/python3 tests/attacks/run.py --build DIR [--only PATTERN] [--list] [--rows]

Needs root. All attacks go on beside each other against one agent, on the stage of the system tests; then it is asked
once. Prints a line per attack, each skip with its reason, and ends with "N passed, N failed, N skipped". An attack that
known_failures.txt names fails nothing; one that is answered rightly in spite of that is named.
"""
import argparse
import fnmatch
import importlib
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/system"]

from agent import Build  # noqa: E402
from case import Run  # noqa: E402
from rows import show  # noqa: E402
from stage import keys  # noqa: E402
from stage.world import World  # noqa: E402

AT_ONCE = 8  # processes
UNABLE = 77  # a thief's exit status: the kernel or the machine does not offer this way


def find():
    """Every attack, (name, object), in the order of files and lines; floods last, since whoever comes after them reads
    past all their rows."""
    out = []
    for file in sorted(os.listdir(HERE + "/cases"), key=lambda file: (file == "floods.py", file)):
        if file.endswith(".py"):
            module = importlib.import_module("cases." + file[:-3])
            out += [(f"{file[:-3]}.{name[7:]}", kind(name)) for kind in vars(module).values()
                    if isinstance(kind, type) and kind.__module__ == module.__name__
                    for name in vars(kind) if name.startswith("attack_")]
    return out


def known_failures(path=HERE + "/known_failures.txt"):
    """name → why."""
    with open(path) as file:
        return dict(line.rstrip("\n").split(": ", 1) for line in file if line.strip() and not line.startswith("#"))


def verdict(name, faults, known):
    """("ok" | "FAIL" | "skip", name, text) of an attack that happened."""
    if not faults:
        return "ok", name, "better than known_failures.txt says: take it out there" if name in known else ""
    if name in known:
        return "skip", name, "fails, and that is known: " + known[name]
    return "FAIL", name, "; ".join(faults)


class Runner:
    def __init__(self, options, attacks):
        self.options, self.attacks, self.known = options, attacks, known_failures()
        self.counts, self.begun = {"ok": 0, "FAIL": 0, "skip": 0}, []

    def say(self, result, name, text="", lines=()):
        self.counts[result] += 1
        print(f"{result:4}  {name}" + (f": {text}" if text else ""), flush=True)
        for line in lines:
            print("      " + line, flush=True)

    def act(self):
        for name, attack in self.attacks:
            live = [one for _, other, _ in self.begun for one in other.started[-1:] if one.process.poll() is None]
            if len(live) >= AT_ONCE:
                self.ended(live[0])
            attack.setUp()
            self.begun.append((name, attack, getattr(attack, attack._testMethodName)()))

    @staticmethod
    def ended(one):
        """Its exit status; who does not end is ended."""
        try:
            return one.process.wait(20)
        except subprocess.TimeoutExpired:
            one.process.kill()
            return one.process.wait()

    def judge(self):
        for _, attack, _ in self.begun:
            self.ended(attack.started[-1])
        agent = Run.agent()
        agent.quiet(1.0)
        rows = agent.rows()
        for name, attack, right in self.begun:
            last, mine = attack.started[-1], attack.mine(rows)
            shown = [show(row) for row in mine if row["type"] in ("acquisition", "use")][-8:]
            shown = shown if self.options.rows else []
            if last.process.returncode == UNABLE:
                self.say("skip", name, last.errors().strip(), shown)
            elif last.process.returncode != 0:
                self.say("FAIL", name, "the attack itself went wrong: " + last.errors()[-500:], shown)
            else:
                self.say(*verdict(name, attack.faults(right, mine), self.known), shown)
        errors = agent.accounting_errors()
        self.say("FAIL" if errors else "ok", "accounting", lines=errors)
        hits = agent.leaks([secret for _, attack, _ in self.begun for secret in attack.maker.secrets])
        self.say("FAIL" if hits else "ok", "no secret in history, log, export, answers or memory", lines=hits)

    def close(self):
        for _, attack, _ in self.begun:
            attack.doCleanups()
        Run.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=HERE + "/../../build")
    parser.add_argument("--only", action="append", default=[], help="a part of an attack's name, or a shell pattern")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--rows", action="store_true", help="print each attack's rows")
    options = parser.parse_args()
    attacks = [(name, attack) for name, attack in find() if not options.only
               or any(word in name or fnmatch.fnmatch(name, word) for word in options.only)]
    if options.list:
        print("\n".join(name for name, _ in attacks))
        return 0
    if os.geteuid() != 0:
        print("tests/attacks needs root: namespaces, cgroups and BPF programs. Try: sudo tests/run.sh")
        return 2

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    runner = Runner(options, attacks)
    try:
        Run.build, Run.maker = Build(os.path.abspath(options.build)), keys.Maker()
        Run.world = World(Run.maker)
        os.chmod(Run.world.dir, 0o755)
        runner.act()
        runner.judge()
    except KeyboardInterrupt:
        runner.say("FAIL", "interrupted")
    finally:
        runner.close()
    print(f"{runner.counts['ok']} passed, {runner.counts['FAIL']} failed, {runner.counts['skip']} skipped")
    return 1 if runner.counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
