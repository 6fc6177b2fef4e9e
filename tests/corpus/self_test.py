# SPDX-License-Identifier: Apache-2.0
"""Tests of the corpus itself: the scorer sees what is wrong and what is missing, the cloud recognises planted keys.
/usr/bin/python3 tests/corpus/self_test.py"""
import copy
import os
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/system"]
import keys  # noqa: E402
import presented  # noqa: E402
import rivals  # noqa: E402
import run  # noqa: E402
import score  # noqa: E402

TRUTH = {
    "case": "c", "who": [(7, 100)], "issued": ["issued.sts"], "parents": {"issued.sts": ["base"]},
    "keys": {"base": {"id": "AKIAQQQQQQQQQQQQQQQQ", "kind": "aws.static"}, "token": {"id": "", "kind": "github.pat"},
             "issued.sts": {"id": "ASIAQQQQQQQQQQQQQQQQ", "kind": "aws.session"}},
    "acquisitions": [{"key": "base", "from": "environment", "place": "AWS_ACCESS_KEY_ID", "who": [(7, 100)],
                      "wanted": True},
                     {"key": "token", "from": "file", "place": "/root/token", "who": [(7, 100)], "wanted": True}],
    "uses": [{"key": "base", "who": [(7, 100)], "host": "sts.amazonaws.com", "provider": "aws", "service": "sts",
              "region": "global", "action": "AssumeRole", "evidence": "confirmed", "floor": "inferred",
              "wanted": True, "bought_with": []},
             {"key": "issued.sts", "who": [(7, 100)], "host": "s3.amazonaws.com", "provider": "aws", "service": "s3",
              "region": "global", "action": "ListBuckets", "evidence": "confirmed", "floor": "possible", "wanted": True,
              "bought_with": ["base"]},
             {"key": "token", "who": [(7, 100)], "host": "api.github.com", "provider": "github", "service": "vcs",
              "region": "global", "action": "", "evidence": "confirmed", "floor": "inferred",
              "wanted": True, "bought_with": []}],
    "deny": [{"claim": "use", "key": "base", "service": "s3", "pids": [7], "why": "the base key only called STS"}]}
ACTOR = {"pid": 7, "start_ns": 100 * score.TICK_NS, "exec": 1, "exe": "/usr/bin/x"}


def acquisition(key_id, source, place):
    return {"type": "acquisition", "actor": ACTOR, "key": {"id": key_id, "kind": "k"},
            "slot": {"from": source, "place": place}, "unread": ""}


def use(key_ids, host, evidence, service="x"):
    return {"type": "use", "actor": ACTOR, "keys": [{"key": {"id": one, "kind": "k"}} for one in key_ids],
            "evidence": evidence,
            "destination": {"provider": "aws", "service": service, "region": "global", "host": host, "action": ""}}


def good():
    return [acquisition("AKIAQQQQQQQQQQQQQQQQ", "environment", "AWS_ACCESS_KEY_ID"),
            acquisition("fp:1", "file", "/root/token"), use(["AKIAQQQQQQQQQQQQQQQQ"], "sts.amazonaws.com", "inferred"),
            use(["aws.session@AKIAQQQQQQQQQQQQQQQQ", "AKIAQQQQQQQQQQQQQQQQ"], "s3.amazonaws.com", "possible", "s3"),
            use(["fp:1"], "api.github.com", "inferred")]


class Scorer(unittest.TestCase):
    def lines(self, rows, truth=None):
        scored = score.CaseScore(truth or TRUTH, rows)
        return scored.lines, scored.false_certain

    def test_a_right_answer_has_no_line(self):
        self.assertEqual(self.lines(good()), ([], []))

    def test_each_missing_row_is_seen(self):
        for number in range(len(good())):
            rows = good()
            del rows[number]
            self.assertTrue(self.lines(rows)[0], number)

    def test_swapped_keys_are_false_and_certain(self):
        rows = good()
        rows[2]["keys"], rows[4]["keys"] = rows[4]["keys"], rows[2]["keys"]
        lines, certain = self.lines(rows)
        self.assertEqual(len(certain), 2, lines)

    def test_another_process_is_no_answer(self):
        rows = good()
        rows[4]["actor"] = {**ACTOR, "start_ns": 900 * score.TICK_NS}
        self.assertIn("use api.github.com: token is missed, not inferred", self.lines(rows)[0])

    def test_a_bought_key_is_not_its_parent(self):
        rows = good()
        rows[3] = use(["AKIAQQQQQQQQQQQQQQQQ"], "s3.amazonaws.com", "inferred", "s3")
        lines, certain = self.lines(rows)
        self.assertEqual(len(certain), 2, "wrong, and what the denial forbids")
        rows[3]["evidence"] = "possible"
        self.assertEqual(self.lines(rows)[1], [])
        self.assertIn("use s3.amazonaws.com: issued.sts is missed, not possible", self.lines(rows)[0])

    def test_a_fingerprint_is_one_key(self):
        rows = good()
        rows[1]["key"]["id"] = "fp:2"
        lines, certain = self.lines(rows)
        self.assertEqual(len(certain), 1, lines)

    def test_weaker_evidence_than_the_floor_is_a_miss(self):
        rows = good()
        rows[2]["evidence"] = "possible"
        self.assertEqual(self.lines(rows)[0], ["use sts.amazonaws.com: base is possible, not inferred"])

    def test_a_use_of_nothing_is_wrong(self):
        truth = copy.deepcopy(TRUTH)
        truth["uses"] = truth["uses"][:2]
        self.assertEqual(self.lines(good(), truth)[1], ["use api.github.com: inferred k is wrong, true: no call there"])

    def test_an_unknown_destination_is_wrong_only_where_another_key_was_sent(self):
        for key_id, host, lines in (("fp:1", "nobody.test", 0), ("fp:1", "api.github.com", 0),
                                    ("AKIAQQQQQQQQQQQQQQQQ", "api.github.com", 1)):
            row = {**use([key_id], host, "possible"), "reason": "unknown_destination"}
            self.assertEqual(len(self.lines(good() + [row])[0]), lines, (key_id, host))
            self.assertEqual(self.lines(good() + [row])[1], [], "it never claims anything for certain")

    def test_the_floor_names_lines(self):
        shortfalls = {"c": {"use s3.*: * is wrong, *": "why", "use other: *": "why"}}
        new, gone = score.unexpected("c", ["use s3.x: possible k is wrong, true: a",
                                           "use y: b is missed, not possible"], shortfalls)
        self.assertEqual((new, gone), (["use y: b is missed, not possible"], ["use other: *"]))


