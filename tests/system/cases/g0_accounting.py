# SPDX-License-Identifier: Apache-2.0
"""Group 0: the accounting is exact, and it would tell: an increment that is skipped turns it red."""
import json
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
        """Root takes one from a counter of the kernel side while the agent runs: what a program would leave that forgot one increment."""
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")], [Use("inferred", "only_key_held", [key.id])])
        self.agent.quiet()
        self.finish()  # difference 0 up to here
        self.take_one()
        self.agent.quiet()
        errors = self.agent.accounting_errors(limit=3)
        self.assertTrue(errors, "one increment is missing and the accounting does not tell")
        self.assertTrue(any("difference" in line for line in errors), errors)

    def take_one(self):
        """Lowers one non-zero "sent" counter of the family open by one, in the map that the warden's process holds."""
        bpftool = ["bpftool", "--json"]
        maps = json.loads(subprocess.run([*bpftool, "map", "show"], capture_output=True, check=True).stdout)
        mine = [one for one in maps if "counters" in one["name"] and self.agent.process.pid in [p["pid"] for p in one.get("pids", [])]]
        mine = mine or [max((one for one in maps if "counters" in one["name"]), key=lambda one: one["id"])]
        number = str(mine[0]["id"])
        entries = json.loads(subprocess.run([*bpftool, "map", "dump", "id", number], capture_output=True, check=True).stdout)
        per_family, sent, families = 8, 3, 6
        for entry in entries:
            index = int.from_bytes(bytes(int(x, 16) for x in entry["key"]), "little") if isinstance(entry["key"], list) else int(entry["key"])
            value = int.from_bytes(bytes(int(x, 16) for x in entry["value"]), "little") if isinstance(entry["value"], list) else int(entry["value"])
            if index % per_family == sent and (index // per_family) % families == 1 and value > 0:
                subprocess.run(["bpftool", "map", "update", "id", number, "key", "hex", *_hex(index, 4), "value", "hex", *_hex(value - 1, 8)], check=True)
                return
        self.fail("no counter to take from")


def _hex(number, size):
    return [f"{byte:02x}" for byte in number.to_bytes(size, "little")]


class EveryTerm(SystemCase):
    def test_each_term_of_the_live_status_is_checked(self):
        """Every number of the accounting, one more or one less, breaks an identity: no term is shown that nobody checks."""
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
