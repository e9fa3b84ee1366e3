"""Counters and gauges, and their text for Prometheus.

Plain numbers: nothing here knows what is measured, keeps threads or serves HTTP. A metric is made once, under one
name; its samples are told apart by labels. Gauges may be read from a function when the text is asked for.

Source: Prometheus, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Counter", "Gauge", "Registry"]

NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Labels = tuple[tuple[str, str], ...]


class Metric:
    """Samples under one name. Made by a `Registry`."""

    kind: Literal["counter", "gauge"]

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._samples: dict[Labels, float] = {}

    def value(self, **labels: str) -> float:
        """Return a sample; 0 where there is none."""
        return self._samples.get(_key(labels), 0)

    def samples(self) -> Iterator[tuple[Labels, float]]:
        """Yield labels and value of each sample, in the order they were first set."""
        yield from self._samples.items()

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield f"# HELP {self.name} {_escape(self.text, quotes=False)}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples():
            yield f"{self.name}{_braces(labels)} {_number(value)}"


@final
class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    def add(self, number: float = 1, **labels: str) -> None:
        """Add to a sample.

        Raises:
            ValueError: The number is negative.
        """
        if number < 0:
            raise ValueError(f"a counter can't shrink: {number!r}")
        key = _key(labels)
        self._samples[key] = self._samples.get(key, 0) + number


@final
class Gauge(Metric):
    """A number that goes up and down."""

    kind = "gauge"

    def __init__(self, name: str, text: str, read: Callable[[], Mapping[Labels, float]] | None = None) -> None:
        super().__init__(name, text)
        self._read = read

    def set(self, number: float, **labels: str) -> None:
        """Set a sample."""
        self._samples[_key(labels)] = number

    def samples(self) -> Iterator[tuple[Labels, float]]:
        """Yield each sample; asks the function where one was given."""
        if self._read is not None:
            self._samples = dict(self._read())
        yield from super().samples()


MetricType = TypeVar("MetricType", bound=Metric)


@final
class Registry:
    """The metrics of one node."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def counter(self, name: str, text: str) -> Counter:
        """Make a counter.

        Raises:
            ValueError: The name is taken, or none that Prometheus allows.
        """
        return self._keep(Counter(name, text))

    def gauge(self, name: str, text: str, read: Callable[[], Mapping[Labels, float]] | None = None) -> Gauge:
        """Make a gauge; ``read`` answers all its samples, by labels, when they are asked for.

        Raises:
            ValueError: The name is taken, or none that Prometheus allows.
        """
        return self._keep(Gauge(name, text, read))

    def _keep(self, metric: MetricType) -> MetricType:
        if not NAME.fullmatch(metric.name):
            raise ValueError(f"{metric.name!r} is no name of a metric")
        if metric.name in self._metrics:
            raise ValueError(f"there is a metric {metric.name!r} already")
        self._metrics[metric.name] = metric
        return metric

    def text(self) -> str:
        """Return all metrics in Prometheus' text format."""
        lines = (line for metric in self._metrics.values() for line in metric.lines())
        return "".join(f"{line}\n" for line in lines)


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _braces(labels: Labels) -> str:
    for name, _ in labels:
        if not LABEL.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a label")
    inner = ",".join(f'{name}="{_escape(value, quotes=True)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escape(text: str, *, quotes: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
