# SPDX-License-Identifier: BSD-3-Clause
"""A BFD peer for tests, written apart from the product: it answers over a raw socket on the far end
of a port, in a thread of its own, and keeps what it heard."""
import ipaddress
import select
import socket
import struct
import threading
import time

import bed

ADMIN_DOWN, DOWN, INIT, UP = range(4)
POLL, FINAL, AUTH, DEMAND, MULTIPOINT = 0x20, 0x10, 0x04, 0x02, 0x01
BFD = struct.Struct('!BBBBIIIII')
ETH_P_ALL, PACKET_OUTGOING, SO_RCVBUFFORCE = 3, 4, 33
SOL_PACKET, PACKET_AUXDATA = 263, 8


def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(src, dst, payload, ttl=255, sport=50001, dport=3784):
    """IP packet with UDP, both checksums right."""
    s, d = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    udp = struct.pack('!HHHH', sport, dport, 8 + len(payload), 0) + payload
    csum = checksum(s + d + struct.pack('!II', len(udp), 17) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack('!H', csum) + udp[8:]
    if len(s) == 16:
        return struct.pack('!IHBB', 0x6C000000, len(udp), 17, ttl) + s + d + udp
    ip = struct.pack('!BBHHHBBH', 0x45, 0xC0, 20 + len(udp), 0, 0, ttl, 17, 0) + s + d
    return ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:] + udp


def control(state, my, your, min_tx=50000, min_rx=50000, mult=3, flags=0, diag=0, version=1,
            length=24, extra=b''):
    return BFD.pack(version << 5 | diag, state << 6 | flags, mult, length, my, your, min_tx, min_rx,
                    0) + extra


class Heard:
    """A packet of the data plane."""

    def __init__(self, at, frame):
        self.at = at
        self.six = frame[12:14] == b'\x86\xdd'
        ip = frame[14:]
        udp = 40 if self.six else 20
        self.ttl = ip[7 if self.six else 8]
        self.tos = (struct.unpack('!H', ip[:2])[0] >> 4) & 0xFF if self.six else ip[1]
        self.sport, self.dport = struct.unpack('!HH', ip[udp:udp + 4])
        (vd, sf, self.mult, self.length, self.my, self.your, self.min_tx, self.min_rx,
         self.min_echo) = BFD.unpack(ip[udp + 8:udp + 32])
        self.version, self.diag, self.state, self.flags = vd >> 5, vd & 31, sf >> 6, sf & 63


class Peer(threading.Thread):
    """Sends every `period` seconds, and follows the states of RFC 5880."""

    def __init__(self, wire, mac, ours, theirs, period=0.02, my=0x5EED, vlan=0, **timers):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.bind((wire.name, ETH_P_ALL))
        self.tag = struct.pack('!HH', 0x8100, vlan) if vlan else b''
        packed = ipaddress.ip_address(ours).packed
        self.kind = b'\x86\xdd' if len(packed) == 16 else b'\x08\x00'
        self.ether = bytes.fromhex(mac.replace(':', '')) + \
            bytes.fromhex(wire.mac.replace(':', '')) + self.tag + self.kind
        self.theirs_packed = ipaddress.ip_address(theirs).packed
        self.ours, self.theirs, self.period, self.my, self.timers = ours, theirs, period, my, timers
        self.your, self.state, self.flags, self.diag = 0, DOWN, 0, 0
        self.silent, self.stopped, self.fixed = False, False, None
        self.heard, self.sent_at = [], []
        self.start()

    def send(self, payload, **ip):
        self.sock.send(self.ether + datagram(self.ours, self.theirs, payload, **ip))

    def speak(self, flags=0):
        state = self.state if self.fixed is None else self.fixed
        self.send(control(state, self.my, self.your, flags=flags | self.flags, diag=self.diag,
                          **self.timers))
        self.sent_at.append(time.monotonic())

    def untagged(self, frame, extra):
        """The frame without its tag, when it is the one that it must have; else nothing of it."""
        frame = bed.Wire.tagged(frame, extra)
        if frame[12:14] != b'\x81\x00' and not self.tag:
            return frame
        return frame[:12] + frame[16:] if self.tag and frame[12:16] == self.tag else b''

    def of_dataplane(self, frame):
        if frame[12:14] != self.kind:
            return False
        ip = frame[14:]
        if self.kind == b'\x08\x00':
            return ip[9] == 17 and ip[12:16] == self.theirs_packed and ip[22:24] == b'\x0e\xc8'
        return ip[6] == 17 and ip[8:24] == self.theirs_packed and ip[42:44] == b'\x0e\xc8'

    def hear(self, h):
        self.heard.append(h)
        if self.silent:
            return
        self.your = h.my
        if h.state == ADMIN_DOWN:
            self.state = DOWN
        elif self.state == DOWN:
            self.state = {DOWN: INIT, INIT: UP}.get(h.state, DOWN)
        elif self.state == INIT:
            self.state = UP if h.state in (INIT, UP) else INIT
        elif h.state == DOWN:
            self.state = DOWN
        if h.flags & POLL:
            self.speak(FINAL)

    def run(self):
        due = time.monotonic()
        while not self.stopped:
            now = time.monotonic()
            if now >= due:
                if not self.silent:
                    self.speak()
                due = now + self.period
            if not select.select([self.sock], [], [], max(0, due - time.monotonic()))[0]:
                continue
            frame, extra, _, (_, _, kind, *_) = self.sock.recvmsg(2048, 64)
            frame = self.untagged(frame, extra)
            if kind != PACKET_OUTGOING and self.of_dataplane(frame):
                self.hear(Heard(time.monotonic(), frame))

    def restart(self):
        """As a process that has forgotten everything."""
        self.my += 1
        self.your, self.state, self.silent = 0, DOWN, False

    def gap(self, since):
        """Our own longest silence since then: what the data plane cannot be blamed for."""
        at = [t for t in self.sent_at if t >= since] + [time.monotonic()]
        return max((b - a for a, b in zip(at, at[1:])), default=0)

    def close(self):
        self.stopped = True
        self.join()
        self.sock.close()
