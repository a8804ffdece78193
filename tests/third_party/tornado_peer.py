"""Tornado and the conformance example share a site: `tornado_peer.py SCENARIO ws://ADDRESS`, silent and 0 if all is as it should be.

Both have the same cookie secret. What one of them sets, the other reads, over HTTP.
"""

import asyncio
import json
import sys
import time
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, create_signed_value

SECRET = "the secret that Tornado and Squall share"
ROTATED = {1: SECRET + "-1", 7: SECRET + "-7"}
VALUES = ["ada", "", "a=b", "a;b,c", 'a "b" \\c', "\u00e9\u0416\U0001f327", "x" * 2000]

squall = sys.argv[2].replace("ws://", "http://")


class Cookie(RequestHandler):
    def get(self):
        value = self.get_cookie("s")
        self.write(json.dumps({"value": value}))

    def post(self):
        self.set_cookie("s", self.get_argument("value", strip=False))


class Signed(RequestHandler):
    def get(self):
        value = self.get_signed_cookie("s")
        value = None if value is None else value.decode("utf-8")
        self.write(json.dumps({"value": value, "key_version": self.get_signed_cookie_key_version("s")}))

    def post(self):
        self.set_signed_cookie("s", self.get_argument("value", strip=False))


class Xsrf(RequestHandler):
    def get(self):
        self.write(self.xsrf_token)

    def post(self):
        self.write("ok")


def serve(handler, **settings):
    """Serves a handler by Tornado on a free port, and returns its URL."""
    server = HTTPServer(Application([("/", handler)], **settings))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return "http://127.0.0.1:%d/" % sockets[0].getsockname()[1]


async def fetch(url, cookie=None, **options):
    headers = options.pop("headers", {})
    if cookie is not None:
        headers["Cookie"] = cookie
    return await AsyncHTTPClient().fetch(url, headers=headers, raise_error=False, **options)


def cookies(response):
    """The Cookie field that a browser sends after this response."""
    return "; ".join(line.split(";")[0] for line in response.headers.get_list("Set-Cookie"))


async def post(url, **fields):
    body = "&".join(f"{name}={quote(value)}" for name, value in fields.items())
    response = await fetch(url, method="POST", body=body)
    assert response.code == 200, response
    return cookies(response)


async def read(url, cookie):
    response = await fetch(url, cookie)
    assert response.code == 200, (response, response.body)
    return json.loads(response.body)


async def plain():
    """Cookies that either sets are read by the other."""
    tornado = serve(Cookie)
    for value in VALUES:
        response = await fetch(f"{squall}/cookie/set?name=s&value={quote(value)}")
        assert response.code == 200, (value, response)
        # Tornado reads a field as Latin-1, so characters beyond it do not survive there.
        if all(ord(character) < 256 for character in value):
            assert (await read(tornado, cookies(response)))["value"] == value, value
            if " " not in value:
                assert (await read(squall + "/cookie/get?name=s", await post(tornado, value=value)))["value"] == value, value


async def signed():
    """Signed values that either makes are valid for the other, with one secret and with several."""
    for path, settings in [
        ("/signed", {"cookie_secret": SECRET}),
        ("/rotated", {"cookie_secret": ROTATED, "key_version": 7}),
    ]:
        tornado = serve(Signed, **settings)
        for value in VALUES:
            ours = await fetch(f"{squall}{path}/set?name=s&value={quote(value)}")
            answer = await read(tornado, cookies(ours))
            assert answer["value"] == value, (path, value, answer)
            assert answer["key_version"] == settings.get("key_version", 0), answer
            theirs = await post(tornado, value=value)
            assert (await read(f"{squall}{path}/get?name=s", theirs))["value"] == value, (path, value)


async def refused():
    """What Tornado signed long ago, in version 1, under another name or with another secret is refused."""
    old = time.time() - 32 * 24 * 60 * 60
    for made in [
        create_signed_value(SECRET, "s", "v", version=1),
        create_signed_value(SECRET, "s", "v", clock=lambda: old),
        create_signed_value(SECRET, "t", "v"),
        create_signed_value("another", "s", "v"),
        create_signed_value(SECRET, "s", b"\xe9"),
        create_signed_value(ROTATED, "s", "v", key_version=7),
    ]:
        answer = await read(squall + "/signed/get?name=s", "s=" + made.decode())
        assert answer["value"] is None, made
    first = create_signed_value(ROTATED, "s", "v", key_version=1)
    assert (await read(squall + "/rotated/get?name=s", "s=" + first.decode()))["value"] == "v"


async def xsrf():
    """A page of either has a token that the other accepts with the same cookie."""
    for version in (1, 2):
        tornado = serve(Xsrf, xsrf_cookies=True, xsrf_cookie_version=version)
        for made, checked in [(tornado, squall + "/xsrf"), (squall + "/xsrf", tornado)]:
            page = await fetch(made)
            cookie, token = cookies(page), page.body.decode()
            again = (await fetch(checked, cookie)).body.decode()
            assert version == 1 or again != token
            for sent in (token, again):
                fields = {"headers": {"X-Xsrftoken": sent}, "body": ""}
                for options in (fields, {"body": "_xsrf=" + quote(sent)}):
                    answer = await fetch(checked, cookie, method="POST", **options)
                    assert answer.code == 200, (version, checked, answer, answer.body)
            answer = await fetch(checked, cookie, method="POST", body="_xsrf=" + "0" * 32)
            assert answer.code == 403, answer


asyncio.run(globals()[sys.argv[1]]())
