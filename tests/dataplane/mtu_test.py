#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What fits into a tunnel, seen on the wire: two data planes back to back, IPv4 and IPv6 inside.
Names carry the statements ESP-40 to ESP-47. Run as root."""
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import tunnel_test as tt  # noqa: E402
from scapy.all import (  # noqa: E402
    Ether, ICMP, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, IP, IPOption, IPv6,
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, Raw, TCP, UDP)

IP_MTU_DISCOVER, IP_MTU, IP_PMTUDISC_DO = 10, 14, 2
ROUTER, ROUTER6 = '192.0.2.77', '2001:db8:77::1'
ANY = (('0.0.0.0', '255.255.255.255'), ('::', 'ffff:' * 7 + 'ffff'))
OVERHEAD = 20 + 8 + 8 + 16  # native ESP over IPv4 with AES-GCM, without trailer


class Gateway(tt.Gateway):
    """One of tunnel_test's, with IPv6 on its LAN and selectors to choose."""

    local, remote = ANY, ANY

    def objects(self, fixed_outer):
        super().objects(fixed_outer)
        self.host6 = f'fd00:{self.n}::2'
        call = self.control.call
        call('ADDR_SET', dp.Address(tt.LAN_IF, 1, dp.prefix(f'fd00:{self.n}::1/64')))
        call('ROUTE_SET', dp.Route(dp.prefix(f'fd00:{self.n}::/64'), tt.G_LAN, 1),
             dp.Route(dp.prefix(f'fd00:{self.peer}::/64'), tt.G_TUN, 1))
        call('NEIGH_SET', dp.Neigh(tt.LAN_IF, 1, dp.addr(self.host6), dp.mac(self.wire.mac), 1))
        self.tunnel()

    def tunnel(self, mtu=tt.MTU, outer_df=0):
        t = dp.Tunnel(id=tt.TUNNEL, generation=1, name=b'azure-a', local=dp.addr(self.wan_ip),
                      remote=dp.addr(self.peer_ip), mtu=mtu, outer_path=tt.P_WAN, dscp_copy=1,
                      outer_df=outer_df)
        self.control.call('TUNNEL_SET', t)

    def renew(self):
        """The tunnel anew, without SAs and without what it has learnt."""
        call = self.control.call
        call('GROUP_SET', dp.group(tt.G_TUN, [dp.tier(0, [tt.P_LAN])], dp.PROTECTED))
        call('OBJECT_DEL', dp.Object(dp.CLASS['path'], tt.P_TUN))
        call('OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], tt.TUNNEL))
        self.tunnel()
        call('PATH_SET', dp.Path(id=tt.P_TUN, generation=1, kind=dp.PATH_TUNNEL,
                                 tunnel=tt.TUNNEL))
        call('PATH_STATE', dp.PathState(tt.P_TUN, 1, 0))
        call('GROUP_SET', dp.group(tt.G_TUN, [dp.tier(2, [tt.P_TUN])], dp.PROTECTED))
        self.before = self.control.drops()
        self.logged = len(self.dataplane.text())
        self.wire.flush()

    def dropped(self, reason):
        """Packets dropped for this reason since the tunnel was made anew."""
        return self.control.drops().get(reason, 0) - self.before.get(reason, 0)

    def log(self):
        return self.dataplane.text()[self.logged:]

    def install(self, spi_in, spi_out, key_in, key_out, flags=0, outbound=1, encr=3):
        sa = dp.SaDesc(tunnel=tt.TUNNEL, spi_in=spi_in, spi_out=spi_out, flags=flags, encr=encr,
                       key_len=len(key_in), local=dp.addr(self.wan_ip),
                       remote=dp.addr(self.peer_ip), replay_window=4096,
                       n_local=len(self.local), n_remote=len(self.remote))
        if flags & dp.SA_UDP:
            sa.local_port = sa.remote_port = 4500
        for field, key in ((sa.key_in, key_in), (sa.key_out, key_out)):
            for i, b in enumerate(key):
                field[i] = b
        for side, ranges in ((sa.sel_local, self.local), (sa.sel_remote, self.remote)):
            for i, (low, high) in enumerate(ranges):
                side[i] = dp.Selector(low=dp.addr(low), high=dp.addr(high), port_high=65535)
        self.iked.call('SA_INSTALL', dp.SaInstall(self.iked.hello.incarnation, outbound, 0, sa))

    def frame(self, *layers):
        p = Ether(src=self.wire.mac, dst=self.mac['lan'])
        for layer in layers:
            p = p / layer
        return p

    def inner4(self, other, total, **ip):
        """An IPv4 UDP packet of `total` bytes to the other's host."""
        header = IP(src=self.host, dst=other.host, **ip)
        return self.frame(header, UDP(sport=5, dport=6), Raw(b'm' * (total - 8 - len(header))))

    def inner6(self, other, total):
        return self.frame(IPv6(src=self.host6, dst=other.host6), UDP(sport=5, dport=6),
                          Raw(b'm' * (total - 48)))


def narrow(n):
    return ((f'10.{n}.0.0', f'10.{n}.255.255'), (f'fd00:{n}::', f'fd00:{n}::ffff'))


class Bed(tt.Bed):
    """One pair of gateways for all tests of a class; the tunnel is new in each."""

    narrow = False

    @classmethod
    def setUpClass(cls):
        cls.a = Gateway('a', 1, 2, True)
        cls.addClassCleanup(cls.finish, cls.a)
        cls.b = Gateway('b', 2, 1, False)
        cls.addClassCleanup(cls.finish, cls.b)
        cls.a.knows(cls.b)
        cls.b.knows(cls.a)
        cls.to_b, cls.to_a = bed.Wire('p-wanb'), bed.Wire('p-wana')
        cls.addClassCleanup(cls.to_b.close)
        cls.addClassCleanup(cls.to_a.close)

    @staticmethod
    def finish(gateway):
        if gateway.close() != (0, []):
            raise AssertionError('the end was not orderly')

    def setUp(self):
        for g in (self.a, self.b):
            g.renew()
            g.local, g.remote = (narrow(g.n), narrow(g.peer)) if self.narrow else (ANY, ANY)
        self.to_a.flush()
        self.to_b.flush()

    def pass4(self, total, **ip):
        """An inner IPv4 packet from a to b; returns its outer packet."""
        self.to_b.flush()
        self.b.wire.flush()
        self.a.wire.send(self.a.inner4(self.b, total, **ip))
        self.assertIsNotNone(self.b.wire.receive(lambda f: UDP in f and len(f[IP]) == total))
        outer = self.to_b.receive(lambda f: IP in f)
        self.assertIsNotNone(outer)
        return outer

    def told4(self, total, timeout=2.0):
        """Send an inner IPv4 packet with DF; the MTU of the answer, None when there is none."""
        self.a.wire.flush()
        self.a.wire.send(self.a.inner4(self.b, total, flags='DF'))
        f = self.a.wire.receive(lambda f: ICMP in f, timeout)
        if f is None:
            return None
        self.assertEqual((f[ICMP].type, f[ICMP].code), (3, 4))
        self.assertEqual((f[IP].src, f[IP].dst), ('10.1.0.1', self.a.host))
        del f[ICMP].chksum
        self.assertEqual(ICMP(bytes(f[ICMP])).nexthopmtu, f[ICMP].nexthopmtu)
        return f[ICMP].nexthopmtu

    def complain(self, outer, mtu, to=None, n=64, spoil=None):
        """A router between the gateways tells a that `outer` is too long."""
        quoted = bytearray(bytes(outer[IP])[:n])
        if spoil is not None:
            quoted[spoil] ^= 1
        message = IP(src=ROUTER, dst=to or self.a.wan_ip) / ICMP(
            type=3, code=4, nexthopmtu=mtu) / Raw(bytes(quoted))
        self.to_b.send(Ether(src=self.b.mac['wan'], dst=self.a.mac['wan']) / message)

    def learnt(self, want, total=1400):
        """Wait until a's answers tell this MTU."""
        got = None
        for _ in range(40):
            got = self.told4(total, timeout=0.1)
            if got == want:
                break
        self.assertEqual(got, want)
        time.sleep(0.05)  # what went through before is at the far end
        self.b.wire.flush()


class Learning(Bed):
    def inner_of(self, outer, udp):
        return (outer - OVERHEAD - (8 if udp else 0)) // 4 * 4 - 2

    def learns(self, flags):
        udp = bool(flags & dp.SA_UDP)
        self.sa(flags)
        outer = self.pass4(1400, flags='DF')
        for mtu in (1380, 1300):
            self.complain(outer, mtu)
            want = self.inner_of(mtu, udp)
            self.learnt(want)
            now = self.pass4(want, flags='DF')
            self.assertLessEqual(now[IP].len, mtu)
            self.assertGreater(now[IP].len, mtu - 4)
            self.assertEqual(self.told4(want + 1), want)
        self.a.wire.send(self.a.packet(self.b, TCP(flags='S', options=[('MSS', 1460)])))
        f = self.b.wire.receive(lambda f: TCP in f)
        self.assertEqual(dict(f[TCP].options)['MSS'], want - 40)
        self.assertIn('path-mtu', self.a.log())
        self.law()

    def test_esp_44_a_quote_of_native_esp_lowers_the_mtu(self):
        self.learns(0)

    def test_esp_44_a_quote_of_esp_in_udp_lowers_the_mtu(self):
        self.learns(dp.SA_UDP)

    def test_esp_44_a_router_is_heard_whose_own_packets_must_come_out_of_a_tunnel(self):
        every = dp.Route(dp.prefix('0.0.0.0/0'), tt.G_TUN, 1)
        self.a.control.call('ROUTE_SET', every)
        self.addCleanup(self.a.control.call, 'ROUTE_DEL', every)
        self.learns(0)
        self.assertGreater(self.a.dropped('clear-inbound'), 0)

    def test_esp_44_other_quotes_are_ignored(self):
        self.sa(0)
        outer = self.pass4(1400, flags='DF')
        self.complain(outer, 1300, spoil=23)  # SPI
        self.complain(outer, 1300, spoil=19)  # peer
        self.complain(outer, 1300, spoil=15)  # our address
        self.complain(outer, 1300, n=20)      # nothing of ESP
        self.complain(outer, 1500)            # the packet would fit
        self.complain(self.a.inner4(self.b, 1400), 1300)  # an inner packet
        time.sleep(0.2)
        self.pass4(1400, flags='DF')
        self.assertNotIn('path-mtu', self.a.log())
        self.law()

    def test_esp_44_our_own_interface_that_is_too_small_teaches_too(self):
        self.sa(0)
        self.a.control.call('IFACE_SET', dp.Iface(
            id=tt.WAN_IF, generation=1, name=b'wan', kind=dp.KIND_PORT, role=dp.INTERNET,
            port=1, mtu=1420, up=1))
        self.addCleanup(self.a.control.call, 'IFACE_SET', dp.Iface(
            id=tt.WAN_IF, generation=1, name=b'wan', kind=dp.KIND_PORT, role=dp.INTERNET,
            port=1, mtu=1500, up=1))
        self.a.wire.send(self.a.inner4(self.b, 1400, flags='DF'))
        self.assertTrue(self.b.wire.quiet(lambda f: UDP in f))
        self.assertEqual(self.a.dropped('too-big'), 1)
        self.learnt(self.inner_of(1420, False))
        self.pass4(self.inner_of(1420, False), flags='DF')
        self.law()


    def twin(self):
        """The tunnel's twin at a, in the kernel, with an address and a way to b's LAN."""
        fd = bed.twin('tun-a', tap=False)
        self.a.control.call('IFACE_SET', dp.Iface(
            id=tt.TUN_IF, generation=1, name=b'azure-a', kind=dp.KIND_TUNNEL, role=dp.TUNNEL,
            port=tt.TUNNEL, mtu=tt.MTU, up=1, has_twin=1), fds=[fd])
        os.close(fd)
        self.addCleanup(self.a.control.call, 'OBJECT_DEL',
                        dp.Object(dp.CLASS['iface'], tt.TUN_IF))
        bed.run('ip', 'addr', 'add', '169.254.1.1/32', 'dev', 'tun-a')
        bed.run('ip', 'link', 'set', 'tun-a', 'up')
        bed.run('ip', 'route', 'replace', '10.2.0.0/16', 'dev', 'tun-a')

    def test_esp_44_the_kernel_is_told_of_its_own_packets_that_do_not_fit(self):
        self.sa(0)
        self.twin()
        outer = self.pass4(1400, flags='DF')
        self.complain(outer, 1300)
        want = self.inner_of(1300, False)
        self.learnt(want)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(('169.254.1.1', 7777))
        s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        s.connect((self.b.host, 9))
        s.send(b'k' * (1400 - 28))
        for _ in range(40):
            if s.getsockopt(socket.IPPROTO_IP, IP_MTU) == want:
                break
            time.sleep(0.05)
        self.assertEqual(s.getsockopt(socket.IPPROTO_IP, IP_MTU), want)
        s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # what the answer left there
        with self.assertRaises(OSError):
            s.send(b'k' * (want + 1 - 28))
        s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        s.send(b'k' * (want - 28))
        self.assertIsNotNone(self.b.wire.receive(lambda f: UDP in f and f[UDP].dport == 9))
        self.law()


class Headers(Bed):
    def test_esp_40_outer_df_follows_the_tunnels_policy_ttl_and_id_are_ours(self):
        self.sa(0)
        for policy, inner, want in ((0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 1), (2, 0, 0),
                                    (2, 1, 0)):
            self.a.tunnel(outer_df=policy)
            outer = self.pass4(200, flags='DF' if inner else 0, ttl=9, id=77)
            self.assertEqual((int(outer[IP].flags.DF), int(outer[IP].flags.MF),
                              outer[IP].ttl, outer[IP].frag), (want, 0, 64, 0))
            kept = outer[IP].chksum
            del outer[IP].chksum
            self.assertEqual(IP(bytes(outer[IP])).chksum, kept)
        with self.assertRaises(dp.Refused):
            self.a.tunnel(outer_df=3)
        self.law()

    def test_esp_40_outer_header_is_ours_whatever_the_inner_one_has(self):
        self.sa(0)
        seen = set()
        for i in range(5):
            outer = self.pass4(84, ttl=200 + i, id=1, options=[IPOption(b'\x94\x04\x00\x00')])
            self.assertEqual((outer[IP].ihl, outer[IP].ttl, outer[IP].proto), (5, 64, 50))
            self.assertEqual((outer[IP].src, outer[IP].dst), (self.a.wan_ip, self.b.wan_ip))
            seen.add(outer[IP].id)
        self.assertEqual(len(seen), 5)
        self.law()

    def test_esp_42_traffic_class_of_ipv6_is_copied_outside(self):
        self.sa(0)
        for tos in (0, 0x28, 0xb9, 0xfe):
            self.a.wire.send(self.a.frame(IPv6(src=self.a.host6, dst=self.b.host6, tc=tos),
                                          UDP(), Raw(b'tc')))
            outer = self.to_b.receive(lambda f: IP in f)
            self.assertEqual(outer[IP].tos, tos)
            f = self.b.wire.receive(lambda f: UDP in f)
            self.assertEqual((f[IPv6].tc, f[IPv6].hlim), (tos, 62))
        self.law()


class InnerIPv6(Bed):
    def pass6(self, total):
        self.to_b.flush()
        self.a.wire.send(self.a.inner6(self.b, total))
        f = self.b.wire.receive(lambda f: UDP in f and IPv6 in f)
        self.assertIsNotNone(f)
        self.assertEqual(len(f[IPv6]), total)
        return self.to_b.receive(lambda f: IP in f)

    def told6(self, total):
        self.a.wire.flush()
        self.a.wire.send(self.a.inner6(self.b, total))
        f = self.a.wire.receive(lambda f: ICMPv6PacketTooBig in f)
        self.assertIsNotNone(f)
        self.assertEqual((f[IPv6].src, f[IPv6].dst), ('fd00:1::1', 'fd00:1::2'))
        self.assertEqual(len(f[IPv6]), min(1280, total + 48))
        kept = f[ICMPv6PacketTooBig].cksum
        del f[ICMPv6PacketTooBig].cksum
        self.assertEqual(IPv6(bytes(f[IPv6]))[ICMPv6PacketTooBig].cksum, kept)
        return f[ICMPv6PacketTooBig].mtu

    def test_esp_43_ipv6_that_does_not_fit_is_told_and_never_cut(self):
        self.sa(0)
        outer = self.pass6(1400)
        self.assertEqual((outer[IP].frag, int(outer[IP].flags.MF)), (0, 0))
        self.assertEqual(self.told6(1401), 1400)
        self.assertTrue(self.b.wire.quiet(lambda f: IPv6 in f))
        self.law()

    def test_esp_44_ipv6_is_told_1280_at_least(self):
        self.sa(0)
        outer = self.pass4(1400, flags='DF')
        self.complain(outer, 1100)
        self.learnt(1100 - OVERHEAD - 2)
        self.assertEqual(self.told6(1400), 1280)
        self.pass6(1280)
        self.assertIn('path-mtu-small', self.a.log())
        self.law()

    def test_esp_47_mss_over_ipv6_is_clamped_both_ways(self):
        self.sa(0)
        for src, dst in ((self.a, self.b), (self.b, self.a)):
            for chain in ([], [IPv6ExtHdrDestOpt()]):
                layers = [IPv6(src=src.host6, dst=dst.host6), *chain,
                          TCP(flags='S', options=[('MSS', 1440)])]
                src.wire.send(src.frame(*layers))
                f = dst.wire.receive(lambda f: TCP in f)
                self.assertIsNotNone(f)
                self.assertEqual(dict(f[TCP].options)['MSS'], tt.MTU - 60)
                kept = f[TCP].chksum
                del f[TCP].chksum
                self.assertEqual(IPv6(bytes(f[IPv6]))[TCP].chksum, kept)
        self.law()

    def test_esp_44_fragments_of_ipv6_pass_as_they_are(self):
        self.sa(0)
        for offset, more in ((0, 1), (100, 0)):
            self.a.wire.send(self.a.frame(
                IPv6(src=self.a.host6, dst=self.b.host6),
                IPv6ExtHdrFragment(nh=17, offset=offset, m=more, id=9), Raw(b'f' * 800)))
            f = self.b.wire.receive(lambda f: IPv6ExtHdrFragment in f)
            self.assertEqual((f[IPv6ExtHdrFragment].offset, f[IPv6ExtHdrFragment].m),
                             (offset, more))
        self.law()


class Narrow(Bed):
    narrow = True

    def error4(self, quoted, src=ROUTER, dst=None):
        return self.a.frame(IP(src=src, dst=dst or self.b.host), ICMP(type=3, code=1), quoted)

    def test_esp_45_an_error_passes_by_what_it_quotes(self):
        self.sa(0)
        came = IP(src=self.b.host, dst=self.a.host) / UDP(sport=9, dport=10) / Raw(b'q' * 8)
        self.a.wire.send(self.error4(came))
        f = self.b.wire.receive(lambda f: ICMP in f)
        self.assertIsNotNone(f, 'passes both gateways although no selector has its source')
        self.assertEqual(f[IP].src, ROUTER)
        strange = IP(src=self.b.host, dst='10.99.0.1') / UDP() / Raw(b'q' * 8)
        self.a.wire.send(self.error4(strange))
        self.a.wire.send(self.a.frame(IP(src=ROUTER, dst=self.b.host), ICMP(type=8), Raw(b'echo')))
        self.a.wire.send(self.a.frame(IP(src=ROUTER, dst=self.b.host), UDP(), Raw(b'udp')))
        self.assertTrue(self.b.wire.quiet(lambda f: IP in f))
        self.assertEqual(self.a.dropped('selector-out'), 3)
        self.law()

    def test_esp_45_an_error_of_ipv6_passes_by_what_it_quotes(self):
        self.sa(0)

        def error(src, dst):
            quoted = IPv6(src=src, dst=dst) / UDP(sport=9, dport=10) / Raw(b'q' * 8)
            self.a.wire.send(self.a.frame(IPv6(src=ROUTER6, dst=self.b.host6),
                                          ICMPv6DestUnreach(), quoted))
        error(self.b.host6, self.a.host6)
        f = self.b.wire.receive(lambda f: ICMPv6DestUnreach in f)
        self.assertIsNotNone(f)
        self.assertEqual(f[IPv6].src, ROUTER6)
        error(self.b.host6, 'fd00:99::1')
        error('fd00:2::77', self.a.host6)
        self.a.wire.send(self.a.frame(IPv6(src=ROUTER6, dst=self.b.host6), ICMPv6EchoRequest()))
        self.assertTrue(self.b.wire.quiet(lambda f: IPv6 in f))
        self.assertEqual(self.a.dropped('selector-out'), 3)
        self.law()

    def test_esp_35_an_sa_of_one_family_carries_no_packet_of_the_other(self):
        for g in (self.a, self.b):
            g.local, g.remote = ANY[:1], ANY[:1]
        self.sa(0)
        self.a.wire.send(self.a.inner6(self.b, 100))
        self.assertTrue(self.b.wire.quiet(lambda f: IPv6 in f))
        self.assertEqual(self.a.dropped('selector-out'), 1)
        self.pass4(100)
        self.law()


if __name__ == '__main__':
    bed.enter_namespace()
    bed.veth('p-lana', 'h-lana')
    bed.veth('p-lanb', 'h-lanb')
    bed.veth('p-wana', 'p-wanb')
    sys.exit(bed.main())
