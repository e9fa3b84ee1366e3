"""Counters and gauges, and their text for Prometheus.

Plain numbers: nothing here knows what is measured, keeps threads or serves HTTP. A metric is made once, under one
dotted name, which is OpenTelemetry's and statsd's; Prometheus gets it with underscores, a counter with ``_total``. Its
samples are told apart by labels. What is counted elsewhere already is read by a function when somebody asks.

Source: Prometheus, "Text-based format", version 0.0.4; OpenTelemetry, "Metrics API", "Instrument name
syntax", and "Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Counter", "Gauge", "Labels", "Metric", "Reader", "Registry"]

NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*")
LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

MAX_NAME: Final = 255
"""Characters of a name, as OpenTelemetry has it."""

SUFFIXES: Final = {"By": "_bytes"}
"""What Prometheus says in the name, by unit."""

Labels: TypeAlias = tuple[tuple[str, str], ...]

Reader: TypeAlias = "Callable[[], Mapping[Labels, float]]"
"""Answers all samples of a metric, by labels, when they are asked for."""


class Metric:
    """Samples under one name. Made by a `Registry`.

    Attributes:
        name: Dotted name.
        text: What it means, for people.
        unit: In UCUM's notation, as OpenTelemetry has it: ``By``, ``{process}``; empty for none.
    """

    kind: Literal["counter", "gauge"]

    def __init__(self, name: str, text: str, unit: str, read: Reader | None) -> None:
        self.name = name
        self.text = text
        self.unit = unit
        self._read = read
        self._samples: dict[Labels, float] = {}

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus' form."""
        return self.name.replace(".", "_") + SUFFIXES.get(self.unit, "")

    def value(self, **labels: str) -> float:
        """Return a sample; 0 where there is none."""
        return dict(self.samples()).get(_key(labels), 0)

    def samples(self) -> Iterator[tuple[Labels, float]]:
        """Yield labels and value of each sample; asks the function where one was given."""
        yield from (self._samples if self._read is None else self._read()).items()

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        name = self.prometheus_name
        yield f"# HELP {name} {_escape(self.text, quotes=False)}"
        yield f"# TYPE {name} {self.kind}"
        for labels, value in self.samples():
            yield f"{name}{_braces(labels)} {_number(value)}"


@final
class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus' form, which has a suffix."""
        return super().prometheus_name.removesuffix("_total") + "_total"

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

    def set(self, number: float, **labels: str) -> None:
        """Set a sample."""
        self._samples[_key(labels)] = number


MetricType = TypeVar("MetricType", bound=Metric)


@final
class Registry:
    """The metrics of one node."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def counter(self, name: str, text: str, *, unit: str = "", read: Reader | None = None) -> Counter:
        """Make a counter; one that is read elsewhere has to be a number that only grows there.

        Raises:
            ValueError: The name is taken, or none that is allowed.
        """
        return self._keep(Counter(name, text, unit, read))

    def gauge(self, name: str, text: str, *, unit: str = "", read: Reader | None = None) -> Gauge:
        """Make a gauge.

        Raises:
            ValueError: The name is taken, or none that is allowed.
        """
        return self._keep(Gauge(name, text, unit, read))

    def _keep(self, metric: MetricType) -> MetricType:
        if not NAME.fullmatch(metric.name) or len(metric.name) > MAX_NAME:
            raise ValueError(f"{metric.name!r} is no name of a metric")
        stem = metric.name.replace(".", "_").removesuffix("_total")
        if stem in self._metrics:
            raise ValueError(f"there is a metric {metric.name!r} already")
        self._metrics[stem] = metric
        return metric

    def metrics(self) -> list[Metric]:
        """Return all metrics, in the order they were made."""
        return list(self._metrics.values())

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
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)
