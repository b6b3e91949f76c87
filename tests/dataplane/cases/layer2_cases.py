# SPDX-License-Identifier: BSD-3-Clause
"""ESP-48: frames. Tags, runts, odd ethertypes, sizes, IPv4 options and IPv6 extension headers: each is
forwarded or dropped by a rule, and rx = tx + drops holds over all of them (F17)."""
import os

import dpclient as dp
import frames as f
from casebed import FAR, HOST, HOST6, LAN, T4, Gateway
from table import Case, Wrong, expect, expect_sealed, host_to_far, raw

LONG = os.environ.get('SPW_LONG') == '1'
BASE_IF, BASE_PATH, BASE_GROUP = 40, 40, 40
# (name, VLAN ids, TPID of the outer tag): sub-interfaces of the LAN port.
SUBS = (('s100', (100,), f.VLAN), ('s101', (101,), f.VLAN), ('s4094', (4094,), f.VLAN),
        ('q10', (10, 20), f.VLAN), ('q11', (11, 4094), f.QINQ), ('q12', (10, 21), f.VLAN))


def subnet(i):
    return f'10.1.{100 + i}'


def add_subs(gw):
    """The sub-interfaces, each with a network, a path, a neighbour."""
    call = gw.control.call
    for i, (name, vids, tpid) in enumerate(SUBS):
        call('IFACE_SET', dp.Iface(
            id=BASE_IF + i, generation=1, name=name.encode(), kind=dp.KIND_VLAN, role=dp.LAN,
            port=0, mtu=1500, up=1, vlan_outer=vids[0], vlan_tpid=tpid,
            vlan_inner=vids[1] if len(vids) > 1 else 0))
        call('ADDR_SET', dp.Address(BASE_IF + i, 1, dp.prefix(f'{subnet(i)}.1/24')))
        call('PATH_SET', dp.Path(id=BASE_PATH + i, generation=1, kind=dp.CONNECTED,
                                 iface=BASE_IF + i))
        call('PATH_STATE', dp.PathState(BASE_PATH + i, 1, 0))
        call('GROUP_SET', dp.group(BASE_GROUP + i, [dp.tier(0, [BASE_PATH + i])]))
        call('ROUTE_SET', dp.Route(dp.prefix(f'{subnet(i)}.0/24'), BASE_GROUP + i, 1))
        gw.neighbour(f'{subnet(i)}.2', BASE_IF + i)


def tags_of(vids, tpid, prio=0):
    kinds = (tpid, f.VLAN) if len(vids) > 1 else (tpid,)
    return [(k, prio << 13 | v) for k, v in zip(kinds, vids)]


def tagged_in(i, tags=None, drop=None, prio=0):
    """From a sub-interface into the tunnel."""
    name, vids, tpid = SUBS[i]

    def run(gw):
        child = gw.shared()
        packet = f.ip4(f'{subnet(i)}.2', FAR[T4, 4], payload=f.udp(1, 2, b't' * 30))
        frame = gw.from_lan(packet, tags_of(vids, tpid, prio) if tags is None else tags)
        result = gw.exchange([frame])
        if drop:
            expect(result, drops={drop: 1})
        else:
            expect_sealed(child, result, [f.routed(packet)])
    return run


def tagged_out(i):
    """Out of the tunnel to a sub-interface: the tags are written, priority 0."""
    _, vids, tpid = SUBS[i]

    def run(gw):
        child = gw.shared()
        packet = f.ip4(FAR[T4, 4], f'{subnet(i)}.2', payload=f.udp(1, 2, b't' * 30))
        result = gw.exchange([child.frame(packet)])
        want = f.eth(gw.wire[LAN].mac, gw.mac[LAN], f.ETH4, f.routed(packet),
                     tags_of(vids, tpid))
        if result.frames[LAN] != [want] or result.drops:
            raise Wrong(f'{[x.hex() for x in result.frames[LAN]]}, wanted {want.hex()}, '
                        f'{result.drops}')
    return run


