#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes Keytrail's container image: an OCI image layout in one tar file, from built executables and this Debian
machine's packages. Nothing but Python's own library, dpkg and LLVM's objcopy and strip; no Docker engine.

Two layers: what comes from Debian, and Keytrail. The same executables, packages and SOURCE_DATE_EPOCH give the same
bytes: sorted names, root's files, one time, gzip without name and time. Every file of a package comes with its
copyright file, the licence texts that those name, and its entry in /var/lib/dpkg/status.d, so that a scanner knows it.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = ("keytrail", "keytrail-warden", "keytrail-examiner")
LOADED_PARTS = ("keytrail-otlp-grpc.so", "keytrail-otlp-json.so")  # beside `keytrail`, which loads them when needed
# Of Debian's static range for numbers given by hand (60000 to 64999): no system gives them to others by itself.
USERS = {"root": 0, "keytrail": 64791, "keytrail-examiner": 64792, "nobody": 65534}
# Headers only, and so in the executables themselves.
COMPILED_IN = ("libboost1.81-dev", "libcli11-dev")
MOUNT_POINTS = ("proc", "sys", "dev", "etc/keytrail/catalog.d", "var/lib/keytrail", "run/keytrail")
MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
LAYER, INDEX = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.index.v1+json"


class Refused(Exception):
    """One sentence that says what to do."""


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise Refused(f"`{' '.join(command)}` failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Tree:
    """What one layer holds: {path without a leading slash: (mode, bytes or link target or None for a folder)}."""

    def __init__(self):
        self.entries = {}

    def folder(self, path):
        while path and path not in self.entries:
            self.entries[path] = (0o755, None)
            path = os.path.dirname(path)

    def add(self, path, content, mode=0o644):
        self.folder(os.path.dirname(path))
        self.entries[path] = (mode, content if isinstance(content, bytes) else content.encode())

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.entries[path] = (0o777, target)

    def tar(self, epoch):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, (mode, content) in sorted(self.entries.items()):
                member = tarfile.TarInfo(path)
                member.mode, member.mtime = mode, epoch
                if content is None:
                    member.type = tarfile.DIRTYPE
                elif isinstance(content, str):
                    member.type, member.linkname = tarfile.SYMTYPE, content
                else:
                    member.size = len(content)
                tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
        return buffer.getvalue()


# ---- what goes in

def libraries(files):
    """{path in the image: path here} of the loader and all libraries that these need."""
    out = {}
    for file in files:
        for line in output_of("ldd", file).splitlines():
            found = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
            if "not found" in line:
                raise Refused(f"{os.path.basename(file)} needs {line.split()[0]}, which is not on this machine: "
                              "build it here (packaging/packages.sh names the packages).")
            if found:
                path = found[2]
                if not re.match(r"/(usr/)?lib", path):
                    raise Refused(f"{path} is of no Debian package: the image holds such libraries only.")
                out[re.sub(r"^(?:usr/)?lib", "usr/lib", path.lstrip("/"), count=1)] = os.path.realpath(path)
    return out


def packages_of(paths):
    """The Debian packages that these files belong to."""
    done = subprocess.run(["dpkg", "-S", *paths, *(path.removeprefix("/usr") for path in paths)], capture_output=True,
                          text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    owners = {}
    for line in done.stdout.splitlines():
        owner, _, path = line.partition(": ")
        owners[path] = owner.split(",")[0].split(":")[0]
    for path in paths:
        if path not in owners and path.removeprefix("/usr") not in owners:
            raise Refused(f"{path} is of no Debian package: the image holds such libraries only.")
    return set(owners.values())


def authorities(tree):
    """Mozilla's authorities as Debian's package has them: what a site added to the building machine is not of them."""
    files = sorted(path for path in output_of("dpkg", "-L", "ca-certificates").splitlines() if path.endswith(".crt"))
    if not files:
        raise Refused("the package ca-certificates has no certificates: apt-get install --reinstall ca-certificates.")
    tree.add("etc/ssl/certs/ca-certificates.crt", b"".join(read(path).rstrip(b"\n") + b"\n" for path in files))
    tree.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")


def licences(tree, packages):
    """Copyright files, the texts they refer to, and the entries by which scanners know a package."""
    named, first = set(), {}
    for package in sorted(packages):
        place, text = f"usr/share/doc/{package}/copyright", read(f"/usr/share/doc/{package}/copyright")
        if text in first:  # Boost's has 2 MB, and each of its packages has it
            tree.link(place, "/" + first[text])
            continue
        first[text] = place
        tree.add(place, text)
        named.update(re.findall(rb"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])", text))
    for name in sorted(name.decode() for name in named):
        if os.path.exists(f"/usr/share/common-licenses/{name}"):
            tree.add(f"usr/share/common-licenses/{name}", read(f"/usr/share/common-licenses/{name}"))


def debian_layer(files):
    tree, found = Tree(), libraries(files)
    for inside, here in found.items():
        tree.add(inside, read(here), 0o755)
    for name in ("lib", "lib64"):
        tree.link(name, f"usr/{name}")
    authorities(tree)
    shipped = packages_of(sorted(set(found.values()))) | {"ca-certificates"}
    for package in sorted(shipped):
        tree.add(f"var/lib/dpkg/status.d/{package}", output_of("dpkg-query", "-s", package))
    licences(tree, shipped | {name for name in COMPILED_IN if os.path.exists(f"/usr/share/doc/{name}/copyright")})
    tree.add("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    tree.add("etc/os-release", "".join(line for line in open("/etc/os-release") if re.match("(ID|VERSION|NAME)", line)))
    return tree


def stripped(path, scratch):
    """(program without debug information, its build id, the debug information)."""
    debug, bare = f"{scratch}/debug", f"{scratch}/bare"
    objcopy = "llvm-objcopy-19"
    output_of(objcopy, "--only-keep-debug", path, debug)
    output_of(objcopy, "--strip-all", path, bare)
    found = re.search(r"Build ID: ([0-9a-f]+)", output_of("llvm-readelf-19", "-n", path))
    return read(bare), found[1] if found else hashlib.sha1(read(path)).hexdigest(), read(debug)


def keytrail_layer(folder, debug):
    """`debug` is filled with usr/lib/debug/.build-id/…, where gdb looks."""
    tree = Tree()
    with tempfile.TemporaryDirectory() as scratch:
        for name in PROGRAMS + LOADED_PARTS:
            bare, build_id, symbols = stripped(f"{folder}/{name}", scratch)
            tree.add(f"usr/lib/keytrail/{name}", bare, 0o755)
            debug.add(f"usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug", symbols)
    tree.link("usr/bin/keytrail", "../lib/keytrail/keytrail")
    tree.add("etc/passwd", "".join(f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
                                   for name, number in USERS.items()))
    tree.add("etc/group", "".join(f"{'nogroup' if name == 'nobody' else name}:x:{number}:\n"
                                  for name, number in USERS.items()))
    tree.add("etc/keytrail/keytrail.yaml", read(f"{TREE}/packaging/keytrail.yaml"))
    tree.add("usr/share/doc/keytrail/LICENSE", read(f"{TREE}/LICENSE"))
    tree.add("usr/share/doc/keytrail/README.md", read(f"{TREE}/README.md"))
    for name in MOUNT_POINTS:
        tree.folder(name)
    return tree


# ---- the layout

def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def to_json(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def described(kind, content, **more):
    return {"mediaType": kind, "digest": digest(content), "size": len(content), **more}


def packed(content):
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(content)
    return out.getvalue()


def when(epoch):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def labels(version, epoch, revision):
    out = {"title": "keytrail", "description": "Node agent: who used which key, when, and for what.",
           "licenses": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)", "vendor": "Keytrail", "version": version,
           "created": when(epoch), "base.name": "scratch"}
    if revision:
        out["revision"] = revision
    return {f"org.opencontainers.image.{name}": value for name, value in out.items()}


def layout(layers, tag, run, epoch):
    """An image of `layers` [(tree, how it was made)] that runs as `run` says ("config" of an image's configuration).
    Returns (the tar of the layout, digest of the manifest, bytes of each layer packed, and unpacked)."""
    created = when(epoch)
    tars = [tree.tar(epoch) for tree, _ in layers]
    blobs = [packed(tar) for tar in tars]
    config = to_json({"architecture": output_of("dpkg", "--print-architecture").strip(), "os": "linux",
                      "created": created, "config": run,
                      "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
                      "history": [{"created": created, "created_by": what} for _, what in layers]})
    manifest = to_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, config),
                        "layers": [described(LAYER, blob) for blob in blobs], "annotations": run.get("Labels", {})})
    names = {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag.rsplit(":", 1)[-1]}
    index = to_json({"schemaVersion": 2, "mediaType": INDEX,
                     "manifests": [described(MANIFEST, manifest, annotations=names)]})
    whole = Tree()
    whole.add("oci-layout", to_json({"imageLayoutVersion": "1.0.0"}))
    whole.add("index.json", index)
    for blob in (config, manifest, *blobs):
        whole.add("blobs/" + digest(blob).replace(":", "/"), blob)
    return whole.tar(epoch), digest(manifest), [len(blob) for blob in blobs], [len(tar) for tar in tars]


