# SPDX-License-Identifier: Apache-2.0
"""Very many reads at once. Right: who reads beside them loses nothing, a program that reads many key files loses none
but those that a starved agent came too late for (each told in a gap of its workload), and what is lost of a flood is a
gap of its own workload."""
import random
import string

from attack import CREDENTIALS, Attack, Right

FILES, FLOODERS, VICTIM_READS = 3000, 8, 20
TOO_LATE = ("gone", "changed", "timeout")
_LETTERS = string.ascii_uppercase + "234567"


def _made_up():
    """(id, text of a file): not the maker's, whose secrets are each looked for everywhere."""
    key_id = "AKIA" + "".join(random.choices(_LETTERS, k=16))
    secret = "".join(random.choices(string.ascii_letters, k=40))
    return key_id, f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"


class Floods(Attack):
    def many(self, folder, count):
        """Ids of so many key files below this folder of the disk."""
        made = [_made_up() for _ in range(count)]
        self.more.update({f"{folder}/{number}/.aws/credentials": (text, 0o600)
                          for number, (_, text) in enumerate(made)})
        return {key_id for key_id, _ in made}

    def taken(self, wanted, rows):
        """What is missing among the acquisitions, and not told as come too late for, as it is on a starved machine."""
        missing = wanted - {row["key"]["id"] for row in rows if row["type"] == "acquisition"}
        whose = {row["actor"]["workload"]["name"] for row in rows if row["type"] == "acquisition"}
        late = sum(row["lost"] for row in self.agent.rows() if row["type"] == "gap" and row["cause"] == "files_unread"
                   and row["scope"] in whose and row["detail"] in TOO_LATE)
        return [f"{len(missing)} of {len(wanted)} keys that were read are in no row, and gaps tell of {late} that it "
                "came too late for"] if len(missing) > late else []

    def attack_many_key_files_of_one_process(self):
        """As a backup, `grep -r` or a checkout reads them."""
        wanted = self.many("many", FILES)
        self.thief("take", "tree", "/srv/many")
        return lambda rows: self.taken(wanted, rows)

    def attack_theft_behind_decoys(self):
        """More keys in one file than a process may hold are no place to hide another take, nor a way to be clear."""
        made = [_made_up() for _ in range(256)]
        text = "".join(one.replace("[default]", f"[p{number}]") for number, (_, one) in enumerate(made))
        self.more["decoys/.aws/credentials"] = (text, 0o600)
        thief = self.thief("take", "open", "/srv/decoys/.aws/credentials", "take", "open", CREDENTIALS)

        def right(rows):
            told = any(row["type"] == "gap" and row["cause"] == "holdings_over_bound" for row in self.agent.rows())
            return (Right(taken=True, by=thief.pid, place="").faults(self, rows)
                    + ([] if told else ["no gap says that not all of what it took is kept as held"]))
        return right

    def attack_reads_beside_a_flood(self):
        """Processes of another unit open thousands of key files each, all for the first time."""
        self.many("flood", FILES)
        wanted = self.many("victims", VICTIM_READS)
        self.thief(*["take", "tree", "/srv/flood"] * 2, "forks", str(FLOODERS), cgroups=self.unit("flood"))
        paced = [word for number in range(VICTIM_READS)
                 for word in ("take", "paced", f"/srv/victims/{number}/.aws/credentials")]
        self.thief(*paced)

        def right(rows):
            scopes = {row["scope"] for row in self.agent.rows()
                      if row["type"] == "gap" and row["cause"] in ("examine_overflow", "budget")}
            others = [scope for scope in scopes if not scope.endswith("-flood.service")]
            return self.taken(wanted, rows) + [f"a gap of {scope or 'the whole node'}, which floods nothing"
                                               for scope in sorted(others)]
        return right
