%% The honest peers. One is connected to the attacked node all the time: it asks again and again and writes down the
%% worst answer, and it watches processes there, by ordinary monitors and by ZenMonitor where that runs here. Another,
%% on a node of its own, comes while the attack lasts.
-module(hostile_judge).
-export([start/3, reset/0, figures/0, end_victims/2, stop/0, newcomer/4, registered/3]).

-define(PATIENCE, 10000).
-define(PAUSE, 10).

%% ---- one attacked node after the other

%% Connect to a node, watch so many of its victims, begin to ask. Probes are {Name, What}.
start(Node, Victims, Probes) ->
    stop(),
    Self = self(),
    Judge = spawn(fun() -> judge(Self, Node, Victims, Probes) end),
    Watch = monitor(process, Judge),
    receive
        {Judge, started, Result} -> demonitor(Watch, [flush]), Result;
        {'DOWN', Watch, process, _, Reason} -> {error, Reason}
    after ?PATIENCE -> {error, timeout}
    end.

stop() ->
    case whereis(?MODULE) of
        undefined -> ok;
        Judge ->
            Watch = monitor(process, Judge),
            exit(Judge, kill),
            receive {'DOWN', Watch, process, _, _} -> ok end
    end.

judge(Starter, Node, Victims, Probes) ->
    register(?MODULE, self()),
    ets:new(?MODULE, [named_table, public]),
    ets:insert(?MODULE, {nodedowns, 0}),
    ets:insert(?MODULE, {downs, []}),
    net_kernel:monitor_nodes(true, [{node_type, all}]),
    Result = case net_kernel:connect_node(Node) of
        true -> watch(Node, Victims);
        Other -> {error, {not_connected, Other}}
    end,
    lists:foreach(fun({Name, What}) -> spawn_link(fun() -> probe(Name, What) end) end, Probes),
    Starter ! {self(), started, Result},
    listen(Node, element(2, Result)).

watch(_, 0) ->
    {ok, #{}};
watch(Node, Victims) ->
    HasZen = code:ensure_loaded('Elixir.ZenMonitor') =:= {module, 'Elixir.ZenMonitor'},
    HasZen andalso (compatible = 'Elixir.ZenMonitor':connect(Node)),
    Watched = [Row || Number <- lists:seq(0, Victims - 1), Row <- watch_one(Node, Number, HasZen)],
    {ok, maps:from_list(Watched)}.

watch_one(Node, Number, HasZen) ->
    Pid = erpc:call(Node, erlang, whereis, [victim(Number)], ?PATIENCE),
    true = is_pid(Pid),
    [{monitor(process, Pid), {erts, Number}} | [{'Elixir.ZenMonitor':monitor(Pid), {zen, Number}} || HasZen]].

victim(Number) -> list_to_atom("victim_" ++ integer_to_list(Number)).

listen(Node, Watched) ->
    receive
        {'DOWN', Ref, process, _, Reason} ->
            [{downs, Downs}] = ets:lookup(?MODULE, downs),
            Who = if is_map_key(Ref, Watched) -> map_get(Ref, Watched); true -> {unknown, 0} end,
            ets:insert(?MODULE, {downs, [{Who, text(Reason)} | Downs]});
        {nodedown, Node, _} ->
            ets:update_counter(?MODULE, nodedowns, 1);
        _ ->
            ok
    end,
    listen(Node, Watched).

%% ---- what is asked, one question after the other

probe(Name, What) ->
    Begun = now_us(),
    true = ets:insert(?MODULE, {{probe, Name}, Begun, 0, 0, 0, none}),
    ask(Name, What).

ask(Name, What) ->
    Begun = now_us(),
    ets:update_element(?MODULE, {probe, Name}, {2, Begun}),
    Failure = try answer(What) catch Class:Reason -> text({Class, Reason}) end,
    Taken = now_us() - Begun,
    [{Key, _, Worst, Count, Failures, Last}] = ets:lookup(?MODULE, {probe, Name}),
    Failed = if Failure =:= ok -> 0; true -> 1 end,
    Told = if Failure =:= ok -> Last; true -> Failure end,
    ets:insert(?MODULE, {Key, 0, max(Worst, Taken), Count + 1, Failures + Failed, Told}),
    timer:sleep(?PAUSE),
    ask(Name, What).

%% An atom that nobody has used is in each call: who can't have one more has lost this peer.
answer({call, Node}) ->
    Request = list_to_atom("ping_" ++ integer_to_list(now_us())),
    Request = gen_server:call({echo, Node}, Request, ?PATIENCE), ok;
answer({erpc, Node}) ->
    Node = erpc:call(Node, erlang, node, [], ?PATIENCE), ok;
answer({net_kernel, Node}) ->
    yes = gen_server:call({net_kernel, Node}, {is_auth, node()}, ?PATIENCE), ok;
answer({lookup, Port, Name}) ->
    {ok, <<119, 0, _/binary>>} = ask_tcp(Port, [<<122>>, Name], {packet, 2}), ok;
answer({http, Port}) ->
    Get = <<"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n">>,
    {ok, <<"HTTP/1.1 200 ", _/binary>>} = ask_tcp(Port, Get, {packet, raw}), ok.

ask_tcp(Port, Data, Framing) ->
    ask_tcp(Port, Data, Framing, ?PATIENCE).

ask_tcp(Port, Data, Framing, Time) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}, Framing], Time),
    try
        ok = gen_tcp:send(Socket, Data),
        ok = inet:setopts(Socket, [{packet, raw}]),
        gen_tcp:recv(Socket, 0, Time)
    after
        gen_tcp:close(Socket)
    end.

