#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of run.sh with a tiny root (a shell and what it needs): it gives back the command's status, and leaves no
mount, process or file behind."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PACKAGING = os.path.dirname(os.path.abspath(__file__)) + "/../../packaging"
RUN = os.path.dirname(os.path.abspath(__file__)) + "/run.sh"
PROGRAMS = ("bash", "env", "sleep", "touch", "umount")


def tiny_root(folder):
    """A tar with PROGRAMS and their libraries; returns its path."""
    root = folder + "/root"
    for empty in ("etc/apt/apt.conf.d", "usr/share/keyrings", "mnt", "tmp"):
        os.makedirs(f"{root}/{empty}")
    for program in PROGRAMS:
        path = shutil.which(program, path="/usr/bin:/bin")
        libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for file in [path, *(word for word in libraries.split() if word.startswith("/"))]:
            place = root + ("/usr/bin/" + program if file == path else file)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(file, place)
    os.symlink("usr/bin", root + "/bin")
    subprocess.run(["tar", "-C", root, "-cf", folder + "/tiny.tar", "."], check=True)
    return folder + "/tiny.tar"


def left():
    """Roots that still exist, mounts of them in any namespace, and processes in them."""
    mounts = set()
    for path in glob.glob("/proc/[0-9]*/mounts"):
        try:
            with open(path) as file:
                mounts |= {line.split()[1] for line in file if "/keytrail-root-" in line}
        except OSError:
            continue
    return sorted(mounts) + glob.glob("/var/tmp/keytrail-root-*")


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@unittest.skipIf(os.geteuid() != 0, "needs root for its mounts")
class CleanRoot(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.tar = tiny_root(cls.folder)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.before = left()

    def run_in(self, *command, env=None, tar=True, prefix=()):
        where = ["--tar", self.tar] if tar else []
        clean = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run([*prefix, RUN, *where, *command], capture_output=True, text=True,
                              env={**clean, **(env or {})}, check=False)

    def test_the_commands_status_and_words_come_back_and_nothing_stays(self):
        done = self.run_in("bash", "-c", "[ -x tests/clean_root/run.sh ] && echo in $PWD; exit 7")
        self.assertEqual((done.returncode, done.stdout), (7, "in /keytrail\n"), done.stderr)
        self.assertEqual(left(), self.before)

    def test_the_machines_files_are_not_there(self):
        done = self.run_in("bash", "-c", f"[ -e {self.tar} ] || [ -e /mnt/etc ] || echo alone")
        self.assertEqual(done.stdout, "alone\n", done.stderr)

    def test_a_process_that_stays_behind_is_ended(self):
        done = self.run_in("bash", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(runs(done.stdout.strip()))
        self.assertEqual(left(), self.before)

    def interrupted(self, number):
        # Whoever started this in the background ignores Ctrl-C, and so would a shell below.
        with subprocess.Popen([RUN, "--tar", self.tar, "bash", "-c", "echo ready; sleep 1000"], stdout=subprocess.PIPE,
                              text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            begin = time.monotonic()
            process.send_signal(number)
            code = process.wait(30)
        self.assertLess(time.monotonic() - begin, 15)
        self.assertEqual(left(), self.before)
        return code

    def test_ctrl_c_and_a_termination_leave_nothing(self):
        self.assertEqual(self.interrupted(signal.SIGINT), 130)
        self.assertEqual(self.interrupted(signal.SIGTERM), 143)

    def cannot(self, words, **options):
        """No root can be made: a skip with a reason, and a failure in CI."""
        done = self.run_in("true", **options)
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertRegex(done.stdout, "(?m)^clean root: skipped: " + words)
        options["env"] = {**options.get("env", {}), "CI": "true"}
        done = self.run_in("true", **options)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, "clean root: " + words)
        self.assertEqual(left(), self.before)

    def test_without_root_it_is_a_skip_and_in_ci_a_failure(self):
        self.cannot("needs root", prefix=["setpriv", "--reuid", "65534", "--clear-groups"])

    @unittest.skipIf(shutil.which("debootstrap") is None, "debootstrap is not on this machine")
    def test_without_network_it_is_a_skip_and_in_ci_a_failure(self):
        self.cannot("debootstrap could not fetch", tar=False,
                    env={"KEYTRAIL_ROOT_CACHE": self.folder + "/empty",
                         "KEYTRAIL_ROOT_MIRROR": "http://127.0.0.1:9/debian"})


class Sentences(unittest.TestCase):
    """What the two commands say of a tool's log: one sentence with what to do."""

    def says(self, function, log):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(log)
            file.flush()
            script = f". {PACKAGING}/packages.sh; . {PACKAGING}/build.sh; {function} {file.name}"
            said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("\n", said)
        self.assertTrue(said.endswith("."), said)
        return said

    def test_apt(self):
        for log, words in (
            ("W: Failed to fetch http://x  Could not connect to 127.0.0.1:9\nE: Unable to locate package cmake\n",
             "proxy"), ("E: Unable to locate package clang-19\n", "package clang-19 is not in the package sources"),
            ("E: Package 'clang-19' has no installation candidate\n", "package clang-19 is not in the package sources"),
            ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7\n", "another apt"),
            ("dpkg: error: cannot write: No space left on device\n", "disk is full"),
            ("E: Sub-process /usr/bin/dpkg returned an error code (1)\n", "returned an error code")):
            self.assertIn(words, self.says("why_not_installed", log))

    def test_cmake(self):
        for log, words in (("CMake Error at x:1 (message):\n  Could NOT find GTest (missing: GTEST_LIBRARY)\n",
                            "did not find GTest"),
                           ("--   Package 'libseccomp', required by 'virtual:world', not found\n"
                            "CMake Error at x:1:\n  A required package was not found\n", "did not find libseccomp"),
                           ('CMake Error:\n  Could not find a package configuration file provided by "fmt" with\n',
                            "did not find fmt"),
                           ("CMake Error at x:1:\n  Target \"a\" links to:\n\n    GTest::gmock\n"
                            "\n  but the target was not found.\n", "links to: GTest::gmock but the"),
                           ("CMake Error at CMakeLists.txt:11 (message):\n  Keytrail needs clang 19\nCall Stack (most "
                            "recent call first):\n", "Keytrail needs clang 19")):
            self.assertIn(words, self.says("why_not_configured", log))

    def test_build(self):
        for log, words in (("[1/2] x\na.cpp:1:2: error: no such thing\n", "a.cpp:1:2: error: no such thing"),
                           ("clang++: Killed\n", "memory"),
                           ("fatal error: error in backend: IO failure: No space left on device\n", "disk is full"),
                           ("CMake Error at x:1 (message):\n  Could NOT find GTest\n", "did not find GTest")):
            self.assertIn(words, self.says("why_not_built", log))

    def test_a_build_tells_how_far_it_is_and_its_status(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/build.ninja", "w") as file:
                file.write("rule do\n  command = $do\nbuild a: do\n  do = true\nbuild b: do a\n  do = sleep 1\n"
                           "build c: do\n  do = false\n")
            script = f". {PACKAGING}/build.sh; show_step() {{ echo $1 of $2; }}; build_shown {folder}/log {folder} "
            done = subprocess.run(["bash", "-c", script + "b"], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, "1 of 2\n2 of 2\n"), done.stderr)
            self.assertNotEqual(subprocess.run(["bash", "-c", script + "c"], capture_output=True,
                                               check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
