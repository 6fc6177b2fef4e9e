# SPDX-License-Identifier: Apache-2.0
"""SPIFFE by go-spiffe's own client, service description and file formats: whose an SVID is, and where it came from."""
import json
import os
import shutil
import time

import go_build
from case import HERE, PYTHON, Run, SystemCase

SOURCES = HERE + "/../interop/spiffe"
WEB, DB = "spiffe://kt.test/ns/shop/sa/web", "spiffe://kt.test/ns/shop/sa/db"

# As a TLS client takes both halves.
TAKES = "import ssl, sys; ssl.create_default_context().load_cert_chain(sys.argv[1], sys.argv[2])"


class Spiffe(SystemCase):
    def setUp(self):
        try:
            self.program = go_build.built(SOURCES, Run.build.folder, "spiffe")
        except go_build.Missing as missing:
            self.skipTest(str(missing))
        super().setUp()

    def serve(self, spiffe_id):
        """The Workload API of that workload; the socket's path."""
        socket = f"{self.world.dir}/w{next(Run.numbers)}.sock"
        service = self.start([self.program, "serve", socket, spiffe_id], cgroups=self.unit("workload-api"))
        limit = time.monotonic() + 10
        while "ready" not in service.output():
            self.assertLess(time.monotonic(), limit, service.errors())
            time.sleep(0.02)
        return socket

    def written(self, spiffe_id, name):
        """A folder with the SVIDs of that workload as spiffe-helper leaves them."""
        folder = f"{self.folder}/{name}"
        os.makedirs(folder)
        self.call(self.serve(spiffe_id), "write", folder, unit="helper")
        return folder

    def call(self, socket, *words, unit):
        return self.start([self.program, *words], env={"SPIFFE_ENDPOINT_SOCKET": "unix://" + socket},
                          cgroups=self.unit(unit)).wait()

    def take(self, folder, unit):
        return self.start([PYTHON, "-I", "-c", TAKES, folder + "/svid.pem", folder + "/svid_key.pem"],
                          cgroups=self.unit(unit)).wait()

    def facts_of(self, started, until, seconds=10):
        """{id: [known by]} of the SPIFFE facts of what that process belongs to, once they are as told."""
        limit = time.monotonic() + seconds
        while True:
            rows = [row for row in self.agent.rows(self.after, "acquisition") if row["actor"]["pid"] == started.pid]
            facts = {fact["value"]: fact["known_by"] for row in rows for fact in row["actor"]["workload"]["facts"]
                     if fact["name"] == "keytrail.spiffe.id"}
            if rows and until(facts):
                return facts
            self.assertLess(time.monotonic(), limit, f"{facts} of {len(rows)} rows")
            time.sleep(0.1)

    def nothing_of(self, started):
        self.facts_of(started, lambda facts: True)
        self.agent.quiet()
        self.assertEqual(self.facts_of(started, lambda facts: True), {})

    def test_a_workload_is_named_by_the_svid_that_it_reads(self):
        folder = self.written(WEB, "certs")
        web = self.take(folder, "web")
        self.assertEqual(self.facts_of(web, bool), {WEB: "token"})
        rows = [row for row in self.agent.rows(self.after, "acquisition") if row["actor"]["pid"] == web.pid]
        self.assertEqual({row["key"]["kind"] for row in rows}, {"spiffe.x509_svid"})
        self.assertEqual(len({row["key"]["id"] for row in rows}), 1, "both halves are one key")
        _, out = self.agent.cli("keys", "--workload", WEB, "-o", "json", check=0)
        self.assertIn(rows[0]["key"]["id"], out, "rows from before the name was known, too")
        self.agent.quiet()
        sent = self.agent.sink.bytes()
        self.assertIn(b"keytrail.spiffe.id", sent)
        self.assertIn(WEB.encode(), sent)
        self.nothing_of(self.took_a_copy(folder))

    def took_a_copy(self, folder):
        """Another unit with that very SVID."""
        shutil.copytree(folder, folder + "-copy")
        return self.take(folder + "-copy", "thief")

    def test_a_jwt_names_its_reader_too(self):
        folder = self.written(WEB, "certs")
        reads = "import sys, time; open(sys.argv[1]).read(); time.sleep(0.5)"
        reader = self.start([PYTHON, "-I", "-c", reads, folder + "/jwt_svid.token"], cgroups=self.unit("jwt")).wait()
        self.assertEqual(self.facts_of(reader, bool), {WEB: "token"})

    def test_two_at_once_are_told_and_none_is_its_name(self):
        folders = [self.written(WEB, "one"), self.written(DB, "two")]
        self.take(folders[0], "proxy")
        proxy = self.take(folders[1], "proxy")
        both = DB + " " + WEB
        self.assertEqual(self.facts_of(proxy, lambda facts: both in facts), {both: "token"})
        _, out = self.agent.cli("keys", "--workload", DB, "-o", "json")
        self.assertEqual(json.loads(out).get("rows", []), [], out)

    def test_what_the_socket_hands_out_is_a_brokers_and_names_nobody(self):
        socket = self.serve(WEB)
        client = self.call(socket, "fetch", unit="client")
        self.assertEqual(client.output().split(), [WEB, WEB], "go-spiffe got both and checked them")
        self.nothing_of(client)
        rows = [row for row in self.agent.rows(self.after, "acquisition") if row["actor"]["pid"] == client.pid]
        self.assertEqual({(row["slot"]["from"], row["slot"]["place"]) for row in rows}, {("broker", socket)})
