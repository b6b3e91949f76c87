# SPDX-License-Identifier: BSD-3-Clause
"""Sequence numbers and the replay window (RFC 4303 3.3.3, 3.4.3, appendix A2), against a model that
keeps every accepted number in a set and decides from the definition alone."""
import os
import random
import struct

import frames as f
from casebed import Gateway
from table import Case, Wrong, expect, far_to_host, host_to_far, numbers

WINDOWS = [64 << i for i in range(11)]
LONG = os.environ.get('SPW_LONG') == '1'
TOP32 = 1 << 32


class Model:
    """The window by its definition. With ESN the peer's true number is told by its low half: the
    receiver takes the one nearest at or right of the window's left end (A2.2)."""

    def __init__(self, window, esn):
        self.window, self.esn, self.top, self.seen = window, esn, 0, set()

    def meant(self, low):
        """The 64-bit number that a receiver must take a low half for; below 0: there is none."""
        if not self.esn:
            return low
        bottom = self.top - self.window + 1
        epoch = self.top >> 32
        return next(s for s in ((e << 32) | low for e in (epoch - 1, epoch, epoch + 1))
                    if s >= bottom)

    def verdict(self, seq):
        guess = self.meant(seq % TOP32)
        if self.esn and guess != seq:
            guess = max(guess, 0)
            if guess == 0 or guess <= self.top and self.top - guess >= self.window:
                return 'late' if guess and self.top >= self.window else 'replay'
            return 'replay' if guess in self.seen else 'auth'
        if seq <= self.top and self.top - seq >= self.window:
            return 'late'
        if seq == 0 or seq in self.seen:
            return 'replay'
        self.seen.add(seq)
        self.top = max(self.top, seq)
        return 'ok'


def steps(window, seqs, esn=False):
    model = Model(window, esn)
    return [(s, model.verdict(s)) for s in seqs]


def edges(w):
    """Both edges of the window, in words of 64, before and after it slides."""
    top = 3 * w + 17
    seqs = [top, top - w, top - w + 1, top - w + 1, top, top - w + 2, top - w - 1, 1, 0]
    for move in (1, 63, 64, 65, w - 1, w, w + 1, 2 * w, 10 * w):
        top += move
        seqs += [top - 1, top, top - 1, top, top - w, top - w + 1, top - w + 1, top - w + 63,
                 top - w + 64]
    return seqs


def wander(w, n, seed, start=0):
    """Mostly near the top, sometimes far ahead, behind, twice, or right on an edge."""
    rng, top, seqs = random.Random(seed), start, []
    for _ in range(n):
        kind = rng.randrange(8)
        s = (top + 1 + rng.randrange(3 * w) if kind == 0 else
             top - w + rng.randrange(3) if kind == 1 else
             top - rng.randrange(2 * w) if kind == 2 else
             top if kind == 3 else
             top + 64 - top % 64 + rng.randrange(3) - 1 if kind == 4 else
             top + 2 - rng.randrange(6))
        s = max(s, 0)
        top = max(top, s)
        seqs.append(s)
    return seqs


