#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two data planes back to back over a tunnel whose outer packets are IPv6: both families go through
it (ESP-49), the tunnel's twin sends and receives IPv6, and what the far gateway itself is meant by
goes up. Run as root."""
import os
import secrets
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import tunnel_test as base  # noqa: E402
from scapy.all import (  # noqa: E402
    Ether, ICMPv6TimeExceeded, IP, IPOption, IPOption_LSRR, IPOption_NOP, IPv6, Raw, UDP)

TUN_NET = '2001:db8:70'


class Gateway(base.Gateway):
    """The same gateway with IPv6 outside, and both families inside."""

    def objects(self, fixed_outer):
        n, peer = self.n, self.peer
        self.wan_ip, self.peer_ip = f'2001:db8:ffff::{n}', f'2001:db8:ffff::{peer}'
        self.host6, self.lan6 = f'2001:db8:{n}::2', f'2001:db8:{n}::1'
        super().objects(fixed_outer)
        call = self.control.call
        fd = bed.twin(f't-lan{n}')
        call('IFACE_SET', dp.Iface(id=base.LAN_IF, generation=1, name=b'lan', kind=dp.KIND_PORT,
                                   role=dp.LAN, port=0, mtu=1500, up=1, has_twin=1), fds=[fd])
        os.close(fd)
        bed.run('ip', 'link', 'set', f't-lan{n}', 'arp', 'off', 'up')
        call('ADDR_SET', dp.Address(base.LAN_IF, 1, dp.prefix(f'{self.lan6}/64')))
        call('ROUTE_SET', dp.Route(dp.prefix(f'2001:db8:{n}::/48'), base.G_LAN, 1),
             dp.Route(dp.prefix('2001:db8:ffff::/64'), base.G_WAN, 1),
             dp.Route(dp.prefix(f'2001:db8:{peer}::/48'), base.G_TUN, 1),
             dp.Route(dp.prefix(f'{TUN_NET}::{peer}/128'), base.G_TUN, 1))
        call('NEIGH_SET', dp.Neigh(base.LAN_IF, 1, dp.addr(self.host6), dp.mac(self.wire.mac), 1))

    def install(self, spi_in, spi_out, key_in, key_out, flags=0, outbound=1, encr=3):
        sa = dp.SaDesc(tunnel=base.TUNNEL, spi_in=spi_in, spi_out=spi_out, flags=flags, encr=encr,
                       key_len=len(key_in), local=dp.addr(self.wan_ip),
                       remote=dp.addr(self.peer_ip), replay_window=4096, n_local=2, n_remote=2)
        if flags & dp.SA_UDP:
            sa.local_port = sa.remote_port = 4500
        for field, key in ((sa.key_in, key_in), (sa.key_out, key_out)):
            for i, b in enumerate(key):
                field[i] = b
        for sel in (sa.sel_local, sa.sel_remote):
            for i, (low, high) in enumerate((('0.0.0.0', '255.255.255.255'),
                                             ('::', 'ffff:' * 7 + 'ffff'))):
                sel[i] = dp.Selector(low=dp.addr(low), high=dp.addr(high), port_high=65535)
        self.iked.call('SA_INSTALL', dp.SaInstall(self.iked.hello.incarnation, outbound, 0, sa))
        return sa

    def packet6(self, other, *layers, **ip):
        p = Ether(src=self.wire.mac, dst=self.mac['lan'])
        p = p / IPv6(**{**dict(src=self.host6, dst=other.host6), **ip})
        for layer in layers:
            p = p / layer
        return p

    def tun_twin(self):
        """The tunnel's twin in the kernel, with an address; returns its name."""
        name, address = f'tun-{self.n}', f'{TUN_NET}::{self.n}'
        fd = bed.twin(name, tap=False)
        self.control.call('IFACE_SET', dp.Iface(
            id=base.TUN_IF, generation=1, name=b'azure-a', kind=dp.KIND_TUNNEL, role=dp.TUNNEL,
            port=base.TUNNEL, mtu=base.MTU, up=1, has_twin=1), fds=[fd])
        os.close(fd)
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w') as f:
            f.write('0')
        self.control.call('ADDR_SET', dp.Address(base.TUN_IF, 1, dp.prefix(f'{address}/128')))
        bed.run('ip', 'addr', 'add', f'{address}/128', 'dev', name, 'nodad')
        bed.run('ip', 'link', 'set', name, 'addrgenmode', 'none')
        bed.run('ip', 'link', 'set', name, 'up')
        return name


