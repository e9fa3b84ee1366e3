"""The errors of pyzen, in one tree.

::

    PyzenError
    ├── EtfError (ValueError)         offset, tag
    │   ├── EncodeError               path
    │   └── DecodeError
    │       └── LimitExceeded         limit, value, maximum
    ├── DistributionError             peer
    │   ├── HandshakeError            state
    │   │   ├── CookieMismatch
    │   │   ├── NotAllowed
    │   │   ├── AlreadyConnected
    │   │   ├── MissingFlags          flags
    │   │   └── TLSError
    │   ├── LocalProtocolError
    │   ├── RemoteProtocolError
    │   ├── ConnectionLost
    │   ├── LinkOverloaded
    │   └── EpmdError
    ├── ProcessExit                   reason
    │   ├── NoProcess
    │   ├── NodeDown
    │   └── CallTimeout (TimeoutError)
    ├── NameTaken                     name
    ├── RpcError                      kind, reason, stack
    └── ConfigError (ValueError)

Local misuse raises at the call that caused it. What a peer did wrong is stored with its link, logged, and
raised later with the cause chained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyzen.brief import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AlreadyConnected",
    "CallTimeout",
    "ConfigError",
    "ConnectionLost",
    "CookieMismatch",
    "DecodeError",
    "DistributionError",
    "EncodeError",
    "EpmdError",
    "EtfError",
    "HandshakeError",
    "LimitExceeded",
    "LinkOverloaded",
    "LocalProtocolError",
    "MissingFlags",
    "NameTaken",
    "NoProcess",
    "NodeDown",
    "NotAllowed",
    "ProcessExit",
    "PyzenError",
    "RemoteProtocolError",
    "RpcError",
    "TLSError",
]


class PyzenError(Exception):
    """The root of every error that pyzen raises on purpose."""


class EtfError(PyzenError, ValueError):
    """Bytes or objects that do not fit the external term format.

    Attributes:
        offset: Position of the offending byte, or None where no bytes are involved.
        tag: The tag byte at fault, or None.
    """

    def __init__(self, message: str, *, offset: int | None = None, tag: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.tag = tag


class EncodeError(EtfError):
    """An object has no Erlang form.

    Attributes:
        path: Where the object stands in the term, outermost step first: indices and keys as text,
            such as ``"[2]['name'].elements[0]"``; empty for the term itself.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{message} (at {path})" if path else message)
        self.path = path


class DecodeError(EtfError):
    """Bytes are not a term, or not one that a real node could have sent."""


class LimitExceeded(DecodeError):
    """A term is past a limit.

    Attributes:
        limit: Name of the limit, as in ``Limits``.
        value: What was found (for a depth or a count: the first value past the maximum).
        maximum: The limit in force.
    """

    def __init__(
        self,
        limit: str,
        value: int,
        maximum: int,
        *,
        offset: int | None = None,
        tag: int | None = None,
    ) -> None:
        super().__init__(f"{limit} exceeded: {value} is more than {maximum}", offset=offset, tag=tag)
        self.limit = limit
        self.value = value
        self.maximum = maximum


class DistributionError(PyzenError):
    """Something went wrong between this node and a peer.

    Attributes:
        peer: Name of the peer, or its address where no name is known yet; None for none.
    """

    def __init__(self, message: str, *, peer: str | None = None) -> None:
        super().__init__(message)
        self.peer = peer


class HandshakeError(DistributionError):
    """A handshake ended without a link.

    Attributes:
        state: The handshake's state when it ended.
    """

    def __init__(self, message: str, *, peer: str | None = None, state: str = "") -> None:
        super().__init__(message, peer=peer)
        self.state = state


class CookieMismatch(HandshakeError):
    """The two nodes do not have the same cookie."""


class NotAllowed(HandshakeError):
    """The peer, or this node's ``allow``, does not let the other in."""


class AlreadyConnected(HandshakeError):
    """The peer keeps an older link to a node of this name."""


class MissingFlags(HandshakeError):
    """The peer lacks flags that this node needs.

    Attributes:
        flags: Names of the missing flags, as in OTP's document.
    """

    def __init__(self, flags: Sequence[str], *, peer: str | None = None, state: str = "") -> None:
        super().__init__(f"the peer lacks the distribution flags {', '.join(flags)}", peer=peer, state=state)
        self.flags = tuple(flags)


class TLSError(HandshakeError):
    """The two nodes don't agree on TLS, or one does not accept the other's certificate; the message says why."""


class LocalProtocolError(DistributionError):
    """This side used a protocol object in a way its state does not allow."""


class RemoteProtocolError(DistributionError):
    """The peer broke the protocol."""


class ConnectionLost(DistributionError):
    """The link to the peer ended."""


class LinkOverloaded(DistributionError):
    """More than ``Limits.max_unsent_bytes`` wait for a link; the message was not queued."""


class EpmdError(DistributionError):
    """epmd can't be reached, or refused."""


class ProcessExit(PyzenError):
    """A process ended, or there is none.

    Attributes:
        reason: What Erlang's exit would carry.
    """

    def __init__(self, reason: Any, message: str | None = None) -> None:
        super().__init__(message if message is not None else f"process ended: {brief(reason)}")
        self.reason = reason


class NoProcess(ProcessExit):
    """No process of that pid or name is alive."""


class NodeDown(ProcessExit):
    """The node of the process is not connected, or the link was lost."""


class CallTimeout(ProcessExit, TimeoutError):
    """No reply came in time; a late reply is dropped."""


class NameTaken(PyzenError):
    """A name is registered already, on this node or in epmd.

    Attributes:
        name: The name.
    """

    def __init__(self, name: str, message: str | None = None) -> None:
        super().__init__(message if message is not None else f"name {name!r} is taken")
        self.name = name


class RpcError(PyzenError):
    """A remote call failed.

    Attributes:
        kind: ``"error"``, ``"exit"``, ``"throw"`` or ``"erpc"`` (the class of the exception there).
        reason: The reason, as a term.
        stack: The remote stack as a list of terms; empty where there is none.
    """

    def __init__(self, kind: str, reason: Any, stack: Sequence[Any] = ()) -> None:
        super().__init__(f"{kind}: {brief(reason, 500)}")
        self.kind = kind
        self.reason = reason
        self.stack = list(stack)


class ConfigError(PyzenError, ValueError):
    """A setting can't be used; the message says which, and what would do."""
