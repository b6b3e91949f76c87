# SPDX-License-Identifier: BSD-3-Clause
"""Lifetimes (RFC 4301 4.4.2.1) as the data plane enforces them, whoever is dead: by packets, by octets,
by time; soft limits that raise one event, hard ones that end the SA; rekeys at each soft limit (F20)."""
import os
import time

import dpclient as dp
import frames as f
from casebed import T4, Gateway
from table import Case, Wrong, expect, expect_sealed, far_to_host, host_to_far

LONG = os.environ.get('SPW_LONG') == '1'
FIRST_IN, SOFT, HARD = 1, 2, 3
TIME, BYTES, PACKETS = 1, 2, 3
SIZE = 100


def told(gw, child, kind, timeout=0.12):
    """Events of this kind about this SA, once no more come."""
    return [(e.kind, e.limit) for e in gw.events(timeout)
            if e.spi_in == child.inward.spi and e.kind == kind]


def send(gw, child, way, n):
    """n packets in a burst; how many pass, and what is dropped."""
    if way == 'out':
        result = gw.exchange([gw.from_lan(host_to_far(size=SIZE)) for _ in range(n)])
        for packet in result.wan:
            child.open(packet, child.top >> 32)
        return len(result.wan), result.drops
    result = gw.exchange([child.frame(far_to_host(size=SIZE)) for _ in range(n)])
    return len(result.lan), result.drops


def by_amount(way, limits, kind, soft_at, hard_at, **more):
    """soft_at, hard_at: the packet that reaches the limit."""
    def run(gw):
        child = gw.child(**limits, **more)
        gw.events()
        assert send(gw, child, way, soft_at - 1) == (soft_at - 1, {})
        if told(gw, child, SOFT, 0.02):
            raise Wrong('told too early')
        assert send(gw, child, way, 1) == (1, {})
        if told(gw, child, SOFT) != [(SOFT, kind)]:
            raise Wrong('the soft limit must be told once')
        over = hard_at - soft_at + 10
        assert send(gw, child, way, over) == (hard_at - soft_at, {'limit-hard': 10})
        events = gw.events(0.12)
        if [(e.kind, e.limit) for e in events if e.spi_in == child.inward.spi] != [(HARD, kind)]:
            raise Wrong(f'the hard limit must be told once, the soft one not again: {events}')
        passed, drops = send(gw, child, way, 5)
        if passed or sum(drops.values()) != 5 or set(drops) - {'limit-hard', 'no-sa', 'esp-spi'}:
            raise Wrong(f'an ended SA passes {passed}, drops {drops}')
        other = 'in' if way == 'out' else 'out'
        passed, drops = send(gw, child, other, 5)
        if passed:
            raise Wrong('the other direction lives on')
    return run


def amounts():
    big = 10 ** 6
    rows = []
    for way in ('out', 'in'):
        for what, limits, kind, soft, hard in (
                ('packets', {'packets': (20, 30)}, PACKETS, 20, 30),
                ('packets within one burst', {'packets': (2, 3)}, PACKETS, 2, 3),
                ('octets', {'bytes': (2000, 3000)}, BYTES, 20, 30),
                ('packets before octets', {'packets': (20, 30), 'bytes': (big, big)}, PACKETS, 20,
                 30),
                ('octets before packets', {'packets': (big, big), 'bytes': (2000, 3000)}, BYTES, 20,
                 30),
                ('packets before time', {'packets': (20, 30), 'seconds': (3600, 7200)}, PACKETS,
                 20, 30)):
            rows.append(Case(f'LIF-01 P1 {way}: soft and hard limit by {what}',
                             by_amount(way, limits, kind, soft, hard)))
    return rows


def partial(way):
    """A packet that would pass the octet limit is refused: never more than the limit goes through."""
    def run(gw):
        child = gw.child(bytes=(0, 1050))
        gw.events()
        passed, drops = send(gw, child, way, 20)
        if (passed, drops) != (10, {'limit-hard': 10}):
            raise Wrong(f'{passed} passed, {drops}')
        if told(gw, child, HARD) != [(HARD, BYTES)]:
            raise Wrong('the end must be told once')
    return Case(f'LIF-01 P1 {way}: never more octets than the hard limit', run)


def soft_only(gw):
    child = gw.child(packets=(5, 0))
    gw.events()
    assert send(gw, child, 'out', 50) == (50, {})
    if told(gw, child, SOFT) != [(SOFT, PACKETS)]:
        raise Wrong('once')
    assert send(gw, child, 'out', 50) == (50, {})
    if gw.events(0.1):
        raise Wrong('told again')
    child.delete()


def none_at_all(gw):
    child = gw.child()
    gw.events()
    assert send(gw, child, 'out', 300) == (300, {})
    if told(gw, child, SOFT, 0.1) or told(gw, child, HARD):
        raise Wrong('no limit, no event')
    child.delete()


