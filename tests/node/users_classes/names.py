"""Helpers and attributes whose names the kernel once had."""

from __future__ import annotations

from typing import Any

from pyzen import GenServer, atoms
from tests.node.users_classes.ordinary import CASES, Ordinary, ordinary


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
