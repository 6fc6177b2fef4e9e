#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over agent/ and exporters/: tests/tidy.py --build DIR [--jobs N] [--full] (after the build, which knows the
headers of each file). Its static analyzer, two thirds of the time, looks at the code that holds privilege or reads
foreign bytes (ANALYZED); --full: at all.

A file that was clean is not looked at again while nothing that it is made of changes: its commands, every header,
.clang-tidy, clang-tidy itself. The stamps lie beside the compile cache. The last line tells how many files were looked
at; exit 1 when one has a finding."""
import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time

TIDY = "clang-tidy-19"
ROOT = os.path.realpath(os.path.dirname(os.path.abspath(__file__)) + "/..")
KEPT_DAYS = 30
ANALYZED = ("agent/warden/", "agent/examine/", "agent/decode/", "agent/capture/")
NOT_ANALYZED = "--checks=-clang-analyzer-*"


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@functools.lru_cache(maxsize=None)
def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def place(path, build):
    """The same name for a file in every clone."""
    for folder, name in ((build, "BUILD"), (ROOT, "ROOT")):
        path = path.replace(folder, name)
    return path


def commands(build):
    """{source: its entries in the compilation database}, only of our own code."""
    out = {}
    with open(build + "/compile_commands.json") as file:
        for entry in json.load(file):
            if re.fullmatch(re.escape(ROOT) + r"/(agent|exporters)/.*\.cpp", entry["file"]):
                out.setdefault(entry["file"], []).append(entry["command"])
    return out


def depends(text, build):
    """{object: files it was made of}, from `ninja -t deps`."""
    out, files = {}, []
    for line in text.splitlines():
        if line.startswith("    "):
            files.append(os.path.normpath(os.path.join(build, line.strip())))
        elif ": #deps" in line:
            files = out.setdefault(line.split(": #deps")[0], []) if line.endswith("(VALID)") else []
    return out


def key(entries, made_of, build, common):
    """What decides the findings of a file, as one digest; None when the build does not know its headers."""
    total = hashlib.sha256(common.encode())
    for command in sorted(entries):
        words = shlex.split(command)
        files = made_of.get(words[words.index("-o") + 1])
        if not files:
            return None
        total.update(place(command, build).encode())
        for path in sorted(files):
            total.update((place(path, build) + digest(path)).encode())
    return total.hexdigest()


def stamps():
    try:
        cache = output("ccache", "-k", "cache_dir").strip()
    except (OSError, subprocess.CalledProcessError):
        cache = os.path.expanduser("~/.cache")
    folder = cache + "/keytrail-tidy"
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if time.time() - os.stat(f"{folder}/{name}").st_mtime > KEPT_DAYS * 86400:
            os.unlink(f"{folder}/{name}")
    return folder


def extra(source, full):
    """What clang-tidy is told for this file besides .clang-tidy."""
    return [] if full or os.path.relpath(source, ROOT).startswith(ANALYZED) else [NOT_ANALYZED]


def look(source, build, words):
    done = subprocess.run([TIDY, "-quiet", "-p", build, *words, source], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + "".join(line for line in done.stderr.splitlines(True)
                                                  if "warnings generated" not in line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--full", action="store_true", help="the static analyzer over every file")
    args = parser.parse_args()
    build = os.path.realpath(args.build)
    common = output(TIDY, "--version") + digest(ROOT + "/.clang-tidy")
    made_of = depends(output("ninja", "-C", build, "-t", "deps"), build)
    folder, todo, clean = stamps(), [], 0
    for source, entries in sorted(commands(build).items(), key=lambda one: -os.stat(one[0]).st_size):
        words = extra(source, args.full)
        stamp = key(entries, made_of, build, common + " ".join(words))
        if stamp and os.path.exists(f"{folder}/{stamp}"):
            os.utime(f"{folder}/{stamp}")
            clean += 1
        else:
            todo.append((source, stamp, words))
    found = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for (_, stamp, _), (code, text) in zip(todo, pool.map(lambda one: look(one[0], build, one[2]), todo)):
            if code != 0:
                found += 1
                print(text, end="")
            elif stamp:
                open(f"{folder}/{stamp}", "w").close()
    print(f"clang-tidy: {len(todo)} files looked at, {clean} as they were, {found} with findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
