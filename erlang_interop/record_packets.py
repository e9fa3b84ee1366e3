"""Record what a real node sends: ``python -m erlang_interop.record_packets`` writes ``tests/corpus/*.hex``.

Run once per release; the files are kept. Names and cookies in them are of no use to anybody.
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
from pathlib import Path
from typing import Final

from erlang_interop.nodes import Epmd, ErlangCluster
from pyzen.config import EpmdConfig
from pyzen.dist.flags import OWN_FLAGS
from pyzen.dist.handshake import Initiator, State
from pyzen.node.epmd import lookup

CORPUS: Final = Path(__file__).parent.parent / "tests" / "corpus"
NAME: Final = "here@127.0.0.1"

TALK: Final = """
for term <- [1, "text", 'list', %{a: [1.5, nil]}, {make_ref(), self(), &String.upcase/1}, 2 ** 90, <<1::3>>] do
  send({:name, :'here@127.0.0.1'}, term)
end
me = spawn(fn ->
  Process.monitor({:name, :'here@127.0.0.1'})
  Process.monitor({:global_name_server, :'here@127.0.0.1'})
  Process.sleep(100)
end)
Process.monitor(me)
receive do {:DOWN, _, _, _, _} -> :ok end
spawn(fn -> :net_adm.ping(:'here@127.0.0.1') end)
spawn(fn -> :rpc.call(:'here@127.0.0.1', :erlang, :node, [], 100) end)
for atom <- ~w(one two three one two)a, do: send({:name, :'here@127.0.0.1'}, {atom, self()})
"""


async def record() -> tuple[list[bytes], bytes]:
    """Return the frames of a node's handshake, and the stream of its packets."""
    epmd = Epmd.start()
    with tempfile.TemporaryDirectory() as folder:
        cluster = ErlangCluster(epmd.port, Path(folder))
        try:
            peer = await cluster.elixir("there")
            found = await lookup("there", "127.0.0.1", EpmdConfig(port=epmd.port))
            assert found is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
            frames = await shake_hands(peer.name, cluster.cookie, reader, writer)
            talking = asyncio.create_task(peer.eval(TALK))
            stream = b""
            try:
                async with asyncio.timeout(3):
                    while data := await reader.read(65536):
                        stream += data
            except TimeoutError:
                pass
            await talking
            writer.close()
            return frames, stream
        finally:
            await cluster.close()
            epmd.close()


async def shake_hands(
    peer: str, cookie: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> list[bytes]:
    """Connect as the side that dials; return the frames of the other."""
    handshake = Initiator(NAME, peer, flags=OWN_FLAGS, creation=7, cookie=lambda _: cookie)
    frames, out = [], handshake.start()
    while not handshake.ended:
        writer.write(b"".join(struct.pack(">H", len(frame)) + frame for frame in out))
        frame = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        frames.append(frame)
        out = handshake.receive_frame(frame)
    assert handshake.state is State.DONE, handshake.error
    return frames


def main() -> None:
    """Run as a program."""
    frames, stream = asyncio.run(record())
    flags = int(OWN_FLAGS).to_bytes(5)
    (CORPUS / "packets.hex").write_text(f"# flags, then a stream of OTP 25\n{flags.hex()} {stream.hex()}\n")
    (CORPUS / "handshake.hex").write_text("# frames of OTP 25\n" + " ".join(frame.hex() for frame in frames) + "\n")


if __name__ == "__main__":
    main()
