# SPDX-License-Identifier: Apache-2.0
"""What the services that the corpus' clients call answer: as much of each as these clients need. A call says what it is
(`is_`) and returns the reply."""
import base64
import datetime
import hashlib
import json
import os
import re
import subprocess
from urllib.parse import parse_qs, urlsplit

from stage import apis
from stage.apis import Reply, later

_S3 = re.compile(r"^(?:(.+)\.)?s3[.-]([a-z]{2}-[a-z]+-\d)\.amazonaws\.com$")
_REGISTRY = re.compile(r"^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com$")
_AWS = re.compile(r"^(?:[a-z0-9.-]+\.)?([a-z0-9-]+)\.([a-z]{2}-[a-z]+-\d)\.amazonaws\.com$")
_AWS_GLOBAL = re.compile(r"^(sts|iam)\.amazonaws\.com$")
_LAYER = b"layer"


def as_json(status, what, headers=None):
    return Reply(status, json.dumps(what, separators=(",", ":")), "application/json", headers)


class Call:
    """One request on its way: what was asked, which planted keys it carried, and what it turns out to be."""

    def __init__(self, address, port, method, path, host, headers, body, form, good, issue, git):
        self.address, self.port, self.method, self.host = address, port, method, host
        self.headers, self.body, self.form = headers, body, form
        self.full, self.path = path, urlsplit(path).path
        self.good, self._issue, self.git = good, issue, git
        self.provider, self.service, self.region = "unknown", "unknown", "global"
        self.action, self.issued = f"{method} {self.path}", []

    def is_(self, provider, service, region="global", action=None):
        self.provider, self.service, self.region = provider, service, region
        self.action = self.action if action is None else action

    def issue(self, what):
        self.issued.append("issued." + what)
        return self._issue["issued." + what]


def answer(call):
    """The reply. Whoever presents a planted key is welcome, others are refused in the provider's own words."""
    if call.address.startswith("169.254."):
        return metadata(call)
    for suffix, handler in HANDLERS:
        if call.host == suffix or call.host.endswith("." + suffix):
            return handler(call)
    if call.headers.get("user-agent", "").startswith("npm/"):
        return npm(call)
    if call.headers.get("user-agent", "").startswith("twine/"):
        call.is_("pypi", "package", action="upload")
        return Reply(200 if call.good else 403, "OK", "text/plain")
    if call.port == 8200:
        return vault(call)
    if call.host.startswith("kubernetes.") or call.port == 6443:
        return kubernetes(call)
    return guarded(call, {"error": "unauthorized"}, {"ok": True})


def guarded(call, refusal, what):
    return as_json(200, what) if call.good else as_json(401, refusal)


# ---- AWS

