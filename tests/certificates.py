"""Certificates for tests, made when they are needed.

Not those of the package ``trustme``: it marks the alternative names as critical, which OTP 25 refuses.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyzen.node.tls import TLSConfig

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOST", "Authority", "encrypted_key"]

HOST: Final = "127.0.0.1"

DAY: Final = datetime.timedelta(days=1)

NUMBERS: Final = itertools.count(1)

SIGNS: Final = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


class Authority:
    """Signs certificates of nodes, in files of a folder.

    Args:
        folder: Where the files are.
        names: Hosts of its own certificate, if it is to be a node's as well.
        marked: Whether its certificate says that it is an authority's.
        issuer: Who has signed its certificate; itself if left out.

    Attributes:
        cafile: Its own certificate.
        keyfile: The key of that.
    """

    def __init__(
        self, folder: Path, *names: str, marked: bool = True, issuer: Authority | None = None, expired: bool = False
    ) -> None:
        number = next(NUMBERS)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {number}")])
        self._folder = folder
        builder = self._builder(issuer or self, *names, expired=expired)
        builder = builder.add_extension(x509.BasicConstraints(marked, None), critical=True)
        if marked:
            builder = builder.add_extension(SIGNS, critical=True)
        self.cafile, self.keyfile = folder / f"{number}.pem", folder / f"{number}-key.pem"
        self.cafile.write_bytes(builder.sign((issuer or self).key, hashes.SHA256()).public_bytes(Encoding.PEM))
        write_key(self.keyfile, self.key, PrivateFormat.PKCS8, NoEncryption())

    def _builder(self, issuer: Authority, *names: str, expired: bool) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        serial = x509.random_serial_number()
        end = now - DAY if expired else now + DAY
        builder = x509.CertificateBuilder(issuer.name, self.name, self.key.public_key(), serial, now - 2 * DAY, end)
        # RFC 5280, section 4.2.1, which Python checks since 3.13.
        own = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(signer, critical=False)
        if not names:
            return builder
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        hosts = x509.SubjectAlternativeName([one for name in names for one in general_names(name)])
        return builder.add_extension(hosts, critical=False).add_extension(both, critical=False)

    def certificate(self, *names: str, expired: bool = False) -> tuple[Path, Path]:
        """Return certificate and key for these hosts, which may be addresses."""
        node = Authority(self._folder, *(names or (HOST,)), marked=False, issuer=self, expired=expired)
        return node.cafile, node.keyfile

    def config(self, *names: str, expired: bool = False, **settings: Any) -> TLSConfig:
        """Return settings with a certificate for these hosts that trust this authority."""
        certfile, keyfile = self.certificate(*names, expired=expired)
        return TLSConfig(**{"certfile": certfile, "keyfile": keyfile, "cafile": self.cafile} | settings)


def general_names(host: str) -> list[x509.GeneralName]:
    """Return a host as a certificate names it.

    An address twice: OTP, which dials the host part of a node name, looks for any such name as for one of DNS.
    """
    try:
        return [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName(host)]
    except ValueError:
        return [x509.DNSName(host)]


def write_key(
    path: Path, key: ec.EllipticCurvePrivateKey, form: PrivateFormat, encryption: KeySerializationEncryption
) -> None:
    """Write a key in PEM."""
    path.write_bytes(key.private_bytes(Encoding.PEM, form, encryption))


def encrypted_key(path: Path, form: PrivateFormat) -> Path:
    """Write a key that is protected by a password."""
    write_key(path, ec.generate_private_key(ec.SECP256R1()), form, BestAvailableEncryption(b"secret"))
    return path
