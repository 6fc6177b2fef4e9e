#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the attacks themselves: what is missing or wrong in an answer is seen. /usr/bin/python3
tests/attacks/self_test.py"""
import os
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/system"]
import run  # noqa: E402
from attack import NAMED, Attack, Right  # noqa: E402

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


if __name__ == "__main__":
    unittest.main()
