# SPDX-License-Identifier: BSD-3-Clause
"""What does not fit (RFC 4301 8.2): answered, cut before it is sealed, learnt from routers on the way;
and jumbo frames."""
import struct
import time

import frames as f
from casebed import FAR, GW_LAN, GW_LAN6, HOST, HOST6, MTU, T4, T6, US, US6, Gateway
from header_cases import is_icmp
from table import Case, Wrong, expect, expect_sealed, far_to_host, host_to_far

ROUTER, ROUTER6 = '203.0.113.129', '2001:db8:eeee::129'


def ends(family):
    return (GW_LAN6, HOST6) if family == 6 else (GW_LAN, HOST)


def answered(gw, packet, mtu, family):
    """The LAN's host is told the MTU, and nothing else happens."""
    result = gw.exchange([gw.from_lan(packet)])
    if result.wan or result.drops != {'too-big': 1} or len(result.lan) != 1:
        raise Wrong(f'{result.lan} {len(result.wan)} out, {result.drops}')
    src, dst = ends(family)
    kind, code = (2, 0) if family == 6 else (3, 4)
    is_icmp(result.lan[0], kind, code, src, dst, packet, mtu)


def too_big(tunnel, family, size, udp=False):
    def run(gw):
        child = gw.shared(tunnel, udp=udp)
        flags = {} if family == 6 else {'flags': f.DF}
        packet = host_to_far(tunnel, family, size, **flags)
        if size <= MTU:
            expect_sealed(child, gw.exchange([gw.from_lan(packet)]), [f.routed(packet)])
        else:
            answered(gw, packet, MTU, family)
    what = 'is sealed' if size <= MTU else 'is answered with the MTU'
    df = '' if family == 6 else ' with DF'
    return Case(f'ESP-43 P1 IPv{family} in IPv{4 if tunnel == T4 else 6}, '
                f'{"UDP" if udp else "native"}: {size} octets{df}: {what}', run)


def reassembled(parts, packet):
    """Fragments in order make up the packet; returns nothing or is Wrong."""
    n = f.header_len(packet)
    first = struct.unpack('!H', packet[6:8])[0]
    base, more = (first & 0x1FFF) * 8, first & f.MF
    data, at = b'', base
    for i, p in enumerate(parts):
        word = struct.unpack('!H', p[6:8])[0]
        last = i == len(parts) - 1
        if not f.header_ok(p) or (word & 0x1FFF) * 8 != at or word & f.DF or \
                bool(word & f.MF) != (not last or bool(more)) or p[4:6] != packet[4:6] or \
                (p[1], p[8:10], p[12:20]) != (packet[1], packet[8:10], packet[12:20]):
            raise Wrong(f'fragment {i}: {p[:40].hex()}')
        piece = p[f.header_len(p):]
        if not last and len(piece) % 8:
            raise Wrong('a fragment of odd octets')
        data, at = data + piece, at + len(piece)
    if data != packet[n:]:
        raise Wrong('the fragments do not make up the packet')


def is_cut(size, mtu=MTU, udp=False, **ip):
    """DF clear: cut before it is sealed; no ESP packet is ever a fragment."""
    def run(gw):
        child = gw.shared(udp=udp)
        packet = host_to_far(size=size, ident=size, **ip)
        result = gw.exchange([gw.from_lan(packet)])
        if result.lan or result.drops:
            raise Wrong(f'{result.lan} {result.drops}')
        parts = [child.open(p).inner for p in result.wan]
        if any(len(p) > mtu for p in parts) or len(parts) < 2:
            raise Wrong(f'{[len(p) for p in parts]}')
        reassembled(parts, f.routed(packet))
    return run


