# SPDX-License-Identifier: Apache-2.0
"""A TCP relay on a free port of 127.0.0.1 that can hold bytes back, let them drip, or cut all connections."""
import contextlib
import socket
import threading
import time


class Relay:
    """`pause`: seconds before each piece; `held`: nothing passes while it is set."""

    def __init__(self, port):
        self._to, self.pause, self.held = port, 0.0, threading.Event()
        self._open, self._lock = set(), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to), 10)
                    far.settimeout(None)
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        with contextlib.suppress(OSError):
            while piece := one.recv(4096):
                while self.held.is_set():
                    time.sleep(0.02)
                time.sleep(self.pause)
                other.sendall(piece)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """All connections end; new ones are taken."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self):
        self._listener.close()
        self.held.clear()
        self.cut()
