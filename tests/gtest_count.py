# SPDX-License-Identifier: Apache-2.0
"""Counts the tests in the output of GoogleTest programs, also as `ctest --verbose` shows several of them at once ("12:
[       OK ] A.B (0 ms)").

Usage: gtest_count.py LOG. Prints a line "skip  NAME: reason" per skipped test and at the end "PASSED FAILED SKIPPED". A
program that failed without a failed test (it crashed, or ran out of time) counts as one failed test.
"""
import re
import sys

_LINE = re.compile(r"^(?:(\d+): )?(.*)$")
_MARK = re.compile(r"^\[ *(RUN|OK|FAILED|SKIPPED) *\] ([\w/.]+)( \(\d+ ms\)|, where .*)?$")
_PROGRAM = re.compile(r"^ *\d+/\d+ Test +#(\d+): (\S+) \.*\** *(Passed|Failed|Not "
                      r"Run|Timeout|\S*Exception.*|Subprocess.*)")


def count(text):
    """(passed, failed, [(name, reason of the skip)])."""
    passed, failed, skipped, said, failed_in = 0, set(), [], {}, set()
    for raw in text.splitlines():
        program, line = _LINE.match(raw).groups()
        ended = _PROGRAM.match(raw)
        if ended:
            if ended.group(3) != "Passed" and ended.group(1) not in failed_in:
                failed.add(f"program {ended.group(2)}")
            continue
        mark = _MARK.match(line)
        if not mark:
            said.setdefault(program, []).append(line)
            continue
        kind, name, timed = mark.groups()
        if kind == "RUN":
            said[program] = []
        elif timed is None or not timed.startswith(" ("):
            continue  # the list at the end
        elif kind == "OK":
            passed += 1
        elif kind == "FAILED":
            failed.add(name)
            failed_in.add(program)
        else:
            words = [one.strip() for one in said.get(program, []) if one.strip()
                     and not one.strip().endswith(": Skipped")]
            skipped.append((name, " ".join(words) or "no reason given"))
    return passed, len(failed), skipped


if __name__ == "__main__":
    with open(sys.argv[1], errors="replace") as file:
        good, bad, left = count(file.read())
    for name, reason in left:
        print(f"skip  {name}: {reason}")
    print(good, bad, len(left))
