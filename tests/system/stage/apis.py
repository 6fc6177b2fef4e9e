# SPDX-License-Identifier: Apache-2.0
"""What the fake cloud answers: enough of S3, STS, DynamoDB, Secrets Manager and the instance metadata service for real
clients. Pure functions."""
import datetime
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

REQUEST_ID = "00000000-0000-4000-8000-000000000001"
_CREDENTIAL = re.compile(r"Credential=([A-Z0-9]{16,32})/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


class Reply:
    def __init__(self, status, body=b"", kind="application/xml", headers=None, delay=0.0):
        self.status, self.kind, self.headers = status, kind, headers or {}
        self.body = body if isinstance(body, bytes) else body.encode()
        self.truth = {}
        self.delay = delay  # seconds, where a client does something that a network would give time for


def key_id_of(headers, path):
    """The public key id in a SigV4 signature (header or query), or ""."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    if found:
        return found.group(1)
    query = parse_qs(urlsplit(path).query)
    for field in ("X-Amz-Credential", "AWSAccessKeyId"):
        if field in query:
            return query[field][0].split("/")[0]
    return ""


def later(hours):
    return (datetime.datetime.utcnow() + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def s3(method, path, host):
    split = urlsplit(path)
    bucket = host.split(".")[0] if not host.startswith("s3.") else ""
    if method == "GET" and split.path == "/" and not bucket:
        return "ListBuckets", Reply(
            200, '<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult '
            'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            "<Owner><ID>1</ID><DisplayName>t</DisplayName></Owner><Buckets><Bucket><Name>one</Name>"
            "<CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>")
    if method == "GET" and ("list-type" in split.query or split.path == "/"):
        return "ListObjectsV2", Reply(200, '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
                                      'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                                      f"<Name>{bucket or 'one'}</Name><Prefix></Prefix><KeyCount>1</KeyCount>"
                                      "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
                                      "<Contents><Key>a.txt</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                                      "<ETag>&quot;0&quot;</ETag><Size>3</Size>"
                                      "<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>")
    if method == "GET":
        return "GetObject", Reply(200, b"abc", "text/plain", {"ETag": '"900150983cd24fb0d6963f7d28e17f72"',
                                                              "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})
    if method == "HEAD":
        return "HeadObject", Reply(200, b"", "text/plain")
    if method == "PUT":
        return "PutObject", Reply(200, b"", headers={"ETag": '"900150983cd24fb0d6963f7d28e17f72"'})
    return "", Reply(400, "<Error><Code>InvalidRequest</Code></Error>")


def sts(body, issued):
    form = {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
    action = form.get("Action", "")
    space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
    meta = f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>"
    if action == "GetCallerIdentity":
        return action, Reply(200, f"<GetCallerIdentityResponse {space}><GetCallerIdentityResult>"
                             "<Arn>arn:aws:iam::123456789012:user/t</Arn>"
                             "<UserId>AIDA</UserId><Account>123456789012</Account>"
                             f"</GetCallerIdentityResult>{meta}</GetCallerIdentityResponse>", "text/xml")
    if action in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        role = unquote(form.get("RoleArn", "arn:aws:iam::123456789012:role/app"))
        return action, Reply(
            200, f"<{action}Response {space}><{action}Result><Credentials><AccessKeyId>{issued['id']}</AccessKeyId>"
            f"<SecretAccessKey>{issued['secret']}</SecretAccessKey><SessionToken>{issued['token']}</SessionToken>"
            f"<Expiration>{later(1)}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:t</AssumedRoleId>"
            f"<Arn>{role}/t</Arn></AssumedRoleUser></{action}Result>{meta}</{action}Response>", "text/xml")
    return action, Reply(400, f"<ErrorResponse {space}><Error><Code>InvalidAction</Code></Error></ErrorResponse>",
                         "text/xml")


def json_rpc(headers):
    """DynamoDB, Secrets Manager and their relatives: the action is in a header."""
    action = headers.get("x-amz-target", "").split(".")[-1]
    answers = {"ListTables": {"TableNames": ["one"]},
               "GetSecretValue": {"Name": "one", "SecretString": "not-a-key", "VersionId": REQUEST_ID},
               "DescribeTable": {"Table": {"TableName": "one", "TableStatus": "ACTIVE"}}}
    if action in answers:
        return action, Reply(200, json.dumps(answers[action]), "application/x-amz-json-1.0")
    return action, Reply(400, json.dumps({"__type": "UnknownOperationException"}), "application/x-amz-json-1.0")


def answer(method, path, host, headers, body, issued):
    """(action, Reply) for a request to a provider's name."""
    first = host.split(".")[0]
    if host.endswith((".amazonaws.com", ".api.aws")):
        if first == "sts":
            return sts(body, issued)
        if first in ("dynamodb", "secretsmanager"):
            return json_rpc(headers)
        if ".s3." in "." + host or first == "s3":
            return s3(method, path, host)
    return "", Reply(200, json.dumps({"ok": True}), "application/json")


class Metadata:
    """IMDSv2 for one role."""
    ROOT = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, role, issued, token):
        self.role, self.issued, self.token = role, issued, token

    def answer(self, method, path, headers):
        if method == "PUT" and path == "/latest/api/token":
            return Reply(200, self.token, "text/plain", {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": "21600"})
        if headers.get("x-aws-ec2-metadata-token") != self.token:
            return Reply(401, b"", "text/plain")
        if path == self.ROOT:
            return Reply(200, self.role, "text/plain")
        if path == self.ROOT + self.role:
            return Reply(200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": self.issued["id"],
                                          "SecretAccessKey": self.issued["secret"], "Token": self.issued["token"],
                                          "Expiration": later(6), "LastUpdated": later(0)}), "text/plain")
        return Reply(404, b"", "text/plain")
