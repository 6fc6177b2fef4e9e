#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of tidy.py: a stamp holds exactly as long as nothing changes that the findings of a file come from."""
import os
import tempfile
import unittest

import tidy

DEPS = """a.o: #deps 2, deps mtime 1 (VALID)
    ../agent/a.cpp
    {header}

b.o: #deps 1, deps mtime 1 (STALE)
    ../agent/b.cpp
"""


class Stamp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build, self.header = folder.name + "/build", folder.name + "/a.h"
        os.makedirs(folder.name + "/agent")
        for path, text in ((folder.name + "/agent/a.cpp", "int a;"), (self.header, "int b;")):
            self.write(path, text)

    @staticmethod
    def write(path, text):
        with open(path, "w") as file:
            file.write(text)
        tidy.digest.cache_clear()

    def key(self, command="clang++ -o a.o -c a.cpp", common="19"):
        made_of = tidy.depends(DEPS.format(header=self.header), self.build)
        return tidy.key([command], made_of, self.build, common)

    def test_it_holds_while_nothing_changes(self):
        self.assertIsNotNone(self.key())
        self.assertEqual(self.key(), self.key())

    def test_a_header_a_command_or_a_setting_changes_it(self):
        first = self.key()
        self.assertNotEqual(first, self.key(command="clang++ -O2 -o a.o -c a.cpp"))
        self.assertNotEqual(first, self.key(common="20"))
        self.write(self.header, "int c;")
        self.assertNotEqual(first, self.key())

    def test_a_file_whose_headers_the_build_does_not_know_has_none(self):
        self.assertIsNone(self.key(command="clang++ -o b.o -c b.cpp"))
        self.assertIsNone(self.key(command="clang++ -o c.o -c c.cpp"))

    def test_the_analyzer_looks_at_what_reads_foreign_bytes_and_with_full_at_all(self):
        self.assertEqual(tidy.extra(tidy.ROOT + "/agent/examine/pem.cpp", False), [])
        self.assertEqual(tidy.extra(tidy.ROOT + "/agent/serve/api.cpp", False), [tidy.NOT_ANALYZED])
        self.assertEqual(tidy.extra(tidy.ROOT + "/agent/serve/api.cpp", True), [])
        for folder in tidy.ANALYZED:
            self.assertTrue(os.path.isdir(f"{tidy.ROOT}/{folder}"), folder)

    def test_it_is_the_same_in_another_clone(self):
        self.assertEqual(tidy.place(tidy.ROOT + "/agent/a.cpp", "/x/build"), "ROOT/agent/a.cpp")
        self.assertEqual(tidy.place("-I/x/build/bpf", "/x/build"), "-IBUILD/bpf")


if __name__ == "__main__":
    unittest.main()
