# SPDX-License-Identifier: BSD-3-Clause
"""Frames and packets as bytes, built and judged by the standards alone: nothing of the product and
no packet library is used, so that every odd length and wrong field can be said. Numbers that are
None are what a sound packet has; anything else is written as given."""
import ipaddress
import struct

ETH4, ETH6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
ICMP, TCP, UDP, ESP, ICMP6 = 1, 6, 17, 50, 58
DF, MF = 0x4000, 0x2000


def packed(address):
    return ipaddress.ip_address(address).packed


def mac_bytes(text):
    return bytes.fromhex(text.replace(':', ''))


def csum(data):
    """Internet checksum (RFC 1071): 0 over data that holds a right one."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def eth(dst, src, ethertype, payload, tags=()):
    """tags: (TPID, TCI) from the outside."""
    tag = b''.join(struct.pack('!HH', *t) for t in tags)
    return mac_bytes(dst) + mac_bytes(src) + tag + struct.pack('!H', ethertype) + payload


def ip4(src, dst, proto=UDP, payload=b'', ttl=64, tos=0, ident=0x1234, flags=0, offset=0,
        options=b'', total=None, ihl=None, version=4, check=None):
    """offset in octets; options are padded to words by end-of-list."""
    options += b'\0' * (-len(options) % 4)
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack('!BBHHHBBH', version << 4 | words, tos, length & 0xFFFF, ident,
                       flags | offset // 8, ttl, proto, 0) + packed(src) + packed(dst) + options
    c = csum(head) if check is None else check
    return head[:10] + struct.pack('!H', c) + head[12:] + payload


def ip6(src, dst, proto=UDP, payload=b'', ttl=64, tos=0, flow=0, length=None, version=6):
    n = len(payload) if length is None else length
    return (struct.pack('!IHBB', version << 28 | tos << 20 | flow, n, proto, ttl) +
            packed(src) + packed(dst) + payload)


def ip(src, dst, *args, **kw):
    """Either family, by the address."""
    return (ip6 if ':' in dst else ip4)(src, dst, *args, **kw)


def pseudo(src, dst, proto, length):
    s, d = packed(src), packed(dst)
    if len(s) == 4:
        return s + d + struct.pack('!BBH', 0, proto, length)
    return s + d + struct.pack('!IHBB', length, 0, 0, proto)


def udp(sport, dport, payload=b'', length=None, ends=None):
    """ends: (source, destination) for a checksum; without them it is 0."""
    n = 8 + len(payload) if length is None else length
    data = struct.pack('!HHHH', sport, dport, n, 0) + payload
    if ends is None:
        return data
    c = csum(pseudo(*ends, UDP, len(data)) + data) or 0xFFFF
    return data[:6] + struct.pack('!H', c) + data[8:]


def tcp(sport, dport, flags, options=b'', payload=b'', ends=None, words=None):
    """options as they are; they must fill words unless `words` says otherwise."""
    w = 5 + len(options) // 4 if words is None else words
    data = struct.pack('!HHIIBBHHH', sport, dport, 1000, 0, w << 4, flags, 8192, 0, 0)
    data += options + payload
    if ends is None:
        return data
    return data[:16] + struct.pack('!H', csum(pseudo(*ends, TCP, len(data)) + data)) + data[18:]


def icmp4(kind, code, rest=b'\0\0\0\0', payload=b''):
    data = struct.pack('!BBH', kind, code, 0) + rest + payload
    return data[:2] + struct.pack('!H', csum(data)) + data[4:]


def icmp6(kind, code, rest, payload, ends):
    data = struct.pack('!BBH', kind, code, 0) + rest + payload
    return data[:2] + struct.pack('!H', csum(pseudo(*ends, ICMP6, len(data)) + data)) + data[4:]


def version(packet):
    return packet[0] >> 4


def header_len(packet):
    return 40 if version(packet) == 6 else (packet[0] & 15) * 4


def proto_of(packet):
    return packet[6] if version(packet) == 6 else packet[9]


def tos_of(packet):
    if version(packet) == 6:
        return (packet[0] & 15) << 4 | packet[1] >> 4
    return packet[1]


def ttl_of(packet):
    return packet[7] if version(packet) == 6 else packet[8]


def ends_of(packet):
    at, n = (8, 16) if version(packet) == 6 else (12, 4)
    return tuple(str(ipaddress.ip_address(packet[at + i * n:at + (i + 1) * n])) for i in (0, 1))


def header_ok(packet):
    """A sound header whose length is the packet's."""
    if version(packet) == 6:
        return len(packet) == 40 + struct.unpack('!H', packet[4:6])[0]
    return (csum(packet[:header_len(packet)]) == 0 and
            len(packet) == struct.unpack('!H', packet[2:4])[0])


def mended(packet):
    """The packet with its IPv4 header checksum made right."""
    if version(packet) == 6:
        return packet
    n = header_len(packet)
    head = packet[:10] + b'\0\0' + packet[12:n]
    return head[:10] + struct.pack('!H', csum(head)) + head[12:] + packet[n:]


def with_ttl(packet, ttl):
    at = 7 if version(packet) == 6 else 8
    return mended(packet[:at] + bytes([ttl]) + packet[at + 1:])


def with_tos(packet, tos):
    if version(packet) == 6:
        head = packet[0] & 0xF0 | tos >> 4, (tos & 15) << 4 | packet[1] & 15
        return bytes(head) + packet[2:]
    return mended(packet[:1] + bytes([tos]) + packet[2:])


def routed(packet, times=1):
    """What a router that forwards the packet `times` times makes of it."""
    return with_ttl(packet, (ttl_of(packet) - times) % 256)


def filled(n, seed=1):
    """n octets that differ from place to place and from seed to seed."""
    return bytes((i * 167 + seed * 59 + (i >> 8) * 13) & 0xFF for i in range(n))


def with_tcp_mss(packet, mss):
    """A SYN with the value of its first MSS option replaced and the checksum made right."""
    n = header_len(packet)
    seg = packet[n:]
    at = seg.index(b'\x02\x04', 20)
    seg = seg[:at + 2] + struct.pack('!H', mss) + seg[at + 4:]
    seg = seg[:16] + b'\0\0' + seg[18:]
    c = csum(pseudo(*ends_of(packet), TCP, len(seg)) + seg)
    return packet[:n] + seg[:16] + struct.pack('!H', c) + seg[18:]
