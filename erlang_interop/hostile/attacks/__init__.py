"""The attacks, a file per kind. Importing this adds them all."""

from erlang_interop.hostile.attacks import atoms, blocking, handshakes, packets, printing, processes, terms, unread

__all__ = ["atoms", "blocking", "handshakes", "packets", "printing", "processes", "terms", "unread"]
