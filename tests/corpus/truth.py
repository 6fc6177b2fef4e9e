# SPDX-License-Identifier: Apache-2.0
"""What was true in a case: the cloud's log, the process events and the file opens, named by what the case expects.
Pure; no secret is in the result.

A case whose own expectations were not met (`problems`) says nothing about the agent and fails the run.
"""
import fnmatch
import os
import re


class Matcher:
    """Which processes a case means by `by`: a program or thread name, "~EXPRESSION" on the arguments, or a list of
    these."""

    def __init__(self, case):
        self._by_pid = {}
        for process in case.processes:
            self._by_pid[process.pid] = process
        self._first = case.processes[0].pid if case.processes else 0
        self._argv = case.argv
        self._comms = {who["pid"]: who["comm"] for row in case.requests for who in row["who"]}

    def _programs(self, process):
        own = [one for one in process.execs if not any(word.endswith("/enter.py") for word in one["argv"])]
        if process.pid == self._first and not (own and own[-1]["exe"]):  # gone before it was looked at
            own.append({"exe": os.path.realpath(self._argv[0]), "argv": self._argv})
        if not process.execs and process.parent in self._by_pid:  # forked, no program of its own
            own = self._programs(self._by_pid[process.parent])
        return own

    def __call__(self, pid, by):
        if by is None or isinstance(by, list):
            return by is None or any(self(pid, one) for one in by)
        process = self._by_pid.get(pid)
        if process is None:
            return False
        programs = self._programs(process)
        if by.startswith("~"):
            return any(re.search(by[1:], " ".join(one["argv"])) for one in programs)
        names = {os.path.basename(one["exe"]) for one in programs[-1:]} | {process.comm, self._comms.get(pid, "")}
        return by in names

    def instance(self, pid):
        return (pid, self._by_pid[pid].start if pid in self._by_pid else 0)

    def pids(self):
        return list(self._by_pid)


def _held(case, kind):
    """[(key name, pid, variable)] of every exec that had a planted secret in its environment, or [(key name, pid, "")]
    in its arguments."""
    found = []
    for process in case.processes:
        for one in process.execs:
            items = one["environ"].decode("utf-8", "replace").split("\0") if kind == "environment" else one["argv"]
            for item in items:
                variable = item.partition("=")[0] if kind == "environment" else ""
                found += [(name, process.pid, variable) for name, key in case.keys.items() if key["secret"] in item]
    return found


def _identifier(case, name, variable):
    """A pair of variables is named by the one that identifies it: the agent's slot of an AWS key in the environment is
    AWS_ACCESS_KEY_ID."""
    return {"AWS_SECRET_ACCESS_KEY": "AWS_ACCESS_KEY_ID"}.get(variable, variable)


def seen_acquisitions(case):
    """{(key, from, place, pid)}: every time a planted key crossed into a process, as far as the kernel or the cloud
    shows it."""
    out = set()
    for one in case.opens:
        if one["read"]:
            out |= {(name, "file", one["path"], one["pid"]) for name in case.planted.get(one["path"], ())}
    out |= {(name, "environment", _identifier(case, name, variable), pid)
            for name, pid, variable in _held(case, "environment")}
    out |= {(name, "argument", "", pid) for name, pid, _ in _held(case, "argument")}
    for row in case.requests:
        source = "metadata" if row["service"] == "metadata" else "issued"
        out |= {(name, source, row["host"], who["pid"]) for name in row["issued"] for who in row["who"]}
    pids = {process.pid for process in case.processes}
    return {one for one in out if one[3] in pids}


