%% Cases about messages and terms.
-module(conf_messages).
-export([count_to/3, echo/3, echo_terms/2, echo_big/3, streams/5, terms/0]).
-export([collect/2, receive_big/1, alias_use/3, write/2, lead/2, traced/2, priority/3, fun_back/2]).
-export([served_first/3, exit_by_alias/1]).
-export([echo_atoms/2, priority_big/2, echo_record/2, record/2, field/2]).

-define(SOON, 10000).

count_to(Name, Node, Count) ->
    lists:foreach(fun(Number) -> {Name, Node} ! {number, Number} end, lists:seq(1, Count)),
    ok.

echo(Name, Node, Term) ->
    {Name, Node} ! {self(), Term},
    receive {echo, Back} -> Back after ?SOON -> timeout end.

%% What does not come back as it was.
echo_terms(Name, Node) ->
    Both = [{Term, echo(Name, Node, Term)} || Term <- terms()],
    [Pair || {Term, Back} = Pair <- Both, Back =/= Term].

%% More atoms than the atom cache of a link has slots, several times over, in messages that mix them.
echo_atoms(Name, Node) ->
    Atoms = [list_to_atom("atom_" ++ integer_to_list(Number)) || Number <- lists:seq(1, 6000)],
    Rounds = [lists:sublist(Atoms, From, 700) || Round <- lists:seq(1, 3), From <- lists:seq(Round, 5300, 499)],
    lists:usort([echo(Name, Node, Round) =:= Round || Round <- Rounds]).

echo_big(Name, Node, Size) ->
    Binary = binary(Size, 7),
    echo(Name, Node, [Binary, {size, Size}]) =:= [Binary, {size, Size}].

binary(Size, Seed) ->
    Words = << <<(Word * Seed):32>> || Word <- lists:seq(1, Size div 4 + 1) >>,
    binary:part(Words, 0, Size).

%% Several processes send large messages at the same time.
streams(Name, Node, Senders, Count, Size) ->
    Send = fun(Sender) ->
        Binary = binary(Size, Sender),
        Hash = erlang:md5(Binary),
        [{Name, Node} ! {stream, Sender, Number, Hash, Binary} || Number <- lists:seq(1, Count)]
    end,
    Monitors = [element(2, spawn_monitor(fun() -> Send(Sender) end)) || Sender <- lists:seq(1, Senders)],
    [receive {'DOWN', Ref, _, _, Reason} -> Reason end || Ref <- Monitors].

%% Registers itself and returns the messages it gets.
collect(Name, Count) ->
    register(Name, self()),
    [receive Message -> Message after ?SOON -> timeout end || _ <- lists:seq(1, Count)].

receive_big(Name) ->
    [{Hash, Binary}] = collect(Name, 1),
    Hash =:= erlang:md5(Binary).

%% The receiver answers to an alias that ends with its first message, or by `unalias`; the second message is dropped.
alias_use(Name, Node, Options) ->
    Alias = alias(Options),
    {Name, Node} ! {alias, Alias, self()},
    First = receive {to_alias, Number} -> Number after ?SOON -> timeout end,
    _ = unalias(Alias),
    {Name, Node} ! {alias, Alias, self()},
    receive {to_pid, Second} -> {First, Second, receive Stray -> Stray after 0 -> nothing end} after ?SOON -> timeout end.

%% Output of a process whose group leader is a process of another node.
write(Leader, Text) ->
    true = group_leader(Leader, self()),
    io:put_chars(Text).

%% Makes a process of this node the leader of one there, which has no effect there.
lead(Pid, Text) ->
    true = group_leader(self(), Pid),
    Pid ! {self(), Text},
    receive {echo, Back} -> Back after ?SOON -> timeout end.

%% A traced sender: the messages carry a token.
traced(Pid, Name) ->
    seq_trace:set_token(label, {a, label}),
    seq_trace:set_token(send, false),
    Pid ! {self(), by_pid},
    First = receive {echo, One} -> One after ?SOON -> timeout end,
    {Name, node(Pid)} ! {self(), by_name},
    Second = receive {echo, Other} -> Other after ?SOON -> timeout end,
    Ref = monitor(process, Pid),
    exit(Pid, traced),
    receive {'DOWN', Ref, process, Pid, Reason} -> {First, Second, Reason} after ?SOON -> timeout end.

