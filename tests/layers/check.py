#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The layering test: every #include and every CMake link list keeps to the layers. Without root, without a build.

  L0 include/keytrail  <-  L1 agent/base, agent/catalog, bpf  <-  L2 each stage, exporter  <-  L3 the mains, agent/cli

A stage knows L0, L1 and itself, never another stage. Some libraries live in one folder only (LIBRARIES).
Usage: check.py [ROOT]; exit 0 clean, 1 not.
self_test.py shows that a forbidden include makes it fail.
"""
import os
import re
import sys

L1 = ("agent/base", "agent/catalog", "bpf")
STAGES = ("agent/warden", "agent/examine", "agent/capture", "agent/decode", "agent/identify", "agent/link",
          "agent/judge", "agent/record", "agent/serve", "exporters/metrics", "exporters/otlp")
# Folders and files that put everything together.
TOP = ("agent/cli", "agent", "tests/system", "tests/fuzz", "tests/bench", "tests/replay", "tests/roles", "tests/bpf",
       "tests/corpus", "packaging")

# Library: (headers, names in CMake, folders that may use it).
LIBRARIES = {
    "libbpf": (r"bpf/(bpf|libbpf|btf|bpf_endian)\.h|.*\.skel\.h",
               r"\b(bpf|libbpf|PkgConfig::LIBBPF|PkgConfig::libbpf)\b", ("agent/warden", "bpf")),
    "BPF program helpers": (r"bpf/(bpf_helpers|bpf_core_read|bpf_tracing|usdt\.bpf)\.h", r"(?!)", ("bpf",)),
    "sqlite3": (r"sqlite3(ext)?\.h", r"\b(SQLite::SQLite3|sqlite3)\b", ("agent/record", "agent/examine")),
    "Protobuf": (r"google/protobuf/.*|.*\.pb\.h", r"\b(protobuf::\w+|protobuf)\b", ("exporters/otlp",)),
    "gRPC": (r"grpc(pp)?/.*", r"\b(grpc|grpc\+\+|gpr|gRPC::\S+)", ("exporters/otlp",)),
    "OpenSSL": (r"openssl/.*|boost/asio/ssl.*|boost/beast/ssl.*", r"\bOpenSSL::\w+",
                ("agent/base", "agent/decode", "agent/examine")),
    "yaml-cpp": (r"yaml-cpp/.*", r"\byaml-cpp(::\S+)?\b",
                 ("agent/base", "agent/catalog", "agent/cli", "agent/examine")),
    "libpsl": (r"libpsl\.h", r"\bPkgConfig::PSL\b", ("agent/base",)),
    "RE2": (r"re2/.*", r"\bre2(::\w+)?\b", ("agent/catalog",)),
    "CLI11": (r"CLI/.*", r"\bCLI11(::\w+)?\b", ("agent/cli", "agent", "agent/warden")),
}
# A test may use the library of the stage that it tests.
_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
_LINK = re.compile(r"\b(keytrail_library|keytrail_test|target_link_libraries)\s*\(([^)]*)\)", re.S)
_SOURCE = (".h", ".hpp", ".c", ".cc", ".cpp", ".bpf.c", ".inc")
_SKIP = {".git", "build", "node_modules"}


def sources(root):
    """Relative paths of the C and C++ files and of the CMake lists."""
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in _SKIP and not name.startswith(("build-", "."))]
        for name in files:
            if name.endswith(_SOURCE) or name == "CMakeLists.txt":
                yield os.path.relpath(os.path.join(folder, name), root)


def owner(path):
    """The part a file belongs to: "include", an L1 folder, a stage, a top folder, or "tests/unit/STAGE"."""
    parts = path.split("/")
    if parts[0] == "include":
        return "include"
    if parts[:2] == ["tests", "unit"]:
        return "/".join(parts[:3]) if len(parts) > 3 else "tests/unit"
    for depth in (2, 1):
        part = "/".join(parts[:depth])
        if len(parts) > depth and (part in L1 or part in STAGES or part in TOP):
            return part
    return parts[0] if len(parts) > 1 else ""


def tested(part):
    """The stage that a unit test's folder tests: tests/unit/link → agent/link."""
    name = part.split("/")[2] if part.count("/") >= 2 else ""
    for one in (*STAGES, *L1, *TOP):
        if one.split("/")[-1] == name or one == name:
            return one
    return None


def may_know(part, other):
    """May a file of `part` include one of `other`?"""
    if part == other or other == "include":
        return True
    if part == "include":
        return False
    if part in ("agent/base", "bpf"):
        return False
    if part == "agent/catalog":
        return other == "agent/base"
    if part in STAGES:
        return other in L1
    if part.startswith("tests/unit/"):
        subject = tested(part)
        if other in ("tests/replay", "tests/unit"):  # fakes that tests share
            return True
        if subject is None or subject in TOP:  # shared support, or a test of a top part
            return subject in TOP or other in L1
        return other == subject or other in L1 or may_know(subject, other)
    return True


def may_use(part, folders):
    subject = tested(part) if part.startswith("tests/unit/") else part
    return subject in folders or part.startswith(("tests/bench", "tests/bpf", "tests/replay", "tests/roles",
                                                  "tests/fuzz"))


def target_owner(name):
    """keytrail_link → agent/link; None for what is no library of ours."""
    found = re.fullmatch(r"keytrail_(\w+)", name)
    if not found:
        return None
    for part in sorted((*STAGES, *L1, "agent/cli"), key=len, reverse=True):
        last = part.split("/")[-1]
        if found.group(1) == last or found.group(1).startswith(last + "_"):
            return part
    return None


def check_includes(path, text):
    part = owner(path)
    for _, name in _INCLUDE.findall(text):
        if ".." in name.split("/"):
            yield f"{path}: includes \"{name}\": write the path from the root"
            continue
        other = ("include" if name.startswith("keytrail/")
                 else owner(name) if name.startswith(("agent/", "bpf/lib/", "exporters/", "tests/")) else None)
        if name.startswith("bpf/") and other is None and re.search(r"\.bpf\.[ch]$", name):
            other = "bpf"
        if other and not may_know(part, other):
            yield f"{path}: includes \"{name}\": {part} may not know {other}"
        for library, (headers, _, folders) in LIBRARIES.items():
            if re.fullmatch(headers, name) and not may_use(part, folders):
                yield f"{path}: includes <{name}>: {library} belongs to {', '.join(folders)}"


def check_links(path, text):
    part = owner(path)
    text = re.sub(r"#.*", "", text)
    for kind, body in _LINK.findall(text):
        words = body.split()
        if kind != "target_link_libraries":
            words = words[words.index("LINK") + 1:] if "LINK" in words else []
        else:
            words = words[1:]
        for word in words:
            other = target_owner(word)
            if other and not may_know(part, other):
                yield f"{path}: links {word}: {part} may not know {other}"
            for library, (_, names, folders) in LIBRARIES.items():
                if re.fullmatch(names, word) and not may_use(part, folders):
                    yield f"{path}: links {word}: {library} belongs to {', '.join(folders)}"


def check(root):
    """(number of files, list of problems)."""
    problems, count = [], 0
    for path in sorted(sources(root)):
        count += 1
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            text = file.read()
        problems += check_links(path, text) if path.endswith("CMakeLists.txt") else check_includes(path, text)
    return count, problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    count, problems = check(root)
    print("\n".join(problems) if problems else f"layers: {count} files keep to them")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
