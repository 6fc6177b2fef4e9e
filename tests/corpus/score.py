# SPDX-License-Identifier: Apache-2.0
"""Compares an agent's rows with the truth of a run: precision and recall per evidence, and one line for every row that
is wrong and every use that is missed. Pure."""
import collections
import fnmatch
import re

LEVELS = ("confirmed", "inferred", "possible", "unattributed")
STRENGTH = {"confirmed": 3, "inferred": 2, "possible": 1, "unattributed": 0}
TICK_NS = 10_000_000  # of a process's start in /proc/PID/stat
# Kind of a key whose id is not visible ("aws.session@PARENT") → kinds of this corpus.
ISSUED_KINDS = {"aws.session": {"aws.session"}, "gcp.access_token": {"gcp.access"}, "azure.access_token": {"azure.jwt"},
                "registry.password": {"aws.ecr"}, "aws.ecr_password": {"aws.ecr"}}


def ticks_of(row):
    return row["actor"]["start_ns"] // TICK_NS


def same_process(instances, row):
    return any(pid == row["actor"]["pid"] and abs(start - ticks_of(row)) <= 2 for pid, start in instances)


def place_fits(want, place):
    """A metadata place is "ADDRESS PATH"; a variable, host or path is compared whole, but for kubelet's generation
    folder; an empty one is not told."""
    want = re.sub(r"/\.\.[^/]+(?=/)", "", want)
    return want == "" or fnmatch.fnmatch(place, want) or place.split(" ")[0] == want


