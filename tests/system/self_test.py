# SPDX-License-Identifier: Apache-2.0
"""Tests of the tests, without root: the comparison finds what is missing and what is too much, the scanner finds each
encoding, the accounting finds each wrong term."""
import base64
import json
import os
import sys
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import accounting  # noqa: E402
import canary  # noqa: E402
import case  # noqa: E402
import gtest_count  # noqa: E402
import rows  # noqa: E402
from cases.accounting_exact import terms, with_term  # noqa: E402
from stage import apis, names  # noqa: E402

ACTOR = {"pid": 7, "start_ns": 1, "exec": 2, "exe": "/usr/bin/cat", "workload": {"cgroup": "/c"}}
KEY = {"id": "AKIAQQQQQQQQQQQQQQQQ", "kind": "aws.access_key", "class": "access_key", "lifetime": "long_lived"}
ACQUISITION = {"type": "acquisition", "actor": ACTOR, "key": KEY, "slot": {
    "from": "file", "place": "/a", "selector": "default"}, "unread": "", "bulk": False, "baseline": False}
USE = {"type": "use", "actor": ACTOR, "keys": [{"key": KEY, "slot": ACQUISITION["slot"], "reason": "only_key_held"}],
       "evidence": "inferred", "reason": "only_key_held",
       "destination": {"provider": "aws", "service": "s3", "region": "eu-west-1", "host": "s3.eu-west-1.amazonaws.com",
                       "port": 443, "action": "", "name_source": "sni"}, "outcome": "unknown", "connections": 1}


def status():
    families = [{"family": name, "hits": 10 + n, "filtered": 5, "sent": 4, "lost": {"ring_full": 1 + n},
                 "difference": 0} for n, name in enumerate(("exec", "open"))]
    return {"families": families, "accounting": {
        "kernel": {"hits": 21, "filtered": 10, "sent": 8, "lost": 3, "difference": 0},
        "worker": {"sent": 8, "received": 8, "recorded": 3, "absorbed": 4, "dropped": {"malformed": 1}, "in_flight": 0,
                   "difference": 0}, "exporters": [{"name": "sink", "rows": 5, "acknowledged": 2, "rejected": 1,
                                                    "expired": 1, "waiting": 1, "difference": 0}]}}


class Comparison(unittest.TestCase):
    def test_equal_sets(self):
        self.assertEqual(rows.compare([rows.Acquisition("file", "/a", KEY["id"], selector="default")], [ACQUISITION]),
                         [])
        self.assertEqual(rows.compare([rows.Use("inferred", "only_key_held", [KEY["id"]])], [USE]), [])

    def test_an_extra_row_fails(self):
        self.assertEqual(len(rows.compare([], [ACQUISITION])), 1)
        self.assertEqual(len(rows.compare([rows.Use("inferred", "only_key_held", [KEY["id"]])], [USE, USE])), 1)

    def test_a_missing_row_fails(self):
        self.assertEqual(len(rows.compare([rows.Use("inferred", "only_key_held", [KEY["id"]])], [])), 1)

    def test_each_field_of_a_use_counts(self):
        for field, value in (("evidence", "possible"), ("reason", "selector"), ("keys", []), ("connections", 2)):
            self.assertEqual(len(rows.compare([rows.Use("inferred", "only_key_held", [KEY["id"]])],
                                              [{**USE, field: value}])), 2, field)
        for field in ("provider", "service", "region", "host"):
            other = {**USE, "destination": {**USE["destination"], field: "x"}}
            self.assertEqual(len(rows.compare([rows.Use("inferred", "only_key_held", [KEY["id"]])], [other])), 2, field)

    def test_each_field_of_an_acquisition_counts(self):
        want = rows.Acquisition("file", "/a", KEY["id"], selector="default")
        for part, field in (("slot", "from"), ("slot", "place"), ("slot", "selector"), ("key", "id"), ("key", "kind"),
                            ("key", "class"), ("key", "lifetime")):
            self.assertEqual(len(rows.compare([want], [{**ACQUISITION, part: {**ACQUISITION[part], field: "x"}}])), 2,
                             field)
        for field, value in (("unread", "gone"), ("bulk", True), ("baseline", True)):
            self.assertEqual(len(rows.compare([want], [{**ACQUISITION, field: value}])), 2, field)

    def test_windows_of_one_use_are_one(self):
        edge = {**USE, "type": "edge", "connections": 5}
        self.assertEqual([row["connections"] for row in rows.merge_uses([USE, USE], [edge])], [5])
        self.assertEqual(len(rows.merge_uses([], [edge])), 1, "an edge without a row is seen")


