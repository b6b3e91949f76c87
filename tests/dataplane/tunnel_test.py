#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two data planes back to back, keys by hand: what goes in at one LAN comes out at the other, and
only ESP is ever seen between them. Run as root."""
import os
import secrets
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from scapy.all import ESP, Ether, ICMP, IP, Raw, TCP, UDP  # noqa: E402

LAN_IF, WAN_IF, TUN_IF = 1, 2, 3
P_LAN, P_WAN, P_TUN = 1, 2, 3
G_LAN, G_WAN, G_TUN = 1, 2, 3
TUNNEL = 5
MTU = 1400
EV_SA, EARLY = 128, 5


class Gateway:
    """One data plane with a LAN port, a WAN port and a tunnel to the other."""

    def __init__(self, letter, number, peer, fixed_outer, options=()):
        self.n, self.peer = number, peer
        self.wan_ip, self.peer_ip = f'198.51.100.{number}', f'198.51.100.{peer}'
        self.lan_net, self.peer_net = f'10.{number}.0.0/16', f'10.{peer}.0.0/16'
        self.host = f'10.{number}.0.2'
        # The af_packet driver numbers its fanout groups by process id and interface; two processes
        # in one namespace may clash, and the driver then refuses. Another process id mends it.
        for attempt in range(5):
            self.dataplane = bed.Dataplane(*options, tag=letter)
            try:
                self.connect(letter, fixed_outer)
                return
            except dp.Refused as e:
                self.dataplane.stop()
                if 'the driver refuses it' not in e.text or attempt == 4:
                    raise

    def connect(self, letter, fixed_outer):
        self.control = self.dataplane.client(subscribe=dp.SUB_NEIGH | dp.SUB_PATH)
        self.iked = self.dataplane.client(role=dp.IKED, subscribe=dp.SUB_SA, name='iked')
        self.mac = {}
        for i, n in enumerate(('lan', 'wan')):
            r = self.control.call('PORT_SET', dp.Port(
                id=i, generation=1, name=n.encode(), mtu=1500,
                devargs=bed.devargs(i, f'p-{n}{letter}').encode()))[0]
            self.mac[n] = ':'.join(f'{b:02x}' for b in r.mac)
        self.wire = bed.Wire(f'h-lan{letter}')
        self.objects(fixed_outer)

    def objects(self, fixed_outer):
        call = self.control.call
        call('IFACE_SET',
             dp.Iface(id=LAN_IF, generation=1, name=b'lan', kind=dp.KIND_PORT, role=dp.LAN,
                      port=0, mtu=1500, up=1),
             dp.Iface(id=WAN_IF, generation=1, name=b'wan', kind=dp.KIND_PORT,
                      role=dp.INTERNET, port=1, mtu=1500, up=1))
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'10.{self.n}.0.1/16')),
             dp.Address(WAN_IF, 1, dp.prefix(f'{self.wan_ip}/24')))
        call('PATH_SET', dp.Path(id=P_WAN, generation=1, kind=dp.CONNECTED, iface=WAN_IF))
        call('TUNNEL_SET', dp.Tunnel(
            id=TUNNEL, generation=1, name=b'azure-a', local=dp.addr(self.wan_ip),
            remote=dp.addr(self.peer_ip), mtu=MTU, outer_path=P_WAN if fixed_outer else dp.NONE,
            dscp_copy=1))
        call('PATH_SET', dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             dp.Path(id=P_TUN, generation=1, kind=dp.PATH_TUNNEL, tunnel=TUNNEL))
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in (P_LAN, P_WAN, P_TUN)))
        call('GROUP_SET', dp.group(G_LAN, [dp.tier(0, [P_LAN])]),
             dp.group(G_WAN, [dp.tier(0, [P_WAN])]),
             dp.group(G_TUN, [dp.tier(2, [P_TUN])], dp.PROTECTED))
        call('ROUTE_SET', dp.Route(dp.prefix(self.lan_net), G_LAN, 1),
             dp.Route(dp.prefix('198.51.100.0/24'), G_WAN, 1),
             dp.Route(dp.prefix(self.peer_net), G_TUN, 1),
             dp.Route(dp.prefix(f'169.254.{self.peer}.0/24'), G_TUN, 1))
        call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr(self.host), dp.mac(self.wire.mac), 1))

    def knows(self, other):
        self.control.call('NEIGH_SET', dp.Neigh(WAN_IF, 1, dp.addr(other.wan_ip),
                                                dp.mac(other.mac['wan']), 1))

    def spi(self):
        return self.iked.call('SPI_ALLOC', dp.Spi(TUNNEL, 0))[0].spi

    def install(self, spi_in, spi_out, key_in, key_out, flags=0, outbound=1, encr=3):
        sa = dp.SaDesc(tunnel=TUNNEL, spi_in=spi_in, spi_out=spi_out, flags=flags, encr=encr,
                       key_len=len(key_in), local=dp.addr(self.wan_ip),
                       remote=dp.addr(self.peer_ip), replay_window=4096, n_local=1, n_remote=1)
        if flags & dp.SA_UDP:
            sa.local_port = sa.remote_port = 4500
        for field, key in ((sa.key_in, key_in), (sa.key_out, key_out)):
            for i, b in enumerate(key):
                field[i] = b
        for sel in (sa.sel_local, sa.sel_remote):
            sel[0] = dp.Selector(low=dp.addr('0.0.0.0'), high=dp.addr('255.255.255.255'),
                                 port_high=65535)
        self.iked.call('SA_INSTALL', dp.SaInstall(self.iked.hello.incarnation, outbound, 0, sa))
        return sa

    def packet(self, other, *layers, **ip):
        p = Ether(src=self.wire.mac, dst=self.mac['lan'])
        p = p / IP(src=self.host, dst=other.host, **ip)
        for layer in layers:
            p = p / layer
        return p

    def tunnel_stats(self):
        return {t.id: t for t in self.control.call('GET_TUNNELS')}[TUNNEL]

    def close(self):
        for k in (self.control, self.iked, self.wire):
            k.close()
        return self.dataplane.stop()


class Bed(unittest.TestCase):
    options = ()

    def setUp(self):
        self.a = Gateway('a', 1, 2, True, self.options)
        self.addCleanup(self.close, self.a)
        self.b = Gateway('b', 2, 1, False, self.options)
        self.addCleanup(self.close, self.b)
        self.a.knows(self.b)
        self.b.knows(self.a)
        self.to_b, self.to_a = bed.Wire('p-wanb'), bed.Wire('p-wana')
        self.addCleanup(self.to_b.close)
        self.addCleanup(self.to_a.close)

    def close(self, gateway):
        self.assertEqual(gateway.close(), (0, []))

    def sa(self, flags=0, encr=3, outbound=1):
        """A child SA on both sides; returns their inbound SPIs."""
        key = {1: 20, 2: 28, 3: 36}[encr]
        one, two = secrets.token_bytes(key), secrets.token_bytes(key)
        spi_a, spi_b = self.a.spi(), self.b.spi()
        self.b.install(spi_b, spi_a, one, two, flags, outbound, encr)
        self.a.install(spi_a, spi_b, two, one, flags, outbound, encr)
        return spi_a, spi_b

    def law(self):
        for g in (self.a, self.b):
            self.assertTrue(bed.settle(g.control))

    def sealed(self, frame, udp):
        """Is this frame of the WAN one of ours, and protected?"""
        if IP not in frame:
            return True
        if udp:
            return UDP in frame and frame[UDP].dport == 4500
        return frame[IP].proto == 50

    def exchange(self, sender, receiver, sizes, wan, udp):
        for i, size in enumerate(sizes):
            sender.wire.send(sender.packet(receiver, UDP(sport=5, dport=6),
                                           Raw(bytes([i % 256]) * size), id=i, tos=0x28))
        got = receiver.wire.collect(len(sizes), lambda f: UDP in f)
        self.assertEqual([f[IP].id for f in got], list(range(len(sizes))))
        for f, (i, size) in zip(got, enumerate(sizes)):
            self.assertEqual(bytes(f[UDP].payload)[:size], bytes([i % 256]) * size)
            self.assertEqual((f[IP].ttl, f[IP].tos), (62, 0x28))
        outer = wan.collect(len(sizes), lambda f: IP in f)
        self.assertEqual(len(outer), len(sizes))
        self.assertTrue(all(self.sealed(f, udp) and f[IP].tos == 0x28 for f in outer))
        return outer

    def both_ways(self, flags, encr=3):
        self.sa(flags, encr)
        udp = bool(flags & dp.SA_UDP)
        sizes = [0, 1, 2, 3, 4, 17, 64, 500, 1000, 1371, 1372] + [100] * 100
        outer = self.exchange(self.a, self.b, sizes, self.to_b, udp)
        outer += self.exchange(self.b, self.a, sizes, self.to_a, udp)
        heads = {(f[IP].src, bytes(f[UDP].payload if udp else f[IP].payload)[:8])
                 for f in outer}
        self.assertEqual(len(heads), len(outer), '(SPI, sequence number) is never used twice')
        for g in (self.a, self.b):
            t = g.tunnel_stats()
            self.assertEqual((t.up, t.transit_out, t.transit_in, t.violations),
                             (1, len(sizes), len(sizes), 0))
            self.assertIsNotNone(g.iked.wait_event(lambda n, e: n == 128 and e.kind == 1))
        self.law()


class Tunnel(Bed):
    def test_native_esp_both_ways(self):
        self.both_ways(0)

    def test_esp_in_udp_both_ways(self):
        self.both_ways(dp.SA_UDP)

    def test_extended_sequence_numbers_and_aes_128(self):
        self.both_ways(dp.SA_ESN | dp.SA_UDP, encr=1)

    def test_replayed_and_tampered_packets_are_refused(self):
        self.sa(0)
        self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'once')))
        f = self.to_b.receive(lambda f: ESP in f)
        self.assertIsNotNone(f)
        self.assertIsNotNone(self.b.wire.receive(lambda f: UDP in f))
        self.to_a.send(f)
        bad = bytearray(bytes(f))
        bad[-1] ^= 1
        bad[14 + 20 + 7] += 1
        self.to_a.send(bytes(bad))
        self.assertTrue(self.b.wire.quiet(lambda f: UDP in f))
        drops = self.b.control.drops()
        self.assertEqual((drops.get('esp-replay'), drops.get('esp-auth')), (1, 1))
        self.law()

    def test_without_an_sa_nothing_goes_in_the_clear(self):
        self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'secret')))
        self.assertTrue(self.to_b.quiet(lambda f: IP in f))
        self.assertEqual(self.a.control.drops().get('no-sa'), 1)
        spi_a, _ = self.sa(0)
        self.a.iked.call('SA_DELETE', dp.SaRef(spi_a, 3))
        self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'secret')))
        self.assertTrue(self.to_b.quiet(lambda f: IP in f))
        self.law()

    def test_big_packets_are_answered_or_cut_before_sealing(self):
        self.sa(dp.SA_UDP)
        self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'b' * 1430), flags='DF'))
        f = self.a.wire.receive(lambda f: ICMP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[ICMP].type, f[ICMP].code, f[ICMP].nexthopmtu), (3, 4, MTU))
        self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'b' * 1430), id=9))
        self.assertEqual(len(self.b.wire.collect(2, lambda f: IP in f)), 2)
        outer = self.to_b.collect(2, lambda f: IP in f)
        self.assertTrue(all(f[IP].frag == 0 and not f[IP].flags.MF for f in outer))
        self.law()

    def test_the_mss_of_new_connections_is_clamped_both_ways(self):
        self.sa(0)
        for src, dst in ((self.a, self.b), (self.b, self.a)):
            src.wire.send(src.packet(dst, TCP(flags='S', options=[('MSS', 1460)])))
            f = dst.wire.receive(lambda f: TCP in f)
            self.assertIsNotNone(f)
            self.assertEqual(dict(f[TCP].options)['MSS'], MTU - 40)
            want = f[TCP].chksum
            del f[TCP].chksum
            self.assertEqual(IP(bytes(f[IP]))[TCP].chksum, want)
        self.law()

    def test_a_ttl_that_ends_at_the_far_gateway_is_answered_through_the_tunnel(self):
        self.sa(0)
        self.a.wire.send(self.a.packet(self.b, UDP(), ttl=2))
        f = self.a.wire.receive(lambda f: ICMP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[ICMP].type, f[IP].src), (11, '10.2.0.1'))
        self.law()

    def test_transit_in_the_tunnel_while_expressroute_stands_is_counted_as_violation(self):
        self.sa(0)
        self.a.control.call('GROUP_SET', dp.group(
            G_TUN, [dp.tier(2, [P_TUN]), dp.tier(1, [P_WAN])], dp.PROTECTED))
        self.a.wire.send(self.a.packet(self.b, UDP(), id=1))
        self.assertIsNotNone(self.b.wire.receive(lambda f: UDP in f))
        self.assertEqual(self.a.tunnel_stats().violations, 1)
        self.a.control.call('PATH_SET', dp.Path(id=9, kind=dp.CONNECTED, iface=WAN_IF))
        self.a.control.call('GROUP_SET', dp.group(
            G_TUN, [dp.tier(1, [9]), dp.tier(2, [P_TUN])], dp.PROTECTED))
        self.a.wire.send(self.a.packet(self.b, UDP(), id=2))
        self.assertIsNotNone(self.b.wire.receive(lambda f: UDP in f))
        self.assertEqual(self.a.tunnel_stats().violations, 1)
        self.law()

    def test_the_sa_row_tells_what_passed(self):
        spi_a, spi_b = self.sa(dp.SA_UDP)
        for i in range(5):
            self.a.wire.send(self.a.packet(self.b, UDP(), Raw(b'd' * 72), id=i))
        self.assertEqual(len(self.b.wire.collect(5, lambda f: UDP in f)), 5)
        out, = self.a.control.call('GET_SAS')
        got, = self.b.control.call('GET_SAS')
        self.assertEqual((out.tunnel, out.spi_in, out.spi_out, out.encr, out.outbound),
                         (TUNNEL, spi_a, spi_b, 3, 1))
        self.assertEqual((out.out_packets, out.out_bytes, out.seq_out), (5, 500, 5))
        self.assertEqual((got.in_packets, got.in_bytes, got.replay_window), (5, 500, 4096))
        self.assertLess(time.monotonic_ns() - got.last_in_ns, 10 ** 10)
        self.law()

    def test_rekey_under_traffic_loses_nothing(self):
        old_a, old_b = self.sa(dp.SA_UDP)
        sent = 0
        for rekey in range(10):
            new_a, new_b = self.sa(dp.SA_UDP, outbound=0)
            for step in ('before', 'between', 'after'):
                for _ in range(20):
                    self.a.wire.send(self.a.packet(self.b, UDP(sport=9), id=sent))
                    sent += 1
                if step == 'before':
                    self.a.iked.call('SA_SWITCH', dp.SaRef(new_a, 0))
                elif step == 'between':
                    self.b.iked.call('SA_SWITCH', dp.SaRef(new_b, 0))
            time.sleep(0.05)
            self.a.iked.call('SA_DELETE', dp.SaRef(old_a, 3))
            self.b.iked.call('SA_DELETE', dp.SaRef(old_b, 3))
            old_a, old_b = new_a, new_b
        got = self.b.wire.collect(sent, lambda f: UDP in f)
        self.assertEqual([f[IP].id for f in got], list(range(sent)))
        self.law()

    def numbered(self, first, end):
        return [bytes(self.a.packet(self.b, UDP(sport=9), id=i)) for i in range(first, end)]

    def early(self, n):
        """b allocates an SPI; a installs and sends n packets to it. What b then installs."""
        one, two = secrets.token_bytes(36), secrets.token_bytes(36)
        spi_a, spi_b = self.a.spi(), self.b.spi()
        self.a.install(spi_a, spi_b, two, one, dp.SA_UDP)
        self.a.wire.send(*self.numbered(0, n))
        self.assertEqual(len(self.to_b.collect(n, lambda f: UDP in f)), n)
        return spi_b, spi_a, one, two, dp.SA_UDP

    def test_packets_that_come_before_their_sa_wait_for_it(self):
        later = self.numbered(20, 40)
        self.b.install(*self.early(20))
        self.a.wire.send(*later)
        got = self.b.wire.collect(40, lambda f: UDP in f)
        self.assertEqual([f[IP].id for f in got], list(range(40)))
        self.assertEqual(self.b.control.drops().get('esp-spi', 0), 0)
        self.law()

    def told_early(self):
        """What iked hears of packets before their SA within 0.1 s: (tunnel, SPI) of each event."""
        got = []
        while ev := self.b.iked.wait_event(lambda n, e: n == EV_SA and e.kind == EARLY, 0.1):
            got.append((ev.tunnel, ev.spi_in))
        return got

    def test_packets_whose_sa_never_comes_are_dropped_after_a_moment(self):
        spi, *_ = self.early(3)
        self.assertEqual(self.told_early(), [(TUNNEL, spi)])
        time.sleep(0.4)
        self.assertEqual(self.b.control.drops().get('esp-spi'), 3)
        self.b.iked.call('SPI_FREE', dp.Spi(TUNNEL, spi))
        self.a.wire.send(self.a.packet(self.b, UDP(sport=9)))
        self.assertIsNotNone(self.to_b.receive(lambda f: UDP in f))
        self.assertEqual(self.told_early(), [])  # nobody has this SPI any more
        self.assertEqual(self.b.control.drops().get('esp-spi'), 4)
        self.law()

    def test_the_end_is_orderly_while_packets_wait(self):
        self.early(5)

    def test_an_install_is_accepted_once_and_only_for_this_incarnation(self):
        key = secrets.token_bytes(36)
        spi = self.a.spi()
        sa = self.a.install(spi, 0x1000, key, key[::-1])
        for incarnation, status in ((self.a.iked.hello.incarnation, 17),
                                    (self.a.iked.hello.incarnation ^ 1, 116)):
            with self.assertRaises(dp.Refused) as r:
                self.a.iked.call('SA_INSTALL', dp.SaInstall(incarnation, 1, 0, sa))
            self.assertEqual(r.exception.status, status)

    def test_the_tunnels_twin_sends_into_it_and_gets_what_is_for_us(self):
        self.sa(0)
        fd = bed.twin('tun-a', tap=False)
        self.a.control.call('IFACE_SET', dp.Iface(
            id=TUN_IF, generation=1, name=b'azure-a', kind=dp.KIND_TUNNEL, role=dp.TUNNEL,
            port=TUNNEL, mtu=MTU, up=1, has_twin=1), fds=[fd])
        os.close(fd)
        self.a.control.call('ADDR_SET', dp.Address(TUN_IF, 1, dp.prefix('169.254.1.1/32')))
        bed.run('ip', 'addr', 'add', '169.254.1.1/32', 'dev', 'tun-a')
        bed.run('ip', 'link', 'set', 'tun-a', 'up')
        bed.run('ip', 'route', 'replace', '10.2.0.0/16', 'dev', 'tun-a')
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(('169.254.1.1', 7777))
        s.settimeout(3)
        s.sendto(b'question', (self.b.host, 9))
        f = self.b.wire.receive(lambda f: UDP in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IP].src, f[IP].ttl), ('169.254.1.1', 63))
        self.b.wire.send(Ether(src=self.b.wire.mac, dst=self.b.mac['lan']) /
                         IP(src=self.b.host, dst='169.254.1.1') /
                         UDP(sport=9, dport=7777) / Raw(b'answer'))
        self.assertEqual(s.recv(100), b'answer')
        t = self.a.tunnel_stats()
        self.assertEqual((t.own_out, t.own_in, t.transit_out, t.transit_in), (1, 1, 0, 0))
        bed.run('ip', 'link', 'set', 'tun-a', 'mtu', '9000')
        s.sendto(b'x' * 5000, (self.b.host, 9))     # the kernel is told
        bed.until(lambda: self.a.control.drops())
        self.assertEqual(self.a.control.drops(), {'too-big': 1})
        self.law()

    def test_no_tunnel_takes_more_than_a_buffer_holds(self):
        """What the kernel sends would be cut off at its end, and leave so."""
        with self.assertRaises(dp.Refused) as r:
            self.a.control.call('TUNNEL_SET', dp.Tunnel(
                id=TUNNEL, generation=1, name=b'azure-a', local=dp.addr(self.a.wan_ip),
                remote=dp.addr(self.a.peer_ip), mtu=2304, outer_path=dp.NONE))
        self.assertIn('--mbuf-size', r.exception.text)


class TwoWorkers(Bed):
    options = ('--workers', '2')

    def test_esp_in_udp_both_ways(self):
        self.both_ways(dp.SA_UDP)


if __name__ == '__main__':
    bed.enter_namespace()
    bed.veth('p-lana', 'h-lana')
    bed.veth('p-lanb', 'h-lanb')
    bed.veth('p-wana', 'p-wanb')
    sys.exit(bed.main())
