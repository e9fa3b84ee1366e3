"""The native part: terms, codec, monitor table, link.

Private: `pyzen.terms`, `pyzen.etf`, `pyzen.monitor_table` and `pyzen.node.link` are its only users.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any, Final, Self, SupportsIndex, final, overload

from typing_extensions import Buffer  # for Python 3.11

__all__ = [
    "ACCEPTED",
    "BUSY",
    "CONNECTED",
    "DOWN",
    "ENDED",
    "FRAME",
    "HIGH_MARK",
    "MESSAGE",
    "NO_LINK",
    "NO_PAYLOAD",
    "OVERHEAD",
    "PROFILE",
    "REFUSED",
    "SENT",
    "SIGNAL",
    "TLS_FAULT",
    "TURNED_AWAY",
    "WRITABLE",
    "Atom",
    "BitString",
    "Downs",
    "Encoded",
    "Export",
    "FrozenList",
    "Fun",
    "ImproperList",
    "LinkThread",
    "MonitorTable",
    "NoPayload",
    "Pid",
    "Port",
    "Record",
    "Reference",
    "ReferenceSource",
    "Session",
    "SubscriptionTable",
    "TLSContext",
    "TermMap",
    "Unreads",
    "decode",
    "encode",
    "encode_message",
    "encoded_size",
    "guard_fd",
    "release_fd",
]

PROFILE: Final[str]  # "dev" or "release": how Cargo built this module

# ---------------------------------------------------------------------------------------------- terms

@final
class Atom:
    """An interned, immutable name; not equal to any `str`, compared by identity.

    `Atom("true")`, `Atom("false")` and `Atom("nil")` raise `ValueError`: say `True`, `False`, `None`.
    More than 255 characters, or a lone surrogate, raise `ValueError`. A capitalised attribute of an Elixir module
    is the module below it (not declared here, so that the type checker finds misspelt attributes of other atoms).
    """

    def __new__(cls, text: str, /) -> Self: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Atom, /) -> bool: ...
    def __le__(self, other: Atom, /) -> bool: ...
    def __gt__(self, other: Atom, /) -> bool: ...
    def __ge__(self, other: Atom, /) -> bool: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Pid:
    """The identifier of a process: (node, id, serial, creation).

    `number` is `serial << 32 | id`: it names the process within its node and creation.
    """

    def __new__(cls, node: Atom | str, id: int, serial: int, creation: int) -> Self: ...
    @property
    def node(self) -> Atom: ...
    @property
    def id(self) -> int: ...
    @property
    def serial(self) -> int: ...
    @property
    def creation(self) -> int: ...
    @property
    def number(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Pid, /) -> bool: ...
    def __le__(self, other: Pid, /) -> bool: ...
    def __gt__(self, other: Pid, /) -> bool: ...
    def __ge__(self, other: Pid, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Port:
    """The identifier of a port: (node, id, creation)."""

    def __new__(cls, node: Atom | str, id: int, creation: int) -> Self: ...
    @property
    def node(self) -> Atom: ...
    @property
    def id(self) -> int: ...
    @property
    def creation(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Port, /) -> bool: ...
    def __le__(self, other: Port, /) -> bool: ...
    def __gt__(self, other: Port, /) -> bool: ...
    def __ge__(self, other: Port, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Reference:
    """A unique reference: (node, creation, 1 to 5 words of 32 bits)."""

    def __new__(cls, node: Atom | str, creation: int, words: Sequence[int]) -> Self: ...
    @property
    def node(self) -> Atom: ...
    @property
    def creation(self) -> int: ...
    @property
    def words(self) -> tuple[int, ...]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Reference, /) -> bool: ...
    def __le__(self, other: Reference, /) -> bool: ...
    def __gt__(self, other: Reference, /) -> bool: ...
    def __ge__(self, other: Reference, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class ReferenceSource:
    """Makes references of one node, never the same twice, and none that can be guessed from others.

    Five words: the first three are 82 random bits, the last two a counter, by which references are ordered.
    """

    def __new__(cls, node: Atom | str, creation: int) -> Self: ...
    def next(self) -> Reference: ...

@final
class BitString:
    """A bitstring whose length is no multiple of eight: bytes, and how many bits (1 to 7) of the last one count.

    They count from the top; the others are cleared. Whole bytes are `bytes`: 8 bits or no data raise `ValueError`.
    """

    def __new__(cls, data: bytes, bits: int) -> Self: ...
    @property
    def data(self) -> bytes: ...
    @property
    def bits(self) -> int: ...
    def head(self, size: int, /) -> bytes:
        """At most `size` bytes from the start, of those that count in full."""
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class FrozenList(Sequence[Any]):
    """A list used as a key of a map: immutable, and equal to a list of equal elements."""

    def __new__(cls, elements: Iterable[Any] | None = None, /) -> Self: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> FrozenList: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, item: object, /) -> bool: ...
    def index(self, value: Any, start: int | None = None, stop: int | None = None, /) -> int: ...
    def count(self, value: Any, /) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class ImproperList:
    """A list that ends in another tail than the empty list, such as `[alias|Ref]`.

    At least one element; a tail that is a list raises `ValueError`, one that is improper itself is joined.
    """

    __match_args__: Final = ("elements", "tail")
    def __new__(cls, elements: Iterable[Any], tail: Any) -> Self: ...
    @property
    def elements(self) -> tuple[Any, ...]: ...
    @property
    def tail(self) -> Any: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class TermMap(Mapping[Any, Any]):
    """An immutable `Mapping` whose keys are told apart as Erlang does (`=:=`): `1`, `1.0`, `True`, `0.0`, `-0.0`.

    Of equal keys the first and the last value stay, as in a dict. Equal to a `TermMap` or dict that is the same
    term; hashable when all its values are. A `str` and its UTF-8 `bytes` are the same key, being the same term.
    """

    def __new__(cls, pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None, /) -> Self: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def get(self, key: Any, default: Any = None, /) -> Any: ...
    def keys(self) -> KeysView[Any]: ...
    def values(self) -> ValuesView[Any]: ...
    def items(self) -> ItemsView[Any, Any]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Fun:
    """A fun: opaque here, kept whole, so that its own node gets it back unchanged."""

    def __new__(
        cls,
        module: Atom | str,
        arity: int,
        uniq: bytes,
        index: int,
        old_index: int,
        old_uniq: int,
        pid: Pid,
        free_variables: tuple[Any, ...],
    ) -> Self: ...
    @property
    def module(self) -> Any: ...
    @property
    def arity(self) -> int: ...
    @property
    def uniq(self) -> bytes: ...
    @property
    def index(self) -> int: ...
    @property
    def old_index(self) -> int: ...
    @property
    def old_uniq(self) -> int: ...
    @property
    def pid(self) -> Pid: ...
    @property
    def free_variables(self) -> tuple[Any, ...]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Export:
    """The name of a function: `fun module:function/arity`."""

    __match_args__: Final = ("module", "function", "arity")
    def __new__(cls, module: Atom | str, function: Atom | str, arity: int) -> Self: ...
    @property
    def module(self) -> Any: ...
    @property
    def function(self) -> Any: ...
    @property
    def arity(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Record:
    """A native record of OTP 29: `record["field"]` is the value of a field.

    `flags` are those of the wire; bit 0 says that the definition is exported. A field given twice raises
    `ValueError`.
    """

    def __new__(
        cls,
        module: Atom | str,
        name: Atom | str,
        fields: Mapping[Any, Any] | Iterable[tuple[Any, Any]],
        flags: int = 1,
    ) -> Self: ...
    @property
    def module(self) -> Any: ...
    @property
    def name(self) -> Any: ...
    @property
    def flags(self) -> int: ...
    @property
    def exported(self) -> bool: ...
    @property
    def fields(self) -> dict[Any, Any]: ...
    def __getitem__(self, name: Atom | str, /) -> Any: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

# ---------------------------------------------------------------------------------------------- codec

@final
class Encoded:
    """A term encoded for a distribution message: no version byte, atoms apart; `len()` is its size in bytes."""

    def __len__(self) -> int: ...

def encode(term: Any, compressed: int, max_depth: int) -> bytes:
    """Encode a term with its version byte. Raises `EncodeError`."""

def decode(
    data: Buffer,
    strings: bool,
    max_depth: int,
    max_term_size: int,
    max_decoded_size: int,
    max_inflated_size: int,
    max_atoms: int,
    max_equal_hashes: int,
) -> Any:
    """Decode a term with its version byte. Raises `DecodeError`, `LimitExceeded`."""

def encoded_size(term: Any, max_depth: int, max_size: int) -> int | None:
    """How many bytes `encode` would answer; None if the term has no form or they are more than `max_size`.

    Takes time and memory for `max_size` bytes at most, however large the term.
    """

def encode_message(term: Any, max_depth: int) -> Encoded:
    """Encode a term now, for a link that is not up yet. Raises `EncodeError`."""

# ---------------------------------------------------------------------------------------------- monitor table

@final
class Unreads:
    """DOWNs in the mailboxes of one node, by reference. Those of ZenMonitor come from `MonitorTable.take`."""

    def __new__(cls, source: ReferenceSource) -> Self: ...
    def add(self, reference: Reference, down: tuple[Any, ...], /) -> Downs:
        """Let one DOWN be withdrawn until it is read. Raises `ValueError` for another node's reference."""
    def get(self, reference: Reference, /) -> tuple[Any, ...] | None:
        """The DOWN of a reference, which stays unread."""
    def withdraw(self, reference: Reference, /) -> bool:
        """Let nobody read the DOWN of a reference; false if there is none."""
    def __len__(self) -> int: ...

