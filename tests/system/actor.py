# SPDX-License-Identifier: Apache-2.0
"""A small process that does what its arguments say, one step after the other, and prints its own truth as JSON lines on
standard output.

  read PATH             opens and reads a file            hold PATH       opens a file and keeps it open
  call HOST[:PORT] [@SNI] one HTTPS request, new connection open HOST NAME   opens a connection and keeps it as NAME
  send NAME [@SNI]      a request on a kept connection    raw HOST PORT HEX  sends bytes, reads the answer
  unix PATH             connects to a Unix socket         wait PATH       waits until the file exists
  udp HOST PORT HEX     sends a datagram                 resolve NAME    asks the resolver, whatever it answers
  mark PATH             makes an empty file               thread STEP…;   runs steps up to ";" in a thread
  fork STEP…;           runs steps in a forked child and waits     exec ARGV…   becomes another program
  spawn ARGV…;          starts a program and waits        sleep SECONDS   setenv NAME VALUE
"""
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

_CONTEXT = None
_KEPT = {}


def _context():
    global _CONTEXT
    if _CONTEXT is None:
        _CONTEXT = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
        _CONTEXT.check_hostname = False
    return _CONTEXT


def tell(**what):
    print(json.dumps({"pid": os.getpid(), "tid": threading.get_native_id(), "time_ns": time.time_ns(), **what}),
          flush=True)


def request(sock, host):
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode())
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    return answer.status


def connect(host):
    host, _, port = host.partition(":")
    address = socket.getaddrinfo(host, int(port or 443), socket.AF_INET, socket.SOCK_STREAM)[0][4]
    sock = socket.create_connection(address)
    tell(did="connect", host=host, local_port=sock.getsockname()[1])
    return sock


def step(words):
    """Does one step and returns the words that are left."""
    verb, rest = words[0], words[1:]
    if verb in ("thread", "fork", "spawn"):
        end = rest.index(";")
        inner, rest = rest[:end], rest[end + 1:]
        if verb == "spawn":
            subprocess.run(inner, check=False, stdin=subprocess.DEVNULL, close_fds=True)
        elif verb == "thread":
            thread = threading.Thread(target=run, args=(inner,))
            thread.start()
            thread.join()
        else:
            child = os.fork()
            if child == 0:
                run(inner)
                os._exit(0)
            os.waitpid(child, 0)
        return rest
    if verb == "exec":
        sys.stdout.flush()
        os.execvp(rest[0], rest)
    take = lambda count: [rest.pop(0) for _ in range(count)]
    optional = lambda: rest.pop(0)[1:] if rest and rest[0].startswith("@") else None
    if verb == "read":
        path, = take(1)
        with open(path, "rb") as file:
            file.read()
        tell(did="read", path=path)
    elif verb == "hold":
        path, = take(1)
        _KEPT[path] = open(path, "rb")
        tell(did="hold", path=path)
    elif verb == "call":
        host, = take(1)
        sni = optional() or host.partition(":")[0]
        with _context().wrap_socket(connect(host), server_hostname=None if sni == "-" else sni) as sock:
            tell(did="call", host=host, sni=sni, status=request(sock, host if sni == "-" else sni))
    elif verb == "open":
        host, name = take(2)
        _KEPT[name] = (connect(host), host)
    elif verb == "send":
        name, = take(1)
        sock, host = _KEPT[name]
        if not isinstance(sock, ssl.SSLSocket):
            sock = _context().wrap_socket(sock, server_hostname=optional() or host)
            _KEPT[name] = (sock, host)
        tell(did="send", host=host, status=request(sock, host))
    elif verb == "raw":
        host, port, data = take(3)
        with socket.create_connection((host, int(port)), 3) as sock:
            sock.sendall(bytes.fromhex(data))
            sock.settimeout(1)
            try:
                sock.recv(4096)
            except OSError:
                pass
        tell(did="raw", host=host)
    elif verb == "udp":
        host, port, data = take(3)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((host, int(port)))
        sock.send(bytes.fromhex(data))
        tell(did="udp", host=host)
    elif verb == "resolve":
        name, = take(1)
        try:
            socket.getaddrinfo(name, 443, socket.AF_INET)
        except OSError:
            pass
        tell(did="resolve", name=name)
    elif verb == "unix":
        path, = take(1)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(b"hello\n")
        sock.recv(100)
        sock.close()
        tell(did="unix", path=path)
    elif verb == "wait":
        path, = take(1)
        while not os.path.exists(path):
            time.sleep(0.02)
    elif verb == "mark":
        path, = take(1)
        open(path, "w").close()
        tell(did="mark", path=path)
    elif verb == "sleep":
        time.sleep(float(take(1)[0]))
    elif verb == "setenv":
        name, value = take(2)
        os.environ[name] = value
    else:
        raise SystemExit(f"actor: unknown step {verb}")
    return rest


def run(words):
    while words:
        words = step(words)


if __name__ == "__main__":
    run(sys.argv[1:])
    tell(did="end")
    # who ends within milliseconds of its read may be gone before its file is looked at: decoys has a case for that
    time.sleep(0.3)
