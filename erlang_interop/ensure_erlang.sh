#!/bin/sh
# Make sure that Erlang and Elixir are on the path: install Debian's packages where that is allowed, else say
# what to install. With PYZEN_REQUIRE_ERLANG=1 their absence is a failure, otherwise the tests skip.
set -eu
packages='erlang-nox erlang-dev elixir'

present() {
    for program in erl erlc epmd elixir mix; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}

# A machine without a network, or with broken sources, gets the same answer as one without apt-get.
install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update || :
    # shellcheck disable=SC2086
    apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $packages >/dev/null || :
}

present && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then install; fi
present && exit 0
echo "Erlang and Elixir are missing; install them first: apt-get install $packages" >&2
[ "${PYZEN_REQUIRE_ERLANG:-0}" = 1 ] && exit 1
exit 0
