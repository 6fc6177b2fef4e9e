# SPDX-License-Identifier: Apache-2.0
"""Group 3: a role's key from the instance metadata service (IMDSv2)."""
from case import PYTHON, SystemCase
from rows import Acquisition, Use


class Metadata(SystemCase):
    def issued(self):
        return f"aws.session@role/{self.world.role}"

    def acquisition(self):
        return Acquisition("metadata", f"169.254.169.254 /latest/meta-data/iam/security-credentials/{self.world.role}", self.issued(),
                           kind="aws.session", key_class="session_token", lifetime="short_lived")

    def test_boto3_on_a_role(self):
        self.start([PYTHON, "-c", "import boto3; boto3.client('s3').list_buckets()"]).wait()
        self.expect([self.acquisition()], [Use("inferred", "issued_by_role", [self.issued()])])

    def test_asking_for_the_token_alone_is_no_key(self):
        self.start(["/usr/bin/curl", "-s", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", "http://169.254.169.254/latest/api/token"]).wait()
        self.expect([], [])
