"""Python's websockets meets the conformance example: `python_client.py SCENARIO ws://ADDRESS`, silent and 0 if all is as it should be."""

import asyncio
import os
import sys

from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

SUBSCRIBERS = 16
MESSAGES = 200

url = sys.argv[2]


def connect(path, **options):
    return open_socket(url + path, proxy=None, max_size=None, **options)


async def closed(ws):
    """The code and the reason the server closes with."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as end:
        assert end.rcvd is not None, "no close frame came"
        return end.rcvd.code, end.rcvd.reason


async def same(ws, message):
    await ws.send(message)
    answer = await ws.recv()
    assert answer == message, (message[:40], answer[:40])


async def echo():
    for compression in (None, "deflate"):
        async with connect("/ws/echo", compression=compression) as ws:
            for message in ("", "hello", "Grüße, 世界 \U0001f300", b"", b"\0", bytes(range(256)), "x" * 1_000_000, os.urandom(1_000_000)):
                await same(ws, message)
            await ws.send(["in ", "", "three ", "fragments"])
            assert await ws.recv() == "in three fragments"
            sent = [f"message {number}" for number in range(500)]
            for message in sent:
                await ws.send(message)
            assert [await ws.recv() for _ in sent] == sent


async def deflate():
    switches = [(server, client) for server in (False, True) for client in (False, True)]
    bits = [(None, True), (9, True), (12, 10), (15, 15), (None, None)]
    for server_alone, client_alone in switches:
        for server_bits, client_bits in bits:
            offer = Deflate(server_alone, client_alone, server_bits, client_bits)
            # The library itself refuses an answer that does not fit what it offered (RFC 7692 §7.1).
            async with connect("/ws/echo", compression=None, extensions=[offer]) as ws:
                answer = ws.response.headers.get("Sec-WebSocket-Extensions", "")
                assert answer.startswith("permessage-deflate"), answer
                assert not server_alone or "server_no_context_takeover" in answer, answer
                for message in ("squall " * 20_000, "squall " * 20_000, os.urandom(70_000), "", "tiny"):
                    await same(ws, message)
    # Offered by somebody who cannot: the connection is plain.
    async with connect("/ws/echo", compression=None) as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        await same(ws, "squall " * 20_000)


async def subprotocol():
    for offered, chosen in ((["other", "echo"], "echo"), (["other"], None), (None, None)):
        async with connect("/ws/echo", subprotocols=offered) as ws:
            assert ws.subprotocol == chosen, ws.subprotocol
            await same(ws, "hello")


async def ping():
    async with connect("/ws/echo") as ws:
        for payload in (b"", b"are you there?", bytes(125)):
            await (await ws.ping(payload))
        pongs = [await ws.ping(str(number)) for number in range(16)]
        await asyncio.gather(*pongs)
        await same(ws, "hello")


async def close():
    for code, reason in ((1000, ""), (1001, "going"), (3000, "a registered one"), (4999, "é" * 61)):
        ws = await connect("/ws/echo")
        await ws.close(code, reason)
        received = ws.protocol.close_rcvd
        assert received is not None and received.code == code, received
    for message, options in ((b"\xff", {"text": True}), ([b"a", b"\xc3", b"("], {"text": True})):
        async with connect("/ws/echo", compression=None) as ws:
            await ws.send(message, **options)
            assert (await closed(ws))[0] == 1007


async def limit():
    for compression in (None, "deflate"):
        for most, more in (("x" * 1000, "x" * 1001), (bytes(1000), bytes(100_000))):
            async with connect("/ws/echo", compression=compression) as ws:
                await same(ws, most)
                await ws.send(more)
                assert (await closed(ws))[0] == 1009


async def fan_out():
    subscribers = [await connect("/ws/sub") for _ in range(SUBSCRIBERS)]
    # A socket is subscribed before it reads, so who has answered is subscribed.
    await asyncio.gather(*[await subscriber.ping() for subscriber in subscribers])
    publishers = [await connect("/ws/pub") for _ in range(4)]

    async def publish(name, publisher):
        for number in range(MESSAGES):
            await publisher.send(f"{name} {number}")

    async def hear(subscriber):
        heard = [await subscriber.recv() for _ in range(MESSAGES * len(publishers))]
        for name in range(len(publishers)):
            own = [message for message in heard if message.startswith(f"{name} ")]
            assert own == [f"{name} {number}" for number in range(MESSAGES)]

    everybody = [publish(name, publisher) for name, publisher in enumerate(publishers)]
    await asyncio.gather(*everybody, *[hear(subscriber) for subscriber in subscribers])


async def goodbye():
    sockets = [await connect(path) for path in ("/ws/echo", "/ws/sub", "/ws/pub")]
    print("open", flush=True)
    for ws in sockets:
        assert (await closed(ws))[0] == 1001


asyncio.run(asyncio.wait_for(globals()[sys.argv[1]](), 60))
