"""The codecs of Python that are measured: ours, and others on the same data where they are installed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from pyzen import etf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Codec:
    """Terms to bytes and back.

    Attributes:
        version: Of the package.
        decode: Bytes to the codec's own kind of terms.
        encode: Those terms to bytes.
    """

    version: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def timed(work: Callable[[Any], object], argument: Any, count: int) -> int:
    """Return the nanoseconds that it takes to do ``work`` so often."""
    before = time.perf_counter_ns()
    for _ in range(count):
        work(argument)
    return time.perf_counter_ns() - before


def pyzen() -> Codec:
    """Return the codec of this project."""
    return Codec(version("pyzen-node"), etf.decode, etf.encode)


def erlang_py() -> Codec:
    """Return erlang_py's codec, pure Python.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    module = import_module("erlang")
    return Codec(version("erlang_py"), module.binary_to_term, module.term_to_binary)


CODECS: Final[Mapping[str, Callable[[], Codec]]] = {"pyzen": pyzen, "erlang_py": erlang_py}