class CaseScore:
    """One case: its rows against its truth. `lines` tells each difference; `false_certain` those that claim too
    much."""

    def __init__(self, truth, rows):
        self.truth, self.lines, self.false_certain = truth, [], []
        rows = [row for row in rows if row["type"] in ("use", "acquisition") and same_process(truth["who"], row)]
        self.uses = [row for row in rows if row["type"] == "use"]
        self.acquisitions = [row for row in rows if row["type"] == "acquisition"]
        self.precision = {level: collections.Counter() for level in LEVELS}
        self.recall = {level: collections.Counter() for level in LEVELS}
        self.sources, self.fields = collections.defaultdict(collections.Counter), collections.Counter()
        self.unknown = collections.Counter()
        self._learn()
        self._judge_acquisitions()
        self._judge_uses()
        self._judge_denials()

    # ---- which planted keys may a row's key be?

    def _learn(self):
        """An opaque fingerprint, or a password by its tag, is the key that was acquired there; one cannot be two
        keys, nor the other way round."""
        votes = {}
        for row in self.acquisitions:
            key_id = row["key"]["id"]
            if not key_id.startswith("fp:") and " #" not in key_id:
                continue
            here = {one["key"] for one in self.truth["acquisitions"] if self._is_there(one, row)}
            if here:
                votes[key_id] = votes.get(key_id, here) & here
        self._learnt = {}
        for key_id, names in sorted(votes.items(), key=lambda vote: len(vote[1])):
            left = sorted(names - set(self._learnt.values()))
            if left:
                self._learnt[key_id] = left[0]

    @staticmethod
    def _is_there(one, row):
        slot = row["slot"]
        return same_process(one["who"], row) and one["from"] == slot["from"] and place_fits(one["place"], slot["place"])

    def names(self, key_id):
        """Names of the planted keys that this id stands for; empty when it is none of them."""
        found = {name for name, key in self.truth["keys"].items() if key["id"] and key["id"] == key_id}
        if found or key_id in self._learnt:
            return found or {self._learnt[key_id]}
        kind, at, parent = key_id.partition("@")
        kinds = ISSUED_KINDS.get(kind, ()) if at else ()
        issued = {name for name in self.truth["issued"] if self.truth["keys"][name]["kind"] in kinds}
        if parent.startswith("role"):
            return {name for name in issued
                    if not any(one["from"] == "issued" and one["key"] == name for one in self.truth["acquisitions"])}
        bought_with = self.names(parent) if parent else set()
        return {name for name in issued if bought_with & set(self.truth["parents"].get(name, ()))}

    # ---- acquisitions

    def _judge_acquisitions(self):
        met = set()
        for row in self.acquisitions:
            source, names = row["slot"]["from"], self.names(row["key"]["id"])
            hits = [number for number, one in enumerate(self.truth["acquisitions"]) if one["key"] in names
                    and self._is_there(one, row)]
            self.sources[source]["right" if hits else "unread" if row["unread"] else "other"] += 1
            met.update(hits)
            if not hits:
                self.lines.append(f"acquisition {source} {row['slot']['place']}: " + (
                    f"unread ({row['unread']})" if row["unread"] else f"{row['key']['kind']} is no planted key"))
        for number, one in enumerate(self.truth["acquisitions"]):
            if one["wanted"]:
                self.sources[one["from"]]["true"] += 1
                self.sources[one["from"]]["found"] += number in met
                if number not in met:
                    self.lines.append(f"acquisition {one['from']} {one['place']}: {one['key']} is missed")

    # ---- uses

    def _there(self, row):
        """The true uses of that process at that host."""
        host = row["destination"]["host"]
        return [one for one in self.truth["uses"] if same_process(one["who"], row) and host in ("", one["host"])]

    def _judge_uses(self):
        best = {}
        for row in self.uses:
            level, there = row["evidence"], self._there(row)
            said = set().union(*(self.names(entry["key"]["id"]) for entry in row["keys"]))
            hits = [one for one in there if level == "unattributed" or one["key"] in said]
            parent = [one for one in there if said & set(one["bought_with"])]
            if hits:
                verdict = "right"
                first = self.names(row["keys"][0]["key"]["id"]) if row["keys"] else set()
                self.precision[level]["first"] += level == "possible" and hits[0]["key"] in first
                self._compare_fields(hits[0], row["destination"])
            else:
                # The key that the true one was bought with is neither right nor wrong, unless it is said for certain.
                verdict = "parent" if parent and level == "possible" else "wrong"
            if row.get("reason") == "unknown_destination" and level == "possible":
                # It says that whoever holds these keys sent something to a place that nobody knows. That is right where
                # one of them was sent, wrong where another was; where none was, it says nothing wrong.
                sent = any(one["key"] != "none" for one in there)
                verdict = "right" if hits else "wrong" if sent else "none sent"
                self.unknown[verdict] += 1
            self.precision[level][verdict] += 1
            if verdict == "wrong":
                named = ", ".join(entry["key"]["kind"] for entry in row["keys"])
                true = ", ".join(sorted({one["key"] for one in there})) or "no call there"
                line = f"use {row['destination']['host']}: {level} {named} is wrong, true: {true}"
                self.lines.append(line)
                if level in ("confirmed", "inferred"):
                    self.false_certain.append(line)
            for one in hits:
                best[id(one)] = max(best.get(id(one), -1), STRENGTH[level])
        for one in self.truth["uses"]:
            if one["wanted"]:
                self._recall(one, best.get(id(one), -1))

    def _recall(self, one, got):
        counts = self.recall[one["evidence"]]
        counts["true"] += 1
        counts["found"] += got >= 0
        counts["floor"] += got >= STRENGTH[one["floor"]]
        counts["strongest"] += got >= STRENGTH[one["evidence"]]
        if got < STRENGTH[one["floor"]]:
            self.lines.append(f"use {one['host']}: {one['key']} is {LEVELS[3 - got] if got >= 0 else 'missed'}, "
                              f"not {one['floor']}")

    def _compare_fields(self, one, destination):
        for name in ("provider", "service", "region", "action"):
            want, got = one[name], destination[name]
            if want in ("", "*", "unknown") or (name == "region" and want.startswith(("from-", "local"))):
                continue
            self.fields[name, "right" if got == want else "absent" if not got else "other"] += 1

    def _judge_denials(self):
        """What must not be claimed. A decoy may be listed among the possible."""
        for rule in self.truth["deny"]:
            for row in self.uses:
                claimed = set().union(*(self.names(entry["key"]["id"]) for entry in row["keys"]))
                levels = ("confirmed", "inferred") if rule["claim"] == "use" else (rule["claim"],)
                service = row["destination"]["service"]
                if (row["actor"]["pid"] in rule["pids"] and row["evidence"] in levels
                        and ("key" not in rule or rule["key"] in claimed) and rule.get("service", service) == service):
                    line = f"use {row['destination']['host']}: {row['evidence']} breaks a denial ({rule['why']})"
                    self.lines.append(line)
                    self.false_certain.append(line)


