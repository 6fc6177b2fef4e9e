# SPDX-License-Identifier: Apache-2.0
"""What a collector must hold for a row of the history, made from the row's JSON as the local API gives it; and the
comparison. Pure."""
import calendar
import re

SCHEMA = "1.0"
SEVERITY = {"info": 9, "low": 12, "medium": 13, "high": 17}  # OTLP's numbers for INFO, INFO4, WARN, ERROR
EVENT = {"acquisition": "keytrail.acquire", "use": "keytrail.use", "finding": "keytrail.finding", "gap": "keytrail.gap",
         "revision": "keytrail.revision"}
INTERNAL, CLIENT = 1, 3


def unix_nano(text):
    """Nanoseconds of an RFC 3339 time in UTC."""
    day, fraction = re.fullmatch(r"([-0-9T:]+)(?:\.(\d{1,9}))?Z", text).groups()
    year, month, date, hour, minute, second = map(int, re.split("[-T:]", day))
    return calendar.timegm((year, month, date, hour, minute, second)) * 10**9 + int((fraction or "").ljust(9, "0") or 0)


def _actor(row):
    actor, file = row["actor"], row["actor"]["exe_file"]
    return {"process.pid": actor["pid"], "process.executable.path": actor["exe"],
            "keytrail.executable.device": file["device"] or "", "keytrail.executable.deleted": file["deleted"],
            **({"keytrail.executable.inode": file["inode"]} if file["inode"] else {}),
            "process.executable.name": actor["exe"].rsplit("/", 1)[-1],
            "user.id": str(actor["uid"]), "user.name": actor["user"], "keytrail.login_user": actor["login_user"],
            "keytrail.program": actor["program"], "keytrail.session": actor["session"],
            "keytrail.process.instance": f"{actor['pid']}.{actor['start_ns']}.{actor['exec']}"}


def _key(key, slot):
    place = "file.path" if slot["from"] == "file" else "keytrail.key.place"
    known = {}
    if key["id"] or key["kind"]:
        known = {"keytrail.key.id": key["id"], "keytrail.key.kind": key["kind"], "keytrail.key.class": key["class"],
                 "keytrail.key.lifetime": key["lifetime"],
                 "keytrail.key.principal": key["principal"], "keytrail.key.parent": key["parent"]}
    return {**known, "keytrail.key.from": slot["from"], place: slot["place"], "keytrail.key.selector": slot["selector"]}


def _acquisition(row):
    return {**_actor(row), **_key(row["key"], row["slot"]), "keytrail.unread": row["unread"],
            "keytrail.bulk": row["bulk"], "keytrail.baseline": row["baseline"]}


def _use(row):
    to, keys = row["destination"], row["keys"]
    if len(keys) == 1:
        which = _key(keys[0]["key"], keys[0]["slot"])
    else:
        which = {"keytrail.key.candidates": [one["key"]["id"] for one in keys]}
    failed = row["outcome"] if row["outcome"] in ("refused", "failed") else ""
    count, unit = (row["connections"], "connections") if row["requests"] is None else (row["requests"], "requests")
    return {**_actor(row), **which, "server.address": to["host"] or to["address"], "server.port": to["port"],
            "network.peer.address": to["address"],
            **{"keytrail.destination." + name: to[name]
               for name in ("provider", "service", "region", "action", "name_source", "ambiguous")},
            "keytrail.evidence": row["evidence"], "keytrail.evidence.reason": row["reason"],
            "keytrail.evidence.detail": row["reason_detail"], "keytrail.via": row["via"],
            "keytrail.outcome": row["outcome"], "keytrail.count": count,
            "keytrail.count.unit": unit, "keytrail.bytes.sent": row["bytes_sent"],
            "keytrail.bytes.received": row["bytes_received"], "error.type": failed}


def _finding(row):
    return {**_actor(row), **_key(row["key"], row["slot"]), "keytrail.finding.type": row["finding_type"],
            "keytrail.finding.severity": row["severity"],
            "keytrail.finding.subject": row["subject"], "keytrail.attack": row["attack"]}


def _gap(row):
    return {"keytrail.gap.cause": row["cause"], "keytrail.gap.family": row["family"],
            "keytrail.gap.from_unix_nano": unix_nano(row["from"]), "keytrail.gap.to_unix_nano": unix_nano(row["to"]),
            **{"keytrail.gap." + name: row[name] for name in ("scope", "detail", "kinds")},
            **({} if row["lost"] is None else {"keytrail.gap.lost": row["lost"]})}


