%% Evaluates Erlang expressions for a test: the line protocol of mix_fixture with the commands `eval` and `eval64`
%% alone, without Elixir. Compiled by the harness, run as `erl -noinput -s eval_server`.
-module(eval_server).
-export([start/0]).

start() ->
    spawn(fun() ->
        %% A port of its own: bytes in, bytes out, UTF-8 whatever the locale says. Its end is the node's.
        Console = open_port({fd, 0, 1}, [eof, binary, {line, 65536}]),
        Release = erlang:system_info(otp_release),
        print(Console, io_lib:format("! ready node=~ts otp=~s", [node(), Release])),
        serve(Console, [])
    end).

serve(Console, Read) ->
    receive
        {Console, {data, {noeol, Part}}} ->
            serve(Console, [Read, Part]);
        {Console, {data, {eol, Part}}} ->
            request(Console, iolist_to_binary([Read, Part])),
            serve(Console, []);
        {Console, eof} ->
            halt(0)
    end.

request(Console, Line) ->
    [Id, Rest] = string:split(Line, " "),
    [Command, Code] = string:split(Rest, " "),
    spawn(fun() -> print(Console, [Id, " ", answer(Command, Code)]) end).

answer(Command, Code) ->
    try
        [Name | Form] = string:split(Command, "/"),
        ["ok ", form(Form, evaluate(code(Name, Code)))]
    catch
        Class:Reason:Stack ->
            ["error ", io_lib:format("~w ~0tp ~0tp", [Class, Reason, lists:sublist(Stack, 2)])]
    end.

code(<<"eval">>, Code) -> Code;
code(<<"eval64">>, Code) -> base64:decode(Code).

evaluate(Code) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list([Code, "."])),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, erl_eval:new_bindings()),
    Value.

form([], Value) -> io_lib:format("~0tp", [Value]);
form([<<"etf">>], Value) -> base64:encode(term_to_binary(Value)).

print(Console, Line) ->
    port_command(Console, [unicode:characters_to_binary(Line), $\n]).
