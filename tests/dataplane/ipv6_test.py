#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""IPv6 through the real spillway-dataplane on af_packet ports. Test names state the rule. Run as
root."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from routing_bed import ER_IF, LAN_IF, WAN_IF, RoutingBed  # noqa: E402
from scapy.all import (  # noqa: E402
    Ether, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr,
    ICMPv6TimeExceeded, IP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, PadN, Raw, TCP, UDP)

P_ER, P_LAN, P_WAN, P_ER2 = 1, 2, 3, 4
G_VNET, G_LAN, G_WAN, G_BOTH = 1, 2, 3, 4
GW, HOST, VNET = '2001:db8:1::1', '2001:db8:1::2', '2001:db8:2::4'
ER_HOP, US, STRANGER = 'fe80::ee', '2001:db8:ffff::1', '2001:db8:aaaa::5'
ESP_BYTES = b'\x00\x12\x34\x56\x00\x00\x00\x01' + b'e' * 64


def six(f):
    return IPv6 in f and (UDP in f or TCP in f or Raw in f)


class Bed(RoutingBed):
    @classmethod
    def objects(cls):
        call = cls.control.call
        cls.three_interfaces()
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW}/64')),
             dp.Address(LAN_IF, 1, dp.prefix('10.1.0.1/24')),
             dp.Address(ER_IF, 1, dp.prefix('2001:db8:3::1/64')),
             dp.Address(WAN_IF, 1, dp.prefix(f'{US}/64')))
        call('PATH_SET',
             dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY, iface=ER_IF,
                     next_hop=dp.addr(ER_HOP)),
             dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             dp.Path(id=P_WAN, generation=1, kind=dp.ADJACENCY, iface=WAN_IF,
                     next_hop=dp.addr('2001:db8:ffff::fe')),
             dp.Path(id=P_ER2, generation=1, kind=dp.ADJACENCY, iface=ER_IF,
                     next_hop=dp.addr('fe80::ef')))
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in (P_ER, P_LAN, P_WAN, P_ER2)))
        call('GROUP_SET', dp.group(G_VNET, [dp.tier(1, [P_ER]), dp.tier(3, [P_WAN])],
                                   dp.PROTECTED),
             dp.group(G_LAN, [dp.tier(0, [P_LAN])]), dp.group(G_WAN, [dp.tier(0, [P_WAN])]),
             dp.group(G_BOTH, [dp.tier(1, [P_ER, P_ER2])]))
        call('ROUTE_SET', dp.Route(dp.prefix('2001:db8:2::/48'), G_VNET, 1),
             dp.Route(dp.prefix('10.2.0.0/16'), G_VNET, 1),
             dp.Route(dp.prefix('2001:db8:1::/64'), G_LAN, 1),
             dp.Route(dp.prefix('2001:db8:4::/48'), G_BOTH, 1),
             dp.Route(dp.prefix('2001:db8:ffff::/64'), G_WAN, 1))
        for iface, a, m in ((ER_IF, ER_HOP, '02:00:00:00:00:ee'),
                            (ER_IF, 'fe80::ef', '02:00:00:00:00:ef'),
                            (LAN_IF, HOST, bed.mac_of('h-lan')),
                            (WAN_IF, '2001:db8:ffff::fe', bed.mac_of('h-wan'))):
            call('NEIGH_SET', dp.Neigh(iface, 1, dp.addr(a), dp.mac(m), 1))

    def from_wan(self, *layers):
        p = Ether(src=self.wan.mac, dst=self.macs['wan'])
        for layer in layers:
            p = p / layer
        return p

    def mirrored(self, iface=LAN_IF):
        bed.settle(self.control)
        return {r.id: r.mirrored for r in self.control.call('GET_IFACES')}[iface]


