#!/usr/bin/env python3
"""A rondo client in one small class, written from docs/spec/wire.md alone, with nothing but the standard library.

    python3 rondo_client.py HOST PORT      puts, gets, deletes and merges siblings; exit status 0 if all of it is right

The node routes: any node takes any key, so this client needs no tokens and no topology.
"""

import os
import socket
import struct
import sys

CRC_TABLE = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    CRC_TABLE.append(number)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


HELLO, PING, GET, PUT, DELETE = 0x01, 0x02, 0x10, 0x11, 0x12
HELLO_REPLY, PONG, DATA_REPLY, ERROR = 0x41, 0x42, 0x50, 0x7F
FOUND, NOT_FOUND, STORED, REFUSED, UNKNOWN = 1, 2, 3, 4, 5
DEFAULT, ONE, QUORUM, ALL = 0, 253, 254, 255
BAD_KEY, UNKNOWN_KEYSPACE = 5, 4


def frame(opcode, request_id, body):
    head = struct.pack("<HBBIIHH", 0x4452, 1, opcode, len(body), request_id, 0, 0)
    return head + struct.pack("<I", crc32c(head + body)) + body


class Answer:
    def __init__(self, body):
        self.status, self.versions, self.refusal, self.retry_after_millis = struct.unpack_from("<BBHI", body, 0)
        self.epoch, self.node, self.replicas, self.required, self.answered, self.flags = struct.unpack_from("<QIBBBB", body, 8)
        context_bytes, count = struct.unpack_from("<II", body, 24)
        self.context, at, self.values = body[32:32 + context_bytes], 32 + context_bytes, []
        for _ in range(count):
            (length,) = struct.unpack_from("<I", body, at)
            self.values.append(body[at + 4:at + 4 + length])
            at += 4 + length
        assert at == len(body), "bytes left over"


class Client:
    def __init__(self, host, port):
        self.socket, self.request_id = socket.create_connection((host, port), timeout=10), 0
        name = b"rondo_client.py"
        opcode, self.hello = self.ask(HELLO, struct.pack("<BBHBBH", 1, 1, 0xFFFF, 0, len(name), 0) + name)
        assert opcode == HELLO_REPLY and self.hello[0] == 1

    def receive(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise ConnectionError("the node closed the connection")
            data += piece
        return data

    def ask(self, opcode, body):
        self.request_id += 1
        self.socket.sendall(frame(opcode, self.request_id, body))
        head = self.receive(20)
        magic, version, opcode, length, request_id, _, _, crc = struct.unpack("<HBBIIHHI", head)
        body = self.receive(length)
        assert (magic, version, crc) == (0x4452, 1, crc32c(head[:16] + body)), "not a rondo frame"
        if opcode == ERROR:
            raise RuntimeError(body[6:].decode())
        assert request_id == self.request_id, "one request at a time, so one id to expect"
        return opcode, body

    def data(self, opcode, keyspace, key, runs, level, timeout_millis):
        keyspace, key = (text.encode() if isinstance(text, str) else text for text in (keyspace, key))
        runs = [struct.pack("<H", len(keyspace)) + keyspace + key] + runs
        lengths = b"".join(struct.pack("<I", len(run)) for run in runs)
        opcode, body = self.ask(opcode, struct.pack("<BBHI", level, 0, 0, timeout_millis) + lengths + b"".join(runs))
        assert opcode == DATA_REPLY
        return Answer(body)

    def get(self, key, keyspace="default", level=QUORUM, timeout_millis=0):
        return self.data(GET, keyspace, key, [], level, timeout_millis)

    def put(self, key, value, context=b"", keyspace="default", level=QUORUM, timeout_millis=0):
        return self.data(PUT, keyspace, key, [context, value], level, timeout_millis)

    def delete(self, key, context=b"", keyspace="default", level=QUORUM, timeout_millis=0):
        return self.data(DELETE, keyspace, key, [context], level, timeout_millis)


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"FAILED {what}: found {found!r}, expected {expected!r}")
    print(f"ok     {what}")


def check_one_version(client, key):
    expect("a key nobody wrote is not found", client.get(key).status, NOT_FOUND)
    expect("a put is stored", client.put(key, b"one").status, STORED)
    found = client.get(key)
    expect("a get finds it", (found.status, found.values), (FOUND, [b"one"]))
    expect("a put with its context is stored", client.put(key, b"\x00two\xff", found.context).status, STORED)
    expect("and found", client.get(key).values, [b"\x00two\xff"])
    expect("an empty value is a value", client.put(key, b"").status, STORED)
    expect("and found as one", (client.get(key).status, client.get(key).values), (FOUND, [b""]))
    expect("a delete is stored", client.delete(key).status, STORED)
    gone = client.get(key)
    expect("and the key is gone, with a context", (gone.status, gone.values, gone.context != b""), (NOT_FOUND, [], True))


def check_refusals(client, key):
    refused = client.put(b"", b"value")
    expect("an empty key is refused", (refused.status, refused.refusal), (REFUSED, BAD_KEY))
    refused = client.get(key, keyspace="no-such-keyspace")
    expect("an unknown keyspace is refused", (refused.status, refused.refusal), (REFUSED, UNKNOWN_KEYSPACE))
    expect("the connection goes on", client.ask(PING, b"tick"), (PONG, b"tick"))


def check_siblings(client, key):
    first = client.put(key, b"a", keyspace="siblings")
    if (first.status, first.refusal) == (REFUSED, UNKNOWN_KEYSPACE):
        return print("skip   no keyspace called siblings here")
    expect("a first sibling is stored", (first.status, first.versions), (STORED, 1))
    second = client.put(key, b"b", keyspace="siblings")
    expect("a blind put is stored beside it", second.status, STORED)
    both = client.get(key, keyspace="siblings")
    expect("a get shows both", sorted(both.values), [b"a", b"b"])
    merged = client.put(key, b"a+b", both.context, keyspace="siblings")
    expect("a put with the context merges them", (merged.status, merged.versions), (STORED, 1))
    expect("and one is left", client.get(key, keyspace="siblings").values, [b"a+b"])
    expect("a delete with the context deletes", client.delete(key, merged.context, "siblings").status, STORED)
    expect("and it is gone", client.get(key, keyspace="siblings").status, NOT_FOUND)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    expect("CRC32C of 123456789", crc32c(b"123456789"), 0xE3069283)
    client, key = Client(sys.argv[1], int(sys.argv[2])), b"python/" + os.urandom(8)
    check_one_version(client, key)
    check_refusals(client, key)
    check_siblings(client, key)
    print("all is well")


if __name__ == "__main__":
    main()
