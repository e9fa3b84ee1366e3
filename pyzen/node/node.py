"""The node: a Python process as a member of an Erlang cluster.

What a user of asyncio and a user of Elixir meet first. A `Node` belongs to the thread of its event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import secrets
import weakref
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast, final

from pyzen.actor.actor import running
from pyzen.actor.asker import Asker
from pyzen.actor.home import Home
from pyzen.actor.process import Mailbox
from pyzen.actor.reasons import SHUTDOWN, as_atom
from pyzen.actor.scheduler import Scheduler
from pyzen.actor.verbs import actor_of
from pyzen.config import EpmdConfig, Limits, ZenConfig
from pyzen.dist.names import check_node_name
from pyzen.errors import ConfigError, EpmdError, HandshakeError, NodeDown, ProcessExit
from pyzen.logs import get_logger
from pyzen.metrics import Registry
from pyzen.node.addresses import listening_host, resolve_host
from pyzen.node.connections import Connections
from pyzen.node.cookies import Cookies
from pyzen.node.epmd import Registration, ensure_epmd, lookup
from pyzen.node.epmd_server import EpmdServer
from pyzen.node.join import Mesh
from pyzen.node.link import LinkDriver, guard_fd, release_fd, tls_context
from pyzen.node.metrics import register_metrics
from pyzen.node.router import Router
from pyzen.node.services.builtins import Builtins
from pyzen.node.services.caller import Caller
from pyzen.node.services.exports import Exports
from pyzen.node.services.kernel import start_kernel
from pyzen.node.services.output import Output
from pyzen.node.services.remote_call import RemoteCall
from pyzen.node.services.zen_exports import ZenExports
from pyzen.node.shutdown import end_program
from pyzen.node.zen import Zen
from pyzen.tasks import start_task
from pyzen.terms import Atom, Pid, atoms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from types import TracebackType

    from pyzen.actor.actor import Actor
    from pyzen.actor.runtime import Dest
    from pyzen.actor.verbs import Verbs
    from pyzen.node.tls import TLSConfig
    from pyzen.terms import Reference

__all__ = ["Node"]

log = get_logger("pyzen.node")

P = ParamSpec("P")
R = TypeVar("R")

STOP_TIMEOUT = 5.0
"""Seconds that bodies of processes have to end when the node stops."""

RESERVED = frozenset({atoms.global_name_server, atoms.net_kernel})
"""Names whose behaviour at the peers depends on the answers of this node, blocked interpreter or not."""

DEFAULT = object()


def at_home(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method raise ``RuntimeError`` while the node is not running, and in another thread or event loop."""

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        node = cast("Node", args[0])
        node._check_home()
        return method(*args, **kwargs)

    return checked


