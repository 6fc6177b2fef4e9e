# SPDX-License-Identifier: Apache-2.0
"""What is compared: acquisitions and uses as short tuples, sorted. A row that is not expected, or an expected one that
is missing, is a difference. Pure."""
import re
from dataclasses import dataclass, field
from typing import Any, Optional

ANY = object()
FINGERPRINT = re.compile("fp:[0-9a-f]{32}")


def numbered(label):
    """The id of a password: whose it is, and a tag that only this node can make."""
    return re.compile(re.escape(label) + r" #[0-9a-f]{16}")


@dataclass
class Acquisition:
    """An expected acquisition. `key` is a key id, or a compiled expression where the id is a fingerprint."""
    source: str
    place: str
    key: Any
    kind: str = "aws.access_key"
    key_class: str = "access_key"
    lifetime: str = "long_lived"
    selector: str = ""
    unread: str = ""
    bulk: bool = False
    baseline: bool = False
    pid: Optional[int] = None
    exe: Optional[str] = None

    def matches(self, row):
        key, slot = row["key"], row["slot"]
        return (slot["from"] == self.source and slot["place"] == self.place and slot["selector"] == self.selector
                and same(self.key, key["id"])
                and (self.unread or (key["kind"] == self.kind and key["class"] == self.key_class
                                     and key["lifetime"] == self.lifetime))
                and row["unread"] == self.unread and row["bulk"] == self.bulk and row["baseline"] == self.baseline
                and self.pid in (None, row["actor"]["pid"]) and self.exe in (None, row["actor"]["exe"]))


@dataclass
class Use:
    """An expected use: all connections of one process to one destination. `keys` is ranked, best first."""
    evidence: str
    reason: str
    keys: list = field(default_factory=list)
    provider: str = "aws"
    service: str = "s3"
    region: str = "eu-west-1"
    host: str = "s3.eu-west-1.amazonaws.com"
    connections: Optional[int] = 1
    pid: Optional[int] = None
    exe: Optional[str] = None

    def matches(self, row):
        to = row["destination"]
        ids = [entry["key"]["id"] for entry in row["keys"]]
        return (row["evidence"] == self.evidence and same(self.reason, row["reason"]) and len(ids) == len(self.keys)
                and all(same(want, got) for want, got in zip(self.keys, ids))
                and (to["provider"], to["host"]) == (self.provider, self.host) and same(self.service, to["service"])
                and same(self.region, to["region"]) and self.connections in (None, row["connections"])
                and self.pid in (None, row["actor"]["pid"]) and self.exe in (None, row["actor"]["exe"]))


def same(want, got):
    return bool(want.fullmatch(got)) if isinstance(want, re.Pattern) else want is ANY or want == got


def _same_use(row):
    """What makes two rows the same edge of the history, but for the workload."""
    to = row["destination"]
    return (row["actor"]["exe"], to["provider"], to["service"], to["region"], to["host"], to["port"], to["action"],
            row["evidence"], row["reason"], row["outcome"], tuple(entry["key"]["id"] for entry in row["keys"]))


def merge_uses(rows, edges):
    """Rows of the same use become one. Later connections wait in a window before they become a row, so the count is
    that of the edge."""
    merged = {}
    for row in rows:
        merged.setdefault((row["actor"]["pid"], row["actor"]["start_ns"], row["actor"]["exec"], _same_use(row)),
                          {**row, "connections": 0})["connections"] += row["connections"]
    out, left = list(merged.values()), list(edges)
    for row in out:
        found = [edge for edge in left if _same_use(edge) == _same_use(row)]
        alone = sum(1 for other in out if _same_use(other) == _same_use(row)) == 1
        if len(found) == 1 and alone:
            row["connections"] = found[0]["connections"]
        left = [edge for edge in left if edge not in found]
    return out + [{**edge, "reason_detail": "an edge without a row"} for edge in left]


def show(row):
    """One line for a row, for people."""
    actor = row["actor"]
    who = f"{actor['exe']}[{actor['pid']}.{actor['exec']}]"
    if row["type"] == "acquisition":
        key, slot = row["key"], row["slot"]
        flags = "".join(f" {name}" for name in ("bulk", "baseline")
                        if row[name]) + (f" unread={row['unread']}" if row["unread"] else "")
        return (f"acquisition {who} {slot['from']} {slot['place']} [{slot['selector']}] {key['id']} {key['kind']} "
                f"{key['class']} {key['lifetime']}{flags}")
    to = row["destination"]
    keys = ", ".join(f"{entry['key']['id']} ({entry['reason']})" for entry in row["keys"])
    return (f"use {who} {to['provider']}/{to['service']}/{to['region']} {to['host']}:{to['port']} "
            f"({to['name_source']}) ×{row['connections']} {row['evidence']} {row['reason']}"
            f" \"{row.get('reason_detail', '')}\" {row['outcome']} keys: {keys or '-'}")


def compare(expected, actual):
    """Lines that tell what is missing and what is too much; empty when the sets are equal."""
    left, missing = list(actual), []
    for want in expected:
        found = next((row for row in left if want.matches(row)), None)
        if found is None:
            missing.append(want)
        else:
            left.remove(found)
    return [f"missing: {want}" for want in missing] + [f"extra:   {show(row)}" for row in left]
