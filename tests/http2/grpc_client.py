"""A client of examples/grpc with grpcio, without generated code. Each scenario is silent on success."""

import sys

import grpc


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([0x80 | number & 0x7F])
        number >>= 7
    return out + bytes([number])


def encode(message):
    text, number = message
    text = text.encode()
    return (b"\x0a" + varint(len(text)) + text if text else b"") + (b"\x10" + varint(number) if number else b"")


def decode(data):
    text, number, at = "", 0, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = take()
        if key == 0x0A:
            length = take()
            text = data[at : at + length].decode()
            at += length
        else:
            assert key == 0x10, key
            number = take()
    return text, number


def method(channel, kind, name):
    return getattr(channel, kind)(f"/squall.Greeter/{name}", request_serializer=encode, response_deserializer=decode)


def unary(channel):
    say_hello = method(channel, "unary_unary", "SayHello")
    assert say_hello(("Ada", 0), timeout=30) == ("Hello, Ada!", 0)
    long = "x" * 1_000_000
    assert say_hello((long, 0), timeout=30) == (f"Hello, {long}!", 0)
    futures = [say_hello.future((str(number), 0), timeout=30) for number in range(300)]
    for number, future in enumerate(futures):
        assert future.result() == (f"Hello, {number}!", 0)


def errors(channel):
    for name, request, code, details in (
        ("SayHello", ("", 0), grpc.StatusCode.INVALID_ARGUMENT, "a greeting needs a name"),
        ("SayHello", ("x" * 5_000_000, 0), grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        ("Nothing", ("", 0), grpc.StatusCode.UNIMPLEMENTED, None),
    ):
        try:
            method(channel, "unary_unary", name)(request, timeout=30)
        except grpc.RpcError as error:
            assert error.code() == code, error
            assert details is None or error.details() == details, error
        else:
            raise AssertionError(f"{name} succeeded")


def replies(channel):
    count = method(channel, "unary_stream", "Count")
    assert [number for _, number in count(("", 5000), timeout=60)] == list(range(1, 5001))
    call = count(("", 1_000_000), timeout=60)
    assert next(call) == ("", 1)
    call.cancel()
    assert [number for _, number in count(("", 3), timeout=30)] == [1, 2, 3]


def conversation(channel):
    """Each request is sent when the reply to the one before has come."""
    import queue

    requests = queue.Queue()
    call = method(channel, "stream_stream", "Chat")(iter(requests.get, None), timeout=60)
    for number, word in enumerate(("one", "two", "three") * 30, 1):
        requests.put((word, 0))
        assert next(call) == (word.upper(), number)
    requests.put(None)
    assert list(call) == []
    assert call.code() == grpc.StatusCode.OK


SCENARIOS = (unary, errors, replies, conversation)
with grpc.insecure_channel(f"{sys.argv[2]}:{sys.argv[3]}") as the_channel:
    {function.__name__: function for function in SCENARIOS}[sys.argv[1]](the_channel)
