"""Forms of classes: slots, dataclasses, special methods that do something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.node.users_classes.ordinary import CASES, Ordinary, ordinary


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