@final
class Downs:
    """DOWNs for one process, in order; each step of the iteration reads one. Freed unread, they are withdrawn."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def __bool__(self) -> bool:
        """Whether one is neither read nor withdrawn."""
    def __len__(self) -> int:
        """How many are neither read nor withdrawn; takes time for each."""
    def peek(self) -> Iterator[tuple[Any, ...]]:
        """Those that are neither read nor withdrawn; they stay so."""
    def take(self, reference: Reference, /) -> bool:
        """Read the DOWN of a reference out of turn; false if it is read or withdrawn."""
    def clear(self) -> None:
        """Withdraw all."""

@final
class MonitorTable:
    """The references of this node's subscribers, from `add` until their DOWN is taken.

    No call takes time for rows that it does not answer. What names another node's process or reference is
    unknown, never an error, except where a `ValueError` is named. Flags are those of `pyzen.monitor_table`.
    """

    def __new__(cls, source: ReferenceSource) -> Self: ...
    def add(
        self, target: Pid | Atom | str | tuple[Atom | str, Atom | str], subscriber: Pid, /
    ) -> tuple[Reference, int]:
        """Make a live reference; the flags SUBSCRIBER and WOKEN tell what the caller has to do.

        Raises `TypeError` for any other target, `ValueError` for the names `_` and `$<digits>` and for a
        subscriber that is no process of this node.
        """
    def remove(self, reference: Reference, /) -> int:
        """Consume a reference: LIVE or FIRED says what it was, 0 that it is unknown; WOKEN and IDLE may be set."""
    def subscriber_of(self, reference: Reference, /) -> Pid | None: ...
    def target_of(self, reference: Reference, /) -> Pid | tuple[Atom, Atom] | None: ...
    def rows(self, limit: int, /) -> list[tuple[Pid, Reference, Pid | tuple[Atom, Atom]]]:
        """At most `limit` references, each with its subscriber and its target, fired ones too, in no order."""
    def is_subscriber(self, subscriber: Pid, /) -> bool:
        """Whether a process of this node has references, or just had."""
    def subscribers(self, limit: int, /) -> list[Pid]:
        """At most `limit` subscribers that live, as far as is known, in no order."""
    def monitors(self, target: Pid | Atom | str | tuple[Atom | str, Atom | str], subscriber: Pid, /) -> list[Reference]:
        """The live references between the two, in the order they were made. Raises as `add`."""
    def instructions(self, node: Atom, limit: int, /) -> list[tuple[Atom, Any]]:
        """At most `limit` instructions, in order; nothing counts as sent before `handed`."""
    def handed(self, node: Atom, count: int, /) -> None:
        """The link took the first `count` of the instructions just answered."""
    def certify(self, node: Atom, certificates: list[Any], /) -> tuple[int, int]:
        """Fire what a dead summary names; how many references fired, and how many items named none."""
    def lose(self, node: Atom, /) -> int:
        """Fire every live reference to a node with `nodedown`; how many."""
    def take_over(self, node: Atom, /) -> int:
        """Nothing of a node is held or covered any more; how many references to names fired."""
    def cover(self, node: Atom, references: list[Reference], /) -> int:
        """ERTS monitors stand for the targets of the first instructions just answered; for how many.

        Only while no Proxy holds anything, so that all instructions are subscribes. Raises `ValueError`.
        """
    def erts_down(self, reference: Reference, reason: Any, /) -> int:
        """An ERTS monitor fired: how many references fired; 0 for one that covers nothing."""
    def uncover(self, node: Atom, limit: int, /) -> list[Reference]:
        """At most `limit` ERTS monitors that nobody needs any more, to be taken back; each is named once."""
    def lose_uncovered(self, node: Atom, limit: int, /) -> int:
        """Fire live references with `nodedown`, of at most `limit` targets that are not covered; how many."""
    def covered(self, node: Atom, /) -> int:
        """How many targets of a node are watched by an ERTS monitor."""
    def spare(self, node: Atom, /) -> int:
        """How many ERTS monitors of a node wait for `uncover`."""
    def settle(self, limit: int, /) -> int:
        """Carry out at most `limit` steps of what was decided; MORE when some are left, WOKEN may be set."""
    def take(self, limit: int, fair: bool, unreads: Unreads, /) -> tuple[int, list[tuple[Pid, Downs]]]:
        """Consume at most `limit` fired references; how many, and their DOWNs by subscriber.

        They are to be delivered in the same step: who does not do so has to `clear` them.
        """
    def drop_subscriber(self, subscriber: Pid, /) -> int:
        """The subscriber died: as `remove` of each of its references; WOKEN may be set."""
    def watch(self, subscriber: Pid, reference: Reference, /) -> None:
        """Note the reciprocal monitor of a subscriber. Raises `ValueError`."""
    def unwatch_all(self) -> None:
        """Forget all reciprocal monitors: their owner ended."""
    def unwatched(self, start: int, limit: int, /) -> tuple[list[Pid], int | None]:
        """Subscribers without a reciprocal monitor, from a place on, and where to go on; None at the end."""
    def retire(self, limit: int, /) -> list[Reference | None]:
        """Remove at most `limit` subscribers without references; their reciprocal monitors."""
    def take_woken(self) -> list[Atom]:
        """Nodes that have instructions to send and had none when this was last called."""
    def nodes(self) -> list[Atom]:
        """Nodes with live references or instructions to send."""
    def live(self, node: Atom, /) -> int: ...
    def pending(self, node: Atom, /) -> int: ...
    @property
    def fired(self) -> int: ...
    def sizes(self) -> dict[str, int]: ...
    def counts(self) -> dict[str, int]:
        """What has happened since the table was made, by the names of ZenMonitor's statistics."""