def cuts():
    name = 'ESP-43 P1 without DF'
    rows = [Case(f'{name} {size} octets are cut before sealing, {"UDP" if udp else "native"}',
                 is_cut(size, udp=udp)) for udp in (False, True)
            for size in (MTU + 1, MTU + 7, MTU + 8, 1490, 1500)]
    rows += [Case(f'{name} a first fragment is cut again', is_cut(1500, flags=f.MF)),
             Case(f'{name} a middle fragment is cut again', is_cut(1500, flags=f.MF, offset=2960)),
             Case(f'{name} a last fragment is cut again', is_cut(1500, offset=2960)),
             Case(f'{name} a fragment at the far end is cut again', is_cut(1500, offset=63000))]
    return rows


def cut_options(gw):
    """RFC 791 3.1: options that are marked to be copied are in each fragment, others in the first."""
    child = gw.shared()
    copied, first_only = b'\x94\x04\0\0', b'\x07\x07\x04\0\0\0\0\0'
    packet = f.ip4(HOST, FAR[T4, 4], options=copied + first_only, payload=f.filled(1450), ident=9)
    result = gw.exchange([gw.from_lan(packet)])
    parts = [child.open(p).inner for p in result.wan]
    if len(parts) != 2 or parts[0][20:32] != copied + first_only or \
            parts[1][20:f.header_len(parts[1])] != copied:
        raise Wrong(f'{[p[:40].hex() for p in parts]}')
    reassembled(parts, f.routed(packet))


def tunnel_mtu(gw):
    """A smaller tunnel: many fragments, and the number told."""
    gw.set_tunnel(T4, mtu=600)
    try:
        is_cut(1500, mtu=600)(gw)
        packet = host_to_far(size=601, flags=f.DF)
        answered(gw, packet, 600, 4)
    finally:
        gw.set_tunnel(T4)


def lan_mtu(gw):
    """Out of the tunnel onto a smaller LAN."""
    gw.control.call('IFACE_SET', gw.iface(1, mtu=1000))
    try:
        child = gw.shared()
        packet = far_to_host(size=1200, ident=5)
        result = gw.exchange([child.frame(packet)])
        reassembled(result.lan, f.routed(packet))
        big = far_to_host(size=1200, flags=f.DF)
        result = gw.exchange([child.frame(big)])
        if result.lan or result.drops != {'too-big': 1}:
            raise Wrong(f'{result.lan} {result.drops}')
        answer = child.open(result.wan[0]).inner
        is_icmp(answer, 3, 4, f.ends_of(answer)[0], FAR[T4, 4], big, 1000)
    finally:
        gw.control.call('IFACE_SET', gw.iface(1))


def never_about(what, packet):
    """RFC 1122 3.2.2: no ICMP error about these; they are dropped and counted."""
    def run(gw):
        gw.shared()
        result = gw.exchange([gw.from_lan(packet)])
        if result.lan or result.wan or sum(result.drops.values()) != 1:
            raise Wrong(f'{result.lan} {result.wan} {result.drops}')
    return Case(f'ESP-43 P1 too big and no answer: {what}', run)


def no_answers():
    far = FAR[T4, 4]
    big = f.filled(1450)
    return [never_about('an ICMP error', f.ip4(HOST, far, f.ICMP, f.icmp4(3, 1, payload=big),
                                               flags=f.DF)),
            never_about('a later fragment with DF', f.ip4(HOST, far, 17, big, flags=f.DF,
                                                          offset=800))]


