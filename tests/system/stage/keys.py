# SPDX-License-Identifier: Apache-2.0
"""Draws the fake keys of a case: valid in shape, new in every run, and each secret a canary whose appearance outside
the case is a leak."""
import base64
import hashlib
import json
import random
import ssl
import string
import subprocess
import tempfile
import time

ALNUM = string.ascii_letters + string.digits
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class AwsKey:
    def __init__(self, key_id, secret, token=""):
        self.id, self.secret, self.token = key_id, secret, token

    def profile(self, name="default"):
        """Its section of a credentials file."""
        token = f"aws_session_token = {self.token}\n" if self.token else ""
        return f"[{name}]\naws_access_key_id = {self.id}\naws_secret_access_key = {self.secret}\n{token}"

    def env(self):
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret,
                **({"AWS_SESSION_TOKEN": self.token} if self.token else {})}


class Certificate:
    """A client certificate and its private key, from one file of the stage's authority."""

    def __init__(self, path):
        with open(path) as file:
            text = file.read()
        cut = text.index("-----BEGIN PRIVATE KEY")
        self.public, self.private = text[:cut], text[cut:]
        self.secrets = self.private.splitlines()[1:2]
        der = ssl.PEM_cert_to_DER_cert(self.public)
        self.sent = hashlib.sha256(der).hexdigest()[:16]  # as the truth names it
        key = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=self.public.encode(), capture_output=True,
                             check=True).stdout
        public = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True,
                                check=True).stdout
        self.id = "spki:" + hashlib.sha256(public).hexdigest()


class Maker:
    """`secrets` collects every secret text it made."""

    def __init__(self, seed=None):
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()
        self.secrets = []

    def text(self, length, alphabet=ALNUM):
        value = "".join(self._random.choice(alphabet) for _ in range(length))
        self.secrets.append(value)
        return value

    def _public(self, length, alphabet):
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def public(self, length):
        """Lower-case letters and digits that are no secret."""
        return self._public(length, string.ascii_lowercase + string.digits)

    def aws(self, session=False):
        key_id = ("ASIA" if session else "AKIA") + self._public(16, BASE32)
        return AwsKey(key_id, self.text(40, ALNUM + "/+"),
                      "IQoJb3JpZ2luX2Vj" + self.text(280, ALNUM + "/+") if session else "")

    def token(self, length=48):
        return self.text(length)

    def github(self):
        """A personal access token."""
        return self._marked("ghp_", 36)

    def npm(self):
        return self._marked("npm_", 36)

    def pypi(self):
        return self._marked("pypi-AgEIcHlwaS5vcmc", 150, ALNUM + "-_")

    def _marked(self, prefix, length, alphabet=ALNUM):
        return prefix + self.text(length, alphabet)

    def google(self):
        """(service account JSON, private_key_id)."""
        text = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                              capture_output=True, text=True, check=True).stdout
        self.secrets += text.splitlines()[2:4]
        key_id = self._public(40, "0123456789abcdef")
        return json.dumps({"type": "service_account", "project_id": "stage", "private_key_id": key_id,
                           "private_key": text, "client_id": self._public(21, string.digits),
                           "client_email": "app@stage.iam.gserviceaccount.com",
                           "token_uri": "https://oauth2.googleapis.com/token"}, indent=2), key_id

    def jwt(self, subject="system:serviceaccount:default:app", about=None):
        """(token, jti, kid) of a Kubernetes service account token. `about`: what the API server says of the pod it is
        for."""
        encode = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        now, jti, kid = int(time.time()), self._public(32, "0123456789abcdef"), self._public(43, ALNUM)
        claims = {"aud": ["https://kubernetes.default.svc"], "exp": now + 3600, "iat": now, "nbf": now,
                  "jti": jti, "iss": "https://kubernetes.default.svc", "sub": subject,
                  "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "app", "uid": jti},
                                    **(about or {})}}
        signature = encode(bytes(self._random.getrandbits(8) for _ in range(256)))
        self.secrets.append(signature)
        head, body = (encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": kid}, claims))
        return f"{head}.{body}.{signature}", jti, kid

    def ssh(self):
        """(private key text, SHA256 fingerprint of the public key)."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stage", "-f", folder + "/k"],
                           check=True)
            with open(folder + "/k") as file:
                private = file.read()
            shown = subprocess.run(["ssh-keygen", "-lf", folder + "/k.pub"], capture_output=True, text=True,
                                   check=True).stdout.split()[1]
        self.secrets += private.splitlines()[2:4]
        return private, shown

    def pem(self):
        """(private key in PEM, PKCS#8, the hash of its public half as the agent names it)."""
        text = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                              capture_output=True, text=True, check=True).stdout
        self.secrets += text.splitlines()[1:2]
        public = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=text.encode(),
                                capture_output=True, check=True).stdout
        return text, "spki:" + hashlib.sha256(public).hexdigest()
