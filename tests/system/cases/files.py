# SPDX-License-Identifier: Apache-2.0
"""A credentials file with several profiles, read by a program whose selector is known and by a general runtime."""
import os

from case import PYTHON, S3, SystemCase
from rows import Acquisition, Use

CREDENTIALS = "/root/.aws/credentials"
BOTO_S3 = "import boto3; boto3.client('s3').list_buckets()"


class Profiles(SystemCase):
    def setUp(self):
        super().setUp()
        self.default, self.staging, self.prod = (self.maker.aws() for _ in range(3))
        self.plant(".aws/credentials",
                   self.default.profile() + self.staging.profile("staging") + self.prod.profile("prod"))
        self.read = [Acquisition("file", CREDENTIALS, key.id, selector=name)
                     for key, name in ((self.default, "default"), (self.staging, "staging"), (self.prod, "prod"))]

    def test_aws_with_profile_in_environment_is_inferred_by_its_selector(self):
        self.start(["/usr/bin/aws", "s3", "ls"], env={"AWS_PROFILE": "prod"}).wait()
        self.expect(self.read, [Use("inferred", "selector", [self.prod.id])])

    def test_aws_with_profile_argument_is_inferred_by_its_selector(self):
        self.start(["/usr/bin/aws", "--profile", "staging", "s3", "ls"], env={"AWS_PROFILE": "prod"}).wait()
        self.expect(self.read, [Use("inferred", "selector", [self.staging.id])])

    def test_aws_without_selector_uses_the_default_profile(self):
        self.start(["/usr/bin/aws", "s3", "ls"]).wait()
        self.expect(self.read, [Use("inferred", "selector", [self.default.id])])

    def test_boto3_with_profile_in_environment_is_possible_and_ranked_first(self):
        self.start([PYTHON, "-c", BOTO_S3], env={"AWS_PROFILE": "prod"}).wait()
        self.expect(self.read,
                    [Use("possible", "selector_in_runtime", [self.prod.id, self.default.id, self.staging.id])])


class OneKey(SystemCase):
    def test_boto3_with_one_key_in_the_file_is_inferred(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.start([PYTHON, "-c", BOTO_S3]).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_two_services_are_two_uses(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.start([PYTHON, "-c", BOTO_S3 + "; boto3.client('dynamodb').list_tables()"]).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id]),
                     Use("inferred", "only_key_held", [key.id], service="dynamodb",
                         host="dynamodb.eu-west-1.amazonaws.com")])

    def test_connections_are_counted(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3, "call", S3, "call", S3).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id], connections=3)])

    def test_without_sni_the_name_comes_from_dns(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.actor("read", CREDENTIALS, "call", S3, "@-").wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_file_named_by_a_variable(self):
        key = self.maker.aws()
        self.plant("keys/mine", key.profile())
        self.start([PYTHON, "-c", BOTO_S3], env={"AWS_SHARED_CREDENTIALS_FILE": "/root/keys/mine"}).wait()
        self.expect([Acquisition("file", "/root/keys/mine", key.id, selector="default")],
                    [Use("inferred", "only_key_held", [key.id])])

    def test_symbolic_and_hard_links_lead_to_the_same_key(self):
        key = self.maker.aws()
        self.plant(".aws/credentials", key.profile())
        self.start(["/bin/sh", "-c", f"ln -s {CREDENTIALS} /root/link; cat /root/link >/dev/null; sleep 0.3"]).wait()
        self.expect([Acquisition("file", CREDENTIALS, key.id, selector="default", exe="/usr/bin/cat")], [])


class Classes(SystemCase):
    """Other kinds of keys keep their own class; encryption keys authenticate nothing."""

    def tree(self, path, text):
        folder = f"{self.folder}/tree"
        os.makedirs(os.path.dirname(f"{folder}/{path}"))
        with open(f"{folder}/{path}", "w") as file:
            file.write(text)
        return folder

    def test_service_account_token(self):
        token, jti, kid = self.maker.jwt()
        folder = self.tree("secrets/kubernetes.io/serviceaccount/token", token)
        place = "/run/secrets/kubernetes.io/serviceaccount/token"
        _, host = self.bucket()
        self.actor("read", "/var" + place, "call", host, trees={"/run": folder}).wait()
        self.expect([Acquisition("file", place, f"{kid}/{jti}", kind="k8s.service_account_token",
                                 key_class="identity_token", lifetime="short_lived")],
                    [Use("unattributed", "no_key_of_this_kind", [], host=host)])

    def test_tls_private_key_is_an_encryption_key(self):
        text, shown = self.maker.pem()
        folder = self.tree("ssl-cert-snakeoil.key", text)
        place = "/etc/ssl/private/ssl-cert-snakeoil.key"
        self.actor("read", place, trees={"/etc/ssl/private": folder}).wait()
        self.expect([Acquisition("file", place, shown, kind="tls.private_key", key_class="encryption_key",
                                 lifetime="unknown")], [])

    def test_ssh_private_key(self):
        text, shown = self.maker.ssh()
        self.plant(".ssh/id_ed25519", text)
        self.actor("read", "/root/.ssh/id_ed25519").wait()
        self.expect([Acquisition("file", "/root/.ssh/id_ed25519", shown, kind="ssh.private_key")], [])
