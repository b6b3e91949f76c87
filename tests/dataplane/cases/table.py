# SPDX-License-Identifier: BSD-3-Clause
"""A case as data, and the kinds of it.

The name of a case begins with the statements that it shows ("ESP-05 P1 ..."); docs/conformance-esp.md
is made of these names. A family is a list of cases over one data plane.
"""
import struct

import frames as f
from casebed import FAR, HOST, HOST6, LAN, T4, WAN, Wrong, show


class Case:
    """name; run(gw), which raises Wrong; expected_failure: why it cannot pass yet, if so."""

    def __init__(self, name, run, expected_failure=None):
        self.name, self.run, self.expected_failure = name, run, expected_failure


def far_to_host(tunnel=T4, family=4, size=None, payload=None, **ip):
    """A UDP packet from behind the tunnel to the LAN; size counts all octets."""
    return between(FAR[tunnel, family], HOST6 if family == 6 else HOST, size, payload, **ip)


def host_to_far(tunnel=T4, family=4, size=None, payload=None, **ip):
    return between(HOST6 if family == 6 else HOST, FAR[tunnel, family], size, payload, **ip)


def between(src, dst, size=None, payload=None, **ip):
    head = 40 if ':' in dst else 20
    if payload is None and size is not None and size < head + 8:
        return f.ip(src, dst, 99, f.filled(size - head), **ip)     # no room for UDP
    data = f.filled(32 if size is None else size - head - 8) if payload is None else payload
    ends = (src, dst) if ':' in dst else None
    return f.ip(src, dst, f.UDP, f.udp(1000, 2000, data, ends=ends), **ip)


def expect(result, lan=(), wan=0, drops=None):
    """lan: packets in order; wan: how many; drops: exactly these."""
    if result.lan != list(lan):
        raise Wrong(f'LAN: {show(result.lan)}; wanted {show(lan)}; drops {result.drops}')
    if len(result.wan) != wan:
        raise Wrong(f'Internet side: {show(result.wan)}; wanted {wan}; drops {result.drops}')
    if result.drops != (drops or {}):
        raise Wrong(f'drops {result.drops}, wanted {drops or {}}')


def expect_sealed(child, result, inners, drops=None, tos=None):
    """The Internet side has these packets sealed, in order; the LAN nothing."""
    expect(result, wan=len(inners), drops=drops)
    for packet, inner in zip(result.wan, inners):
        got = child.open(packet, child.top >> 32)
        if got.inner != inner:
            raise Wrong(f'inside: {show([got.inner])}; wanted {show([inner])}')
        if tos is not None and f.tos_of(packet) != tos:
            raise Wrong(f'outer TOS {f.tos_of(packet):#x}, not {tos:#x}')


def opens(name, inner=None, drop=None, out='routed', sa=None, outer=None, tunnel=T4, xfail=None,
          **esp_fields):
    """One packet that the peer seals. It falls under `drop`, or comes out: 'routed', or octets."""
    inner = far_to_host(tunnel) if inner is None else inner

    def run(gw):
        child = gw.shared(tunnel, **(sa or {}))
        before = child.row()
        result = gw.exchange([child.frame(inner, outer=outer, **esp_fields)])
        if drop:
            expect(result, drops={drop: 1})
        else:
            expect(result, lan=[f.routed(inner) if out == 'routed' else out])
        after = child.row()
        if after.auth_failed - before.auth_failed != (drop == 'esp-auth'):
            raise Wrong('count of bad tags')
        if (after.in_packets - before.in_packets) != (drop not in ('esp-auth', 'esp-runt')):
            raise Wrong('an authentic packet counts for the SA, no other')
    return Case(name, run, xfail)


def seals(name, inner, drop=None, sa=None, sealed='routed', tos=None, tunnel=T4, xfail=None):
    """One packet of the LAN's host that goes into the tunnel, or falls under `drop`."""
    def run(gw):
        child = gw.shared(tunnel, **(sa or {}))
        result = gw.exchange([gw.from_lan(inner)])
        if drop:
            expect(result, drops={drop: 1})
        else:
            expect_sealed(child, result, [f.routed(inner) if sealed == 'routed' else sealed],
                          tos=tos)
    return Case(name, run, xfail)


def raw(name, packet, port=LAN, drop=None, lan=(), wan=(), ether=None, xfail=None):
    """A packet as it is, or a whole frame from `ether`(gw); it falls, or comes out elsewhere."""
    def run(gw):
        if ether:
            sent = (port, ether(gw))
        else:
            sent = gw.from_lan(packet) if port == LAN else gw.from_wan(packet)
        result = gw.exchange([sent])
        expect(result, lan=lan, wan=len(wan), drops={drop: 1} if drop else {})
        if result.wan != list(wan):
            raise Wrong(f'Internet side: {show(result.wan)}; wanted {show(wan)}')
    return Case(name, run, xfail)


REFUSED = (('replay', 'esp-replay'), ('late', 'esp-late'), ('auth', 'esp-auth'))


def refusals(said, drops, exact, esn):
    """Are the drops those that the verdicts name? Inside a burst a number may be refused by what the
    window was at its start (RFC 4303 3.4.3 calls that check a hint), so there only which packets
    pass is certain, and that no tag is bad without ESN."""
    want = {r: said.count(v) for v, r in REFUSED if v in said}
    if exact:
        return drops == want
    return (sum(drops.values()) == sum(want.values()) and
            set(drops) <= {r for v, r in REFUSED if esn or v != 'auth'})


def numbers(name, steps, sa=None, window=None, esn=False, xfail=None, chunk=1):
    """steps: (number, verdict) towards a new SA; verdicts: ok, replay, late, auth. The numbers go out
    in bursts of up to `chunk`; each packet that passes is known by the number it carries inside."""
    def run(gw):
        spec = dict(sa or {}, esn=esn, **({'window': window} if window else {}))
        child = gw.child(outbound=0, **spec)
        for i in range(0, len(steps), chunk):
            part = steps[i:i + chunk]
            inners = [far_to_host(payload=struct.pack('!Q', seq)) for seq, _ in part]
            result = gw.exchange([child.frame(inner, seq=seq)
                                  for inner, (seq, _) in zip(inners, part)])
            said = [v for _, v in part]
            expect(result, lan=[f.routed(p) for p, v in zip(inners, said) if v == 'ok'],
                   drops=result.drops)
            if not refusals(said, result.drops, chunk == 1, esn):
                raise Wrong(f'{part}: drops {result.drops}')
        row = child.row()
        said = [v for _, v in steps]
        if row.in_packets != said.count('ok') or \
                row.replayed + row.late + row.auth_failed != len(said) - said.count('ok'):
            raise Wrong(f'counters of the SA {row}')
        child.delete()
    return Case(name, run, xfail)


__all__ = ['Case', 'LAN', 'WAN', 'Wrong', 'between', 'expect', 'expect_sealed', 'far_to_host',
           'host_to_far', 'numbers', 'opens', 'raw', 'seals']
