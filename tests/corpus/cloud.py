# SPDX-License-Identifier: Apache-2.0
"""The fake cloud of the corpus: the system tests' one, with more services, any name, and a log that says who called and
with which planted key.

Who: the client socket's inode, then the processes of the case's cgroup that have it open, at each request. Nothing of
it comes from BPF.
Commands on standard input: "case FILE" (name, cgroup, keys and issued keys as JSON).
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/system"]
import presented  # noqa: E402
import replies  # noqa: E402
from stage import cloud, names  # noqa: E402
from watch import stat_of  # noqa: E402


class AnyName(names.Names):
    def knows(self, name):
        return "." in name and not name.endswith((".invalid", ".in-addr.arpa", ".local"))

    def address_of(self, name):
        return cloud.METADATA if name.rstrip(".").lower() == "metadata.google.internal" else super().address_of(name)


def socket_inode(peer, local_port):
    """The client's end of a connection on this machine, or "". Java's sockets are in the table of IPv6."""
    for table in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{table}") as file:
            for line in file:
                words = line.split()
                if words[1].endswith(f":{peer[1]:04X}") and words[2].endswith(f":{local_port:04X}") and words[9] != "0":
                    return words[9]
    return ""


def holders(inode, group):
    """The processes of a cgroup that have the socket open now."""
    found = []
    with open(group + "/cgroup.procs") as file:
        pids = [int(word) for word in file.read().split()]
    for pid in pids:
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{name}") == f"socket:[{inode}]"
                   for name in os.listdir(f"/proc/{pid}/fd")):
                comm, _, start = stat_of(pid)
                found.append({"pid": pid, "start": start, "comm": comm})
        except (OSError, TypeError):
            continue
    return found


class Cloud(cloud.Cloud):
    more_addresses = ("169.254.170.2",)

    def __init__(self, folder):
        super().__init__(folder)
        self.names = AnyName(self.truth)
        self.git = os.path.join(folder, "git")
        self.case = {"name": "", "group": "", "keys": []}

    def start(self):
        super().start()
        self.listen("0.0.0.0", 8200, False)

    def command(self, words):
        with open(words[1]) as file:
            self.case = json.load(file)
        return "ok"

    def answer(self, connection, method, path, host, headers, body):
        case = self.case
        who = holders(socket_inode(connection.peer, connection.local[1]), case["group"]) if case["group"] else []
        keys = presented.presented(case["keys"], method, path, headers, body)
        good = any(fine for _, fine in keys)
        call = replies.Call(connection.local[0], connection.local[1], method, path, host, headers, body,
                            presented.form_of(path, headers, body), good,
                            {key["name"]: key for key in case["keys"]}, self.git)
        reply = replies.answer(call)
        reply.truth = {"case": case["name"], "who": who, "keys": [name for name, fine in keys if fine],
                       "bad_keys": [name for name, fine in keys if not fine], "issued": call.issued,
                       "provider": call.provider, "service": call.service, "region": call.region,
                       "destination_port": connection.local[1]}
        return call.action, reply


if __name__ == "__main__":
    cloud.main(Cloud)
