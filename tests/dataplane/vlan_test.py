#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""VLAN, QinQ and odd frames through the real spillway-dataplane: af_packet ports, where the driver
takes single tags off and puts them in, and a TAP port, where every octet is ours. Run as root."""
import os
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from routing_bed import RoutingBed  # noqa: E402
from scapy.all import Dot1Q, Ether, IP, IPv6, Raw, UDP, wrpcap  # noqa: E402

LAN_IF, ER_IF = 1, 2
HOST, HOST6, GW = '10.1.0.2', '2001:db8:1::2', '10.1.0.1'
C_TAG, S_TAG = 0x8100, 0x88a8
# Sub-interfaces of the er port: id, outer, inner, TPID as configured (0 = default), as sent.
SUBS = ((10, 100, 0, 0, C_TAG), (11, 200, 0, S_TAG, S_TAG), (12, 300, 20, 0, C_TAG),
        (13, 400, 30, S_TAG, S_TAG), (14, 300, 21, C_TAG, C_TAG), (15, 4094, 4094, S_TAG, S_TAG))


def tags(*pairs):
    return b''.join(struct.pack('!HH', tpid, tci) for tpid, tci in pairs)


class Bed(RoutingBed):
    ports = ('lan', 'er')

    @classmethod
    def objects(cls):
        call = cls.control.call
        call('IFACE_SET', dp.Iface(id=LAN_IF, generation=1, name=b'lan', kind=dp.KIND_PORT,
                                   role=dp.LAN, port=0, mtu=cls.mtu, up=1),
             dp.Iface(id=ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT,
                      role=dp.EXPRESSROUTE, port=1, mtu=cls.mtu, up=1),
             *(dp.Iface(id=i, generation=1, name=f'er.{i}'.encode(), kind=dp.KIND_VLAN,
                        role=dp.EXPRESSROUTE, port=1, mtu=cls.mtu, up=1, vlan_outer=outer,
                        vlan_inner=inner, vlan_tpid=tpid)
               for i, outer, inner, tpid, _ in SUBS))
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW}/24')))
        call('PATH_SET', dp.Path(id=1, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             *(dp.Path(id=i, generation=1, kind=dp.ADJACENCY, iface=i,
                       next_hop=dp.addr(f'172.16.{i}.2')) for i in cls.er_ifaces()),
             *(dp.Path(id=100 + i, generation=1, kind=dp.CONNECTED, iface=i)
               for i in cls.er_ifaces()))
        paths = [1, *cls.er_ifaces(), *(100 + i for i in cls.er_ifaces())]
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in paths))
        call('GROUP_SET', *(dp.group(p, [dp.tier(0, [p])]) for p in paths))
        call('ROUTE_SET', dp.Route(dp.prefix('10.1.0.0/24'), 1, 1),
             dp.Route(dp.prefix('2001:db8:1::/64'), 1, 1),
             *(dp.Route(dp.prefix(f'10.{100 + i}.0.0/16'), i, 1) for i in cls.er_ifaces()),
             *(dp.Route(dp.prefix(f'2001:db8:{100 + i}::/48'), i, 1) for i in cls.er_ifaces()),
             *(dp.Route(dp.prefix(f'10.{200 + i}.0.0/16'), 100 + i, 1)
               for i in cls.er_ifaces()))
        lan, er = (bed.mac_of(cls.wire_name(n)) for n in cls.ports)
        call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr(HOST), dp.mac(lan), 1),
             dp.Neigh(LAN_IF, 1, dp.addr(HOST6), dp.mac(lan), 1),
             *(dp.Neigh(i, 1, dp.addr(f'172.16.{i}.2'), dp.mac(er), 1) for i in cls.er_ifaces()),
             *(dp.Neigh(i, 1, dp.addr(f'10.{200 + i}.0.9'), dp.mac(er), 1)
               for i in cls.er_ifaces()))

    @staticmethod
    def er_ifaces():
        return [ER_IF, *(s[0] for s in SUBS)]

    def to_er(self, *layers):
        p = Ether(src=self.lan.mac, dst=self.macs['lan'])
        for layer in layers:
            p = p / layer
        return p

    def frame(self, tag_bytes, packet, type=0x0800):
        """A frame from the er side with these tags."""
        mac = bytes.fromhex
        return (mac(self.macs['er'].replace(':', '')) + mac(self.er.mac.replace(':', '')) +
                tag_bytes + struct.pack('!H', type) + bytes(packet))

    def back(self, n=0):
        return IP(src='10.110.0.9', dst=HOST, id=n) / UDP() / Raw(b'back')

    def counts(self, iface):
        return {r.id: r for r in self.control.call('GET_IFACES')}[iface]


class Tags(Bed):
    def sent_as(self, packet, **wait):
        self.lan.send(self.to_er(packet))
        f = self.er.receive(lambda f: IP in f or IPv6 in f, **wait)
        self.assertIsNotNone(f)
        return bytes(f)

    def test_a_sub_interface_sends_its_own_tags(self):
        for i, outer, inner, _, tpid in SUBS:
            want = tags((tpid, outer), *([(C_TAG, inner)] if inner else []))
            for packet, kind in ((IP(src=HOST, dst=f'10.{100 + i}.0.9') / UDP(), b'\x08\0'),
                                 (IP(src=HOST, dst=f'10.{200 + i}.0.9') / UDP(), b'\x08\0'),
                                 (IPv6(src=HOST6, dst=f'2001:db8:{100 + i}::9') / UDP(),
                                  b'\x86\xdd')):
                with self.subTest(iface=i, dst=packet.dst):
                    raw = self.sent_as(packet)
                    self.assertEqual(raw[12:12 + len(want) + 2], want + kind)
                    self.assertEqual(raw[6:12].hex(':'), self.macs['er'])
                    self.assertEqual(raw[:6].hex(':'), self.er.mac)

    def test_an_interface_without_tags_sends_none(self):
        raw = self.sent_as(IP(src=HOST, dst='10.102.0.9') / UDP())
        self.assertEqual(raw[12:14], b'\x08\0')

    def test_tags_of_either_type_name_the_sub_interface_and_are_taken_off(self):
        for i, outer, inner, _, _ in SUBS:
            for a in (C_TAG, S_TAG):
                for b in (C_TAG, S_TAG) if inner else (None,):
                    with self.subTest(iface=i, outer=hex(a), inner=b and hex(b)):
                        was = self.counts(i).rx_packets
                        self.er.send(self.frame(
                            tags((a, outer), *([(b, inner)] if inner else [])), self.back()))
                        f = self.lan.receive(lambda f: IP in f)
                        self.assertIsNotNone(f)
                        self.assertEqual((f.type, f[IP].src), (0x0800, '10.110.0.9'))
                        self.assertEqual(self.counts(i).rx_packets, was + 1)

    def test_ipv6_in_tags_is_taken_like_ipv4(self):
        packet = IPv6(src='2001:db8:110::9', dst=HOST6) / UDP() / Raw(b'back')
        self.er.send(self.frame(tags((S_TAG, 400), (C_TAG, 30)), packet, 0x86dd))
        f = self.lan.receive(lambda f: IPv6 in f)
        self.assertIsNotNone(f)
        self.assertEqual(bytes(f[UDP]), bytes(packet[UDP]))

    def test_a_priority_tag_counts_as_none_and_priorities_name_nothing(self):
        for t, iface in ((tags((C_TAG, 0xe000)), ER_IF), (tags((C_TAG, 0)), ER_IF),
                         (tags((S_TAG, 0x6000)), ER_IF), (tags((C_TAG, 0xf064)), 10),
                         (tags((C_TAG, 0x2000), (C_TAG, 100)), 10),
                         (tags((C_TAG, 100), (C_TAG, 0xe000)), 10),
                         (tags((C_TAG, 0xf000 | 300), (C_TAG, 0x3000 | 21)), 14)):
            with self.subTest(tags=t.hex()):
                was = self.counts(iface).rx_packets
                self.er.send(self.frame(t, self.back()))
                self.assertIsNotNone(self.lan.receive(lambda f: IP in f))
                self.assertEqual(self.counts(iface).rx_packets, was + 1)

    def test_tags_without_a_sub_interface_are_counted_drops(self):
        for t in (tags((C_TAG, 101)), tags((C_TAG, 300)), tags((C_TAG, 300), (C_TAG, 22)),
                  tags((C_TAG, 100), (C_TAG, 20)), tags((C_TAG, 20), (C_TAG, 300)),
                  tags((C_TAG, 4095)), tags((C_TAG, 0xe000), (C_TAG, 20))):
            with self.subTest(tags=t.hex()):
                self.before = self.control.drops()
                self.er.send(self.frame(t, self.back()))
                self.dropped('vlan-unknown', 1)
        self.assertTrue(self.lan.quiet(lambda f: IP in f, 0.1))

    def test_a_third_tag_is_no_packet_of_ours(self):
        self.er.send(self.frame(tags((C_TAG, 300), (C_TAG, 20), (C_TAG, 9)), self.back()))
        self.dropped('ethertype', 1)

    def test_a_sub_interface_that_is_down_takes_nothing(self):
        def up(yes):
            self.control.call('IFACE_SET', dp.Iface(
                id=10, generation=1, name=b'er.10', kind=dp.KIND_VLAN, role=dp.EXPRESSROUTE,
                port=1, mtu=self.mtu, up=yes, vlan_outer=100))
        up(0)
        try:
            self.er.send(self.frame(tags((C_TAG, 100)), self.back()))
            self.dropped('iface-down', 1)
        finally:
            up(1)
            clears = {p.id: p.clears for p in self.control.call('GET_PATHS')}
            self.control.call('PATH_STATE', *(dp.PathState(p, 1, clears[p]) for p in (10, 110)))

    def test_new_tags_of_an_interface_are_in_the_finished_headers_at_once(self):
        def outer(vid, tpid):
            self.control.call('IFACE_SET', dp.Iface(
                id=11, generation=1, name=b'er.11', kind=dp.KIND_VLAN, role=dp.EXPRESSROUTE,
                port=1, mtu=self.mtu, up=1, vlan_outer=vid, vlan_tpid=tpid))
            return self.sent_as(IP(src=HOST, dst='10.111.0.9') / UDP())[12:18]
        self.assertEqual(outer(201, S_TAG), tags((S_TAG, 201)) + b'\x08\0')
        self.assertEqual(outer(202, 0), tags((C_TAG, 202)) + b'\x08\0')
        self.assertEqual(outer(200, S_TAG), tags((S_TAG, 200)) + b'\x08\0')

    def test_bursts_over_many_interfaces_keep_their_order(self):
        frames, want = [], []
        for n in range(200):
            i, outer, inner, _, tpid = SUBS[n % len(SUBS)]
            frames.append(self.frame(tags((tpid, outer), *([(C_TAG, inner)] if inner else [])),
                                     self.back(n)))
            want.append(n)
        self.er.send(*frames)
        self.assertEqual([f[IP].id for f in self.lan.collect(200, lambda f: IP in f)], want)

    def test_wrong_tag_types_are_refused_by_a_sentence(self):
        def iface(**kw):
            return dp.Iface(**{**dict(id=90, generation=1, name=b'bad', kind=dp.KIND_VLAN,
                                      role=dp.LAN, port=1, mtu=1500, up=1, vlan_outer=9), **kw})
        for kw in (dict(vlan_tpid=0x9100), dict(vlan_tpid=1), dict(vlan_outer=4095),
                   dict(vlan_outer=0), dict(vlan_outer=0, vlan_inner=5),
                   dict(kind=dp.KIND_PORT, vlan_outer=0, vlan_tpid=S_TAG)):
            self.refused(22, 'IFACE_SET', iface(**kw))
        e = self.refused(17, 'IFACE_SET', iface(vlan_outer=100, vlan_tpid=S_TAG))
        self.assertIn('er.10', e.text)


class Twins(Bed):
    @classmethod
    def objects(cls):
        super().objects()
        for i, outer, inner, tpid, _ in SUBS[:4]:
            fd = bed.twin(f't-{i}')
            cls.control.call('IFACE_SET', dp.Iface(
                id=i, generation=1, name=f'er.{i}'.encode(), kind=dp.KIND_VLAN,
                role=dp.EXPRESSROUTE, port=1, mtu=cls.mtu, up=1, vlan_outer=outer,
                vlan_inner=inner, vlan_tpid=tpid, has_twin=1), fds=[fd])
            os.close(fd)
            bed.run('ip', 'link', 'set', f't-{i}', 'address', cls.macs['er'])
            bed.run('ip', 'link', 'set', f't-{i}', 'up')

    def test_the_kernel_sends_and_receives_without_tags(self):
        for i, outer, inner, _, tpid in SUBS[:4]:
            with self.subTest(iface=i):
                want = tags((tpid, outer), *([(C_TAG, inner)] if inner else []))
                twin = bed.Wire(f't-{i}')
                self.addCleanup(twin.close)
                twin.send(Ether(src=self.macs['er'], dst='ff:ff:ff:ff:ff:ff', type=0x0806) /
                          Raw(b'question' * 6))
                f = self.er.receive(lambda f: b'question' in bytes(f))
                self.assertIsNotNone(f)
                self.assertEqual(bytes(f)[12:14 + len(want)], want + b'\x08\x06')
                self.er.send(b'\xff' * 6 + self.frame(want, b'answer' * 8, 0x0806)[6:])
                f = twin.receive(lambda f: b'answer' in bytes(f))
                self.assertIsNotNone(f)
                self.assertEqual(bytes(f)[12:14], b'\x08\x06')


class JumboBed(Bed):
    """Rings that hold jumbo frames. (Their driver claims less, so the ports' own MTU stays.)"""
    options = ('--mbuf-size', '16384')
    mtu = 9000

    @classmethod
    def devargs(cls, number, name):
        return (f'net_af_packet{number},iface=p-{name},qdisc_bypass=1,framesz=16384,'
                'blocksz=65536,framecnt=256')

    @classmethod
    def objects(cls):
        for n in cls.ports:
            for end in (f'p-{n}', f'h-{n}'):
                bed.run('ip', 'link', 'set', end, 'mtu', '9300')
                cls.addClassCleanup(bed.run, 'ip', 'link', 'set', end, 'mtu', '1500')
        super().objects()


class Jumbo(JumboBed):
    def test_packets_of_9000_pass_whole_in_both_families_and_all_tags(self):
        for i, outer, inner, _, tpid in SUBS:
            t = tags((tpid, outer), *([(C_TAG, inner)] if inner else []))
            for packet, kind in ((IP(src='10.110.0.9', dst=HOST) / UDP() / Raw(bytes(8972)),
                                  0x0800),
                                 (IPv6(src='2001:db8:110::9', dst=HOST6) / UDP() /
                                  Raw(bytes(8952)), 0x86dd)):
                with self.subTest(iface=i, kind=hex(kind)):
                    self.assertEqual(len(packet), 9000)
                    self.er.send(self.frame(t, packet, kind))
                    f = self.lan.receive(lambda f: UDP in f)
                    self.assertIsNotNone(f)
                    self.assertEqual(len(bytes(f)), 9014)
            self.lan.send(self.to_er(IP(src=HOST, dst=f'10.{100 + i}.0.9', flags='DF') /
                                     Raw(bytes(8980))))
            f = self.er.receive(lambda f: IP in f)
            self.assertIsNotNone(f)
            self.assertEqual(len(bytes(f)), 9014 + len(t))

    def test_what_is_larger_is_cut_where_it_may_be_and_told_where_not(self):
        self.er.send(self.frame(b'', IP(src='10.110.0.9', dst=HOST, id=7) / Raw(bytes(9100))))
        got = self.lan.collect(2, lambda f: IP in f)
        self.assertEqual([f[IP].id for f in got], [7, 7])
        self.assertEqual(sum(f[IP].len - 20 for f in got), 9100)
        self.er.send(self.frame(b'', IP(src='10.110.0.9', dst=HOST, flags='DF') /
                                Raw(bytes(8981))))
        self.dropped('too-big', 1)


class Frames(JumboBed):
    """Frames as they are: the er port neither takes tags off nor refuses short ones."""

    @classmethod
    def devargs(cls, number, name):
        return 'net_tap1,iface=d-er' if name == 'er' else super().devargs(number, name)

    @staticmethod
    def wire_name(name):
        return 'd-er' if name == 'er' else f'h-{name}'

    @classmethod
    def objects(cls):
        bed.run('ip', 'link', 'set', 'd-er', 'mtu', '9300', 'arp', 'off', 'up')
        super().objects()

    def paced(self, frames, chunk=100):
        """Send without overrunning the device; returns how many the data plane received."""
        start = self.control.totals()['rx']
        for i in range(0, len(frames), chunk):
            part = frames[i:i + chunk]
            self.er.send(*part)
            for _ in range(400):
                if self.control.totals()['rx'] - start >= i + len(part):
                    break
                time.sleep(0.002)
        return self.control.totals()['rx'] - start

    DEPTHS = (b'', tags((C_TAG, 100)), tags((S_TAG, 300), (C_TAG, 20)),
              tags((C_TAG, 300), (C_TAG, 20), (C_TAG, 9)))

    def sized(self, depth, size, n):
        """A frame of `size` octets, or its first ones, with as large an IPv4 packet as fits."""
        length = max(size - 14 - len(self.DEPTHS[depth]), 20)
        packet = bytes(IP(src='10.110.0.9', dst=HOST, id=n & 0xffff, len=length, flags='DF',
                          proto=253, ttl=9))
        return self.frame(self.DEPTHS[depth], packet + bytes(length - 20))[:size]

    @staticmethod
    def fate(depth, size):
        """By rule: what becomes of sized(depth, size)."""
        taken = min(depth, 2)
        if size < 14 + 4 * taken:
            return 'runt'
        if depth == 3:
            return 'ethertype'
        packet = size - 14 - 4 * depth
        return 'runt' if packet < 20 else 'too-big' if packet > 9000 else None

    def sizes(self, depth):
        if os.environ.get('SPW_LONG'):
            return range(14, 9217)
        edge = 9014 + 4 * depth
        return sorted({*range(14, 120), *range(120, 9216, 397), *range(2040, 2060),
                       *range(edge - 3, edge + 4), 9216})

    def test_f17_esp_48_every_size_and_depth_of_tags_is_forwarded_or_dropped_by_rule(self):
        for depth in range(4):
            with self.subTest(depth=depth):
                self.before = self.control.drops()
                self.lan.flush()
                sizes = self.sizes(depth)
                frames = [self.sized(depth, s, n) for n, s in enumerate(sizes)]
                fates = [self.fate(depth, s) for s in sizes]
                got = []
                for i in range(0, len(frames), 100):
                    self.assertEqual(self.paced(frames[i:i + 100]), len(frames[i:i + 100]))
                    due = fates[i:i + 100].count(None)
                    got += self.lan.collect(due, lambda f: IP in f and f[IP].proto == 253)
                want = [(n & 0xffff, s - 4 * depth) for n, (s, fate) in
                        enumerate(zip(sizes, fates)) if fate is None]
                self.assertEqual([(f[IP].id, len(bytes(f))) for f in got], want)
                for reason in {f for f in fates if f}:
                    self.dropped(reason, fates.count(reason))

    def test_a_packet_longer_than_its_frame_or_cut_short_is_a_runt(self):
        whole = bytes(IP(src='10.110.0.9', dst=HOST) / UDP() / Raw(bytes(100)))
        six = bytes(IPv6(src='2001:db8:110::9', dst=HOST6) / UDP() / Raw(bytes(100)))
        frames = [self.frame(self.DEPTHS[1], whole[:-1]), self.frame(b'', whole[:19]),
                  self.frame(b'', six[:-1], 0x86dd), self.frame(b'', six[:39], 0x86dd)]
        self.assertEqual(self.paced(frames), 4)
        self.dropped('runt', 4)


class Buffers(unittest.TestCase):
    """What fits in a packet buffer, and what a driver hands out as a chain of them."""

    def start(self, *options):
        dataplane = bed.Dataplane(*options)
        self.addCleanup(lambda: self.assertEqual(dataplane.stop(), (0, [])))
        control = dataplane.client()
        self.addCleanup(control.close)
        return dataplane, control

    @staticmethod
    def port(number, devargs, mtu):
        return dp.Port(id=number, generation=1, name=b'port', devargs=devargs.encode(), mtu=mtu)

    def test_a_port_mtu_needs_buffers_that_hold_it(self):
        _, control = self.start()
        for mtu in (2304, 9000):
            with self.assertRaises(dp.Refused) as r:
                control.call('PORT_SET', self.port(0, 'net_ring0', mtu))
            self.assertEqual(r.exception.status, 22)
            self.assertIn('--mbuf-size', r.exception.text)
        _, control = self.start('--mbuf-size', '9216')
        control.call('PORT_SET', self.port(0, 'net_ring0', 9000))
        control.call('PORT_SET', self.port(0, 'net_ring0', 9152))

    def test_a_device_that_cannot_carry_an_mtu_says_what_it_can(self):
        _, control = self.start('--mbuf-size', '9216')
        with self.assertRaises(dp.Refused) as r:
            control.call('PORT_SET', self.port(0, 'net_tap7', 9000))
        self.assertRegex(r.exception.text, r'refuses an MTU of 9000.* 1522 ')

    def test_esp_50_a_chain_that_fits_no_buffer_is_dropped_for_that_reason(self):
        dataplane, control = self.start()
        head = (Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02') /
                IP(src='10.0.0.1', dst='10.0.0.2') / UDP())
        frames = [head / Raw(bytes(n)) for n in (5000, 100, 8900, 2400)]
        wrpcap(f'{dataplane.dir}/in.pcap', frames)
        try:
            control.call('PORT_SET', self.port(
                0, f'net_pcap0,rx_pcap={dataplane.dir}/in.pcap', 1500))
            self.assertTrue(bed.settle(control))
            drops = control.drops()
            self.assertEqual((drops.get('no-room'), drops.get('port-gone')), (3, 1), drops)
        finally:
            os.unlink(f'{dataplane.dir}/in.pcap')


if __name__ == '__main__':
    bed.enter_namespace()
    for n in Bed.ports:
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
