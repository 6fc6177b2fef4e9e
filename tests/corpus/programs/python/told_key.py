# SPDX-License-Identifier: Apache-2.0
"""boto3 with a key that no watched boundary shows, while a file with another one is read. Where it comes from: a line
"ID SECRET" on standard input (`told_key.py pipe`), or typed in on a terminal (`told_key.py typed SCRIPT`: SCRIPT prints
what is typed)."""
import os
import pty
import subprocess
import sys

if sys.argv[1] == "typed":
    typed = subprocess.run([sys.executable, sys.argv[2]], capture_output=True, check=True).stdout
    child, terminal = pty.fork()
    if child:
        os.write(terminal, typed)
        try:
            while os.read(terminal, 4096):
                pass
        except OSError:  # the child is gone
            pass
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.execv(sys.executable, [sys.executable, __file__, "pipe"])

with open(os.path.expanduser("~/.aws/credentials")) as file:
    file.read()
key_id, secret = sys.stdin.readline().split()
import boto3  # noqa: E402
boto3.client("s3", region_name="eu-west-1", aws_access_key_id=key_id, aws_secret_access_key=secret).list_objects_v2(
    Bucket="corpus-bucket")