@final
class SubscriptionTable:
    """The subscriptions of other nodes' Connectors to processes of this node, and the certificates not yet sent.

    Targets of other nodes or of an old creation raise `ValueError`, what is no target at all `TypeError`.
    """

    def __new__(cls, node: Atom | str, creation: int) -> Self: ...
    def meet(self, connector: Pid, /) -> bool:
        """Make a Connector known; true if it was not."""
    def subscribe(self, connector: Pid, target: Pid | Atom | str | tuple[Atom | str, Atom | str], /) -> int:
        """Add a subscription, withdraw an unsent certificate; BATCHER and MONITOR tell what is needed now."""
    def watch(self, target: Pid | Atom | str | tuple[Atom | str, Atom | str], reference: Reference, /) -> None:
        """Note the ERTS monitor of a target."""
    def unsubscribe(
        self, connector: Pid, target: Pid | Atom | str | tuple[Atom | str, Atom | str], /
    ) -> Reference | None:
        """Remove subscription or certificate; the ERTS monitor that nobody needs any more."""
    def died(self, reference: Reference, reason: Any, size: int, /) -> list[Pid]:
        """The monitored process ended: certificates for all subscribed; Connectors that had none waiting."""
    def certify(self, connector: Pid, target: Any, reason: Any, size: int, /) -> bool:
        """A certificate for what can't be monitored; whether the Connector had none waiting."""
    def certificates(self, connector: Pid, limit: int, size: int, /) -> list[tuple[Any, Any]]:
        """At most `limit` certificates in the order of death, ending once their sizes reach `size`."""
    def sent(self, connector: Pid, count: int, /) -> None:
        """The link took the first `count` certificates."""
    def waiting(self, connector: Pid, /) -> int: ...
    def held(self, node: Atom, /) -> tuple[int, int, int]:
        """Connectors of a node, their rows of both kinds, and bytes that the reasons of its certificates encode to."""
    def is_subscribed(self, connector: Pid, target: Any, /) -> bool: ...
    def drop_connector(self, connector: Pid, /) -> bool:
        """A Connector ended: nothing of it counts any more, `reap` removes its rows."""
    def drop_node(self, node: Atom, /) -> list[Pid]:
        """A link was lost: all Connectors of the node count as ended."""
    def knows(self, connector: Pid, /) -> bool:
        """Whether a Connector lives, as far as is known."""
    def connectors(self) -> list[Pid]: ...
    def rows(self, limit: int, /) -> list[tuple[Pid | tuple[Atom, Atom], Pid]]:
        """At most `limit` subscriptions to what lives, as target and Connector, in no order."""
    def reap(self, limit: int, /) -> tuple[list[Reference], bool]:
        """Remove at most `limit` rows of ended Connectors; ERTS monitors nobody needs, and whether rows are left."""
    def sizes(self) -> dict[str, int]: ...
    def counts(self) -> dict[str, int]:
        """What has happened since the table was made, by the names of ZenMonitor's statistics."""

