%% Cases about calls, and servers for ours to call.
-module(conf_gen).
-behaviour(gen_server).
-export([start_echo/0, start_echo/1, call/3, call/4, late/2, down_during_call/2, cast/3, multi/3, abcast/3]).
-export([call_and_die/2, requests/3, statem_call/2, event_call/2, many/4, call_by_pid/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SOON, 10000).

%% A server that answers calls with their request, `hold` when it gets the cast `release`; it stays when the caller has ended.
start_echo() ->
    {ok, Pid} = gen_server:start(?MODULE, [], []),
    Pid.

start_echo(Name) ->
    {ok, Pid} = gen_server:start({local, Name}, ?MODULE, [], []),
    Pid.

init([]) -> {ok, []}.

handle_call(hold, From, Casts) ->
    put(held, From),
    {noreply, Casts};
handle_call({stop, Reason}, _From, Casts) -> {stop, Reason, Casts};
handle_call({traced, Reply}, _From, Casts) ->
    seq_trace:set_token(label, {a, label}),
    {reply, Reply, Casts};
handle_call(casts, _From, Casts) -> {reply, lists:reverse(Casts), Casts};
handle_call(Request, _From, Casts) -> {reply, Request, Casts}.

handle_cast(release, Casts) -> gen_server:reply(get(held), late), {noreply, Casts};
handle_cast(Request, Casts) -> {noreply, [Request | Casts]}.

handle_info({From, Term}, Casts) -> From ! {echo, Term}, {noreply, Casts}.

%% The reply, or the exit.
call(Name, Node, Request) -> call(Name, Node, Request, ?SOON).

call(Name, Node, Request, Timeout) ->
    try gen_server:call({Name, Node}, Request, Timeout)
    catch exit:{Reason, {gen_server, call, _}} -> {exit, Reason}
    end.

call_by_pid(Pid, Request) ->
    gen_server:call(Pid, Request, ?SOON).

%% A call that times out, whose reply comes later, before that to another; what is in the mailbox then.
late(Name, Node) ->
    First = call(Name, Node, hold, 100),
    gen_server:cast({Name, Node}, release),
    Second = call(Name, Node, second),
    {First, Second, receive Stray -> Stray after 0 -> nothing end}.

down_during_call(Name, Node) ->
    call(Name, Node, silence).

cast(Name, Node, Requests) ->
    [ok = gen_server:cast({Name, Node}, Request) || Request <- Requests],
    call(Name, Node, casts).

%% Without a time-out: who has no such process has to say so.
multi(Nodes, Name, Request) ->
    gen_server:multi_call(Nodes, Name, Request, infinity).

abcast(Nodes, Name, Request) ->
    abcast = gen_server:abcast(Nodes, Name, Request).

%% The caller is gone when the reply comes.
call_and_die(Name, Node) ->
    Target = {Name, Node},
    {_, Ref} = spawn_monitor(fun() -> gen_server:call(Target, hold, 50) end),
    receive {'DOWN', Ref, process, _, {timeout, _}} -> ok end,
    gen_server:cast(Target, release),
    call(Name, Node, after_that).

%% Requests under way at the same time.
requests(Name, Node, Count) ->
    Ids = [gen_server:send_request({Name, Node}, {request, Number}) || Number <- lists:seq(1, Count)],
    [begin {reply, Reply} = gen_server:wait_response(Id, ?SOON), Reply end || Id <- Ids].

statem_call(Name, Node) ->
    gen_statem:call({Name, Node}, {a, request}, ?SOON).

%% gen_event is called with a label of its own.
event_call(Name, Node) ->
    try gen_event:call({Name, Node}, handler, query, ?SOON) catch exit:Reason -> {exit, Reason} end.

%% Processes that call at the same time.
many(Name, Node, Callers, Count) ->
    Caller = fun(Number) ->
        [{Number, Call} = call(Name, Node, {Number, Call}) || Call <- lists:seq(1, Count)],
        exit(done)
    end,
    Monitors = [element(2, spawn_monitor(fun() -> Caller(Number) end)) || Number <- lists:seq(1, Callers)],
    lists:usort([receive {'DOWN', Ref, _, _, Reason} -> Reason after ?SOON -> timeout end || Ref <- Monitors]).
