# SPDX-License-Identifier: Apache-2.0
"""Names of destinations that are not in the first write of a connection: hellos in pieces, tunnels, STARTTLS, QUIC."""
import hmac
import ssl
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from case import PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"

# CLIENT MODE HOST PORT NAME: what it says before the ClientHello for NAME, and how it cuts that.
CLIENT = r"""
import socket, ssl, struct, sys, time
open("/root/.aws/credentials").read()
mode, host, port, name = sys.argv[1:]
sock = socket.create_connection((host, int(port)))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def say(data, size=0):
    for at in range(0, len(data), size or len(data)):
        sock.sendall(data[at:at + (size or len(data))])
def ask(data, size=0):
    say(data, size)
    return sock.recv(4096)
target = name.encode()
if mode == "connect":
    head = b"CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    ask(head % (target, target), 7)
elif mode == "socks":
    ask(b"\x05\x01\x00")
    ask(b"\x05\x01\x00\x03" + bytes([len(target)]) + target + b"\x01\xbb", 3)
elif mode == "starttls":
    ask(b"EHLO me\r\n")
    ask(b"STARTTLS\r\n")
context = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
context.check_hostname = False
inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(inward, outward, server_hostname=name)
def flight(call, *words):
    while True:
        try:
            return call(*words)
        except ssl.SSLWantReadError:
            sock.sendall(outward.read())
            inward.write(sock.recv(65536))
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    hello = outward.read()
    if mode == "records":
        parts = [hello[5:][at:at + 90] for at in range(0, len(hello) - 5, 90)]
        hello = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)
    say(hello, 60 if mode == "split" else 0)
    inward.write(sock.recv(65536))
flight(tls.do_handshake)
tls.write(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % target)
flight(tls.read, 100)
time.sleep(0.3)
"""

# PROXY NAME: takes whatever is asked of it and leads to NAME:443.
PROXY = r"""
import socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
print('{"did": "listen", "port": %d}' % server.getsockname()[1], flush=True)
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def until(client, ends):
    said = b""
    while not ends(said):
        said += client.recv(1)
def serve(client):
    first = client.recv(1, socket.MSG_PEEK)
    if first == b"C":
        until(client, lambda said: said.endswith(b"\r\n\r\n"))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    elif first == b"\x05":
        until(client, lambda said: len(said) == 3)
        client.sendall(b"\x05\x00")
        until(client, lambda said: len(said) > 4 and len(said) == 7 + said[4])
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
    else:
        for _ in range(2):
            until(client, lambda said: said.endswith(b"\r\n"))
            client.sendall(b"220 ok\r\n")
    far = socket.create_connection((sys.argv[1], 443))
    threading.Thread(target=pump, args=(far, client), daemon=True).start()
    pump(client, far)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def initial(name):
    """A QUIC Initial packet (RFC 9001) with a ClientHello for `name`."""
    outward = ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outward, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outward.read()[5:]

    def expand(secret, label, size):
        info = struct.pack(">HB", size, 6 + len(label)) + b"tls13 " + label + b"\0\1"
        return hmac.digest(secret, info, "sha256")[:size]

    connection = b"a client"
    salt = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
    secret = expand(hmac.digest(salt, connection, "sha256"), b"client in", 32)
    frames = (b"\x06\x00" + struct.pack(">H", 0x4000 | len(hello)) + hello).ljust(1162, b"\0")
    header = (b"\xc3\0\0\0\1" + bytes([len(connection)]) + connection + b"\0\0" +
              struct.pack(">H", 0x4000 | len(frames) + 20) + bytes(4))
    body = AESGCM(expand(secret, b"quic key", 16)).encrypt(expand(secret, b"quic iv", 12), frames, header)
    cipher = Cipher(algorithms.AES(expand(secret, b"quic hp", 16)), modes.ECB()).encryptor()
    mask = cipher.update(body[:16])
    return (bytes([header[0] ^ mask[0] & 15]) + header[1:-4] + mask[1:5] + body).hex()


class Names(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.read = Acquisition("file", CREDENTIALS, self.key.id, selector="default")
        self.host, self.others = S3, []

    def call(self, mode, at=S3, port="443"):
        self.start([PYTHON, "-I", "-c", CLIENT, mode, at, port, self.host]).wait()

    def through(self, mode):
        _, self.host = self.bucket()
        proxy = self.start([PYTHON, "-I", "-c", PROXY, self.host], cgroup=False)
        self.others = [Use("unattributed", "no_key_seen", [], host=self.host)]  # the proxy's, which holds nothing
        self.call(mode, "127.0.0.1", str(proxy.until("listen")[0]["port"]))

    def expect_use(self, evidence, reason, place=None, **fields):
        mine = Use(evidence, reason, [self.key.id], **(place or {"host": self.host}))
        self.expect([self.read], [mine, *self.others], truth={})
        use, = [row for row in self.rows() if row["type"] == "use" and row["keys"]]
        self.assertEqual({name: use["destination"][name] for name in fields}, fields)

    def test_a_hello_in_many_writes(self):
        self.call("split")
        self.expect_use("inferred", "only_key_held", host=S3, name_source="sni")

    def test_a_hello_in_many_records(self):
        self.call("records")
        self.expect_use("inferred", "only_key_held", host=S3, name_source="sni")

    def test_a_connect_in_pieces(self):
        self.through("connect")
        self.expect_use("inferred", "only_key_held", host=self.host, port=443, name_source="connect", claimed=True)

    def test_socks(self):
        self.through("socks")
        self.expect_use("inferred", "only_key_held", host=self.host, port=443, name_source="connect", claimed=True)

    def test_starttls(self):
        self.through("starttls")
        self.expect_use("possible", "name_at_local_address", host=self.host, name_source="sni")

    def test_quic(self):
        address = self.world.command("address " + S3)
        self.actor("read", CREDENTIALS, "udp", address, "443", initial(S3)).wait()
        self.expect_use("inferred", "only_key_held", host=S3, name_source="sni")

    def test_a_datagram_without_a_name_says_why(self):
        address = self.world.command(f"address {self.maker.public(8)}.drop.test")
        self.actor("read", CREDENTIALS, "udp", address, "443", b"no packet".hex()).wait()
        self.expect_use("possible", "unknown_destination", dict(provider="", service="", region="", host=""),
                        address=address)
        use, = [row for row in self.rows() if row["type"] == "use"]
        self.assertIn("not named, because", use["reason_detail"])
