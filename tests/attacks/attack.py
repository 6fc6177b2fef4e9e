# SPDX-License-Identifier: Apache-2.0
"""The base of every attack: a system case that acts, and says what a right answer is. run.py starts all of them beside
each other and asks once."""
import os
from dataclasses import dataclass
from typing import Optional

from case import PYTHON, SystemCase

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
THIEF = HERE + "/thief.py"
CREDENTIALS = "/srv/home/.aws/credentials"
FREE = "/srv/free"
NAMED = ("inferred", "possible")
ANY = NAMED + ("unattributed",)


@dataclass
class Right:
    """A right answer. Whatever it is, no use may be claimed for certain with another key than the attack's."""
    taken: bool = False               # an acquisition of the key …
    by: Optional[int] = None          # … by this process …
    place: str = ""                   # … at this place
    or_unread: bool = False           # … or a row of the process that says why it could not be read
    used: tuple = ()                  # a use at the attack's host with one of these evidences …
    listed: bool = True               # … lists the key, unless it is unattributed …
    reason: str = ""                  # … and has this reason
    claimed: Optional[bool] = None    # … and its name is only claimed
    stated: str = ""                  # or nothing of all this: the project's README says so, in these words

    def faults(self, attack, rows):
        return self._missing(attack, rows) and (self._unstated() if self.stated else self._missing(attack, rows))

    def _unstated(self):
        with open(PROJECT + "/README.md") as file:
            text = " ".join(file.read().split())
        return [] if self.stated in text else [f"README.md does not say \"{self.stated}\""]

    def _missing(self, attack, rows):
        out = []
        if self.taken and not any((row["key"]["id"] == attack.key.id or self.or_unread and row["unread"])
                                  and self.by in (None, row["actor"]["pid"])
                                  and self.place in ("", row["slot"]["place"])
                                  for row in rows if row["type"] == "acquisition"):
            out.append("no acquisition of the key" + (f" by process {self.by}" if self.by else "")
                       + (f" at {self.place}" if self.place else ""))
        if self.used and not any(self._fits(attack, row) for row in rows if row["type"] == "use"):
            out.append(f"no use at {attack.host or attack.address} that is {' or '.join(self.used)}"
                       + (f", {self.reason}" if self.reason else "")
                       + (" and lists the key" if self.listed else ""))
        return out

    def _fits(self, attack, row):
        to = row["destination"]
        return (row["evidence"] in self.used and self.reason in ("", row["reason"])
                and (attack.host != "" and to["host"] == attack.host or to["address"] == attack.address)
                and self.claimed in (None, to["claimed"])
                and (not self.listed or row["evidence"] == "unattributed"
                     or attack.key.id in [entry["key"]["id"] for entry in row["keys"]]))


class Attack(SystemCase):
    """Methods `attack_…` act and return a Right. `true` is the id of the key that is sent, "" for none."""

    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.true, self.host = self.key.id, self.bucket()[1]
        self.address = self.world.command("address " + self.host)
        self.more = {}  # files of the disk beside the key

    def disk(self, mode=0o600):
        """A folder on a disk, mounted on /srv, with the key where AWS clients look for it below any home."""
        if not hasattr(self, "srv"):
            self.srv = self.filled("disk", {"home/.aws/credentials": (self.key.profile(), mode), **self.more})
            os.mkdir(self.srv + "/free")
        return {"/srv": self.srv}

    def thief(self, *words, program=PYTHON, **options):
        return self.start([program, "-I", THIEF, *words], binds=self.disk(), **options)

    def take(self, way, right=None, out=True):
        self.thief("take", way, CREDENTIALS, *(["out", "plain", self.host] if out else []))
        return right or Right(taken=True, used=NAMED if out else ())

    def mine(self, all_rows):
        """By cgroup or process alone: other attacks go on at the same time."""
        pids = {one.pid for one in self.started}
        return [row for row in all_rows if "actor" in row and (row["actor"]["pid"] in pids or row["actor"]["workload"]
                .get("cgroup", "").endswith(self.cgroup))]

    def faults(self, right, rows):
        """What is wrong in the answer, one line each."""
        certain = [row for row in rows if row["type"] == "use" and row["evidence"] in ("inferred", "confirmed")]
        wrong = [f"{row['evidence']} {', '.join(entry['key']['id'] for entry in row['keys'])} at "
                 f"{row['destination']['host'] or row['destination']['address']} is wrong"
                 for row in certain if [entry["key"]["id"] for entry in row["keys"]] != [self.true]]
        return wrong + (right(rows) if callable(right) else right.faults(self, rows))
