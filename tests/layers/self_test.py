# SPDX-License-Identifier: Apache-2.0
"""The layering test finds what is forbidden, and nothing else."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402

ALLOWED = {
    "include/keytrail/a.h": '#include <string>\n#include "keytrail/b.h"\n',
    "agent/base/a.cpp": '#include "agent/base/a.h"\n#include "keytrail/a.h"\n#include <yaml-cpp/yaml.h>\n',
    "agent/catalog/a.cpp": '#include "agent/base/a.h"\n#include "keytrail/a.h"\n#include <re2/re2.h>\n',
    "bpf/open.bpf.c": '#include "bpf/lib/a.h"\n#include <bpf/bpf_helpers.h>\n#include "keytrail/event_abi.h"\n',
    "agent/link/a.cpp": '#include "agent/link/a.h"\n#include "agent/base/a.h"\n#include "agent/catalog/catalog.h"\n'
                        '#include "keytrail/a.h"\n',
    "agent/link/CMakeLists.txt": "keytrail_library(keytrail_link SOURCES a.cpp "
                                 "LINK keytrail_base keytrail_catalog fmt::fmt)\n",
    "agent/record/a.cpp": "#include <sqlite3.h>\n",
    "agent/record/CMakeLists.txt": "keytrail_library(keytrail_record SOURCES a.cpp LINK SQLite::SQLite3)\n",
    "agent/warden/a.cpp": "#include <bpf/libbpf.h>\n",
    "exporters/otlp/a.cpp": "#include <google/protobuf/message.h>\n#include <grpcpp/grpcpp.h>\n",
    "agent/main.cpp": '#include "agent/link/a.h"\n#include "agent/record/a.h"\n#include "exporters/otlp/a.h"\n',
    "agent/cli/a.cpp": '#include "agent/serve/a.h"\n',
    "tests/unit/link/a_test.cpp": '#include "agent/link/a.h"\n#include "agent/base/a.h"\n#include <gtest/gtest.h>\n',
    "tests/unit/record/a_test.cpp": '#include "agent/record/a.h"\n#include <sqlite3.h>\n',
}

FORBIDDEN = {"L0 knows L1": ("include/keytrail/a.h", '#include "agent/base/log.h"\n'),
             "L0 knows a stage": ("include/keytrail/a.h", '#include "agent/link/a.h"\n'),
             "L1 knows a stage": ("agent/base/a.cpp", '#include "agent/record/a.h"\n'),
             "base knows the catalog": ("agent/base/a.cpp", '#include "agent/catalog/catalog.h"\n'),
             "a stage knows another": ("agent/link/a.cpp", '#include "agent/judge/a.h"\n'),
             "with spaces": ("agent/link/a.cpp", '  #  include  "agent/record/a.h"\n'),
             "a stage knows an exporter": ("agent/serve/a.cpp", '#include "exporters/otlp/a.h"\n'),
             "an exporter knows a stage": ("exporters/otlp/a.cpp", '#include "agent/record/a.h"\n'),
             "a stage knows the command line": ("agent/serve/a.cpp", '#include "agent/cli/a.h"\n'),
             "a relative include": ("agent/link/a.cpp", '#include "../judge/a.h"\n'),
             "libbpf outside the warden": ("agent/capture/a.cpp", "#include <bpf/libbpf.h>\n"),
             "a skeleton outside the warden": ("agent/capture/a.cpp", '#include "open.skel.h"\n'),
             "sqlite outside record": ("agent/serve/a.cpp", "#include <sqlite3.h>\n"),
             "Protobuf outside otlp": ("agent/serve/a.cpp", '#include "trace.pb.h"\n'),
             "OpenSSL in a stage": ("agent/link/a.cpp", "#include <openssl/evp.h>\n"),
             "a unit test knows another stage": ("tests/unit/link/a_test.cpp", '#include "agent/record/a.h"\n'),
             "a stage links another": ("agent/link/CMakeLists.txt", "keytrail_library(keytrail_link\n"
                                       " SOURCES a.cpp\n LINK keytrail_base keytrail_record)\n"),
             "a stage links sqlite": ("agent/link/CMakeLists.txt",
                                      "target_link_libraries(keytrail_link PRIVATE SQLite::SQLite3)\n"),
             "a stage links libbpf": ("agent/capture/CMakeLists.txt",
                                      "keytrail_library(keytrail_capture SOURCES a.cpp LINK bpf)\n"),
}


def problems(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
            with open(f"{root}/{path}", "w") as file:
                file.write(text)
        return check.check(root)[1]


class Layers(unittest.TestCase):
    def test_what_is_allowed(self):
        self.assertEqual(problems(ALLOWED), [])

    def test_what_is_forbidden(self):
        for name, (path, text) in FORBIDDEN.items():
            with self.subTest(name):
                found = problems({**ALLOWED, path: text})
                self.assertEqual(len(found), 1, found)
                self.assertIn(path, found[0])

    def test_a_comment_is_no_link(self):
        self.assertEqual(
            problems({"agent/link/CMakeLists.txt": "# keytrail_library(keytrail_link LINK keytrail_record)\n"}), [])


if __name__ == "__main__":
    unittest.main()