def tags():
    rows = []
    for i, (name, vids, tpid) in enumerate(SUBS):
        what = f'{" and ".join(map(str, vids))} by {tpid:#x}'
        rows += [Case(f'ESP-48 VLAN {what} comes in', tagged_in(i)),
                 Case(f'ESP-48 VLAN {what} comes in with any priority', tagged_in(i, prio=7)),
                 Case(f'ESP-48 VLAN {what} goes out', tagged_out(i))]
    v, q = f.VLAN, f.QINQ
    for what, t in (('an unknown VLAN', [(v, 77)]), ('VLAN 4095', [(v, 4095)]),
                    ('a known VLAN inside an unknown', [(v, 77), (v, 100)]),
                    ('an unknown VLAN inside a known', [(v, 100), (v, 77)]),
                    ('the outer VLAN of a pair alone', [(v, 10)]),
                    ('a pair the wrong way round', [(v, 20), (v, 10)]),
                    ('an unknown pair of 0x88a8', [(q, 10), (v, 99)])):
        rows.append(Case(f'ESP-48 {what} drops', tagged_in(0, t, 'vlan-unknown')))
    return rows


def priority_tag(gw):
    """IEEE 802.1Q 6.9: a frame with VLAN id 0 is untagged but for its priority."""
    child = gw.shared()
    packet = host_to_far()
    expect_sealed(child, gw.exchange([gw.from_lan(packet, [(f.VLAN, 5 << 13)])]),
                  [f.routed(packet)])


def three_tags(gw):
    packet = host_to_far()
    result = gw.exchange([gw.from_lan(packet, [(f.VLAN, 10), (f.VLAN, 20), (f.VLAN, 30)])])
    if result.lan or result.wan or sum(result.drops.values()) != 1:
        raise Wrong(f'{result.drops}')


def whole(gw, ethertype, payload, dst=None):
    return f.eth(dst or gw.mac[LAN], gw.wire[LAN].mac, ethertype, payload)


def one_drop(name, make, reason=None):
    """One frame that must fall, under this reason or, where a driver may pad, any."""
    def run(gw):
        result = gw.exchange([(LAN, make(gw))])
        if result.lan or result.wan or sum(result.drops.values()) != 1 or \
                (reason and result.drops != {reason: 1}):
            raise Wrong(f'{result.lan} {result.wan} {result.drops}')
    return Case(f'ESP-48 {name} drops', run)


def ethertypes():
    kinds = (0x0000, 0x0005, 0x05DC, 0x05DD, 0x0600, 0x0801, 0x0805, 0x0842, 0x22F0, 0x6558,
             0x8035, 0x809B, 0x8137, 0x8809, 0x8847, 0x8848, 0x8863, 0x8864, 0x888E, 0x88CC,
             0x88E5, 0x8906, 0x9000, 0x9100, 0x9200, 0xFFFF)

    def all_drop(gw):
        for kind in kinds:
            expect(gw.exchange([(LAN, whole(gw, kind, f.filled(60)))]), drops={'ethertype': 1})
            expect(gw.exchange([(LAN, whole(gw, kind, b''))]), drops={'ethertype': 1})
    return [Case(f'ESP-48 each of {len(kinds)} other ethertypes drops', all_drop),
            one_drop('a frame for another station', lambda gw: whole(
                gw, f.ETH4, host_to_far(), '02:00:00:00:00:99'), 'not-for-us'),
            one_drop('our own packet to a broadcast address', lambda gw: whole(
                gw, f.ETH4, f.ip4(HOST, '10.1.0.1'), 'ff:ff:ff:ff:ff:ff'), 'martian'),
            one_drop('IPv6 under the ethertype of IPv4', lambda gw: whole(
                gw, f.ETH4, f.ip6(HOST6, FAR[T4, 6])), 'ip-header'),
            one_drop('IPv4 under the ethertype of IPv6', lambda gw: whole(
                gw, f.ETH6, host_to_far(size=60)))]


def runts(gw):
    """Every length of a frame from the Ethernet header to the whole packet, at tag depths 0 to 3.
    A tagged frame below 20 octets ends in the kernel that stands in for the wire."""
    packet = host_to_far(size=60)
    for depth in range(4):
        tags = [(f.VLAN, 100)] * depth
        frame = gw.from_lan(packet, tags)[1]
        for n in range(20 if depth else 14, len(frame)):
            result = gw.exchange([(LAN, frame[:n])])
            if result.lan or result.wan or sum(result.drops.values()) != 1 or \
                    set(result.drops) - {'runt', 'vlan-unknown', 'ethertype'}:
                raise Wrong(f'{n} octets, {depth} tags: {result.drops}')


def trailing(gw):
    """Padding of the link behind a packet is not part of it."""
    child = gw.shared()
    for n in (20, 21, 28, 40, 45):
        packet = host_to_far(size=n)
        for pad in (1, 26, 100):
            frame = whole(gw, f.ETH4, packet + b'\xee' * pad)
            expect_sealed(child, gw.exchange([(LAN, frame)]), [f.routed(packet)])


