# SPDX-License-Identifier: Apache-2.0
"""A private certificate authority: one root, one leaf per server name, made when it is first asked for. Nothing outside
its folder is written."""
import datetime
import ipaddress
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
        self._contexts, self._leaves = {}, 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        root = _name("Keytrail test root")
        self._cert = (_builder(root, root, self._key.public_key())
                      .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                      .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False),
                                     critical=True)
                      .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
                      .sign(self._key, hashes.SHA256()))
        self.bundle = os.path.join(folder, "bundle")
        with open(self.bundle, "wb") as file:
            file.write(self._cert.public_bytes(serialization.Encoding.PEM))
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())

    def context(self, server_name, address, asks=False):
        """An ssl.SSLContext whose leaf is for this name and this address. `asks`: it wants a client certificate, but
        does without."""
        with self._lock:
            found = self._contexts.get((server_name, address, asks))
            if found is None:
                path = self._leaf(server_name,
                                  [x509.DNSName(server_name), x509.IPAddress(ipaddress.ip_address(address))],
                                  ExtendedKeyUsageOID.SERVER_AUTH)
                found = self._contexts[server_name, address, asks] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                found.load_cert_chain(path)
                found.set_alpn_protocols(["http/1.1"])
                if asks:
                    self.ask(found)
                os.unlink(path)
            return found

    def ask(self, context):
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.bundle)

    def client(self, name):
        """The path of a file with certificate and private key of a client of this name."""
        with self._lock:
            return self._leaf(name, [x509.DNSName(name)], ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(self, name, names, usage):
        key = ec.generate_private_key(ec.SECP256R1()) if usage == ExtendedKeyUsageOID.CLIENT_AUTH else self._leaf_key
        cert = (_builder(_name(name), self._cert.subject, key.public_key())
                .add_extension(x509.SubjectAlternativeName(names), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                               critical=False).sign(self._key, hashes.SHA256()))
        self._leaves += 1
        path = os.path.join(self.folder, f"leaf-{self._leaves}")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(cert.public_bytes(serialization.Encoding.PEM))
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()))
        return path