class Total:
    """The sum over all cases, and the table of it."""

    def __init__(self, scores):
        self.precision = {level: sum((one.precision[level] for one in scores), collections.Counter())
                          for level in LEVELS}
        self.recall = {level: sum((one.recall[level] for one in scores), collections.Counter()) for level in LEVELS}
        self.fields = sum((one.fields for one in scores), collections.Counter())
        self.unknown = sum((one.unknown for one in scores), collections.Counter())
        self.sources = {name: sum((one.sources[name] for one in scores), collections.Counter())
                        for name in sorted({name for one in scores for name in one.sources})}

    def table(self):
        """Markdown, for people and for the README."""
        out = ["| evidence | claims | right | parent | wrong | precision | true uses, strongest provable | found | "
               "at their floor | recall |", "|---|---|---|---|---|---|---|---|---|---|"]
        for level in LEVELS:
            told, true = self.precision[level], self.recall[level]
            claims = told["right"] + told["wrong"] + told["parent"]
            out.append(f"| {level} | {claims} | {told['right']} | {told['parent']} | {told['wrong']} "
                       f"| {percent(told['right'], told['right'] + told['wrong'])} | {true['true']} | {true['found']} "
                       f"| {true['floor']} | {percent(true['floor'], true['true'])} |")
        out += ["", "| key from | true | found | recall | claims | right | unread |", "|---|---|---|---|---|---|---|"]
        for name, one in self.sources.items():
            out.append(f"| {name} | {one['true']} | {one['found']} | {percent(one['found'], one['true'])} "
                       f"| {one['right'] + one['other'] + one['unread']} | {one['right']} | {one['unread']} |")
        fields = ", ".join(
            f"{name} {'/'.join(str(self.fields[name, verdict]) for verdict in ('right', 'absent', 'other'))}"
            for name in ("provider", "service", "region", "action"))
        return "\n".join([*out, "", f"Destination of right uses (right/absent/other): {fields}. "
                          f"Of {self.precision['possible']['right']} right possible, "
                          f"{self.precision['possible']['first']} rank the true key first. "
                          f"Of {self.unknown.total()} rows at unknown destinations {self.unknown['right']} list the "
                          f"key that was sent; at {self.unknown['none sent']} none was."])


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def by_kind(totals):
    """What is claimed beside each kind of rival, {kind: Total}."""
    out = ["| rival | inferred | wrong | possible | wrong | true key first | unattributed | wrong |",
           "|---|---|---|---|---|---|---|---|"]
    for kind, total in totals.items():
        told = total.precision
        cells = [told["inferred"]["right"] + told["inferred"]["wrong"], told["inferred"]["wrong"],
                 sum(told["possible"][name] for name in ("right", "wrong", "parent")), told["possible"]["wrong"],
                 told["possible"]["first"], told["unattributed"]["right"] + told["unattributed"]["wrong"],
                 told["unattributed"]["wrong"]]
        out.append("| " + " | ".join([kind, *map(str, cells)]) + " |")
    return "\n".join(out)


def unexpected(case, lines, shortfalls):
    """Lines that no written shortfall of the case covers, and written ones that did not happen. A rival run
    ("CASE+KIND") has those of its case, and its own."""
    written = {**shortfalls.get(case.partition("+")[0], {}), **shortfalls.get(case, {})}
    new = [line for line in lines if not any(fnmatch.fnmatchcase(line, pattern) for pattern in written)]
    return new, [pattern for pattern in written if not any(fnmatch.fnmatchcase(line, pattern) for line in lines)]