def source_epoch():
    if value := os.environ.get("SOURCE_DATE_EPOCH"):
        if not value.isdigit():
            raise Refused(f"SOURCE_DATE_EPOCH is {value!r}: give seconds since 1970.")
        return int(value)
    done = subprocess.run(["git", "-C", TREE, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 0


def checked(options):
    folder = options.build + "/bin"
    missing = [name for name in PROGRAMS + LOADED_PARTS if not os.path.isfile(f"{folder}/{name}")]
    if missing:
        raise Refused(f"{missing[0]} is not in {folder}: packaging/image/build.sh without --build builds it.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", options.tag):
        raise Refused(f"{options.tag!r} is no image name with a tag: write registry.example/keytrail:1.0.")
    return folder


def write(path, content):
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=TREE + "/build", help="folder with bin/keytrail and the others")
    parser.add_argument("--output", default="keytrail.tar", help="the image")
    parser.add_argument("--debug", help="a tar for the debug information of the executables")
    parser.add_argument("--tag", help="the image's name, default docker.io/library/keytrail:VERSION")
    parser.add_argument("--revision", default="", help="the commit, for the label")
    options = parser.parse_args()
    try:
        version = re.search(r"project\(keytrail VERSION (\S+)", read(TREE + "/CMakeLists.txt").decode())[1]
        options.tag = options.tag or f"docker.io/library/keytrail:{version}"
        folder, epoch, debug = checked(options), source_epoch(), Tree()
        own = keytrail_layer(folder, debug)
        layers = [(debian_layer([f"{folder}/{name}" for name in PROGRAMS + LOADED_PARTS]), "Debian's libraries"),
                  (own, "Keytrail")]
        run = {"Entrypoint": ["/usr/lib/keytrail/keytrail-warden"], "Env": ["PATH=/usr/bin"], "WorkingDir": "/",
               "StopSignal": "SIGTERM", "User": "0:0", "Labels": labels(version, epoch, options.revision)}
        image, name, small, large = layout(layers, options.tag, run, epoch)
        write(options.output, image)
        if options.debug:
            write(options.debug, packed(debug.tar(epoch)))
    except (Refused, OSError) as why:
        print(f"image: {why}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.tag} {name}\n  {sum(small) / 1e6:.1f} MB packed, {sum(large) / 1e6:.1f} MB "
          f"unpacked, of which Keytrail {small[1] / 1e6:.1f} and {large[1] / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
