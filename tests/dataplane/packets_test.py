#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Packets in, packets out: the real spillway-dataplane on af_packet ports, scapy at the other
ends, driven over dataplane.sock. Test names state the rule. Run as root."""
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from routing_bed import ER_IF, LAN_IF, WAN_IF, RoutingBed  # noqa: E402
from scapy.all import ARP, Dot1Q, Ether, ICMP, IP, IPv6, Raw, UDP  # noqa: E402

VLAN_IF = 4
P_ER, P_LAN, P_WAN, P_ER2, P_VLAN = 1, 2, 3, 4, 5
G_VNET, G_LAN, G_WAN, G_VLAN = 1, 2, 3, 4
HOST, GW, ER_HOP, VNET = '10.1.0.2', '10.1.0.1', '172.16.0.2', '10.2.3.4'


def ip_ok(frame):
    """Header checksum of a received packet is right."""
    raw = bytes(frame[IP])[:frame[IP].ihl * 4]
    total = sum(int.from_bytes(raw[i:i + 2], 'big') for i in range(0, len(raw), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


class Bed(RoutingBed):
    @classmethod
    def objects(cls):
        cls.three_interfaces(dp.Iface(id=VLAN_IF, generation=1, name=b'er.100', kind=dp.KIND_VLAN,
                                      role=dp.EXPRESSROUTE, port=1, mtu=1500, up=1, vlan_outer=100,
                                      vlan_inner=20))
        cls.twin_up(f'{GW}/24')
        call = cls.control.call
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW}/24')),
             dp.Address(ER_IF, 1, dp.prefix('172.16.0.1/30')),
             dp.Address(WAN_IF, 1, dp.prefix('198.51.100.1/24')))
        call('PATH_SET',
             dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY, iface=ER_IF,
                     next_hop=dp.addr(ER_HOP)),
             dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             dp.Path(id=P_WAN, generation=1, kind=dp.ADJACENCY, iface=WAN_IF,
                     next_hop=dp.addr('198.51.100.254')),
             dp.Path(id=P_VLAN, generation=1, kind=dp.ADJACENCY, iface=VLAN_IF,
                     next_hop=dp.addr('172.16.1.2')))
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in (P_ER, P_LAN, P_WAN, P_VLAN)))
        call('GROUP_SET',
             dp.group(G_VNET, [dp.tier(1, [P_ER]), dp.tier(3, [P_WAN])], dp.PROTECTED),
             dp.group(G_LAN, [dp.tier(0, [P_LAN])]), dp.group(G_WAN, [dp.tier(0, [P_WAN])]),
             dp.group(G_VLAN, [dp.tier(1, [P_VLAN])]))
        call('ROUTE_SET', dp.Route(dp.prefix('10.2.0.0/16'), G_VNET, 1),
             dp.Route(dp.prefix('10.1.0.0/24'), G_LAN, 1),
             dp.Route(dp.prefix('10.3.0.0/16'), G_VLAN, 1))
        for iface, a, m in ((ER_IF, ER_HOP, bed.mac_of('h-er')), (LAN_IF, HOST,
                            bed.mac_of('h-lan')), (WAN_IF, '198.51.100.254',
                            bed.mac_of('h-wan')), (VLAN_IF, '172.16.1.2', bed.mac_of('h-er'))):
            call('NEIGH_SET', dp.Neigh(iface, 1, dp.addr(a), dp.mac(m), 1))


class Forwarding(Bed):
    def test_transit_is_forwarded_with_ttl_less_one_and_right_checksum(self):
        self.lan.send(self.from_lan(IP(src=HOST, dst=VNET, ttl=64, tos=0x48),
                                    UDP(sport=1000, dport=2000), Raw(b'x' * 100)))
        f = self.er.receive(lambda f: IP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IP].ttl, f[IP].tos, f[IP].dst), (63, 0x48, VNET))
        self.assertEqual((f.dst, f.src), (self.er.mac, self.macs['er']))
        self.assertTrue(ip_ok(f))
        self.assertEqual(bytes(f[UDP].payload), b'x' * 100)

    def test_every_ttl_keeps_the_checksum_right(self):
        self.lan.send(*(self.from_lan(IP(src=HOST, dst=VNET, ttl=t, id=t * 257), UDP())
                        for t in range(2, 256)))
        got = self.er.collect(254, lambda f: IP in f)
        self.assertEqual(sorted(f[IP].ttl for f in got), list(range(1, 255)))
        self.assertTrue(all(ip_ok(f) for f in got))

    def test_used_up_ttl_is_answered_from_the_receiving_interface(self):
        self.lan.send(self.from_lan(IP(src=HOST, dst=VNET, ttl=1), UDP(sport=7, dport=9)))
        f = self.lan.receive(lambda f: ICMP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[ICMP].type, f[ICMP].code), (11, 0))
        self.assertEqual((f[IP].src, f[IP].dst), (GW, HOST))
        self.assertTrue(ip_ok(f))
        self.assertEqual(f[ICMP].payload.dst, VNET)
        self.dropped('ttl', 1)

    def test_too_big_with_df_is_answered_and_without_df_is_fragmented(self):
        self.control.call('IFACE_SET', dp.Iface(
            id=ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT, role=dp.EXPRESSROUTE, port=1,
            mtu=1000, up=1))
        try:
            big = Raw(b'y' * 1200)
            self.lan.send(self.from_lan(IP(src=HOST, dst=VNET, flags='DF'), UDP(), big))
            f = self.lan.receive(lambda f: ICMP in f)
            self.assertIsNotNone(f)
            self.assertEqual((f[ICMP].type, f[ICMP].code, f[ICMP].nexthopmtu), (3, 4, 1000))
            self.lan.send(self.from_lan(IP(src=HOST, dst=VNET, id=77), UDP(), big))
            got = self.er.collect(2, lambda f: IP in f)
            self.assertEqual(len(got), 2)
            self.assertTrue(all(f[IP].len <= 1000 and ip_ok(f) for f in got))
        finally:
            self.control.call('IFACE_SET', dp.Iface(
                id=ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT, role=dp.EXPRESSROUTE,
                port=1, mtu=1500, up=1))

    def test_sub_interface_tags_are_written_and_taken_off(self):
        self.lan.send(self.from_lan(IP(src=HOST, dst='10.3.0.9'), UDP()))
        f = self.er.receive(lambda f: IP in f)
        self.assertIsNotNone(f)
        self.assertEqual([t.vlan for t in (f[Dot1Q], f[Dot1Q:2])], [100, 20])
        self.er.send(Ether(src=self.er.mac, dst=self.macs['er']) / Dot1Q(vlan=100) /
                     Dot1Q(vlan=20) / IP(src='10.3.0.9', dst=HOST) / UDP() / Raw(b'back'))
        f = self.lan.receive(lambda f: IP in f)
        self.assertIsNotNone(f)
        self.assertNotIn(Dot1Q, f)
        self.assertEqual(f[IP].src, '10.3.0.9')
        self.er.send(Ether(src=self.er.mac, dst=self.macs['er']) / Dot1Q(vlan=101) /
                     IP(src='10.3.0.9', dst=HOST) / UDP())
        self.dropped('vlan-unknown', 1)

    def test_no_route_is_a_counted_drop(self):
        self.lan.send(self.from_lan(IP(src=HOST, dst='203.0.113.99'), UDP()))
        self.dropped('no-route', 1)

    def test_an_unresolved_neighbour_is_asked_for_and_packets_wait(self):
        self.lan.send(*(self.from_lan(IP(src=VNET, dst='10.1.0.77', id=i), UDP())
                        for i in range(34)))
        ev = self.control.wait_event(lambda n, e: n == 130)
        self.assertIsNotNone(ev)
        self.assertEqual((ev.iface, str(ev.addr)), (LAN_IF, '10.1.0.77'))
        self.dropped('neighbour-queue', 2)
        self.control.call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr('10.1.0.77'),
                                                dp.mac('02:00:00:00:00:77'), 1))
        got = self.lan.collect(32, lambda f: IP in f)
        self.assertEqual([f[IP].id for f in got], list(range(32)))
        self.assertTrue(all(f.dst == '02:00:00:00:00:77' for f in got))

    def test_a_neighbour_that_never_answers_costs_its_packets_after_a_second(self):
        """Nor does a group answer: the kernel resolves the broadcast address of a network to all
        stations, which nobody elsewhere shall reach (RFC 2644)."""
        self.control.call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr('10.1.0.255'),
                                                dp.mac('ff:ff:ff:ff:ff:ff'), 1),
                          dp.Neigh(LAN_IF, 1, dp.addr('10.1.0.79'), dp.mac('01:00:5e:00:00:79'), 1))
        self.lan.send(*(self.from_lan(IP(src=VNET, dst=dst), UDP())
                        for dst in ('10.1.0.78', '10.1.0.79', '10.1.0.255')))
        time.sleep(1.3)
        self.dropped('no-neighbour', 3)
        self.assertTrue(self.lan.quiet(lambda f: IP in f))


class Refusals(Bed):
    def test_a_walk_through_silent_addresses_keeps_no_neighbour_from_being_found(self):
        self.er.send(*(Ether(src=self.er.mac, dst=self.macs['er']) /
                       IP(src=VNET, dst=f'10.1.0.{n}') / UDP() for n in range(100, 250)))
        time.sleep(0.4)     # all that are asked at once have been
        self.control.events.clear()
        late = [f'10.1.0.{n}' for n in range(40, 60)]
        self.lan.send(*(self.from_lan(IP(src=VNET, dst=a), UDP()) for a in late))
        asked = set()
        while len(asked) < len(late):
            ev = self.control.wait_event(lambda n, e: n == 130 and str(e.addr) in late)
            self.assertIsNotNone(ev, f'only {asked}')
            asked.add(str(ev.addr))
        self.control.call('NEIGH_SET', *(dp.Neigh(LAN_IF, 1, dp.addr(a), dp.mac(bed.mac_of('h-lan')), 1)
                                         for a in late))
        self.lan.flush()
        self.er.send(*(Ether(src=self.er.mac, dst=self.macs['er']) / IP(src=VNET, dst=a) / UDP()
                       for a in late))
        self.assertEqual(len(self.lan.collect(20, lambda f: IP in f and f[IP].dst in late)), 20)

    def test_broken_packets_fall_under_their_reason(self):
        cases = [
            ('ip-header', self.from_lan(IP(src=HOST, dst=VNET, chksum=1), UDP())),
            ('martian', self.from_lan(IP(src='127.0.0.1', dst=VNET), UDP())),
            ('martian', self.from_lan(IP(src=HOST, dst='240.0.0.1'), UDP())),
            ('martian', self.from_lan(IP(src=HOST, dst=GW), UDP(), dst='ff:ff:ff:ff:ff:ff')),
            ('not-for-us', self.from_lan(IP(src=HOST, dst=VNET), UDP(),
                                         dst='02:12:34:56:78:9a')),
            ('ethertype', Ether(src=self.lan.mac, dst=self.macs['lan'], type=0x88b5) /
             Raw(b'z' * 50)),
            ('runt', self.from_lan(IP(src=HOST, dst=VNET, len=900), UDP())),
            ('ip-options', self.from_lan(IP(src=HOST, dst=VNET,
                                            options=[b'\x83\x07\x04\x0a\x01\x01\x01\x00']),
                                         UDP())),
        ]
        for reason, frame in cases:
            with self.subTest(reason=reason):
                self.before = self.control.drops()
                self.lan.send(frame)
                self.dropped(reason, 1)
        self.assertTrue(self.er.quiet(lambda f: IP in f))

    def test_nothing_from_the_internet_is_forwarded_in_the_clear(self):
        frame = Ether(src=self.wan.mac, dst=self.macs['wan'])
        self.wan.send(frame / IP(src='203.0.113.5', dst=HOST) / UDP(),
                      frame / IP(src=VNET, dst=HOST) / UDP(),
                      frame / IP(src=VNET, dst='198.51.100.1') / UDP(),
                      frame / IP(src='203.0.113.5', dst=GW) / UDP(),
                      frame / IP(src='203.0.113.5', dst=VNET) / UDP())
        self.assertTrue(self.lan.quiet(lambda f: IP in f))
        self.dropped('clear-inbound', 5)

    def test_nothing_from_the_internet_to_a_group_has_a_protected_source(self):
        for reason, src in (('clear-inbound', VNET), ('iface-down', '203.0.113.5')):  # no twin
            with self.subTest(src=src):
                self.before = self.control.drops()
                for mac, dst in (('01:00:5e:00:00:05', '224.0.0.5'),
                                 ('ff:ff:ff:ff:ff:ff', '255.255.255.255')):
                    self.wan.send(Ether(src=self.wan.mac, dst=mac) / IP(src=src, dst=dst) / UDP())
                self.dropped(reason, 2)

    def test_what_is_of_the_link_alone_lies_in_no_prefix_not_even_in_a_protected_default(self):
        everything = [dp.Route(dp.prefix(p), G_VNET, 1) for p in ('0.0.0.0/0', '::/0')]
        self.control.call('ROUTE_SET', *everything)
        self.addCleanup(self.control.call, 'ROUTE_DEL', *everything)
        ours, all6, all4 = self.macs['wan'], '33:33:00:00:00:01', 'ff:ff:ff:ff:ff:ff'
        for reason, mac, packet in (
                ('iface-down', all6, IPv6(src='fe80::2', dst='ff02::1')),       # no twin: kernel
                ('iface-down', all6, IPv6(src='::', dst='ff02::1')),
                ('iface-down', ours, IPv6(src='fe80::2', dst='fe80::1')),
                ('iface-down', all4, IP(src='0.0.0.0', dst='255.255.255.255')),
                ('iface-down', all4, IP(src='169.254.7.7', dst='255.255.255.255')),
                ('clear-inbound', all6, IPv6(src='2001:db8:9::1', dst='ff02::1')),
                ('clear-inbound', ours, IPv6(src='2001:db8:9::1', dst='fe80::1'))):
            with self.subTest(packet=packet.summary()):
                self.before = self.control.drops()
                self.wan.send(Ether(src=self.wan.mac, dst=mac) / packet / UDP())
                self.dropped(reason, 1)

    def test_what_the_internet_stands_in_for_may_answer_over_it_meanwhile(self):
        frame = Ether(src=self.wan.mac, dst=self.macs['wan']) / IP(src=VNET, dst=HOST) / UDP()
        self.control.call('PATH_STATE', dp.PathState(P_ER, 0, 0))
        self.wan.send(frame)
        self.assertIsNotNone(self.lan.receive(lambda f: IP in f and f[IP].src == VNET))
        self.wan.send(Ether(src=self.wan.mac, dst=self.macs['wan']) /
                      IP(src='203.0.113.5', dst=HOST) / UDP())
        self.dropped('clear-inbound', 1)
        self.control.call('GROUP_SET', dp.group(G_VLAN, [dp.tier(1, [P_VLAN])], dp.PROTECTED))
        self.wan.send(Ether(src=self.wan.mac, dst=self.macs['wan']) /
                      IP(src=VNET, dst='10.3.0.9') / UDP())
        self.dropped('clear-inbound', 2)    # an answer is for us, not for what lies behind ExpressRoute
        clears = next(p.clears for p in self.control.call('GET_PATHS') if p.id == P_ER)
        self.control.call('PATH_STATE', dp.PathState(P_ER, 1, clears))
        self.wan.send(frame)
        self.dropped('clear-inbound', 3)
        self.assertTrue(self.lan.quiet(lambda f: IP in f))

    def test_udp_4500_is_sorted_by_its_first_bytes(self):
        def natt(payload, **ip):
            return (Ether(src=self.wan.mac, dst=self.macs['wan']) /
                    IP(src='203.0.113.5', dst='198.51.100.1', **ip) /
                    UDP(sport=4500, dport=4500) / Raw(payload))
        for reason, frame in (('natt-keepalive', natt(b'\xff')),
                              ('natt-short', natt(b'\x00\x00')),
                              ('esp-spi', natt(b'\x01\x02\x03\x04' * 16)),
                              ('iface-down', natt(b'\x00\x00\x00\x00' * 8))):  # no twin: kernel
            with self.subTest(reason=reason):
                self.before = self.control.drops()
                self.wan.send(frame)
                self.dropped(reason, 1)


class Kernel(Bed):
    def test_arp_goes_up_and_the_kernel_answers(self):
        self.lan.send(Ether(src=self.lan.mac, dst='ff:ff:ff:ff:ff:ff') /
                      ARP(op=1, hwsrc=self.lan.mac, psrc=HOST, pdst=GW))
        f = self.lan.receive(lambda f: ARP in f and f[ARP].op == 2)
        self.assertIsNotNone(f)
        self.assertEqual((f[ARP].hwsrc, f[ARP].psrc), (self.macs['lan'], GW))

    def test_ping_to_us_is_answered_by_the_kernel_through_the_twin(self):
        bed.run('ip', 'neigh', 'replace', HOST, 'lladdr', self.lan.mac, 'dev', 't-lan')
        self.lan.send(self.from_lan(IP(src=HOST, dst=GW), ICMP(id=5, seq=9), Raw(b'ping' * 20)))
        f = self.lan.receive(lambda f: ICMP in f and f[ICMP].type == 0)
        self.assertIsNotNone(f)
        self.assertEqual((f[ICMP].id, f[ICMP].seq, f[IP].src), (5, 9, GW))
        self.assertTrue(self.lan.quiet(lambda f: ICMP in f), 'answered once')
        stats = {r.id: r for r in self.control.call('GET_IFACES')}[LAN_IF]
        self.assertGreater(stats.mirrored, 0)
        self.assertGreater(stats.from_twin, 0)

    def test_the_kernel_takes_nothing_from_the_wire_past_the_data_plane(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((GW, 5555))
        s.settimeout(0.5)
        for dst in (self.macs['wan'], 'ff:ff:ff:ff:ff:ff'):
            self.wan.send(Ether(src=self.wan.mac, dst=dst) / IP(src=HOST, dst=GW) /
                          UDP(sport=1, dport=5555) / Raw(b'past'))
        for tags in (3, 4):     # of VLAN 0, which the kernel takes off
            frame = Ether(src=self.lan.mac, dst='ff:ff:ff:ff:ff:ff')
            for _ in range(tags):
                frame /= Dot1Q(vlan=0)
            self.lan.send(frame / IP(src=HOST, dst=GW) / UDP(sport=1, dport=5555) / Raw(b'past'))
        with self.assertRaises(TimeoutError):
            s.recv(100)
        self.lan.send(self.from_lan(IP(src=HOST, dst=GW), UDP(sport=1, dport=5555), Raw(b'in')))
        self.assertEqual(s.recv(100), b'in')
        with self.assertRaises(TimeoutError):
            s.recv(100)
        s.close()
        with open('/proc/sys/net/ipv4/conf/p-wan/rp_filter') as f:
            self.assertEqual(f.read().strip(), '1')

    def test_the_hosts_own_packets_to_a_protected_prefix_take_the_group(self):
        bed.run('ip', 'route', 'replace', '10.2.0.0/16', 'via', HOST, 'dev', 't-lan')
        bed.run('ip', 'neigh', 'replace', HOST, 'lladdr', self.lan.mac, 'dev', 't-lan')
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(b'own', (VNET, 9))
        s.close()
        f = self.er.receive(lambda f: UDP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IP].src, f[IP].ttl), (GW, 64))
        self.assertTrue(self.lan.quiet(lambda f: UDP in f))


class Paths(Bed):
    def ready(self, path, up=True):
        clears = {p.id: p.clears for p in self.control.call('GET_PATHS')}[path]
        self.control.call('PATH_STATE', dp.PathState(path, int(up), clears))

    def tearDown(self):
        self.control.call('LINK_STATE', dp.Link(1, 1, 0))
        self.ready(P_ER)
        super().tearDown()

    def packet(self, n=0):
        return self.from_lan(IP(src=HOST, dst=VNET, id=n), UDP(sport=1, dport=2))

    def test_a_cleared_path_hands_over_to_the_next_tier_and_tells_when(self):
        self.lan.send(self.packet())
        self.assertIsNotNone(self.er.receive(lambda f: IP in f))
        t0 = time.monotonic_ns()
        self.control.call('LINK_STATE', dp.Link(1, 0, 0))
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 1 and e.path == P_ER)
        self.assertIsNotNone(ev)
        clears = ev.clears
        self.lan.send(self.packet(1))
        f = self.wan.receive(lambda f: IP in f)
        self.assertIsNotNone(f)
        self.assertTrue(self.er.quiet(lambda f: IP in f))
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 2)
        self.assertIsNotNone(ev)
        self.assertEqual((ev.path, ev.group), (P_WAN, G_VNET))
        self.assertTrue(t0 <= ev.change_ns <= ev.at_ns <= time.monotonic_ns())
        with self.assertRaises(dp.Refused) as r:
            self.control.call('PATH_STATE', dp.PathState(P_ER, 1, clears - 1))
        self.assertEqual(r.exception.status, 116)  # ESTALE
        self.control.call('LINK_STATE', dp.Link(1, 1, 0))
        self.lan.send(self.packet(2))
        self.assertIsNotNone(self.wan.receive(lambda f: IP in f), 'a clear is a latch')
        self.control.call('PATH_STATE', dp.PathState(P_ER, 1, clears))
        self.lan.send(self.packet(3))
        self.assertIsNotNone(self.er.receive(lambda f: IP in f))
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 2)
        self.assertEqual((ev.path, ev.group), (P_ER, G_VNET))

    def test_no_path_up_drops_and_never_sends_elsewhere(self):
        self.ready(P_WAN, False)
        self.ready(P_ER, False)
        try:
            self.lan.send(self.packet())
            self.dropped('all-paths-down', 1)
            self.assertTrue(self.wan.quiet(lambda f: IP in f, 0.1))
        finally:
            self.ready(P_WAN)

    def test_a_withdrawn_more_specific_route_tells_the_switch(self):
        self.control.call('ROUTE_SET', dp.Route(dp.prefix('10.2.3.0/24'), G_WAN, 1))
        self.lan.send(self.packet())
        self.assertIsNotNone(self.wan.receive(lambda f: IP in f))
        self.control.events.clear()
        self.control.call('ROUTE_DEL', dp.Route(dp.prefix('10.2.3.0/24')))
        self.lan.send(self.packet())
        self.assertIsNotNone(self.er.receive(lambda f: IP in f))
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 2 and e.path == P_ER)
        self.assertIsNotNone(ev)
        self.assertEqual(ev.group, G_VNET)

    def carried_by(self, group, wire, path):
        """Point the prefix to the group; the next packet goes that way and tells."""
        self.control.events.clear()
        t0 = time.monotonic_ns()
        self.control.call('ROUTE_SET', dp.Route(dp.prefix('10.2.0.0/16'), group, 1))
        self.lan.send(self.packet())
        self.assertIsNotNone(wire.receive(lambda f: IP in f))
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 2 and e.group == group)
        self.assertIsNotNone(ev)
        self.assertEqual(ev.path, path)
        self.assertTrue(t0 <= ev.change_ns <= ev.at_ns <= time.monotonic_ns())

    def test_a_prefix_pointed_to_another_group_tells_the_switch_each_time(self):
        self.addCleanup(self.control.call, 'ROUTE_SET',
                        dp.Route(dp.prefix('10.2.0.0/16'), G_VNET, 1))
        for _ in range(3):
            self.control.call('GROUP_SET', dp.group(40, [dp.tier(0, [P_WAN])], dp.PROTECTED))
            self.carried_by(40, self.wan, P_WAN)
            self.carried_by(G_VNET, self.er, P_ER)
            self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['group'], 40))

    def test_get_fib_says_what_a_worker_would_do(self):
        a = self.control.call('GET_FIB', dp.FibQuery(dp.addr(VNET)),
                              dp.FibQuery(dp.addr('203.0.113.1')))
        self.assertEqual((a[0].group, a[0].path, a[0].prefix.len), (G_VNET, P_ER, 16))
        self.assertEqual((a[1].group, a[1].path), (0, dp.NONE))


class Server(Bed):
    def refused(self, status, name, *elems, client=None, **kw):
        with self.assertRaises(dp.Refused) as r:
            (client or self.control).call(name, *elems, **kw)
        self.assertEqual(r.exception.status, status, r.exception.text)
        self.assertNotIn('\n', r.exception.text)
        return r.exception

    def test_an_unknown_device_gives_one_sentence_and_changes_nothing(self):
        for devargs, word in (('net_af_packet9,iface=nosuch0', 'nosuch0'),
                              ('0000:ff:1f.7', '0000:ff:1f.7'),
                              ('net_nonsense0', 'net_nonsense0'), ('', 'device')):
            with self.subTest(devargs=devargs):
                with self.assertRaises(dp.Refused) as r:
                    self.control.call('PORT_SET', dp.Port(
                        id=9, generation=1, name=b'bad', devargs=devargs.encode(), mtu=1500))
                self.assertIn(word, r.exception.text)
        self.lan.send(self.from_lan(IP(src=HOST, dst=VNET), UDP()))
        self.assertIsNotNone(self.er.receive(lambda f: IP in f))
        self.refused(2, 'LINK_STATE', dp.Link(9, 1, 0))

    def test_the_same_port_again_is_fine_and_another_device_is_not(self):
        same = bed.devargs(0, 'p-lan').encode()
        r = self.control.call('PORT_SET', dp.Port(id=0, generation=1, name=b'lan', devargs=same,
                                                  mtu=1500))
        self.assertEqual(':'.join(f'{b:02x}' for b in r[0].mac), self.macs['lan'])
        self.refused(16, 'PORT_SET', dp.Port(id=0, generation=1, name=b'lan',
                                             devargs=b'net_null0', mtu=1500))
        self.refused(17, 'PORT_SET', dp.Port(id=8, generation=1, name=b'lan', devargs=same,
                                             mtu=1500))

    def test_a_batch_with_one_bad_element_changes_nothing(self):
        e = self.refused(2, 'ROUTE_SET', dp.Route(dp.prefix('10.9.0.0/16'), G_LAN, 1),
                         dp.Route(dp.prefix('10.8.0.0/16'), 999, 1))
        self.assertEqual(e.index, 1)
        a = self.control.call('GET_FIB', dp.FibQuery(dp.addr('10.9.0.1')))
        self.assertEqual(a[0].group, 0)
        self.refused(2, 'PATH_SET', dp.Path(id=50, kind=dp.DROP), dp.Path(id=51, iface=77,
                                                                         kind=dp.CONNECTED))
        self.assertNotIn(50, [p.id for p in self.control.call('GET_PATHS')])

    def test_objects_in_use_stay(self):
        for cls, oid in (('port', 0), ('iface', LAN_IF), ('path', P_ER), ('group', G_VNET)):
            with self.subTest(cls=cls):
                self.refused(16, 'OBJECT_DEL', dp.Object(dp.CLASS[cls], oid))

    def test_a_path_stays_while_a_tunnel_sends_by_it(self):
        old, new, mark = 0xFFFFFFF0, 0xFFFFFFF2, 0xFFFFFFF1  # all before those of the bed
        path = dp.Path(id=70, generation=old, kind=dp.DROP)
        gone = dp.Object(dp.CLASS['path'], 70)
        tunnel = dp.Tunnel(id=70, generation=new, name=b'uplink-b', local=dp.addr('192.0.2.1'),
                           remote=dp.addr('198.51.100.7'), mtu=1400, outer_path=70)
        self.control.call('PATH_SET', path)
        for _ in range(2):
            self.control.call('TUNNEL_SET', tunnel)
        self.assertIn("'uplink-b'", self.refused(16, 'OBJECT_DEL', gone).text)
        self.refused(16, 'SWEEP', dp.Sweep(dp.CLASS['path'], mark))
        # One that goes by the same sweep keeps nothing.
        tunnel.generation = old
        self.control.call('TUNNEL_SET', tunnel)
        self.refused(16, 'OBJECT_DEL', gone)
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['path'], mark))
        self.control.call('PATH_SET', path)
        self.control.call('OBJECT_DEL', gone)
        self.control.call('PATH_SET', path)
        self.control.call('TUNNEL_SET', tunnel)
        tunnel.outer_path = dp.NONE
        self.control.call('TUNNEL_SET', tunnel)
        self.control.call('OBJECT_DEL', gone)
        tunnel.outer_path = 70
        self.control.call('PATH_SET', path)
        self.control.call('TUNNEL_SET', tunnel)
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], 70))
        self.control.call('OBJECT_DEL', gone)

    def test_a_sweep_removes_what_is_older(self):
        self.control.call('PATH_SET', dp.Path(id=60, generation=7, kind=dp.DROP))
        self.control.call('GROUP_SET', dp.group(60, [dp.tier(0, [60])], generation=7))
        self.control.call('ROUTE_SET', *(dp.Route(dp.prefix(f'10.60.{i}.0/24'), 60, i % 2)
                                         for i in range(200)))
        self.control.call('ROUTE_SET', dp.Route(dp.prefix('0.0.0.0/0'), 60, 0))
        before = self.control.call('GET_STATUS')[0].routes
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['route'], 1))
        self.assertEqual(self.control.call('GET_STATUS')[0].routes, before - 101)
        self.refused(16, 'SWEEP', dp.Sweep(dp.CLASS['group'], 8))
        self.control.call('ROUTE_DEL', *(dp.Route(dp.prefix(f'10.60.{i}.0/24'))
                                         for i in range(200)))
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['group'], 60))
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['path'], 60))

    def test_roles_are_kept(self):
        reader = self.dataplane.client(role=dp.READER)
        self.assertGreater(len(reader.call('GET_DROPS')), 30)
        self.refused(1, 'ROUTE_SET', dp.Route(dp.prefix('10.9.0.0/16'), G_LAN, 1), client=reader)
        iked = self.dataplane.client(role=dp.IKED)
        self.refused(1, 'ROUTE_SET', dp.Route(dp.prefix('10.9.0.0/16'), G_LAN, 1), client=iked)
        self.refused(1, 'SPI_ALLOC', dp.Spi(1, 0))
        mute = self.dataplane.client(greet=False)
        self.refused(1, 'GET_STATUS', client=mute)
        self.refused(71, 'PATH_STATE', dp.Object(1, 1))
        for k in (reader, iked, mute):
            k.close()

    def test_the_role_belongs_to_the_named_user(self):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.chmod(self.dataplane.dir, 0o755)
                os.chmod(self.dataplane.socket, 0o666)
                os.setuid(65534)
                try:
                    self.dataplane.client(role=dp.CONTROLD)
                except dp.Refused as e:
                    status = 0 if e.status == 1 else 2
                self.dataplane.client(role=dp.READER).close()
            except Exception:
                status = 3
            os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def test_a_clients_death_changes_nothing(self):
        other = self.dataplane.client(name='dies')
        other.call('ROUTE_SET', dp.Route(dp.prefix('10.70.0.0/16'), G_VNET, 1))
        other.close()
        self.lan.send(self.from_lan(IP(src=HOST, dst='10.70.1.1'), UDP()))
        self.assertIsNotNone(self.er.receive(lambda f: IP in f))

    def test_a_subscriber_that_does_not_read_is_disconnected(self):
        lazy = self.dataplane.client(subscribe=dp.SUB_PATH, name='lazy')
        poll = select.poll()
        poll.register(lazy.sock, 0)
        until = time.monotonic() + 30   # it is deaf after five seconds with a long queue
        while not poll.poll(0) and time.monotonic() < until:
            self.control.call('LINK_STATE', dp.Link(2, 0, 0), dp.Link(2, 1, 0))
        with self.assertRaises(ConnectionResetError):
            while lazy.receive(2)[0] is not None:
                pass
        lazy.close()
        self.assertGreater(len(self.control.events), 0)


class Lifetime(Bed):
    def counts(self):
        s = self.control.call('GET_STATUS')[0]
        return s.routes, s.groups, s.sas

    def forwards(self):
        self.lan.send(self.from_lan(IP(src=HOST, dst=VNET), UDP()))
        return self.er.receive(lambda f: IP in f) is not None

    def test_everything_can_be_taken_down_and_built_again(self):
        self.assertTrue(self.forwards())
        before = self.counts()
        for _ in range(3):
            for cls in ('route', 'group', 'path', 'neigh', 'addr', 'iface', 'tunnel', 'port'):
                self.control.call('SWEEP', dp.Sweep(dp.CLASS[cls], 2))
            self.assertEqual(self.counts(), (0, 0, 0))
            self.assertEqual(self.control.call('GET_IFACES'), [])
            self.assertFalse(self.forwards())
            for i, n in enumerate(('lan', 'er', 'wan')):
                self.control.call('PORT_SET', dp.Port(
                    id=i, generation=1, name=n.encode(),
                    devargs=bed.devargs(i, f'p-{n}').encode(), mtu=1500))
            self.objects()
            self.assertEqual(self.counts(), before)
            self.assertTrue(self.forwards())

    def test_a_twin_stays_when_the_interface_is_set_again_without_a_descriptor(self):
        self.control.call('IFACE_SET', dp.Iface(
            id=LAN_IF, generation=1, name=b'lan', kind=dp.KIND_PORT, role=dp.LAN, port=0,
            mtu=1500, up=1, has_twin=1))
        self.lan.send(Ether(src=self.lan.mac, dst='ff:ff:ff:ff:ff:ff') /
                      ARP(op=1, hwsrc=self.lan.mac, psrc=HOST, pdst=GW))
        self.assertIsNotNone(self.lan.receive(lambda f: ARP in f and f[ARP].op == 2))


class Process(unittest.TestCase):
    def test_a_second_one_in_the_same_directory_is_refused_and_disturbs_nothing(self):
        first = bed.Dataplane()
        second = subprocess.run([os.environ['SPILLWAY_DATAPLANE'], '--run-dir', first.dir,
                                 '--no-huge', '--memory', '512'], capture_output=True, text=True)
        self.assertEqual(second.returncode, 1)
        self.assertEqual(second.stderr.count('\n'), 1)
        self.assertIn('another data plane runs', second.stderr)
        first.client().close()
        self.assertEqual(first.stop(), (0, []))

    def test_what_a_killed_one_left_does_not_hinder_the_next(self):
        first = bed.Dataplane()
        one = first.client()
        first.process.kill()
        first.process.wait()
        again = bed.Dataplane(run_dir=first.dir)
        two = again.client()
        self.assertNotEqual(one.hello.incarnation, two.hello.incarnation)
        one.close()
        two.close()
        self.assertEqual(again.stop(), (0, []))

    def test_what_the_kernel_did_before_comes_back_even_after_a_kill(self):
        names = [f'/proc/sys/net/{n}' for n in ('ipv4/conf/p-lan/rp_filter',
                                                'ipv4/conf/p-lan/arp_ignore',
                                                'ipv6/conf/p-lan/disable_ipv6')]

        def settings():
            """The last: does the kernel join the segments of TCP connections before we see them?"""
            features = subprocess.run(['ethtool', '-k', 'p-lan'], capture_output=True, text=True).stdout
            gro = features.split('generic-receive-offload: ')[1].split()[0]
            return [open(n).read().strip() for n in names] + [gro]

        def with_port(run_dir=None):
            process = bed.Dataplane(run_dir=run_dir)
            client = process.client(name='controld')
            client.call('PORT_SET', dp.Port(id=0, generation=1, name=b'lan',
                                            devargs=bed.devargs(0, 'p-lan').encode(), mtu=1500))
            client.close()
            return process
        for n, value in zip(names, ('2', '0', '0')):
            with open(n, 'w') as f:
                f.write(value)
        bed.run('ethtool', '-K', 'p-lan', 'gro', 'on')
        self.addCleanup(bed.run, 'ethtool', '-K', 'p-lan', 'gro', 'off')
        first = with_port()
        self.assertEqual(settings(), ['1', '8', '1', 'off'])
        first.process.kill()
        first.process.wait()
        again = with_port(first.dir)
        with open(names[1], 'w') as f:
            f.write('3')    # somebody's own wish meanwhile
        again.process.kill()
        again.process.wait()
        self.assertEqual(with_port(first.dir).stop(), (0, []))
        self.assertEqual(settings(), ['2', '3', '0', 'on'])

    def test_a_wrong_option_gives_one_sentence(self):
        for options, word in ((['--workers', '0'], '--workers'), (['--cores', '1-'], '--cores'),
                              (['--cores', '1023'], '1023'), (['--nonsense'], '--nonsense'),
                              (['--polling', 'lazy'], 'lazy'),
                              (['--iked-user', 'no-such-user'], 'no-such-user'),
                              (['--memory', '64'], '--memory')):
            with self.subTest(options=options), tempfile.TemporaryDirectory() as d:
                r = subprocess.run([os.environ['SPILLWAY_DATAPLANE'], '--run-dir', d,
                                    '--no-huge', *options], capture_output=True, text=True)
                self.assertEqual((r.returncode, r.stderr.count('\n')), (1, 1), r.stderr)
                self.assertIn(word, r.stderr)
                self.assertEqual(os.listdir(d), [])


class TwoWorkers(Forwarding):
    options = ('--workers', '2')


if __name__ == '__main__':
    bed.enter_namespace()
    for n in ('lan', 'er', 'wan'):
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