class Raw6:
    """Packets of the kernel's side of a TUN device, as they are."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
        self.sock.bind((name, 0x86dd))
        self.address = (name, 0x86dd)

    def send(self, packet):
        self.sock.sendto(bytes(packet), self.address)

    def receive(self, content):
        """First packet from the tunnel with this in it; None after two seconds."""
        self.sock.settimeout(2)
        try:
            while True:
                data, (_, _, kind, *_) = self.sock.recvfrom(2048)
                if kind != bed.PACKET_OUTGOING and content in data:
                    return IPv6(data)
        except TimeoutError:
            return None

    def close(self):
        self.sock.close()


class Bed(unittest.TestCase):
    options = ()

    def setUp(self):
        self.a = Gateway('a', 1, 2, True, self.options)
        self.addCleanup(self.close, self.a)
        self.b = Gateway('b', 2, 1, False, self.options)
        self.addCleanup(self.close, self.b)
        self.a.knows(self.b)
        self.b.knows(self.a)
        self.outer = bed.Wire('p-wanb')
        self.addCleanup(self.outer.close)

    def tearDown(self):
        for g in (self.a, self.b):
            self.assertTrue(bed.settle(g.control), 'a packet was lost without a word')

    def close(self, gateway):
        self.assertEqual(gateway.close(), (0, []))

    def sa(self, flags=0):
        one, two = secrets.token_bytes(36), secrets.token_bytes(36)
        spi_a, spi_b = self.a.spi(), self.b.spi()
        self.a.install(spi_a, spi_b, two, one, flags)
        self.b.install(spi_b, spi_a, one, two, flags)

    def passes(self, sender, receiver):
        """Packets of both families arrive whole, in order, and only ESP is seen in between."""
        frames = []
        for i in range(60):
            if i % 2:
                frames.append(sender.packet6(receiver, UDP(sport=5, dport=6), Raw(bytes(i * 20)),
                                             fl=i))
            else:
                frames.append(sender.packet(receiver, UDP(sport=5, dport=6), Raw(bytes(i * 20)),
                                            id=i))
        self.outer.flush()
        sender.wire.send(*frames)
        got = receiver.wire.collect(60, lambda f: UDP in f)
        self.assertEqual([f[IPv6].fl if IPv6 in f else f[IP].id for f in got], list(range(60)))
        self.assertEqual({f[IPv6].hlim if IPv6 in f else f[IP].ttl for f in got}, {62})
        self.assertTrue(all(bytes(f[UDP])[8:][:i * 20] == bytes(i * 20)
                            for i, f in enumerate(got)))

    def outside(self, n, src):
        got = self.outer.collect(n, lambda f: IPv6 in f and f[IPv6].src == src)
        self.assertEqual(len(got), n)
        return {f[IPv6].nh for f in got}


class Tunnel(Bed):
    def test_esp_49_both_families_pass_over_ipv6_both_ways(self):
        self.sa()
        self.passes(self.a, self.b)
        self.assertEqual(self.outside(60, self.a.wan_ip), {50})
        self.passes(self.b, self.a)

    def test_esp_49_both_families_pass_in_udp_over_ipv6(self):
        self.sa(dp.SA_UDP)
        self.passes(self.a, self.b)
        self.assertEqual(self.outside(60, self.a.wan_ip), {17})
        self.passes(self.b, self.a)

    def test_the_tunnels_twin_sends_and_receives_ipv6(self):
        self.sa()
        name = self.a.tun_twin()
        bed.run('ip', '-6', 'route', 'replace', '2001:db8:2::/48', 'dev', name)
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind((f'{TUN_NET}::1', 7777))
        s.settimeout(3)
        s.sendto(b'question', (self.b.host6, 9))
        f = self.b.wire.receive(lambda f: UDP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IPv6].src, f[IPv6].hlim), (f'{TUN_NET}::1', 63))
        self.b.wire.send(self.b.packet6(self.a, UDP(sport=9, dport=7777), Raw(b'answer'),
                                        dst=f'{TUN_NET}::1'))
        self.assertEqual(s.recv(100), b'answer')
        t = self.a.tunnel_stats()
        self.assertEqual((t.own_out, t.own_in, t.transit_out, t.transit_in), (1, 1, 0, 0))

    def test_what_is_for_an_address_of_the_far_gateway_goes_up_there(self):
        self.sa()
        twin = bed.Wire('t-lan2')
        self.addCleanup(twin.close)
        sent = self.a.packet6(self.b, UDP(sport=9, dport=10), Raw(b'for you'), dst=self.b.lan6)
        self.a.wire.send(sent)
        f = twin.receive(lambda f: IPv6 in f and UDP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f.type, f.dst, f[IPv6].dst), (0x86dd, self.b.mac['lan'], self.b.lan6))
        self.assertEqual(bytes(f[UDP]), bytes(sent[UDP]))
        self.assertEqual(self.b.tunnel_stats().own_in, 1)

    def test_a_hop_limit_that_ends_at_the_far_gateway_is_answered_through_the_tunnel(self):
        self.sa()
        self.a.wire.send(self.a.packet6(self.b, UDP(), hlim=2))
        f = self.a.wire.receive(lambda f: ICMPv6TimeExceeded in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IPv6].src, f[IPv6].dst), (self.b.lan6, self.a.host6))

    def test_what_no_host_may_send_ends_behind_the_tunnel_too(self):
        self.sa()
        twin = Raw6(self.a.tun_twin())
        self.addCleanup(twin.close)
        host, far = self.b.host6, f'{TUN_NET}::1'
        cases = (('link-local', 'fe80::1', host), ('link-local', far, 'fe80::2'),
                 ('martian', far, 'ff0e::1'), ('martian', '::1', host),
                 ('martian', '::', host), ('martian', '::ffff:10.2.0.2', host),
                 ('martian', far, '::ffff:10.2.0.2'))
        for reason, src, dst in cases:
            with self.subTest(src=src, dst=dst):
                before = self.b.control.drops().get(reason, 0)
                twin.send(IPv6(src=src, dst=dst) / UDP() / Raw(b'x'))
                bed.until(lambda: self.b.control.drops().get(reason, 0) != before)
                self.assertTrue(bed.settle(self.b.control))
                self.assertEqual(self.b.control.drops().get(reason, 0), before + 1)
        self.assertTrue(self.b.wire.quiet(lambda f: IPv6 in f, 0.1))

    def test_source_routes_are_taken_from_no_tunnel(self):
        self.sa()
        name = self.a.tun_twin()
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        cases = ((IPOption_LSRR(routers=['10.7.0.1']), 1), (IPOption(b'\x07\x01\x00\x00'), 1),
                 (IPOption_NOP(), 0))
        for option, dropped in cases:
            with self.subTest(option=type(option).__name__):
                before = self.b.control.drops()
                packet = IP(src='10.9.0.1', dst='10.8.0.1', options=[option]) / UDP() / Raw(b'x')
                sock.sendto(bytes(packet), (name, 0x0800))
                bed.until(lambda: self.b.control.drops() != before)     # without a route otherwise
                self.assertTrue(bed.settle(self.b.control))
                self.assertEqual(self.b.control.drops().get('ip-options', 0),
                                 before.get('ip-options', 0) + dropped)

    def test_link_local_packets_of_a_tunnel_are_its_own_twins(self):
        self.sa()
        twin = Raw6(self.a.tun_twin())
        self.addCleanup(twin.close)
        far = Raw6(self.b.tun_twin())
        self.addCleanup(far.close)
        twin.send(IPv6(src='fe80::1', dst='fe80::2') / UDP() / Raw(b'between us'))
        got = far.receive(b'between us')
        self.assertIsNotNone(got)
        self.assertEqual(got.dst, 'fe80::2')


class TwoWorkers(Bed):
    options = ('--workers', '2')

    def test_both_families_pass_over_ipv6(self):
        self.sa()
        for sender, receiver in ((self.a, self.b), (self.b, self.a)):
            sender.wire.send(*(sender.packet6(receiver, UDP(sport=5, dport=6), fl=i)
                               for i in range(40)))
            got = receiver.wire.collect(40, lambda f: UDP in f)
            self.assertEqual(sorted(f[IPv6].fl for f in got), list(range(40)))


if __name__ == '__main__':
    bed.enter_namespace()
    bed.veth('p-lana', 'h-lana')
    bed.veth('p-lanb', 'h-lanb')
    bed.veth('p-wana', 'p-wanb')
    sys.exit(bed.main())
