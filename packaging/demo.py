#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traffic to look at, for quickstart.sh --demo: real clients with planted keys call local TLS servers under the providers' names, in a network namespace
and mounts of their own (the stage of tests/system), all removed at the end. Then it asks the agent what it saw. Exit 0 only when the trail is whole."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/system")

from case import PYTHON, Run, SystemCase  # noqa: E402
from stage import keys  # noqa: E402
from stage.world import World  # noqa: E402


class Demo(SystemCase):
    """Five clients on the stage; the agent is the one that runs on this machine."""

    def make_agent(self):
        return None

    def runTest(self):
        """Plays, and leaves in `expected` what must be seen: (what, key id or None, evidence)."""
        prod, other, env = self.maker.aws(), self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", other.profile() + prod.profile("prod"))
        self.start(["/usr/bin/aws", "s3", "ls"], env={"AWS_PROFILE": "prod"}).wait()
        self.start([PYTHON, "-c", "import boto3; boto3.client('s3').list_buckets()"]).wait()
        self.files = {}
        self.start([PYTHON, "-c", "import boto3; boto3.client('dynamodb').list_tables()"], env=env.env()).wait()
        self.start([PYTHON, "-c", "import boto3; boto3.client('s3').list_buckets()"]).wait()
        own = "aws_access_key_id='AKIA' + 16 * 'X', aws_secret_access_key=40 * 'x'"
        self.start([PYTHON, "-c", f"import boto3; boto3.client('sts', {own}).get_caller_identity()"]).wait()
        self.expected = [("aws with AWS_PROFILE=prod", prod.id, "inferred"), ("boto3 with two profiles", other.id, "possible"),
                         ("boto3 with a key in its environment", env.id, "inferred"), ("boto3 with the machine's role", "aws.session@role/stage-role", "inferred"),
                         ("boto3 with a key that the program made itself", None, "unattributed")]


def ask(*words):
    return subprocess.run(["keytrail", *words], capture_output=True, text=True, check=False)


def main():
    Run.maker = keys.Maker()
    Run.world = World(Run.maker)
    os.chmod(Run.world.dir, 0o755)
    demo = Demo()
    begin = time.time()
    whole = True
    try:
        demo.setUp()
        try:
            demo.runTest()
        finally:
            demo.doCleanups()
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin))
        limit = time.monotonic() + 10
        missing = demo.expected
        while missing and time.monotonic() < limit:
            time.sleep(0.5)
            answer = ask("uses", "--since", since, "-o", "json")
            rows = json.loads(answer.stdout)["rows"] if answer.returncode == 0 else []
            seen = {(one["key"]["id"], row["evidence"]) for row in rows for one in row["keys"]} | {(None, row["evidence"]) for row in rows if not row["keys"]}
            missing = [one for one in demo.expected if one[1:] not in seen]
        print(ask("uses", "--since", since).stdout)
        for what, key, evidence in missing:
            whole = False
            print(f"demo: {what}: no {evidence} use of {key or 'no key'} was seen. Look at: keytrail doctor")
    finally:
        Run.close()
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
