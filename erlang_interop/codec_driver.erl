%% The real term_to_binary and binary_to_term, on request: packets with a 4-byte length on stdin and stdout, each an
%% external term.
%%
%%   {generate, Count, Seed} -> [Binary]   random terms in random external forms, remembered
%%   {read, [Binary]}        -> [Binary]   the terms in these binaries, in random external forms, remembered
%%   {compare, [Binary]}     -> [Index]    which of these binaries, from 1, are not the terms remembered
%%   {apply, M, F, A}        -> {ok, Result} | {error, Reason}
%%
%% Two terms are the same when =:= and their deterministic external forms say so.
-module(codec_driver).
-export([main/0]).

main() ->
    Port = open_port({fd, 0, 1}, [binary, {packet, 4}, eof]),
    loop(Port, []).

loop(Port, Remembered) ->
    receive
        {Port, {data, Request}} ->
            {Reply, Next} = handle(binary_to_term(Request), Remembered),
            port_command(Port, term_to_binary(Reply, [{minor_version, 2}])),
            loop(Port, Next);
        {Port, eof} ->
            halt(0)
    end.

handle({generate, Count, Seed}, _) ->
    _ = rand:seed(exsss, Seed),
    Terms = [term(4) || _ <- lists:seq(1, Count)],
    {[external(Term) || Term <- Terms], Terms};
handle({read, Binaries}, _) ->
    Terms = [binary_to_term(Binary) || Binary <- Binaries],
    {[external(Term) || Term <- Terms], Terms};
handle({compare, Binaries}, Terms) ->
    Numbered = lists:zip3(lists:seq(1, length(Terms)), Terms, Binaries),
    {[Index || {Index, Term, Binary} <- Numbered, not same(Term, Binary)], Terms};
handle({apply, Module, Function, Arguments}, Terms) ->
    try {{ok, apply(Module, Function, Arguments)}, Terms}
    catch _:Reason -> {{error, Reason}, Terms}
    end.

same(Term, Binary) ->
    try binary_to_term(Binary) of
        Back -> Back =:= Term andalso deterministic(Back) =:= deterministic(Term)
    catch error:badarg -> false
    end.

deterministic(Term) ->
    term_to_binary(Term, [deterministic, {minor_version, 2}]).

external(Term) ->
    Options = [[], [{minor_version, 2}], [compressed], [{compressed, 9}], [deterministic]],
    term_to_binary(Term, pick(Options)).

pick(List) ->
    lists:nth(rand:uniform(length(List)), List).

many(Depth) ->
    [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(5) - 1)].

term(0) ->
    leaf(rand:uniform(17));
term(Depth) ->
    case rand:uniform(12) of
        1 -> many(Depth);
        2 -> list_to_tuple(many(Depth));
        3 -> maps:from_list([{term(Depth - 1), Value} || Value <- many(Depth)]);
        4 -> [term(Depth - 1) | leaf(rand:uniform(17))];
        5 -> fun_of(term(Depth - 1), term(0));
        6 -> #{1 => a, 1.0 => b, true => c, [1] => d, [1.0] => many(Depth)};
        _ -> leaf(rand:uniform(17))
    end.

leaf(1) -> rand:uniform(256) - 1;
leaf(2) -> rand:uniform(16#ffffffff) - 16#80000000;
leaf(3) -> big(rand:uniform(80));
leaf(4) -> big(rand:uniform(3000));
leaf(5) -> (rand:uniform() - 0.5) * math:pow(2, rand:uniform(1000) - 500);
leaf(6) -> pick([0.0, -0.0, 1.0, 5.0e-324, 1.7976931348623157e308]);
leaf(7) -> list_to_atom([character() || _ <- lists:seq(1, rand:uniform(20) - 1)]);
leaf(8) -> pick([true, false, nil, undefined, '', ok, error, 'Elixir.Foo']);
leaf(9) -> rand:bytes(rand:uniform(60) - 1);
leaf(10) -> Size = rand:uniform(100) - 1, <<Bits:Size/bits, _/bits>> = rand:bytes(13), Bits;
leaf(11) -> binary_to_list(rand:bytes(rand:uniform(60) - 1));
leaf(12) -> lists:duplicate(length_of_list(), pick([7, 300, x]));
leaf(13) -> pick([self(), whereis(init), whereis(code_server)]);
leaf(14) -> pick([make_ref(), alias()]);
leaf(15) -> pick(erlang:ports());
leaf(16) -> fun lists:map/2;
leaf(17) -> list_to_tuple(lists:seq(1, pick([0, 1, 2, 3, 255, 256]))).

%% Now and then one at the edge of STRING_EXT.
length_of_list() ->
    case rand:uniform(300) of
        1 -> pick([65535, 65536]);
        _ -> rand:uniform(20)
    end.

%% The literal keeps free variables of all kinds.
fun_of(One, Other) ->
    pick([fun() -> {One, Other} end, fun(X) -> {X, One} end, fun(_, _) -> ok end]).

big(Bits) ->
    (1 bsl Bits + rand:uniform(1 bsl Bits)) * pick([1, -1]).

character() ->
    pick([rand:uniform(126), rand:uniform(255), 16#3b1 + rand:uniform(20), 16#4e00 + rand:uniform(99), 16#1f600]).
