#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the attacks themselves: what is missing or wrong in an answer is seen. /usr/bin/python3
tests/attacks/self_test.py"""
import glob
import os
import re
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/system"]
import run  # noqa: E402
from attack import NAMED, Attack, Right  # noqa: E402

TESTS = os.path.dirname(HERE)
PROJECT = os.path.dirname(TESTS)
ID, OTHER, HOST = "AKIAQQQQQQQQQQQQQQQQ", "AKIAZZZZZZZZZZZZZZZZ", "b.s3.test"
ATTACK = types.SimpleNamespace(key=types.SimpleNamespace(id=ID), true=ID, host=HOST, address="198.18.1.1")


def taken(key_id=ID, unread=""):
    return {"type": "acquisition", "actor": {"pid": 7}, "key": {"id": key_id}, "slot": {"place": "/x"},
            "unread": unread}


def used(key_id=ID, evidence="inferred", host=HOST, reason="only_key_held", claimed=False):
    return {"type": "use", "actor": {"pid": 7}, "evidence": evidence, "reason": reason,
            "keys": [{"key": {"id": key_id}}] if key_id else [],
            "destination": {"host": host, "address": "198.18.1.9", "claimed": claimed}}


class Answers(unittest.TestCase):
    def faults(self, right, rows, **changes):
        return Attack.faults(types.SimpleNamespace(**{**vars(ATTACK), **changes}), right, rows)

    def test_a_right_answer_has_no_fault(self):
        self.assertEqual(self.faults(Right(taken=True, by=7, place="/x", used=NAMED), [taken(), used()]), [])

    def test_what_is_missing_is_a_fault(self):
        for right, rows in ((Right(taken=True), [used()]), (Right(taken=True, by=8), [taken()]),
                            (Right(taken=True, place="/y"), [taken()]), (Right(taken=True), [taken("", "gone")]),
                            (Right(used=NAMED), [taken()]), (Right(used=("possible",)), [used()]),
                            (Right(used=NAMED), [used(host="elsewhere.test")]),
                            (Right(used=NAMED, reason="relay_or_hub"), [used()]),
                            (Right(used=NAMED, claimed=True), [used()]),
                            (Right(used=("possible",)), [used(OTHER, "possible")])):
            self.assertEqual(len(self.faults(right, rows)), 1, (right, rows))
        self.assertEqual(self.faults(Right(taken=True, or_unread=True), [taken("", "gone")]), [])

    def test_another_key_for_certain_is_a_fault_whatever_is_right(self):
        rows = [taken(), used(), used(OTHER)]
        self.assertEqual(len(self.faults(Right(taken=True, used=NAMED), rows)), 1)
        self.assertEqual(len(self.faults(Right(stated="key"), [used(OTHER)])), 1)
        self.assertEqual(len(self.faults(Right(used=NAMED), [used()], true="")), 1, "no key was sent")

    def test_a_stated_limit_must_be_stated(self):
        self.assertEqual(self.faults(Right(taken=True, stated="What it does not see"), []), [])
        self.assertEqual(len(self.faults(Right(taken=True, stated="it sees all that there is"), [])), 1)


class Known(unittest.TestCase):
    def test_a_known_failure_fails_nothing_and_a_mended_one_is_named(self):
        known = {"a": "why"}
        self.assertEqual(run.verdict("a", ["x"], known)[::2], ("skip", "fails, and that is known: why"))
        self.assertEqual(run.verdict("b", ["x"], known), ("FAIL", "b", "x"))
        self.assertIn("better", run.verdict("a", [], known)[2])
        self.assertEqual(run.verdict("b", [], known), ("ok", "b", ""))

    def test_each_known_failure_is_an_attack(self):
        self.assertEqual(set(run.known_failures()) - {name for name, _ in run.find()}, set())


def text_of(path):
    with open(path) as file:
        return file.read()


def table(text):
    """(attack, answer, [names of tests]) of each row; rows that name a group have no answer and are left out."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")]
            for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| attack |"))]
    return [(row[0], row[1] if len(row) > 1 else "", re.findall("`([^`]+)`", row[2]) if len(row) > 2 else [])
            for row in rows]


def tests_there_are():
    """Every name that a row may have, as README.md says how they are written."""
    names = {name for name, _ in run.find()}
    for path in glob.glob(TESTS + "/system/cases/*.py"):
        case = os.path.basename(path)[:-3]
        names |= {f"system/{case}.{name}" for name in re.findall(r"^    def test_(\w+)\(", text_of(path), re.M)}
    for path in glob.glob(TESTS + "/**/*.cpp", recursive=True):
        names |= {".".join(name)
                  for name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", text_of(path), re.M)}
    names |= {"fuzz/" + os.path.basename(path)[:-4] for path in glob.glob(TESTS + "/fuzz/*.cpp")}
    return names | {os.path.relpath(path, PROJECT) for path in glob.glob(TESTS + "/*/*.py")}


def faults_of(rows, names, readme):
    """What is wrong in the table, one line each."""
    out = []
    for attack, answer, shown in rows:
        if not re.match(r"(D|P|A|X|declared)\b", answer):
            out.append(f"{attack}: \"{answer}\" is no answer")
        if re.search(r"\bP\b(?!: \S)", answer):
            out.append(f"{attack}: P without its reason")
        if re.search(r"\bdeclared\b(?!: \")", answer):
            out.append(f"{attack}: declared where? The words of the project's README are missing")
        out += [f"{attack}: the project's README does not say \"{words}\""
                for words in re.findall('"([^"]+)"', answer) if words not in readme]
        if not shown:
            out.append(f"{attack}: nothing shows it")
        out += [f"{attack}: there is no test {name}" for name in shown if name not in names]
    return out


class Table(unittest.TestCase):
    """The table of README.md is true as far as a program can tell."""
    def test_each_row_has_an_answer_and_tests_that_there_are(self):
        rows = table(text_of(HERE + "/README.md"))
        self.assertGreater(len(rows), 70)
        readme = " ".join(text_of(PROJECT + "/README.md").split())
        self.assertEqual(faults_of(rows, tests_there_are(), readme), [])

    def test_each_case_stands_in_a_row(self):
        shown = {name for _, _, names in table(text_of(HERE + "/README.md")) for name in names}
        self.assertEqual({name for name, _ in run.find()} - shown, set())

    def test_what_is_wrong_in_a_row_is_seen(self):
        for answer, shown, count in (("D", ["a.b"], 0), ("D", ["a.c"], 1), ("D", [], 1), ("seen", ["a.b"], 1),
                                     ("P", ["a.b"], 1), ("P: why", ["a.b"], 0), ("D, or P", ["a.b"], 1),
                                     ("declared: \"x y\"", ["a.b"], 0), ("declared: \"z\"", ["a.b"], 1),
                                     ("declared", ["a.b"], 1), ("D; declared", ["a.b"], 1)):
            self.assertEqual(len(faults_of([("x", answer, shown)], {"a.b"}, "it says x y")), count, (answer, shown))
        self.assertEqual(table("| attack | answer | shown by |\n|---|---|---|\n| **G** | | |\n"
                               "| x | D | `a.b`, `c` |\n"), [("x", "D", ["a.b", "c"])])


if __name__ == "__main__":
    unittest.main()
