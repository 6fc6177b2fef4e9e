# SPDX-License-Identifier: Apache-2.0
"""A collector stand-in on 127.0.0.1: stores every body (unpacked) and answers as told: ok, refuse (400), busy (503),
hang, or nonsense."""
import gzip
import http.server
import threading
import time

# An ExportTraceServiceResponse without a partial_success is the empty message.
_EMPTY = b""


class Sink:
    def __init__(self, port=0):
        self.bodies, self.manner, self.asked = [], "ok", 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                sink._answer(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a client that was killed resets its connection

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, handler):
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        with self._lock:
            self.asked += 1
            manner = self.manner
        if manner == "hang":
            self._stop.wait(60)
            handler.close_connection = True
            return
        if manner == "nonsense":
            handler.wfile.write(b"\x00\xffI am no HTTP server\r\n\r\n")
            handler.close_connection = True
            return
        status = {"ok": 200, "refuse": 400, "busy": 503}[manner]
        if manner == "ok":
            body = gzip.decompress(raw) if handler.headers.get("content-encoding") == "gzip" else raw
            with self._lock:
                self.bodies.append((handler.path, body, time.time_ns()))
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(_EMPTY)))
        handler.end_headers()
        handler.wfile.write(_EMPTY)

    def bytes(self):
        with self._lock:
            return b"\n".join(body for _, body, _ in self.bodies)

    def close(self):
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
