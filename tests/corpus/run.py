#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the corpus: /usr/bin/python3 tests/corpus/run.py --build DIR --clients DIR [--only PATTERN] [--list] [--lines]
[--out DIR]

Real clients with planted keys call the fake cloud, whose log is the truth; the agent's rows are compared with it. Needs
root. CLIENTS is what setup.sh filled; a case whose client is not there is skipped, and named. Fails when a case itself
goes wrong, when a use is claimed for certain and wrong, when a row is wrong or a use is missed that shortfalls.yaml
does not name, when the accounting does not add up, or when a secret leaks. Ends with "N passed, N failed, N skipped".
"""
import argparse
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/system"]

import keys  # noqa: E402
import rivals  # noqa: E402
import score  # noqa: E402
import truth  # noqa: E402
import watch  # noqa: E402
from agent import Agent, Build  # noqa: E402
from client import Case  # noqa: E402
from stage.world import PATH, World, end  # noqa: E402

RIVAL_OF = 3  # without --full one case of so many has a rival run
COMPONENTS = ("venv", "awscli1", "go", "node", "java", "rust")


class CorpusWorld(World):
    """The stage of the system tests with the corpus' own cloud and a git repository in it."""
    cloud = HERE + "/cloud.py"

    def __init__(self, maker, clients):
        self.keepers = []
        super().__init__(maker)
        os.chmod(self.dir, 0o755)
        repository = self.dir + "/cloud/git/acme/app.git"
        env = {"PATH": PATH, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], env=env, check=True)
        subprocess.run(["git", "-C", repository, "config", "http.receivepack", "true"], env=env, check=True)
        subprocess.run([shutil.which("cc") or "clang-19", "-shared", "-fPIC", "-o", self.dir + "/reads.so",
                        HERE + "/programs/reads.c"], check=True)
        self._more = {f"{root}/cacert.pem": self.bundle for venv in ("venv", "venv-aws1")
                      for root, _, names in os.walk(f"{clients}/{venv}/lib") if "cacert.pem" in names}
        store = "/etc/ssl/certs/java/cacerts"
        if os.path.exists(store) and shutil.which("keytool"):
            subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "stage", "-file", self.bundle, "-keystore",
                            self.dir + "/cacerts", "-storetype", "JKS", "-storepass", "changeit"],
                           check=True, capture_output=True)
            self._more[store] = self.dir + "/cacerts"

    def binds(self):
        return {**super().binds(), **self._more}

    def close(self):
        for keeper in self.keepers:
            end(keeper)
        super().close()


def load():
    """The cases in the order of the files."""
    cases = []
    for name in sorted(os.listdir(HERE + "/cases")):
        with open(f"{HERE}/cases/{name}") as file:
            cases += yaml.safe_load(file)
    return cases


def missing(spec, clients):
    """Why the case cannot run here, or ""."""
    for need in spec.get("needs") or []:
        if need in COMPONENTS and not os.path.exists(f"{clients}/{need}.ok"):
            reason = f"{clients}/{need}.why"
            text = open(reason).read().strip() if os.path.exists(reason) else "not set up; see setup.sh"
            return f"{need}: {text}"
        if need not in COMPONENTS and not shutil.which(need, path=PATH):
            return f"no {need} on this machine"
    return ""


def rival_runs(specs, full, only):
    """The rival runs: of one case in three the next kind of rival that it can have, or of every case each kind."""
    out, turn = [], 0
    for number, spec in enumerate(specs):
        kinds = [kind for kind in rivals.kinds_of(spec) if only in ("", kind)]
        if kinds and not full and number % RIVAL_OF == 0:
            kinds, turn = [kinds[turn % len(kinds)]], turn + 1
        elif not full:
            kinds = []
        out += [rivals.with_rival(spec, kind, number) for kind in kinds]
    return out


