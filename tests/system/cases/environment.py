# SPDX-License-Identifier: Apache-2.0
"""Keys in the environment, alone and beside a file."""
from case import PYTHON, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
BOTO_S3 = "import boto3; boto3.client('s3').list_buckets()"
VARIABLE = "AWS_ACCESS_KEY_ID"


class Environment(SystemCase):
    def test_key_in_the_environment(self):
        key = self.maker.aws()
        self.start([PYTHON, "-c", BOTO_S3], env=key.env()).wait()
        self.expect([Acquisition("environment", VARIABLE, key.id)], [Use("inferred", "only_key_held", [key.id])])

    def test_same_key_in_file_and_environment_is_one_key_in_two_slots(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.start([PYTHON, "-c", BOTO_S3], env=key.env()).wait()
        self.expect([Acquisition("environment", VARIABLE, key.id),
                     Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])
        listed = self.agent.json(f"/v1/keys?key={key.id}")["rows"]
        self.assertEqual(len(listed), 1, "one key")
        self.assertEqual(sorted(slot["from"] for slot in listed[0]["slots"]), ["environment", "file"])

    def test_different_key_in_the_file_gives_two_candidates_environment_first(self):
        in_env, in_file = self.maker.aws(), self.maker.aws()
        self.plant(".aws/credentials", in_file.profile())
        self.start([PYTHON, "-c", BOTO_S3], env=in_env.env()).wait()
        self.expect([Acquisition("environment", VARIABLE, in_env.id),
                     Acquisition("file", CREDENTIALS, in_file.id, selector="default")],
                    [Use("possible", "several_keys", [in_env.id, in_file.id])])

    def test_session_key_in_the_environment_is_short_lived(self):
        key = self.maker.aws(session=True)
        self.start([PYTHON, "-c", BOTO_S3], env=key.env()).wait()
        self.expect([Acquisition("environment", VARIABLE, key.id, kind="aws.session", key_class="session_token",
                                 lifetime="short_lived")], [Use("inferred", "only_key_held", [key.id])])
