"""Files for ``erl -ssl_dist_optfile``.

Such a file holds one term: ``[{server, Options}, {client, Options}].``

An option that this node can't honour is refused by name: a cluster must not be less safe than its file says.

Source: OTP, "Using TLS for Erlang Distribution", and the options of the module ``ssl``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pyzen import consult
from pyzen.errors import ConfigError
from pyzen.terms import Atom, atoms

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Options", "read_optfile"]

ROLES: Final = ("server", "client")

# Values that change nothing here: there is no renegotiation, no session is reused, no log of the TLS layer.
WITHOUT_EFFECT: Final[Mapping[str, object]] = {
    "secure_renegotiate": True,
    "client_renegotiation": False,
    "reuse_sessions": ...,
    "hibernate_after": ...,
    "log_level": ...,
}

VERSIONS: Final = {atoms["tlsv1.2"]: "1.2", atoms["tlsv1.3"]: "1.3"}


@dataclass(slots=True)
class Options:
    """The options of one role.

    Attributes:
        certfile: Own certificate.
        keyfile: Its key.
        cafile: Certificates that are trusted.
        verify: Whether the peer is verified.
        insists: Whether a server refuses a client without a certificate; None where the file does not say.
        versions: Names of TLS versions.
    """

    certfile: str | None = None
    keyfile: str | None = None
    cafile: str | None = None
    verify: bool = True
    insists: bool | None = None
    versions: tuple[str, ...] = ("1.2", "1.3")


def read_optfile(path: str | os.PathLike[str]) -> tuple[Options, Options]:
    """Return the options of server and client.

    Raises:
        ConfigError: The file can't be read, or has an option that can't be honoured; the message names it.
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            terms = consult.parse_all(file.read())
    except OSError as error:
        raise ConfigError(f"{name}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a term, or UTF-8, that can't be read
        raise ConfigError(f"{name}: {error}") from error
    try:
        return roles(terms)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def roles(terms: list[Any]) -> tuple[Options, Options]:
    """Return the options of server and client of the terms of a file."""
    if len(terms) != 1:
        raise ConfigError(f"the file holds one term, not {len(terms)}")
    sections = pairs(terms[0], "the file")
    for section in sections:
        if section not in ROLES:
            raise ConfigError(f"there is no role {section}; the roles are server and client")
    return options("server", sections.get("server", [])), options("client", sections.get("client", []))


def pairs(term: Any, where: str) -> dict[str, Any]:
    """Return a list of pairs ``{atom, Value}`` as a dict."""
    if not isinstance(term, list):
        raise ConfigError(f"{where} is a list of pairs, not {consult.format(term):.100}")
    found: dict[str, Any] = {}
    for pair in term:
        match pair:
            case (Atom() as key, value) if str(key) not in found:
                found[str(key)] = value
            case (Atom() as key, _):
                raise ConfigError(f"{where}: {key} stands twice")
            case _:
                raise ConfigError(f"{where}: {consult.format(pair):.100} can't be honoured")
    return found


def options(role: Literal["server", "client"], term: Any) -> Options:
    """Return the options of one role."""
    result = Options(verify=role == "client")
    for key, value in pairs(term, role).items():
        try:
            apply(result, role, key, value)
        except ConfigError as error:
            raise ConfigError(f"{role}: {error}") from error
    check(result, role)
    return result


def apply(result: Options, role: str, key: str, value: Any) -> None:
    """Take one option over."""
    match key, value:
        case "certfile", _:
            result.certfile = file_name(key, value)
        case "keyfile", _:
            result.keyfile = file_name(key, value)
        case "cacertfile", _:
            result.cafile = file_name(key, value)
        case "verify", atoms.verify_peer | atoms.verify_none:
            result.verify = value is atoms.verify_peer
        case "fail_if_no_peer_cert", bool() if role == "server":
            result.insists = value
        case "versions", [*names] if names and all(name in VERSIONS for name in names):
            result.versions = tuple(VERSIONS[name] for name in names)
        case _ if key in WITHOUT_EFFECT and (WITHOUT_EFFECT[key] is ... or WITHOUT_EFFECT[key] is value):
            pass
        case "password", _:
            raise ConfigError("password: encrypted keys can't be read, give a key without a password")
        case _:
            raise ConfigError(f"{{{key},{consult.format(value):.100}}} can't be honoured")


def file_name(key: str, value: Any) -> str:
    """Return the name of a file, a string or a binary."""
    try:
        match value:
            case bytes():
                return value.decode()
            case [_, *_]:
                return "".join(map(chr, value))
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{key} is the name of a file, not {consult.format(value):.100}")


def check(result: Options, role: str) -> None:
    """Refuse options that contradict each other, or that would let in somebody by halves."""
    if result.verify and result.cafile is None:
        raise ConfigError(f"{role}: verify_peer needs cacertfile; {{verify,verify_none}} goes without")
    if result.certfile is None and (role == "server" or result.keyfile is not None):
        raise ConfigError(f"{role}: certfile is missing")
    if result.insists is not None and result.insists is not result.verify:
        given = consult.format((atoms.fail_if_no_peer_cert, result.insists))
        verify = "verify_peer" if result.verify else "verify_none"
        raise ConfigError(f"{role}: {given} can't be honoured together with {verify}")
