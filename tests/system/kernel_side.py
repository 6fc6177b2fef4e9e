# SPDX-License-Identifier: Apache-2.0
"""What whoever is root can do to the kernel side of an agent that runs: its links and maps, by bpftool."""
import glob
import json
import subprocess


def bpftool(*words):
    done = subprocess.run(["bpftool", "--json", *words], capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout) if done.stdout.strip() else None


def descriptors(pid, word):
    """The numbers that /proc/PID/fdinfo gives under this word: "link_id", "map_id"."""
    out = []
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path) as file:
                found = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        except OSError:
            continue
        if word in found:
            out.append(int(found[word]))
    return out


def links(pid, *attach_types):
    """Of the warden's links those of these attach types (one has two names), as bpftool shows them."""
    every = [bpftool("link", "show", "id", str(number)) for number in descriptors(pid, "link_id")]
    every = [one[0] if isinstance(one, list) else one for one in every]
    return [one for one in every if one.get("attach_type") in attach_types]


def detach(link):
    bpftool("link", "detach", "id", str(link["id"]))


def table(pid, name):
    """The id of the warden's map of this name (of which the kernel keeps 15 bytes)."""
    for number in descriptors(pid, "map_id"):
        shown = bpftool("map", "show", "id", str(number))
        if shown.get("name") == name[:15]:
            return number
    raise LookupError(f"the warden has no map {name}")


def keys(number):
    """The keys of a map, as lists of bytes in bpftool's words."""
    return [entry["key"] for entry in bpftool("map", "dump", "id", str(number)) if "key" in entry]


def delete(number, key):
    bpftool("map", "delete", "id", str(number), "key", *key)