now_us() -> erlang:monotonic_time(microsecond).

text(Term) -> iolist_to_binary(string:slice(io_lib:format("~0P", [Term, 12]), 0, 200)).

%% ---- what has come out

%% Begin a new span of time.
reset() ->
    Rows = ets:match(?MODULE, {{probe, '$1'}, '_', '_', '_', '_', '_'}),
    [ets:update_element(?MODULE, {probe, Name}, [{3, 0}, {4, 0}, {5, 0}]) || [Name] <- Rows],
    ok.

%% {Worst in us, Answers, Failures, Last failure, How long the question under way has waited} of each probe, how often
%% the node was lost, and the DOWNs so far.
figures() ->
    Now = now_us(),
    Rows = ets:match(?MODULE, {{probe, '$1'}, '$2', '$3', '$4', '$5', '$6'}),
    [{nodedowns, Lost}] = ets:lookup(?MODULE, nodedowns),
    [{downs, Downs}] = ets:lookup(?MODULE, downs),
    Waiting = fun(0) -> 0; (Begun) -> Now - Begun end,
    Probes = [{Name, {Worst, Count, Failures, Last, Waiting(Begun)}} || [Name, Begun, Worst, Count, Failures, Last] <- Rows],
    {maps:from_list(Probes), Lost, [{Kind, Number, Reason} || {{Kind, Number}, Reason} <- Downs]}.

%% Tell victims to end.
end_victims(Node, Numbers) ->
    [{victim(Number), Node} ! stop || Number <- Numbers],
    ok.

%% ---- a newcomer

%% Connect, for as long as there is time, and call with an atom that nobody has used. {Milliseconds, Attempts}, or
%% what went wrong.
newcomer(Node, Name, Text, Time) ->
    Begun = now_us(),
    come(Node, Name, list_to_atom(binary_to_list(Text)), Begun, Begun + Time * 1000, 1).

come(Node, Name, Atom, Begun, Until, Attempt) ->
    case net_kernel:connect_node(Node) of
        true ->
            Time = max(1, (Until - now_us()) div 1000),
            try called(Name, Node, Atom, Time) of
                true -> {(now_us() - Begun) div 1000, Attempt}
            catch Class:Reason -> text({Class, Reason})
            end;
        _ ->
            case now_us() < Until of
                true -> timer:sleep(50), come(Node, Name, Atom, Begun, Until, Attempt + 1);
                false -> <<"not let in">>
            end
    end.

called(echo, Node, Atom, Time) -> Atom =:= gen_server:call({echo, Node}, Atom, Time);
called(net_kernel, Node, Atom, Time) -> yes =:= gen_server:call({net_kernel, Node}, {is_auth, Atom}, Time).

%% Register a name with an epmd, for as long as there is time.
registered(Port, Name, Time) ->
    Begun = now_us(),
    register_until(Port, Name, Begun, Begun + Time * 1000, 1).

register_until(Port, Name, Begun, Until, Attempt) ->
    Left = (Until - now_us()) div 1000,
    Alive = [<<120, 9999:16, 77, 0, 6:16, 5:16, (byte_size(Name)):16>>, Name, <<0:16>>],
    Answer = try ask_tcp(Port, Alive, {packet, 2}, max(1, Left)) catch _:_ -> refused end,
    case Answer of
        {ok, <<118, 0, _/binary>>} -> {(now_us() - Begun) div 1000, Attempt};
        _ when Left =< 0 -> <<"not let in">>;
        _ -> timer:sleep(50), register_until(Port, Name, Begun, Until, Attempt + 1)
    end.