class Forwarding(Bed):
    def test_transit_loses_one_hop_and_nothing_else(self):
        sent = IPv6(src=HOST, dst=VNET, hlim=64, tc=0xb9, fl=0x12345) / UDP(
            sport=1000, dport=2000) / Raw(b'x' * 100)
        self.lan.send(self.from_lan(sent))
        f = self.er.receive(six)
        self.assertIsNotNone(f)
        self.assertEqual((f.dst, f.src, f.type), ('02:00:00:00:00:ee', self.macs['er'], 0x86dd))
        want = bytearray(bytes(sent))
        want[7] = 63
        self.assertEqual(bytes(f[IPv6]), bytes(want))

    def test_every_hop_limit_is_taken_down_by_one(self):
        self.lan.send(*(self.from_lan(IPv6(src=HOST, dst=VNET, hlim=h), UDP())
                        for h in range(2, 256)))
        got = self.er.collect(254, six)
        self.assertEqual([f[IPv6].hlim for f in got], list(range(1, 255)))

    def test_a_used_up_hop_limit_is_answered_from_the_receiving_interface(self):
        for hops in (0, 1):
            self.before = self.control.drops()
            self.lan.send(self.from_lan(IPv6(src=HOST, dst=VNET, hlim=hops),
                                        UDP(sport=7, dport=9)))
            f = self.lan.receive(lambda f: ICMPv6TimeExceeded in f)
            self.assertIsNotNone(f)
            self.assertEqual((f[IPv6].src, f[IPv6].dst, f[ICMPv6TimeExceeded].code),
                             (GW, HOST, 0))
            self.dropped('ttl', 1)

    def test_both_families_in_one_burst_each_take_their_own_way(self):
        frames = []
        for i in range(120):
            frames.append(self.from_lan(IPv6(src=HOST, dst=VNET, fl=i), UDP()) if i % 3 else
                          self.from_lan(IP(src='10.1.0.2', dst='10.2.3.4', id=i), UDP()))
        self.lan.send(*frames)
        got = self.er.collect(120, lambda f: UDP in f)
        self.assertEqual([f[IPv6].fl if IPv6 in f else f[IP].id for f in got], list(range(120)))
        self.assertTrue(all((f.type == 0x86dd) == (IPv6 in f) for f in got))

    def test_an_ipv6_next_hop_carries_ipv4_packets_too(self):
        self.lan.send(self.from_lan(IP(src='10.1.0.2', dst='10.2.3.4'), UDP()))
        f = self.er.receive(lambda f: IP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f.dst, f.type), ('02:00:00:00:00:ee', 0x0800))

    def test_esp_48_extension_headers_in_transit_are_forwarded_unread(self):
        for ext in (IPv6ExtHdrHopByHop(options=[PadN(optdata=b'\0' * 4)]),
                    IPv6ExtHdrDestOpt(options=[PadN(optdata=b'\0' * 4)]),
                    IPv6ExtHdrRouting(addresses=['2001:db8::9']),
                    IPv6ExtHdrFragment(offset=100, m=1, id=7)):
            with self.subTest(ext=ext.name):
                sent = IPv6(src=HOST, dst=VNET) / ext / UDP() / Raw(b'k' * 40)
                self.lan.send(self.from_lan(sent))
                f = self.er.receive(lambda f: IPv6 in f)
                self.assertIsNotNone(f)
                self.assertEqual(bytes(f[IPv6])[40:], bytes(sent)[40:])

    def test_ethernet_padding_is_not_forwarded(self):
        sent = IPv6(src=HOST, dst=VNET) / UDP() / Raw(b'1')
        self.lan.send(bytes(self.from_lan(sent)) + b'pad' * 10)
        f = self.er.receive(lambda f: IPv6 in f)
        self.assertIsNotNone(f)
        self.assertEqual(len(bytes(f)), 14 + 40 + 9)

    def test_no_route_is_a_counted_drop(self):
        self.lan.send(self.from_lan(IPv6(src=HOST, dst='2001:db8:dead::1'), UDP()))
        self.dropped('no-route', 1)

    def test_an_unresolved_neighbour_is_asked_for_and_packets_wait(self):
        self.lan.send(*(self.from_lan(IPv6(src=VNET, dst='2001:db8:1::77', fl=i), UDP())
                        for i in range(34)))
        ev = self.control.wait_event(lambda n, e: n == 130)
        self.assertIsNotNone(ev)
        self.assertEqual((ev.iface, str(ev.addr)), (LAN_IF, '2001:db8:1::77'))
        self.dropped('neighbour-queue', 2)
        self.control.call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr('2001:db8:1::77'),
                                                dp.mac('02:00:00:00:00:77'), 1))
        got = self.lan.collect(32, six)
        self.assertEqual([f[IPv6].fl for f in got], list(range(32)))
        self.assertTrue(all(f.dst == '02:00:00:00:00:77' for f in got))

    def test_flows_spread_over_paths_by_label_and_ports_and_stay(self):
        def macs(packets):
            self.lan.send(*(self.from_lan(p) for p in packets))
            return [f.dst for f in self.er.collect(len(packets), lambda f: IPv6 in f)]
        base = dict(src=HOST, dst='2001:db8:4::1')
        by_port = [IPv6(**base) / UDP(sport=p, dport=53) for p in range(1000, 1064)]
        by_label = [IPv6(**base, fl=n) / ICMPv6EchoRequest() for n in range(64)]
        by_addr = [IPv6(src=HOST, dst=f'2001:db8:4::{n:x}') / TCP() for n in range(64)]
        for packets in (by_port, by_label, by_addr):
            first = macs(packets)
            self.assertEqual(len(first), 64)
            self.assertTrue(16 <= first.count('02:00:00:00:00:ef') <= 48, first)
            self.assertEqual(macs(packets), first)

    def test_a_header_follows_its_neighbour_and_waits_when_it_dies(self):
        packet = self.from_lan(IPv6(src=HOST, dst=VNET), UDP())
        neigh = dp.addr(ER_HOP)
        try:
            for last in ('01', '02', '03'):
                mac = f'02:00:00:00:aa:{last}'
                self.control.call('NEIGH_SET', dp.Neigh(ER_IF, 1, neigh, dp.mac(mac), 1))
                self.lan.send(packet)
                f = self.er.receive(six)
                self.assertIsNotNone(f)
                self.assertEqual(f.dst, mac)
            for gone in (lambda: self.control.call('NEIGH_SET', dp.Neigh(ER_IF, 1, neigh)),
                         lambda: self.control.call('NEIGH_DEL', dp.Neigh(ER_IF, 1, neigh))):
                gone()
                self.lan.send(packet)
                self.assertTrue(self.er.quiet(six, 0.2))
                self.control.call('NEIGH_SET', dp.Neigh(ER_IF, 1, neigh,
                                                        dp.mac('02:00:00:00:00:ee'), 1))
                self.assertEqual(self.er.receive(six).dst, '02:00:00:00:00:ee')
        finally:
            self.control.call('NEIGH_SET', dp.Neigh(ER_IF, 1, neigh,
                                                    dp.mac('02:00:00:00:00:ee'), 1))

    def test_a_path_given_to_another_next_hop_takes_its_header(self):
        packet = self.from_lan(IPv6(src=HOST, dst=VNET), UDP())

        def path(hop):
            self.control.call('PATH_SET', dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY,
                                                  iface=ER_IF, next_hop=dp.addr(hop)))
            clears = {p.id: p.clears for p in self.control.call('GET_PATHS')}[P_ER]
            self.control.call('PATH_STATE', dp.PathState(P_ER, 1, clears))
            self.lan.send(packet)
            return self.er.receive(six).dst
        self.assertEqual(path('fe80::ef'), '02:00:00:00:00:ef')
        self.assertEqual(path(ER_HOP), '02:00:00:00:00:ee')

    def test_waiting_packets_never_leave_by_a_path_that_leads_elsewhere_now(self):
        self.control.call('PATH_SET', dp.Path(id=70, generation=1, kind=dp.CONNECTED,
                                              iface=LAN_IF))
        self.control.call('PATH_STATE', dp.PathState(70, 1, 0))
        self.control.call('GROUP_SET', dp.group(70, [dp.tier(0, [70])]))
        self.control.call('ROUTE_SET', dp.Route(dp.prefix('2001:db8:70::/64'), 70, 1))
        self.lan.send(self.from_lan(IPv6(src=HOST, dst='2001:db8:70::1'), UDP()))
        self.assertIsNotNone(self.control.wait_event(lambda n, e: n == 130))
        self.control.call('PATH_SET', dp.Path(id=70, generation=1, kind=dp.CONNECTED,
                                              iface=WAN_IF))
        for iface in (LAN_IF, WAN_IF):
            self.control.call('NEIGH_SET', dp.Neigh(iface, 1, dp.addr('2001:db8:70::1'),
                                                    dp.mac('02:00:00:00:00:70'), 1))
        self.dropped('port-gone', 1)
        self.assertTrue(self.lan.quiet(six, 0.1))
        self.assertTrue(self.wan.quiet(six, 0.1))