class Mine(unittest.TestCase):
    """Which rows of the agent that the cases share are a case's own."""

    def test_a_row_without_a_cgroup_counts_unless_it_happened_before(self):
        one = case.SystemCase()
        one.started, one.cgroup, one.begin_ns = [], "/w/this", 1_700_000_000_500_000_000  # 2023-11-14T22:13:20.5Z
        now, before = "2023-11-14T22:13:20.600000000Z", "2023-11-14T22:12:20.600000000Z"

        def row(cgroup, at):
            return {**USE, "time": at, "actor": {**ACTOR, "workload": {"cgroup": cgroup}}}
        own, untold = row("/x/w/this", before), row("", now)
        self.assertEqual(one.mine([own, untold, row("", before), row("/x/w/other", now)]), [own, untold])


class Canary(unittest.TestCase):
    SECRET = "aB3/dE6+gH9jK2mN5pQ8rS1tU4vW7xY0zA2bC5dF"

    def found(self, data):
        return canary.Scanner([self.SECRET]).hits(b"before " + data + b" after", "here")

    def test_encodings(self):
        raw = self.SECRET.encode()
        self.assertTrue(self.found(raw))
        self.assertTrue(self.found(raw[::-1]))
        self.assertTrue(self.found(raw.hex().encode()))
        self.assertTrue(self.found(raw.hex().upper().encode()))
        self.assertTrue(self.found(urllib.parse.quote(self.SECRET, safe="").encode()))
        for phase in range(3):
            self.assertTrue(self.found(base64.b64encode(b"xyz"[:phase] + raw + b"tail")), phase)
            self.assertTrue(self.found(base64.urlsafe_b64encode(b"xyz"[:phase] + raw + b"tail")), phase)

    def test_parts(self):
        self.assertTrue(self.found(self.SECRET[:20].encode()))
        self.assertTrue(self.found(self.SECRET[-20:].encode()))

    def test_nothing_else(self):
        self.assertEqual(self.found(b"AKIAQQQQQQQQQQQQQQQQ " * 50), [])

    def test_many_secrets_are_looked_for_at_once(self):
        scanner = canary.Scanner([f"{self.SECRET[number:]}{number:06}{self.SECRET[:number]}" for number in range(30)])
        self.assertGreater(len(scanner._forms), canary.MANY)
        self.assertEqual(scanner.hits(b"nothing\n" * 1000, "here"), [])
        for form in list(scanner._forms)[::97]:
            self.assertTrue(scanner.hits(b"before " + form + b" after", "here"), scanner._forms[form])

    def test_own_memory(self):
        held = bytes(reversed(self.SECRET.encode()))  # kept reversed, so that the scanner's own forms are what it finds
        hits = [hit for name, data in canary.process_memory(os.getpid())
                for hit in canary.Scanner([self.SECRET]).hits(data, name)]
        self.assertTrue(hits and held)


class Accounting(unittest.TestCase):
    def test_it_adds_up(self):
        self.assertEqual(accounting.broken(status()), [])

    def test_each_wrong_term_is_found(self):
        for path in terms(status()):
            for step in (1, -1):
                self.assertTrue(accounting.broken(with_term(status(), path, step)), path)

    def test_a_difference_that_is_shown_wrong_is_found(self):
        lying = json.loads(json.dumps(status()))
        lying["families"][0]["hits"] += 1
        lying["accounting"]["kernel"]["hits"] += 1
        self.assertEqual(len(accounting.broken(lying)), 4)


class Counting(unittest.TestCase):
    LOG = ("3: [ RUN      ] A.B\n4: [ RUN      ] C.D\n3: [       OK ] A.B (0 ms)\n4: x.cpp:1: Skipped\n4: no root\n"
           "4: [  SKIPPED ] C.D (0 ms)\n4: [ RUN      ] C.E\n4: [  FAILED  ] C.E (1 ms)\n4: [  FAILED  ] "
           "C.E\n1/3 Test #3: a_test ....   Passed    0.10 sec\n2/3 Test #4: c_test ....***Failed    0.10 sec\n"
           "3/3 Test #5: d_test ....***Exception: SegFault  0.10 sec\n")

    def test_passed_failed_skipped_and_crashed(self):
        self.assertEqual(gtest_count.count(self.LOG), (1, 2, [("C.D", "no root")]))


class Stage(unittest.TestCase):
    def test_key_id_of_a_signature(self):
        header = ("AWS4-HMAC-SHA256 Credential=AKIAQQQQQQQQQQQQQQQQ/20260101/eu-west-1/s3/aws4_request, "
                  "SignedHeaders=host, Signature=0")
        self.assertEqual(apis.key_id_of({"authorization": header}, "/"), "AKIAQQQQQQQQQQQQQQQQ")
        self.assertEqual(apis.key_id_of({}, "/"), "")

    def test_a_name_keeps_its_address(self):
        known = names.Names(lambda _: None)
        self.assertEqual(known.address_of("a.test"), known.address_of("A.test."))
        self.assertNotEqual(known.address_of("a.test"), known.address_of("b.test"))
        known.share("c.test", "a.test")
        self.assertEqual(known.address_of("c.test"), known.address_of("a.test"))


if __name__ == "__main__":
    unittest.main()
