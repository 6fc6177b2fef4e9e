# SPDX-License-Identifier: Apache-2.0
"""Ways to take a key file without opening it under its own name. Right: the key and its use are named."""
from attack import ANY, CREDENTIALS, FREE, NAMED, THIEF, Attack, Right
from case import PYTHON


def takes(way, **options):
    return lambda attack: attack.take(way, **options)


class Names(Attack):
    """Other names of the same file."""
    attack_symlink = takes("symlink")
    attack_hard_link = takes("hard_link")
    attack_rename = takes("rename")
    attack_unlinked_while_open = takes("unlinked", right=Right(taken=True, or_unread=True, used=ANY))
    attack_proc_self_root = takes("proc_root")
    attack_path_only_descriptor = takes("path_only")
    attack_file_handle = takes("handle")


class Mounts(Attack):
    attack_bind_mount_of_the_file = takes("bind_file")
    attack_bind_mount_of_the_folder = takes("bind_folder")
    attack_bind_mount_of_the_whole_root = takes("rebind_root")
    attack_overlay = takes("overlay")
    attack_detached_mount_of_the_folder = takes("detached")
    attack_detached_mount_of_the_file = takes("detached_file")
    attack_chroot = takes("chroot", out=False)


class Contents(Attack):
    """Without read(2), or by a descriptor that somebody else opened."""
    attack_mapped = takes("map")
    attack_copied_by_the_kernel_into_a_memfd = takes("memfd")
    attack_spliced_into_a_pipe = takes("splice")
    attack_descriptor_passed = takes("passed")
    attack_descriptor_taken_with_pidfd = takes("pidfd")
    attack_descriptor_opened_again_in_proc = takes("proc_fd")


class Copies(Attack):
    def copied(self, mode):
        """cp makes the copy, another program reads it."""
        copy = FREE + "/stuff"
        line = (f"cp {CREDENTIALS} {copy} && chmod {mode:o} {copy} && exec {PYTHON} -I \"$0\" take open {copy} "
                f"out plain {self.host}")
        self.start(["/bin/sh", "-c", line, THIEF], binds=self.disk())
        return copy

    def attack_private_copy_under_a_free_name(self):
        return Right(taken=True, place=self.copied(0o600), used=NAMED)

    def attack_copy_for_all_under_a_free_name(self):
        self.copied(0o644)
        return Right(taken=True, used=NAMED, stated="A key file under a name and at a place that no rule knows, where "
                     "others may read it too")

    def attack_hard_link_to_a_known_file_that_others_may_read(self):
        self.disk(0o644)
        self.thief("take", "open", CREDENTIALS).wait()
        thief = self.thief("take", "hard_link", CREDENTIALS, "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED)


class Intruders(Attack):
    """Reads in somebody else's mounts, memory and environment."""
    def attack_file_of_another_root(self):
        victim = self.start(["/usr/bin/sleep", "8"], binds=self.disk())
        thief = self.start([PYTHON, "-I", THIEF, "take", "open", f"/proc/{victim.pid}/root{CREDENTIALS}",
                            "out", "plain", self.host])
        return Right(taken=True, by=thief.pid, used=NAMED)

    def attack_environment_of_another_process(self):
        victim = self.start(["/usr/bin/sleep", "8"], env=self.key.env())
        thief = self.thief("take", "environ", str(victim.pid), "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED, stated="out of the memory or the environment of another")

    def memory(self, way):
        victim = self.start(["/usr/bin/sleep", "8"], env=self.key.env())
        thief = self.thief("take", way, str(victim.pid), "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED)

    def attack_memory_of_another_process_by_call(self):
        return self.memory("vm_readv")

    def attack_memory_of_another_process_that_is_seized(self):
        return self.memory("seize")

    def attack_memory_of_another_process_that_is_attached_to(self):
        return self.memory("attach")

    def attack_memory_of_another_process(self):
        victim = self.start(["/usr/bin/sleep", "8"], env=self.key.env())
        thief = self.thief("take", "memory", str(victim.pid), "out", "plain", self.host)
        return Right(taken=True, by=thief.pid, used=NAMED, stated="out of the memory or the environment of another")
