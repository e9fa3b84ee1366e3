"""The attacks, a file per kind. Importing this adds them all."""

from erlang_interop.hostile.attacks import atoms, blocking, handshakes, printing, processes, terms

__all__ = ["atoms", "blocking", "handshakes", "printing", "processes", "terms"]
