# SPDX-License-Identifier: Apache-2.0
"""A load of ordinary and of key work, paced: for SECONDS, RATE rounds a second, each of

  10 connections on loopback, 4 programs, 10 opens of one key file (counted in the kernel after the first),
  and, with "examined", the first open of a key file of its own (in FOLDER).

Prints what it did as one JSON line."""
import json
import os
import random
import socket
import string
import struct
import sys
import time

CONNECTIONS, PROGRAMS, REPEATS = 10, 4, 10


def words(count, letters):
    return "".join(random.choices(letters, k=count))


def key_file(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"[default]\naws_access_key_id = AKIA{words(16, string.ascii_uppercase + '234567')}\n"
                   f"aws_secret_access_key = {words(40, string.ascii_letters + string.digits)}\n")


def read(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.read(fd, 4096)
    os.close(fd)


def connect(listener):
    one = socket.socket()
    # no TIME_WAIT, so that ports do not run out
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.connect(listener.getsockname())
    listener.accept()[0].close()
    one.close()


def main():
    seconds, rate, folder = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    examined = "examined" in sys.argv[4:]
    random.seed()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    known = f"{folder}/known/.aws/credentials"
    key_file(known)
    did = {"rounds": 0, "connections": 0, "programs": 0, "repeats": 0, "first": 0}
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        for _ in range(CONNECTIONS):
            connect(listener)
        for _ in range(PROGRAMS):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {"HOME": "/root", "PATH": "/bin"}), 0)
        for _ in range(REPEATS):
            read(known)
        if examined:
            path = f"{folder}/first{did['rounds']}/.aws/credentials"
            key_file(path)
            read(path)
        did["rounds"] += 1
        time.sleep(max(0.0, begin + did["rounds"] / rate - time.monotonic()))
    rounds = did["rounds"]
    did.update(connections=rounds * CONNECTIONS, programs=rounds * PROGRAMS, repeats=rounds * REPEATS,
               first=rounds if examined else 0, seconds=round(time.monotonic() - begin, 1))
    print(json.dumps(did), flush=True)


if __name__ == "__main__":
    main()
