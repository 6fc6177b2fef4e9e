# SPDX-License-Identifier: Apache-2.0
"""What the kernel itself says about a case, without BPF: process events (netlink connector) and file opens (fanotify),
each with a thread that looks at once.

Independent of the agent, so that a fault of one is no fault of the other.
"""
import ctypes
import os
import select
import socket
import struct
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_FORK, _EXEC, _EXIT = 1, 2, 0x80000000
_ACCESS, _OPEN = 1, 0x20


def stat_of(pid):
    """(comm, parent, start in ticks) of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return None
    end = text.rindex(")")
    words = text[end + 2:].split()
    return text[text.index("(") + 1:end], int(words[1]), int(words[19])


def _at_once():
    """A process must be looked at before it is gone: the thread runs before all others, and its work is tiny."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    except OSError:
        pass


class Process:
    def __init__(self, pid, parent, forked_ns):
        seen = stat_of(pid)
        self.pid, self.forked_ns = pid, forked_ns
        self.comm, self.parent, self.start = seen if seen else ("", 0, int(forked_ns / 1e9 * os.sysconf("SC_CLK_TCK")))
        self.parent = parent or self.parent
        self.execs = []  # {"time_ns", "exe", "argv", "environ"}

    def look(self, time_ns):
        one = {"time_ns": time_ns, "exe": "", "argv": [], "environ": b""}
        self.execs.append(one)
        try:
            one["exe"] = os.readlink(f"/proc/{self.pid}/exe")
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                one["argv"] = file.read(65536).decode("utf-8", "replace").split("\0")[:-1]
            with open(f"/proc/{self.pid}/environ", "rb") as file:
                one["environ"] = file.read(262144)
            self.comm = (stat_of(self.pid) or (self.comm,))[0]
        except OSError:
            pass


class Processes(threading.Thread):
    """Follows the descendants of one pid at a time."""

    def __init__(self):
        super().__init__(daemon=True)
        self._lock, self._live, self._seen = threading.Lock(), {}, []
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11)  # NETLINK_CONNECTOR
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((0, 1))  # CN_IDX_PROC
        listen = struct.pack("=IIIIHHI", 1, 1, 0, 0, 4, 0, 1)  # PROC_CN_MCAST_LISTEN
        self._socket.send(struct.pack("=IHHII", 16 + len(listen), 3, 0, 0, 0) + listen)

    def follow(self, pid):
        with self._lock:
            self._live, self._seen = {}, []
            self._add(pid, 0, 0)

    def taken(self):
        with self._lock:
            return list(self._seen)

    def _add(self, pid, parent, time_ns):
        self._live[pid] = Process(pid, parent, time_ns)
        self._seen.append(self._live[pid])

    def run(self):
        _at_once()
        while True:
            try:
                message = self._socket.recv(65536)
            except OSError:
                continue
            what, _, time_ns = struct.unpack_from("=IIQ", message, 36)
            first, second, third, fourth = struct.unpack_from("=IIII", message[52:].ljust(16, b"\0"))
            with self._lock:
                if what == _FORK and third == fourth and second in self._live:
                    self._add(fourth, second, time_ns)
                elif what == _EXEC and second in self._live:
                    self._live[second].look(time_ns)
                elif what == _EXIT and first == second:
                    self._live.pop(second, None)


class Opens(threading.Thread):
    """Opens and reads on marked mounts. The marks go away with the mounts."""

    def __init__(self):
        super().__init__(daemon=True)
        # CLOEXEC, NONBLOCK, UNLIMITED_QUEUE, UNLIMITED_MARKS
        self._notify = _LIBC.fanotify_init(0x1 | 0x2 | 0x10 | 0x20, os.O_RDONLY | os.O_CLOEXEC)
        if self._notify < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        self._lock, self._events = threading.Lock(), []

    def mark(self, path):
        """The mount that `path` lies on, through /proc/PID/root."""
        if _LIBC.fanotify_mark(self._notify, 1 | 0x10, ctypes.c_uint64(_OPEN | _ACCESS), -100, os.fsencode(path)) != 0:
            raise OSError(ctypes.get_errno(), "fanotify_mark " + path)

    def taken(self):
        with self._lock:
            out, self._events = self._events, []
        return out

    def run(self):
        _at_once()
        waiting = select.poll()
        waiting.register(self._notify, select.POLLIN)
        while True:
            waiting.poll()
            try:
                data = os.read(self._notify, 65536)
            except BlockingIOError:
                continue
            at = 0
            while at + 24 <= len(data):
                length, _, _, _, mask, fd, pid = struct.unpack_from("=IBBHQii", data, at)
                at += length
                if fd < 0:
                    continue
                try:
                    path = os.readlink(f"/proc/self/fd/{fd}")
                except OSError:
                    path = ""
                os.close(fd)
                with self._lock:
                    self._events.append({"pid": pid, "path": path, "read": bool(mask & _ACCESS)})