# ---------------------------------------------------------------------------------------------- link

# What `LinkThread.send` and `signal` answer.
SENT: Final = 0
BUSY: Final = 1  # queued; the link is above its high mark, a WRITABLE event follows
NO_LINK: Final = 2  # not queued: the link is gone

HIGH_MARK: Final[int]  # bytes that wait for a peer, above which its link is busy
OVERHEAD: Final[int]  # bytes that each message counts there beside its own

# Kinds of events, the first item of each tuple that `drain` yields. An operation number (1..) stands for itself.
MESSAGE: Final = 0  # (MESSAGE, link or 0, process number | Atom name | alias, messages: list, None)
ACCEPTED: Final = -1  # (ACCEPTED, link, host, port, 1): an inbound connection, in handshake mode
CONNECTED: Final = -2  # (CONNECTED, link, None, None, None): an outbound connection, in handshake mode
FRAME: Final = -3  # (FRAME, link, bytes, None, None): the answer to `read_frame`
DOWN: Final = -4  # (DOWN, link, reason: str, None, None): after every packet read before it; the last of its link
WRITABLE: Final = -5  # (WRITABLE, link, None, None, None): below the low mark again
ENDED: Final = -6  # (ENDED, 0, reason: str, None, None): the thread ended; the last event of all
SIGNAL: Final = -7  # (SIGNAL, link, object, None, None): a MONITOR_P or DEMONITOR_P that is a signal already
REFUSED: Final = -8  # (REFUSED, link, as in MESSAGE | control tuple of SPAWN_REQUEST, limit: str, None): see `Limits`
TURNED_AWAY: Final = -9  # (TURNED_AWAY, 0, host, port, count): there was no place for them; the first one's address

