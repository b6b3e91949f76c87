# SPDX-License-Identifier: BSD-3-Clause
"""Floods of ESP from the Internet side (F12): a legitimate flow between them loses nothing, counters add
up, the log stays short, no window moves, no buffer stays behind."""
import os
import random
import struct
import time

import frames as f
from casebed import PEER, US, Gateway
from table import Case, Wrong, far_to_host, host_to_far

LONG = os.environ.get('SPW_LONG') == '1'
SECONDS = 1800 if LONG else 1


def malformed(gw, child, rng):
    """One ESP frame that must not pass: an unknown SPI, a bad tag under a live SPI and any number, a
    runt, or authentic nonsense."""
    kind = rng.randrange(7)
    inner = far_to_host(size=rng.randrange(60, 250))
    if kind == 0:
        return gw.from_wan(child.outer(struct.pack('!I', rng.randrange(256, 1 << 28)) +
                                       rng.randbytes(rng.randrange(36, 400) & ~3)))
    if kind == 1:
        bad = bytearray(child.esp(inner, seq=rng.randrange(1, 1 << 32)))
        bad[-1 - rng.randrange(16)] ^= 1 << rng.randrange(8)
        return gw.from_wan(child.outer(bytes(bad)))
    if kind == 2:
        return gw.from_wan(child.outer(rng.randbytes(rng.randrange(1, 36))))
    if kind == 3:
        return child.frame(inner, pad_len=255)
    if kind == 4:
        return child.frame(inner, next_header=rng.choice((0, 6, 17, 50, 255)))
    if kind == 5:
        return child.frame(inner[:19])
    return child.frame(inner, next_header=59)


def esp_flood(gw):
    child, rng = gw.child(), random.Random(12)
    base = gw.control.call('GET_STATUS')[0].mbufs_in_use
    lines = gw.dataplane.text().count('\n')
    start, sent, legit = time.monotonic(), 0, 0
    while time.monotonic() - start < SECONDS:
        live = [far_to_host(size=120, ident=(legit + i) & 0xFFFF) for i in range(20)]
        frames, at = [], 0
        for i in range(200):
            if i % 10 == 5:
                frames.append(child.frame(live[at]))
                at += 1
            else:
                frames.append(malformed(gw, child, rng))
        before = child.row()
        result = gw.exchange(frames)
        if result.lan != [f.routed(p) for p in live]:
            raise Wrong(f'{len(result.lan)} of {len(live)} legitimate packets; {result.drops}')
        allowed = {'esp-spi', 'esp-auth', 'esp-replay', 'esp-late', 'esp-runt', 'esp-padding',
                   'esp-next-header', 'esp-inner', 'esp-dummy'}
        if sum(result.drops.values()) != 180 or set(result.drops) - allowed:
            raise Wrong(f'{result.drops}')
        if child.row().auth_failed - before.auth_failed != result.drops.get('esp-auth', 0):
            raise Wrong('count of bad tags')
        sent, legit = sent + 200, legit + 20
    took = time.monotonic() - start
    told = gw.dataplane.text().count('\n') - lines
    if told > 10 * took + 10:
        raise Wrong(f'{told} lines of log in {took:.1f} s')
    if gw.control.call('GET_STATUS')[0].mbufs_in_use != base:
        raise Wrong('buffers stayed behind')
    print(f'# F12: {sent} frames in {took:.1f} s, {legit} of them legitimate, none lost')
    child.delete()


def bad_tags_leave_the_window(gw):
    """Bad tags under every kind of number; then old numbers still pass, each once."""
    child, rng = gw.child(window=1024), random.Random(1)
    inner = far_to_host()
    ok = f.routed(inner)
    if gw.exchange([child.frame(inner, seq=5000)]).lan != [ok]:
        raise Wrong('first')
    frames = []
    for _ in range(20000 if LONG else 3000):
        bad = bytearray(child.esp(inner, seq=rng.choice((
            rng.randrange(4000, 6000), rng.randrange(1 << 32), 0xFFFFFFFF))))
        bad[rng.randrange(8, len(bad))] ^= 1 << rng.randrange(8)
        frames.append(gw.from_wan(child.outer(bytes(bad))))
    for i in range(0, len(frames), 250):
        result = gw.exchange(frames[i:i + 250])
        if result.lan:
            raise Wrong('a bad tag passes')
    old = [child.frame(inner, seq=s) for s in range(5000 - 1023, 5000)]
    for i in range(0, len(old), 250):
        if gw.exchange(old[i:i + 250]).lan != [ok] * len(old[i:i + 250]):
            raise Wrong('the window has moved')
    child.delete()


def small_pool(gw):
    """F11: bursts far beyond the buffers: what does not fit is lost on the wire or counted; afterwards
    every packet passes at once and no buffer is missing."""
    child = gw.child()
    base = gw.control.call('GET_STATUS')[0].mbufs_in_use
    silent = [gw.from_lan(f.ip4('10.1.0.2', f'10.1.0.{i}', payload=b'x' * 300))
              for i in range(100, 250)]
    for _ in range(5):
        for port, frame in silent * 10:
            gw.wire[port].send(frame)
        time.sleep(0.05)
    time.sleep(1.6)                     # what waited for a neighbour is dropped after a second
    totals = gw.control.totals()
    gw.conserved(totals['rx'])
    gw.collect(0)
    for _ in range(20):
        packets = [host_to_far(size=600, ident=i) for i in range(100)]
        result = gw.exchange([gw.from_lan(p) for p in packets])
        if [child.open(p).inner for p in result.wan] != [f.routed(p) for p in packets]:
            raise Wrong('not all pass after the flood')
    if gw.control.call('GET_STATUS')[0].mbufs_in_use != base:
        raise Wrong('buffers are missing')
    child.delete()


def cases(_):
    return [Case('ESP-50 F12 a flood of malformed ESP costs a legitimate flow nothing', esp_flood),
            Case('ESP-22 P1 F12 bad tags under any number leave the window', bad_tags_leave_the_window)]


def small():
    return Gateway(('--mbufs', '4095'))


def families():
    yield Gateway, cases
    yield small, lambda _: [Case('ESP-50 F11 after buffers ran short every packet passes again',
                                  small_pool)]