class Cloud(unittest.TestCase):
    def setUp(self):
        maker = keys.Keys(1)
        self.keys = [maker.make("aws", "aws.static"), maker.make("token", "github.pat"), maker.make("sa", "gcp.sa")]

    def asked(self, path="/", body=b"", **headers):
        return presented.presented(self.keys, "GET", path,
                                   {name.replace("_", "-"): value for name, value in headers.items()}, body)

    def test_values(self):
        secret = self.keys[1]["secret"]
        self.assertEqual(self.asked(authorization="Bearer " + secret), [("token", True)])
        self.assertEqual(self.asked(authorization="token " + secret), [("token", True)])
        self.assertEqual(self.asked(private_token=secret), [("token", True)])
        self.assertEqual(self.asked(authorization="Bearer " + secret[:-1]), [])
        self.assertEqual(self.asked("/?token=" + secret), [("token", True)])

    def test_a_signature_of_another_secret_is_bad(self):
        key = self.keys[0]
        scope = ["20260101", "eu-west-1", "sts", "aws4_request"]
        head = {"host": "h", "x_amz_date": "20260101T000000Z"}
        for secret, good in ((key["secret"], True), ("x" * 40, False)):
            nothing = presented.hashlib.sha256(b"").hexdigest()
            request = "GET\n/\n\nhost:h\nx-amz-date:20260101T000000Z\n\nhost;x-amz-date\n" + nothing
            text = "\n".join(["AWS4-HMAC-SHA256", "20260101T000000Z", "/".join(scope),
                              presented.hashlib.sha256(request.encode()).hexdigest()])
            signature = presented._sign(secret, scope, text)
            self.assertEqual(self.asked(authorization=f"AWS4-HMAC-SHA256 Credential={key['id']}/{'/'.join(scope)}, "
                                        f"SignedHeaders=host;x-amz-date, Signature={signature}", **head),
                             [("aws", good)])


class Cases(unittest.TestCase):
    def test_every_case_is_whole(self):
        cases, maker = run.load(), keys.Keys(1)
        known = set("name why needs keys files env run exit timeout by evidence floor acquisitions uses deny "
                    "limit".split())
        self.assertEqual(len({case["name"] for case in cases}), len(cases))
        for case in cases:
            self.assertLessEqual(set(case), known, case["name"])
            names = set(case.get("keys") or {}) | {"issued." + name for name in keys.ISSUED} | {"none"}
            for part in ("acquisitions", "uses", "deny"):
                self.assertLessEqual({one["key"] for one in case.get(part) or [] if "key" in one}, names, case["name"])
            for name, one in (case.get("keys") or {}).items():
                maker.make(name, **(one if isinstance(one, dict) else {"kind": one}))

    def test_every_rival_of_every_case_can_be_made_and_is_never_its_own_provider_unless_it_says_so(self):
        maker, seen = keys.Keys(1), set()
        for number, spec in enumerate(run.load()):
            for kind in rivals.kinds_of(spec):
                made = rivals.with_rival(spec, kind, number)
                maker.make("rival", made["keys"]["rival"])
                self.assertEqual((rivals.base(made["name"]), rivals.kind(made["name"])), (spec["name"], kind))
                self.assertIn("${rival", str(made["files"]) + str(made["env"]), made["name"])
                seen.add(kind)
        self.assertEqual(seen, set(rivals.KINDS))

    def test_a_rival_that_is_accepted_lowers_floors_only(self):
        spec = {"name": "c", "keys": {"a": "aws.static"}, "floor": "inferred",
                "uses": [{"key": "a"}, {"key": "a", "floor": "unattributed"}]}
        floors = lambda name: [one.get("floor") for one in rivals.with_rival(spec, name, 0)["uses"]]
        self.assertEqual(floors("twin"), ["possible", "unattributed"])
        self.assertEqual(floors("netrc"), [None, "unattributed"])

    def test_rival_runs_turn_over_the_kinds_and_full_has_all(self):
        specs = run.load()
        some, full = run.rival_runs(specs, False, ""), run.rival_runs(specs, True, "")
        self.assertGreaterEqual(len(some), len(specs) // run.RIVAL_OF - 1)
        self.assertGreaterEqual(len({rivals.kind(one["name"]) for one in some}), len(rivals.KINDS))
        self.assertEqual({rivals.base(one["name"]) for one in full},
                         {spec["name"] for spec in specs if "limit" not in spec})


if __name__ == "__main__":
    unittest.main()
