#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traffic to look at, for quickstart.sh --demo: real clients with planted keys call local TLS servers under the
providers' names, in a network namespace and mounts of their own (the stage of tests/system), all removed at the end.
Then it asks the agent what it saw. Exit 0 only when the trail is whole."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../tests/system")

AGAIN = "Try: sudo packaging/quickstart.sh --demo, which installs what the demo needs"
try:
    from case import PYTHON, Run, SystemCase
    from stage import keys
    from stage.world import World
except ImportError as error:
    sys.exit(f"demo: {error}. {AGAIN}")


class Demo(SystemCase):
    """Five clients on the stage; the agent is the one that runs on this machine."""
    doing = ""

    def make_agent(self):
        return None

    def plays(self, what, argv, seen, env=None):
        """Runs a client, and notes what must be seen of it: (key id or None, evidence)."""
        self.doing = what
        self.start(argv, env=env).wait()
        self.expected.append((what, *seen))

    def boto3(self, what, call, seen, env=None):
        self.plays("boto3 with " + what, [PYTHON, "-c", "import boto3; boto3.client" + call], seen, env)

    def runTest(self):
        self.expected = []
        prod, other, env = self.maker.aws(), self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", other.profile() + prod.profile("prod"))
        self.plays("aws with AWS_PROFILE=prod", ["/usr/bin/aws", "s3", "ls"], (prod.id, "inferred"),
                   {"AWS_PROFILE": "prod"})
        self.boto3("two profiles", "('s3').list_buckets()", (other.id, "possible"))
        self.files = {}
        self.boto3("a key in its environment", "('dynamodb').list_tables()", (env.id, "inferred"), env.env())
        self.boto3("the machine's role", "('s3').list_buckets()", ("aws.session@role/stage-role", "inferred"))
        own = "aws_access_key_id='AKIA' + 16 * 'X', aws_secret_access_key=40 * 'x'"
        self.boto3("a key that the program made itself", f"('sts', {own}).get_caller_identity()",
                   (None, "unattributed"))


def ask(*words):
    return subprocess.run(["keytrail", *words], capture_output=True, text=True, check=False)


def unseen(demo, since):
    """What the agent does not show within ten seconds."""
    missing, limit = demo.expected, time.monotonic() + 10
    while missing and time.monotonic() < limit:
        time.sleep(0.5)
        answer = ask("uses", "--since", since, "-o", "json")
        rows = json.loads(answer.stdout)["rows"] if answer.returncode == 0 else []
        seen = {(one["key"]["id"], row["evidence"]) for row in rows for one in row["keys"]}
        seen |= {(None, row["evidence"]) for row in rows if not row["keys"]}
        missing = [one for one in demo.expected if one[1:] not in seen]
    return missing


def play(demo):
    """The clients, then the trail. Returns whether it is whole."""
    demo.doing = "the local cloud"
    Run.maker = keys.Maker()
    Run.world = World(Run.maker)
    os.chmod(Run.world.dir, 0o755)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        demo.setUp()
        demo.runTest()
    finally:
        demo.doCleanups()
    demo.doing = "asking the agent"
    missing = unseen(demo, since)
    print(ask("uses", "--since", since).stdout)
    for what, key, evidence in missing:
        print(f"demo: {what}: no {evidence} use of {key or 'no key'} was seen. Look at: keytrail doctor")
    return not missing


def main():
    demo = Demo()
    try:
        return 0 if play(demo) else 1
    except KeyboardInterrupt:
        print("demo: interrupted")
        return 130
    except Exception as error:  # whatever it is: one sentence that says what failed and what to try
        words = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        print(f"demo: {demo.doing}: "
              f"{words[0] if len(words) == 1 else words[0].split(':')[0] + ': ' + words[-1]}. {AGAIN}.",
              file=sys.stderr)
        return 1
    finally:
        Run.close()


if __name__ == "__main__":
    sys.exit(main())