@final
class NoPayload:
    """The type of `NO_PAYLOAD`: a signal that has only a control tuple."""

NO_PAYLOAD: Final[NoPayload]

# How the reason of a DOWN begins when TLS is at fault: the rest says why in words.
TLS_FAULT: Final = "TLS: "

@final
class TLSContext:
    """What all encrypted connections of a node have in common; both roles' files are read once.

    A role is (certfile, keyfile, cafile, whether to verify the peer, versions such as "1.3"). Raises `ConfigError`,
    which names the file and what is wrong with it.
    """

    def __new__(
        cls,
        *,
        server: tuple[str | None, str | None, str | None, bool, Sequence[str]],
        client: tuple[str | None, str | None, str | None, bool, Sequence[str]],
    ) -> Self: ...

@final
class LinkThread:
    """One I/O thread that owns the sockets of all links of one node.

    `limits` is a `pyzen.config.Limits`. With `tls`, every connection is encrypted. `signals` are the classes of the
    signals MONITOR_P (19) and DEMONITOR_P (20), called with receiver, watcher and reference; sound ones come as
    SIGNAL, with the link in `via`. Link ids are integers from 1, never reused. All methods are called from the thread
    of the event loop and return at once.

    What must never wait for Python is answered by the thread and becomes no event: monitors of
    `global_name_server` (`noproc`) and `net_kernel`, and the call `is_auth` of `net_kernel`.
    """

    def __new__(
        cls,
        limits: object,
        ticktime: float,
        tls: TLSContext | None = None,
        signals: dict[int, Callable[[Any, Pid, Reference], object]] | None = None,
    ) -> Self: ...
    def fileno(self) -> int:
        """A file descriptor that is readable while `drain` has something to yield."""
    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns the address bound. Raises `OSError`."""
    def dial(self, host: str, port: int, name: str | None = None) -> int:
        """Start to connect; CONNECTED or DOWN follows within `limits.setup_time`.

        `name` is what a certificate of the peer has to be for, `host` if left out. Raises `ValueError` if there can be
        no certificate for it.
        """
    def is_certified(self, link: int, host: str) -> bool:
        """Whether the peer has shown a certificate for this host, by its alternative names."""
    def read_frame(self, link: int) -> None:
        """Ask for exactly one handshake frame (2-byte length, 4-byte on TLS); FRAME or DOWN follows."""
    def write_frame(self, link: int, frame: Buffer) -> None:
        """Queue one handshake frame; the length is put in front."""
    def activate(
        self,
        link: int,
        *,
        node: Atom,
        creation: int,
        peer: Atom,
        flags: int,
        last_frame: bytes | None,
        first: Sequence[tuple[Any, ...]],
    ) -> None:
        """End the handshake in one step.

        Writes `last_frame`, then `first` (each the arguments of `send` or of `signal` without the link), gives
        what was read beyond the handshake to the packet reader, starts ticks. `flags` is the intersection.
        """
    def send(self, link: int, from_pid: Pid, to: Pid | Atom | Reference, message: Any, priority: bool = ..., /) -> int:
        """Encode and queue one message; the operation is chosen by the link's flags.

        `priority` asks the receiver to serve it first, where the peer knows that and it needs no fragments.
        Returns SENT, BUSY or NO_LINK. Raises `EncodeError`, `LinkOverloaded`; then nothing was queued. Large `bytes`
        are lent, not copied: they live until they are written, and come back in a `drain`.
        """
    def signal(self, link: int, order_key: int, control: tuple[Any, ...], payload: Any = ..., /) -> int:
        """Encode and queue any other signal; passes the marks, but never overtakes the same order key."""
    def close(self, link: int, reason: str) -> None:
        """Close; DOWN with this reason follows, unless the link is down already.

        A link that is active ends in this step: nothing of it is drained any more but its DOWN.
        """
    def guard(self, receiver: int | Atom) -> None:
        """Let messages to the process with this number or name say which link they came by."""
    def unguard(self, receiver: int | Atom) -> None:
        """Undo `guard`."""
    def drain(self) -> tuple[list[tuple[int, int, Any, Any, Any]], bool]:
        """Take what has happened: at most 256 packets, 1 MiB or 5 ms of it; the flag says that more waits.

        Events of one link come in the order of the wire, but for messages of 1 MiB and more: their large binaries are
        copied over several drains, and packets of other senders overtake them. Messages to one receiver that follow
        each other are one event. Such an event has the link 0, unless the receiver is an alias or is guarded, or an
        operation of the link comes before it, which may prove unsound.
        """
    def statistics(self) -> dict[str, int]:
        """Return counters and sizes, among them `lent_bytes` and `reflex_answers`."""
    def stop(self) -> None:
        """Abort every link, join the thread, close every descriptor. Idempotent; `drain` then yields ENDED last."""

@final
class Session:
    """One active link without a socket, for tests: the same packet reader and writer, but no reflexes."""

    def __new__(cls, limits: object, *, node: Atom, creation: int, peer: Atom, flags: int) -> Self: ...
    def receive_data(self, data: Buffer, /) -> list[tuple[int, int, Any, Any, Any]]:
        """Feed bytes; returns events as `drain` does, DOWN last when the bytes end the link."""
    def send(self, from_pid: Pid, to: Pid | Atom | Reference, message: Any, priority: bool = ..., /) -> bytes: ...
    def signal(self, order_key: int, control: tuple[Any, ...], payload: Any = ..., /) -> bytes: ...

def guard_fd(fd: int) -> None:
    """Close `fd` in every child that is forked from now on (plain close(2), nothing is sent)."""

def release_fd(fd: int) -> None:
    """Undo `guard_fd`, before the descriptor is closed here."""
