"""One authority, a key pair for each part of the cluster, and the files that tell where it is."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorate_kubernetes.layout import (
    API_PORT,
    API_SERVICE,
    HOST,
    NODES,
    PKI,
    kubeconfig,
    node_address,
)

LIFE = dt.timedelta(days=30)
API_NAMES = (
    "127.0.0.1",
    HOST,
    API_SERVICE,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
# Name of the file, common name, organisation: the last two are user and group to the API server.
USERS = (
    ("admin", "e2e:admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("coredns", "system:coredns", ""),
    ("provisioner", "e2e:provisioner", ""),
)


class Authority:
    """Signs what it makes; its own certificate is ``ca.crt``."""

    def __init__(self) -> None:
        """Make the authority and write its certificate."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quorate-e2e")])
        self._ski = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        # Python 3.13 and later refuse an authority without these.
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._ski, critical=False)
            .add_extension(_AUTHORITY_USAGE, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        _write("ca.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, name: str, group: str = "", hosts: Sequence[str] = ()) -> None:
        """Write ``file.crt`` and ``file.key`` for client and server use."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if group:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._ski)
        builder = (
            self._builder(x509.Name(subject), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer, critical=False)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _write(f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(f"{file}.key", _private(key))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + LIFE)
        )


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def make_all() -> None:
    """Write every certificate, key and kubeconfig of the cluster."""
    authority = Authority()
    authority.issue("apiserver", "kube-apiserver", hosts=API_NAMES)
    authority.issue("apiserver-kubelet", "kube-apiserver-kubelet", "system:masters")
    for user, name, group in USERS:
        authority.issue(user, name, group)
        _write_kubeconfig(user)
    for node in NODES:
        hosts = (node, node_address(node))
        authority.issue(node, f"system:node:{node}", "system:nodes", hosts)
        _write_kubeconfig(node)
    tokens = ec.generate_private_key(ec.SECP256R1())
    _write("service-accounts.key", _private(tokens))
    _write(
        "service-accounts.pub",
        tokens.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(name: str, content: bytes) -> None:
    path = PKI / name
    path.touch(mode=0o600)
    path.write_bytes(content)


def _write_kubeconfig(user: str) -> None:
    cluster = {
        "server": f"https://{HOST}:{API_PORT}",
        "certificate-authority": str(PKI / "ca.crt"),
    }
    credentials = {
        "client-certificate": str(PKI / f"{user}.crt"),
        "client-key": str(PKI / f"{user}.key"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
    }
    kubeconfig(user).write_text(json.dumps(content))
