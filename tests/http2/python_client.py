"""A client of HTTP/2 with Python's h2, which shares no code with Squall. Each scenario is silent on success."""

import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings


class Client:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.flush()
        self.answers = {}
        self.acknowledged = 0

    def set(self, *changes):
        """Sends settings, and waits until the server has acknowledged them with all earlier ones."""
        for change in changes:
            self.h2.update_settings(change)
        self.flush()
        self.settle(1 + len(changes))

    def settle(self, count):
        while self.acknowledged < count:
            self.receive()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, method, path, body=None, fields=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=end and body is None)
        self.answers[stream] = {"status": None, "body": b"", "trailers": None, "ended": False, "reset": None}
        self.flush()
        if body is not None:
            self.send(stream, body, end)
        return stream

    def send(self, stream, body, end=True):
        sent = 0
        while sent < len(body):
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body) - sent)
            if room == 0:
                self.receive()
                continue
            self.h2.send_data(stream, body[sent : sent + room])
            sent += room
            self.flush()
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def receive(self):
        data = self.socket.recv(65536)
        assert data, "the server closed the connection"
        for event in self.h2.receive_data(data):
            self.acknowledged += isinstance(event, h2.events.SettingsAcknowledged)
            answer = self.answers.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                answer["fields"] = dict(event.headers)
                answer["status"] = int(answer["fields"][b":status"])
            elif isinstance(event, h2.events.DataReceived):
                answer["body"] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                answer["trailers"] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                answer["ended"] = True
            elif isinstance(event, h2.events.StreamReset):
                answer["reset"] = event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                assert event.error_code == 0, event
        self.flush()

    def wait(self, *streams):
        while not all(self.answers[stream]["ended"] for stream in streams):
            self.receive()
        return [self.answers[stream] for stream in streams]


def streams(host, port):
    client = Client(host, port)
    for _ in range(5):
        ids = [client.request("GET", f"/p/{index}") for index in range(100)]
        for index, answer in enumerate(client.wait(*ids)):
            assert answer["status"] == 200 and answer["body"] == str(index).encode(), answer


def upload(host, port):
    client = Client(host, port)
    body = bytes(range(256)) * 10_000
    (answer,) = client.wait(client.request("POST", "/echo", body))
    assert answer["body"] == body
    (answer,) = client.wait(client.request("POST", "/echo", b"abc", [("content-length", "3")]))
    assert answer["body"] == b"abc"


def download(host, port):
    client = Client(host, port)
    one, other = client.request("GET", "/big?n=3000000"), client.request("GET", "/big?n=3000000")
    for answer in client.wait(one, other):
        assert len(answer["body"]) == 3_000_000


def cancel(host, port):
    client = Client(host, port)
    ids = [client.request("GET", "/big?n=1000000") for _ in range(30)]
    for stream in ids[::2]:
        client.h2.reset_stream(stream, error_code=8)
    client.flush()
    for answer in client.wait(*ids[1::2]):
        assert len(answer["body"]) == 1_000_000


def trailers(host, port):
    client = Client(host, port)
    stream = client.request("POST", "/echo", b"content", [("te", "trailers")], end=False)
    client.h2.send_headers(stream, [("x-checksum", "7")], end_stream=True)
    client.flush()
    (answer,) = client.wait(stream)
    assert answer["body"] == b"content", answer


def small_windows(host, port):
    client = Client(host, port)
    client.set({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1})
    (answer,) = client.wait(client.request("GET", "/stream"))
    assert answer["body"] == b"onetwothree"


def small_tables(host, port):
    """h2 raises if a block behind the acknowledgement does not begin with the size of its table."""
    size = h2.settings.SettingCodes.HEADER_TABLE_SIZE
    for changes in ([{size: 0}], [{size: 100}], [{size: 0}, {size: 4096}], [{size: 4096}], [{size: 65536}]):
        client = Client(host, port)
        client.wait(client.request("GET", "/"))
        client.set(*changes)
        for _ in range(3):
            (answer,) = client.wait(client.request("GET", "/"))
            assert answer["status"] == 200, answer
    # The request is under way when the setting comes, and so may be its answer. h2 takes any acknowledgement for that of
    # its oldest change, so that of the first SETTINGS comes before.
    client = Client(host, port)
    client.settle(1)
    for step in range(50):
        stream = client.request("GET", "/")
        client.h2.update_settings({size: step * 100 % 512})
        client.flush()
        (answer,) = client.wait(stream)
        assert answer["status"] == 200, answer


def frame(first, payload):
    """A frame of a client, masked with zeros; at most 125 bytes."""
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def connect(client, *fields):
    """RFC 8441: a CONNECT with a protocol, answered 200 without the fields of an upgrade."""
    stream = client.h2.get_next_available_stream_id()
    head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/ws/echo"),
        ("sec-websocket-version", "13"),
        ("origin", "http://localhost"),
        *fields,
    ]
    client.h2.send_headers(stream, head)
    answer = client.answers[stream] = {"status": None, "body": b"", "ended": False, "reset": None}
    client.flush()
    while answer["status"] is None:
        client.receive()
    assert answer["status"] == 200, answer
    for absent in (b"sec-websocket-accept", b"upgrade", b"connection", b"content-length", b"content-type"):
        assert absent not in answer["fields"], answer
    return stream, answer


def websocket(host, port):
    client = Client(host, port)
    client.settle(1)
    assert client.h2.remote_settings.enable_connect_protocol == 1
    _, answer = connect(client, ("sec-websocket-extensions", "permessage-deflate"))
    assert answer["fields"][b"sec-websocket-extensions"].startswith(b"permessage-deflate"), answer
    stream, answer = connect(client, ("sec-websocket-protocol", "other, echo"))
    assert answer["fields"][b"sec-websocket-protocol"] == b"echo", answer
    for number in range(300):
        client.send(stream, frame(0x81, b"message %d" % number), end=False)
    expected = b"".join(b"\x81" + bytes([len(text)]) + text for text in (b"message %d" % n for n in range(300)))
    while len(answer["body"]) < len(expected):
        client.receive()
    assert answer["body"] == expected
    client.send(stream, frame(0x88, (1000).to_bytes(2, "big")))
    client.wait(stream)
    assert answer["body"] == expected + b"\x88\x02\x03\xe8" and answer["reset"] is None, answer


SCENARIOS = (streams, upload, download, cancel, trailers, small_windows, small_tables, websocket)
{function.__name__: function for function in SCENARIOS}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
