# SPDX-License-Identifier: BSD-3-Clause
"""A flood of fragments from the Internet side (F16): none is held, none opened, none sent."""
import os
import random
import time

import frames as f
from casebed import PEER, US, Gateway
from table import Case, Wrong, far_to_host, host_to_far

LONG = os.environ.get('SPW_LONG') == '1'
SECONDS = 1800 if LONG else 1


def fragment(rng, total):
    """A fragment as attackers make them: tiny, overlapping, teardrop, beyond 64 K."""
    at, flags = rng.choice(((0, f.MF), (8, 0), (rng.randrange(0, 8000, 8), f.MF),
                            (65528 - 8 * rng.randrange(4), 0), (24, f.MF), (16, 0)))
    return f.ip4(PEER, US, rng.choice((f.ESP, f.UDP, f.TCP, f.ICMP)),
                 rng.randbytes(rng.choice((0, 1, 4, 8, 24, total))), ident=rng.randrange(4),
                 flags=flags, offset=at)


def fragment_flood(gw):
    """F16: fragments of ESP and of anything: none is held, none opened, and we send none."""
    child, rng = gw.child(), random.Random(16)
    base = gw.control.call('GET_STATUS')[0].mbufs_in_use
    start, sent = time.monotonic(), 0
    while time.monotonic() - start < SECONDS:
        live = [far_to_host(size=200, ident=i) for i in range(20)]
        frames = []
        for i in range(200):
            frames.append(child.frame(live[i // 10]) if i % 10 == 5 else
                          gw.from_wan(fragment(rng, 600)))
        result = gw.exchange(frames)
        if result.lan != [f.routed(p) for p in live] or result.wan:
            raise Wrong(f'{len(result.lan)} of 20, {len(result.wan)} sent, {result.drops}')
        if set(result.drops) - {'esp-fragment', 'iface-down', 'punt-rate', 'runt', 'natt-short'}:
            raise Wrong(f'{result.drops}')
        out = [host_to_far(size=n, ident=n) for n in (100, 1400, 1500, 1401)]
        for packet in gw.exchange([gw.from_lan(p) for p in out]).wan:
            child.open(packet)          # asks that no outer packet is a fragment
        sent += 180
    if gw.control.call('GET_STATUS')[0].mbufs_in_use != base:
        raise Wrong('fragments are held')
    print(f'# F16: {sent} fragments')
    child.delete()


def cases(_):
    return [Case('ESP-46 P1 F16 a flood of fragments is dropped, none held, none sent', fragment_flood)]


def families():
    yield Gateway, cases
