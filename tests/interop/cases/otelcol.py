# SPDX-License-Identifier: Apache-2.0
"""The agent and the real OpenTelemetry Collector: what arrives is the history, row by row; and no fault of the
collector loses a row or counts one wrong."""
import os
import re
import signal
import socket
import time
import urllib.request

import rows_at_collector as at_collector
from case import PYTHON, S3, Run, SystemCase
from collector import INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, Collector, Missing, built, free_port
from otlp_sink import Sink

CREDENTIALS = "/root/.aws/credentials"
BOTO_S3 = "import boto3; boto3.client('s3').list_buckets()"


class Exported(SystemCase):
    """A case with a collector, and an agent that knows no other destination."""

    protocol, tls, signals, more = "http/protobuf", False, "[traces, logs]", ""
    # How the agent names the collector's answers.
    words = {RESOURCE_EXHAUSTED: "429", UNAVAILABLE: "503", INVALID_ARGUMENT: "400"}

    def make_agent(self):
        try:
            program = built(Run.build.folder)
        except Missing as why:
            self.skipTest(str(why))
        self.collector = Collector(program, self.folder + "/collector", self.protocol, self.tls)
        agent = self.own_agent(sink=False)
        agent.sink = self.collector  # the canary scan reads what it wrote, the agent closes it
        # these lines still belong to the exporter
        more = f"    ca_file: {self.collector.ca_file}\n" if self.tls else ""
        agent.configure(f"    timeout_s: 2\n    protocol: {self.protocol}\n    signals: {self.signals}\n"
                        f"    metrics_s: 1\n{more}sampling:\n  slots_s: 2\n{self.more}")
        return self.prepare(agent)

    def prepare(self, agent):
        self.collector.start()
        return agent.start()

    # ---- acting

    def use(self):
        """A process reads a new key and calls; returns once both rows are there."""
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        _, host = self.bucket()
        actor = self.actor("read", CREDENTIALS, "call", host).wait()
        limit = time.monotonic() + 15
        while not any(row["type"] == "use" and row["actor"]["pid"] == actor.pid for row in self.rows()):
            self.assertLess(time.monotonic(), limit, "no row of the use")
            time.sleep(0.1)
        return key

    # ---- asking

    def exporter(self):
        """What status says of the exporter: state and counters together."""
        status = self.agent.status()
        return {**status["exporters"][0], **status["accounting"]["exporters"][0]}

    def until(self, what, seconds=30):
        """Waits until the exporter is as told; returns when that was seen."""
        limit = time.monotonic() + seconds
        while not what(state := self.exporter()):
            self.assertLess(time.monotonic(), limit, f"not within {seconds} s: {state}")
            time.sleep(0.05)
        return time.monotonic()

    def until_all_arrived(self, seconds=30):
        self.agent.quiet(0.5)
        return self.until(lambda state: state["waiting"] == 0, seconds)

    def compare(self, again=0, without=()):
        """Every row of the history is at the collector as it should be, `without` (row numbers) is not; at most `again`
        records came twice, the same bytes."""
        host, limit = os.uname().nodename, time.monotonic() + 5
        while True:  # the collector's file has a buffer, and a row may come meanwhile
            spans, logs = self.collector.records()
            rows = self.agent.rows()
            lines = [line for row in rows if row["seq"] not in without
                     for line in at_collector.problems_of(row, spans, logs, host)]
            if not lines or time.monotonic() > limit:
                break
            time.sleep(0.1)
        lines += [f"row {seq} was refused and arrived" for seq in without if seq in spans or seq in logs]
        lines += [f"no row has number {seq}" for seq in {*spans, *logs} - {row["seq"] for row in rows}]
        self.assertEqual(lines, [])
        self.assertLessEqual(at_collector.repeats(spans, logs), again, "records that came again")
        return rows, spans, logs


