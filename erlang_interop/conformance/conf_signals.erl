%% Cases about monitors, links and exit signals.
-module(conf_signals).
-export([monitor_both/2, monitor_missing/2, monitor_until_lost/3, demonitor_in_time/2, monitor_tagged/1, monitor_alias/1]).
-export([monitor_many/2, start/1, start/2, start_many/1, alive/1]).
-export([link_until/1, link_missing/1, link_then_die/2, link_then_die_traced/2, unlink_in_time/2, link_many/1, linked_to/1]).
-export([unlink_dead/2, unlink_killed/1]).
-export([send_exit/2, exit_reason_of/1]).

-define(SOON, 10000).

down(Ref) ->
    receive {'DOWN', Ref, process, Object, Reason} -> {Object, Reason} after ?SOON -> timeout end.

%% By pid and by name, of one process, which is then made to end.
monitor_both(Pid, Name) ->
    ByPid = monitor(process, Pid),
    ByName = monitor(process, {Name, node(Pid)}),
    Pid ! {self(), stop_now},
    [down(ByPid), down(ByName)].

monitor_missing(Pid, Name) ->
    [down(monitor(process, Pid)), down(monitor(process, {Name, node(Pid)}))].

%% The link is lost; what says so comes after the downs of the same process.
monitor_until_lost(Pid, Name, Signal) ->
    Node = node(Pid),
    Refs = [monitor(process, Pid), monitor(process, {Name, Node})],
    erlang:monitor_node(Node, true),
    Signal ! watching,
    Downs = [down(Ref) || Ref <- Refs],
    {Downs, receive {nodedown, Node} -> nodedown after ?SOON -> timeout end}.

%% Its end is seen by the second monitor only.
demonitor_in_time(Pid, Reason) ->
    Gone = monitor(process, Pid),
    true = demonitor(Gone, [flush]),
    Kept = monitor(process, Pid),
    exit(Pid, Reason),
    {down(Kept), receive Stray -> Stray after 100 -> nothing end}.

%% Options of later releases' monitors.
monitor_tagged(Pid) ->
    Ref = monitor(process, Pid, [{tag, {my, tag}}]),
    exit(Pid, bye),
    receive {{my, tag}, Ref, process, Pid, Reason} -> Reason after ?SOON -> timeout end.

%% A monitor whose reference is an alias too, until the reply.
monitor_alias(Pid) ->
    Ref = monitor(process, Pid, [{alias, reply_demonitor}]),
    Pid ! {alias, Ref, self()},
    receive {to_alias, 1} -> ok after ?SOON -> exit(no_answer) end,
    exit(Pid, bye),
    receive Stray -> Stray after 200 -> nothing end.

monitor_many(Pids, Reason) ->
    Refs = [monitor(process, Pid) || Pid <- Pids],
    [exit(Pid, Reason) || Pid <- Pids],
    lists:usort([element(2, down(Ref)) || Ref <- Refs]).

%% Processes for ours to watch: they end as they are told to.
start(Name) ->
    Pid = start(),
    true = register(Name, Pid),
    Pid.

start() ->
    spawn(fun Loop() ->
        receive
            {link, Pid} -> link(Pid), Loop();
            {unlink, Pid} -> unlink(Pid), Loop();
            {trap, To} -> process_flag(trap_exit, true), To ! trapping, trap(To);
            {stop, Reason} -> exit(Reason)
        end
    end).

start(link, Pid) ->
    New = start(),
    New ! {link, Pid},
    New.

trap(To) ->
    receive
        {'EXIT', From, Reason} -> To ! {trapped, From, Reason}, trap(To);
        {stop, Reason} -> exit(Reason)
    end.

start_many(Count) ->
    [start() || _ <- lists:seq(1, Count)].

alive(Pid) ->
    is_process_alive(Pid).

%% Links with a process of ours and tells how it ended.
link_until(Pid) ->
    process_flag(trap_exit, true),
    link(Pid),
    Pid ! {self(), linked},
    receive {'EXIT', Pid, Reason} -> Reason after ?SOON -> timeout end.

link_missing(Pid) ->
    process_flag(trap_exit, true),
    link(Pid),
    receive {'EXIT', Pid, Reason} -> Reason after ?SOON -> timeout end.

link_then_die(Pid, Reason) ->
    {_, Ref} = spawn_monitor(fun() -> link(Pid), exit(Reason) end),
    element(2, down(Ref)).

%% The exit signal carries a trace token.
link_then_die_traced(Pid, Reason) ->
    {_, Ref} = spawn_monitor(fun() -> link(Pid), seq_trace:set_token(label, {a, label}), exit(Reason) end),
    element(2, down(Ref)).

%% The end of a process that was unlinked is not seen, and the other way round.
unlink_in_time(Pid, Reason) ->
    process_flag(trap_exit, true),
    link(Pid),
    true = unlink(Pid),
    Ref = monitor(process, Pid),
    exit(Pid, Reason),
    {element(2, down(Ref)), receive Stray -> Stray after 100 -> nothing end}.

%% Links come and go faster than they are acknowledged; the last one holds.
link_many(Pid) ->
    process_flag(trap_exit, true),
    [begin link(Pid), unlink(Pid) end || _ <- lists:seq(1, 1000)],
    link(Pid),
    Pid ! {self(), linked},
    receive {'EXIT', Pid, Reason} -> Reason after ?SOON -> timeout end.

%% Links with the dead that are undone before the answer comes; then one that is not.
unlink_dead(Pid, Count) ->
    process_flag(trap_exit, true),
    [begin link(Pid), unlink(Pid) end || _ <- lists:seq(1, Count)],
    {until_unlinked(node(Pid)), link_missing(Pid)}.

%% The process has ended when the unlink arrives: the kill goes before it.
unlink_killed(Pid) ->
    process_flag(trap_exit, true),
    link(Pid),
    exit(Pid, kill),
    unlink(Pid),
    {until_unlinked(node(Pid)), link_missing(Pid)}.

%% What an unlink has left: the emulator keeps a link, marked as such, until the other side has acknowledged its end.
%% The links of this process are told, and those over the connection to the node.
until_unlinked(Node) -> until_unlinked(Node, ?SOON div 10).

until_unlinked(Node, Tries) ->
    _ = erts_debug:set_internal_state(available_internal_state, true),
    Left = [Link || Of <- [self(), Node], Link <- erts_debug:get_internal_state({link_list, Of})],
    case Left of
        [_ | _] when Tries > 0 -> timer:sleep(10), until_unlinked(Node, Tries - 1);
        _ -> length(Left)
    end.

linked_to(Pid) ->
    {links, Links} = process_info(Pid, links),
    Links.

send_exit(Pid, Reason) ->
    exit(Pid, Reason).

exit_reason_of(Pid) ->
    element(2, down(monitor(process, Pid))).