def headers4():
    far = FAR[T4, 4]

    def p(**kw):
        return f.ip4(HOST, far, payload=f.udp(1, 2, b'x' * 20), **kw)
    rows = [('version 5', p(version=5), 'ip-header'), ('version 0', p(version=0), 'ip-header'),
            ('a header of 16', p(ihl=4), 'ip-header'),
            ('a header of 0', p(ihl=0), 'ip-header'),
            ('a header beyond the packet', f.ip4(HOST, far, ihl=15), 'runt'),
            ('a length beyond the frame', p(total=1000), 'runt'),
            ('a length below the header', p(total=19), 'ip-header'),
            ('a length of 0', p(total=0), 'ip-header'),
            ('a wrong checksum', p(check=1), 'ip-header'),
            ('a loose source route', p(options=b'\x83\x07\x04\x0a\1\1\1'), 'ip-options'),
            ('a strict source route', p(options=b'\x89\x07\x04\x0a\1\1\1'), 'ip-options'),
            ('an option of length 0', p(options=b'\x94\x00\0\0'), 'ip-options'),
            ('an option of length 1', p(options=b'\x94\x01\0\0'), 'ip-options'),
            ('an option beyond the header', p(options=b'\x94\x09\0\0'), 'ip-options'),
            ('an option without a length', p(options=b'\1\1\1\x94'), 'ip-options'),
            ('source 0.0.0.0', f.ip4('0.0.0.0', far), 'martian'),
            ('source 127.1.2.3', f.ip4('127.1.2.3', far), 'martian'),
            ('source a group', f.ip4('239.1.1.1', far), 'martian'),
            ('source broadcast', f.ip4('255.255.255.255', far), 'martian'),
            ('destination 0.0.0.1', f.ip4(HOST, '0.0.0.1'), 'martian'),
            ('destination 127.0.0.1', f.ip4(HOST, '127.0.0.1'), 'martian'),
            ('destination class E', f.ip4(HOST, '250.1.1.1'), 'martian'),
            ('no route', f.ip4(HOST, '192.0.2.1'), 'no-route')]
    return [raw(f'ESP-48 IPv4: {what} drops', packet, drop=drop) for what, packet, drop in rows]


def options4(gw):
    """Harmless options go through, and into the tunnel, as they are."""
    child = gw.shared()
    for opt in (b'\1\1\1\0', b'\x94\x04\0\0', b'\x07\x0b\x04' + b'\0' * 8 + b'\0',
                b'\x44\x0c\x05\0' + b'\0' * 8, b'\x82\x0b' + b'\0' * 9 + b'\0', b'\x01' * 40):
        packet = f.ip4(HOST, FAR[T4, 4], payload=f.udp(1, 2, b'x'), options=opt)
        expect_sealed(child, gw.exchange([gw.from_lan(packet)]), [f.routed(packet)])


def headers6():
    far = FAR[T4, 6]
    rows = [('version 4', f.ip6(HOST6, far, version=4), None),
            ('a length beyond the frame', f.ip6(HOST6, far, length=100), 'runt'),
            ('source ::', f.ip6('::', far), 'martian'), ('source ::1', f.ip6('::1', far), 'martian'),
            ('source a group', f.ip6('ff02::1', far), 'martian'),
            ('source mapped from IPv4', f.ip6('::ffff:10.1.0.2', far), 'martian'),
            ('destination ::1', f.ip6(HOST6, '::1'), 'martian'),
            ('no route', f.ip6(HOST6, '2001:db8:abcd::1'), 'no-route')]
    cases = [one_drop(f'IPv6: {what}', lambda gw, p=packet: whole(gw, f.ETH6, p), drop)
             for what, packet, drop in rows]

    def extensions(gw):
        child = gw.shared()
        for proto, data in ((0, b'\x3b\0\x05\x02\0\0\1\0'), (43, b'\x3b\0\x04\0' + b'\0' * 4),
                            (44, b'\x11\0\0\1\0\0\0\7' + f.filled(16)),
                            (60, b'\x3b\0\x01\x04\0\0\0\0'), (51, b'\x3b\x04' + b'\0' * 22),
                            (135, b'\x3b\0\5\0\0\0\0\0'), (59, b''), (255, f.filled(9)),
                            (60, b'\x3b\xff' + b'\0' * 6)):
            packet = f.ip6(HOST6, far, proto, data)
            expect_sealed(child, gw.exchange([gw.from_lan(packet)]), [f.routed(packet)])

    def link_local(gw):
        for src, dst in (('fe80::5', far), (HOST6, 'fe80::9'), ('fe80::5', HOST6)):
            result = gw.exchange([gw.from_lan(f.ip6(src, dst))])
            if result.wan or result.lan:
                raise Wrong(f'{src} to {dst} was forwarded')
    return cases + [Case('ESP-48 IPv6: extension headers go through as they are', extensions),
                    Case('ESP-48 IPv6: link-local addresses are never forwarded', link_local)]


