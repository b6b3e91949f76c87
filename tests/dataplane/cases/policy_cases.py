# SPDX-License-Identifier: BSD-3-Clause
"""Who may pass (RFC 4301 4.4.1, 5.1, 5.2, 6.2): selectors of the SA both ways, nothing in the clear in
either direction, ICMP errors of routers behind the tunnel."""
import secrets

import dpclient as dp
import esp
import frames as f
from casebed import FAR, GW_LAN, HOST, HOST6, P_T4, PEER, T4, US, WAN, Gateway
from table import Case, Wrong, expect, expect_sealed, host_to_far, raw

FAR4, FAR6 = FAR[T4, 4], FAR[T4, 6]
ANY, OPAQUE = (0, 65535), (65535, 0)
NETS = ('10.1.0.0', '10.1.0.255'), ('10.2.0.0', '10.2.0.255')
NETS6 = ('2001:db8:1::', '2001:db8:1::ff'), ('2001:db8:2::', '2001:db8:2::ff')


def side(net, proto=0, ports=ANY):
    return [(*net, proto, *ports)]


def spec(local_proto=0, local_ports=ANY, remote_proto=0, remote_ports=ANY, nets=NETS):
    return {'local': side(nets[0], local_proto, local_ports),
            'remote': side(nets[1], remote_proto, remote_ports)}


def udp(src, dst, sport=1000, dport=2000, **ip):
    return f.ip(src, dst, f.UDP, f.udp(sport, dport, b'u' * 20,
                                       ends=(src, dst) if ':' in src else None), **ip)


def tcp(src, dst, sport=1000, dport=2000):
    return f.ip(src, dst, f.TCP, f.tcp(sport, dport, 0x10, ends=(src, dst)))


def echo(src, dst, kind=8, code=0):
    return f.ip4(src, dst, f.ICMP, f.icmp4(kind, code, payload=b'e' * 16))


def selectors():
    """(what, SA, packet out, packet in, passes): both directions of one rule."""
    h, r = HOST, FAR4
    both = spec()
    p17 = spec(17, ANY, 17, ANY)
    ports = spec(17, (1000, 1009), 17, (2000, 2009))
    icmp = spec(1, (8 << 8, 8 << 8 | 255), 1, (8 << 8, 8 << 8 | 255))
    opaque = spec(17, OPAQUE, 17, OPAQUE)
    return [
        ('addresses inside', both, udp(h, r), udp(r, h), True),
        ('first addresses', spec(nets=((h, h), (r, r))), udp(h, r), udp(r, h), True),
        ('peer one above', spec(nets=(NETS[0], ('10.2.0.0', '10.2.0.4'))), udp(h, r), udp(r, h),
         False),
        ('peer one below', spec(nets=(NETS[0], ('10.2.0.6', '10.2.0.255'))), udp(h, r), udp(r, h),
         False),
        ('host one above', spec(nets=(('10.1.0.0', '10.1.0.1'), NETS[1])), udp(h, r), udp(r, h),
         False),
        ('host one below', spec(nets=(('10.1.0.3', '10.1.0.9'), NETS[1])), udp(h, r), udp(r, h),
         False),
        ('the protocol', p17, udp(h, r), udp(r, h), True),
        ('another protocol', p17, tcp(h, r), tcp(r, h), False),
        ('ICMP where UDP is', p17, echo(h, r), echo(r, h), False),
        ('ports inside', ports, udp(h, r, 1000, 2009), udp(r, h, 2009, 1000), True),
        ('our port above', ports, udp(h, r, 1010, 2000), udp(r, h, 2000, 1010), False),
        ('our port below', ports, udp(h, r, 999, 2000), udp(r, h, 2000, 999), False),
        ('peer port above', ports, udp(h, r, 1000, 2010), udp(r, h, 2010, 1000), False),
        ('peer port below', ports, udp(h, r, 1000, 1999), udp(r, h, 1999, 1000), False),
        ('ports swapped', ports, udp(h, r, 2000, 1000), udp(r, h, 1000, 2000), False),
        ('a first fragment by its ports', ports, udp(h, r, 1000, 2000, flags=f.MF),
         udp(r, h, 2000, 1000, flags=f.MF), True),
        ('a later fragment where ports are asked', ports, udp(h, r, offset=80),
         udp(r, h, offset=80), False),
        ('a later fragment where any port does', p17, udp(h, r, offset=80),
         udp(r, h, offset=80), True),
        ('a later fragment of OPAQUE', opaque, udp(h, r, offset=80), udp(r, h, offset=80), True),
        ('shown ports where OPAQUE is', opaque, udp(h, r), udp(r, h), False),
        ('a packet too short for its ports', ports, f.ip4(h, r, 17, b'\x03'),
         f.ip4(r, h, 17, b'\x03'), False),
        ('ICMP of the type', icmp, echo(h, r), echo(r, h), True),
        ('ICMP of another type', icmp, echo(h, r, 0), echo(r, h, 0), False),
    ]


