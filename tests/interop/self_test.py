# SPDX-License-Identifier: Apache-2.0
"""Tests of the interop tests, without Go and without root: a record at the collector that lacks, adds or changes
anything is told."""
import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rows_at_collector as at_collector  # noqa: E402

WORKLOAD = {"id": "unit:backup.service", "name": "backup.service", "kind": "systemd_unit", "known_by": "kernel",
            "facts": [{"name": "keytrail.systemd.unit", "value": "backup.service", "known_by": "kernel",
                       "since": None}]}
ACTOR = {"pid": 7, "start_ns": 1, "exec": 2, "exe": "/usr/bin/aws",
         "exe_file": {"device": "8:1", "inode": 77, "deleted": True}, "program": "aws", "comm": "aws", "uid": 0,
         "user": "root", "login_user": "", "session": "", "workload": WORKLOAD}
KEY = {"id": "AKIAQQQQQQQQQQQQQQQQ", "kind": "aws.access_key", "class": "access_key", "lifetime": "long_lived",
       "principal": "", "parent": ""}
SLOT = {"from": "file", "place": "/a", "selector": "prod"}
WHEN = {"time": "2026-11-21T04:00:00.5Z", "observed": "2026-11-21T04:00:00.6Z"}
ROWS = [{"seq": 1, "type": "acquisition", **WHEN, "actor": ACTOR, "key": KEY, "slot": SLOT, "unread": "", "bulk": True,
         "baseline": False},
        {"seq": 2, "type": "use", **WHEN, "actor": ACTOR, "keys": [{"key": KEY, "slot": SLOT, "reason": "selector"}],
         "first": WHEN["time"], "last": WHEN["observed"],
         "destination": {"provider": "aws", "service": "s3", "region": "eu-west-1", "host": "h", "address": "1.2.3.4",
                         "port": 443, "action": "", "name_source": "sni", "ambiguous": False},
         "outcome": "failed", "evidence": "inferred", "reason": "selector", "reason_detail": "profile prod", "via": "",
         "connections": 3, "requests": None, "bytes_sent": 1, "bytes_received": 2},
        {"seq": 3, "type": "finding", **WHEN, "actor": ACTOR, "key": KEY, "slot": SLOT,
         "finding_type": "old_key_in_use", "severity": "high", "text": "t", "attack": ["T1552"], "subject": "s"},
        {"seq": 4, "type": "gap", **WHEN, "cause": "ring_full", "family": "open", "from": WHEN["time"],
         "to": WHEN["observed"], "lost": None, "text": "t", "scope": "", "detail": "", "kinds": []},
        {"seq": 5, "type": "revision", **WHEN, "of_seq": 3, "what": "state", "value": "resolved", "bytes_sent": 0,
         "bytes_received": 0},
        {"seq": 6, "type": "revision", **WHEN, "of_seq": 2, "what": "bytes", "value": "", "bytes_sent": 7,
         "bytes_received": 0},
        {"seq": 7, "type": "gap", **WHEN, "cause": "files_unread", "family": "open", "from": WHEN["time"],
         "to": WHEN["observed"], "lost": 2, "text": "t", "scope": "backup.service", "detail": "gone",
         "kinds": ["aws.access_key"]},
        {"seq": 8, "type": "revision", **WHEN, "of_seq": 0, "what": "workload", "value": "image a:1", "bytes_sent": 0,
         "bytes_received": 0, "workload": WORKLOAD},
]
SCOPE = {"name": "keytrail", "version": "1"}


def records(row):
    """(spans, logs) as a collector would hold them for a row."""
    base = {"attributes": at_collector.wanted_attributes(row), "resource": at_collector._resource(row, "node"),
            "scope": SCOPE}
    nano = str(at_collector.unix_nano(row["time"]))
    span = {**copy.deepcopy(base), "name": "key.acquire", "kind": 1 if row["type"] == "acquisition" else 3,
            "traceId": "a" * 32, "spanId": "b" * 16,
            "startTimeUnixNano": nano, "endTimeUnixNano": str(at_collector.unix_nano(row.get("last", row["time"])))}
    log = {**copy.deepcopy(base), "eventName": at_collector.event_of(row),
           "severityNumber": {"finding": 17, "gap": 13}.get(row["type"], 9), "timeUnixNano": nano,
           "observedTimeUnixNano": str(at_collector.unix_nano(row["observed"])),
           "body": {"stringValue": "a whole sentence"}, "traceId": "a" * 32, "spanId": "b" * 16}
    return ({row["seq"]: [span]} if row["type"] in ("acquisition", "use") else {}), {row["seq"]: [log]}


def wrong(row, spans, logs):
    return at_collector.problems_of(row, spans, logs, "node")


class Compare(unittest.TestCase):
    def test_what_is_right_passes(self):
        for row in ROWS:
            self.assertEqual(wrong(row, *records(row)), [])

    def test_time(self):
        self.assertEqual(at_collector.unix_nano("1970-01-02T00:00:01.000000007Z"), 86_401_000_000_007)
        self.assertEqual(at_collector.unix_nano("1970-01-01T00:00:00.5Z"), 500_000_000)

    def test_each_attribute_counts(self):
        for row in ROWS:
            for which in (0, 1):
                for part in ("attributes", "resource"):
                    for name in [*records(row)[which].get(row["seq"], [{part: ()}])[0][part], "something.new"]:
                        both = records(row)
                        if not both[which]:
                            continue
                        both[which][row["seq"]][0][part][name] = "changed"
                        self.assertTrue(wrong(row, *both), (row["type"], part, name))

    def test_each_field_counts(self):
        for row in ROWS:
            for which, names in ((0, ("kind", "traceId", "spanId", "startTimeUnixNano", "endTimeUnixNano", "scope")),
                                 (1, ("eventName", "severityNumber", "timeUnixNano", "observedTimeUnixNano", "body"))):
                for name in names:
                    both = records(row)
                    if not both[which]:
                        continue
                    both[which][row["seq"]][0][name] = {"scope": {"name": "x"}, "body": {"stringValue": ""}, "kind": 4,
                                                        "severityNumber": 4}.get(name, "12")
                    self.assertTrue(wrong(row, *both), (row["type"], name))

    def test_missing_records_and_repeats(self):
        for row in ROWS:
            spans, logs = records(row)
            self.assertTrue(wrong(row, spans, {}))
            if spans:
                self.assertTrue(wrong(row, {}, logs))
            logs[row["seq"]].append(copy.deepcopy(logs[row["seq"]][0]))
            self.assertEqual(wrong(row, spans, logs), [], "the same bytes twice")
            self.assertEqual(at_collector.repeats(spans, logs), 1)
            logs[row["seq"]][1]["severityText"] = "other"
            self.assertTrue(wrong(row, spans, logs), "other bytes under the same number")


if __name__ == "__main__":
    unittest.main()
