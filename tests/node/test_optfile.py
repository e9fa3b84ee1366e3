from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyzen.errors import ConfigError
from pyzen.node.tls import TLSConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]

IDENTITY = '{certfile,"c.pem"},{keyfile,<<"k.pem">>}'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "dist.conf"
        path.write_text(text)
        return path

    return write


def read(path: Path) -> TLSConfig:
    return TLSConfig.from_optfile(path)


def test_both_roles_with_mutual_authentication(write: Write) -> None:
    config = read(
        write(f"""
        %% as in the manual
        [{{server, [{IDENTITY}, {{cacertfile,"ca.pem"}}, {{verify,verify_peer}}, {{fail_if_no_peer_cert,true}},
                    {{secure_renegotiate,true}}, {{versions,['tlsv1.3']}}]}},
         {{client, [{{cacertfile,"other.pem"}}, {{verify,verify_peer}}]}}].
        """)
    )

    client = TLSConfig(None, None, "other.pem")
    assert config == TLSConfig("c.pem", "k.pem", "ca.pem", versions=("1.3",), client=client)


def test_server_verifies_nobody_and_client_its_peer_unless_told(write: Write) -> None:
    config = read(write(f'[{{server,[{IDENTITY}]}},{{client,[{{cacertfile,"ca.pem"}}]}}].'))

    assert not config.verify
    assert config.client is not None
    assert config.client.verify


def test_one_file_may_hold_certificate_and_key(write: Write) -> None:
    config = read(write('[{server,[{certfile,"both.pem"}]},{client,[{verify,verify_none}]}].'))

    assert (config.certfile, config.keyfile) == ("both.pem", None)


def test_check_of_client_names_is_the_callers_choice(write: Write) -> None:
    path = write(f"[{{server,[{IDENTITY}]}},{{client,[{{verify,verify_none}}]}}].")

    assert TLSConfig.from_optfile(path).verify_client_name
    assert not TLSConfig.from_optfile(path, verify_client_name=False).verify_client_name


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('{password,"secret"}', "server: password: encrypted keys can't be read"),
        ("{crl_check,true}", r"server: {crl_check,true} can't be honoured"),
        ('{ciphers,["x"]}', r"server: {ciphers,\[.*\]} can't be honoured"),
        ("{verify_fun,{m,f,[]}}", "server: {verify_fun,{m,f,.*}} can't be honoured"),
        ("{versions,['tlsv1.1','tlsv1.2']}", r"server: {versions,\['tlsv1.1','tlsv1.2'\]} can't be honoured"),
        ("{versions,[]}", "server: {versions,.*} can't be honoured"),
        ("{verify,sometimes}", "server: {verify,sometimes} can't be honoured"),
        ("{secure_renegotiate,false}", "server: {secure_renegotiate,false} can't be honoured"),
        ("{fail_if_no_peer_cert,true}", "server: {fail_if_no_peer_cert,true} .* together with verify_none"),
        ('{verify,verify_peer},{cacertfile,"ca"},{fail_if_no_peer_cert,false}', "false} .* with verify_peer"),
        ("{verify,verify_peer}", "server: verify_peer needs cacertfile"),
        ("{cacertfile,ca}", "server: cacertfile is the name of a file, not ca"),
        ("{cacertfile,[-1]}", "server: cacertfile is the name of a file"),
        ("{cacertfile,[{a}]}", "server: cacertfile is the name of a file"),
        ('{certfile,"again"}', "server: certfile stands twice"),
        ("inet6", "server: inet6 can't be honoured"),
    ],
)
def test_option_that_can_not_be_honoured_is_named(write: Write, option: str, words: str) -> None:
    path = write(f"[{{server,[{IDENTITY},{option}]}},{{client,[{{verify,verify_none}}]}}].")

    with pytest.raises(ConfigError, match=words) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file holds one term, not 0"),
        ("[]. [].", "the file holds one term, not 2"),
        ("[{server,[]}", "line 1, column 13"),
        ("{server,[]}.", "the file is a list of pairs"),
        ("[{server,x}].", "server is a list of pairs, not x"),
        ("[{servre,[]}].", "there is no role servre"),
        ("[{client,[{verify,verify_none}]}].", "server: certfile is missing"),
        (f"[{{server,[{IDENTITY}]}}].", "client: verify_peer needs cacertfile; {verify,verify_none} goes without"),
        (
            f"[{{server,[{IDENTITY}]}},{{client,[{{fail_if_no_peer_cert,true}}]}}].",
            "client: {fail_if_no_peer_cert,true",
        ),
        (f'[{{server,[{IDENTITY}]}},{{client,[{{verify,verify_none}},{{keyfile,"k"}}]}}].', "client: certfile is"),
    ],
)
def test_file_of_another_form_is_refused(write: Write, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(write(text))


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.conf: no such file or directory"):
        read(tmp_path / "nowhere.conf")
