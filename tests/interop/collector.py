# SPDX-License-Identifier: Apache-2.0
"""The real OpenTelemetry Collector: builds it once per version of its sources (otelcol/), runs it, shuts its gate, and
reads what it wrote."""
import json
import os
import signal
import socket
import subprocess
import time

import go_build
from go_build import Missing  # noqa: F401
from stage.world import PATH, die_with_runner, end

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = HERE + "/otelcol"
# gRPC codes; the collector's HTTP side makes 429, 503 and 400 of them
RESOURCE_EXHAUSTED, UNAVAILABLE, INVALID_ARGUMENT = 8, 14, 3


def built(folder):
    """Path of the collector, built under `folder` at first need. Raises Missing."""
    return go_build.built(SOURCES, folder, "otelcol")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _value(value):
    """A Python value of an OTLP AnyValue."""
    kind, inner = next(iter(value.items()), ("", None))
    if kind == "intValue":
        return int(inner)
    return [_value(item) for item in inner.get("values", [])] if kind == "arrayValue" else inner


def attributes(item):
    return {entry["key"]: _value(entry["value"]) for entry in item.get("attributes", [])}


class Collector:
    """One collector on free ports of 127.0.0.1, one for HTTP and one for gRPC. `folder` keeps its output over restarts.
    Fits where the agent's own test class has its sink; `protocol` says which port that is. `tls`: with a certificate of
    its own authority, `ca_file`."""

    def __init__(self, program, folder, protocol="http/protobuf", tls=False):
        self.program, self.folder, self.process, self.tls = program, folder, None, tls
        http, grpc = free_port(), free_port()
        self.port = grpc if protocol == "grpc" else http
        os.makedirs(folder)
        self.ca_file, self.key_file = folder + "/ca.pem", folder + "/key.pem"
        security = f', tls: {{cert_file: "{self.ca_file}", key_file: "{self.key_file}"}}' if tls else ""
        if tls:
            self._make_certificate()
        self.output, self.log_path, self.gate_path = folder + "/out.jsonl", folder + "/log", folder + "/gate"
        with open(folder + "/config.yaml", "w") as file:  # only gzip is taken: what is not compressed would be refused
            file.write(f"""
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}", compression_algorithms: [gzip]{security}}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"{security}}}
processors:
  gate: {{file: "{self.gate_path}"}}
exporters:
  file: {{path: "{self.output}", append: true, flush_interval: 50ms}}
  debug: {{verbosity: basic}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{sampling: {{enabled: false}}}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [gate], exporters: [file, debug]}}
    logs: {{receivers: [otlp], processors: [gate], exporters: [file, debug]}}
    metrics: {{receivers: [otlp], processors: [gate], exporters: [file]}}
""")

    def _make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=authority of the test", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.key_file, "-out", self.ca_file], check=True, capture_output=True, timeout=60)
        os.chmod(self.ca_file, 0o644)

    @property
    def endpoint(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, "--config", self.folder + "/config.yaml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={"PATH": PATH}, start_new_session=True, preexec_fn=die_with_runner)
        limit = time.monotonic() + 15
        while time.monotonic() < limit:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("the collector does not start:\n" + self.log()[-3000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self, frozen):
        """Stops it as it stands, or lets it go on: its port is open, and nothing answers."""
        os.kill(self.process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def shut(self, code, seconds=0):
        """Refuses all batches with this gRPC code, and says how long to wait where `seconds` is not 0."""
        with open(self.gate_path + ".tmp", "w") as file:
            file.write(f"{code} {seconds}")
        os.rename(self.gate_path + ".tmp", self.gate_path)

    def open_gate(self):
        os.unlink(self.gate_path)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.freeze(False)
            end(self.process)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def bytes(self):
        """All it wrote, its own log included, for the canary scan."""
        out = self.log().encode()
        if os.path.exists(self.output):
            with open(self.output, "rb") as file:
                out += file.read()
        return out

    def records(self):
        """(spans, logs) by row sequence: {seq: [record, …]}, each with "attributes", "resource" and "scope" as
        dictionaries."""
        spans, logs = {}, {}
        for batch in self._batches():
            self._collect(batch, spans, logs)
        return spans, logs

    def metrics(self):
        """The newest points of each metric: {name: [{"attributes", "value", "start", …}, …]}."""
        out = {}
        for batch in self._batches():
            for group in batch.get("resourceMetrics", []):
                for scope in group["scopeMetrics"]:
                    for metric in scope["metrics"]:
                        data = metric.get("sum") or metric["gauge"]
                        out[metric["name"]] = [{"attributes": attributes(point),
                                                "value": float(point.get("asInt", point.get("asDouble", 0))),
                                                "unit": metric.get("unit"),
                                                "start": int(point.get("startTimeUnixNano", 0)),
                                                "sum": metric.get("sum"), "resource": attributes(group["resource"])}
                                               for point in data["dataPoints"]]
        return out

    def _batches(self):
        if os.path.exists(self.output):
            with open(self.output) as file:
                for line in file:
                    if line.endswith("\n"):  # the last one may still be written
                        yield json.loads(line)

    @staticmethod
    def _collect(batch, spans, logs):
        for many, scopes, items, out in (("resourceSpans", "scopeSpans", "spans", spans),
                                         ("resourceLogs", "scopeLogs", "logRecords", logs)):
            for group in batch.get(many, []):
                for scope in group[scopes]:
                    for item in scope[items]:
                        known = attributes(item)
                        record = {**item, "attributes": known, "resource": attributes(group["resource"]),
                                  "scope": scope["scope"]}
                        out.setdefault(known.get("keytrail.row.seq"), []).append(record)
