# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets in bytes, raw and in the encodings that programs use. Pure, but for `process_memory`."""
import base64
import os
import re
import subprocess
import threading
import urllib.parse

# With more texts than this, grep tells first whether there is any: one pass over the data for all of them.
MANY = 500
# A part of a secret is a leak too: a window of this many bytes from its start and its end is looked for as well.
WINDOW = 16
_ZEROS = re.compile(rb"\0{64,}")  # most of a process's memory was never written; no secret's form holds so many zeros


def _base64(raw):
    """The part of the base64 text that does not depend on what surrounds it, for the three phases."""
    for phase in range(3):
        text = base64.b64encode(b"\0" * phase + raw)
        start = (phase * 8 + 5) // 6
        end = (phase + len(raw)) * 8 // 6
        yield text[start:end]
        yield text[start:end].replace(b"+", b"-").replace(b"/", b"_")


def forms(secret):
    """{bytes to look for: name of the encoding}."""
    raw = secret.encode()
    out = {}
    for part, label in ((raw, ""), (raw[:WINDOW], ", first bytes"), (raw[-WINDOW:], ", last bytes")):
        if len(part) < min(WINDOW, len(raw)):
            continue
        out.setdefault(part, "raw" + label)
        out.setdefault(part[::-1], "reversed" + label)
        out.setdefault(part.hex().encode(), "hex" + label)
        out.setdefault(part.hex().upper().encode(), "hex" + label)
        for text in _base64(part):
            out.setdefault(text, "base64" + label)
        quoted = urllib.parse.quote(part.decode("latin-1"), safe="").encode()
        out.setdefault(quoted, "url-encoded" + label)
        out.setdefault("".join(f"%{byte:02x}" for byte in part).encode(), "url-encoded" + label)
        out.setdefault(part.decode("latin-1").encode("utf-16-le"), "utf-16" + label)
    return out


class Scanner:
    def __init__(self, secrets):
        self._forms = {}
        for number, secret in enumerate(secrets):
            for text, label in forms(secret).items():
                self._forms.setdefault(text, f"secret {number}, {label}")

    def _any(self, data):
        """Whether any text occurs. The texts go through a pipe: a file or an argument would be a leak of its own."""
        read, write = os.pipe()
        grep = subprocess.Popen(["grep", "-qaF", "-f", f"/dev/fd/{read}"], stdin=subprocess.PIPE, pass_fds=(read,),
                                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
        os.close(read)

        def feed():
            with os.fdopen(write, "wb") as pipe:
                pipe.write(b"\n".join(text for text in self._forms if b"\n" not in text) + b"\n")

        feeder = threading.Thread(target=feed)
        feeder.start()
        grep.communicate(data)
        feeder.join()
        if grep.returncode > 1:
            raise RuntimeError(f"grep ended with {grep.returncode}")
        return grep.returncode == 0

    def hits(self, data, where):
        """A line per hit; it names the place and the encoding, never the secret."""
        if len(self._forms) > MANY and not self._any(data):
            return []
        return [f"{where}: {label} at {data.find(text)}" for text, label in self._forms.items() if text in data]


def process_memory(pid):
    """(name, bytes) of each readable mapping that is not file text. Unreadable pages are skipped."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            words = line.split()
            name = words[5] if len(words) > 5 else "anonymous"
            if ("r" not in words[1] or name in ("[vvar]", "[vsyscall]", "[vvar_vclock]")
                    or (words[1].startswith("r-x") and name.startswith("/"))):
                continue
            first, last = (int(text, 16) for text in words[0].split("-"))
            chunks = []
            for at in range(first, last, 1 << 20):
                try:
                    chunks.append(os.pread(memory.fileno(), min(1 << 20, last - at), at))
                except OSError:
                    continue
            yield f"{name} {words[0]}", _ZEROS.sub(b"\0", b"".join(chunks))