class Refusals(Bed):
    def test_broken_packets_fall_under_their_reason(self):
        def edit(at, value, packet=None):
            raw = bytearray(bytes(packet or IPv6(src=HOST, dst=VNET) / UDP() / Raw(b'z' * 30)))
            raw[at] = value
            return self.from_lan(Raw(bytes(raw)), dst=self.macs['lan'])
        cases = [('ip-header', edit(0, 0x45)), ('ip-header', edit(0, 0x75)),
                 ('runt', edit(5, 200)), ('runt', edit(4, 1)),
                 ('runt', self.from_lan(Raw(bytes(IPv6(src=HOST, dst=VNET))[:39]))),
                 ('ip-header', self.from_lan(IPv6(src=HOST, dst=VNET, plen=0, nh=0),
                                             Raw(b'\x3b\x00\xc2\x04\x00\x01\x00\x00')))]
        for _, frame in cases:
            frame.type = 0x86dd
        self.each_dropped(self.lan, cases)
        self.assertTrue(self.er.quiet(lambda f: IPv6 in f))

    def test_what_no_host_may_be_called_is_a_martian(self):
        bad = ('::', '::1', 'ff02::1', 'ff0e::1', '::ffff:10.0.0.1')
        self.each_dropped(self.lan, [('martian', self.from_lan(IPv6(src=a, dst=VNET), UDP()))
                                     for a in bad])
        self.each_dropped(self.lan, [('martian', self.from_lan(IPv6(src=HOST, dst=a), UDP()))
                                     for a in bad])

    def test_link_local_sources_are_never_forwarded(self):
        self.each_dropped(self.lan, [('link-local', self.from_lan(IPv6(src=a, dst=VNET), UDP()))
                                     for a in ('fe80::1', 'febf::1')])
        self.lan.send(self.from_lan(IPv6(src='fec0::1', dst=VNET), UDP()))
        self.assertIsNotNone(self.er.receive(six))

    def test_our_own_addresses_in_a_frame_to_a_group_are_refused(self):
        self.each_dropped(self.lan, [
            ('martian', self.from_lan(IPv6(src=HOST, dst=d), UDP(), dst='33:33:00:00:00:01'))
            for d in (GW, VNET)])

    def test_nothing_from_the_internet_is_forwarded_in_the_clear(self):
        cases = [('clear-inbound', self.from_wan(IPv6(src=s, dst=d), UDP())) for s, d in (
            (STRANGER, HOST), (VNET, HOST), (VNET, US), (STRANGER, GW), (STRANGER, VNET))]
        self.each_dropped(self.wan, cases)
        self.assertTrue(self.lan.quiet(six))

    def test_esp_for_us_is_opened_native_in_udp_and_behind_extension_headers(self):
        pad = [PadN(optdata=b'\0' * 4)]
        us = IPv6(src=STRANGER, dst=US)
        esp = Raw(ESP_BYTES)
        self.each_dropped(self.wan, [(r, self.from_wan(p)) for r, p in (
            ('esp-spi', IPv6(src=STRANGER, dst=US, nh=50) / esp),
            ('esp-spi', us / IPv6ExtHdrHopByHop(options=pad, nh=50) / esp),
            ('esp-spi', us / IPv6ExtHdrDestOpt(options=pad, nh=50) / esp),
            ('esp-spi', us / IPv6ExtHdrHopByHop(options=pad) /
             IPv6ExtHdrDestOpt(options=pad, nh=50) / esp),
            ('esp-spi', us / IPv6ExtHdrFragment(nh=50, offset=0, m=0) / esp),
            ('esp-spi', us / UDP(sport=4500, dport=4500) / esp),
            ('esp-spi', us / IPv6ExtHdrDestOpt(options=pad) / UDP(sport=9, dport=4500) / esp),
            ('natt-keepalive', us / UDP(sport=4500, dport=4500) / Raw(b'\xff')),
            ('natt-short', us / UDP(sport=4500, dport=4500) / Raw(b'\0\0')),
            ('iface-down', us / UDP(sport=4500, dport=4500) / Raw(b'\0' * 32)),
            ('iface-down', us / UDP(sport=500, dport=500) / Raw(b'\0' * 32)))])

    def test_esp_46_fragments_of_esp_are_never_opened(self):
        us = IPv6(src=STRANGER, dst=US)
        self.each_dropped(self.wan, [('esp-fragment', self.from_wan(us / p)) for p in (
            IPv6ExtHdrFragment(nh=50, offset=0, m=1, id=1) / Raw(ESP_BYTES),
            IPv6ExtHdrFragment(nh=50, offset=8, m=0, id=1) / Raw(ESP_BYTES),
            IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=2) /
            Raw(bytes(UDP(sport=4500, dport=4500, len=2000)) + ESP_BYTES))])

    def test_esp_48_extension_headers_to_us_must_add_up_and_never_route(self):
        us = IPv6(src=STRANGER, dst=US)
        chain = us
        for _ in range(9):
            chain = chain / IPv6ExtHdrDestOpt(options=[PadN(optdata=b'\0' * 4)])
        self.each_dropped(self.wan, [('ip-options', self.from_wan(p)) for p in (
            IPv6(src=STRANGER, dst=US, nh=60) / Raw(b'\x32\x05' + b'\0' * 6),
            IPv6(src=STRANGER, dst=US, nh=60) / Raw(b'\x32\x00\x00'),
            us / IPv6ExtHdrRouting(addresses=['2001:db8::9'], segleft=1) / UDP(),
            chain / UDP())])