def selectors6():
    h, r = HOST6, FAR6
    both = spec(nets=NETS6)
    ports = spec(17, (1000, 1009), 17, (2000, 2009), nets=NETS6)

    def behind(src, dst, sport, dport):
        inner = udp(src, dst, sport, dport)
        return f.ip6(src, dst, 60, b'\x11\0\x01\x04\0\0\0\0' + inner[40:])
    return [
        ('addresses inside', both, udp(h, r), udp(r, h), True),
        ('peer one above', spec(nets=(NETS6[0], ('2001:db8:2::', '2001:db8:2::4'))), udp(h, r),
         udp(r, h), False),
        ('host one below', spec(nets=(('2001:db8:1::3', '2001:db8:1::9'), NETS6[1])), udp(h, r),
         udp(r, h), False),
        ('IPv4 where IPv6 is', both, udp(HOST, FAR4), udp(FAR4, HOST), False),
        ('ports inside', ports, udp(h, r, 1009, 2000), udp(r, h, 2000, 1009), True),
        ('our port above', ports, udp(h, r, 1010, 2000), udp(r, h, 2000, 1010), False),
        ('ports behind an extension header', ports, behind(h, r, 1000, 2000),
         behind(r, h, 2000, 1000), True),
        ('wrong ports behind an extension header', ports, behind(h, r, 2000, 1000),
         behind(r, h, 1000, 2000), False),
        ('another protocol', ports, tcp(h, r), tcp(r, h), False),
    ]


def selector_cases(rows, family):
    def inward(sa, packet, passes):
        def run(gw):
            child = gw.child(outbound=0, **sa)
            result = gw.exchange([child.frame(packet)])
            expect(result, lan=[f.routed(packet)] if passes else [],
                   drops={} if passes else {'selector-in': 1})
            if child.row().in_packets != 1:
                raise Wrong('an authentic packet counts')
            child.delete()
        return run

    def outward(sa, packet, passes):
        def run(gw):
            child = gw.child(**sa)
            result = gw.exchange([gw.from_lan(packet)])
            if passes:
                expect_sealed(child, result, [f.routed(packet)])
            else:
                expect(result, drops={'selector-out': 1})
            child.delete()
        return run
    cases = []
    for what, sa, out, back, passes in rows:
        word = 'passes' if passes else 'drops'
        cases += [Case(f'ESP-35 P1 IPv{family} in: {what} {word}', inward(sa, back, passes)),
                  Case(f'ESP-36 P1 IPv{family} out: {what} {word}', outward(sa, out, passes))]
    return cases


def several_ranges(gw):
    """Any of up to eight selectors a side, and none beside them."""
    rows = [(f'10.2.{i}.5', f'10.2.{i}.5', 0, 0, 65535) for i in range(0, 16, 2)]
    child = gw.child(remote=rows, local=side(NETS[0]))
    for i in range(16):
        packet = udp(f'10.2.{i}.5', HOST)
        ok = i % 2 == 0
        expect(gw.exchange([child.frame(packet)]), lan=[f.routed(packet)] if ok else [],
               drops={} if ok else {'selector-in': 1})
        out = udp(HOST, f'10.2.{i}.5')
        result = gw.exchange([gw.from_lan(out)])
        if ok:
            expect_sealed(child, result, [f.routed(out)])
        else:
            expect(result, drops={'selector-out': 1})
    child.delete()


def quoting(outer_src, outer_dst, quoted, kind=3, code=1, rest=b'\0\0\0\0', keep=28):
    return f.ip4(outer_src, outer_dst, f.ICMP, f.icmp4(kind, code, rest, quoted[:keep]))


