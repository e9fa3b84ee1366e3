"""Conformance: what a node of any supported release expects of us, and we of it. A case is one function.

To add a case, write one function in the file of its theme (a new file needs only a docstring, whose first line is the
heading in the table)::

    async def test_reply_to_a_dead_caller_is_dropped(ours: Node, theirs: ErlNode) -> None:
        ours.spawn(Slow, name="slow")

        assert await theirs.run("conf_gen", "call_and_die", atoms.slow, ours.name) is atoms.ok

The function's name is the case's name in the table. It runs once per release of ``--releases``, and on each of them
once over every way in which nodes meet:

- ``tcp``: all nodes are visible and connect over plain TCP.
- ``tls``: likewise over TLS distribution, each side with a certificate that the other one verifies; "not available" on
  a release without ssl.
- ``hidden``: plain TCP, and nodes of ours are hidden. What the peers then list, report or find differs: a case that is
  about that takes ``listing`` (``"visible"`` or ``"hidden"``, how the two sides have each other) and says what it
  expects of each; one that is not asks ``connected(node)`` of ours and ``nodes(connected)`` of theirs.

``@pytest.mark.not_applicable("tls", reason)`` leaves a way out in which a case has no meaning; the table shows it with
the reason.

- ``ours`` is a started node of ours, ``theirs`` a started plain Erlang node of the release; they share a cookie and an
  epmd and are not connected. ``start_ours(**options)`` and ``start_theirs(**options)`` start more of them,
  ``elixir_node(**options)`` an Elixir node with ZenMonitor; a release without Elixir is then "not available".
- ``tapped(node, epmd)`` puts a relay between, for what only the wire tells.
- ``theirs.run(module, function, *terms)`` applies an exported function of a ``conf_*.erl`` of this folder, in a process
  of its own, and returns its result as a term; what it raises fails the case. ``theirs.eval(text)`` evaluates Erlang.
  An ``.erl`` file is compiled by each release's own compiler, so it may use only what the oldest has; what is new goes
  through ``apply``. OTP 28's build has no compiler and runs what the ``erlc`` on the path has made.
- ``@pytest.mark.needs("ssl")`` and ``@pytest.mark.since(28)`` mark a case as not available where an application is
  missing or the release is too old.

`make matrix` prints the table case by release and writes it to ``docs/conformance.md``. To run one case::

    python -m pytest erlang_interop/conformance -k "name and tls" --releases 25,29
"""
