# SPDX-License-Identifier: BSD-3-Clause
"""As much of strongSwan's vici protocol as loading and steering connections takes.

A packet is a length (4 bytes, big-endian), a type, a name where the type has one, and a message: a
tree of sections, lists and values, here a dict whose values are dicts, lists or strings.
"""
import socket
import struct

REQUEST, RESPONSE = 0, 1
SECTION, SECTION_END, KEY_VALUE, LIST, LIST_ITEM, LIST_END = range(1, 7)


class ViciError(Exception):
    """charon refused a command, or is gone."""


def _name(text):
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _value(text):
    raw = str(text).encode()
    return struct.pack(">H", len(raw)) + raw


def encode(tree):
    out = b""
    for key, value in tree.items():
        if isinstance(value, dict):
            out += bytes((SECTION,)) + _name(key) + encode(value) + bytes((SECTION_END,))
        elif isinstance(value, (list, tuple)):
            items = b"".join(bytes((LIST_ITEM,)) + _value(item) for item in value)
            out += bytes((LIST,)) + _name(key) + items + bytes((LIST_END,))
        else:
            out += bytes((KEY_VALUE,)) + _name(key) + _value(value)
    return out


class _Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, count):
        self.at += count
        return self.raw[self.at - count:self.at]

    def name(self):
        return self.take(self.take(1)[0]).decode()

    def value(self):
        return self.take(struct.unpack(">H", self.take(2))[0]).decode(errors="replace")

    def tree(self):
        found = {}
        while self.at < len(self.raw):
            kind = self.take(1)[0]
            if kind == SECTION_END:
                break
            key = self.name()
            if kind == SECTION:
                found[key] = self.tree()
            elif kind == KEY_VALUE:
                found[key] = self.value()
            elif kind == LIST:
                found[key] = []
                while self.take(1)[0] == LIST_ITEM:
                    found[key].append(self.value())
        return found


class Vici:
    """One connection to a charon; commands one after another."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(path)

    def _take(self, count):
        raw = b""
        while len(raw) < count:
            part = self.sock.recv(count - len(raw))
            if not part:
                raise ViciError("charon closed the connection")
            raw += part
        return raw

    def call(self, command, **message):
        packet = bytes((REQUEST,)) + _name(command) + encode(message)
        self.sock.sendall(struct.pack(">I", len(packet)) + packet)
        raw = self._take(struct.unpack(">I", self._take(4))[0])
        if raw[0] != RESPONSE:
            raise ViciError(f"charon does not know the command {command}")
        answer = _Reader(raw[1:]).tree()
        if answer.get("success") == "no":
            raise ViciError(f"{command}: {answer.get('errmsg', 'refused')}")
        return answer

    def close(self):
        self.sock.close()
