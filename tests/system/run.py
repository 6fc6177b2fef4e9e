#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the system cases: /usr/bin/python3 tests/system/run.py --build DIR [--only PATTERN] [--no-feature NAME] [--list]
[--keep] [--cases DIR]

Needs root (network and mount namespaces, cgroups, BPF). Prints a line per case, each skip with its reason, and at the
end "N passed, N failed, N skipped".
"""
import argparse
import fnmatch
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from stage import keys  # noqa: E402
from stage.world import World  # noqa: E402


def find_cases(folder):
    """All tests of a folder named "cases", in the order of the files and of the lines. Its parent's modules can be
    imported."""
    loader = unittest.TestLoader()
    loader.sortTestMethodsUsing = None
    flat, todo = [], [loader.discover(folder, pattern="*.py", top_level_dir=os.path.dirname(folder))]
    if loader.errors:
        raise SystemExit("\n".join(loader.errors))
    while todo:
        item = todo.pop(0)
        if isinstance(item, unittest.TestSuite):
            todo = list(item) + todo
        else:
            flat.append(item)
    return flat


def short(case):
    return f"{type(case).__module__.split('.')[-1]}.{type(case).__name__}.{case._testMethodName}"


def chosen(name, patterns):
    return not patterns or any(fnmatch.fnmatch(name, pattern) or pattern in name for pattern in patterns)


def known_failures():
    """Cases that show a shortfall of the product which is not mended yet: name → why. Each is run all the same and
    named in the summary."""
    with open(HERE + "/known_failures.txt") as file:
        return dict(line.rstrip("\n").split(": ", 1) for line in file if line.strip() and not line.startswith("#"))


def run_one(case):
    """("ok" | "FAIL" | "skip", text)."""
    result = unittest.TestResult()
    case.run(result)
    problems = [text for _, text in result.errors + result.failures]
    if problems and short(case) in known_failures():
        return "skip", "fails, and that is known: " + known_failures()[short(case)]
    if problems:
        return "FAIL", "\n".join(problems)
    if result.skipped:
        return "skip", result.skipped[0][1]
    return "ok", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"),
                        help="folder with keytrail, keytrail-warden and keytrail-examiner")
    parser.add_argument("--only", action="append", default=[],
                        help="a part of a case's name, or a shell pattern; may be given more than once")
    parser.add_argument("--no-feature", action="append", default=[], metavar="NAME", help="take a kernel feature from "
                        "every agent (keytrail-warden --help); may be given more than once")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--cases", default=HERE + "/cases", help="another folder of cases on the same stage")
    options = parser.parse_args()
    cases = [case for case in find_cases(os.path.abspath(options.cases)) if chosen(short(case), options.only)]
    if options.list:
        print("\n".join(short(case) for case in cases))
        return 0
    if not cases:
        print("0 passed, 0 failed, 0 skipped")
        return 0
    if os.geteuid() != 0:
        print("tests/system needs root: namespaces, cgroups and BPF programs. Try: sudo tests/run.sh")
        return 2
    from case import Run
    from agent import Agent, Build
    Agent.common_options = ["--no-feature=" + name for name in options.no_feature]

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    try:
        Run.build = Build(os.path.abspath(options.build))
        Run.maker = keys.Maker()
        Run.world = World(Run.maker)
        os.chmod(Run.world.dir, 0o755)
        for case in cases:
            begin = time.monotonic()
            verdict, text = run_one(case)
            counts[verdict] += 1
            print(f"{verdict:4} {time.monotonic() - begin:6.1f} s  {short(case)}"
                  + (f": {text}" if verdict == "skip" else ""), flush=True)
            if verdict == "FAIL":
                print("      " + text.replace("\n", "\n      "), flush=True)
        if options.keep:
            print("kept: " + Run.world.dir)
    except KeyboardInterrupt:
        print("interrupted")
        counts["FAIL"] += 1
    finally:
        Run.close()
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