class Kernel(Bed):
    @classmethod
    def objects(cls):
        super().objects()
        bed.run('ip', 'link', 'set', 't-lan', 'address', cls.macs['lan'])
        with open('/proc/sys/net/ipv6/conf/t-lan/disable_ipv6', 'w') as f:
            f.write('0')
        bed.run('ip', 'addr', 'add', f'{GW}/64', 'dev', 't-lan', 'nodad')
        bed.run('ip', 'link', 'set', 't-lan', 'up')
        bed.run('ip', '-6', 'neigh', 'replace', HOST, 'lladdr', bed.mac_of('h-lan'), 'dev',
                't-lan')

    @staticmethod
    def own_link_local():
        """The twin's link-local addresses, once they are no longer tentative."""
        for _ in range(60):
            with open('/proc/net/if_inet6') as f:
                rows = [line.split() for line in f]
            rows = [r for r in rows if r[5] == 't-lan' and r[0].startswith('fe80')]
            if rows and not any(int(r[4], 16) & 0x40 for r in rows):
                break
            time.sleep(0.05)
        return [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(r[0])) for r in rows]

    def test_neighbour_discovery_goes_up_and_the_kernel_answers(self):
        group = socket.inet_ntop(socket.AF_INET6, b'\xff\x02' + b'\0' * 9 + b'\x01\xff' +
                                 socket.inet_pton(socket.AF_INET6, GW)[13:])
        self.lan.send(self.from_lan(
            IPv6(src=HOST, dst=group, hlim=255), ICMPv6ND_NS(tgt=GW),
            ICMPv6NDOptSrcLLAddr(lladdr=self.lan.mac), dst='33:33:ff:00:00:01'))
        f = self.lan.receive(lambda f: ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == GW)
        self.assertIsNotNone(f)
        self.assertEqual(f[IPv6].dst, HOST)

    def test_ping_to_us_and_to_the_link_local_address_is_answered_by_the_kernel(self):
        local = self.own_link_local()
        for dst in [GW, *local]:
            with self.subTest(dst=dst):
                self.lan.send(self.from_lan(IPv6(src=HOST, dst=dst),
                                            ICMPv6EchoRequest(id=5, seq=9, data=b'ping' * 9)))
                f = self.lan.receive(lambda f: ICMPv6EchoReply in f)
                self.assertIsNotNone(f)
                self.assertEqual((f[IPv6].src, f[ICMPv6EchoReply].seq), (dst, 9))
        self.assertEqual(len(local), 1)

    def test_hop_by_hop_options_to_us_are_the_kernels(self):
        up = self.mirrored()
        self.lan.send(self.from_lan(
            IPv6(src=HOST, dst=GW) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b'\0' * 4)]) /
            ICMPv6EchoRequest(id=6)))
        self.assertIsNotNone(self.lan.receive(lambda f: ICMPv6EchoReply in f))
        self.assertGreater(self.mirrored(), up)

    def test_the_hosts_own_packets_to_a_protected_prefix_take_the_group(self):
        bed.run('ip', '-6', 'route', 'replace', '2001:db8:2::/48', 'via', HOST, 'dev', 't-lan')
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.sendto(b'own', (VNET, 9))
        f = self.er.receive(six)
        self.assertIsNotNone(f)
        self.assertEqual((f[IPv6].src, f[IPv6].hlim, f.dst), (GW, 64, '02:00:00:00:00:ee'))
        self.assertTrue(self.lan.quiet(lambda f: IPv6 in f and f[IPv6].dst == VNET))