def overhead(child, inner_len):
    """Length of the outer packet around an inner one of this length."""
    suite = child.suite
    text = -(-(inner_len + 2) // suite.block) * suite.block
    return (40 if child.tunnel == T6 else 20) + (8 if child.udp else 0) + suite.around() + text


def largest_inner(child, path_mtu):
    return max(n for n in range(60, path_mtu) if overhead(child, n) <= path_mtu)


def told(child, mtu, quote=None, family=4, src=None, kind=None, code=None):
    """The ICMP error of a router on the way, quoting an ESP packet that we sent."""
    rest = struct.pack('!HH', 0, mtu) if family == 4 else struct.pack('!I', mtu)
    if family == 4:
        body = f.icmp4(3 if kind is None else kind, 4 if code is None else code, rest, quote)
        return f.ip4(src or ROUTER, US, f.ICMP, body)
    body = f.icmp6(2 if kind is None else kind, 0, rest, quote, (src or ROUTER6, US6))
    return f.ip6(src or ROUTER6, US6, f.ICMP6, body)


def fresh(gw, tunnel, udp=False):
    """A tunnel that has learnt nothing, an SA, and the largest packet of it as it was sent."""
    gw.renew_tunnel(tunnel)
    child = gw.child(tunnel, udp=udp)
    big = host_to_far(tunnel, 4, MTU, flags=f.DF)
    sent, = gw.exchange([gw.from_lan(big)]).wan
    return child, big, sent


def settled(gw, tunnel, size, timeout=1.0):
    """What is learnt takes a moment to reach the workers: wait until this size is refused."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if not gw.exchange([gw.from_lan(host_to_far(tunnel, 4, size, flags=f.DF))]).wan:
            return
        time.sleep(0.01)
    raise Wrong(f'{size} octets still pass: nothing was learnt')


def passes_up_to(gw, child, want):
    packet = host_to_far(child.tunnel, 4, want, flags=f.DF)
    result = gw.exchange([gw.from_lan(packet)])
    if len(result.wan) != 1:
        raise Wrong(f'{want} octets do not pass: {result.drops}')
    child.open(result.wan[0])
    answered(gw, host_to_far(child.tunnel, 4, want + 1, flags=f.DF), want, 4)


def learn(tunnel, udp, path_mtu, keep):
    """A word from the path; then the largest that fits passes, and one more is answered."""
    family = 4 if tunnel == T4 else 6

    def run(gw):
        child, _, sent = fresh(gw, tunnel, udp)
        gw.exchange([gw.from_wan(told(child, path_mtu, sent[:keep], family))])
        want = largest_inner(child, path_mtu)
        settled(gw, tunnel, want + 1)
        passes_up_to(gw, child, want)
    return run


def unheard(what, make, tunnel=T4, udp=False):
    """A word that must change nothing: the largest packet passes after it as before."""
    def run(gw):
        child, big, sent = fresh(gw, tunnel, udp)
        gw.exchange([gw.from_wan(make(child, sent))])
        time.sleep(0.15)
        result = gw.exchange([gw.from_lan(big)])
        if len(result.wan) != 1:
            raise Wrong(f'it was heard: {result.drops}')
    return Case(f'ESP-44 an ICMP too-big {what} is not heard', run)


def with_spi(quote, spi, at=20):
    return quote[:at] + struct.pack('!I', spi) + quote[at + 4:]


def learnt():
    name = 'ESP-44 a path MTU'
    rows = [Case(f'{name} of {mtu} is learnt from ICMP, {"UDP" if udp else "native"}',
                 learn(T4, udp, mtu, 36)) for udp in (False, True)
            for mtu in (1400, 1300, 1000, 640)]
    rows += [unheard(what, make) for what, make in (
        ('quoting an unknown SPI', lambda c, q: told(c, 1000, with_spi(q[:28], 0x12345678))),
        ('quoting an inbound SPI', lambda c, q: told(c, 1000, with_spi(q[:28], c.inward.spi))),
        ('quoting another destination', lambda c, q: told(
            c, 1000, f.mended(q[:16] + f.packed('203.0.113.99') + q[20:28]))),
        ('quoting another source', lambda c, q: told(
            c, 1000, f.mended(q[:12] + f.packed('198.51.100.77') + q[16:28]))),
        ('quoting another protocol', lambda c, q: told(
            c, 1000, f.mended(q[:9] + b'\x06' + q[10:28]))),
        ('quoting too little', lambda c, q: told(c, 1000, q[:20])),
        ('larger than the quoted packet', lambda c, q: told(c, 9000, q[:28])),
        ('without an MTU', lambda c, q: told(c, 0, q[:28])),
        ('of 67', lambda c, q: told(c, 67, q[:28])),
        ('with another code', lambda c, q: told(c, 1000, q[:28], code=1)),
        ('in a fragment', lambda c, q: f.mended(
            (lambda p: p[:6] + b'\x20\0' + p[8:])(told(c, 1000, q[:28])))),
        ('with a wrong checksum', lambda c, q: (
            lambda p: p[:22] + bytes([p[22] ^ 1]) + p[23:])(told(c, 1000, q[:28]))))]
    return rows


def floor(path_mtu):
    """ESP-44: never below 576 octets inside, whatever is told."""
    def run(gw):
        child, _, sent = fresh(gw, T4)
        gw.exchange([gw.from_wan(told(child, path_mtu, sent[:28]))])
        settled(gw, T4, 577)
        passes_up_to(gw, child, 576)
    return Case(f'ESP-44 a path MTU of {path_mtu} lowers to 576 and not below', run)


def never_raised(gw):
    """A larger word after a smaller one changes nothing (RFC 1191 6.3)."""
    child, _, sent = fresh(gw, T4)
    gw.exchange([gw.from_wan(told(child, 1000, sent[:28]))])
    want = largest_inner(child, 1000)
    settled(gw, T4, want + 1)
    gw.exchange([gw.from_wan(told(child, 1400, sent[:28]))])
    time.sleep(0.15)
    passes_up_to(gw, child, want)


def after_rekey(gw):
    """What was learnt is the tunnel's, and stays over a rekey; the old SA's quotes teach no more."""
    child, _, sent = fresh(gw, T4)
    gw.exchange([gw.from_wan(told(child, 1300, sent[:28]))])
    want = largest_inner(child, 1300)
    settled(gw, T4, want + 1)
    new = gw.child()
    passes_up_to(gw, new, want)
    child.delete()
    gw.exchange([gw.from_wan(told(child, 800, sent[:28]))])
    time.sleep(0.15)
    passes_up_to(gw, new, want)


def jumbo():
    """ESP-13: packets up to what a large buffer holds, sealed and opened."""
    def out(size):
        def run(gw):
            child = gw.shared()
            packet = host_to_far(size=size)
            expect_sealed(child, gw.exchange([gw.from_lan(packet)]), [f.routed(packet)])
        return run

    def back(size):
        def run(gw):
            child = gw.shared()
            packet = far_to_host(size=size)
            expect(gw.exchange([child.frame(packet)]), lan=[f.routed(packet)])
        return run
    rows = []
    for size in (1500, 2000, 2048, 2304, 4000, 4096, 6000, 8192, 8900):
        rows += [Case(f'ESP-13 jumbo: {size} octets are sealed', out(size)),
                 Case(f'ESP-13 jumbo: {size} octets are opened', back(size))]
    return rows


def jumbo_gateway():
    return Gateway(('--mbuf-size', '10240', '--mbufs', '4095'), mtu=9000, tunnel_mtu=8900)


def cases(_):
    rows = [too_big(T4, 4, size, udp) for udp in (False, True)
            for size in (MTU - 1, MTU, MTU + 1, MTU + 2, 1500)]
    rows += [too_big(tunnel, family, size) for tunnel, family in ((T4, 6), (T6, 4), (T6, 6))
             for size in (MTU, MTU + 1, 1500)]
    rows += cuts() + no_answers()
    rows += [Case('ESP-43 P1 copied options are in each fragment', cut_options),
             Case('ESP-43 P1 a tunnel of 600 octets cuts and tells', tunnel_mtu),
             Case('ESP-43 P1 a smaller LAN behind the tunnel cuts and tells', lan_mtu)]
    rows += learnt() + [floor(mtu) for mtu in (610, 576, 300, 68)]
    rows += [Case('ESP-44 a learnt path MTU is never raised by a message', never_raised),
             Case('ESP-44 a learnt path MTU stays over a rekey, an ended SA teaches nothing',
                  after_rekey)]
    return rows + [Case(f'ESP-44 a path MTU of {mtu} is learnt from ICMPv6',
                        learn(T6, False, mtu, 56)) for mtu in (1400, 1300, 1280)]


def families():
    yield Gateway, cases
    yield jumbo_gateway, lambda _: jumbo()
