#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small TWAMP-light reflector without authentication (RFC 5357 appendix I), IPv4 and IPv6.

    reflector.py --bind ADDRESS --port PORT

It keeps no state: the answer's own sequence number is the sender's. The answer is as long as the
question, or 41 bytes if that is longer (RFC 5357 4.2.1). As a module: answer() makes the bytes.
"""
import argparse
import ipaddress
import socket
import struct
import sys
import time

NTP_OF_1970 = 2208988800
SENDER = struct.Struct('!IQH')  # sequence number, timestamp, error estimate
REFLECTED = struct.Struct('!IQHHQIQHHB')
ERROR = 0x1401  # not known to be right: scale 20, multiplier 1, about 0.25 ms
IP_RECVTTL, IPV6_RECVHOPLIMIT = 12, 51
IP_TTL, IPV6_HOPLIMIT = 2, 52


def ntp(seconds):
    whole = int(seconds)
    return (whole + NTP_OF_1970) << 32 | int((seconds - whole) * (1 << 32))


def answer(question, ttl, received):
    """The reflector's packet; None for what is no sender's packet."""
    if len(question) < SENDER.size:
        return None
    seq, stamp, error = SENDER.unpack_from(question)
    head = REFLECTED.pack(seq, ntp(time.time()), ERROR, 0, ntp(received), seq, stamp, error, 0,
                          ttl)
    padding = question[SENDER.size:]
    return head + padding[:max(0, len(question) - len(head))]


def ttl_of(extra):
    """TTL or hop limit of a received packet; 255 when it is not known (RFC 5357 4.2.1)."""
    for level, kind, value in extra:
        if (level, kind) in ((socket.IPPROTO_IP, IP_TTL), (socket.IPPROTO_IPV6, IPV6_HOPLIMIT)):
            return struct.unpack('i', value[:4])[0]
    return 255


def listen(address, port):
    six = ipaddress.ip_address(address).version == 6
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    if six:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    else:
        s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    s.bind((address, port))
    return s


def reflect_one(s):
    data, extra, _, sender = s.recvmsg(65536, 256)
    packet = answer(data, ttl_of(extra), time.time())
    if packet is not None:
        try:
            s.sendto(packet, sender)
        except OSError as e:  # the way back is broken just now: that is what is measured
            print(f'reflector: {sender[0]}: {e}', file=sys.stderr)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--bind', required=True)
    p.add_argument('--port', type=int, default=862)
    args = p.parse_args()
    s = listen(args.bind, args.port)
    print('ready', flush=True)
    while True:
        reflect_one(s)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        pass
