from __future__ import annotations

import pyzen.errors
from pyzen.errors import CallTimeout, EncodeError, LimitExceeded, MissingFlags, PyzenError


def test_every_error_has_the_one_root() -> None:
    classes = [getattr(pyzen.errors, name) for name in pyzen.errors.__all__]

    assert all(issubclass(one, PyzenError) for one in classes)


def test_call_timeout_is_a_timeout_error() -> None:
    assert issubclass(CallTimeout, TimeoutError)


def test_limit_exceeded_tells_limit_value_and_maximum() -> None:
    error = LimitExceeded("max_depth", 11, 10, offset=5)

    assert str(error) == "max_depth exceeded: 11 is more than 10"
    assert (error.limit, error.value, error.maximum, error.offset) == ("max_depth", 11, 10, 5)


def test_encode_error_tells_the_path() -> None:
    assert str(EncodeError("no form", path="[2]")) == "no form (at [2])"


def test_missing_flags_are_named() -> None:
    assert "V4_NC" in str(MissingFlags(["V4_NC", "UNLINK_ID"]))
