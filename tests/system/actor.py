# SPDX-License-Identifier: Apache-2.0
"""A small process that does what its arguments say, one step after the other, and prints its own truth as JSON lines on
standard output.

  read PATH             opens and reads a file            hold PATH       opens a file and keeps it open
  call HOST[:PORT] [@SNI] one HTTPS request, new connection open HOST NAME   opens a connection and keeps it as NAME
  send NAME [@SNI]      a request on a kept connection    raw HOST PORT HEX  sends bytes, reads the answer
  unix PATH             connects to a Unix socket         wait PATH       waits until the file exists
  udp HOST PORT HEX     sends a datagram                 resolve NAME    asks the resolver, whatever it answers
  clone FOLDER NAME     reads a file of a copy of this mount that is mounted nowhere (open_tree)
  nowhere FROM NAME     the same of a new file system (fsmount), which gets it from FROM; "@drop" lets go of it at once
  mark PATH             makes an empty file               thread STEP…;   runs steps up to ";" in a thread
  temporary PATH        a file as mkstemp makes it, with random words, which is then read again
  fork STEP…;           runs steps in a forked child and waits     exec ARGV…   becomes another program
  spawn ARGV…;          starts a program and waits        sleep SECONDS   setenv NAME VALUE
"""
import ctypes
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


def call_kernel(*arguments):
    """A system call that has no name here: the same numbers everywhere. Fails as other calls do."""
    libc = ctypes.CDLL(None, use_errno=True)
    out = libc.syscall(*[ctypes.c_long(one) if isinstance(one, int) else one for one in arguments])
    if out < 0:
        raise OSError(ctypes.get_errno(), "system call", str(arguments[0]))
    return out


OPEN_TREE, FSOPEN, FSCONFIG, FSMOUNT = 428, 430, 431, 432


def detached_copy(folder):
    return call_kernel(OPEN_TREE, -100, folder.encode(), 1)  # OPEN_TREE_CLONE


def detached_memory():
    context = call_kernel(FSOPEN, b"tmpfs", 0)
    call_kernel(FSCONFIG, context, 6, None, None, 0)  # FSCONFIG_CMD_CREATE
    return call_kernel(FSMOUNT, context, 0, 0)


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
    elif verb == "clone":
        folder, name = take(2)
        _KEPT[folder] = detached_copy(folder)
        with open(f"/proc/self/fd/{_KEPT[folder]}/{name}", "rb") as file:
            file.read()
        tell(did="clone", path=name)
    elif verb == "nowhere":
        source, name = take(2)
        mount = detached_memory()
        place = f"/proc/self/fd/{mount}/{name}"
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(source, "rb") as file, open(place, "wb") as copy:
            copy.write(file.read())
        with open(place, "rb") as file:
            file.read()
        _KEPT[place] = os.close(mount) if optional() == "drop" else mount
        tell(did="nowhere", path=name)
    elif verb == "temporary":
        path, = take(1)
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(30).hex() + "\n")
        open(path).close()
        tell(did="temporary", path=path)
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