class Objects(Bed):
    options = ('--max-routes6', '1024')

    def asked(self, *addresses):
        return [(a.group, str(a.prefix.addr), a.prefix.len) for a in self.control.call(
            'GET_FIB', *(dp.FibQuery(dp.addr(x)) for x in addresses))]

    def test_get_fib_answers_for_both_families(self):
        self.assertEqual(self.asked(VNET, '10.2.3.4', '2001:db8:dead::1'),
                         [(G_VNET, '2001:db8:2::', 48), (G_VNET, '10.2.0.0', 16), (0, '-', 0)])

    def test_a_batch_with_one_bad_route_of_either_family_changes_nothing(self):
        good = (dp.Route(dp.prefix('2001:db8:9::/48'), G_LAN, 1),
                dp.Route(dp.prefix('10.9.0.0/16'), G_LAN, 1))
        for bad, status in ((dp.Route(dp.prefix('2001:db8:8::/48'), 999, 1), 2),
                            (dp.Route(dp.prefix('2001:db8:8::1/48'), G_LAN, 1), 22),
                            (dp.Route(dp.Prefix(dp.addr('2001:db8::'), 129), G_LAN, 1), 22),
                            (dp.Route(dp.Prefix(dp.addr(None), 0), G_LAN, 1), 97)):
            e = self.refused(status, 'ROUTE_SET', *good, bad)
            self.assertEqual(e.index, 2)
            self.assertEqual(self.asked('2001:db8:9::1', '10.9.0.1'), [(0, '-', 0)] * 2)

    def test_what_does_not_fit_in_one_family_is_taken_back_in_the_other(self):
        routes = self.control.call('GET_STATUS')[0].routes
        many = [dp.Route(dp.prefix(f'2001:db8:5:{i:x}::/64'), G_LAN, 1) for i in range(1100)]
        self.refused(28, 'ROUTE_SET', dp.Route(dp.prefix('10.9.0.0/16'), G_LAN, 1),
                     dp.Route(dp.prefix('10.2.0.0/16'), G_LAN, 1), *many)
        self.assertEqual(self.asked('10.9.0.1', '10.2.3.4'), [(0, '-', 0),
                                                              (G_VNET, '10.2.0.0', 16)])
        self.assertEqual(self.control.call('GET_STATUS')[0].routes, routes)
        self.refused(16, 'OBJECT_DEL', dp.Object(dp.CLASS['group'], G_VNET))

    def test_a_sweep_removes_old_routes_of_both_families(self):
        before = self.control.call('GET_STATUS')[0].routes
        self.control.call('ROUTE_SET', *(dp.Route(dp.prefix(p), G_LAN, 0) for p in (
            '2001:db8:60::/48', '2001:db8:60:1::/64', '10.60.0.0/16', '::/0', '0.0.0.0/0')))
        self.assertEqual(self.control.call('GET_STATUS')[0].routes, before + 5)
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['route'], 1))
        self.assertEqual(self.control.call('GET_STATUS')[0].routes, before)
        self.assertEqual(self.asked('2001:db8:60::1'), [(0, '-', 0)])

    def test_addresses_come_and_go(self):
        new = dp.Address(LAN_IF, 1, dp.prefix('2001:db8:1::99/64'))
        packet = self.from_lan(IPv6(src=HOST, dst='2001:db8:1::99', nh=50), Raw(ESP_BYTES))
        self.control.call('ADDR_SET', new)
        self.lan.send(packet)
        self.dropped('esp-spi', 1)
        self.control.call('ADDR_DEL', new)
        self.control.call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr('2001:db8:1::99'),
                                                dp.mac('02:00:00:00:00:99'), 1))
        self.lan.send(packet)
        self.assertIsNotNone(self.lan.receive(lambda f: f.dst == '02:00:00:00:00:99'))

    def test_wrong_families_are_refused_by_a_sentence(self):
        self.refused(97, 'PATH_SET', dp.Path(id=50, kind=dp.ADJACENCY, iface=ER_IF))
        self.refused(97, 'TUNNEL_SET', dp.Tunnel(
            id=1, name=b't', local=dp.addr(US), remote=dp.addr('192.0.2.1'), mtu=1400,
            outer_path=dp.NONE))
        self.refused(97, 'GET_FIB', dp.FibQuery(dp.addr(None)))


