%% Cases about connections.
-module(conf_connect).
-export([await_nodedown/1, await_watched/1, await_node_events/1, await_registered/1, keep/1, monitor_kept/1, haunt_kept/0]).
-export([epmd_port/1]).

await_nodedown(Node) ->
    true = erlang:monitor_node(Node, true),
    register(watcher(Node), self()),
    receive {nodedown, Node} -> nodedown after 10000 -> timeout end.

await_watched(Node) ->
    await_registered(watcher(Node)).

watcher(Node) ->
    list_to_atom("watch_" ++ atom_to_list(Node)).

%% What who watches all nodes hears of one that comes and goes, and what who watches visible ones hears of it.
await_node_events(Node) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    ok = net_kernel:monitor_nodes(true),
    register(node_watch, self()),
    All = [receive {Event, Node, [{node_type, Type}]} -> {Event, Type} after 10000 -> timeout end || _ <- [up, down]],
    {All, plain_events(Node)}.

plain_events(Node) ->
    receive {Event, Node} -> [Event | plain_events(Node)] after 200 -> [] end.

await_registered(Name) ->
    case whereis(Name) of
        undefined -> timer:sleep(10), await_registered(Name);
        Pid -> Pid
    end.

%% Keeps a pid of a node that will be gone.
keep(Pid) ->
    persistent_term:put(kept, Pid).

%% What a monitor of the kept pid says, and whether it is the other one.
monitor_kept(Other) ->
    Kept = persistent_term:get(kept),
    Ref = monitor(process, Kept),
    receive {'DOWN', Ref, process, Kept, Reason} -> {Reason, Kept =:= Other} after 10000 -> timeout end.

%% Signals to a pid of an earlier life of a node; what a link with it says.
haunt_kept() ->
    Kept = persistent_term:get(kept),
    process_flag(trap_exit, true),
    Kept ! stray,
    exit(Kept, kill),
    link(Kept),
    receive {'EXIT', Kept, Reason} -> Reason after 10000 -> timeout end.

epmd_port(Alive) ->
    {port, Port, _Version} = erl_epmd:port_please(binary_to_list(Alive), {127, 0, 0, 1}),
    Port.
