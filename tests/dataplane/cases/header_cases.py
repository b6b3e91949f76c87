# SPDX-License-Identifier: BSD-3-Clause
"""What passes between inner and outer headers, and what routing does to a packet on either side of a
tunnel: ECN (RFC 6040), DSCP and DF (RFC 4301 5.1.2, 8.1), TTL, outer ID, MSS of new connections."""
import struct

import frames as f
from casebed import FAR, GW_LAN, GW_LAN6, HOST, HOST6, MTU, T4, T6, Gateway
from table import (Case, Wrong, expect, expect_sealed, far_to_host, host_to_far, opens, seals)

NOT, ECT1, ECT0, CE = 0, 1, 2, 3
NAME = {NOT: 'Not-ECT', ECT1: 'ECT(1)', ECT0: 'ECT(0)', CE: 'CE'}
# RFC 6040 figure 4: inner field (row), outer field (column); None: drop.
DECAP = {NOT: {NOT: NOT, ECT0: NOT, ECT1: NOT, CE: None},
         ECT0: {NOT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
         ECT1: {NOT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
         CE: {NOT: CE, ECT0: CE, ECT1: CE, CE: CE}}


def ecn(tunnel, family):
    rows = []
    where = f'IPv{family} in IPv{4 if tunnel == T4 else 6}'
    for inner, row in DECAP.items():
        packet = far_to_host(tunnel, family, tos=0xB8 | inner)
        out = host_to_far(tunnel, family, tos=0x68 | inner)
        rows.append(seals(f'ESP-41 P1 {where}: {NAME[inner]} goes out on the outer header', out,
                          tos=inner, tunnel=tunnel))
        for outer, gives in row.items():
            name = f'ESP-41 P1 {where}: inner {NAME[inner]}, outer {NAME[outer]}'
            if gives is None:
                rows.append(opens(f'{name} drops', packet, 'esp-ecn', tunnel=tunnel,
                                  outer={'tos': outer}))
            else:
                rows.append(opens(f'{name} gives {NAME[gives]}', packet, tunnel=tunnel,
                                  outer={'tos': 0x28 | outer},
                                  out=f.with_tos(f.routed(packet), 0xB8 | gives)))
    return rows


def dscp(tunnel, family):
    where = f'IPv{family} in IPv{4 if tunnel == T4 else 6}'

    def copied(gw):
        gw.set_tunnel(tunnel, dscp_copy=1)
        try:
            child = gw.shared(tunnel)
            for code in range(64):
                for mark in range(4):
                    out = host_to_far(tunnel, family, tos=code << 2 | mark)
                    expect_sealed(child, gw.exchange([gw.from_lan(out)]), [f.routed(out)],
                                  tos=code << 2 | mark)
        finally:
            gw.set_tunnel(tunnel)

    def kept(gw):
        child = gw.shared(tunnel)
        for code in range(64):
            out = host_to_far(tunnel, family, tos=code << 2)
            expect_sealed(child, gw.exchange([gw.from_lan(out)]), [f.routed(out)], tos=0)

    def never_inward(gw):
        child = gw.shared(tunnel)
        for code in range(64):
            packet = far_to_host(tunnel, family, tos=(63 - code) << 2)
            expect(gw.exchange([child.frame(packet, outer={'tos': code << 2})]),
                   lan=[f.routed(packet)])
    return [Case(f'ESP-42 {where}: DSCP goes out when the tunnel says so', copied),
            Case(f'ESP-42 {where}: DSCP stays inside otherwise', kept),
            Case(f'ESP-42 {where}: DSCP never comes in from outside', never_inward)]


def outer_df(mode, family, expected):
    """mode: 0 set, 1 copy, 2 clear; expected(inner has DF) is the outer DF."""
    def run(gw):
        gw.set_tunnel(T4, outer_df=mode)
        try:
            child = gw.shared()
            for flags in ((0, f.DF) if family == 4 else (None,)):
                out = host_to_far(T4, family, **({} if flags is None else {'flags': flags}))
                packet, = gw.exchange([gw.from_lan(out)]).wan
                has = struct.unpack('!H', packet[6:8])[0]
                if has != (f.DF if expected(flags) else 0):
                    raise Wrong(f'outer flags {has:#x} for inner {flags}')
                if child.outward.open(packet[20:]).inner != f.routed(out):
                    raise Wrong('inside')
        finally:
            gw.set_tunnel(T4)
    word = ('set', 'copied', 'clear')[mode]
    return Case(f'ESP-40 P1 outer DF {word} for IPv{family} inside', run)


def outer_fields(gw):
    """ESP-40: TTL, ID, options of the outer header are ours, whatever is inside."""
    child = gw.shared()
    idents = set()
    for i in range(64):
        out = host_to_far(ttl=2 + i, ident=7, tos=0, flags=0)
        packet, = gw.exchange([gw.from_lan(out)]).wan
        child.open(packet)
        idents.add(packet[4:6])
    if len(idents) != 64:
        raise Wrong('outer ID')
    with_options = f.ip4(HOST, FAR[T4, 4], options=b'\x94\x04\0\0', payload=f.udp(1, 2, b'x'))
    expect_sealed(child, gw.exchange([gw.from_lan(with_options)]), [f.routed(with_options)])


def is_icmp(packet, kind, code, src, dst, original, word=None):
    """A sound ICMP error about the beginning of `original`, as received or with the TTL that it was to
    leave with (RFC 1812 4.3.2.3); word: octets 4 to 8."""
    n = f.header_len(packet)
    body = packet[n:]
    six = f.version(packet) == 6
    good = f.csum(f.pseudo(src, dst, f.ICMP6, len(body)) + body if six else body) == 0
    quote = body[8:]
    if (f.ends_of(packet), f.proto_of(packet)) != ((src, dst), f.ICMP6 if six else f.ICMP) or \
            not f.header_ok(packet) or not good or (body[0], body[1]) != (kind, code):
        raise Wrong(f'not the ICMP error: {packet.hex()}')
    if word is not None and struct.unpack('!I', body[4:8])[0] != word:
        raise Wrong(f'ICMP word {body[4:8].hex()}, not {word:#x}')
    least = min(len(original), 1280 - 48 if six else 28)
    known = quote in (original[:len(quote)], f.routed(original)[:len(quote)])
    if len(quote) < least or not known or len(packet) > (1280 if six else 576):
        raise Wrong(f'quote {quote.hex()} of {original.hex()}')


def ttl_cases(tunnel, family):
    where = f'IPv{family} in IPv{4 if tunnel == T4 else 6}'
    six = family == 6
    host, gw_lan = (HOST6, GW_LAN6) if six else (HOST, GW_LAN)
    kind = 3 if six else 11
    rows = [seals(f'ESP-40 P1 {where}: TTL {t} goes in as {t - 1}',
                  host_to_far(tunnel, family, ttl=t), tunnel=tunnel) for t in (2, 64, 255)]
    rows += [opens(f'ESP-40 P1 {where}: TTL {t} comes out as {t - 1}',
                   far_to_host(tunnel, family, ttl=t), tunnel=tunnel) for t in (2, 64, 255)]

    def used_up_out(t):
        def run(gw):
            gw.shared(tunnel)
            out = host_to_far(tunnel, family, ttl=t)
            result = gw.exchange([gw.from_lan(out)])
            if result.wan or result.drops != {'ttl': 1} or len(result.lan) != 1:
                raise Wrong(f'{result.lan} {result.wan} {result.drops}')
            is_icmp(result.lan[0], kind, 0, gw_lan, host, out, 0)
        return run

    def used_up_in(t):
        def run(gw):
            child = gw.shared(tunnel)
            packet = far_to_host(tunnel, family, ttl=t)
            result = gw.exchange([child.frame(packet)])
            if result.lan or result.drops != {'ttl': 1} or len(result.wan) != 1:
                raise Wrong(f'{result.lan} {result.wan} {result.drops}')
            answer = child.open(result.wan[0], child.top >> 32).inner
            source = f.ends_of(answer)[0]
            is_icmp(answer, kind, 0, source, FAR[tunnel, family], packet, 0)
        return run
    return rows + [Case(f'ESP-40 P1 {where}: TTL {t} of the LAN is answered', used_up_out(t))
                   for t in (0, 1)] + \
        [Case(f'ESP-40 P1 {where}: TTL {t} out of the tunnel is answered through it',
              used_up_in(t)) for t in (0, 1)]


SYN, SYNACK, ACK, RST = 2, 0x12, 0x10, 4


def mss_opt(value):
    return b'\x02\x04' + struct.pack('!H', value)


def mss_rows(family):
    """(what, flags, options, what the value becomes or None)."""
    fits = MTU - (60 if family == 6 else 40)
    sack, wscale = b'\x04\x02', b'\x03\x03\x07'
    stamp = b'\x08\x0a' + b'\1' * 8
    return [
        ('of SYN is lowered', SYN, mss_opt(1460), fits),
        ('of SYN and ACK is lowered', SYNACK, mss_opt(1460), fits),
        ('of 65535 is lowered', SYN, mss_opt(65535), fits),
        ('one above is lowered', SYN, mss_opt(fits + 1), fits),
        ('that fits stays', SYN, mss_opt(fits), None),
        ('one below stays', SYN, mss_opt(fits - 1), None),
        ('of 0 stays', SYN, mss_opt(0), None),
        ('that is not there is not added', SYN, b'', None),
        ('in an empty list is not added', SYN, b'\1\1\1\0', None),
        ('without SYN stays', ACK, mss_opt(1460), None),
        ('with RST stays', RST, mss_opt(1460), None),
        ('behind others is lowered', SYN, sack + stamp + mss_opt(1460) + b'\1' + wscale, fits),
        ('at an odd place is lowered', SYN, b'\1' + mss_opt(1460) + b'\1\1\0', fits),
        ('behind three octets is lowered', SYN, wscale + mss_opt(1460) + b'\0', fits),
        ('behind the end of the list stays', SYN, b'\0\0\0\0' + mss_opt(1460), None),
        ('of 3 octets stays', SYN, b'\x02\x03\x05' + b'\0', None),
        ('of 5 octets stays', SYN, b'\x02\x05\x05\xb4\0' + b'\0\0\0', None),
        ('of 2 octets stays', SYN, b'\x02\x02' + b'\0\0', None),
        ('behind an option of length 0 stays', SYN, b'\x08\x00' + mss_opt(1460) + b'\0\0', None),
        ('behind an option of length 1 stays', SYN, b'\x08\x01' + mss_opt(1460) + b'\0\0', None),
        ('before an option beyond the list stays', SYN, mss_opt(1460) + b'\x08\x0a\0\0', None),
        ('that ends beyond the list stays', SYN, b'\1\1\x02\x04', None),
    ]


def mss(family):
    rows = []
    for what, flags, options, value in mss_rows(family):
        def packet(src, dst, flags=flags, options=options):
            return f.ip(src, dst, f.TCP, f.tcp(9, 8, flags, options, ends=(src, dst)))

        def expected(p, value=value):
            return f.routed(p if value is None else f.with_tcp_mss(p, value))
        out = packet(HOST6 if family == 6 else HOST, FAR[T4, family])
        back = packet(FAR[T4, family], HOST6 if family == 6 else HOST)
        rows += [seals(f'ESP-47 IPv{family} out: an MSS {what}', out, sealed=expected(out)),
                 opens(f'ESP-47 IPv{family} in: an MSS {what}', back, out=expected(back))]
    return rows


def mss_odd(gw):
    """SYNs that are not whole: fragments, headers cut short, header lengths that lie."""
    child = gw.shared()
    seg = f.tcp(9, 8, SYN, mss_opt(1460))
    for p in (f.ip4(HOST, FAR[T4, 4], f.TCP, seg, flags=f.MF),
              f.ip4(HOST, FAR[T4, 4], f.TCP, seg, offset=8),
              f.ip4(HOST, FAR[T4, 4], f.TCP, seg[:20]), f.ip4(HOST, FAR[T4, 4], f.TCP, seg[:23]),
              f.ip4(HOST, FAR[T4, 4], f.TCP, seg[:13]), f.ip4(HOST, FAR[T4, 4], f.TCP, seg[:1]),
              f.ip4(HOST, FAR[T4, 4], f.TCP, f.tcp(9, 8, SYN, mss_opt(1460), words=4)),
              f.ip4(HOST, FAR[T4, 4], f.TCP, f.tcp(9, 8, SYN, mss_opt(1460), words=15)),
              f.ip4(HOST, FAR[T4, 4], f.TCP, f.tcp(9, 8, SYN, mss_opt(1460), words=0)),
              f.ip4(HOST, FAR[T4, 4], f.UDP, seg)):
        expect_sealed(child, gw.exchange([gw.from_lan(p)]), [f.routed(p)])


def mss_with_options(gw):
    """Behind IPv4 options the TCP header is elsewhere."""
    child = gw.shared()
    seg = f.tcp(9, 8, SYN, mss_opt(1460), ends=(HOST, FAR[T4, 4]))
    p = f.ip4(HOST, FAR[T4, 4], f.TCP, seg, options=b'\x94\x04\0\0')
    expect_sealed(child, gw.exchange([gw.from_lan(p)]), [f.routed(f.with_tcp_mss(p, MTU - 40))])


def mss_configured(gw):
    gw.set_tunnel(T4, mss_clamp=1000)
    try:
        child = gw.shared()
        p = f.ip4(HOST, FAR[T4, 4], f.TCP, f.tcp(9, 8, SYN, mss_opt(1200),
                                                 ends=(HOST, FAR[T4, 4])))
        expect_sealed(child, gw.exchange([gw.from_lan(p)]), [f.routed(f.with_tcp_mss(p, 1000))])
    finally:
        gw.set_tunnel(T4)


def cases(_):
    rows = ecn(T4, 4) + dscp(T4, 4) + ttl_cases(T4, 4)
    rows += [outer_df(mode, 4, rule) for mode, rule in (
        (0, lambda inner: True), (1, bool), (2, lambda inner: False))]
    rows += [Case('ESP-40 P1 outer TTL, ID and options are our own', outer_fields)] + mss(4)
    rows += [Case('ESP-47 a SYN that is not whole or lies about its length stays', mss_odd),
             Case('ESP-47 an MSS behind IPv4 options is lowered', mss_with_options),
             Case('ESP-47 the configured MSS wins', mss_configured)]
    for tunnel, family in ((T4, 6), (T6, 4), (T6, 6)):
        rows += ecn(tunnel, family) + dscp(tunnel, family) + ttl_cases(tunnel, family)
    return rows + mss(6) + [outer_df(mode, 6, lambda inner, m=mode: m != 2) for mode in (0, 1, 2)]


def families():
    yield Gateway, cases