def by_time(gw):
    child = gw.child(seconds=(1, 2))
    start = time.monotonic()
    gw.events()
    seen = {}
    while len(seen) < 2 and time.monotonic() < start + 4:
        for e in gw.events(0.05):
            if e.spi_in == child.inward.spi and e.kind in (SOFT, HARD):
                if e.kind in seen or e.limit != TIME:
                    raise Wrong(f'{e}')
                seen[e.kind] = time.monotonic() - start
        if HARD not in seen and time.monotonic() < start + 1.8:
            assert send(gw, child, 'out', 1) == (1, {})
    if set(seen) != {SOFT, HARD} or not 0.9 < seen[SOFT] < 1.8 or not 1.9 < seen[HARD] < 2.8:
        raise Wrong(f'events at {seen}')
    for way in ('out', 'in'):
        passed, drops = send(gw, child, way, 3)
        if passed or sum(drops.values()) != 3:
            raise Wrong(f'{way}: {passed} pass after the end, {drops}')


def with_iked_dead(gw):
    """The data plane ends the SA by itself, and tells whoever comes back."""
    child = gw.child(packets=(5, 10), seconds=(1, 2))
    other = gw.child(seconds=(1, 2), outbound=0)
    gw.iked.close()
    try:
        passed, drops = send(gw, child, 'out', 20)
        if (passed, drops) != (10, {'limit-hard': 10}):
            raise Wrong(f'{passed} {drops}')
        time.sleep(2.6)
        passed, drops = send(gw, other, 'in', 3)
        if passed:
            raise Wrong('time does not end an SA while iked is dead')
    finally:
        gw.iked = gw.dataplane.client(role=dp.IKED, subscribe=dp.SUB_SA, name='iked')


def counters_live_on(gw):
    """LIF-06: another iked finds the counters, and the limit counts on from there."""
    child = gw.child(packets=(0, 50))
    assert send(gw, child, 'out', 30) == (30, {})
    gw.iked.close()
    gw.iked = gw.dataplane.client(role=dp.IKED, subscribe=dp.SUB_SA, name='iked')
    if child.row().out_packets != 30:
        raise Wrong('counters')
    assert send(gw, child, 'out', 30) == (20, {'limit-hard': 10})


def never_in_the_clear(gw):
    """LIF-04: traffic of an ended SA is dropped until a new one is switched to."""
    child = gw.child(packets=(0, 3))
    assert send(gw, child, 'out', 5) == (3, {'limit-hard': 2})
    fresh = gw.child(outbound=0)
    passed, _ = send(gw, child, 'out', 5)
    if passed:
        raise Wrong('an SA that is only held sends')
    gw.iked.call('SA_SWITCH', dp.SaRef(fresh.inward.spi, 0))
    gw.current[T4] = fresh
    assert send(gw, fresh, 'out', 5) == (5, {})
    fresh.delete()


def limits_above_the_numbers(gw):
    """LIF-03: without ESN the last number ends the SA even where no limit or a larger one is given; the
    inbound side shows it, where the peer chooses the number."""
    child = gw.child(packets=(0, 1 << 40))
    inner = far_to_host()
    expect(gw.exchange([child.frame(inner, seq=0xFFFFFFFF)]), lan=[f.routed(inner)])
    expect(gw.exchange([child.frame(inner, seq=1)]), drops={'esp-late': 1})
    child.delete()


def rekeys(limits, n):
    """F20: at each soft limit a new SA, as iked would, under traffic both ways: nothing is lost."""
    def run(gw):
        child = gw.child(**limits)
        gw.events()
        done = sent = 0
        while done < n:
            out = [host_to_far(size=SIZE, ident=(sent + i) & 0xFFFF) for i in range(16)]
            result = gw.exchange([gw.from_lan(p) for p in out])
            expect_sealed(child, result, [f.routed(p) for p in out])
            back = [far_to_host(size=SIZE, ident=(sent + i) & 0xFFFF) for i in range(16)]
            expect(gw.exchange([child.frame(p) for p in back]), lan=[f.routed(p) for p in back])
            sent += 16
            if not any(e.kind == SOFT and e.spi_in == child.inward.spi for e in gw.events()):
                continue
            fresh = gw.child(outbound=0, **limits)
            late = child.frame(far_to_host(size=SIZE))
            gw.iked.call('SA_SWITCH', dp.SaRef(fresh.inward.spi, 0))
            gw.current[T4] = fresh
            expect(gw.exchange([late]), lan=[f.routed(far_to_host(size=SIZE))])
            child.delete()
            child, done = fresh, done + 1
        child.delete()
    what = ' and '.join(sorted(limits))
    return Case(f'LIF-01 P1 F20 {n} rekeys at the soft limit of {what} lose nothing', run)


def cases(_):
    n = 1000 if LONG else 12
    return amounts() + [partial('out'), partial('in'),
                        Case('LIF-01 P1 a soft limit alone raises one event and ends nothing',
                             soft_only),
                        Case('LIF-01 P1 an SA without limits raises none', none_at_all),
                        Case('LIF-01 P1 soft and hard limit by time, each told once', by_time),
                        Case('LIF-01 P1 limits end an SA while iked is dead', with_iked_dead),
                        Case('LIF-03 P1 the last number ends an SA without ESN whatever its limit',
                             limits_above_the_numbers),
                        Case('LIF-04 an ended SA drops and never sends in the clear',
                             never_in_the_clear),
                        Case('LIF-06 counters and limits live on in the data plane',
                             counters_live_on),
                        rekeys({'packets': (200, 0)}, n), rekeys({'bytes': (20480, 0)}, n)]


def families():
    yield Gateway, cases
