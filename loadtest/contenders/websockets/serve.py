"""The `websockets` package's asyncio server: an echo, and one topic for all publishers."""

import argparse
import asyncio
import http
import logging

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

subscribers = set()


def process_request(connection, request):
    if request.path == "/ready":
        return connection.respond(http.HTTPStatus.OK, "")
    if request.path not in HANDLERS:
        return connection.respond(http.HTTPStatus.NOT_FOUND, "")
    return None


def process_response(connection, request, response):
    # Subscribe before the 101 is sent, so that the client misses no message after it.
    if request.path == "/ws/sub" and response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
        subscribers.add(connection)


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def publish(connection):
    async for message in connection:
        broadcast(subscribers, message)


async def subscribe(connection):
    try:
        await connection.wait_closed()
    finally:
        subscribers.discard(connection)


HANDLERS = {"/ws/echo": echo, "/ws/pub": publish, "/ws/sub": subscribe}


async def handle(connection):
    try:
        await HANDLERS[connection.request.path](connection)
    except ConnectionClosed:
        pass  # The client has disconnected.


def listen_address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--listen", type=listen_address, required=True, metavar="ADDRESS:PORT")
    host, port = arguments.parse_args().listen
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    server = serve(
        handle,
        host,
        port,
        backlog=4096,
        compression=None,
        process_request=process_request,
        process_response=process_response,
    )
    async with server as running:
        await running.serve_forever()


asyncio.run(main())
