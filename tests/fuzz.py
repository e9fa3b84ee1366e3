"""Random and mutated inputs for all that a peer reaches: ``python -m tests.fuzz --seconds S [--seed N] [--target T]``.

Each target has its S seconds. First the inputs of its corpus are checked; at the end those that behaved in a new way
have been added to it.
"""

from __future__ import annotations

import argparse
import random
from typing import TYPE_CHECKING, Final

from tests import fuzz_etf, fuzz_link, fuzz_lobby, fuzz_node, fuzz_zen
from tests.fuzzing import Corpus, run_for

if TYPE_CHECKING:
    from tests.fuzzing import Target

TARGETS: Final[dict[str, Target]] = {
    **fuzz_etf.TARGETS,
    **fuzz_link.TARGETS,
    **fuzz_lobby.TARGETS,
    **fuzz_node.TARGETS,
    **fuzz_zen.TARGETS,
}


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--target", choices=TARGETS, action="append")
    arguments = parser.parse_args()
    for name in arguments.target or TARGETS:
        corpus = Corpus(name)
        corpus.replay(TARGETS[name])
        print(run_for(arguments.seconds, name, TARGETS[name], arguments.seed, corpus), flush=True)
        corpus.write()


if __name__ == "__main__":
    main()