class TwoWorkers(Bed):
    options = ('--workers', '2')

    def test_both_families_arrive_and_each_flow_keeps_its_order(self):
        self.lan.send(*(self.from_lan(IPv6(src=HOST, dst=VNET, fl=i), UDP(sport=7, dport=8))
                        if i % 2 else
                        self.from_lan(IP(src='10.1.0.2', dst='10.2.3.4', id=i), UDP())
                        for i in range(200)))
        got = self.er.collect(200, lambda f: UDP in f)
        self.assertEqual(sorted(f[IPv6].fl if IPv6 in f else f[IP].id for f in got),
                         list(range(200)))
        six = [f[IPv6].fl for f in got if IPv6 in f]
        four = [f[IP].id for f in got if IP in f]
        self.assertEqual((six, four), (sorted(six), sorted(four)))

    def test_an_unresolved_neighbour_is_asked_for_and_packets_wait(self):
        self.lan.send(*(self.from_lan(IPv6(src=VNET, dst='2001:db8:1::78', fl=i), UDP())
                        for i in range(4)))
        self.assertIsNotNone(self.control.wait_event(lambda n, e: n == 130))
        self.control.call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr('2001:db8:1::78'),
                                                dp.mac('02:00:00:00:00:78'), 1))
        got = self.lan.collect(4, six)
        self.assertEqual(sorted(f[IPv6].fl for f in got), [0, 1, 2, 3])


if __name__ == '__main__':
    bed.enter_namespace()
    for n in RoutingBed.ports:
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
