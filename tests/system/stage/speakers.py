# SPDX-License-Identifier: Apache-2.0
"""Three servers of the stage that speak no HTTP: PostgreSQL (5432), as far as a password and one query; Redis (6379),
as far as a password; SSH (22), which takes every public key.

Each serves one connection, serve(socket, log), and tells log(action, what was sent) for the truth.
"""
import base64
import hashlib
import socket
import struct
import threading
import time

import paramiko

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_TEXT_COLUMN = struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)


def listen(port, serve, truth, names):
    """Calls `serve` in a thread of its own for each connection."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    server.listen(64)

    def one(sock, peer):
        local = sock.getsockname()[0]
        log = lambda action, sent: truth({"kind": "request", "peer": peer[0], "port": peer[1], "local": local,
                                          "sni": "", "host": names.name_of(local), "action": action, "sent": sent})
        with sock:
            try:
                sock.settimeout(60)
                serve(sock, log)
            except (OSError, EOFError, struct.error, paramiko.SSHException):
                pass

    def loop():
        while True:
            sock, peer = server.accept()
            threading.Thread(target=one, args=(sock, peer), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def _take(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def postgres(digest):
    """A server that asks for the password in clear and answers every query with one row."""

    def serve(sock, log):
        while True:
            size, code = struct.unpack("!II", _take(sock, 8))
            _take(sock, size - 8)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            sock.sendall(b"N")
        sock.sendall(_message(b"R", struct.pack("!I", 3)))
        while True:
            kind = _take(sock, 1)
            body = _take(sock, struct.unpack("!I", _take(sock, 4))[0] - 4)
            if kind == b"p":
                log("login", digest(body.rstrip(b"\0").decode()))
                status = b"".join(_message(b"S", name + b"\0" + value + b"\0")
                                  for name, value in ((b"server_version", b"15.0"), (b"client_encoding", b"UTF8")))
                sock.sendall(_message(b"R", struct.pack("!I", 0)) + status + _message(b"Z", b"I"))
            elif kind == b"Q":
                time.sleep(0.3)  # who ends within milliseconds may take its mounts along before its file is looked at
                sock.sendall(_message(b"T", struct.pack("!h", 1) + b"one\0" + _TEXT_COLUMN)
                             + _message(b"D", struct.pack("!hI", 1, 1) + b"1")
                             + _message(b"C", b"SELECT 1\0") + _message(b"Z", b"I"))
            else:
                return

    return serve


def redis(digest):
    """A server that takes one password."""

    def serve(sock, log):
        line = b""
        while not line.endswith(b"\r\n"):
            line += _take(sock, 1)
        log("login", digest(line.split()[-1].decode()))
        sock.sendall(b"+OK\r\n")
        sock.recv(1)  # until it closes

    return serve


class _Login(paramiko.ServerInterface):
    def __init__(self):
        self.key, self.asked = "", threading.Event()

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode()
        self.key = "SHA256:" + digest.rstrip("=")  # as ssh-keygen -l shows it
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.asked.set()
        return True


def ssh():
    """A server that takes every public key and answers every command with "ok"."""
    host_key = paramiko.ECDSAKey.generate()

    def serve(sock, log):
        transport = paramiko.Transport(sock)
        transport.add_server_key(host_key)
        login = _Login()
        transport.start_server(server=login)
        channel = transport.accept(20)
        if channel is not None and login.asked.wait(20):
            log("exec", login.key)
            channel.sendall(b"ok\n")
            channel.send_exit_status(0)
            channel.close()
        transport.join(20)

    return serve
