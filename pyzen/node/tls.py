"""Settings of TLS distribution: what Erlang calls ``-proto_dist inet_tls``.

Both sides of a connection have settings: a node that is dialled is the server, the one that dials the client. Here one
`TLSConfig` serves for both, unless its ``client`` says otherwise.

Source: OTP, "Using TLS for Erlang Distribution"; ``lib/ssl/src/inet_tls_dist.erl``.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from pyzen.errors import ConfigError
from pyzen.node.optfile import read_optfile

if TYPE_CHECKING:
    import os

__all__ = ["TLSConfig"]

StrPath: TypeAlias = "str | os.PathLike[str]"

VERSIONS: Final = ("1.2", "1.3")


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """How links are encrypted, and who is let in. All nodes of a cluster have to agree on TLS.

    Certificates are compared with host names by their subjectAltName (DNS or IP) only, as OTP 29 does: the certificate
    of ``py@10.0.0.1`` needs ``IP:10.0.0.1``, and ``DNS:10.0.0.1`` as well, for that is what Erlang looks for when it
    dials. The files are read once, when the node starts.

    Attributes:
        certfile: Own certificate in PEM, followed by those in between it and the authority. None only in ``client``:
            then no certificate is shown.
        keyfile: Its key in PEM, without a password; None if it stands in ``certfile``.
        cafile: Certificates that are trusted, in PEM. One of an authority vouches for what it has signed. Any other is
            pinned: it vouches for itself alone, so that a file with exactly the peer's certificate lets in nobody else.
        verify: Whether peers have to prove who they are, dialled or dialling. False lets in every node that has the
            cookie, and does not notice who listens in between.
        verify_client_name: Whether the certificate of a node that dials has to be for the host part of its name. False
            lets the owner of any trusted certificate take any node name. Without effect where ``verify`` is false.
        versions: Of ``"1.2"`` and ``"1.3"`` those that may be spoken.
        client: Settings for dialling, where they differ.

    Raises:
        ConfigError: The settings contradict each other.
    """

    certfile: StrPath | None
    keyfile: StrPath | None = None
    cafile: StrPath | None = None
    _: KW_ONLY
    verify: bool = True
    verify_client_name: bool = True
    versions: tuple[str, ...] = VERSIONS
    client: TLSConfig | None = None

    def __post_init__(self) -> None:
        if self.verify and self.cafile is None:
            raise ConfigError("TLS needs a cafile to verify peers with; verify=False goes without, and lets anyone in")
        if self.keyfile is not None and self.certfile is None:
            raise ConfigError("a keyfile needs the certfile that it is for")
        if not self.versions or not set(self.versions) <= set(VERSIONS):
            raise ConfigError(f"versions are some of {', '.join(VERSIONS)}, not {self.versions!r}")
        if self.client is not None and self.client.client is not None:
            raise ConfigError("the client settings have no client settings of their own")

    @classmethod
    def from_optfile(cls, path: StrPath, *, verify_client_name: bool = True) -> Self:
        """Read a file that ``erl -ssl_dist_optfile`` takes.

        Where a role does not say what to verify, a server verifies nobody and a client verifies its peer, as the
        newer releases of OTP do. A server that verifies insists on a certificate.

        Args:
            path: The file. Paths in it are relative to the working folder, as in ``erl``.
            verify_client_name: See the class; OTP has no such option.

        Raises:
            ConfigError: The file can't be read, or has an option that can't be honoured; the message names it.
        """
        server, client = read_optfile(path)
        return cls(
            server.certfile,
            server.keyfile,
            server.cafile,
            verify=server.verify,
            verify_client_name=verify_client_name,
            versions=server.versions,
            client=TLSConfig(
                client.certfile, client.keyfile, client.cafile, verify=client.verify, versions=client.versions
            ),
        )
