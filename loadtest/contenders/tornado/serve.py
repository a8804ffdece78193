"""Tornado with one process on asyncio, as in its documentation.

A message published on /ws/pub is encoded once per subscriber on /ws/sub, because Tornado lacks a broadcast.
"""

import argparse
import asyncio
import contextlib

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket

BACKLOG = 4096
SUBSCRIBERS = set()


class PlaintextHandler(tornado.web.RequestHandler):
    def compute_etag(self):
        # The other contenders do not hash their answers.
        return None

    def get(self):
        self.set_header("Content-Type", "text/plain")
        self.finish(b"Hello, World!")


class JsonHandler(tornado.web.RequestHandler):
    def compute_etag(self):
        return None

    def get(self):
        self.finish('{"message":"Hello, World!"}')

    def set_default_headers(self):
        self.set_header("Content-Type", "application/json")


class EchoHandler(tornado.websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message, binary=isinstance(message, bytes))


class SubscribeHandler(tornado.websocket.WebSocketHandler):
    def open(self):
        SUBSCRIBERS.add(self)

    def on_close(self):
        SUBSCRIBERS.discard(self)

    def on_message(self, message):
        pass


class PublishHandler(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        binary = isinstance(message, bytes)
        for subscriber in SUBSCRIBERS:
            # A closed subscriber is removed by its on_close.
            with contextlib.suppress(tornado.websocket.WebSocketClosedError):
                subscriber.write_message(message, binary=binary)


def application():
    return tornado.web.Application(
        [
            ("/plaintext", PlaintextHandler),
            ("/json", JsonHandler),
            ("/ws/echo", EchoHandler),
            ("/ws/sub", SubscribeHandler),
            ("/ws/pub", PublishHandler),
        ],
        # An access log would dominate the cost of a request.
        log_function=lambda handler: None,
    )


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    host, _, port = parser.parse_args().listen.rpartition(":")
    server = tornado.httpserver.HTTPServer(application())
    server.add_sockets(tornado.netutil.bind_sockets(int(port), address=host, backlog=BACKLOG))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
