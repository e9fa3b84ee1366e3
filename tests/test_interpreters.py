"""Which interpreters of a process can load the package, and what becomes of the others, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap

import pytest

# One form for all versions: `run(interpreter, code)` runs code there, and an error of it is one here.
PREAMBLE = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def create(shared_lock):
        return interpreters.create("legacy" if shared_lock else "isolated")
    def run(interpreter, code):
        failed = interpreters.run_string(interpreter, code)
        assert failed is None, failed
else:
    import _xxsubinterpreters as interpreters
    def create(shared_lock):
        return interpreters.create(isolated=not shared_lock)
    run = interpreters.run_string

USE = "from pyzen import Atom, etf; assert etf.decode(etf.encode(Atom('made'))) == Atom('made')"
REFUSED = '''
try:
    from pyzen import Atom
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise AssertionError("it was loaded")
'''
"""

without_lock = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded build of Python"
)
has_pool = pytest.mark.skipif(sys.version_info < (3, 14), reason="needs concurrent.interpreters")


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process, which ends without a crash of any kind."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        env={**inherited, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    return done


def runs(code: str, **environment: str) -> str:
    """Run code that succeeds, and return what it tells on stderr."""
    done = python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("shared_lock", [True, False])
def test_subinterpreter_gets_an_import_error_while_the_main_one_goes_on(shared_lock: bool) -> None:
    runs(f"""
        exec(USE)
        for _ in range(10):
            other = create({shared_lock})
            run(other, REFUSED)
            run(other, REFUSED)
            exec(USE)
            interpreters.destroy(other)
        exec(USE)
    """)


@pytest.mark.parametrize("shared_lock", [True, False])
def test_subinterpreter_that_tries_first_takes_nothing_from_the_main_one(shared_lock: bool) -> None:
    runs(f"""
        other = create({shared_lock})
        run(other, REFUSED)
        exec(USE)
        run(other, REFUSED)
        interpreters.destroy(other)
        exec(USE)
    """)


@has_pool
def test_task_of_a_pool_of_interpreters_gets_an_import_error() -> None:
    runs("""
        from concurrent.futures import InterpreterPoolExecutor
        exec(USE)
        with InterpreterPoolExecutor(2) as pool:
            assert list(pool.map(exec, [REFUSED] * 8)) == [None] * 8
        exec(USE)
    """)


# ---- builds without the lock


@without_lock
def test_free_threaded_python_takes_its_lock_up_again_and_says_so() -> None:
    told = runs("assert not sys._is_gil_enabled(); exec(USE); assert sys._is_gil_enabled()")

    assert "RuntimeWarning: The global interpreter lock (GIL) has been enabled to load module 'pyzen._native'" in told


@without_lock
def test_free_threaded_python_that_must_not_take_its_lock_up_gets_an_import_error() -> None:
    done = python("exec(USE)", PYTHON_GIL="0")

    assert done.returncode == 1
    assert done.stderr.endswith("ImportError: pyzen needs the GIL: start Python without PYTHON_GIL=0 and -X gil=0\n")
