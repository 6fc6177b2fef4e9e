#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the made seeds of tests/fuzz/seeds: binary ones, and files with keys. All keys are drawn here and belong to
nobody.

Run by hand when a layout changes: make_seeds.py [FOLDER]. Seeds that a finding left (regression-*) and hand-made ones
are not touched.
Needs openssl and ssh-keygen.
"""
import base64
import json
import os
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOON = 1763726400
VERSION = 2  # role::kVersion


def write(root, target, name, data):
    folder = os.path.join(root, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


# ---- TLS, DNS, HTTP ----

def client_hello(name, alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def split_records(hello, size):
    """The same handshake in several records."""
    body, out = hello[5:], b""
    for at in range(0, len(body), size):
        part = body[at:at + size]
        out += b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
    return out


def with_ech(hello):
    """Adds an extension 0xfe0d to the end of the extensions."""
    extra = struct.pack(">HH", 0xFE0D, 4) + b"\x00\x01\x02\x03"
    body = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + body[at]
    at += 2 + struct.unpack_from(">H", body, at)[0]
    at += 1 + body[at]
    struct.pack_into(">H", body, at, struct.unpack_from(">H", body, at)[0] + len(extra))
    body += extra
    body[1:4] = struct.pack(">I", len(body) - 4)[1:]
    return b"\x16\x03\x01" + struct.pack(">H", len(body)) + bytes(body)


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def dns(question, answers, flags=0x8180):
    out = struct.pack(">6H", 7, flags, 1, len(answers), 0, 0) + labels(question) + struct.pack(">HH", 1, 1)
    for owner, kind, data in answers:
        out += owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    return out


def network(root):
    s3 = "s3.eu-west-1.amazonaws.com"
    plain = client_hello(s3, ("h2", "http/1.1"))
    for name, data in (("openssl", plain), ("no-name", client_hello(None)), ("split", split_records(plain, 60)),
                       ("cut", plain[:120]), ("ech", with_ech(plain))):
        write(root, "client_hello", name, data)
    part = lambda at, data: b"\x06" + struct.pack(">HH", 0x4000 | at, 0x4000 | len(data)) + data
    packets = lambda *frames: b"\1" + b"".join(struct.pack(">H", len(one)) + one for one in frames)
    inner = plain[5:]
    for name, data in (("whole", packets(b"\1\0\0" + part(0, inner))),
                       ("parts", packets(part(100, inner[100:]) + part(0, inner[:20]), part(20, inner[20:100]))),
                       ("acknowledged", packets(b"\2\0\0\1\0\0\0" + part(0, inner))),
                       ("header", b"\0\xc3\0\0\0\1\x08a client\0\0\x40\x64" + bytes(100))):
        write(root, "quic", name, data)
    four, six = bytes((198, 18, 0, 7)), bytes.fromhex("20010db8000000000000000000000007")
    answers = {"a": dns(s3, [(b"\xc0\x0c", 1, four)]), "aaaa": dns(s3, [(b"\xc0\x0c", 28, six)]),
               "no-such-name": dns(s3, [], 0x8183),
               "cname": dns("sts.example",
                            [(b"\xc0\x0c", 5, labels(s3)), (labels(s3), 1, four), (labels(s3), 28, six)]),
               "pointers": dns("a.b.example", [(b"\xc0\x0c", 5, b"\x01c\xc0\x0e"), (b"\x01c\xc0\x0e", 1, four)]),
               "cut": dns(s3, [(b"\xc0\x0c", 1, four)])[:-3]}
    for name, data in answers.items():
        write(root, "dns", name, data)
    heads = {"get": "GET /latest/meta-data/iam/security-credentials/role\n169.254.169.254",
             "host-port": "PUT /latest/api/token\nmetadata.google.internal:80\r",
             "connect": "CONNECT s3.eu-west-1.amazonaws.com:443\ns3.eu-west-1.amazonaws.com:443",
             "connect-v6": "CONNECT [2001:db8::7]:443 HTTP/1.1\n",
             "absolute": "GET http://user:canary@storage.example:8080/a/b?X-Amz-Signature=canary#x HTTP/1.1\n"
             "proxy.example", "query": "GET /?sig=canary HTTP/1.1\r\nHost: a.example\r\n",
             "star": "OPTIONS * HTTP/1.1\n", "authority": "s3.example:443", "v6": "[::1]:8200"}
    for name, data in heads.items():
        write(root, "http_head", name, data)
    return plain, answers["cname"], heads["connect"].encode()


# ---- ring records (event_abi.h) ----

def head(kind, family, flags=0):
    return struct.pack("<QQQIIIHHB3xIII", 5_000_000_000, 1_000_000_000, 42, 100, 100, 1, kind, flags, family, 1000,
                       1000, 1000)


def leaf_first(path):
    return b"".join(part.encode() + b"\0" for part in reversed(path.strip("/").split("/")))


def item(kind, name, value, flags=0, form=0):
    used = 16 + len(name) + len(value)
    length = (used + 7) & ~7
    return (struct.pack("<HBBHHIHH", length, kind, flags, len(name), len(value), len(value), 1, form) + name
            + value).ljust(length, b"\0")


def exec_record(kind, exe, filename, items):
    leaf, name = leaf_first(exe), filename.encode()
    fixed = struct.pack("<QQIIIIIIIIIHHIHHBBBBB3x16s", 1, 4711, 50, 1, 3, 4026531841, 4026531836, 4026531840, 0, 0,
                        0x800001, len(leaf), len(name), len(items), 3, 20, 0, 0, 0, 0, 0, b"python3")
    strings = leaf + name
    return head(kind, 0, 8) + fixed + strings.ljust((len(strings) + 7) & ~7, b"\0") + items


def records(root, hello, answer, connect):
    items = (
        item(1, b"AWS_ACCESS_KEY_ID", b"AKIAIOSFODNN7EXAMPLE") + item(2, b"AWS_SECRET_ACCESS_KEY", bytes(range(16))) +
        item(3, b"--profile", bytes(16)) + item(4, b"", bytes(16), 0, 1) + item(4, b"", b"AKIAIOSFODNN7EXAMPLE", 2, 0))
    payload = lambda protocol, data: head(7, 3) + struct.pack("<QQHB5x", 9, len(data), len(data), protocol) + data
    path = leaf_first("/root/.aws/credentials")
    seeds = {"fork": head(1, 4) + struct.pack("<QII", 2_000_000_000, 101, 1),
             "exec": exec_record(2, "/usr/bin/python3.11", "/usr/bin/aws", items),
             "task": exec_record(11, "/usr/sbin/cron", "", b""), "exit": head(3, 4) + struct.pack("<iI", 0, 0),
             "open": head(4, 1, 8) + struct.pack("<QQQqIIIIH6x", 77, 0xEF53, 116, NOON, 5, 0x800001, 4026531841, 0,
                                                 len(path)) + path,
             "connect": head(5, 2) + struct.pack("<Q16sHBBI", 9, b"\xc6\x12\0\7", 443, 0, 0, 4026531840),
             "connect-mapped": head(5, 2) + struct.pack("<Q16sHBBI", 9, bytes(10) + b"\xff\xff\xc6\x12\0\7", 443, 1, 0,
                                                        4026531840),
             "socket": head(6, 2) + struct.pack("<QQQIiII", 9, 1000, 2000, 5, 0, 2, 0), "tls": payload(1, hello),
             "socks": payload(6, b"\x03\x01\xbba.test"), "quic": payload(7, b"\xc3\0\0\0\1\0\0\0\x14" + bytes(20)),
             "http": payload(2, connect), "ssh": payload(3, b"SSH-2.0-x"),
             "dns": head(8, 3) + struct.pack("<QIHH", 9, 4026531840, len(answer), 0) + answer,
             "unix": head(9, 2) + struct.pack("<H6x", 9) + b"/run/a.so",
             "abstract": head(9, 2) + struct.pack("<H6x", 4) + b"\0a\0b",
             "cgroup": head(10, 0, 8) + struct.pack("<HHI", 25, 0, 0) + leaf_first("/system.slice/cron.service")[:25],
             "cgroup-delegated": head(10, 0, 8) + struct.pack("<HHI", 18, 1, 1000) + leaf_first("/a.slice/x.service"),
             "peek": head(14, 1) + struct.pack("<QIIII", 900_000_000, 99, 1, 1, 0),
             "baseline-done": head(12, 4), "heartbeat": head(13, 2)}
    for name, data in seeds.items():
        write(root, "record", name, data)
    step = lambda *names: b"".join(b"r" + struct.pack("<H", len(seeds[name])) + seeds[name] for name in names)
    life = step("baseline-done", "cgroup", "exec", "open") + b"a\1"
    for name, data in {"inferred": life + step("dns", "connect", "socket", "tls") + b"t\x20" + step("exit") + b"t\xff",
                       "possible": life + b"a\2" + step("connect", "http") + b"t\xff",
                       "late-answer": step("exec", "open", "connect", "tls") + b"t\x20a\1t\xff",
                       "unread": step("exec", "open") + b"a\x80" + step("connect", "tls") + b"t\xff",
                       "lineage": life + step("fork", "exec", "connect-mapped", "ssh", "exit") + b"t\xff",
                       "strangers": step("tls", "http", "socket", "unix", "abstract", "task", "heartbeat"),
                       "again": life + step("open") + b"a\6" + step("connect", "tls", "tls") + b"t\xff" * 30}.items():
        write(root, "stages", name, data)


# ---- key files ----

def run(*command, text=None):
    return subprocess.run(command, input=text, check=True, capture_output=True).stdout.decode()


def jwt(claims, **header):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(b"planted signature, of nobody").rstrip(b"=").decode()
    return f"{part({'alg': 'RS256', **header})}.{part(claims)}.{signature}"


def ssh_key(folder, kind, passphrase=""):
    path = os.path.join(folder, kind + str(len(passphrase)))
    run("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "planted@example", "-f", path)
    with open(path, encoding="ascii") as file:
        return file.read()


def configurations(certificate, key, token):
    """(format, kind, text) of files that hold several keys; after a '-' in the format stands what it is."""
    encoded = lambda text: base64.b64encode(text.encode()).decode()
    basic = encoded("me:planted-password-0123456789")
    kubeconfig = ("apiVersion: v1\nkind: Config\ncurrent-context: dev\nclusters:\n- name: one\n"
                  "  cluster: {server: 'https://10.0.0.1:6443'}\ncontexts:\n"
                  "- name: dev\n  context: {cluster: one, user: token}\n- name: prod\n  context:\n"
                  "    cluster: one\n    user: certificate\nusers:\n- name: token\n"
                  f"  user:\n    token: {token}\n- name: certificate\n  user:\n"
                  f"    client-certificate-data: {encoded(certificate)}\n    client-key-data: {encoded(key)}\n")
    google = {"type": "service_account", "project_id": "planted",
              "private_key_id": "00112233445566778899aabbccddeeff00112233", "private_key": key,
              "client_email": "api@planted.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"}
    return (("kubeconfig", "k8s.user_token", kubeconfig),
            ("google_credentials", "gcp.service_account_key", json.dumps(google)),
            ("google_credentials-user", "gcp.refresh_token", json.dumps({
                "type": "authorized_user", "client_id": "planted.example", "client_secret": "planted-secret-0123456789",
                "refresh_token": "1//planted-refresh-token-0123456789"})),
            ("docker_config", "docker.password", json.dumps({"auths": {"registry.example:5000": {
                "auth": basic}, "index.example": {"identitytoken": "planted-token-0123456789"}}})),
            ("netrc", "generic.password", "machine api.example login me password planted-password\n"
             "default login you password other\nmacdef init\nls\n\n"),
            ("git_credentials", "git.password", "https://me:planted%20password@git.example\n"
             "https://ghp_plantedPLANTEDplantedPLANTEDplanted0:x@git.example/a\n"),
            ("npmrc", "npm.token", "registry=https://npm.example/\n"
             f"//npm.example/:_authToken=npm_plantedPLANTEDplantedPLANTEDplanted00\n//old.example/:_auth={basic}\n"),
            ("configuration-pypirc", "pypi.token", "[distutils]\nindex-servers =\n  pypi\n"
             "[pypi]\nrepository = https://upload.example/\nusername = __token__\npassword = pypi-planted0123456789\n"),
            ("pgpass", "postgres.password", "# comment\ndb.example:5432:shop:me:planted\\:password\n"
             "*:*:*:*:planted-other\n"),
            ("configuration-json", "generic.secret", json.dumps({"current-context": "a", "profiles": [
                {"name": "a", "api_key": "planted-token-0123456789", "url": "https://a.example"}]})),
            ("dotenv", "generic.secret", "# comment\nexport API_TOKEN='planted-token-0123456789'\n"
             "DATABASE_URL=\"postgres://me:planted@db.example/x\"\nEMPTY=\n"),
            ("configuration-toml", "generic.secret", "[api]\ntoken = \"planted-token-0123456789\"\n"
             "host = 'api.example'\n[[more]]\nsecret = \"\"\"planted\n0123456789abcdef\"\"\"\n"),
            ("configuration-xml", "maven.password", "<settings><servers><server><id>x</id>"
             "<username>me</username><password>planted-password</password></server></servers></settings>"),
            ("configuration-hcl", "terraform.token",
             "credentials \"app.terraform.io\" {\n  token = \"planted.atlasv1.0123456789abcdef\"\n}\n"),
            ("configuration-properties", "generic.secret", "api.key=planted-token-0123456789\nuser:me\n! comment\n"
             "long=a\\\n  b\n"),
            *grants(token))


def gcloud_store():
    """What gcloud keeps: an SQLite database of one table; small pages, so that mutations meet all of it."""
    store = sqlite3.connect(":memory:")
    store.executescript("PRAGMA page_size=512; CREATE TABLE credentials (account_id TEXT PRIMARY KEY, value BLOB); "
                        "CREATE TABLE access_tokens (account_id TEXT PRIMARY KEY, access_token TEXT, id_token TEXT);")
    store.execute("INSERT INTO credentials VALUES(?, ?)", ("me@planted.example", json.dumps({
        "type": "authorized_user", "client_id": "planted", "refresh_token": "1//planted-refresh-token-0123456789"})))
    store.execute("INSERT INTO access_tokens VALUES(?, ?, ?)", ("me@planted.example", "ya29.planted0123456789", None))
    store.commit()
    return store.serialize()


def grants(token):
    """Files where the field says which kind of key it holds, and forms that differ from the usual one."""
    cache = {"RefreshToken": {"u.t-login-refreshtoken-1--": {"credential_type": "RefreshToken", "secret": "0.planted"}}}
    sso = {"accessToken": "planted-access-0123456789", "clientSecret": token, "refreshToken": "planted-refresh-01"}
    return (("configuration-msal", "azure.access_token azure.refresh_token azure.id_token", json.dumps(cache)),
            ("configuration-sso", "aws.sso_token aws.sso_refresh_token aws.sso_client", json.dumps(sso)),
            ("configuration-rclone", "rclone.remote_secret",
             "[d]\ntype = drive\ntoken = {\"access_token\":\"ya29.planted\",\"refresh_token\":\"1//planted-0123\"}\n"),
            ("configuration-pip", "package.password",
             "[global]\nextra-index-url =\n    https://me:planted-0@a.example/\n    https://me:planted-1@b.example/\n"),
            ("configuration-conda", "conda.token", "channels:\n  - https://conda.example/t/tk-planted-0123/ch\n"),
            ("configuration-anchors", "generic.secret",
             "a: &a {token: &t planted-token-0123456789}\nb: {<<: *a, host: b.example}\nc: {<<: [*a], key: *t}\n"),
            ("dotenv-forms", "generic.secret",
             "export\tA_TOKEN: planted-token-0123456789\nB_TOKEN=`planted`\nC_TOKEN=op://a/b\nD_TOKEN=$(x)\n"),
            ("aws_credentials-ids", "aws.access_key",
             "[plugins-x]\naws_access_key_id = GKplanted\naws_secret_access_key = planted-secret-0123456789\n"))


def key_files(root):
    service_account = {"iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
                       "sub": "system:serviceaccount:payments:api", "iat": NOON,
                       "exp": NOON + 3600, "jti": "b2b1cf1e-planted",
                       "kubernetes.io": {"namespace": "payments", "serviceaccount": {"name": "api"}}}
    token = jwt(service_account, kid="planted-kid")
    aws = ("[default]\naws_access_key_id = AKIAPLANTED000000001\n"
           "aws_secret_access_key = plantedPLANTEDplantedPLANTEDplanted00001\n"
           "; a comment\n[profile dev]\naws_access_key_id=ASIAPLANTED000000002\n"
           "aws_secret_access_key=plantedPLANTEDplantedPLANTEDplanted00002\n"
           "aws_session_token=plantedsessiontoken\nregion =\n  eu-west-1\n[sso-session x]\nsso_region = eu-west-1\n")
    rsa = run("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    ec = run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout")
    ed = run("openssl", "genpkey", "-algorithm", "ED25519")
    encrypted = run("openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:planted", text=ec.encode())
    certificate = run("openssl", "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=planted.example", "-days",
                      "3650", "-addext", "extendedKeyUsage=clientAuth", text=ec.encode())
    seeds = {"aws_credentials": ("aws_credentials aws.access_key", aws),
             "raw_token": ("raw_token generic.secret", "planted-token-0123456789\n"),
             "raw_token-github": ("raw_token github.pat", "ghp_plantedPLANTEDplantedPLANTEDplanted00"),
             "raw_token-pin": ("raw_token generic.password guessable", "1234"),
             "jwt": ("jwt k8s.service_account_token", token),
             "jwt-oidc": ("jwt", jwt({"iss": "https://issuer.example", "exp": NOON + 0.5, "sub": "me"})),
             "raw_token-jwt": ("raw_token", f"token {token} and AKIAPLANTED000000001"),
             "pem-rsa": ("pem tls.private_key", rsa), "pem-pair": ("pem tls.client_certificate", certificate + ec),
             "pem-encrypted": ("pem tls.private_key", encrypted), "pem-ed25519": ("pem", ed),
             "opaque": ("opaque generic.secret", "planted bytes \0\1\2 of nobody"),
             "opaque-pem": ("opaque", ec), "many": ("pem x64", certificate),
             "gitconfig": ("gitconfig git.password", '[url "https://me:planted-password@git.example/"]\n'
                           '\tinsteadOf = https://git.example/\n[http "https://git.example"]\n'
                           '\textraheader = "Authorization: Bearer planted-token-0123456789"\n[credential]\n'
                           '\thelper = store\n')}
    for name, kind, text in configurations(certificate, ec, token):
        seeds[name] = (f"{name.split('-')[0]} {kind}", text)
    with tempfile.TemporaryDirectory() as folder:
        seeds["ssh_private_key"] = ("ssh_private_key ssh.private_key", ssh_key(folder, "ed25519"))
        seeds["ssh_private_key-encrypted"] = ("ssh_private_key ssh.private_key", ssh_key(folder, "ed25519", "planted"))
        seeds["ssh_private_key-old"] = ("ssh_private_key ssh.private_key", rsa)
    for name, (first_line, text) in seeds.items():
        write(root, "examine", name, f"{first_line}\n{text}")
    write(root, "examine", "gcloud_store", b"gcloud_store gcp.authorized_user\n" + gcloud_store())


# ---- messages between the roles (role_abi.h), OTLP ----

def text_field(value, size):
    return struct.pack("<H", len(value)) + value.encode().ljust(size, b"\0")


def message(letter, body):
    """One message as role_link.cpp takes it; it makes the head."""
    return letter.encode() + struct.pack("<H", len(body)) + body


def hints(form="aws_credentials", kind="aws.access_key"):
    return text_field(form, 46) + text_field(kind, 62) + text_field("", 62) + bytes(8)


def identity():
    return struct.pack("<QQqQII", 77, 0xEF53, NOON, 116, 5, 0x800001)


def roles(root):
    key = message("k", struct.pack("<qq16s16sBBB5x", NOON, NOON + 3600, bytes(range(16)), bytes(16), 0, 1, 1)
                  + text_field("AKIAPLANTED000000001", 254) + text_field("aws.access_key", 62) + text_field("", 254)
                  + text_field("", 254) + text_field("prod", 126) + text_field("", 62) + text_field("", 126))
    variable = message("e", struct.pack("<16sIBB2x", bytes(16), 7, 0, 1) + text_field("AWS_PROFILE", 70)
                       + text_field("default", 262))
    done = lambda keys, env, unread=0: message("d", identity() + struct.pack("<HHHH", unread, keys, env, 0))
    notice = message("n", struct.pack("<QQ", 5, 9) + text_field("examiner_restart", 30)
                     + text_field("The examiner ended.", 254))
    remark = message("r", text_field("The sandbox cannot be had.", 254))
    state = message("s", struct.pack("<II", 100, 2) + text_field("examiner", 14) + text_field("signal 9", 62))
    hook = message("h", struct.pack("<II", 1, 1) + text_field("kprobe", 94) + text_field("0.2 us", 94)
                   + text_field("nothing", 254) + (text_field("fentry", 62) + text_field("not there", 158)) * 8)
    failed = message("f", struct.pack("<HHI", 1, 0, 0) + identity())
    seeds = {"key": key + done(1, 0), "environment": variable + done(0, 1), "failed": failed,
             "greeting": hook + remark + state + notice, "too-few": key + done(2, 0),
             "restart": notice + key, "twice": key + done(1, 0) + key + done(1, 0)}
    for name, data in seeds.items():
        write(root, "role_link", name, data)
    for name, path in (("passwd", "/etc/passwd"), ("device", "/dev/null"), ("link", "/proc/self/exe"),
                       ("dots", "/../../etc/../etc/hostname"), ("folder", "/etc")):
        body = struct.pack("<QIIIIII32x", 0, 100, 1, 0, 2, 0, 0) + identity() + hints() + text_field(path, 1022)
        write(root, "role_open", name, struct.pack("<HHIQ", VERSION, 1, 16 + len(body), 7) + body)
    unknown = (struct.pack("<QIIIIII32x", 0, 100, 1, 0, 0, 0, 0) + bytes(40) + hints()
               + text_field("/etc/hostname", 1022))
    write(root, "role_open", "any-file", struct.pack("<HHIQ", VERSION, 1, 16 + len(unknown), 7) + unknown)


def otlp(root):
    partial = b"\x0a\x0e\x08\x03\x12\x0afull queue"
    for name, data in {"accepted": b"200 OK\n\n", "partial": b"200 OK\n\n" + partial,
                       "retry": b"503 Service Unavailable\n7\n",
                       "date": b"429 Too Many Requests\nFri, 21 Nov 2025 12:01:00 GMT\n",
                       "refused": b"401 Unauthorized\n\n{}", "html": b"200 OK\n\n<html>not OTLP</html>"}.items():
        write(root, "otlp_answer", name, data)
    lines = lambda *parts: "\r\n".join(parts).encode()
    for name, data in {"accepted": lines("HTTP/1.1 200 OK", "Content-Length: 0", "", ""),
                       "partial": lines("HTTP/1.1 200 OK", "Content-Length: 16", "Content-Type: application/x-protobuf",
                                        "", "") + partial,
                       "chunked": lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "5", "hello", "0", "", ""),
                       "retry": lines("HTTP/1.1 503 Service Unavailable", "Retry-After: 7", "Connection: close", "",
                                      ""),
                       "continue": lines("HTTP/1.1 100 Continue", "", "HTTP/1.1 200 OK", "Content-Length: 0", "", ""),
                       "huge": lines("HTTP/1.1 200 OK", "Content-Length: 99999999999", "", "x"),
                       "redirect": lines("HTTP/1.1 302 Found", "Location: http://elsewhere.example/",
                                         "Content-Length: 0", "", "")}.items():
        write(root, "otlp_http", name, data)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "seeds")
    hello, answer, connect = network(root)
    records(root, hello, answer, connect)
    key_files(root)
    roles(root)
    otlp(root)


if __name__ == "__main__":
    main()
