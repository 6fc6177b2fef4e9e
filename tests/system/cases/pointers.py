# SPDX-License-Identifier: Apache-2.0
"""Files that say where a key is: in another file, which anybody may read, or in a variable. Of the first process only
the read of the one file is seen; of the second both are, because by then the place is known."""
from case import PYTHON, SystemCase
from rows import ANY, FINGERPRINT, Acquisition, Use

NPM = {"provider": "npm", "service": "package", "region": "global", "host": "registry.npmjs.org"}


class Pointers(SystemCase):
    def test_token_file_of_kubeconfig(self):
        host = f"{self.maker.public(8)}.cluster.test"
        self.plant("keys/robot", self.maker.text(40) + "\n", 0o644)
        self.plant(".kube/config", "current-context: c\n"
                   f"clusters: [{{name: k, cluster: {{server: 'https://{host}'}}}}]\n"
                   "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
                   "users: [{name: u, user: {tokenFile: ../keys/robot}}]\n")
        self.actor("read", "/root/.kube/config", "read", "/root/keys/robot", "call", host, "sleep", "0.2").wait()
        self.expect([], [Use("possible", "told_by_file", [FINGERPRINT], provider="kubernetes", service="api", region="",
                             host=host)])

    def test_variable_that_npmrc_names(self):
        token = self.maker.text(40)
        self.plant(".npmrc", "//registry.npmjs.org/:_authToken=${CI_DEPLOY_K}\n")
        self.actor("read", "/root/.npmrc", "sleep", "0.2", "call", "registry.npmjs.org",
                   env={"CI_DEPLOY_K": token}).wait()
        self.expect([Acquisition("environment", "CI_DEPLOY_K", FINGERPRINT, kind="npm.token", lifetime="unknown")],
                    [Use("inferred", "only_key_held", [FINGERPRINT], **NPM)])

    def test_a_token_that_a_profile_names_beside_a_default_key(self):
        """The profile is in the program's code: that it reads the token shows which one it uses. The call to STS is
        not signed, and what it gives is used at S3."""
        unused, (token, jti, kid) = self.maker.aws(), self.maker.jwt()
        key = f"{kid}/{jti}"
        self.plant(".aws/credentials", unused.profile())
        self.plant("tok", token)
        self.plant(".aws/config", "[profile wi]\nrole_arn = arn:aws:iam::123456789012:role/r\n"
                   "web_identity_token_file = /root/tok\nregion = eu-west-1\n")
        self.start([PYTHON, "-c", "import boto3; boto3.Session(profile_name='wi').client('s3').list_buckets()"]).wait()
        issued = f"aws.session@{key}"
        session = {"kind": "aws.session", "key_class": "session_token", "lifetime": "short_lived"}
        identity = {"kind": "k8s.service_account_token", "key_class": "identity_token", "lifetime": "short_lived"}
        self.expect([Acquisition("file", "/root/.aws/credentials", unused.id, selector="default"),
                     Acquisition("file", "/root/tok", key, **identity),
                     Acquisition("issued", "sts.amazonaws.com", issued, **session)],
                    [Use("possible", "several_keys", [key, unused.id], service="sts", region=ANY,
                         host="sts.amazonaws.com"),
                     Use("possible", "parent_or_issued", [issued, unused.id, f"aws.session@{unused.id}"])])
