# SPDX-License-Identifier: Apache-2.0
"""Which planted keys a request carries: bearer and basic values are compared, AWS signatures recomputed with the
planted secret, signed tokens named by their key id. Pure."""
import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, quote, unquote, urlsplit

HEADERS = ("private-token", "x-api-key", "x-vault-token", "x-aws-ec2-metadata-token")
FIELDS = ("client_secret", "refresh_token", "WebIdentityToken", "token", "password")
ASSERTIONS = ("assertion", "client_assertion")


def form_of(path, headers, body):
    """Fields of the query and of a form body: the first value of each."""
    fields = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        fields.update(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True))
    return {name: values[0] for name, values in fields.items()}


def _jwt_part(token, number):
    try:
        part = token.split(".")[number]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError):
        return {}


def _sign(secret, scope, text):
    key = b"AWS4" + secret.encode()
    for part in (*scope, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _signed_by(rest, keys, method, path, headers, body):
    """(key or None, whether its secret made this signature) of an Authorization header of AWS."""
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    key_id, *scope = parts.get("Credential", "").split("/")
    key = next((one for one in keys if one["id"] == key_id), None)
    if key is None or len(scope) != 4:
        return None, False
    names = parts["SignedHeaders"].split(";")
    canonical = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    raw, _, query = path.partition("?")
    if scope[2] != "s3":
        raw = raw.replace("%", "%25")
    pairs = sorted(f"{quote(unquote(name), safe='-_.~')}={quote(unquote(value), safe='-_.~')}"
                   for name, _, value in (one.partition("=") for one in query.split("&") if one))
    digest = headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    request = "\n".join([method, raw, "&".join(pairs), canonical, parts["SignedHeaders"], digest])
    text = "\n".join(["AWS4-HMAC-SHA256", headers.get("x-amz-date", ""), "/".join(scope),
                      hashlib.sha256(request.encode()).hexdigest()])
    good = hmac.compare_digest(_sign(key["secret"], scope, text), parts["Signature"])
    return key, good and (not key["token"] or headers.get("x-amz-security-token") == key["token"])


def presented(keys, method, path, headers, body):
    """[(name of the key, whether it is good)]. A value that nobody planted is no entry."""
    found = []

    def value(text):
        for key in keys:
            if text and text in (key["secret"], key["token"]):
                found.append((key["name"], True))
                return True
        return False

    def key_named(token):
        """A token that the client signed itself names its key by the id, or by its owner."""
        key_id, owner = _jwt_part(token, 0).get("kid"), _jwt_part(token, 1).get("iss")
        found.extend((key["name"], True) for key in keys if (key_id and key["id"] == key_id)
                     or (owner and key.get("owner") == owner))

    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "aws4-hmac-sha256":
        key, good = _signed_by(rest, keys, method, path, headers, body)
        if key:
            found.append((key["name"], good))
    elif scheme.lower() == "basic":
        user, _, password = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
        value(password) or value(user)
    elif scheme:
        value(rest or scheme) or key_named(rest)
    for name in HEADERS:
        value(headers.get(name, ""))
    form = form_of(path, headers, body)
    for name in FIELDS:
        value(form.get(name, ""))
    for name in ASSERTIONS:
        if form.get(name):
            value(form[name]) or key_named(form[name])
    return found