def metadata(call):
    if call.address == "169.254.170.2":
        call.is_("aws", "metadata", "local", "ecs")
        key = call.issue("ecs")
        return as_json(200, {"AccessKeyId": key["id"], "SecretAccessKey": key["secret"], "Token": key["token"],
                             "Expiration": later(6), "RoleArn": "arn:aws:iam::123456789012:role/corpus"})
    if not call.path.startswith("/latest/"):  # Google's clients ask whether this is one of its machines
        call.is_("gcp", "metadata", "local", "metadata")
        return Reply(200, "corpus-project", "text/plain",
                     {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"})
    call.is_("aws", "metadata", "local", "imds")
    role, token = call._issue["issued.imds"], call._issue["issued.imds_session"]["secret"]
    if call.method == "PUT":
        call.issue("imds_session")
    elif call.path.endswith("/corpus-role"):
        call.issue("imds")
    return apis.Metadata("corpus-role", role, token).answer(call.method, call.path, call.headers)


def aws(call):
    if found := _S3.match(call.host):
        call.is_("aws", "s3", found[2], "")
        call.action, reply = apis.s3(call.method, call.full, "s3." if found[1] is None else call.host)
        return reply if call.good else Reply(403, "<Error><Code>AccessDenied</Code></Error>")
    if found := _REGISTRY.match(call.host):
        return registry(call, "aws", "ecr", found[1], f'Basic realm="https://{call.host}/",service="ecr"')
    found = _AWS.match(call.host)
    service, region = (found[1], found[2]) if found else (_AWS_GLOBAL.match(call.host)[1], "global")
    call.is_("aws", service, region, call.form.get("Action") or call.headers.get("x-amz-target", "").split(".")[-1])
    if not call.good:
        return as_json(403, {"__type": "UnrecognizedClientException"})
    if service == "sts":
        key = call.issue("sts") if call.action.startswith("AssumeRole") else {}
        return apis.sts(call.body, key)[1]
    if call.action == "GetAuthorizationToken":
        token = call.issue("ecr")["secret"]
        return as_json(200, {"authorizationData": [
            {"authorizationToken": base64.b64encode(f"AWS:{token}".encode()).decode(), "expiresAt": 4102444800,
             "proxyEndpoint": f"https://123456789012.dkr.ecr.{region}.amazonaws.com"}]})
    return apis.json_rpc(call.headers)[1]


# ---- Google and Microsoft

def google(call):
    call.is_("gcp", call.host.split(".")[0])
    refusal = {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
    if call.path in ("/token", "/oauth2/v4/token"):
        call.action = "token"
        if not call.good:
            return as_json(400, {"error": "invalid_grant"})
        return as_json(200, {"access_token": call.issue("gcp")["secret"], "expires_in": 3599, "token_type": "Bearer",
                             "scope": "https://www.googleapis.com/auth/cloud-platform"})
    if call.path.endswith("/allowedLocations"):
        call.action = "allowedLocations"
        return guarded(call, refusal, {"locations": ["europe-west1"], "encodedLocations": "0x10"})
    if call.service != "storage":
        return guarded(call, refusal, {})
    if call.path.endswith("/o"):
        call.action = "storage.objects.list"
        return guarded(call, refusal, {"kind": "storage#objects", "items": [
            {"kind": "storage#object", "name": "a.txt", "bucket": "corpus-bucket", "size": "3", "generation": "1"}]})
    bucket = {"kind": "storage#bucket", "name": "corpus-bucket", "id": "corpus-bucket", "location": "EU",
              "storageClass": "STANDARD"}
    if call.path.endswith("/b"):
        call.action = "storage.buckets.list"
        return guarded(call, refusal, {"kind": "storage#buckets", "items": [bucket]})
    call.action = "storage.buckets.get"
    return guarded(call, refusal, bucket)


def entra(call):
    call.is_("azure", "entra")
    base = "https://login.microsoftonline.com/" + call.path.split("/")[1]
    if call.path.endswith("/openid-configuration"):
        call.action = "discovery"
        return as_json(200, {"token_endpoint": base + "/oauth2/v2.0/token",
                             "authorization_endpoint": base + "/oauth2/v2.0/authorize", "issuer": base + "/v2.0",
                             "jwks_uri": base + "/discovery/v2.0/keys",
                             "device_authorization_endpoint": base + "/oauth2/v2.0/devicecode"})
    if call.path.endswith("/discovery/instance"):
        call.action = "discovery"
        return as_json(200, {
            "tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
            "metadata": [{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
                          "aliases": ["login.microsoftonline.com"]}]})
    call.action = "token"
    if not call.good:
        return as_json(401, {"error": "invalid_client"})
    return as_json(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599,
                         "access_token": call.issue("azure")["secret"]})


def azure_blob(call):
    call.is_("azure", "storage.blob", "from-account", "ListContainers")
    if not call.good:
        return Reply(403, '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code></Error>')
    return Reply(200, '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://corpus/">'
                 '<Containers><Container><Name>c</Name><Properties>'
                 "<Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Etag>0x1</Etag>"
                 "</Properties></Container></Containers><NextMarker/></EnumerationResults>")


# ---- code, chat, models, packages

def github_api(call):
    call.is_("github", "vcs")
    app = {"id": 1, "name": "app", "full_name": "acme/app", "private": True, "owner": {"login": "acme", "id": 1},
           "default_branch": "main"}
    return guarded(call, {"message": "Bad credentials"},
                   app if call.path.startswith("/repos/") else {"login": "corpus", "id": 1, "type": "User"})


def git(call):
    """The repository over smart HTTP, by git's own backend."""
    query = urlsplit(call.full).query
    call.is_("github", "vcs", action="git " + parse_qs(query).get("service", [""])[0] + call.path)
    if not call.good:
        return Reply(401, "auth", "text/plain", {"WWW-Authenticate": 'Basic realm="corpus"'})
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "GIT_PROJECT_ROOT": call.git, "GIT_HTTP_EXPORT_ALL": "1",
           "REMOTE_USER": "corpus", "REQUEST_METHOD": call.method, "PATH_INFO": call.path, "QUERY_STRING": query,
           "CONTENT_TYPE": call.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(call.body)),
           "HTTP_CONTENT_ENCODING": call.headers.get("content-encoding", ""),
           "GIT_PROTOCOL": call.headers.get("git-protocol", ""),
           "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    done = subprocess.run(["git", "http-backend"], input=call.body, env=env, capture_output=True, timeout=20)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    return Reply(int(fields.pop("Status", "200").split()[0]), body, fields.pop("Content-Type", "text/plain"), fields)


def gitlab(call):
    call.is_("gitlab", "vcs")
    return guarded(call, {"message": "401 Unauthorized"}, {"id": 1, "username": "corpus"})


def slack(call):
    call.is_("slack", "saas", action=call.path.removeprefix("/api/"))
    return as_json(200, {"ok": True, "team": "corpus", "user": "bot"} if call.good
                   else {"ok": False, "error": "invalid_auth"})


def openai(call):
    call.is_("openai", "ai")
    if not call.good:
        return as_json(401, {"error": {"code": "invalid_api_key"}})
    chunk = json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                        "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]})
    return Reply(200, f"data: {chunk}\n\ndata: [DONE]\n\n", "text/event-stream")


def huggingface(call):
    call.is_("huggingface", "ai")
    return guarded(call, {"error": "Invalid username or password."},
                   {"type": "user", "name": "corpus", "orgs": [],
                    "auth": {"type": "access_token", "accessToken": {"displayName": "c", "role": "read"}}})


def npm(call):
    call.is_("npm", "package")
    if call.path != "/-/whoami":
        return as_json(404, {"error": "not found"})
    return guarded(call, {"error": "unauthorized"}, {"username": "corpus"})


def registry(call, provider, service, region, challenge):
    """A registry of one image, acme/app:1."""
    call.is_(provider, service, region)
    if not call.good:
        return as_json(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": challenge})
    digest = lambda raw: "sha256:" + hashlib.sha256(raw).hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest(_LAYER)]}}).encode()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest(config)},
                           "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                                       "size": len(_LAYER), "digest": digest(_LAYER)}]}).encode()
    if "/manifests/" in call.path:
        return Reply(200, manifest, kind, {"Docker-Content-Digest": digest(manifest)})
    if call.path.endswith("/tags/list"):
        return as_json(200, {"name": "acme/app", "tags": ["1"]})
    return Reply(200, config, "application/octet-stream") if "/blobs/" in call.path else as_json(200, {})


