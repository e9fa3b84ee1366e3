#!/bin/sh
# Check the fixture: format, compile with warnings as errors, test on nodes of its own. Skips without Elixir, unless
# PYZEN_REQUIRE_ERLANG=1.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8 ELIXIR_ERL_OPTIONS=+fnu

for program in elixir mix erl epmd; do
    command -v "$program" >/dev/null 2>&1 && continue
    [ "${PYZEN_REQUIRE_ERLANG:-0}" = 1 ] && { echo "mix_fixture: $program is not on the path" >&2; exit 1; }
    echo "mix_fixture: skipped, $program is not on the path"
    exit 0
done

mix format --check-formatted
MIX_ENV=prod mix compile --warnings-as-errors

# An epmd of our own: the first free port from a random one on. One that finds its port taken ends at once.
epmd=
trap '[ -z "$epmd" ] || kill "$epmd" 2>/dev/null || :' EXIT
trap 'exit 1' INT TERM HUP
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
for try in 1 2 3 4 5; do
    epmd -address 127.0.0.1 -port "$port" -relaxed_command_check >/dev/null 2>&1 &
    epmd=$!
    for wait in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.1
        epmd -port "$port" -names >/dev/null 2>&1 && break
    done
    kill -0 "$epmd" 2>/dev/null && break
    port=$((port + 1))
done
kill -0 "$epmd" || { echo 'mix_fixture: no epmd came up' >&2; exit 1; }

export ERL_EPMD_PORT="$port"
elixir --name "test$$@127.0.0.1" --cookie "c$$$port" \
    --erl '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}' -S mix test --warnings-as-errors
