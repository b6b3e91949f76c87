#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What objects leave behind when they go, change places or are refused: numbers are used again, and
nothing of the former owner's shows under them. The real spillway-dataplane on af_packet ports. Test
names state the rule. Run as root."""
import fcntl
import os
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from routing_bed import ER_IF, LAN_IF, WAN_IF, RoutingBed  # noqa: E402
from scapy.all import IP, UDP  # noqa: E402

HOST, FAR, OURS, PEER = '10.1.0.2', '10.2.0.2', '198.51.100.1', '198.51.100.2'
P_WAN, P_TUN, P_ER, G_WAN, G_TUN, G_ER = 1, 2, 3, 1, 2, 3
VLAN_IF, TUN_IF, TUN2_IF = 10, 11, 12
TUNNEL, TUNNEL2 = 5, 6
EEXIST, EINVAL, SIOCGIFMTU = 17, 22, 0x8921


def tunnel(number=TUNNEL):
    return dp.Tunnel(id=number, generation=1, name=b'azure', local=dp.addr(OURS),
                     remote=dp.addr(PEER), mtu=1400, outer_path=dp.NONE)


def tunnel_iface(iface, number):
    return dp.Iface(id=iface, generation=1, name=f't{iface}'.encode(), kind=dp.KIND_TUNNEL,
                    role=dp.TUNNEL, port=number, mtu=1400, up=1)


def vlan_iface(tag):
    return dp.Iface(id=VLAN_IF, generation=1, name=b'er.1', kind=dp.KIND_VLAN,
                    role=dp.EXPRESSROUTE, port=1, mtu=1500, up=1, vlan_outer=tag)


class Reuse(RoutingBed):
    @classmethod
    def objects(cls):
        cls.iked = cls.dataplane.client(role=dp.IKED, name='iked')
        cls.addClassCleanup(cls.iked.close)
        cls.three_interfaces()
        cls.call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix('10.1.0.1/24')),
                 dp.Address(WAN_IF, 1, dp.prefix(f'{OURS}/24')))
        cls.call('PATH_SET', dp.Path(id=P_WAN, generation=1, kind=dp.CONNECTED, iface=WAN_IF))
        cls.call('PATH_STATE', dp.PathState(P_WAN, 1, 0))
        cls.call('GROUP_SET', dp.group(G_WAN, [dp.tier(0, [P_WAN])]))
        cls.call('ROUTE_SET', dp.Route(dp.prefix('198.51.100.0/24'), G_WAN, 1))
        cls.call('NEIGH_SET', dp.Neigh(WAN_IF, 1, dp.addr(PEER), dp.mac(bed.mac_of('h-wan')), 1))

    @classmethod
    def call(cls, *args):
        return cls.control.call(*args)

    def row(self, what, number):
        return {r.id: r for r in self.call(what)}.get(number)

    def begin(self):
        """A tunnel with an SA, all that leads into it, and a sub-interface with a path."""
        self.call('TUNNEL_SET', tunnel())
        self.call('IFACE_SET', tunnel_iface(TUN_IF, TUNNEL), vlan_iface(7))
        self.call('PATH_SET',
                  dp.Path(id=P_TUN, generation=1, kind=dp.PATH_TUNNEL, tunnel=TUNNEL),
                  dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY, iface=VLAN_IF,
                          next_hop=dp.addr('172.16.0.2')))
        for p in (P_TUN, P_ER):
            self.call('PATH_STATE', dp.PathState(p, 1, self.row('GET_PATHS', p).clears))
        self.call('NEIGH_SET', dp.Neigh(VLAN_IF, 1, dp.addr('172.16.0.2'),
                                        dp.mac(self.er.mac), 1))
        self.call('GROUP_SET', dp.group(G_TUN, [dp.tier(2, [P_TUN])], dp.PROTECTED),
                  dp.group(G_ER, [dp.tier(1, [P_ER])]))
        self.call('ROUTE_SET', dp.Route(dp.prefix('10.2.0.0/16'), G_TUN, 1),
                  dp.Route(dp.prefix('10.3.0.0/16'), G_ER, 1))

    def install(self):
        spi = self.iked.call('SPI_ALLOC', dp.Spi(TUNNEL, 0))[0].spi
        sa = dp.SaDesc(tunnel=TUNNEL, spi_in=spi, spi_out=0x10203040, encr=1, key_len=20,
                       local=dp.addr(OURS), remote=dp.addr(PEER), n_local=1, n_remote=1,
                       replay_window=64)
        for field in (sa.key_in, sa.key_out):
            for i, b in enumerate(os.urandom(20)):
                field[i] = b
        for side in (sa.sel_local, sa.sel_remote):
            side[0] = dp.Selector(low=dp.addr('0.0.0.0'), high=dp.addr('255.255.255.255'),
                                  port_high=65535)
        self.iked.call('SA_INSTALL', dp.SaInstall(self.iked.hello.incarnation, 1, 0, sa))

    def end(self):
        self.call('ROUTE_DEL', dp.Route(dp.prefix('10.2.0.0/16')),
                  dp.Route(dp.prefix('10.3.0.0/16')))
        for cls, ids in (('group', (G_TUN, G_ER)), ('path', (P_TUN, P_ER)),
                         ('iface', (TUN_IF, VLAN_IF)), ('tunnel', (TUNNEL,))):
            self.call('OBJECT_DEL', *(dp.Object(dp.CLASS[cls], i) for i in ids))

    def counts(self):
        """What the objects' rows count, as one list; how many were there."""
        t, a, b = (self.row('GET_TUNNELS', TUNNEL), self.row('GET_IFACES', TUN_IF),
                   self.row('GET_IFACES', VLAN_IF))
        p, q = self.row('GET_PATHS', P_TUN), self.row('GET_PATHS', P_ER)
        return [t.transit_out, t.transit_in, t.own_out, t.own_in, t.violations, a.tx_packets,
                a.tx_bytes, a.rx_packets, a.drops, b.tx_packets, b.rx_packets, b.drops, p.packets,
                p.bytes, q.packets, *p.class_bytes, *q.class_bytes]

    def send(self):
        for dst in (FAR, '10.3.0.9'):
            self.lan.send(self.from_lan(IP(src=HOST, dst=dst), UDP()))
        self.er.send(bytes(self.from_lan(IP(src='10.9.9.9', dst='203.0.113.1'), UDP(),
                                         dst=self.macs['er']))[:12] + b'\x81\0\0\7' +
                     bytes(self.from_lan(IP(src='10.9.9.9', dst='203.0.113.1'), UDP()))[12:])
        self.assertIsNotNone(self.wan.receive(lambda f: IP in f and f[IP].proto == 50))
        self.assertIsNotNone(self.er.receive(lambda f: IP in f and f[IP].dst == '10.3.0.9'))
        self.dropped('no-route', 1)

    def test_a_new_object_counts_from_zero_under_the_number_of_an_old_one(self):
        self.begin()
        before = self.counts()
        self.install()
        self.send()
        used = self.counts()
        self.assertEqual(used[0] - before[0], 1)
        self.call('TUNNEL_SET', tunnel())
        self.call('IFACE_SET', vlan_iface(8))
        self.assertEqual(self.counts(), used)  # changed in its place, it is the same object
        self.end()
        self.begin()
        try:
            self.assertEqual(self.counts(), [0] * len(used))
            self.before = self.control.drops()
            self.install()
            self.send()
            self.assertEqual(self.counts()[:1], [1])
        finally:
            self.end()

    def test_a_sweep_takes_the_old_routes_of_both_families_and_leaves_the_rest(self):
        def routes(numbers, generation):
            return [dp.Route(dp.prefix(f'10.{64 + i // 256}.{i % 256}.0/24' if i < 6000 else
                                       f'fd00:{i:x}::/48'), G_WAN, generation) for i in numbers]

        def count():
            return self.call('GET_STATUS')[0].routes
        there, batch = count(), 1000
        standing = [r for r in range(9000) if r % 3 == 0]
        for first in range(0, 9000, batch):
            self.call('ROUTE_SET', *routes(range(first, first + batch), 1))
        self.call('ROUTE_SET', dp.Route(dp.prefix('198.51.100.0/24'), G_WAN, 2))
        for first in range(0, len(standing), batch):
            self.call('ROUTE_SET', *routes(standing[first:first + batch], 2))
        self.assertEqual(count(), there + 9000)
        self.call('SWEEP', dp.Sweep(dp.CLASS['route'], 2))
        self.assertEqual(count(), there + 3000)
        answers = self.call('GET_FIB', *(dp.FibQuery(dp.addr(a)) for a in (
            '10.64.0.1', '10.64.1.1', f'fd00:{6000:x}::1',
            f'fd00:{6001:x}::1')))
        self.assertEqual([a.group for a in answers], [G_WAN, 0, G_WAN, 0])
        self.call('ROUTE_SET', dp.Route(dp.prefix('198.51.100.0/24'), G_WAN, 3))
        self.call('SWEEP', dp.Sweep(dp.CLASS['route'], 3))
        self.assertEqual(count(), there)
        self.refused(16, 'OBJECT_DEL', dp.Object(dp.CLASS['group'], G_WAN))  # of one route still

    def test_two_interfaces_of_one_tunnel_are_refused_and_two_may_change_places(self):
        self.call('TUNNEL_SET', tunnel(), tunnel(TUNNEL2))
        self.call('IFACE_SET', tunnel_iface(TUN_IF, TUNNEL), tunnel_iface(TUN2_IF, TUNNEL2))
        self.refused(EEXIST, 'IFACE_SET', tunnel_iface(TUN2_IF, TUNNEL))
        self.refused(EEXIST, 'IFACE_SET', tunnel_iface(20, TUNNEL), tunnel_iface(21, TUNNEL))
        self.call('IFACE_SET', tunnel_iface(TUN_IF, TUNNEL2), tunnel_iface(TUN2_IF, TUNNEL))
        for number in (TUNNEL, TUNNEL2):
            self.refused(16, 'OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], number))
        self.call('OBJECT_DEL', dp.Object(dp.CLASS['iface'], TUN_IF))
        self.call('OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], TUNNEL2))
        self.refused(16, 'OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], TUNNEL))
        self.call('OBJECT_DEL', dp.Object(dp.CLASS['iface'], TUN2_IF))
        self.call('OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], TUNNEL))

    def test_a_refused_batch_of_ports_leaves_every_mtu_as_it_was(self):
        def port(i, name, mtu):
            return dp.Port(id=i, generation=1, name=name.encode(),
                           devargs=self.devargs(i, name).encode(), mtu=mtu)

        def kernel_mtu():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                raw = fcntl.ioctl(s, SIOCGIFMTU, struct.pack('16s16x', b'p-lan'))
            return struct.unpack_from('i', raw, 16)[0]
        was = kernel_mtu()
        e = self.refused(EINVAL, 'PORT_SET', port(0, 'lan', 1200), port(1, 'er', 100))
        self.assertEqual((e.index, kernel_mtu()), (1, was))
        self.call('PORT_SET', port(0, 'lan', 1200))
        self.addCleanup(self.call, 'PORT_SET', port(0, 'lan', 1500))
        self.refused(EINVAL, 'PORT_SET', port(0, 'lan', 1400), port(1, 'er', 100))
        self.assertEqual(kernel_mtu(), 1200)


if __name__ == '__main__':
    bed.enter_namespace()
    for n in Reuse.ports:
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
