# SPDX-License-Identifier: Apache-2.0
"""Clients that Debian's packages do not have: libraries from PyPI and a static Go program, made once for a run, outside
of the stage. Raises Missing where they cannot be had."""
import os
import shutil
import subprocess

from stage.world import PATH, PYTHON


class Missing(Exception):
    """The reason why a client cannot be had on this machine."""


def pypi(folder, *requirements):
    """A folder for PYTHONPATH with these packages; what they need beside must be named too, or be one of Debian's."""
    try:
        subprocess.run([PYTHON, "-m", "pip", "--version"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise Missing("python3-pip is not installed") from error
    done = subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--retries", "1", "--timeout", "5",
                           "--no-compile", "--disable-pip-version-check", "--target", folder, *requirements],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Missing(f"PyPI does not give {', '.join(requirements)}: "
                      f"{done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    return folder


def go(folder, source):
    """The path of a static program made from one Go source file that needs the standard library only."""
    compiler = shutil.which("go", path=PATH + ":/usr/local/go/bin")
    if compiler is None:
        raise Missing("Go is not installed")
    os.makedirs(folder)
    with open(folder + "/main.go", "w") as file:
        file.write(source)
    environment = {"PATH": PATH, "HOME": os.environ.get("HOME", "/root"), "CGO_ENABLED": "0", "GO111MODULE": "off",
                   "GOFLAGS": "-p=2", "GOTOOLCHAIN": "local"}
    subprocess.run([compiler, "build", "-trimpath", "-ldflags=-s -w", "-o", folder + "/client", folder + "/main.go"],
                   env=environment, check=True, capture_output=True, timeout=300)
    return folder + "/client"
