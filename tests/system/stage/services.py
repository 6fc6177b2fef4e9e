# SPDX-License-Identifier: Apache-2.0
"""What the stage answers beside AWS: Kubernetes, Google, git over HTTPS, container registries, npm and PyPI, as much as
the real clients of the cases need. Pure functions."""
import base64
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

from stage.apis import Reply

COMMIT = "1f0e3dad99908345f7439f8ffabdffc4a5a5e6d5"
_KUBE_LISTS = {"pods": "PodList", "namespaces": "NamespaceList", "secrets": "SecretList"}


def _json(status, body, headers=None):
    return Reply(status, json.dumps(body), "application/json", headers)


def _refused(scheme):
    return _json(401, {"message": "who are you?"}, {"WWW-Authenticate": scheme})


def secret_of(headers):
    """What the request authenticates with: the bearer token, the password of Basic, or "". Truth for the cases, never
    logged as it is."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return base64.b64decode(value + "==").decode("utf-8", "replace").partition(":")[2]
    return value.strip() if scheme.lower() in ("bearer", "token") else ""


def digest(secret):
    """The name of a secret in the truth."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if secret else ""


def kubernetes(method, path):
    """The API server: discovery by its oldest form, lists that are empty."""
    place = urlsplit(path).path.strip("/")
    kind = _KUBE_LISTS.get(place.rsplit("/", 1)[-1])
    if place == "api":
        return "discovery", _json(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    if place == "apis":
        return "discovery", _json(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
    if place == "api/v1":
        return "discovery", _json(200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"],
             "shortNames": ["po"]}]})
    if kind and method == "GET":
        return "list " + kind, _json(200, {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"},
                                           "items": []})
    return "", _json(404,
                     {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"})


def google(host, path, token):
    place = urlsplit(path).path
    if place in ("/token", "/oauth2/v4/token"):
        return "token", _json(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
    if place.endswith("/b"):
        return "buckets.list", _json(200, {"kind": "storage#buckets", "items": [
            {"kind": "storage#bucket", "id": "one", "name": "one", "timeCreated": "2026-01-01T00:00:00Z"}]})
    if place.endswith("/o"):
        return "objects.list", _json(200, {"kind": "storage#objects", "items": []})
    return "", _json(200, {})


def git(path, secret):
    """Smart HTTP, as far as `git ls-remote`: the first request is anonymous, so it is refused. git writes its
    credential store anew right after the answer."""
    query = parse_qs(urlsplit(path).query)
    if not secret:
        return "", _refused('Basic realm="stage"')
    if query.get("service") != ["git-upload-pack"]:
        return "", _json(404, {})
    line = lambda text: f"{len(text) + 4:04x}{text}"
    body = (line("# service=git-upload-pack\n") + "0000" + line(f"{COMMIT} HEAD\0agent=stage\n")
            + line(f"{COMMIT} refs/heads/main\n") + "0000")
    return "ls-remote", Reply(200, body, "application/x-git-upload-pack-advertisement", {"Cache-Control": "no-cache"},
                              0.3)


def registry(host, path, secret, token):
    """A container registry: its bearer tokens come from /token of the same host."""
    place = urlsplit(path).path
    if place == "/token":
        return "token", _json(200, {"token": token, "expires_in": 300}) if secret else _refused('Basic realm="stage"')
    if secret != token:
        return "", _refused(f'Bearer realm="https://{host}/token",service="{host}",scope="repository:acme/app:pull"')
    return "tags.list", _json(200, {"name": "acme/app", "tags": ["1.0"]})


def packages(host, method, path, secret):
    if not secret:
        return "", _refused('Basic realm="stage"')
    if urlsplit(path).path == "/-/whoami":
        return "whoami", _json(200, {"username": "stage"})
    return "upload" if method == "POST" else "", Reply(200, "OK", "text/plain")


def answer(method, path, host, port, headers, tokens):
    """(action, Reply) of whoever is no AWS; None for a name that nobody serves. `tokens`: what Google and the registry
    hand out."""
    secret = secret_of(headers)
    if port == 6443 or host.startswith("kubernetes."):
        return kubernetes(method, path)
    if host.endswith(".googleapis.com"):
        return google(host, path, tokens["gcp"])
    if host == "ghcr.io":
        return registry(host, path, secret, tokens["registry"])
    if host in ("registry.npmjs.org", "upload.pypi.org"):
        return packages(host, method, path, secret)
    if urlsplit(path).path.endswith("/info/refs"):
        return git(path, secret)
    return None