# ---- Vault and Kubernetes

def vault(call):
    call.is_("vault", "vault", "local")
    if not call.good:
        return as_json(403, {"errors": ["permission denied"]})
    now = datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    return as_json(200, {"data": {"data": {"k": "v"},
                                  "metadata": {"version": 1, "created_time": now, "deletion_time": "",
                                               "destroyed": False, "custom_metadata": None}}, "lease_duration": 0})


def kubernetes(call):
    call.is_("kubernetes", "api", "local")
    if call.path == "/version":
        return as_json(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0"})
    if not call.good:
        return as_json(401, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized",
                             "code": 401})
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "app", "namespace": "default", "uid": "u1"},
           "spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"phase": "Running"}}
    answers = {"/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
               "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
               "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
                   {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"],
                    "shortNames": ["po"]}]},
               "/api/v1/namespaces/default/pods": {"kind": "PodList", "apiVersion": "v1",
                                                   "metadata": {"resourceVersion": "1"}, "items": [pod]}}
    return as_json(200, answers[call.path]) if call.path in answers else as_json(
        404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})


HANDLERS = (("amazonaws.com", aws), ("googleapis.com", google), ("login.microsoftonline.com", entra),
            ("blob.core.windows.net", azure_blob), ("api.github.com", github_api), ("github.com", git),
            ("gitlab.com", gitlab), ("slack.com", slack), ("api.openai.com", openai), ("huggingface.co", huggingface))