def transit_errors():
    """ESP-45: errors of routers that no selector lists pass for the packet that they quote."""
    sa = spec(17, (1000, 1009), 17, (2000, 2009))
    router, mine = '10.99.0.1', udp(HOST, FAR4, 1000, 2000)
    peers = udp(FAR4, HOST, 2000, 1000)
    rows = [
        ('unreachable quoting ours passes', quoting(router, HOST, mine), True),
        ('too big quoting ours passes', quoting(router, HOST, mine, 3, 4, b'\0\0\x05\0'), True),
        ('time exceeded quoting ours passes', quoting(router, HOST, mine, 11, 0), True),
        ('parameter problem quoting ours passes', quoting(router, HOST, mine, 12, 0), True),
        ('quoting with other ports drops', quoting(router, HOST, udp(HOST, FAR4, 1010, 2000)),
         False),
        ('quoting another protocol drops', quoting(router, HOST, tcp(HOST, FAR4)), False),
        ('quoting another host drops', quoting(router, HOST, udp('10.1.0.3', FAR4, 1000, 2000)),
         False),
        ('quoting the other direction drops', quoting(router, HOST, peers), False),
        ('quoting an error drops', quoting(router, HOST, quoting(FAR4, HOST, mine), keep=60),
         False),
        ('with a quote too short for ports drops', quoting(router, HOST, mine, keep=20), False),
        ('with half a header quoted drops', quoting(router, HOST, mine, keep=19), False),
        ('that is no error drops', quoting(router, HOST, mine, 8, 0), False),
    ]

    def inward(packet, passes):
        def run(gw):
            child = gw.child(outbound=0, **sa)
            expect(gw.exchange([child.frame(packet)]), lan=[f.routed(packet)] if passes else [],
                   drops={} if passes else {'selector-in': 1})
            child.delete()
        return run

    def outward(gw):
        child = gw.child(**sa)
        gw.neighbour('10.1.0.77')
        error = quoting('10.1.0.77', FAR4, peers)
        expect_sealed(child, gw.exchange([gw.from_lan(error)]), [f.routed(error)])
        wrong = quoting('10.1.0.77', FAR4, udp(FAR4, HOST, 2010, 1000))
        expect(gw.exchange([gw.from_lan(wrong)]), drops={'selector-out': 1})
        child.delete()
    return [Case(f'ESP-45 in: an ICMP error {what}', inward(p, ok)) for what, p, ok in rows] + [
        Case('ESP-45 out: an ICMP error of our side passes for what it quotes', outward)]


def clear_inbound():
    """ESP-39: on the Internet side nothing is taken in the clear that must come protected."""
    def wan(src, dst, **ip):
        return f.ip4(src, dst, f.UDP, f.udp(5, 6, b'clear'), **ip)
    rows = [
        ('for the LAN from anywhere', wan(PEER, HOST)),
        ('for the LAN from a protected prefix', wan(FAR4, HOST)),
        ('for a protected prefix', wan(PEER, FAR4)),
        ('for our LAN address', wan(PEER, GW_LAN)),
        ('for our Internet address from a protected prefix', wan(FAR4, US)),
        ('for the LAN as a fragment', wan(FAR4, HOST, flags=f.MF)),
        ('for the LAN as a last fragment', wan(FAR4, HOST, offset=800)),
        ('for the LAN with options', wan(FAR4, HOST, options=b'\x94\x04\0\0')),
        ('through us to elsewhere', wan(PEER, '203.0.113.200')),
        ('ESP that is not for us', f.ip4(PEER, HOST, f.ESP, b'\1\2\3\4' * 20)),
        ('IP in IP for the LAN', f.ip4(PEER, HOST, 4, wan(FAR4, HOST))),
    ]
    return [raw(f'ESP-39 clear text {what} drops', p, WAN, 'clear-inbound') for what, p in rows]


