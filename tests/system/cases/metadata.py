# SPDX-License-Identifier: Apache-2.0
"""A role's key from the instance metadata service (IMDSv2)."""
import json

from case import PYTHON, SystemCase
from rows import ANY, Acquisition, Use
from stage.apis import later


class Metadata(SystemCase):
    def issued(self):
        return f"aws.session@role/{self.world.role}"

    def acquisition(self):
        return Acquisition("metadata", f"169.254.169.254 /latest/meta-data/iam/security-credentials/{self.world.role}",
                           self.issued(), kind="aws.session", key_class="session_token", lifetime="short_lived")

    def test_boto3_on_a_role(self):
        self.start([PYTHON, "-c", "import boto3; boto3.client('s3').list_buckets()"]).wait()
        self.expect([self.acquisition()], [Use("inferred", "issued_by_role", [self.issued()])])

    def test_asking_for_the_token_alone_is_no_key(self):
        self.start(["/usr/bin/curl", "-s", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60",
                    "http://169.254.169.254/latest/api/token"]).wait()
        self.expect([], [])


# A service of the program's own machine, as emulators and identity proxies are. What it answers stands backwards in the
# program, or the program would have the key from there.
SERVES = """
import boto3, http.server, json, sys, threading
class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[1][::-1].encode())
server = http.server.HTTPServer(("127.0.0.1", 51999), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
boto3.client("s3").list_buckets()
"""


class NamedService(SystemCase):
    def test_a_variable_says_where_keys_are_handed_out(self):
        session = self.maker.aws(session=True)
        answer = json.dumps({"AccessKeyId": session.id, "SecretAccessKey": session.secret, "Token": session.token,
                             "Expiration": later(1)})
        self.start([PYTHON, "-c", SERVES, answer[::-1]],
                   env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:51999/creds"}).wait()
        issued = "aws.session@role"
        self.expect([Acquisition("metadata", "127.0.0.1 /creds", issued, kind="aws.session",
                                 key_class="session_token", lifetime="short_lived")],
                    [Use("inferred", "issued_by_role", [issued])])


class AssumeRole(SystemCase):
    def test_the_key_that_was_bought_is_named_with_its_parent(self):
        """boto3 calls STS with the source profile's key, then S3 with what it got; the answer is not visible, so there
        both are named: `possible`."""
        base = self.maker.aws()
        self.plant(".aws/credentials", base.profile("base"))
        self.plant(".aws/config", "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/app\n"
                   "source_profile = base\nregion = eu-west-1\n")
        self.start([PYTHON, "-c", "import boto3; boto3.client('s3').list_buckets()"], env={"AWS_PROFILE": "app"}).wait()
        issued = Acquisition("issued", "sts.amazonaws.com", f"aws.session@{base.id}", kind="aws.session",
                             key_class="session_token", lifetime="short_lived")
        self.expect([Acquisition("file", "/root/.aws/credentials", base.id, selector="base"), issued],
                    [Use("inferred", "only_key_held", [base.id], service="sts", region=ANY, host="sts.amazonaws.com"),
                     Use("possible", ANY, [issued.key, base.id])])
