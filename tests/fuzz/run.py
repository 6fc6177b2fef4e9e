#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets: run.py --build DIR [--seconds N] [--only PATTERN] [--jobs N] [--corpus DIR] [--seed N].

DIR is a build with -DKEYTRAIL_FUZZ=ON and its target `fuzz` built. Every target first takes its seeds, then N seconds
(4) of mutations of them, within 512 MB and 5 s an input. One line a target, and its totals; the last line is "N
targets, N inputs, N findings". Exit 0 only without findings; the input of a finding stays in --findings DIR (default:
fuzz-findings in the build).
--corpus keeps what was found to reach more code, for a longer run to go on from.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Largest input, bytes: 4,096 is the most that the kernel side lets out of a connection, files are larger.
LENGTHS = {"examine": 65536, "believed": 16384, "stages": 16384, "config": 16384, "additions": 16384, "environ": 16384,
           "arguments": 4096, "role_link": 16384, "otlp_http": 16384}
RSS_MB, INPUT_SECONDS, START_SECONDS = 512, 5, 60


class Outcome:
    """What one target did, from libFuzzer's own words."""

    def __init__(self, name, output, code, artifacts, seconds):
        self.name, self.code, self.artifacts, self.seconds = name, code, artifacts, seconds
        self.inputs = self._last(output, r"^stat::number_of_executed_units:\s+(\d+)")
        self.peak_mb = self._last(output, r"^stat::peak_rss_mb:\s+(\d+)")
        self.edges = self._last(output, r"^#\d+\s+.*?cov: (\d+)")
        self.corpus = self._last(output, r"^#\d+\s+.*?corp: (\d+)/")
        found = re.findall(r"^(?:.*(?:ERROR:|runtime error:|does not hold:|SUMMARY:).*|#\d+ 0x[0-9a-f]+ "
                           r"in .*keytrail.*)$", output, re.M)
        self.why = found[:12] if code else []
        if code and not found:
            self.why = output.splitlines()[-12:]

    @staticmethod
    def _last(output, pattern):
        found = re.findall(pattern, output, re.M)
        return int(found[-1]) if found else 0

    @property
    def failed(self):
        return self.code != 0 or self.inputs == 0

    def line(self):
        return (f"{'FAIL' if self.failed else 'ok':5} {self.name:13} {self.seconds:6.0f} s {self.inputs:10} inputs "
                f"{self.edges:6} edges {self.corpus:5} kept {self.peak_mb:4} MB")


def targets(pattern):
    names = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob(os.path.join(HERE, "*.cpp")))
    return [name for name in names if re.search(pattern, name)]


def run(name, options):
    program = os.path.abspath(os.path.join(options.build, "tests/fuzz", name + "_fuzz"))
    seeds = os.path.join(HERE, "seeds", name)
    if not os.path.exists(program) or not os.listdir(seeds):
        return Outcome(name, "ERROR: the target is not built, or has no seeds", 1, [], 0)
    place = tempfile.mkdtemp(prefix="keytrail-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        kept = os.path.join(os.path.abspath(options.corpus), name) if options.corpus else None
        corpus = kept or os.path.join(place, "corpus")
        os.makedirs(corpus, exist_ok=True)
        artifacts = os.path.join(place, "findings")
        os.makedirs(artifacts)
        command = [program, f"-max_total_time={options.seconds}", f"-rss_limit_mb={RSS_MB}",
                   f"-timeout={INPUT_SECONDS}", "-print_final_stats=1",
                   f"-max_len={LENGTHS.get(name, 4096)}", f"-artifact_prefix={artifacts}/", f"-seed={options.seed}"]
        words = os.path.join(HERE, "words", name + ".dict")
        if os.path.exists(words):
            command.append(f"-dict={words}")
        # The quarantine of freed memory counts as the target's own.
        environment = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=16:detect_leaks=1",
                           UBSAN_OPTIONS="print_stacktrace=1",
                           ASAN_SYMBOLIZER_PATH=shutil.which("llvm-symbolizer-19") or "")
        begin = time.monotonic()
        try:
            done = subprocess.run(command + [corpus, seeds], cwd=place, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=options.seconds + START_SECONDS, check=False)
            output, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            output, code = (late.stdout or b"").decode(errors="replace") + "\nERROR: the target did not end", 1
        kept = []
        for artifact in sorted(os.listdir(artifacts)):
            os.makedirs(options.findings, exist_ok=True)
            kept.append(os.path.join(options.findings, f"{name}-{artifact}"))
            shutil.copy(os.path.join(artifacts, artifact), kept[-1])
        return Outcome(name, output, code, kept, time.monotonic() - begin)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--corpus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings")
    options = parser.parse_args()
    options.findings = options.findings or os.path.join(options.build, "fuzz-findings")
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda name: run(name, options), targets(options.only)):
            outcomes.append(outcome)
            print(outcome.line(), flush=True)
            for line in outcome.why:
                print("      " + line)
            for path in outcome.artifacts:
                print(f"      input: {path}")
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{len(outcomes)} targets, {sum(outcome.inputs for outcome in outcomes)} inputs, {failed} findings")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
