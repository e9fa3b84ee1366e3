"""Styles of programming: bases, generics, mixins, context managers, callbacks of every kind."""

from __future__ import annotations

import abc
import copy
import enum
import functools
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import attrs

from tests.node.users_classes.ordinary import CASES, Case, Ordinary, ordinary

if TYPE_CHECKING:
    from pyzen import GenServer

T = TypeVar("T")


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
