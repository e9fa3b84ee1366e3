"""A process stops its own node: nothing waits for itself, and every server has its last word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyzen import ChildSpec, Continue, GenServer, Node, Process, Stop, Supervisor, atoms
from pyzen.errors import ProcessExit, RpcError
from tests.loops import LOOPS
from tests.node.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pyzen.actor.process import Mailbox
    from pyzen.terms import Pid

pytestmark = pytest.mark.usefixtures("quiet")

TIME = 3.0
"""Less than the five seconds that a node waits for a process that doesn't end."""


@pytest.fixture(params=LOOPS)
def place(request: pytest.FixtureRequest) -> Iterator[Stage]:
    for stage in staged(request.param):
        yield stage
    assert stage.complaints == []


def play(place: Stage, scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene in which a process stops the node, and see that it has stopped."""

    async def scene_in_time() -> None:
        async with asyncio.timeout(TIME):
            router = place.node.runtime
            await scene()
            await place.node.stop()
            assert router.processes() == []
            assert not router._tasks - ({router.asker.task} if router.asker else set())
            assert "not running" in repr(place.node)

    place.run(scene_in_time())


async def monitored(place: Stage, me: Mailbox, pid: Pid) -> Pid:
    """Monitor a process from the other node, and wait until that has arrived."""
    me.monitor(pid)
    assert await place.other.ping(place.node.name)
    return pid


# ---- how a coroutine of a process asks


async def plainly(node: Node) -> None:
    await node.stop()


async def in_a_task(node: Node) -> None:
    await asyncio.create_task(node.stop())


async def in_a_group(node: Node) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(node.stop())


async def in_a_gathering(node: Node) -> None:
    await asyncio.gather(node.stop(), asyncio.sleep(0))


async def in_time(node: Node) -> None:
    await asyncio.wait_for(node.stop(), 60)


async def in_a_shield(node: Node) -> None:
    await asyncio.shield(node.stop())


async def twice(node: Node) -> None:
    await node.stop()
    await node.stop()


async def with_a_mailbox(node: Node) -> None:
    async with node.mailbox():
        await node.stop()


WAYS = (plainly, in_a_task, in_a_group, in_a_gathering, in_time, in_a_shield, twice, with_a_mailbox)


async def stopping(process: Process, node: Node, way: Any, over: list[str]) -> None:
    """Stop the node when told to."""
    await process.receive()
    try:
        await way(node)
    finally:
        over.append("over")


async def stopping_at_last(process: Process, node: Node, over: list[str]) -> None:
    """Stop the node on the way out."""
    try:
        await process.receive()
    finally:
        await node.stop()
        over.append("over")


@pytest.mark.parametrize("way", WAYS)
def test_body(place: Stage, way: Any) -> None:
    over: list[str] = []

    async def scene() -> None:
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, place.node.spawn(stopping, place.node, way, over))
            place.node.send(pid, atoms.go)
            down = await me.receive(timeout=TIME)
            assert down[3] == pid
            assert down[4] in {atoms.normal, atoms.shutdown}, down

    play(place, scene)
    assert over == ["over"]


def test_body_goes_on_after_the_stop(place: Stage) -> None:
    """Its process has ended, and nobody cancels it."""
    steps: list[Any] = []
    done = asyncio.Event()

    async def body(process: Process) -> None:
        await place.node.stop()
        await asyncio.sleep(0.01)
        with pytest.raises(ProcessExit):
            process.send(process.pid, 1)
        steps.append("after")
        done.set()

    async def scene() -> None:
        place.node.spawn(body)
        await done.wait()

    play(place, scene)
    assert steps == ["after"]


def test_body_that_goes_on_waiting_is_ended(place: Stage) -> None:
    async def body(process: Process) -> None:
        await process.receive()
        asking = asyncio.create_task(place.node.stop())
        try:
            await process.receive()
        finally:
            await asking

    async def scene() -> None:
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, place.node.spawn(body))
            place.node.send(pid, atoms.go)
            assert (await me.receive(timeout=TIME))[3:] == (pid, atoms.shutdown)

    play(place, scene)


# ---- servers


class Asking(GenServer):
    """Stops its node where it is told to, and says when it cleans up."""

    def init(self, place: Stage, where: str, way: Any, told: list[Any]) -> Any:
        self.place, self.where, self.way, self.told = place, where, way, told
        return self.ask("init")

    async def ask(self, where: str) -> Any:
        if where == self.where:
            await self.way(self.place.node)
            self.told.append(where)

    async def handle_call(self, request: Any, from_: Any) -> Any:
        await self.ask("handle_call")
        return atoms.bye

    async def handle_cast(self, request: Any) -> Any:
        await self.ask("handle_cast")
        if self.where == "terminate":
            raise Stop(atoms.asked)
        if self.where == "timer":
            self.after(0.0, self.ask, "timer")
        return Continue(1)

    async def handle_info(self, message: Any) -> Any:
        await self.ask("handle_info")

    async def handle_continue(self, argument: Any) -> Any:
        await self.ask("handle_continue")

    async def terminate(self, reason: Any) -> None:
        await self.ask("terminate")
        self.told.append((atoms.terminate, reason))


WHERE = ("handle_cast", "handle_info", "handle_continue", "timer", "terminate")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", WHERE)
def test_callback(place: Stage, where: str, way: Any) -> None:
    told: list[Any] = []
    reason = atoms.asked if where == "terminate" else atoms.shutdown

    async def scene() -> None:
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, await Asking.start(place.node, place, where, way, told))
            if where == "handle_info":
                place.node.send(pid, 1)
            else:
                place.node.cast(pid, 1)
            assert (await me.receive(timeout=TIME))[3:] == (pid, reason)

    play(place, scene)
    assert told == [where, (atoms.terminate, reason)]


@pytest.mark.parametrize("way", WAYS)
def test_init(place: Stage, way: Any) -> None:
    told: list[Any] = []

    async def scene() -> None:
        await Asking.start(place.node, place, "init", way, told)

    play(place, scene)
    assert told == ["init", (atoms.terminate, atoms.shutdown)]


@pytest.mark.parametrize("way", WAYS)
def test_caller_has_the_reply(place: Stage, way: Any) -> None:
    told: list[Any] = []

    async def scene() -> None:
        pid = await Asking.start(place.node, place, "handle_call", way, told)
        assert await place.other.call(pid, atoms.stop) is atoms.bye

    play(place, scene)
    assert told == ["handle_call", (atoms.terminate, atoms.shutdown)]


def test_task_of_a_plain_callback(place: Stage) -> None:
    told: list[Any] = []
    tasks: list[asyncio.Future[None]] = []

    class Plain(GenServer):
        def handle_cast(self, request: Any) -> None:
            tasks.append(asyncio.ensure_future(place.node.stop()))

        def terminate(self, reason: Any) -> None:
            told.append(reason)

    async def scene() -> None:
        place.node.cast(await Plain.start(place.node), 1)
        await until_there(tasks)
        await tasks[0]

    play(place, scene)
    assert told == [atoms.shutdown]


async def until_there(found: list[Any]) -> None:
    while not found:
        await asyncio.sleep(0)


def test_reply_of_the_last_callback_leaves_before_the_end(place: Stage) -> None:
    """The stop waits for all that is sent, as for every process."""
    told: list[Any] = []

    class Speaking(GenServer):
        async def handle_cast(self, to: Any) -> None:
            await place.node.stop()
            self.send(to, atoms.stopping)

        def terminate(self, reason: Any) -> None:
            told.append(reason)

    async def scene() -> None:
        async with place.other.mailbox() as me:
            place.node.cast(await Speaking.start(place.node), me.pid)
            assert await me.receive(timeout=TIME) is atoms.stopping

    play(place, scene)
    assert told == [atoms.shutdown]


# ---- under supervisors


async def supervising(place: Stage, specs: list[ChildSpec]) -> Pid:
    """Start a supervisor; returns the pid of what is named ``asking`` below it."""
    place.node.spawn(Supervisor, specs)
    while (pid := place.node.whereis("asking")) is None:
        await asyncio.sleep(0)
    return pid


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_supervised_server(place: Stage, way: Any, depth: int) -> None:
    told: list[Any] = []

    async def scene() -> None:
        spec = ChildSpec("asking", Asking, args=(place, "handle_cast", way, told), name="asking")
        for level in range(depth - 1):
            spec = ChildSpec(f"level {level}", Supervisor, args=([spec],))
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, await supervising(place, [spec]))
            place.node.cast("asking", 1)
            assert (await me.receive(timeout=TIME))[3:] == (pid, atoms.shutdown)

    play(place, scene)
    assert told == ["handle_cast", (atoms.terminate, atoms.shutdown)]


@pytest.mark.parametrize("way", WAYS)
def test_supervised_body(place: Stage, way: Any) -> None:
    over: list[str] = []

    async def scene() -> None:
        spec = ChildSpec("asking", stopping, args=(place.node, way, over), name="asking")
        await supervising(place, [spec])
        place.node.send("asking", atoms.go)
        await until_there(over)

    play(place, scene)
    assert over == ["over"]


# ---- exported functions


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("api", ["erpc", "rex"])
def test_exported_function_answers_its_caller(place: Stage, api: str, way: Any) -> None:
    async def stop() -> Any:
        await way(place.node)
        return atoms.stopping

    async def scene() -> None:
        place.node.export("app", "stop", stop)
        if api == "rex":
            request: Any = (atoms.block_call, atoms.app, atoms.stop, [], None)
            answer = await place.other.call((atoms.rex, place.node.name), request)
            assert answer in {atoms.stopping, (atoms.badrpc, (atoms.EXIT, atoms.shutdown))}
            return
        try:
            answer = await place.other.rpc(place.node.name, "app", "stop", timeout=TIME)
        except RpcError as error:  # what has tasks of its own may end a step too late
            answer = error.reason
        late = [] if way in {plainly, twice} else [(atoms.signal, atoms.shutdown)]
        assert answer in [atoms.stopping, *late]

    play(place, scene)


def test_function_that_blocks_asks_the_loop(place: Stage) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        place.node.export(
            "app", "stop", lambda: asyncio.run_coroutine_threadsafe(place.node.stop(), loop).result(TIME), blocking=True
        )
        with pytest.raises(RpcError):
            await place.other.rpc(place.node.name, "app", "stop")

    play(place, scene)


# ---- mailboxes, and what is ending already


def test_program_with_an_open_mailbox_waits_for_the_whole_stop(place: Stage) -> None:
    async def scene() -> None:
        async with place.node.mailbox():
            await place.node.stop()
            assert "not running" in repr(place.node)

    play(place, scene)


def test_body_that_stops_the_node_when_it_is_killed(place: Stage) -> None:
    over: list[str] = []

    async def scene() -> None:
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, place.node.spawn(stopping_at_last, place.node, over))
            me.send_exit(pid, atoms.kill)
            assert (await me.receive(timeout=TIME))[3:] == (pid, atoms.killed)
        await until_there(over)

    play(place, scene)


def test_body_that_stops_the_node_when_it_is_stopped(place: Stage) -> None:
    over: list[str] = []

    async def scene() -> None:
        place.node.spawn(stopping_at_last, place.node, over)
        await asyncio.sleep(0)

    play(place, scene)
    assert over == ["over"]


def test_process_that_has_asked_and_is_killed_leaves_the_stop_to_itself(place: Stage) -> None:
    told: list[Any] = []
    asking: list[Pid] = []

    class Killing(GenServer):
        def terminate(self, reason: Any) -> None:
            self.send_exit(asking[0], atoms.kill)
            told.append(reason)

    async def scene() -> None:
        await Killing.start(place.node)
        async with place.other.mailbox() as me:
            pid = await monitored(place, me, place.node.spawn(stopping, place.node, plainly, []))
            asking.append(pid)
            place.node.send(pid, atoms.go)
            assert (await me.receive(timeout=TIME))[3:] == (pid, atoms.killed)

    play(place, scene)
    assert told == [atoms.shutdown]
