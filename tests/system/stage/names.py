# SPDX-License-Identifier: Apache-2.0
"""The namespace's DNS server (UDP 53): every provider name gets one address of 198.18.0.0/16, the same one for the
whole run."""
import socket
import struct
import threading

SERVER = "198.18.255.53"
SUFFIXES = (".amazonaws.com", ".api.aws", ".test", ".googleapis.com", ".github.com", ".ghcr.io", ".npmjs.org",
            ".pypi.org", ".openai.com")
_A, _AAAA = 1, 28
_HEAD = struct.Struct("!HHHHH")
# Malformed answers, for names that begin with "junk0", "junk1", …: a pointer to itself, a count without records, a
# length past the end, nothing at all.
JUNK = (
    lambda question: (_HEAD.pack(0x8180, 1, 1, 0, 0) + question + b"\xc0" + bytes([12 + len(question)])
                      + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x01\x02\x03\x04"),
    lambda question: _HEAD.pack(0x8180, 1, 0xFFFF, 0xFFFF, 0xFFFF) + question,
    lambda question: (_HEAD.pack(0x8180, 1, 1, 0, 0) + question + b"\xc0\x0c"
                      + struct.pack("!HHIH", 1, 1, 60, 0xFFFF) + b"\x01"),
    lambda question: b"",
    lambda question: _HEAD.pack(0x8180, 1, 1, 0, 0) + question + b"\xff" * 300,
)


class Names:
    """Which address belongs to which name, both ways; and the server that tells."""

    def __init__(self, log):
        self._log = log
        self._lock = threading.Lock()
        self._by_name, self._by_address = {}, {}
        self._forced = {}

    def address_of(self, name):
        name = name.lower().rstrip(".")
        with self._lock:
            if name in self._forced:
                return self._forced[name]
            if name not in self._by_name:
                number = len(self._by_name) + 1
                address = f"198.18.{1 + number // 250}.{1 + number % 250}"
                self._by_name[name], self._by_address[address] = address, name
            return self._by_name[name]

    def knows(self, name):
        return ("." + name).endswith(SUFFIXES)

    def share(self, name, other):
        """`name` resolves to the address of `other`."""
        address = self.address_of(other)
        with self._lock:
            self._forced[name.lower()] = address

    def name_of(self, address):
        with self._lock:
            return self._by_address.get(address, "")

    def serve(self):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((SERVER, 53))
        threading.Thread(target=self._loop, args=(server,), daemon=True).start()

    def _loop(self, server):
        while True:
            query, peer = server.recvfrom(4096)
            try:
                answer = self._answer(query, peer)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue
            server.sendto(answer, peer)

    def _answer(self, query, peer):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        kind, = struct.unpack_from("!H", query, at + 1)
        name, question = ".".join(labels).lower(), query[12:at + 5]
        known = self.knows(name)
        if name.startswith("junk"):
            return query[:2] + JUNK[int(name[4:5] or 0) % len(JUNK)](question)
        self._log({"kind": "dns", "name": name, "type": kind, "port": peer[1]})
        records = b""
        if known and kind == _A:
            records = b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, 60, 4) + socket.inet_aton(self.address_of(name))
        flags = 0x8180 if known else 0x8183
        return query[:2] + struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + records