def sweep(gw):
    """F17: every size of frame at every depth of tags: forwarded or dropped, none lost or doubled."""
    child = gw.shared()
    far = FAR[T4, 4]
    sizes = range(14, 1515) if LONG else [*range(14, 130), *range(130, 1500, 61), *range(1490, 1515)]
    for depth, tags in enumerate(([], [(f.VLAN, 100)], [(f.VLAN, 10), (f.VLAN, 20)],
                                  [(f.VLAN, 10), (f.VLAN, 20), (f.VLAN, 100)])):
        for at in range(0, len(sizes), 64):
            sent, passes = [], 0
            for n in sizes[at:at + 64]:
                body = n - 14
                packet = f.ip4(HOST, far, 99, f.filled(max(body - 20, 0)))[:body]
                sent.append(gw.from_lan(packet or b'\x45', tags) if packet else
                            (LAN, f.eth(gw.mac[LAN], gw.wire[LAN].mac, f.ETH4, b'', tags)))
                if depth == 1 and body < 2:
                    sent.pop()                              # the kernel's, as above
                if depth < 3 and body >= 20:
                    passes += 2 if body > 1400 else 1       # the tunnel cuts what is over 1400
            result = gw.exchange(sent)
            got = len(result.wan)
            if got != passes or result.lan:
                raise Wrong(f'depth {depth}, sizes from {sizes[at]}: {got} of {passes}, '
                            f'{result.drops}')
            for packet in result.wan:
                child.open(packet)


def sweep_big(gw):
    """F17 beyond the MTU, to 9,216 octets: cut or dropped; what leaves opens, nothing is lost."""
    child = gw.shared()
    sizes = range(1515, 9217, 1 if LONG else 97)
    for tags in ([], [(f.VLAN, 100)], [(f.VLAN, 10), (f.VLAN, 20)],
                 [(f.VLAN, 10), (f.VLAN, 20), (f.VLAN, 100)]):
        for at in range(0, len(sizes), 32):
            sent = [gw.from_lan(f.ip4(HOST, FAR[T4, 4], 99, f.filled(n - 34)), tags)
                    for n in sizes[at:at + 32]]
            result = gw.exchange(sent)
            for packet in result.wan:
                child.open(packet)
            if result.lan or len(result.wan) + sum(result.drops.values()) < len(sent):
                raise Wrong(f'{len(sent)} frames, {len(result.wan)} sent, {result.drops}')


def oversize(gw):
    """Frames beyond what the port was set up for: forwarded in pieces or dropped, never broken."""
    child = gw.shared()
    for n in (1501, 1600, 2000, 2034, 2176, 2304, 2305, 3000, 4096, 9000):
        packet = host_to_far(size=n)
        result = gw.exchange([gw.from_lan(packet)])
        if result.wan:
            parts = [child.open(p).inner for p in result.wan]
            if b''.join(p[20:] for p in parts) != packet[20:]:
                raise Wrong(f'{n} octets came out as {[len(p) for p in parts]}')
        elif sum(result.drops.values()) != 1:
            raise Wrong(f'{n}: {result.drops}')


def cases(_):
    rows = tags() + [Case('ESP-48 a priority tag is no VLAN', priority_tag),
                     Case('ESP-48 a third tag drops', three_tags)]
    rows += ethertypes() + headers4()
    rows += [Case('ESP-48 a frame cut at any octet, 0 to 3 tags, drops', runts),
             Case('ESP-48 padding of the link is not part of the packet', trailing),
             Case('ESP-48 harmless IPv4 options go through', options4),
             Case('ESP-48 ESP-50 F17 every size at every depth is forwarded or dropped', sweep),
             Case('ESP-48 ESP-50 F17 every size to 9,216 at every depth is cut or dropped', sweep_big),
             Case('ESP-12 P1 ESP-48 frames beyond the MTU, in chains of buffers too, are cut or dropped',
                  oversize)]
    return rows + headers6()


def with_subs():
    gw = Gateway()
    add_subs(gw)
    return gw


def families():
    yield with_subs, cases
