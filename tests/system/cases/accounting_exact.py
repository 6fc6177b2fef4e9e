# SPDX-License-Identifier: Apache-2.0
"""The accounting is exact, and it would tell: an increment that is skipped turns it red."""
import json
import os
import subprocess

import accounting
from case import S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"


class Accounting(SystemCase):
    """An agent of its own, because its books are cooked at the end."""

    def make_agent(self):
        return self.own_agent().start()

    def test_a_skipped_increment_turns_the_accounting_red(self):
        """Root takes one from a counter of the kernel side while the agent runs: what a program would leave that forgot
        one increment."""
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])
        self.agent.quiet()
        self.finish()  # difference 0 up to here
        self.take_one()
        self.agent.quiet()
        errors = self.agent.accounting_errors(limit=3)
        self.assertTrue(errors, "one increment is missing and the accounting does not tell")
        self.assertTrue(any("difference" in line for line in errors), errors)

    def counters_map(self):
        """The id of the map "counters" that this agent's warden holds; another agent may run on this machine."""
        folder = f"/proc/{self.agent.process.pid}/fdinfo"
        for name in os.listdir(folder):
            with open(f"{folder}/{name}") as file:
                found = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            if "map_id" in found:
                shown = subprocess.run(["bpftool", "--json", "map", "show", "id", found["map_id"].strip()],
                                       capture_output=True, check=True).stdout
                if json.loads(shown).get("name") == "counters":
                    return int(found["map_id"])
        self.fail("the warden holds no map \"counters\"")

    def take_one(self):
        """Lowers one non-zero "sent" counter of the family open by one: the map has one value per CPU, 8 counters of 8
        bytes per family (event_abi.h)."""
        at = (1 * 8 + 3) * 8
        number = self.counters_map()
        for entry in json.loads(subprocess.run(["bpftool", "--json", "map", "dump", "id", str(number)],
                                               capture_output=True, check=True).stdout):
            value = bytes(int(byte, 16) for byte in entry["value"])
            sent = int.from_bytes(value[at:at + 8], "little")
            if sent > 0:
                value = value[:at] + (sent - 1).to_bytes(8, "little") + value[at + 8:]
                subprocess.run(["bpftool", "map", "update", "id", str(number),
                                "key", "hex", *(byte[2:] for byte in entry["key"]),
                                "value", "hex", *(f"{byte:02x}" for byte in value)], check=True)
                return
        self.fail("no counter to take from")


class EveryTerm(SystemCase):
    def test_each_term_of_the_live_status_is_checked(self):
        """Every number of the accounting, one more or one less, breaks an identity: no term is shown that nobody
        checks."""
        _, host = self.bucket()
        self.actor("call", host).wait()
        self.expect([], [Use("unattributed", "no_key_seen", [], host=host)])
        status = self.agent.quiet()
        self.assertEqual(accounting.broken(status), [])
        changed = 0
        for path in terms(status):
            for step in (1, -1):
                self.assertTrue(accounting.broken(with_term(status, path, step)), f"{path} {step:+d} goes unnoticed")
                changed += 1
        self.assertGreater(changed, 40)


def terms(status):
    """Paths of all numbers of the accounting."""
    def walk(value, path):
        if isinstance(value, bool):
            return
        if isinstance(value, int):
            yield path
        elif isinstance(value, dict):
            for name in value:
                yield from walk(value[name], (*path, name))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from walk(item, (*path, number))
    yield from walk(status["accounting"], ("accounting",))
    yield from walk(status["families"], ("families",))


def with_term(status, path, step):
    copy = json.loads(json.dumps(status))
    at = copy
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] += step
    return copy