@final
class Node:
    """A visible node of an Erlang cluster, for ``async with``.

    Args:
        name: ``alive@host``; a host with a dot means long names.
        cookie: The cookie; None reads ``~/.erlang.cookie`` as ``erl`` does.
        hidden: Connect without being listed by ``nodes()`` of the peers. ZenMonitor takes hidden nodes for dead.
        listen: ``(host, port)``; None means loopback for a loopback host, else all interfaces, at a free port.
        epmd: Where epmd is; ``"embedded"`` runs one in this process, for tests.
        tls: How links are encrypted, as by ``erl -proto_dist inet_tls``; None for plain ones.
        ticktime: Seconds, as ``net_ticktime`` of OTP; should be the same in the whole cluster.
        zen: Settings of ZenMonitor, copied; None runs without it.
        allow: Node or host names that may connect; None lets every node with the cookie in.
        exports: Python modules whose functions peers may call by their names: those that the module defines, and those
            that its ``__all__`` names; ``"all"`` lets peers import any module. Without it they reach what `export` has
            made reachable, and nothing else.
        limits: Bounds on what peers can grow.

    Raises:
        ConfigError: A setting can't be used.
    """

    def __init__(
        self,
        name: str,
        *,
        cookie: str | None = None,
        hidden: bool = False,
        listen: tuple[str, int] | None = None,
        epmd: EpmdConfig | Literal["embedded"] | None = None,
        tls: TLSConfig | None = None,
        ticktime: float = 60.0,
        zen: ZenConfig | None = cast("ZenConfig", DEFAULT),  # noqa: B008  # told apart from None by identity
        allow: Iterable[str] | None = None,
        exports: Literal["all"] | Iterable[str] = (),
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._alive, self._host = check_node_name(name)
        if tls is not None and tls.certfile is None:
            raise ConfigError("TLS needs a certfile: without it nobody can connect to this node")
        if not ticktime > 0:
            raise ConfigError(f"ticktime must be a positive number of seconds, not {ticktime!r}")
        self.name = Atom(name)
        self.limits = limits
        self._exports = Exports(exports, limits)
        self._cookies = Cookies(cookie)
        self._hidden = hidden
        self._listen = listen
        self._tls = tls
        self._epmd = epmd if epmd is not None else EpmdConfig()
        self._ticktime = ticktime
        self._zen_config = ZenConfig.from_environment() if zen is DEFAULT else zen.copy() if zen is not None else None
        self._allow = None if allow is None else frozenset(allow)
        self._home: Home | None = None
        self._epmd_server: EpmdServer | None = None
        self._registration: Registration | None = None
        self._zen: Zen | None = None
        self._mesh: Mesh | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self.address: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"<Node {self.name} {'running' if self._home is not None else 'not running'}>"

    # ---- life

    async def start(self) -> Self:
        """Start: epmd where none answers, the listener, system processes, ZenMonitor.

        Raises:
            NameTaken: A node of this name is registered with epmd.
            EpmdError: epmd can't be reached or refuses.
            ConfigError: The address can't be listened on, a file for TLS can't be used, or the event loop has no
                ``add_reader``.
            RuntimeError: The node is running already.
        """
        if self._home is not None:
            raise RuntimeError(f"{self.name} is running already")
        tls = None if self._tls is None else tls_context(self._tls)
        self._home = Home()
        self._loop = asyncio.get_running_loop()
        self._driver = LinkDriver(self.limits, self._ticktime, self._loop, tls)
        self._at_exit = functools.partial(_abort, weakref.ref(self))
        try:
            await self._start()
        except BaseException:
            await self._shut_down()
            raise
        atexit.register(self._at_exit)
        log.info("%s listens on %s:%d", self.name, *self.address or ("", 0))
        return self

    async def _start(self) -> None:
        self.address = await self._listen_somewhere()
        creation = await self._register(self.address[1])
        self._start_processes(creation)
        if self._zen_config is not None:
            self._zen = Zen(self._router, self._zen_config)
            self._zen.start()
            self._zen.system.register_metrics(self._metrics)
            ZenExports(self._zen.system, self._router).export_to(self._exports)
        try:
            self._driver.start(self._router, self._connections)
        except NotImplementedError as error:
            raise ConfigError("the event loop has no add_reader: use the selector event loop") from error

    async def _listen_somewhere(self) -> tuple[str, int]:
        host, port = self._listen or (await listening_host(str(self.name), self._host), 0)
        try:
            return self._driver.thread.listen(await resolve_host(host), port)
        except OSError as error:
            raise ConfigError(f"can't listen on {host}:{port}: {error.strerror or error}") from error

    async def _register(self, port: int) -> int:
        """Register with epmd; returns the creation."""
        if self._epmd == "embedded":
            self._epmd_server = EpmdServer()
            await self._epmd_server.start(port=0)
            self._epmd = EpmdConfig(port=self._epmd_server.port, start=False)
        await ensure_epmd(self._epmd)
        self._registration = Registration(
            self._alive, port, self._epmd, hidden=self._hidden, guard=guard_fd, release=release_fd
        )
        creation = await self._registration.start()
        return creation if creation > 3 else secrets.randbits(31) + 4

    def _start_processes(self, creation: int) -> None:
        # Turns and timers belong to no process, whoever has asked for them: a cancelled timer would keep it in memory.
        nobody = copy_context()
        nobody.run(running.set, None)
        self._scheduler = Scheduler(functools.partial(self._loop.call_soon, context=nobody))
        self._connections = Connections(
            self.name,
            self._driver,
            self.limits,
            hidden=self._hidden,
            cookie=self._cookies,
            allow=self._allow,
            resolve=self._resolve,
            tls=self._tls,
        )
        self._router = Router(
            self.name,
            creation,
            self._scheduler,
            self._connections,
            now=self._loop.time,
            call_later=functools.partial(self._loop.call_later, context=nobody),
        )
        exports = self._exports
        self._router.births.maker = lambda *mfa: RemoteCall(exports, *mfa)
        self._router.births.max_processes = self.limits.max_processes
        self._router.max_relations = self.limits.max_relations
        Builtins(self._router, lambda hidden: self.nodes(hidden=hidden)).export_to(exports)
        self._output = Output()
        start_kernel(self._router, exports, self._make_caller, self._output)
        self._router.refused = RESERVED
        self._connections.start(self._router, self._caller.pid)
        self._metrics = Registry()
        register_metrics(self._metrics, self._router, self._connections)

    def _make_caller(self) -> Caller:
        self._caller = Caller()
        return self._caller

    async def _resolve(self, alive: str, host: str) -> tuple[str, int] | None:
        address = await resolve_host(host)
        found = await lookup(alive, address, cast("EpmdConfig", self._epmd))
        return None if found is None else (address, found.port)

    async def stop(self) -> None:
        """Stop in order, and leave nothing behind: no thread, task, socket or file descriptor.

        The processes of the program end first, with ``shutdown``, the last started first, and can still send: a
        supervisor stops its children, each within its ``shutdown`` time; servers run ``terminate``, and ``async def``
        bodies are cancelled; those that no supervisor keeps have 5 s. Then ZenMonitor ends, then the links.

        Idempotent: who calls it while it runs waits for the same end, but a process that is being ended does not.
        Cancelling it ends everything at once.

        A process may stop its own node, from a body, a callback, an exported function, or a task that one of these has
        started. It ends after all others of the program, or in its supervisor's turn; only then does the call return
        to it, and ZenMonitor and the links end after it. So what it says then, such as the reply to a call, still
        leaves; a server comes to the end of its callback and runs ``terminate``; of a body the process ends when it
        next waits, and its task goes on by itself. Code in a `mailbox` waits for the whole stop.

        Raises:
            RuntimeError: This is another thread or event loop than the node's.
        """
        if self._home is None:
            return
        self._check_home()
        asking = self._asking()
        if self._stopping is not None:
            if asking is None:
                await asyncio.shield(self._stopping)
            return
        self._stopping = asyncio.get_running_loop().create_future()
        if asking is None:
            await self._shut_down()
        else:
            self._router.asker = Asker(asking)
            # Not by the task that asks, which may end before everything else has. The event loop would not keep it.
            self._stop_task = start_task(self._shut_down())
            await self._router.asker.told()

    def _asking(self) -> Actor | None:
        """Return the process of this node whose code this is: none for a mailbox, which has no code of its own."""
        actor = running.get()
        while actor is not None and isinstance(actor.instance, Mailbox):
            actor = actor.instance._pyzen_opener
        is_ours = actor is not None and actor.is_started and actor.runtime is getattr(self, "_router", None)
        return actor if is_ours else None

    async def _shut_down(self) -> None:
        atexit.unregister(self._at_exit)
        try:
            if self._mesh is not None:
                await self._mesh.stop()
                self._mesh = None
            await self._close_registration()
            if hasattr(self, "_router") and not self._router.is_closed:
                await self._end_processes()
        finally:
            await self._end_at_once()

    async def _end_at_once(self) -> None:
        """End what is left, also where stopping in order was cut short."""
        if hasattr(self, "_router"):
            self._router.end_all(SHUTDOWN)
            self._connections.abort()
            if self._router.asker is not None:
                self._router.asker.tell(SHUTDOWN)
        self._driver.stop()
        self._exports.stop()
        self._home = None
        self._zen = None
        if self._stopping is not None:
            self._stopping.set_result(None)
            self._stopping = None
        server, self._epmd_server = self._epmd_server, None
        if server is not None:
            self._epmd = "embedded"
            await server.stop()
        if hasattr(self, "_output"):
            await self._output.stop()

    async def _end_processes(self) -> None:
        """End what the program has started, then ZenMonitor, then what serves the peers."""
        await end_program(self._router, STOP_TIMEOUT)
        if self._zen is not None:
            self._zen.stop()
        await self._connections.stop()
        self._router.end_all(SHUTDOWN)
        await self._router.join(STOP_TIMEOUT)
        await self._driver.flush(STOP_TIMEOUT)

    async def _close_registration(self) -> None:
        registration, self._registration = self._registration, None
        if registration is not None:
            await registration.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    def _check_home(self) -> None:
        if self._home is None:
            raise RuntimeError(f"{self.name} is not running: use `async with`, or await start()")
        self._home.check(self.name)

    @property
    def runtime(self) -> Router:
        """The runtime of this node's processes."""
        self._check_home()
        return self._router

    @property
    def metrics(self) -> Registry:
        """What an operator can watch: ``metrics.text()`` is for Prometheus. A node that starts anew has new ones."""
        self._check_home()
        return self._metrics

    @property
    def zen(self) -> Zen:
        """ZenMonitor. Raises ``RuntimeError`` on a node that runs without it."""
        self._check_home()
        if self._zen is None:
            raise RuntimeError(f"{self.name} runs without ZenMonitor (zen=None)")
        return self._zen

    # ---- other nodes

    @at_home
    def set_cookie(self, peer: Atom | str, cookie: str) -> None:
        """Use another cookie with one peer. Raises ``ConfigError``."""
        self._cookies.set(str(peer), cookie)

    async def connect(self, peer: Atom | str, timeout: float = 7.0) -> bool:
        """Connect to a node: true when connected, false when it can't be reached in time.

        Cancelling it leaves the attempt under way.

        Raises:
            HandshakeError: The peer, or this node, refused; the message says why.
            ConfigError: ``peer`` is no node name.
        """
        self._check_home()
        node = as_atom(peer)
        if node is self.name or self._connections.up(node) is not None:
            return True
        dial = self._connections.start_dial(node)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(dial.done)
        except TimeoutError:
            return False

    async def join(self, peer: Atom | str) -> list[Atom]:
        """Connect to a node and to every visible node it knows, and go on doing so.

        Asks at least every 5 s; nodes that can't be reached are tried again with back-off.

        Returns:
            The visible nodes connected.

        Raises:
            HandshakeError: The peer refused.
            NodeDown: The peer can't be reached.
        """
        if not await self.connect(peer):
            raise NodeDown(atoms.noconnection, f"{peer} can't be reached")
        if self._mesh is None:
            self._mesh = Mesh(self)
        await self._mesh.add(as_atom(peer))
        return self.nodes()

    async def ping(self, peer: Atom | str, timeout: float = 7.0) -> bool:
        """Say whether a node can be reached and answers, as ``Node.ping`` does."""
        self._check_home()
        node = as_atom(peer)
        if node is self.name:
            return True
        try:
            async with asyncio.timeout(timeout):
                if not await self.connect(node, timeout):
                    return False
                request = (atoms.is_auth, self.name)
                return await self._caller.call((atoms.net_kernel, node), request, None) is atoms.yes
        except (HandshakeError, EpmdError, ProcessExit, TimeoutError):
            return False

    @at_home
    def disconnect(self, peer: Atom | str) -> bool:
        """Close the link to a node; false when there is none."""
        return self._connections.disconnect(as_atom(peer))

    @at_home
    def nodes(self, hidden: bool = False) -> list[Atom]:
        """Return the connected nodes that are visible; with ``hidden``, the hidden ones instead."""
        return [node for node, link in self._connections.links.items() if link.visible is not hidden]

    @at_home
    def monitor_node(self, peer: Atom | str, subscriber: Pid) -> None:
        """Send ``(nodeup, peer)`` and ``(nodedown, peer)`` to ``subscriber`` from now on."""
        self._router.monitor_node(as_atom(peer), subscriber)

    @at_home
    def demonitor_node(self, peer: Atom | str, subscriber: Pid) -> None:
        """Undo one ``monitor_node``."""
        self._router.demonitor_node(as_atom(peer), subscriber)

    # ---- processes

    @at_home
    def spawn(
        self,
        target: type[Verbs] | Callable[..., Awaitable[Any]],
        *args: Any,
        name: Atom | str | None = None,
        link: Pid | None = None,
    ) -> Pid:
        """Start a process.

        Args:
            target: ``async def body(process, *args)``, or a `Process` or `GenServer` class.
            *args: Given to the body, or to ``main`` or ``init`` of the class, whose ``__init__`` gets nothing.
            name: Registered on return; ``init`` runs in the next turn.
            link: A process to be linked with from the first moment.

        Raises:
            NameTaken: The name is registered or reserved.
            TypeError: The target is none of these, or its class can't be made without arguments.
        """
        return self._router.spawn(target, *args, name=name, link=link)

    @at_home
    def spawn_monitor(
        self,
        target: type[Verbs] | Callable[..., Awaitable[Any]],
        *args: Any,
        subscriber: Pid,
        name: Atom | str | None = None,
    ) -> tuple[Pid, Reference]:
        """Start a process that ``subscriber``, a process of this node, monitors from its first moment.

        Raises:
            NameTaken: The name is registered or reserved.
            ValueError: ``subscriber`` is no live process of this node.
        """
        watcher = self._router.actor(subscriber)
        if watcher is None:
            raise ValueError(f"subscriber {subscriber!r} is no live process of {self.name}")
        pid = self._router.spawn(target, *args, name=name)
        return pid, watcher.monitor(pid)

    def mailbox(self, name: Atom | str | None = None) -> Mailbox:
        """Return a process for ``async with`` that is driven by the caller's own task."""
        self._check_home()
        return Mailbox(lambda mailbox: self._open_mailbox(mailbox, name))

    def _open_mailbox(self, mailbox: Mailbox, name: Atom | str | None) -> None:
        self._check_home()
        self._router.spawn(mailbox, name=name)

    def _sender(self) -> Actor:
        return self._router.actor(self._router.running() or self._caller.pid) or actor_of(self._caller)

    @at_home
    def send(self, dest: Dest, message: Any, *, priority: bool = False) -> None:
        """Send a message; never blocks, dials when needed, drops silently where Erlang does.

        With ``priority`` a priority alias of OTP 28 or newer is served first; any other receiver takes it in order.

        Raises:
            NoProcess: A local name that is not registered.
            EncodeError: The message has no Erlang form.
            LinkOverloaded: Too much waits for that node already.
        """
        self._sender().send(dest, message, priority=priority)

    async def call(self, dest: Dest, request: Any, timeout: float | None = 5.0) -> Any:
        """Call a GenServer, alias and monitor included.

        Raises:
            NoProcess: There is no such process.
            NodeDown: Its node can't be reached, or was lost.
            CallTimeout: No reply in time; a late one is dropped.
            ProcessExit: It ended before it replied.
        """
        self._check_home()
        return await self._caller.call(dest, request, timeout)

    @at_home
    def cast(self, dest: Dest, request: Any) -> None:
        """Send ``request`` to a GenServer, without an answer."""
        self.send(dest, (atoms["$gen_cast"], request))

    async def rpc(
        self,
        peer: Atom | str,
        module: Atom | str,
        function: Atom | str,
        args: Sequence[Any] = (),
        timeout: float | None = 5.0,
    ) -> Any:
        """Call a function on another node and return its result.

        Raises:
            RpcError: The function raised, exited or threw; or the node takes no calls.
            NodeDown: The node can't be reached, or was lost.
            CallTimeout: No result in time; the function goes on there.
        """
        self._check_home()
        return await self._caller.erpc(peer, module, function, args, timeout)

    def export(
        self, module: Atom | str, function: Atom | str, callable_: Callable[..., Any], *, blocking: bool = False
    ) -> None:
        """Make a function reachable from other nodes, under a module and a name that need not be Python's.

        Peers call it with ``:rpc.call(node, module, function, args)`` or start it with ``Node.spawn``; they get
        ``undef`` for any other, and for a number of arguments it does not take. What it returns has to have an Erlang
        form. An exception becomes an Elixir ``RuntimeError`` with the stack; ``RpcError`` chooses class and reason.

        Args:
            module: An atom, such as ``reports`` or ``Elixir.Reports``.
            function: An atom.
            callable_: Plain or ``async def``. It runs as a process of its own: see `current_process`.
            blocking: Run it in a thread, so that the event loop goes on meanwhile; it then has no process.

        Raises:
            TypeError: It can't be called.
        """
        self._exports.add(module, function, callable_, blocking=blocking)

    @at_home
    def register(self, name: Atom | str, pid: Pid) -> None:
        """Register a live process of this node under a name. Raises ``NameTaken``, ``NoProcess``."""
        self._router.register(name, pid)

    @at_home
    def unregister(self, name: Atom | str) -> None:
        """Free a name. Raises ``NoProcess`` when it is not registered."""
        self._router.unregister(name)

    @at_home
    def whereis(self, name: Atom | str) -> Pid | None:
        """Return the pid registered under a name."""
        return self._router.whereis(name)

    @at_home
    def registered(self) -> list[Atom]:
        """Return all registered names."""
        return list(self._router.names)

    @at_home
    def make_ref(self) -> Reference:
        """Return a reference never used before."""
        return self._router.make_ref()


def _abort(reference: weakref.ref[Node]) -> None:
    """End the I/O thread of a node that nobody stopped."""
    node = reference()
    if node is not None:
        node._driver.thread.stop()
