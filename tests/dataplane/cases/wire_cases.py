# SPDX-License-Identifier: BSD-3-Clause
"""What an ESP packet may look like on the wire and inside (RFC 4303 2, RFC 4301 5.2): lengths, every
bit, padding, next headers, inner headers, SPIs, outer forms, fragments."""
import struct

import frames as f
from casebed import FAR, HOST, HOST6, PEER, T4, T6, US, WAN, Gateway
from esp import SUITES
from table import (Case, Wrong, between, expect, far_to_host, host_to_far, opens, raw, seals)

SOME = ('aes128gcm16', 'aes256gcm16', 'chacha20poly1305', 'aes256-sha1', 'aes128-sha256')


def parts(suite, n):
    """Fields of an ESP packet of n octets: (name, first, end)."""
    text = 8 + suite.iv
    return (('SPI', 0, 4), ('sequence number', 4, 8), ('IV', 8, text), ('text', text, n - suite.icv),
            ('ICV', n - suite.icv, n))


def inner_for(suite, total):
    """A packet whose ESP is about `total` octets."""
    return far_to_host(size=(total - suite.around()) // suite.block * suite.block - 2)


def flips(name, sa):
    """ESP-05: every bit of each field, each alone; then the same packet unharmed passes."""
    suite = SUITES[name]
    data_len = suite.around() + len(inner_for(suite, 120)) + 2

    def one(part, first, end):
        def run(gw):
            child = gw.child(suite=name, outbound=0, **sa)
            inner = inner_for(suite, 120)
            expect(gw.exchange([child.frame(inner, seq=100)]), lan=[f.routed(inner)])
            data = child.esp(inner, seq=101)
            assert len(data) == data_len
            frames = []
            for bit in range(first * 8, end * 8):
                bad = bytearray(data)
                bad[bit // 8] ^= 1 << bit % 8
                frames.append(gw.from_wan(child.outer(bytes(bad))))
            drops = {}
            for i in range(0, len(frames), 256):
                part_of = gw.exchange(frames[i:i + 256])
                expect(part_of, drops=part_of.drops)
                for reason, n in part_of.drops.items():
                    drops[reason] = drops.get(reason, 0) + n
            judge(part, drops, len(frames))
            row = child.row()
            if (row.in_packets, row.auth_failed) != (1, drops.get('esp-auth', 0)):
                raise Wrong(f'counters {row}')
            # 100 - 4095 is still inside: the window has not moved; and 101 passes unharmed.
            low = far_to_host(payload=b'low')
            expect(gw.exchange([gw.from_wan(child.outer(data)), child.frame(low, seq=1)]),
                   lan=[f.routed(inner), f.routed(low)])
            child.delete()
        return Case(f'ESP-05 P1 any flipped bit of the {part} drops and moves nothing, {name}'
                    f'{", UDP" if sa.get("udp") else ""}{", ESN" if sa.get("esn") else ""}', run)
    return [one(*p) for p in parts(suite, data_len)]


def judge(part, drops, n):
    """Flipped SPIs are another SA's; numbers may become old or seen ones; the rest are bad tags."""
    if part == 'SPI':
        want = {'esp-spi': n}
    elif part == 'sequence number':
        want = {r: v for r, v in drops.items() if r in ('esp-auth', 'esp-replay', 'esp-late')}
        if drops.get('esp-auth', 0) < n - 8 or sum(want.values()) != n:
            raise Wrong(f'{drops} of {n}')
    else:
        want = {'esp-auth': n}
    if drops != want:
        raise Wrong(f'{drops}, wanted {want}')


def truncations(name, sa):
    """ESP-04: a packet cut at every octet: a runt, or another length of which the tag is wrong."""
    suite = SUITES[name]

    def lengths(first, end, what):
        def run(gw):
            child = gw.shared(suite=name, **sa)
            data = child.esp(inner_for(suite, 120))
            for n in range(first(data), end(data)):
                possible = n >= suite.around() + max(suite.block, 4) and \
                    (n - suite.around()) % suite.block == 0
                short = 'natt-short' if child.udp and n < 4 else 'esp-runt'
                expect(gw.exchange([gw.from_wan(child.outer(data[:n]))]),
                       drops={'esp-auth' if possible else short: 1})
            row = child.row()
            expect(gw.exchange([gw.from_wan(child.outer(data))]),
                   lan=[f.routed(inner_for(suite, 120))])
            if child.row().in_packets != row.in_packets + 1:
                raise Wrong('the unharmed packet counts once')
        return Case(f'ESP-04 P1 cut within {what} is a runt or fails the tag, {name}'
                    f'{", UDP" if sa.get("udp") else ""}', run)
    head = 8 + suite.iv
    return [lengths(lambda d: 1, lambda d: 9, 'the ESP header'),
            lengths(lambda d: 9, lambda d: head + 1, 'the IV'),
            lengths(lambda d: head + 1, lambda d: len(d) - suite.icv + 1, 'the text'),
            lengths(lambda d: len(d) - suite.icv + 1, lambda d: len(d), 'the ICV')]


def padding(name):
    """ESP-03, ESP-06: padding of senders other than us."""
    sa = {'suite': name}
    suite = SUITES[name]
    inner = far_to_host(size=64)
    fill = -(len(inner) + 2) % suite.block
    rows = [opens(f'ESP-03 P1 padding of the least length passes, {name}', inner, sa=sa)]
    for blocks in (1, 2, (240 - fill) // suite.block):
        rows.append(opens(f'ESP-03 P1 {blocks} blocks more of padding pass, {name}', inner, sa=sa,
                          extra_blocks=blocks))
    rows += [
        opens(f'ESP-03 P1 padding of other octets than 1, 2, 3 passes, {name}', inner, sa=sa,
              pad=b'\xaa' * (fill + suite.block)),
        opens(f'ESP-03 P1 pad length one beyond the text drops, {name}', inner, 'esp-padding',
              sa=sa, pad_len=len(inner) + fill + 1),
        opens(f'ESP-03 P1 pad length 255 beyond the text drops, {name}', inner, 'esp-padding',
              sa=sa, pad_len=255),
        opens(f'ESP-03 P1 pad length that leaves no packet drops, {name}', inner, 'esp-inner',
              sa=sa, pad_len=len(inner) + fill),
        opens(f'ESP-06 pad length that cuts into the packet drops, {name}', inner, 'esp-inner',
              sa=sa, pad_len=fill + 1),
        opens(f'ESP-06 padding for confidentiality of flows is trimmed, {name}', inner, sa=sa,
              tfc=200),
        opens(f'ESP-06 such padding to the largest packet is trimmed, {name}', inner, sa=sa,
              tfc=1300),
    ]
    rows += [seals(f'ESP-03 P1 {size} octets are sealed with the least padding, {name}',
                   host_to_far(size=size), sa=sa) for size in range(60, 76 if suite.block > 4 else 64)]
    return rows


def next_headers(name):
    sa = {'suite': name}
    rows = [opens(f'ESP-08 next header {nh} drops, {name}', drop='esp-next-header', sa=sa,
                  next_header=nh) for nh in (0, 1, 6, 17, 43, 44, 50, 51, 58, 60, 94, 137, 255)]
    dummy = 'authenticated and dropped'
    rows += [opens(f'ESP-07 a dummy packet is {dummy}, {name}', drop='esp-dummy', sa=sa,
                   next_header=59),
             opens(f'ESP-07 a dummy packet of random octets is {dummy}, {name}', f.filled(77),
                   'esp-dummy', sa=sa, next_header=59)]
    return rows


def dummy_moves_the_window(gw):
    child = gw.child(outbound=0, window=64)
    inner = far_to_host()
    expect(gw.exchange([child.frame(inner, seq=500, next_header=59)]), drops={'esp-dummy': 1})
    expect(gw.exchange([child.frame(inner, seq=500), child.frame(inner, seq=436)]),
           drops={'esp-replay': 1, 'esp-late': 1})
    if child.row().last_in_ns == 0:
        raise Wrong('not counted as a sign of life')
    child.delete()


def changed(packet, at, value, mend=True):
    p = packet[:at] + bytes([value]) + packet[at + 1:]
    return f.mended(p) if mend else p


def inner4():
    """ESP-09: inner IPv4 headers; what an authentic peer may get wrong."""
    good = far_to_host(size=84)
    opts = b'\x94\x04\0\0'      # router alert
    rows = [
        ('version 6 in next header 4', changed(good, 0, 0x65), 'esp-inner'),
        ('version 0', changed(good, 0, 0x05), 'esp-inner'),
        ('version 15', changed(good, 0, 0xF5), 'esp-inner'),
        ('header of 0 octets', changed(good, 0, 0x40, False), 'esp-inner'),
        ('header of 16 octets', changed(good, 0, 0x44, False), 'esp-inner'),
        ('header longer than the packet', f.ip4(FAR[T4, 4], HOST, ihl=15, check=0,
                                                payload=b''), 'esp-inner'),
        ('total length above what is there', changed(good, 3, 85), 'esp-inner'),
        ('total length 65535', changed(changed(good, 3, 255), 2, 255), 'esp-inner'),
        ('total length 0', changed(good, 3, 0), 'esp-inner'),
        ('total length 19', changed(good, 3, 19), 'esp-inner'),
        ('wrong checksum', changed(good, 10, good[10] ^ 1, False), 'esp-inner'),
        ('checksum 0', changed(changed(good, 10, 0, False), 11, 0, False), 'esp-inner'),
        ('an empty text', b'', 'esp-inner'),
        ('one octet', b'\x45', 'esp-inner'),
        ('19 octets', good[:19], 'esp-inner'),
        ('source 127.0.0.1', f.ip4('127.0.0.1', HOST), 'martian'),
        ('source of class E', f.ip4('240.0.0.1', HOST), 'martian'),
        ('source of a group', f.ip4('224.0.0.5', HOST), 'martian'),
        ('source 0.0.0.0', f.ip4('0.0.0.0', HOST), 'martian'),
        ('destination a group', f.ip4(FAR[T4, 4], '224.0.0.5'), 'martian'),
        ('destination broadcast', f.ip4(FAR[T4, 4], '255.255.255.255'), 'martian'),
        ('destination without a route', f.ip4(FAR[T4, 4], '192.0.2.77'), 'no-route'),
    ]
    cases = [opens(f'ESP-09 P1 inner IPv4: {what} drops', p, drop, next_header=4)
             for what, p, drop in rows]
    cases += [opens('ESP-09 P1 inner IPv4: total length 20 passes as 20 octets',
                    changed(good, 3, 20), out=f.routed(changed(good, 3, 20)[:20])),
              opens('ESP-09 P1 inner IPv4: options pass unchanged',
                    f.ip4(FAR[T4, 4], HOST, options=opts, payload=f.udp(1, 2, b'o' * 9))),
              opens('ESP-09 P1 inner IPv4: 40 octets of options pass',
                    f.ip4(FAR[T4, 4], HOST, options=b'\x01' * 40, payload=f.udp(1, 2, b'o'))),
              opens('ESP-09 P1 inner IPv4: a first fragment passes',
                    between(FAR[T4, 4], HOST, 500, flags=f.MF)),
              opens('ESP-09 P1 inner IPv4: a last fragment passes',
                    between(FAR[T4, 4], HOST, 500, offset=1480))]
    return cases


def inner6():
    src, dst = FAR[T4, 6], HOST6
    good = far_to_host(family=6, size=84)
    hops = b'\x3a\x00\x05\x02\x00\x00\x01\x00'
    rows = [
        ('version 4 in next header 41', changed(good, 0, 0x40), 'esp-inner'),
        ('version 0', changed(good, 0, 0x00), 'esp-inner'),
        ('length above what is there', changed(good, 5, 45), 'esp-inner'),
        ('length 65535', changed(changed(good, 4, 255), 5, 255), 'esp-inner'),
        ('39 octets', good[:39], 'esp-inner'),
        ('an empty text', b'', 'esp-inner'),
        ('source ::', f.ip6('::', dst), 'martian'),
        ('source ::1', f.ip6('::1', dst), 'martian'),
        ('source of a group', f.ip6('ff02::5', dst), 'martian'),
        ('destination a group', f.ip6(src, 'ff02::5'), 'martian'),
        ('destination ::1', f.ip6(src, '::1'), 'martian'),
        ('destination ::', f.ip6(src, '::'), 'martian'),
        ('destination without a route', f.ip6(src, '2001:db8:9999::1'), 'no-route'),
    ]
    cases = [opens(f'ESP-09 P1 inner IPv6: {what} drops', p, drop, next_header=41)
             for what, p, drop in rows]
    for what, p in (
            ('least packet', f.ip6(src, dst, 59)),
            ('flow label', between(src, dst, 90, flow=0xABCDE)),
            ('hop-by-hop header', f.ip6(src, dst, 0, hops + f.filled(20))),
            ('routing header, nothing left', f.ip6(src, dst, 43, b'\x11\0\x04\0' + b'\0' * 20)),
            ('fragment header', f.ip6(src, dst, 44, b'\x11\0\x05\xa8\0\0\0\x07' + f.filled(16))),
            ('destination options', f.ip6(src, dst, 60, b'\x11\0\x01\x04\0\0\0\0' + f.filled(16))),
            ('ESP inside', f.ip6(src, dst, 50, f.filled(60)))):
        cases.append(opens(f'ESP-09 P1 inner IPv6: {what} passes', p))
    cases.append(opens('ESP-06 inner IPv6: octets behind its length are trimmed', good, tfc=111))
    return cases


def spis():
    """ESP-37, ESP-38: which SA a packet belongs to."""
    def with_spi(change):
        def run(gw):
            child = gw.shared()
            spi = change(child.inward.spi)
            expect(gw.exchange([child.frame(far_to_host(), spi=spi)]), drops={'esp-spi': 1})
        return run

    def other_tunnels_tag(gw):
        """A packet under one SA's SPI sealed with another's key."""
        one, two = gw.shared(), gw.child(outbound=0)
        data = struct.pack('!I', one.inward.spi) + two.esp(far_to_host(), seq=one.next_seq())[4:]
        expect(gw.exchange([gw.from_wan(one.outer(data))]), drops={'esp-auth': 1})
        two.delete()

    def outbound_spi(gw):
        """Our own packets thrown back at us."""
        child = gw.shared()
        sent = gw.exchange([gw.from_lan(host_to_far())]).wan
        back = gw.from_wan(child.outer(child.unwrap(sent[0])))
        expect(gw.exchange([back]), drops={'esp-spi': 1})
    name = 'ESP-38 unknown SPI drops: '
    return [Case(name + what, with_spi(change)) for what, change in (
        ('0', lambda s: 0), ('1', lambda s: 1), ('255', lambda s: 255), ('all ones',
                                                                        lambda s: 0xFFFFFFFF),
        ('index of a live SA, other high bits', lambda s: s ^ 0x40000000),
        ('a neighbour of a live one', lambda s: s ^ 0x8), ('one octet swapped',
                                                           lambda s: s ^ 0xFF000000))] + [
        Case('ESP-37 the key of another SA does not open', other_tunnels_tag),
        Case('ESP-38 our own packet reflected drops', outbound_spi)]


def outer_forms():
    """Either form for either SA; outer headers that routers on the way may have made."""
    rows = []
    for sa in ({}, {'udp': True}):
        kind = 'UDP' if sa else 'native'
        for what, outer in (
                ('in UDP', {'udp': True}), ('native', {'udp': False}),
                ('with outer options', {'options': b'\x94\x04\0\0'}),
                ('with TTL 1', {'ttl': 1}), ('with DF clear', {'flags': 0}),
                ('with DF set', {'flags': f.DF}), ('with outer TOS', {'tos': 0xB8}),
                ('from another source', {'src': '203.0.113.77'})):
            rows.append(opens(f'ESP-37 an SA of {kind} ESP takes a packet {what}', sa=sa,
                              outer=outer))
    return rows


def fragments():
    """ESP-46: a fragment is never ESP."""
    def case(what, fields, udp, drop='esp-fragment'):
        def run(gw):
            child = gw.shared(udp=udp)
            packet = child.outer(child.esp(far_to_host(size=400)), **fields)
            before = child.row().in_packets
            expect(gw.exchange([gw.from_wan(packet)]), drops={drop: 1})
            if child.row().in_packets != before:
                raise Wrong('a fragment was opened')
        return Case(f'ESP-46 P1 {what} drops, {"UDP" if udp else "native"}', run)
    rows = [case(what, fields, udp) for udp in (False, True) for what, fields in (
        ('a first fragment of ESP', {'flags': f.MF}),
        ('a first fragment with DF', {'flags': f.MF | f.DF}))]
    rows += [case(what, fields, False) for what, fields in (
        ('a middle fragment of ESP', {'flags': f.MF, 'offset': 800}),
        ('a last fragment of ESP', {'offset': 800}),
        ('a last fragment at the far end', {'offset': 65000}),
        ('a fragment that overlaps the header', {'offset': 8}))]
    return rows


def fragments6():
    def case(what, offset_more, udp=False):
        def run(gw):
            child = gw.shared(T6, udp=udp)
            whole = child.outer(child.esp(far_to_host(T6, 6, 400)))
            nh, rest = whole[6], whole[40:]
            head = bytes([nh, 0]) + struct.pack('!HI', offset_more, 7)
            packet = f.ip6(child.peer, child.us, 44, head + rest)
            before = child.row().in_packets
            expect(gw.exchange([gw.from_wan(packet)]), drops={'esp-fragment': 1})
            if child.row().in_packets != before:
                raise Wrong('a fragment was opened')
        return Case(f'ESP-46 P1 IPv6: {what} drops, {"UDP" if udp else "native"}', run)
    return [case('a first fragment of ESP', 1), case('a middle fragment of ESP', 801),
            case('a last fragment of ESP', 800), case('a first fragment of ESP', 1, True)]


def natt():
    """UDP 4500 that is not ESP."""
    def datagram(payload, **udp):
        return f.ip4(PEER, US, f.UDP, f.udp(4500, 4500, payload, **udp))
    rows = [('a keepalive ends here', datagram(b'\xff'), 'natt-keepalive'),
            ('no payload', datagram(b''), 'natt-short'),
            ('three octets', datagram(b'\1\2\3'), 'natt-short'),
            ('another single octet', datagram(b'\xfe'), 'natt-short'),
            ('UDP length below its header', datagram(b'\1' * 40, length=7), 'natt-short'),
            ('UDP length beyond the packet', datagram(b'\1' * 40, length=200), 'natt-short'),
            ('UDP length 0', datagram(b'\1' * 40, length=0), 'natt-short'),
            ('an ESP runt', datagram(b'\1\2\3\4\0\0\0\1'), 'esp-runt'),
            ('the zero marker without a twin', datagram(b'\0' * 60), 'iface-down')]
    return [raw(f'ESP-04 P1 UDP 4500: {what} drops', p, WAN, drop) for what, p, drop in rows]


def order(gw):
    """ESP-10: packets of one flow keep their order, both ways, through bursts and sizes."""
    child = gw.shared()
    for base in range(0, 1024, 256):
        sent = [host_to_far(ident=base + i, size=28 + i * 37 % 1300) for i in range(256)]
        result = gw.exchange([gw.from_lan(p) for p in sent])
        seqs = []
        for packet, inner in zip(result.wan, sent):
            got = child.open(packet)
            seqs.append(got.seq)
            if got.inner != f.routed(inner):
                raise Wrong('out of order')
        if len(seqs) != 256 or seqs != list(range(seqs[0], seqs[0] + 256)):
            raise Wrong(f'numbers {seqs}')
        back = [far_to_host(ident=base + i, size=28 + i * 41 % 1300) for i in range(256)]
        expect(gw.exchange([child.frame(p) for p in back]), lan=[f.routed(p) for p in back])


def burst_with_bad(kind):
    """ESP-11: of 32 packets one is bad, at each place; the others pass in order."""
    def run(gw):
        child = gw.shared()
        for place in range(32):
            inners = [far_to_host(ident=i) for i in range(32)]
            sent = [child.frame(p) for p in inners]
            frame = bytearray(sent[place][1])
            drop = 'esp-auth'
            if kind == 'tag':
                frame[-1] ^= 0x80
            elif kind == 'length':
                frame, drop = bytearray(child.frame(inners[place])[1][:-1]), 'esp-runt'
                frame[14:34] = f.mended(bytes(frame[14:16]) + struct.pack('!H', len(frame) - 14) +
                                        bytes(frame[18:34]))
            elif kind == 'SPI':
                frame[14 + 20] ^= 0xFF
                drop = 'esp-spi'
            else:
                frame, drop = bytearray(sent[(place + 1) % 32][1]), 'esp-replay'
            sent[place] = (WAN, bytes(frame))
            result = gw.exchange(sent)
            lan = [f.routed(p) for i, p in enumerate(inners) if i != place]
            if kind == 'number' and place < 31:     # the copy is first and passes
                lan[place] = f.routed(inners[place + 1])
            expect(result, lan=lan, drops={drop: 1})
    return run


def iv_and_form(name):
    """ESP-01, ESP-02, ESP-20: the first packets of an SA, looked at octet by octet."""
    def run(gw):
        child = gw.child(suite=name)
        for n in range(1, 130):
            inner = host_to_far(size=20 + n)
            packet, = gw.exchange([gw.from_lan(inner)]).wan
            got = child.open(packet)
            if got.seq != n or got.inner != f.routed(inner):
                raise Wrong(f'number {got.seq} for packet {n}')
        child.delete()
    return Case(f'ESP-01 ESP-02 ESP-20 P1 numbers start at 1, nonce and text by the RFC, {name}', run)


def cases(_):
    rows = [iv_and_form(s) for s in SUITES]
    for s in SOME:
        rows += flips(s, {}) + truncations(s, {}) + padding(s)
    for s in ('aes256gcm16', 'aes256-sha1'):
        rows += next_headers(s)
    rows += flips('aes256gcm16', {'udp': True}) + flips('aes128gcm16', {'esn': True})
    rows += truncations('aes256gcm16', {'udp': True})
    rows += [Case('ESP-07 a dummy packet moves the window and shows life', dummy_moves_the_window)]
    rows += inner4() + inner6() + spis() + outer_forms() + fragments() + fragments6() + natt()
    rows += [Case('ESP-10 P1 packets of a flow keep their order', order)]
    return rows + [Case(f'ESP-11 P1 one bad {kind} in 32 harms no other', burst_with_bad(kind))
                   for kind in ('tag', 'length', 'SPI', 'number')]


def families():
    yield Gateway, cases