class Run:
    def __init__(self, options):
        self.options, self.counts = options, {"ok": 0, "FAIL": 0, "skip": 0}
        self.maker, self.truths, self.better, self.limits = keys.Keys(), [], [], {}
        with open(HERE + "/shortfalls.yaml") as file:
            self.shortfalls = yaml.safe_load(file) or {}
        self.world = self.agent = None

    def say(self, verdict, name, text="", lines=()):
        self.counts[verdict] += 1
        print(f"{verdict:4}  {name}" + (f": {text}" if text else ""), flush=True)
        for line in lines:
            print("      " + line, flush=True)

    def start(self):
        self.world = CorpusWorld(self.maker, self.options.clients)
        self.agent = Agent(Build(os.path.abspath(self.options.build)), self.world.dir + "/agent")
        self.agent.start(30)
        self.processes, self.opens = watch.Processes(), watch.Opens()
        self.processes.start()
        self.opens.start()

    def client(self, spec):
        why = missing(spec, self.options.clients)
        if why:
            self.say("skip", spec["name"], why)
            return
        if "limit" in spec:
            self.limits[spec["name"]] = spec["limit"]
        case = Case(spec, self.world, self.maker, self.options.clients)
        begin = time.monotonic()
        case.run(self.processes, self.opens)
        one = truth.truth(case)
        if one["problems"]:
            self.say("FAIL", spec["name"], "the case itself went wrong", one["problems"])
        else:
            self.truths.append(one)
            print(f"ran   {time.monotonic() - begin:4.1f} s  {spec['name']}", flush=True)

    def compare(self):
        self.agent.quiet(1.0)
        rows = self.agent.rows()
        if self.options.out:
            self.keep(rows)
        scores, limits = {}, []
        for one in self.truths:
            scored = score.CaseScore(one, rows)
            scored.lines = sorted(set(scored.lines))
            if one["case"] in self.limits:
                limits.append((one["case"], scored))
                continue
            scores.setdefault(rivals.kind(one["case"]), []).append(scored)
            new, gone = score.unexpected(one["case"], scored.lines, self.shortfalls)
            new += [line + " (never allowed)" for line in scored.false_certain if line not in new]
            self.better += [f"{one['case']}: {pattern}" for pattern in gone]
            self.say("FAIL" if new else "ok", one["case"], "below the floor of shortfalls.yaml" if new else "", new)
            if self.options.lines:
                print("".join(f"      ({line})\n" for line in scored.lines if line not in new), end="")
        for line in self.better:
            print("better than shortfalls.yaml says, " + line)
        self.tables(scores, limits)

    def tables(self, scores, limits):
        plain, rival = scores.pop("", []), [one for some in scores.values() for one in some]
        for some, title in ((plain, ""), (rival, "With an unused key beside those of the case in each process")):
            if some:
                print("\n" + title if title else "")
                print(score.Total(some).table())
        if scores:
            print("\n" + score.by_kind({kind: score.Total(some) for kind, some in scores.items()}))
        for name, scored in limits:
            print(f"limit {name}: {self.limits[name]}: {len(scored.false_certain)} wrong for certain")

    def keep(self, rows):
        os.makedirs(self.options.out, exist_ok=True)
        for name, what in (("rows", rows), ("truth", self.truths), ("status", self.agent.status())):
            with open(f"{self.options.out}/{name}.json", "w") as file:
                json.dump(what, file)

    def end(self):
        """What holds of every run: the accounting adds up, no secret is anywhere."""
        errors = self.agent.accounting_errors()
        self.say("FAIL" if errors else "ok", "accounting", lines=errors)
        hits = self.agent.leaks(self.maker.secrets)
        self.say("FAIL" if hits else "ok", f"no secret of {len(self.maker.secrets)} in history, log, export, "
                 "answers or the worker's memory", lines=hits)

    def close(self):
        if self.agent:
            self.agent.close()
        if self.world:
            self.world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=HERE + "/../../build")
    parser.add_argument("--clients", default=HERE + "/../../build/corpus", help="the folder that setup.sh filled")
    parser.add_argument("--only", action="append", default=[], help="a part of a case's name, or a shell pattern")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--lines", action="store_true",
                        help="print every wrong row and missed use, also those that shortfalls.yaml names")
    parser.add_argument("--rival", choices=list(rivals.KINDS), help="only the rival runs of this kind, of every case")
    parser.add_argument("--full", action="store_true",
                        help=f"rival runs of every case with every kind, not of one in {RIVAL_OF} with one")
    parser.add_argument("--out", help="keep truth, rows and status as JSON there")
    options = parser.parse_args()
    options.clients = os.path.abspath(options.clients)
    specs = [spec for spec in load() if not options.only
             or any(word in spec["name"] or fnmatch.fnmatch(spec["name"], word) for word in options.only)]
    if options.list:
        print("\n".join(f"{spec['name']:34} {spec.get('why', '')}" for spec in specs))
        return 0
    if os.geteuid() != 0:
        print("tests/corpus needs root: namespaces, cgroups and BPF programs. Try: sudo tests/run.sh")
        return 2

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    run = Run(options)
    try:
        run.start()
        for spec in [] if options.rival else specs:
            run.client(spec)
        for spec in rival_runs(specs, options.full or options.rival, options.rival or ""):
            run.client(spec)
        run.compare()
        run.end()
    except KeyboardInterrupt:
        run.say("FAIL", "interrupted")
    finally:
        run.close()
    print(f"{run.counts['ok']} passed, {run.counts['FAIL']} failed, {run.counts['skip']} skipped")
    return 1 if run.counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
