# SPDX-License-Identifier: Apache-2.0
"""The ways in which thief.py sends something out: OUTS, by name, each called with a host and a port."""
import os
import socket
import ssl
import struct
import time


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
