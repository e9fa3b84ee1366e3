"""TLS distribution (``inet_tls``) of real nodes: what they are told by file and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pyzen.node.tls import TLSConfig

__all__ = ["tls_flags", "write_optfile"]


def tls_flags(optfile: Path) -> list[str]:
    """Return the flags of ``erl`` for a node that lives by ``optfile``, a path that the node sees."""
    return ["-proto_dist", "inet_tls", "-ssl_dist_optfile", str(optfile)]


def write_optfile(path: Path, config: TLSConfig) -> Path:
    """Say in Erlang what ``config`` says, with as few options as that takes; returns ``path``."""
    versions = ",".join(f"'tlsv{version}'" for version in config.versions)
    verify = "verify_peer" if config.verify else "verify_none"
    both = [
        f'{{certfile,"{config.certfile}"}}',
        f'{{keyfile,"{config.keyfile}"}}',
        *([f'{{cacertfile,"{config.cafile}"}}'] if config.cafile else []),
        f"{{verify,{verify}}}",
        f"{{versions,[{versions}]}}",
    ]
    insist = ["{fail_if_no_peer_cert,true}"] if config.verify else []
    path.write_text(f"[{{server,[{','.join(both + insist)}]}},\n {{client,[{','.join(both)}]}}].\n")
    return path