def across(w, epoch, seed, n):
    """ESN: to an epoch's end in allowed strides, over it, and around the wrap."""
    rng, seqs, top = random.Random(seed), [], 0
    while top < (epoch << 32) - 3 * w:
        top = min(top + (1 << 31), (epoch << 32) - 2 * w)
        seqs.append(top)
    for _ in range(n):
        s = top + rng.randrange(-w, w // 8 + 8)
        seqs.append(max(s, 0))
        top = max(top, s)
    return seqs + [epoch << 32, (epoch << 32) - 1, (epoch << 32) + 1, epoch << 32]


def windows():
    n = 4000 if LONG else 400
    rows = []
    for w in WINDOWS:
        rows += [
            numbers(f'ESP-22 ESP-24 P1 window of {w}: both edges, sliding by words',
                    steps(w, edges(w)), window=w),
            numbers(f'ESP-24 P1 window of {w}: random numbers as the model says',
                    steps(w, wander(w, n, w)), window=w, chunk=32),
            numbers(f'ESP-25 P1 window of {w}, ESN: over 2^32 as the model says',
                    steps(w, across(w, 1, w, n), True), window=w, esn=True, chunk=8)]
    for w in (64, 1024, 4096, 65536):
        rows.append(numbers(f'ESP-25 P1 window of {w}, ESN: over 2^33 as the model says',
                            steps(w, across(w, 2, w + 1, n // 2), True), window=w, esn=True))
        rows.append(numbers(f'ESP-25 P1 window of {w}, ESN: edges near 0 without underflow',
                            steps(w, edges(w) + wander(w, 100, 3), True), window=w, esn=True))
    return rows


def starts():
    end = TOP32 - 1
    return [
        numbers('ESP-24 P1 number 0 drops on a new SA', [(0, 'replay'), (1, 'ok'), (0, 'replay')]),
        numbers('ESP-24 P1 number 0 drops beside a full window',
                [(5000, 'ok'), (0, 'late'), (4999, 'ok')]),
        numbers('ESP-24 P1 number 0 drops with ESN', [(0, 'replay'), (1, 'ok')], esn=True),
        numbers('ESP-22 P1 a first number of 2 leaves 1 open', [(2, 'ok'), (1, 'ok'), (1, 'replay')]),
        numbers('ESP-22 P1 a first number far ahead passes', [(10 ** 9, 'ok'), (1, 'late')]),
        numbers('ESP-21 P1 the last number without ESN passes once',
                [(end, 'ok'), (end, 'replay'), (end - 1, 'ok'), (1, 'late')]),
        numbers('ESP-21 P1 without ESN nothing follows the last number',
                [(end, 'ok'), (0, 'late'), (1, 'late'), (2, 'late')]),
        numbers('ESP-25 P1 with ESN the next epoch follows the last number',
                [(TOP32 // 2, 'ok'), (end, 'ok'), (TOP32, 'ok'), (TOP32 + 1, 'ok'), (end, 'replay'),
                 (end - 1, 'ok')], esn=True),
        numbers('ESP-25 P1 with ESN a number left of 0 drops without underflow',
                [(end, 'replay'), (TOP32 - 4095, 'replay'), (TOP32 - 4096, 'ok')], esn=True),
        numbers('ESP-25 P1 with ESN a number of the wrong epoch fails its tag',
                [(TOP32 + 5000, 'auth'), (5000, 'ok'), (2 * TOP32 + 6000, 'auth'), (6000, 'ok')],
                esn=True),
        numbers('ESP-26 a wrong guess of the epoch does not move the window',
                [(10, 'ok'), (TOP32 + 100000, 'auth'), (11, 'ok'), (12, 'ok')], esn=True),
    ]


def forged(name, low, esn):
    """A bad tag under any number leaves the window where it was."""
    def run(gw):
        child = gw.child(outbound=0, esn=esn, window=64)
        inner = far_to_host()
        expect(gw.exchange([child.frame(inner, seq=1000)]), lan=[f.routed(inner)])
        bad = bytearray(child.frame(inner, seq=low)[1])
        bad[-1] ^= 1
        result = gw.exchange([(1, bytes(bad))])
        if result.lan or sum(result.drops.values()) != 1:
            raise Wrong(f'{result.drops}')
        expect(gw.exchange([child.frame(inner, seq=s) for s in (937, 936, 1000, 1001)]),
               lan=[f.routed(inner)] * 2,
               drops={'esp-auth' if esn else 'esp-late': 1, 'esp-replay': 1})
        child.delete()
    return Case(name, run)


def copies(n, apart):
    """n copies in one burst, next to each other or with others between."""
    def run(gw):
        child = gw.shared()
        inner, other = far_to_host(ident=1), far_to_host(ident=2)
        copy = child.frame(inner)
        sent, lan = [], []
        for i in range(n):
            sent.append(copy)
            lan += [f.routed(inner)] if i == 0 else []
            if apart:
                sent.append(child.frame(other))
                lan.append(f.routed(other))
        expect(gw.exchange(sent), lan=lan, drops={'esp-replay': n - 1})
    where = 'with others between' if apart else 'in a row'
    return Case(f'ESP-23 P1 of {n} copies {where} one passes', run)


def rekeyed(gw):
    """ESP-27: a new SA starts with an empty window, the old one keeps its own."""
    old, new = gw.child(outbound=0), gw.child(outbound=0)
    inner = far_to_host()
    ok = [f.routed(inner)]
    expect(gw.exchange([old.frame(inner, seq=s) for s in (1, 2, 3)]), lan=ok * 3)
    expect(gw.exchange([new.frame(inner, seq=s) for s in (1, 2, 3)]), lan=ok * 3)
    expect(gw.exchange([old.frame(inner, seq=s) for s in (2, 4)]), lan=ok, drops={'esp-replay': 1})
    expect(gw.exchange([new.frame(inner, seq=s) for s in (3, 4)]), lan=ok, drops={'esp-replay': 1})
    old.delete()
    expect(gw.exchange([old.frame(inner, seq=9), new.frame(inner, seq=5)]), lan=ok,
           drops={'esp-spi': 1})
    new.delete()


def replay_off(gw):
    """ESP-29: a window of 0 is asked for by name, and then every number passes."""
    child = gw.child(outbound=0, window=0)
    inner = far_to_host()
    expect(gw.exchange([child.frame(inner, seq=s) for s in (5, 5, 1, 5000000, 5)]),
           lan=[f.routed(inner)] * 5)
    if child.row().replay_window != 0:
        raise Wrong('the row does not show that replay protection is off')
    child.delete()


def replay_default(gw):
    child = gw.child(outbound=0)
    if child.row().replay_window != 4096:
        raise Wrong('window')
    child.delete()


def capture(order, n):
    """F15: a whole capture again: nothing is accepted, and live packets between lose nothing."""
    def run(gw):
        child = gw.child(outbound=0, window=1024)
        inner = far_to_host()
        ok, kept = f.routed(inner), []
        for i in range(0, n, 200):
            part = [child.frame(inner) for _ in range(200)]
            kept += part
            expect(gw.exchange(part), lan=[ok] * 200)
        again = list(kept)
        if order == 'reversed':
            again.reverse()
        elif order == 'shuffled':
            random.Random(15).shuffle(again)
        accepted = 0
        for i in range(0, n, 200):
            live = [child.frame(inner)] if order == 'mixed with live' else []
            result = gw.exchange(again[i:i + 100] + live + again[i + 100:i + 200])
            accepted += len(result.lan) - len(live)
            if set(result.drops) - {'esp-replay', 'esp-late'} or result.wan:
                raise Wrong(f'{result.drops}')
        if accepted:
            raise Wrong(f'{accepted} packets accepted twice')
        child.delete()
    return Case(f'ESP-22 P1 F15 a capture replayed {order}: nothing passes twice', run)


def outbound_numbers(gw):
    """ESP-20: consecutive, whatever lies between; a packet that is refused leaves no trace or a gap."""
    child = gw.child(local=[('10.1.0.2', '10.1.0.2', 17, 0, 65535)])
    tcp = f.ip4('10.1.0.2', '10.2.0.5', f.TCP, f.tcp(1, 2, 0x10))
    sent = []
    for i in range(64):
        sent += [gw.from_lan(host_to_far(ident=i))] + ([gw.from_lan(tcp)] if i % 3 == 0 else [])
    result = gw.exchange(sent)
    seqs = [child.open(p).seq for p in result.wan]
    if result.drops != {'selector-out': 22} or seqs != sorted(set(seqs)) or seqs[0] != 1:
        raise Wrong(f'{result.drops} {seqs}')
    child.delete()


def reorder(window, distance):
    """F26: packets up to `distance` out of order."""
    def run(gw):
        child = gw.child(outbound=0, window=window)
        rng, n = random.Random(26), 20000 if LONG else 4000
        order = sorted(range(1, n + 1), key=lambda s: s + rng.randrange(distance))
        model = Model(window, False)
        inners = {}
        passed = late = 0
        for i in range(0, n, 200):
            part = [(s, model.verdict(s)) for s in order[i:i + 200]]
            sent = []
            for s, _ in part:
                inners[s] = far_to_host(payload=struct.pack('!Q', s))
                sent.append(child.frame(inners[s], seq=s))
            want = [f.routed(inners[s]) for s, v in part if v == 'ok']
            n_late = sum(v == 'late' for _, v in part)
            expect(gw.exchange(sent), lan=want, drops={'esp-late': n_late} if n_late else {})
            passed, late = passed + len(want), late + n_late
        if (distance <= window) != (late == 0) or passed + late != n:
            raise Wrong(f'{passed} passed, {late} late of {n}')
        child.delete()
    what = 'none is dropped' if distance <= window else 'what is later is counted'
    return Case(f'ESP-22 P1 F26 reordered by {distance} in a window of {window}: {what}', run)


def cases(_):
    n = 1000000 if LONG else 2000
    return windows() + starts() + [
        forged(f'ESP-26 a bad tag with number {low:#x} does not move the window'
               f'{", ESN" if esn else ""}', low, esn)
        for esn in (False, True) for low in (1001, 0x7FFFFFFF, 0xFFFFFFF0)] + [
        copies(n_copies, apart) for n_copies in (2, 8, 32) for apart in (False, True)] + [
        capture(order, n) for order in ('in order', 'reversed', 'shuffled', 'mixed with live')] + [
        reorder(1024, 1000), reorder(4096, 1000), reorder(65536, 3000), reorder(64, 1000)] + [
        Case('ESP-27 a rekeyed SA starts with an empty window, the old keeps its own', rekeyed),
        Case('ESP-29 replay protection is off only when the SA says so', replay_off),
        Case('ESP-22 P1 the window is 4096 as asked', replay_default),
        Case('ESP-20 P1 numbers are consecutive whatever is refused between', outbound_numbers)]


def families():
    yield Gateway, cases
