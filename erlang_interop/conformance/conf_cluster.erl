%% Cases about what else runs in a cluster: global and pg.
-module(conf_cluster).
-export([use_global/0, global_name/1, whereis_global/1, lock_everywhere/2, start_pg/1, members/2, scope_alive/1]).
-export([rex_features/1]).

%% Milliseconds that the slowest of the operations took that wait for other nodes.
use_global() ->
    Timed = fun(Operation) -> {Micros, Good} = timer:tc(Operation), true = Good, Micros div 1000 end,
    lists:max([
        Timed(fun() -> global:sync() =:= ok end),
        Timed(fun() -> global:trans({lock, self()}, fun() -> done end) =:= done end),
        Timed(fun() -> global:register_name(make_ref(), self()) =:= yes end)
    ]).

global_name(Name) ->
    yes = global:register_name(Name, spawn(fun() -> receive stop -> ok end end)).

whereis_global(Name) ->
    case global:whereis_name(Name) of
        undefined -> timer:sleep(10), whereis_global(Name);
        Pid -> Pid
    end.

%% Two nodes that both know us still exclude each other.
lock_everywhere(Id, Nodes) ->
    true = global:set_lock({Id, self()}, Nodes, 0),
    global:del_lock({Id, self()}, Nodes).

%% A group with a process in it, of a scope that is started if need be.
start_pg(Scope) ->
    case whereis(Scope) of
        undefined -> {ok, _} = pg:start(Scope);
        _ -> ok
    end,
    Pid = spawn(fun() -> receive stop -> ok end end),
    ok = pg:join(Scope, group, Pid),
    Pid.

members(Scope, Count) ->
    case pg:get_members(Scope, group) of
        Members when length(Members) =:= Count -> Members;
        _ -> timer:sleep(10), members(Scope, Count)
    end.

scope_alive(Pid) ->
    is_process_alive(Pid).

rex_features(Node) ->
    {rex, Node} ! {self(), features_request},
    receive {features_reply, Node, Features} -> Features after 10000 -> timeout end.
