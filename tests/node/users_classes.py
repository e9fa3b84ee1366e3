"""Classes as users of asyncio write them: nothing in them is meant for the kernel.

Each is a server that answers a call by its ``answer()``, watches processes when asked to, and hands what it hears to
the process ``tester``. ``ANSWERS`` says what a class answers; `ordinary` registers it.
"""

from __future__ import annotations

import abc
import copy
import enum
import functools
import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import attrs

from pyzen import GenServer, atoms

Kind = TypeVar("Kind", bound=type[GenServer])
T = TypeVar("T")


class Case(NamedTuple):
    """What a class is expected to answer, and what is ordinary about it."""

    cls: type[GenServer]
    answer: Any
    what: str


CASES: dict[str, Case] = {}


def ordinary(what: str, answer: Any = 7) -> Any:
    def register(cls: Kind) -> Kind:
        CASES[cls.__name__] = Case(cls, answer, what)
        return cls

    return register


class Ordinary(GenServer):
    """What the scenario needs; no state, so that every kind of class can have it."""

    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (atoms.watch, pid):
                return self.monitor(pid)
            case (atoms.count, number):
                self.after(0.0, self.count, number)
                return atoms.ok
        return self.answer()

    def handle_info(self, message: Any) -> Any:
        self.send("tester", (atoms.saw, message))

    def count(self, number: Any) -> None:
        self.send("tester", (atoms.counted, number))

    def answer(self) -> Any:
        return 7


# ---- helpers and attributes whose names the kernel once had


@ordinary("a helper on_down")
class HelperOnDown(Ordinary):
    def on_down(self, *args: Any) -> None:
        """React to something of the program's own."""


@ordinary("a helper _tell")
class HelperTell(Ordinary):
    def _tell(self, text: str) -> None:
        """Tell somebody else."""


@ordinary("self._next = 1")
class AttributeNext(Ordinary):
    def init(self) -> None:
        self._next = 6

    def answer(self) -> Any:
        return self._next + 1


@ordinary("a helper work")
class HelperWork(Ordinary):
    def work(self) -> str:
        return "done"


@ordinary("self.ended = False")
class AttributeEnded(Ordinary):
    def init(self) -> None:
        self.ended = False

    def answer(self) -> Any:
        return self.ended


CASES["AttributeEnded"] = CASES["AttributeEnded"]._replace(answer=False)


@ordinary("a helper finish")
class HelperFinish(Ordinary):
    def finish(self) -> str:
        return "finished"


@ordinary("__init__ without super()")
class OwnInit(Ordinary):
    def __init__(self) -> None:
        self.number = 7

    def answer(self) -> Any:
        return self.number


@ordinary("self.parent")
class AttributeParent(Ordinary):
    def init(self) -> None:
        self.parent = 7

    def answer(self) -> Any:
        return self.parent


@ordinary("self.exit_reason, self.group_leader, self.registered_name")
class AttributesOfAnActor(Ordinary):
    def init(self) -> None:
        self.exit_reason = self.group_leader = self.registered_name = 7

    def answer(self) -> Any:
        return self.registered_name


@ordinary("self._task, self._timers, self._mail, self._requests")
class PrivateAttributes(Ordinary):
    def init(self) -> None:
        self._task = self._timers = self._mail = self._requests = None

    def answer(self) -> Any:
        return (self._task, self._requests)


CASES["PrivateAttributes"] = CASES["PrivateAttributes"]._replace(answer=(None, None))


@ordinary("helpers run, resume, attach, enqueue")
class HelperRun(Ordinary):
    def run(self) -> None:
        raise AssertionError("only the program calls it")

    def resume(self) -> None:
        raise AssertionError("only the program calls it")

    def attach(self) -> None:
        raise AssertionError("only the program calls it")

    def enqueue(self) -> None:
        raise AssertionError("only the program calls it")


@ordinary("helpers after, puts, stray, leader, erpc")
class HelperAfter(GenServer):
    def handle_call(self, request: Any, from_: Any) -> Any:
        match request:
            case (atoms.watch, pid):
                return self.monitor(pid)
            case (atoms.count, number):
                self.send("tester", (atoms.counted, number))
                return atoms.ok
        return self.leader

    def handle_info(self, message: Any) -> Any:
        self.send("tester", (atoms.saw, message))

    leader: Any = 7

    def after(self) -> None:  # type: ignore[override]
        raise AssertionError("only the program calls it")

    def puts(self) -> None:  # type: ignore[override]
        raise AssertionError("only the program calls it")

    def stray(self) -> None:
        raise AssertionError("only the program calls it")

    def erpc(self) -> None:  # type: ignore[override]
        raise AssertionError("only the program calls it")


@ordinary("helpers guarded, crashed, lose_link, relations")
class HelperGuarded(Ordinary):
    relations = 7

    def guarded(self) -> None:
        raise AssertionError("only the program calls it")

    def crashed(self) -> None:
        raise AssertionError("only the program calls it")

    def lose_link(self) -> None:
        raise AssertionError("only the program calls it")

    def answer(self) -> Any:
        return self.relations


