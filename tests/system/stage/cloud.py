# SPDX-License-Identifier: Apache-2.0
"""The fake cloud, one process in its own network namespace: TLS on 443 and 6443 (one leaf per name), HTTP metadata on
169.254.169.254:80, DNS, PostgreSQL, SSH.

Run by world.py as `unshare --net cloud.py FOLDER`; FOLDER/issued.json holds what its token services hand out. Every
request is a line of FOLDER/truth.jsonl, with the client's address and port. It prints "ready" and ends when its
standard input closes, so it cannot outlive the run.
"""
import hashlib
import http.client
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from stage import apis, ca, names, services, speakers  # noqa: E402

METADATA = "169.254.169.254"
KUBERNETES_PORT = 6443
_LIMIT = 1 << 20


class Truth:
    """The log: one JSON object a line, no secret in it."""

    def __init__(self, path):
        self._file, self._lock = open(path, "a", buffering=1), threading.Lock()

    def __call__(self, entry):
        entry["time_ns"] = time.time_ns()
        with self._lock:
            self._file.write(json.dumps(entry) + "\n")


class Connection(threading.Thread):
    """One accepted connection: requests until the client closes."""

    def __init__(self, cloud, sock, peer, local, tls):
        super().__init__(daemon=True)
        self.cloud, self.sock, self.peer, self.local, self.tls, self.sni = cloud, sock, peer, local, tls, ""

    def run(self):
        try:
            self.sock.settimeout(600)
            if self.tls:
                self._handshake()
            stream = self.sock.makefile("rwb")
            while self._request(stream):
                pass
        except (OSError, ValueError, ssl.SSLError, http.client.HTTPException) as error:
            self.cloud.truth({"kind": "broken", "peer": self.peer[0], "port": self.peer[1], "local": self.local[0],
                              "error": type(error).__name__})
        finally:
            self.sock.close()

    def _handshake(self):
        fallback = self.cloud.names.name_of(self.local[0]) or "unknown.test"
        asks = self.local[1] == KUBERNETES_PORT  # an API server asks for a client certificate

        def choose(sock, name, _):
            self.sni = name or ""
            sock.context = self.cloud.authority.context(name or fallback, self.local[0], asks)

        outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        outer.set_alpn_protocols(["http/1.1"])
        outer.sni_callback = choose
        if asks:  # what is asked of the client is fixed before the name is known
            self.cloud.authority.ask(outer)
        self.sock = outer.wrap_socket(self.sock, server_side=True)

    def _sent(self, headers):
        """Which secret or certificate came with the request."""
        certificate = self.sock.getpeercert(True) if self.tls else None
        from_headers = services.digest(services.secret_of(headers))
        return from_headers or (hashlib.sha256(certificate).hexdigest()[:16] if certificate else "")

    def _request(self, stream):
        line = stream.readline(65536)
        if not line.strip():
            return False
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = {k.lower(): v for k, v in http.client.parse_headers(stream).items()}
        body = b""
        if headers.get("expect", "").lower() == "100-continue":
            stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            stream.flush()
        if "content-length" in headers:
            body = stream.read(min(int(headers["content-length"]), _LIMIT))
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = _chunks(stream)
        host = headers.get("host", "").split(":")[0].lower()
        action, reply = self.cloud.answer(self, method, path, host, headers, body)
        time.sleep(reply.delay)
        self.cloud.truth({"kind": "request", "peer": self.peer[0], "port": self.peer[1],
                          "local": self.local[0], "sni": self.sni, "host": host, "method": method,
                          "path": path.split("?")[0], "action": action, "key": apis.key_id_of(headers, path),
                          "sent": self._sent(headers), "status": reply.status, **reply.truth})
        extra = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body)),
                 "x-amz-request-id": apis.REQUEST_ID, "Server": "stage", **reply.headers}
        head = f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in extra.items())
        stream.write(head.encode() + b"\r\n" + (b"" if method == "HEAD" else reply.body))
        stream.flush()
        return headers.get("connection", "").lower() != "close"


def _chunks(stream):
    out = io.BytesIO()
    while True:
        size = int(stream.readline(1024).split(b";")[0], 16)
        if size == 0 or out.tell() + size > _LIMIT:
            stream.readline(1024)
            return out.getvalue()
        out.write(stream.read(size))
        stream.readline(16)


class Cloud:
    more_addresses = ()

    def __init__(self, folder):
        issued = json.load(open(os.path.join(folder, "issued.json")))
        self.truth = Truth(os.path.join(folder, "truth.jsonl"))
        self.authority = ca.Authority(os.path.join(folder, "ca"))
        self.names = names.Names(self.truth)
        self.sts, self.tokens = issued["sts"], issued["tokens"]
        self.metadata = apis.Metadata(issued["role"], issued["imds"], issued["imds_token"])

    def answer(self, connection, method, path, host, headers, body):
        """(action, Reply) of a request; what else the log should say of it goes into the reply's `truth`."""
        if connection.local[0] == METADATA:
            return "", self.metadata.answer(method, path, headers)
        other = services.answer(method, path, host, connection.local[1], headers, self.tokens)
        if other is not None:
            return other
        return apis.answer(method, path, host, headers, body, self.sts)

    def command(self, words):
        """Of the runner: "share NAME OTHER", "address NAME", "client NAME". Returns the answer."""
        if words[0] == "share":
            self.names.share(words[1], words[2])
            return "ok"
        if words[0] == "client":
            return self.authority.client(words[1])
        return self.names.address_of(words[1])

    def listen(self, address, port, tls):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(256)

        def loop():
            while True:
                sock, peer = server.accept()
                Connection(self, sock, peer, sock.getsockname(), tls).start()

        threading.Thread(target=loop, daemon=True).start()

    def start(self):
        for args in (["link", "set", "lo", "up"], ["addr", "add", "198.18.0.1/16", "dev", "lo"],
                     *(["addr", "add", one + "/32", "dev", "lo"] for one in (METADATA, *self.more_addresses))):
            subprocess.run(["ip", *args], check=True)
        self.names.serve()
        self.listen("0.0.0.0", 443, True)
        self.listen("0.0.0.0", KUBERNETES_PORT, True)
        speakers.listen(5432, speakers.postgres(services.digest), self.truth, self.names)
        speakers.listen(6379, speakers.redis(services.digest), self.truth, self.names)
        speakers.listen(22, speakers.ssh(), self.truth, self.names)
        self.listen("0.0.0.0", 80, False)


def main(kind=Cloud):
    cloud = kind(sys.argv[1])
    cloud.start()
    print("ready", flush=True)
    for line in sys.stdin:
        print(cloud.command(line.split()), flush=True)


if __name__ == "__main__":
    main()
