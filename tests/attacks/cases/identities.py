# SPDX-License-Identifier: Apache-2.0
"""Ways to look like somebody else. Right: the rows say who it is by the kernel's word."""
import os
import uuid

from attack import CREDENTIALS, NAMED, Attack, Right

NOBODY = 65534


class Users(Attack):
    def attack_daemon_that_dropped_root(self):
        self.disk(0o644)
        thief = self.thief("take", "as_nobody", CREDENTIALS, "out", "plain", self.host)
        right = Right(taken=True, by=thief.pid, used=NAMED)

        def judge(rows):
            told = {(row["type"], row["actor"]["uid"], row["actor"]["user"]) for row in rows
                    if row["type"] in ("acquisition", "use") and row["actor"]["pid"] == thief.pid}
            return right.faults(self, rows) + [f"the {kind} is of {uid} ({user}), not of nobody"
                                               for kind, uid, user in sorted(told) if uid != NOBODY or user == "root"]
        return judge


class Cgroups(Attack):
    """Names that a user gives in a tree that root has left to him."""

    def delegated(self, top, path):
        """The folders of a cgroup below `top`, which is nobody's like all below it, as far as it is there at all."""
        folders = self.world.group_at(f"{top}/{path}")
        self.addCleanup(self.world.clear, folders)
        for folder in folders:
            while not folder.endswith("/" + top):
                os.chown(folder, NOBODY, NOBODY)
                folder = os.path.dirname(folder)
            os.chown(folder, NOBODY, NOBODY)
        return folders

    def thief_in(self, folders):
        thief = self.thief("take", "open", CREDENTIALS, "out", "plain", self.host, cgroups=folders)
        return thief, Right(taken=True, by=thief.pid, used=NAMED)

    def attack_cgroup_of_a_user_that_is_called_like_a_pod(self):
        pod = str(uuid.uuid4())
        thief, right = self.thief_in(self.delegated("kubelet.slice", f"kubepods/pod{pod}/{os.urandom(32).hex()}"))

        def judge(rows):
            named = {row["actor"]["workload"]["id"] for row in rows
                     if "actor" in row and row["actor"]["pid"] == thief.pid}
            return right.faults(self, rows) + [f"{one} is taken for the pod" for one in sorted(named)
                                               if one.startswith("pod:")]
        return judge

    def attack_cgroup_in_a_container_that_is_called_like_a_pod(self):
        """Root of a container may make cgroups below its own."""
        pod, outer = str(uuid.uuid4()), os.urandom(32).hex()
        folders = self.world.group_at(f"docker/{outer}/kubepods/pod{pod}/{os.urandom(32).hex()}")
        self.addCleanup(self.world.clear, folders)
        thief, right = self.thief_in(folders)

        def judge(rows):
            named = [row["actor"]["workload"] for row in rows if "actor" in row and row["actor"]["pid"] == thief.pid]
            return right.faults(self, rows) + [f"{one['id']} ({one['known_by']}) is not claimed by {outer}"
                                               for one in named
                                               if one["known_by"] != "claimed" or outer not in one["id"]]
        return judge

    def attack_cgroup_of_a_user_that_is_called_like_a_unit(self):
        thief, right = self.thief_in(self.delegated(f"{self.world.name}.slice", "sshd.service"))

        def judge(rows):
            named = {(row["actor"]["workload"]["id"], row["actor"]["workload"]["known_by"]) for row in rows
                     if "actor" in row and row["actor"]["pid"] == thief.pid}
            return right.faults(self, rows) + [f"{one} is {known_by}" for one, known_by in sorted(named)
                                               if one == "unit:sshd.service" or known_by != "claimed"]
        return judge