def _revision(row):
    return {**({"keytrail.revision.of_seq": row["of_seq"]} if row["of_seq"] else {}),
            "keytrail.revision.what": row["what"], "keytrail.revision.value": row["value"],
            **{"keytrail.bytes." + way: row["bytes_" + way] for way in ("sent", "received") if row["bytes_" + way]}}


def wanted_attributes(row):
    """The complete set of attributes. What is empty or false is not sent; numbers always are."""
    known = {"acquisition": _acquisition, "use": _use, "finding": _finding, "gap": _gap,
             "revision": _revision}[row["type"]](row)
    known = {"keytrail.schema": SCHEMA, "keytrail.row.seq": row["seq"], **known}
    return {name: value for name, value in known.items() if value is True
            or (value is not False and value not in ("", []))}


def _differences(what, want, got):
    return [f"{what}: {name} is {got.get(name)!r}, expected {want.get(name)!r}"
            for name in sorted({*want, *got}) if want.get(name) != got.get(name)]


def _workload(row):
    """Of whom the row is; None of the agent itself."""
    if "actor" in row:
        return row["actor"]["workload"]
    return row["workload"] if row.get("workload", {}).get("id") else None


def _resource(row, host):
    work = _workload(row)
    if work is None:
        return {"host.name": host, "service.name": "keytrail"}
    known = {"host.name": host, "service.name": work["name"] or "unknown_service", "keytrail.workload.id": work["id"],
             "keytrail.workload.name": work["name"], "keytrail.workload.kind": work["kind"],
             "keytrail.workload.known_by": work["known_by"]}
    for fact in work["facts"]:
        known.setdefault(fact["name"], fact["value"])  # the first of a name is the one that counts
    return {name: value for name, value in known.items() if value}


def _span(row, span):
    """Name, kind, times and ids of a span, as far as one row tells."""
    use = row["type"] == "use"
    begin, end = (row["first"] or row["time"], row["last"]) if use else (row["time"], row["time"])
    want = {"kind": CLIENT if use else INTERNAL, "startTimeUnixNano": unix_nano(begin),
            "endTimeUnixNano": max(unix_nano(begin), unix_nano(end or begin)), "traceId": 32, "spanId": 16}
    if not use:
        want["name"] = "key.acquire"
    got = {"kind": span["kind"], "startTimeUnixNano": int(span["startTimeUnixNano"]),
           "endTimeUnixNano": int(span["endTimeUnixNano"]),
           "traceId": len(span["traceId"]), "spanId": len(span["spanId"]), "name": span["name"]}
    return _differences(f"span of row {row['seq']}", want, {name: got[name] for name in want})


def event_of(row):
    """Name of the log record's event."""
    return "keytrail.workload" if row.get("what") == "workload" else EVENT[row["type"]]


def _log(row, log, span):
    want = {"eventName": event_of(row),
            "severityNumber": {"finding": SEVERITY.get(row.get("severity")),
                               "gap": SEVERITY["medium"]}.get(row["type"], SEVERITY["info"]),
            "timeUnixNano": unix_nano(row["time"]), "observedTimeUnixNano": unix_nano(row["observed"] or row["time"]),
            "sentence": True}
    got = {**log, "timeUnixNano": int(log["timeUnixNano"]), "observedTimeUnixNano": int(log["observedTimeUnixNano"]),
           "sentence": len(log["body"]["stringValue"]) > 8}
    if span is not None:
        want.update({"traceId": span["traceId"], "spanId": span["spanId"]})
    return _differences(f"log of row {row['seq']}", want, {name: got.get(name) for name in want})


def problems_of(row, spans, logs, host):
    """Lines for what is wrong with a row's records at the collector; repeats of the same bytes are allowed here."""
    seq, lines = row["seq"], []
    with_span = row["type"] in ("acquisition", "use")
    for what, got, due in (("span", spans.get(seq, []), with_span), ("log", logs.get(seq, []), True)):
        if due != bool(got):
            lines.append(f"row {seq} ({row['type']}): {len(got)} {what}s")
        if any(other != got[0] for other in got[1:]):
            lines.append(f"row {seq}: its {what} came again with other content")
        for record in got[:1]:
            name = f"{what} of row {seq}"
            lines += _differences(name, wanted_attributes(row), record["attributes"])
            lines += _differences(name + ", resource", _resource(row, host), record["resource"])
            if record["scope"].get("name") != "keytrail" or not record["scope"].get("version"):
                lines.append(f"{name}: scope is {record['scope']}")
    if lines:
        return lines
    span = spans[seq][0] if with_span else None
    return ([] if span is None else _span(row, span)) + _log(row, logs[seq][0], span)


def repeats(spans, logs):
    """How many records came more than once."""
    return sum(len(got) - 1 for records in (spans, logs) for got in records.values())
