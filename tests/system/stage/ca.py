# SPDX-License-Identifier: Apache-2.0
"""A private certificate authority: one root, one leaf per server name, made when it is first asked for. Nothing outside its folder is written."""
import datetime
import os
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(subject, issuer, public_key):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30)))


class Authority:
    """Root key in memory; `bundle` is the file that clients trust."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._contexts = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        root = _name("Keytrail test root")
        self._cert = (_builder(root, root, self._key.public_key())
                      .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                      .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
                      .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
                      .sign(self._key, hashes.SHA256()))
        self.bundle = os.path.join(folder, "bundle")
        with open(self.bundle, "wb") as file:
            file.write(self._cert.public_bytes(serialization.Encoding.PEM))
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())

    def context(self, server_name):
        """An ssl.SSLContext whose leaf is for this name."""
        with self._lock:
            if server_name not in self._contexts:
                self._contexts[server_name] = self._make(server_name)
            return self._contexts[server_name]

    def _make(self, server_name):
        key = self._leaf_key
        cert = (_builder(_name(server_name), self._cert.subject, key.public_key())
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name)]), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
                .sign(self._key, hashes.SHA256()))
        path = os.path.join(self.folder, f"leaf-{len(self._contexts)}")
        with open(path, "wb") as file:
            file.write(cert.public_bytes(serialization.Encoding.PEM))
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["http/1.1"])
        os.unlink(path)
        return context