def acquisitions(case, matches, problems):
    """[{"key", "from", "place", "who", "wanted"}]: the expected ones, and whatever else was seen (not wanted, but no
    mistake)."""
    seen, out = seen_acquisitions(case), []
    for want in case.spec.get("acquisitions") or []:
        place, by = case.place(want.get("place", "")), want.get("by", case.spec.get("by"))
        if want["from"] == "file":
            pids = {one["pid"] for one in case.opens if one["path"] == place and matches(one["pid"], by)}
        else:
            pids = {pid for name, source, at, pid in seen if (name, source) == (want["key"], want["from"])
                    and fnmatch.fnmatch(at, place or "*") and matches(pid, by)}
        if not pids and want.get("by_construction"):
            pids = {pid for pid in matches.pids() if matches(pid, by)}
        if not pids and not want.get("optional"):
            problems.append(f"{want['key']} from {want['from']} {place} was not acquired")
        # One process is enough: which of the like reads first is the client's affair.
        out.append({"key": want["key"], "from": want["from"], "place": place, "who": [
            matches.instance(pid) for pid in sorted(pids)], "wanted": bool(pids) and not want.get("optional")})
    out += [{"key": name, "from": source, "place": place, "who": [matches.instance(pid)], "wanted": False}
            for name, source, place, pid in sorted(seen)]
    return out


def parents(case):
    """{issued key: the keys that it was bought with, and theirs}."""
    direct = {}
    for row in case.requests:
        for name in row["issued"]:
            direct.setdefault(name, set()).update(key for key in row["keys"] if key != name)

    def above(name, seen):
        for up in direct.get(name, set()) - seen:
            seen |= {up} | above(up, seen | {up})
        return seen
    return {name: above(name, set()) for name in direct}


def _fits(case, want, row):
    fields = ("provider", "service", "region", "action")
    if (not fnmatch.fnmatch(row["host"], case.fill(want.get("host", "*")))
            or any(not fnmatch.fnmatch(row[name], want.get(name, "*"))
                   for name in fields if row["provider"] != "unknown")):
        return False
    return want["key"] in row["keys"] if want["key"] != "none" else not row["keys"]


def uses(case, matches, problems):
    """[{"key", "who", "host", …, "evidence", "floor", "wanted"}], one per process, host, action and status."""
    out, covered, up = [], set(), parents(case)
    for want in case.spec.get("uses") or []:
        by, groups = want.get("by", case.spec.get("by")), {}
        for number, row in enumerate(case.requests):
            who = tuple(sorted(matches.instance(one["pid"]) for one in row["who"] if matches(one["pid"], by)))
            if who and _fits(case, want, row):
                covered.add(number)
                groups.setdefault((who, row["host"], row["action"], row["status"]), []).append(row)
        if not groups and not want.get("optional"):
            problems.append(f"{want['key']} was not used at {want.get('host')}")
        evidence = want.get("evidence", case.spec.get("evidence", "confirmed"))
        for (who, host, action, _), rows in groups.items():
            out.append({"key": want["key"], "who": list(who), "host": host, "action": action,
                        **{name: want.get(name, rows[0][name]) for name in ("provider", "service", "region")},
                        "evidence": evidence, "floor": want.get("floor", case.spec.get("floor", evidence)),
                        "wanted": not want.get("optional"), "bought_with": sorted(up.get(want["key"], ()))})
    for number, row in enumerate(case.requests):
        if number in covered:
            continue
        if row["keys"]:
            problems.append(f"a request that the case does not list: {row['keys']} at {row['host']} {row['action']} "
                            f"by {[one['comm'] for one in row['who']]}")
        else:
            out.append({"key": "none", "who": [matches.instance(one["pid"]) for one in row["who"]], "host": row["host"],
                        "action": row["action"], "provider": row["provider"], "service": row["service"],
                        "region": row["region"], "evidence": "unattributed", "floor": "unattributed", "wanted": False,
                        "bought_with": []})
    return out


def truth(case):
    """The truth of a case that ran."""
    problems = [] if case.code == case.spec.get("exit", 0) else [f"the client ended with {case.code}: {case.errors()}"]
    matches = Matcher(case)
    deny = [{**one, "pids": [pid for pid in matches.pids() if matches(pid, one["by"])] if "by" in one
             else matches.pids()} for one in case.spec.get("deny") or []]
    out = {"case": case.name, "who": [matches.instance(pid) for pid in matches.pids()],
           "keys": {name: {"id": key["id"], "kind": key["kind"]} for name, key in case.keys.items()},
           "issued": sorted({name for row in case.requests for name in row["issued"]}),
           "parents": {name: sorted(up) for name, up in parents(case).items()},
           "acquisitions": acquisitions(case, matches, problems), "uses": uses(case, matches, problems), "deny": deny}
    return {**out, "problems": problems}