class Faithful(Exported):
    def test_every_row_arrives_as_it_is(self):
        """Real clients: a key by its selector, a key among three, no key; a finding, because the file of a running
        process is rotated; and a gap."""
        default, staging, prod, new = (self.maker.aws() for _ in range(4))
        self.plant(".aws/credentials", default.profile() + staging.profile("staging") + prod.profile("prod"))
        aws = self.start(["/usr/bin/aws", "s3", "ls"], env={"AWS_PROFILE": "prod"}).wait()
        boto = self.start([PYTHON, "-c", BOTO_S3], env={"AWS_PROFILE": "prod"}).wait()
        _, host = self.bucket()
        nobody = self.actor("call", host).wait()
        self.rotated(default, new)
        os.kill(self.agent.role("examiner"), signal.SIGKILL)
        self.until_all_arrived()
        rows, spans, logs = self.compare()
        self.assertLessEqual({"acquisition", "use", "finding", "gap"}, {row["type"] for row in rows},
                             "the case itself: each kind of row is there")
        mine = {row["actor"]["pid"]: row for row in rows if row["type"] == "use"}
        self.assertEqual([mine[one.pid]["evidence"] for one in (aws, boto, nobody)],
                         ["inferred", "possible", "unattributed"])
        self.traces(rows, spans, aws, boto)
        self.nothing_refused()

    def rotated(self, old, new):
        """A process goes on with the old key after its file got a new one."""
        self.plant(".aws/credentials", old.profile())
        _, host = self.bucket()
        holder = self.actor("read", CREDENTIALS, "call", host, "wait", self.flag("rotated"), "call", host)
        holder.until("call")
        place = holder.path(CREDENTIALS)
        with open(os.open(place + ".tmp", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(new.profile())
        os.rename(place + ".tmp", place)
        limit = time.monotonic() + 15
        while not any(row["slot_changed"] for row in self.agent.json(f"/v1/holders?key={old.id}")["rows"]):
            self.assertLess(time.monotonic(), limit, "the change of the file was not noticed")
            time.sleep(0.1)
        self.raise_flag("rotated")
        holder.wait()

    def traces(self, rows, spans, aws, boto):
        """A use of one key is a child of that process taking it; one of several keys is a trace of its own with a link
        to each taking."""
        taken = {(row["actor"]["pid"], row["key"]["id"]): spans[row["seq"]][0]
                 for row in rows if row["type"] == "acquisition"}
        uses = {row["actor"]["pid"]: (row, spans[row["seq"]][0]) for row in rows if row["type"] == "use"}
        row, span = uses[aws.pid]
        root = taken[aws.pid, row["keys"][0]["key"]["id"]]
        self.assertEqual((span["traceId"], span["parentSpanId"], root.get("parentSpanId", "")),
                         (root["traceId"], root["spanId"], ""))
        row, span = uses[boto.pid]
        self.assertEqual(span.get("parentSpanId", ""), "")
        linked = {(link["traceId"], link["spanId"]) for link in span["links"]}
        self.assertEqual(linked, {(one["traceId"], one["spanId"]) for one in (
            self.taking(taken, boto.pid, entry["key"]["id"]) for entry in row["keys"])})
        ids = [span["spanId"] for records in spans.values() for span in records]
        self.assertEqual(len(ids), len(set(ids)), "span ids are not shared")

    @staticmethod
    def taking(taken, pid, key):
        """The span of a process taking a key; when it was no news for that process, of whoever took it."""
        return taken.get((pid, key)) or next(span for (_, other), span in taken.items() if other == key)

    def nothing_refused(self):
        state = self.exporter()
        self.assertEqual((state["rejected"], state["expired"], state["waiting"], state["rows"]),
                         (0, 0, 0, state["acknowledged"]))
        self.assertIn(state["state"], ("ok", "idle"))
        self.assertEqual(re.findall(r".*\t(?:warn|error)\t.*", self.collector.log()), [])
        # the collector's other exporter counts the same, a row that comes meanwhile a moment later or earlier
        limit = time.monotonic() + 5
        while True:
            text, got = self.collector.log(), [len(records) for records in self.collector.records()]
            counted = [sum(int(number) for number in re.findall(rf'"{name}": (\d+)', text))
                       for name in ("spans", "log records")]
            if counted == got or time.monotonic() > limit:
                break
            time.sleep(0.1)
        self.assertEqual(counted, got, "spans and log records that the debug exporter counted")

    def test_gzip_is_what_it_takes(self):
        """The collector of these cases refuses what is not compressed over HTTP: so whatever it took was."""
        if self.protocol != "http/protobuf":
            self.skipTest("asked once")
        with socket.create_connection(("127.0.0.1", self.collector.port)) as plain:
            plain.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                          b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            self.assertRegex(plain.makefile("rb").readline(), rb"^HTTP/1.1 4\d\d ")


class Refusing(Exported):
    """Answers of the collector's own receiver to a back end that refuses."""

    def waits_as_told(self, code):
        self.collector.shut(code, 6)
        self.use()
        self.until(lambda state: state["state"].startswith(f"retrying: {self.words[code]}"))
        self.collector.open_gate()
        self.assertGreaterEqual(self.exporter()["waiting"], 2)
        self.until_all_arrived()
        state = self.exporter()
        waited = at_collector.unix_nano(state["last_ok"]) - at_collector.unix_nano(state["last_error_at"])
        self.assertGreaterEqual(waited, 6 * 10**9, "it was told to wait 6 s")
        self.compare()
        self.assertEqual(self.exporter()["rejected"], 0)

    def test_429_with_retry_after(self):
        self.waits_as_told(RESOURCE_EXHAUSTED)

    def test_503_with_retry_after(self):
        self.waits_as_told(UNAVAILABLE)

    def test_400_is_not_sent_again_and_counted(self):
        self.use()
        self.until_all_arrived()
        before = self.agent.last_seq()
        self.collector.shut(INVALID_ARGUMENT)
        self.use()
        self.until(lambda state: state["rejected"] >= 2 and state["waiting"] == 0)
        self.assertTrue(self.exporter()["state"].startswith("refused: " + self.words[INVALID_ARGUMENT]),
                        self.exporter())
        refused = [row["seq"] for row in self.agent.rows(before)]
        self.assertEqual(self.exporter()["rejected"], len(refused))
        self.collector.open_gate()
        self.use()
        self.until_all_arrived()
        self.compare(without=refused)
        self.assertIn(self.exporter()["state"], ("ok", "idle"))


class Failing(Exported):
    def test_hangs_and_goes_on(self):
        """A request that ran out of time may have been taken all the same: it comes again with the same ids."""
        self.use()
        self.until_all_arrived()
        self.collector.freeze(True)
        self.use()
        self.until(lambda state: state["state"].startswith("retrying: "))
        waiting = self.exporter()["waiting"]
        self.assertGreaterEqual(waiting, 2)
        self.collector.freeze(False)
        self.until_all_arrived()
        self.compare(again=8 * waiting)
        self.assertEqual(self.exporter()["rejected"], 0)

    def test_restarts(self):
        self.use()
        self.until_all_arrived()
        self.collector.close()
        self.use()
        self.until(lambda state: state["state"].startswith("retrying: ") and state["waiting"] >= 2)
        self.use()
        self.collector.start()
        self.until_all_arrived()
        self.compare()
        self.assertEqual(self.exporter()["rejected"], 0)

    def test_the_agent_restarts_meanwhile(self):
        """The cursor is durable: what was answered for is not sent again, what was not is."""
        self.use()
        self.until_all_arrived()
        self.collector.close()
        self.use()
        self.until(lambda state: state["waiting"] >= 2)
        self.agent.stop()
        self.collector.start()
        self.agent.start()
        self.use()
        self.until_all_arrived()
        self.compare()
        self.assertEqual(self.exporter()["rejected"], 0)

    def test_the_worker_is_killed_while_a_request_is_out(self):
        self.use()
        self.until_all_arrived()
        self.collector.freeze(True)
        self.use()
        self.until(lambda state: state["waiting"] >= 2)
        os.kill(self.agent.role("worker"), signal.SIGKILL)
        time.sleep(1)
        self.agent.role("worker")
        self.collector.freeze(False)
        self.until_all_arrived()
        self.compare(again=8)
        self.assertEqual(self.exporter()["rejected"], 0)


class Nonsense(Exported):
    """Something that is no collector had the port before the collector came."""

    def prepare(self, agent):
        self.fake = Sink(self.collector.port)
        self.fake.manner = "nonsense"
        self.addCleanup(self.fake.close)
        return agent.start()

    def test_answers_nonsense_before_it_comes(self):
        self.use()
        self.until(lambda state: state["state"].startswith("retrying: ") and state["waiting"] >= 2)
        self.fake.close()
        self.collector.start()
        self.until_all_arrived()
        self.compare()
        self.assertEqual(self.exporter()["rejected"], 0)


class FaithfulJson(Faithful):
    protocol = "http/json"


class RefusingJson(Refusing):
    protocol = "http/json"


class Grpc:
    protocol = "grpc"
    words = {RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED", UNAVAILABLE: "UNAVAILABLE", INVALID_ARGUMENT: "INVALID_ARGUMENT"}


class FaithfulGrpc(Grpc, Faithful):
    pass


class RefusingGrpc(Grpc, Refusing):
    """The waits come as RetryInfo in the status details."""


class FailingGrpc(Grpc, Failing):
    pass


class PrivateAuthority(Exported):
    """TLS with a certificate that only the named authority vouches for."""

    tls = True

    def test_it_is_trusted_where_it_is_named(self):
        self.use()
        self.until_all_arrived()
        self.compare()
        self.assertEqual(self.exporter()["rejected"], 0)


class PrivateAuthorityGrpc(Grpc, PrivateAuthority):
    pass


class Metrics(Exported):
    signals = "[traces, logs, metrics]"
    port = free_port()
    more = f"prometheus:\n  listen: 127.0.0.1:{port}\n"

    def test_metrics_say_what_rows_and_status_say(self):
        self.use()
        self.until_all_arrived()
        rows, _, _ = self.compare()
        uses = sum(row["requests"] if row["requests"] is not None else row["connections"]
                   for row in rows if row["type"] == "use")
        taken = sum(row["type"] == "acquisition" for row in rows)
        limit = time.monotonic() + 15
        while True:  # each second
            got = self.collector.metrics()
            if (sum(point["value"] for point in got.get("keytrail.uses", [])) == uses
                    and sum(point["value"] for point in got.get("keytrail.acquisitions", [])) == taken):
                break
            self.assertLess(time.monotonic(), limit, f"uses {uses}, acquisitions {taken}: {got.get('keytrail.uses')}, "
                            f"{got.get('keytrail.acquisitions')}")
            time.sleep(0.2)
        point = next(point for point in got["keytrail.uses"]
                     if point["attributes"].get("keytrail.destination.provider") == "aws")
        self.assertEqual({name: point["attributes"][name]
                          for name in ("keytrail.key.kind", "keytrail.key.class", "keytrail.evidence")},
                         {"keytrail.key.kind": "aws.access_key", "keytrail.key.class": "access_key",
                          "keytrail.evidence": "inferred"})
        self.assertTrue(point["sum"]["isMonotonic"])
        self.assertEqual(point["sum"]["aggregationTemporality"], 2)
        self.assertEqual(point["resource"], {"service.name": "keytrail", "host.name": os.uname().nodename})
        self.assertLess(abs(point["start"] / 1e9 - time.time()), 300)
        families = {family["family"]: family for family in self.agent.status()["families"]}
        self.assertEqual({point["attributes"]["keytrail.family"] for point in got["keytrail.hook.hits"]}, set(families))
        waiting = [point for point in got["keytrail.exporter.waiting"]
                   if point["attributes"] == {"keytrail.exporter": "sink"}]
        self.assertEqual(len(waiting), 1)
        self.prometheus(uses)

    def prometheus(self, uses):
        """The same numbers at the other port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            lines = answer.read().decode().splitlines()
        self.assertEqual(sum(float(line.rsplit(" ", 1)[1])
                             for line in lines if line.startswith("keytrail_uses_total{")), uses)
        for line in lines:
            self.assertRegex(line, r'^(# (HELP|TYPE) [a-z_:]+ .+|[a-z_:]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? '
                             r'-?[0-9.e+]+)$')


class MetricsGrpc(Grpc, Metrics):
    pass


class Variables(Exported):
    """An agent whose file names no collector, in an environment that does: the warden hands the variables on."""

    protocol = "grpc"

    def prepare(self, agent):
        agent.sink = None  # no otlp in the file
        agent.configure("sampling:\n  slots_s: 2\n")
        agent.sink = self.collector
        agent.variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
                           "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol, "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                           "OTEL_SERVICE_NAME": "node-agent",
                           "OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=blue,team=x"}
        return super().prepare(agent)

    def test_they_make_an_exporter_and_status_says_so(self):
        self.use()
        self.until_all_arrived()
        state = self.exporter()
        self.assertEqual(state["name"], "environment")
        self.assertIn("(from OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL)", state["endpoint"])
        limit = time.monotonic() + 10
        while not (points := self.collector.metrics().get("keytrail.uses")):
            self.assertLess(time.monotonic(), limit, "no metrics")
            time.sleep(0.2)
        self.assertEqual({name: points[0]["resource"].get(name)
                          for name in ("service.name", "k8s.cluster.name", "team")},
                         {"service.name": "node-agent", "k8s.cluster.name": "blue", "team": "x"})
        spans, _ = self.collector.records()
        self.assertTrue(spans)
        for span in (span for records in spans.values() for span in records):
            self.assertEqual((span["resource"].get("k8s.cluster.name"), span["resource"].get("team")), ("blue", None))
