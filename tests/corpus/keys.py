# SPDX-License-Identifier: Apache-2.0
"""Draws the fake keys of a corpus case: valid in shape, new in every run; `secrets` of the maker holds what must appear
nowhere else."""
import base64
import json
import string
import subprocess
import time
import zlib

from stage import keys

ALNUM = keys.ALNUM
# What the token services of every case may hand out: name → kind.
ISSUED = {"sts": "aws.session", "imds": "aws.session", "ecs": "aws.session", "imds_session": "imds.session",
          "gcp": "gcp.access", "azure": "azure.jwt", "ecr": "aws.ecr"}


def _base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Keys(keys.Maker):
    """`make` gives {"name", "kind", "id", "secret", "token", …}; a case's text reaches each field as ${name.field}."""

    def make(self, name, kind, **options):
        made = getattr(self, "_" + kind.replace(".", "_"))(**options)
        return {"id": "", "token": "", **made, "name": name, "kind": kind}

    def _text(self, head, length, more="", tail=""):
        return head + self.text(length, ALNUM + more) + tail

    def _uuid(self):
        digits = self._public(32, "0123456789abcdef")
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _checked(self, head):
        """A token whose last six characters are a checksum, as GitHub and npm make them."""
        body = self.text(30)
        number, tail = zlib.crc32(body.encode()), ""
        signs = string.digits + string.ascii_uppercase + string.ascii_lowercase
        while number:
            number, digit = divmod(number, 62)
            tail = signs[digit] + tail
        return {"secret": head + body + tail.rjust(6, "0")}

    def _jwt(self, head, claims):
        signature = _base64url(bytes(self._random.getrandbits(8) for _ in range(256)))
        self.secrets.append(signature)
        return ".".join([_base64url(json.dumps(head).encode()), _base64url(json.dumps(claims).encode()), signature])

    def _aws_static(self):
        return vars(self.aws())

    def _aws_session(self):
        return vars(self.aws(session=True))

    def _aws_ecr(self):
        return {"secret": self._text("eyJ", 160)}

    def _aws_bedrock(self):
        return {"secret": self._text("ABSK", 128)}

    def _imds_session(self):
        return {"secret": self._text("AQAEA", 48, "-_", "==")}

    def _gcp_sa(self):
        pem = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
        self.secrets += [line for line in pem.splitlines() if len(line) == 64][:3]
        key_id = self._public(40, "0123456789abcdef")
        owner = f"app-{self.public(8)}@corpus-project.iam.gserviceaccount.com"
        return {"id": key_id, "owner": owner, "secret": pem, "json": json.dumps({
            "type": "service_account", "project_id": "corpus-project", "private_key_id": key_id, "private_key": pem,
            "client_email": owner, "client_id": self._public(21, string.digits),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com"}, indent=2)}

    def _gcp_user(self):
        refresh = self._text("1//0", 90, "-_")
        client = (self._public(12, string.digits) + "-" + self._public(32, string.ascii_lowercase)
                  + ".apps.googleusercontent.com")
        return {"id": client, "secret": refresh, "json": json.dumps(
            {"type": "authorized_user", "client_id": client, "client_secret": self._text("GOCSPX-", 28),
             "refresh_token": refresh, "quota_project_id": "corpus-project"})}

    def _gcp_access(self):
        return {"secret": self._text("ya29.c.", 180, "-_")}

    def _gcp_api_key(self):
        return {"secret": self._text("AIza", 35, "-_")}

    def _azure_secret(self):
        return {"id": self._uuid(), "secret": self._text("aB18Q~", 34, "._-~")}

    def _azure_storage(self):
        secret = base64.b64encode(bytes(self._random.getrandbits(8) for _ in range(64))).decode()
        self.secrets.append(secret)
        return {"id": "corpus" + self.public(10), "secret": secret}

    def _azure_jwt(self):
        now = int(time.time())
        return {"secret": self._jwt({"typ": "JWT", "alg": "RS256", "kid": self._public(27, ALNUM)},
                                    {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/0/",
                                     "iat": now, "exp": now + 3600, "uti": self._uuid()})}

    def _github_pat(self):
        return self._checked("ghp_")

    def _npm(self):
        return self._checked("npm_")

    def _gitlab_pat(self):
        return {"secret": self._text("glpat-", 20)}

    def _gitlab_runner(self):
        return {"secret": self._text("glrt-", 20)}

    def _github_client(self):
        return {"secret": self.text(40, "0123456789abcdef")}

    def _slack_signing(self):
        return {"secret": self.text(32, "0123456789abcdef")}

    def _slack_bot(self):
        return {"secret": self._text(f"xoxb-{self._public(12, string.digits)}-{self._public(13, string.digits)}-", 24)}

    def _openai(self):
        return {"secret": self._text("sk-proj-", 74, "-_", "T3BlbkFJ" + self._public(74, ALNUM))}

    def _openai_admin(self):
        return {"secret": self._text("sk-admin-", 74, "-_", "T3BlbkFJ" + self._public(74, ALNUM))}

    def _huggingface(self):
        return {"secret": "hf_" + self.text(34, string.ascii_letters)}

    def _pypi(self):
        return {"secret": self._text("pypi-AgEIcHlwaS5vcmc", 120, "-_")}

    def _vault(self):
        return {"secret": self._text("hvs.", 90, "-_")}

    def _kubernetes_token(self, audience="https://kubernetes.default.svc.cluster.local"):
        now, token_id, key_id = int(time.time()), self._uuid(), self._public(43, ALNUM)
        claims = {"aud": [audience], "exp": now + 3600, "iat": now, "nbf": now, "jti": token_id,
                  "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/C0", "sub": "system:serviceaccount:default:app",
                  "kubernetes.io": {"namespace": "default", "pod": {"name": "app-0", "uid": self._uuid()},
                                    "serviceaccount": {"name": "app", "uid": self._uuid()}}}
        return {"id": f"{key_id}/{token_id}", "secret": self._jwt({"alg": "RS256", "kid": key_id}, claims)}
