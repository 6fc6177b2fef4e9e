# SPDX-License-Identifier: Apache-2.0
"""Other people's Go programs, built once per version of their module here."""
import hashlib
import json
import os
import subprocess

from stage.world import PATH


class Missing(Exception):
    """It cannot be had here; the text says why."""


def _go():
    for place in (*(f"{folder}/go" for folder in PATH.split(":")), "/usr/local/go/bin/go"):
        if os.access(place, os.X_OK):
            return place
    raise Missing("no Go on this machine (1.26 or newer builds what is tested with)")


def _run_go(sources, *words, seconds=900):
    home = os.environ.get("HOME", "/root")
    env = {"PATH": PATH, "HOME": home, "GOFLAGS": "-buildvcs=false -mod=readonly", "GOTOOLCHAIN": "local",
           "GOPROXY": os.environ.get("GOPROXY", "https://proxy.golang.org"),
           **{name: value for name, value in os.environ.items()
              if name in ("GOCACHE", "GOMODCACHE", "GOSUMDB", "https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE")}}
    return subprocess.run([_go(), *words], cwd=sources, env=env, capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, check=False)


def place_of(sources, folder, name):
    """Where the program `name` of these very sources is kept below `folder`, and whether it is there."""
    digest = hashlib.sha256()
    for one in sorted(os.listdir(sources)):
        with open(f"{sources}/{one}", "rb") as file:
            digest.update(one.encode() + b"\0" + file.read())
    path = f"{folder}/interop/{name}-{digest.hexdigest()[:16]}"
    return path, os.access(path, os.X_OK)


def built(sources, folder, name, package=".", flags="-s -w", seconds=900):
    """Path of the program, built under `folder` unless these very sources were built there before. Raises Missing when
    Go or its proxy cannot be reached."""
    path, there = place_of(sources, folder, name)
    if there:
        return path
    fetched = _run_go(sources, "list", "-deps", package)  # fetches what the package needs, and no more
    if fetched.returncode:
        raise Missing(f"Go cannot fetch the modules of {name}: "
                      + (fetched.stderr.strip().splitlines() or ["?"])[-1][:300])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    done = _run_go(sources, "build", "-trimpath", "-ldflags=" + flags, "-p", "2", "-o", path + ".tmp", package,
                   seconds=seconds)
    if done.returncode:
        raise RuntimeError(f"{name} does not build:\n" + done.stderr[-3000:])
    os.rename(path + ".tmp", path)
    return path


def module(sources, name):
    """The folder of a module's own files, in the version that these sources ask for. Raises Missing."""
    done = _run_go(sources, "mod", "download", "-json", name)
    if done.returncode:
        raise Missing(f"Go cannot fetch {name}: " + (done.stderr.strip().splitlines() or ["?"])[-1][:300])
    return json.loads(done.stdout)["Dir"]
