# SPDX-License-Identifier: Apache-2.0
"""Asks the agent as somebody who may not: stranger.py WAY SOCKET. Its exit status is 0 when it was refused.

  nobody          another user
  namespace_root  another user who is uid 0 in a user namespace of its own
  container       root in a PID namespace of its own, which has got the socket
"""
import ctypes
import os
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
_NEWUSER, _NEWPID, _DUMPABLE = 0x10000000, 0x20000000, 4
NOBODY = 65534


def unshare(what):
    if LIBC.unshare(what) != 0:
        print(f"unshare: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(77)


def nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def namespace_root():
    nobody()
    LIBC.prctl(_DUMPABLE, 1, 0, 0, 0)  # else /proc/self is root's
    unshare(_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {NOBODY} 1"), ("gid_map", f"0 {NOBODY} 1")):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    assert os.getuid() == 0


def container():
    unshare(_NEWPID)
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert os.getpid() == 1


def main(way, path):
    os.chdir(os.path.dirname(path))  # nobody else may go there, so that the socket itself is what refuses
    {"nobody": nobody, "namespace_root": namespace_root, "container": container}[way]()
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    try:
        sock.connect(os.path.basename(path))
    except PermissionError:
        return
    try:
        sock.sendall(b"GET /v1/keys HTTP/1.1\r\nHost: keytrail\r\nConnection: close\r\n\r\n")
    except BrokenPipeError:
        pass  # it was refused before it asked
    answer = sock.recv(4096)
    first = answer.split(b"\r\n", 1)[0]
    if b" 403" not in first:
        sys.exit(f"it was answered: {first!r}")


main(*sys.argv[1:])