def no_sa(name, prepare):
    """ESP-36: without an SA nothing leaves, and above all not in the clear."""
    def run(gw):
        undo = prepare(gw) or (lambda: None)
        result = gw.exchange([gw.from_lan(host_to_far(ident=i)) for i in range(20)])
        undo()
        if result.wan or result.lan or sum(result.drops.values()) != 20 or \
                set(result.drops) - {'no-sa', 'all-paths-down', 'limit-hard'}:
            raise Wrong(f'{result.wan} {result.drops}')
    return Case(f'ESP-36 P1 nothing leaves {name}', run)


def before_any(gw):
    if gw.children:
        raise Wrong('this case must be the first')


def held(gw):
    gw.child(outbound=0)


def deleted(gw):
    gw.child().delete()


def deleted_out(gw):
    gw.child().delete(2)


def beyond_hard(gw):
    child = gw.child(packets=(0, 1))
    expect_sealed(child, gw.exchange([gw.from_lan(host_to_far())]), [f.routed(host_to_far())])


def path_down(gw):
    gw.shared()
    clears = {p.id: p.clears for p in gw.control.call('GET_PATHS')}[P_T4]
    gw.control.call('PATH_STATE', dp.PathState(P_T4, 0, clears))
    return lambda: gw.control.call('PATH_STATE', dp.PathState(P_T4, 1, clears))


def after_rekey(gw):
    """The old SA ended, the new one only held: the half that was not switched to does not send."""
    old = gw.child()
    gw.child(outbound=0)
    old.delete()


def refused_install(what, change, status):
    """An install that is refused leaves nothing to send on."""
    def run(gw):
        spi = gw.spi(T4)
        keys = secrets.token_bytes(36), secrets.token_bytes(36)
        sa = gw.describe(T4, esp.SUITES['aes256gcm16'], {}, spi, 0x41000000, keys)
        incarnation = gw.iked.hello.incarnation + (what == 'of another incarnation')
        change(sa)
        before = gw.control.call('GET_STATUS')[0].sas
        try:
            gw.iked.call('SA_INSTALL', dp.SaInstall(incarnation, 1, 0, sa))
            raise Wrong('accepted')
        except dp.Refused as e:
            if e.status != status or '\n' in e.text or not e.text:
                raise Wrong(f'{e}') from e
        if gw.control.call('GET_STATUS')[0].sas != before:
            raise Wrong('something stayed')
        gw.iked.call('SPI_FREE', dp.Spi(T4, spi))
    return Case(f'ESP-30 an SA {what} is refused by one sentence and leaves nothing', run)


def installs():
    def put(**fields):
        def change(sa):
            for k, v in fields.items():
                setattr(sa, k, v)
        return change

    def same_keys(sa):
        for i in range(36):
            sa.key_in[i] = sa.key_out[i]
    big = 1 << 40
    return [refused_install(what, change, status) for what, change, status in (
        ('with an unknown cipher', put(encr=200), 95),
        ('with a cipher and no key for it', put(key_len=16), 22),
        ('with an integrity algorithm beside an AEAD', put(integ=2), 95),
        ('with one key for both directions', same_keys, 22),
        ('with a window beyond the largest', put(replay_window=65537), 22),
        ('with a reserved peer SPI', put(spi_out=255), 22),
        ('with no selectors', put(n_remote=0), 22),
        ('with nine selectors', put(n_remote=9), 22),
        ('with UDP and no port', put(flags=dp.SA_UDP, remote_port=0), 22),
        ('for a tunnel that is not', put(tunnel=99), 2),
        ('with an SPI that was not given out', put(spi_in=0x7FFFFFF1), 2),
        ('whose soft limit is above the hard one', put(bytes=dp.Limit(big, big - 1)), 22),
        ('of another incarnation', put(), 116))]


def cases(_):
    rows = [no_sa('before the first SA', before_any), no_sa('on an SA that is only held', held),
            no_sa('after the SA was deleted', deleted),
            no_sa('after its outbound half was deleted', deleted_out),
            no_sa('beyond the hard limit', beyond_hard),
            no_sa('while the tunnel\'s path is down', path_down),
            no_sa('after the old SA was deleted and none switched to', after_rekey)]
    rows += selector_cases(selectors(), 4)
    rows += [Case('ESP-35 ESP-36 P1 any of eight selectors a side, and none beside',
                  several_ranges)]
    rows += transit_errors() + clear_inbound() + installs()
    return rows + selector_cases(selectors6(), 6)


def families():
    yield Gateway, cases
