# SPDX-License-Identifier: Apache-2.0
"""Becomes a case's first process: joins the stage's network, makes the case's own mounts and home, joins its cgroups,
waits for "go", then executes.

Run as `enter.py PLAN READY_FD GO_FD`. The process keeps its pid. Files are copied into the home by a child before the
cgroups are joined, so that preparing a case is no part of the case.
"""
import ctypes
import json
import os
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWNET = 0x20000, 0x40000000
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18


def _must(code, what):
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)
    _must(_LIBC.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)),
          f"mount {source} on {target}")


def run(argv):
    """A child that is no part of the case."""
    if os.posix_spawn(argv[0], argv, {}) and os.wait()[1] != 0:
        raise OSError(f"{argv[0]} failed")


def make_mounts(plan):
    _must(_LIBC.unshare(_NEWNS), "unshare")
    mount(None, "/", None, _REC | _PRIVATE)
    for folder, source in plan["trees"].items():  # a tmpfs on `folder`, filled from `source`
        mount("tmpfs", folder, "tmpfs", 0, "mode=755")
        run(["/bin/cp", "-a", source + "/.", folder])
    for target, source in plan["binds"].items():
        mount(source, os.path.realpath(target), None, _BIND)


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    ready, go = int(sys.argv[2]), int(sys.argv[3])
    net = os.open(plan["netns"], os.O_RDONLY)
    _must(_LIBC.setns(net, _NEWNET), "setns")
    os.close(net)
    if plan["mount_of"]:  # the mounts of another process of the case, as they are
        other = os.open(f"/proc/{plan['mount_of']}/ns/mnt", os.O_RDONLY)
        _must(_LIBC.setns(other, _NEWNS), "setns")
    else:
        make_mounts(plan)
    for group in plan["cgroups"]:
        with open(group + "/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
    if plan.get("login_uid") is not None:
        with open("/proc/self/loginuid", "w") as file:
            file.write(str(plan["login_uid"]))
    os.write(ready, b"r")
    os.close(ready)
    os.read(go, 1)
    os.close(go)
    os.chdir(plan["cwd"])
    if plan["uid"]:
        os.setgroups([])
        os.setgid(plan["uid"])
        os.setuid(plan["uid"])
    os.umask(0o022)
    os.execve(plan["argv"][0], plan["argv"], plan["env"])


main()
