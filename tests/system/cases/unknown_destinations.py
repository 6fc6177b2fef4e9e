# SPDX-License-Identifier: Apache-2.0
"""Places that nobody knows and names that nothing bears out: a holder's call there is a row, and says what is not
known."""
from case import PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
REQUEST = f"GET / HTTP/1.1\r\nHost: {S3}\r\n\r\n".encode().hex()
# A port of this machine that answers; it says which one.
LISTENER = ("import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
            "print('{\"did\": \"listen\", \"port\": %d}' % s.getsockname()[1], flush=True)\n"
            "while True:\n c, _ = s.accept(); c.recv(4096); c.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n'); c.close()\n")


class Holder(SystemCase):
    def setUp(self):
        super().setUp()
        self.key = self.maker.aws()
        self.plant(".aws/credentials", self.key.profile())
        self.read = Acquisition("file", CREDENTIALS, self.key.id, selector="default")
        self.host = f"{self.maker.public(8)}.drop.test"
        self.address = self.world.command("address " + self.host)

    def destination(self, **fields):
        """Of the one use of this case."""
        use, = [row for row in self.rows() if row["type"] == "use"]
        self.assertEqual({name: use["destination"][name] for name in fields}, fields)


class UnknownDestinations(Holder):
    def unknown(self, host):
        return Use("possible", "unknown_destination", [self.key.id], provider="", service="", region="", host=host)

    def test_a_holders_call_is_a_row_that_the_key_finds(self):
        self.actor("read", CREDENTIALS, "call", self.host).wait()
        self.expect([self.read], [self.unknown(self.host)])
        self.destination(claimed=False, name_source="sni", address=self.address, port=443)
        self.assertIn(self.host + ":443", self.agent.cli("uses", self.key.id)[1])

    def test_also_where_only_the_address_is_known(self):
        self.actor("read", CREDENTIALS, "call", self.address, "@-").wait()
        self.expect([self.read], [self.unknown("")], truth={})
        self.destination(address=self.address, port=443, name_source="address")

    def test_who_holds_nothing_leaves_no_row(self):
        self.actor("call", self.host).wait()
        self.expect([], [], truth={self.host: 1})


class ClaimedNames(Holder):
    def hosts(self, *lines):
        """What the stage puts over /etc/hosts."""
        path = f"{self.folder}/hosts"
        with open(path, "w") as file:
            file.write("".join(line + "\n" for line in ("127.0.0.1 localhost", *lines)))
        return {"/etc/hosts": path}

    def test_a_name_that_the_hosts_file_gives_this_address_is_borne_out(self):
        self.actor("read", CREDENTIALS, "call", S3, binds=self.hosts(f"{self.address} {S3}")).wait()
        self.expect([self.read], [Use("inferred", "only_key_held", [self.key.id])])
        self.destination(claimed=False, address=self.address)

    def test_a_name_that_the_hosts_file_gives_another_address_is_possible(self):
        self.actor("read", CREDENTIALS, "call", self.address, "@" + S3,
                   binds=self.hosts(f"198.51.100.99 {S3}")).wait()
        self.expect([self.read], [Use("possible", "names_contradict", [self.key.id])])
        self.destination(claimed=True, address=self.address)

    def test_a_name_that_nothing_bears_out_is_claimed(self):
        self.actor("read", CREDENTIALS, "call", self.address, "@" + S3, binds=self.hosts()).wait()
        self.expect([self.read], [Use("inferred", "only_key_held", [self.key.id])])
        self.destination(claimed=True, address=self.address)
        self.assertIn(f"(claimed at {self.address})", self.agent.cli("uses", self.key.id)[1])

    def test_a_providers_name_at_an_address_of_this_machine_is_possible(self):
        listener = self.start([PYTHON, "-I", "-c", LISTENER], cgroup=False)
        port = str(listener.until("listen")[0]["port"])
        self.actor("read", CREDENTIALS, "raw", "127.0.0.1", port, REQUEST).wait()
        self.expect([self.read], [Use("possible", "name_at_local_address", [self.key.id])], truth={})
        self.destination(claimed=True, address="127.0.0.1")
