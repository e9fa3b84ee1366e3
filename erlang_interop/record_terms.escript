#!/usr/bin/env escript
%% Write tests/vectors/otpNN.json: what this release's term_to_binary makes of terms of all kinds.
%% For each: the expression, its first tag, the default form, and the form with all atoms in UTF-8, which pyzen writes.
-mode(compile).

main([File]) ->
    Release = erlang:system_info(otp_release),
    Vectors = lists:join(",\n", [vector(Text) || Text <- expressions()]),
    Head = io_lib:format("{\n\"made\": \"by erlang_interop/record_terms.escript on OTP ~s\",\n\"vectors\": [\n", [Release]),
    ok = file:write_file(File, [Head, Vectors, "\n]\n}\n"]).

vector(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text ++ "."),
    {ok, Expression} = erl_parse:parse_exprs(Tokens),
    {value, Term, _} = erl_eval:exprs(Expression, []),
    <<131, Tag, _/binary>> = Default = term_to_binary(Term),
    Utf8 = term_to_binary(Term, [{minor_version, 2}]),
    io_lib:format("{\"tag\": ~b, \"term\": \"~ts\", \"bytes\": \"~s\", \"utf8\": \"~s\"}",
                  [Tag, escape(Text), hex(Default), hex(Utf8)]).

hex(Binary) ->
    string:lowercase(binary:encode_hex(Binary)).

%% As JSON, in ASCII.
escape(Text) ->
    [case Character of
         $" -> "\\\"";
         $\\ -> "\\\\";
         _ when Character > 126 -> io_lib:format("\\u~4.16.0b", [Character]);
         _ -> Character
     end || Character <- Text].

expressions() ->
    ["0", "255", "256", "-1", "2147483647", "2147483648", "-2147483648", "-2147483649", "1 bsl 64", "-(1 bsl 2040)",
     "1 bsl 2040 - 1", "1 bsl 3000", "1.5", "-0.0", "5.0e-324", "ok", "''", "true", "false", "nil", "undefined",
     "'a b'", "'\x{e9}'", "'\x{20ac}'", "<<>>", "<<\"abc\">>", "<<5:3>>", "<<1, 255:7>>", "{}", "{a, 1}",
     "list_to_tuple(lists:seq(1, 256))", "[]", "\"abc\"", "[1, 2, 256]", "[a | b]", "[alias | 1]", "[[], [[]]]",
     "#{}", "#{a => 1}", "#{1 => a, 1.0 => b}", "#{[1] => {}, \"x\" => #{#{} => 0.0}}", "fun lists:map/2",
     "list_to_pid(\"<0.10.2>\")", "list_to_ref(\"#Ref<0.1.2.3>\")", "list_to_port(\"#Port<0.5>\")",
     "fun(X) -> X end"].