%% New in OTP 28: messages and exit signals that ask to be served first.
priority(Pid, Name, Node) ->
    Options = [priority],
    apply(erlang, send, [Pid, {to_pid, 1}, Options]),
    apply(erlang, send, [{Name, Node}, {to_name, 2}, Options]),
    apply(erlang, exit, [Pid, important, Options]),
    ok.

priority_big(Pid, Size) ->
    Binary = binary(Size, 5),
    apply(erlang, send, [Pid, {big, erlang:md5(Binary), Binary}, [priority]]),
    ok.

%% What comes to a priority alias overtakes what waits already. Returns the queue as it stands when `last` has arrived.
served_first(Name, Node, Options) ->
    process_flag(trap_exit, true),
    {Name, Node} ! {alias, alias(Options), self()},
    receive last -> ok after ?SOON -> timeout end,
    drain().

drain() ->
    receive
        {'EXIT', _, Reason} -> [{exit, Reason} | drain()];
        Binary when is_binary(Binary) -> [{bytes, byte_size(Binary)} | drain()];
        Message -> [Message | drain()]
    after 0 -> []
    end.

%% Answers a call with an exit signal to the alias that stands in it.
exit_by_alias(Name) ->
    register(Name, self()),
    receive {'$gen_call', {_, [alias | Alias]}, Reason} -> apply(erlang, exit, [Alias, Reason, [priority]]) after ?SOON -> timeout end.

%% A fun that was away still runs.
fun_back(Name, Node) ->
    Secret = make_ref(),
    Closure = fun(Argument) -> {Secret, Argument} end,
    [Local, Remote] = echo(Name, Node, [Closure, fun lists:reverse/1]),
    {Local =:= Closure, Local(1) =:= {Secret, 1}, Remote([1, 2])}.

%% New in OTP 29: native records. Their syntax is, too, so the module that has one is compiled here.
echo_record(Name, Node) ->
    Record = record(1, {a, [<<"b">>]}),
    echo(Name, Node, [Record]) =:= [Record].

record(X, Y) ->
    Lines = ["-module(geo).", "-export([point/2]).", "-export_record([point]).", "-record #point{x, y}.",
             "point(X, Y) -> #point{x = X, y = Y}."],
    {ok, geo, Code} = apply(compile, forms, [[form(Line) || Line <- Lines]]),
    {module, geo} = code:load_binary(geo, "geo.erl", Code),
    apply(geo, point, [X, Y]).

form(Line) ->
    {ok, Tokens, _} = erl_scan:string(Line),
    {ok, Form} = erl_parse:parse_form(Tokens),
    Form.

field(Name, Record) ->
    apply(records, get, [Name, Record]).

terms() ->
    lists:append([
        [0, 1, -1, 255, 256, -256, 1 bsl 27, 1 bsl 31, (1 bsl 31) - 1, -(1 bsl 31), 1 bsl 32, 1 bsl 59, 1 bsl 63],
        [-(1 bsl 63), 1 bsl 64, 1 bsl 2040, -(1 bsl 2048), 1 bsl 5000],
        [0.0, 1.0, -1.5, 1.0e308, 5.0e-324, 3.141592653589793],
        [ok, true, false, nil, undefined, '', 'with space', 'é', list_to_atom(lists:duplicate(255, 16#20AC))],
        [<<>>, <<"text">>, <<"text"/utf8>>, <<1:1>>, <<5:7>>, <<1, 2, 3:3>>, binary(100000, 3)],
        [[], [1], "text", [256], lists:seq(1, 255), lists:duplicate(65535, 7), lists:duplicate(65536, 7)],
        [[a | b], [[a] | [b | c]], [1, 2 | <<"tail">>], [[alias | make_ref()]]],
        [{}, {a}, {a, {b, [c]}}, list_to_tuple(lists:seq(1, 255)), list_to_tuple(lists:seq(1, 256))],
        [#{}, #{a => 1}, #{1 => int, 1.0 => float, true => atom, <<"1">> => binary, "1" => list}],
        [#{#{} => #{#{a => 1} => []}}, maps:from_list([{N, -N} || N <- lists:seq(1, 100)])],
        [maps:from_list([{{key, N}, [N]} || N <- lists:seq(1, 40)])],
        [self(), whereis(init), make_ref(), alias(), hd(erlang:ports()), monitor(process, self())],
        [fun lists:map/2, fun erlang:send/3],
        [nested(1900), [{N, atom_to_list(node())} || N <- lists:seq(1, 1000)]]
    ]).

nested(0) -> [];
nested(Depth) -> [nested(Depth - 1)].