@ordinary("attributes named loop, task, state, name, args, runtime")
class AttributesOfPrograms(Ordinary):
    def init(self) -> None:
        self.loop = self.task = self.state = self.name = self.args = self.runtime = 7

    def answer(self) -> Any:
        return self.runtime


@ordinary("an attribute with the name of a verb, on the instance", "https://example.org")
class InstanceLink(Ordinary):
    def init(self) -> None:
        self.link = "https://example.org"  # type: ignore[assignment,method-assign]

    def answer(self) -> Any:
        return self.link


# ---- forms of classes


@ordinary("__slots__")
class WithSlots(Ordinary):
    __slots__ = ("number",)

    def init(self) -> None:
        self.number = 7

    def answer(self) -> Any:
        return self.number


class SlottedMixin:
    __slots__ = ("number",)


@ordinary("a mixin with __slots__")
class WithSlottedMixin(SlottedMixin, Ordinary):
    def init(self) -> None:
        self.number = 7

    def answer(self) -> Any:
        return self.number


@ordinary("@dataclass")
@dataclass
class PlainData(Ordinary):
    number: int = 7
    seen: list[int] = field(default_factory=list)

    def answer(self) -> Any:
        return self.number


@ordinary("@dataclass(slots=True)")
@dataclass(slots=True)
class SlottedData(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self.number


@ordinary("@dataclass(frozen=True)")
@dataclass(frozen=True)
class FrozenData(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self.number


@ordinary("@dataclass(frozen=True, slots=True)")
@dataclass(frozen=True, slots=True)
class FrozenSlottedData(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self.number


@ordinary("@dataclass(eq=True, order=True)")
@dataclass(order=True)
class OrderedData(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self == OrderedData(7)


CASES["OrderedData"] = CASES["OrderedData"]._replace(answer=True)


@ordinary("__eq__ and no hash")
class Unhashable(Ordinary):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return type(other) is Unhashable


@ordinary("__eq__ and __hash__ that raise")
class Incomparable(Ordinary):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    def __hash__(self) -> int:
        raise RuntimeError("not to be hashed")


@ordinary("__bool__ is False")
class Falsy(Ordinary):
    def __bool__(self) -> bool:
        return False


@ordinary("__bool__ that raises, as an array's")
class NoTruth(Ordinary):
    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


@ordinary("__len__ is 0, __iter__, __getitem__, __contains__")
class EmptyContainer(Ordinary):
    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        return iter(())

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __contains__(self, key: Any) -> bool:
        return False


@ordinary("__setattr__ that refuses everything")
class Immutable(Ordinary):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} can't be set")


@ordinary("__setattr__ that keeps everything elsewhere")
class Redirecting(Ordinary):
    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("values", {})[name] = value

    def init(self) -> None:
        self.number = 7

    def answer(self) -> Any:
        return self.__dict__["values"]["number"]


@ordinary("__getattr__ that has everything")
class Obliging(Ordinary):
    def __getattr__(self, name: str) -> Any:
        return 7

    def answer(self) -> Any:
        return self.whatever


@ordinary("__getattr__ that raises something else")
class Unhelpful(Ordinary):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


@ordinary("__getattribute__ that counts")
class Counting(Ordinary):
    looks: ClassVar[list[str]] = []

    def __getattribute__(self, name: str) -> Any:
        type(self).looks.append(name)
        return super().__getattribute__(name)


@ordinary("__delattr__ that refuses")
class Undeletable(Ordinary):
    def __delattr__(self, name: str) -> None:
        raise AttributeError(name)


class QuietBase(Ordinary):
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep a register of its own, and forget ``super()``."""


@ordinary("__init_subclass__ without super()")
class OfQuietBase(QuietBase):
    pass


@ordinary("__init_subclass__ with keywords")
class Versioned(Ordinary):
    version: ClassVar[int]

    def __init_subclass__(cls, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.version = version


@ordinary("of a base with keywords")
class VersionSeven(Versioned, version=7):
    def answer(self) -> Any:
        return self.version


class Answering(Ordinary, abc.ABC):
    @abc.abstractmethod
    def answer(self) -> Any: ...


@ordinary("abc")
class Concrete(Answering):
    def answer(self) -> Any:
        return 7


class Box(Ordinary, Generic[T]):
    def __class_getitem__(cls, item: Any) -> Any:
        return super().__class_getitem__(item)  # type: ignore[misc]


@ordinary("Generic")
class IntBox(Box[int]):
    pass


@runtime_checkable
class Answers(Protocol):
    def answer(self) -> Any: ...


@ordinary("Protocol")
class Implementing(Ordinary, Answers):
    def answer(self) -> Any:
        return 7 if isinstance(self, Answers) else 0


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        instance.made_by = "Meta"
        return instance


@ordinary("a metaclass", "Meta")
class WithMeta(Ordinary, metaclass=Meta):
    made_by: str

    def answer(self) -> Any:
        return self.made_by


@ordinary("attrs.define")
@attrs.define
class AttrsDefined(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self.number


@ordinary("attrs.frozen")
@attrs.frozen
class AttrsFrozen(Ordinary):
    number: int = 7

    def answer(self) -> Any:
        return self.number


@attrs.define
class AttrsPart:
    number: int = 7


@ordinary("a mixin of attrs, with slots")
class WithAttrsPart(AttrsPart, Ordinary):
    def answer(self) -> Any:
        return self.number


@ordinary("a subclass of dict")
class Cache(Ordinary, dict):
    def init(self) -> None:
        self["number"] = 7

    def answer(self) -> Any:
        return self["number"]


@ordinary("a subclass of Exception")
class Raisable(Ordinary, Exception):
    pass


@ordinary("__new__ of its own")
class OwnNew(Ordinary):
    def __new__(cls) -> Any:
        instance = object.__new__(cls)
        instance.number = 7
        return instance

    number: int

    def answer(self) -> Any:
        return self.number


@ordinary("one instance only, by __new__")
class Single(Ordinary):
    _instance: ClassVar[Any] = None

    def __new__(cls) -> Any:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance


@ordinary("a __dict__ that all instances share")
class Borg(Ordinary):
    _shared: ClassVar[dict[str, Any]] = {"number": 7}

    def __init__(self) -> None:
        self.__dict__ = dict(self._shared)
        self.number: int

    def answer(self) -> Any:
        return self.number


@ordinary("__repr__ and __str__ that raise")
class Unprintable(Ordinary):
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")

    __str__ = __repr__


@ordinary("__call__, __enter__, __exit__, __aenter__, __aexit__")
class Contextual(Ordinary):
    def __call__(self) -> Any:
        raise AssertionError("only the program calls it")

    def __enter__(self) -> Any:
        raise AssertionError("only the program calls it")

    def __exit__(self, *_: Any) -> None:
        raise AssertionError("only the program calls it")

    async def __aenter__(self) -> Any:
        raise AssertionError("only the program calls it")

    async def __aexit__(self, *_: Any) -> None:
        raise AssertionError("only the program calls it")


@ordinary("__del__ that raises")
class Finalised(Ordinary):
    alive: ClassVar[int] = 0

    def __del__(self) -> None:
        type(self).alive -= 1


@ordinary("cached_property, property, staticmethod, classmethod")
class Descriptors(Ordinary):
    @functools.cached_property
    def number(self) -> int:
        return 3

    @property
    def other(self) -> int:
        return 2

    @staticmethod
    def one() -> int:
        return 1

    @classmethod
    def another(cls) -> int:
        return 1

    def answer(self) -> Any:
        return self.number + self.other + self.one() + self.another()


@ordinary("callbacks on the instance")
class InstanceCallbacks(Ordinary):
    def init(self) -> None:
        self.handle_call = self.other_call  # type: ignore[method-assign]

    def other_call(self, request: Any, from_: Any) -> Any:
        return super().handle_call(request, from_)


@ordinary("a classmethod and a staticmethod as callbacks")
class UnboundCallbacks(Ordinary):
    @staticmethod
    def handle_continue(argument: Any) -> Any:
        raise AssertionError("nothing continues")

    @classmethod
    def terminate(cls, reason: Any) -> Any:
        """Clean up what the class has."""


@ordinary("async callbacks")
class AsyncCallbacks(Ordinary):
    async def init(self) -> None:
        self.number = 7

    async def handle_call(self, request: Any, from_: Any) -> Any:
        return super().handle_call(request, from_)

    def answer(self) -> Any:
        return self.number


@ordinary("a lock, an enum and a copy of itself as attributes")
class WithLock(Ordinary):
    class Colour(enum.Enum):
        RED = 7

    def init(self) -> None:
        self.lock = threading.Lock()
        self.colour = self.Colour.RED
        self.values = copy.deepcopy({"number": 7})

    def answer(self) -> Any:
        with self.lock:
            return self.colour.value


@ordinary("a class inside of a function, with a closure")
class _Placeholder(Ordinary):
    pass


def _local() -> type[GenServer]:
    number = 7

    class Local(Ordinary):
        def answer(self) -> Any:
            return number

    return Local


CASES["Local"] = Case(_local(), 7, CASES.pop("_Placeholder").what)


class Counted:
    """A mixin behind the base, with a constructor of its own."""

    def __init__(self) -> None:
        self.number = 7


@ordinary("a mixin behind the base, with __init__")
class WithCounted(Ordinary, Counted):
    def answer(self) -> Any:
        return self.number


class Loud:
    """A mixin before the base, with names of the kernel."""

    def fetch(self) -> None:
        raise AssertionError("only the program calls it")

    def end(self) -> None:
        raise AssertionError("only the program calls it")

    def wake(self) -> None:
        raise AssertionError("only the program calls it")

    start_running = handle = end


@ordinary("a mixin before the base, with names of the kernel")
class WithMixin(Loud, Ordinary):
    pass
