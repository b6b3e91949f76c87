#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a worker remembers of a group's way lapses with any change; many groups keep apart. The real
spillway-dataplane on af_packet ports. Test names state the rule. Run as root."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import packets_test as pt  # noqa: E402
from scapy.all import IP, UDP  # noqa: E402

GROUP, PATH = 50, 50
MANY, FIRST = 2000, 1000


def adjacency(iface, hop):
    return dp.Path(id=PATH, generation=1, kind=dp.ADJACENCY, iface=iface, next_hop=dp.addr(hop))


class Remembered(pt.Bed):
    """A group, a path and a route of the test's own; packets have passed before each change."""

    def setUp(self):
        super().setUp()
        self.call('PATH_SET', adjacency(pt.ER_IF, pt.ER_HOP))
        self.ready(PATH)
        self.call('GROUP_SET', dp.group(GROUP, [dp.tier(0, [PATH])]))
        self.call('ROUTE_SET', dp.Route(dp.prefix('10.9.0.0/16'), GROUP, 1))
        for _ in range(3):
            self.goes(self.er)

    def tearDown(self):
        self.call('ROUTE_DEL', dp.Route(dp.prefix('10.9.0.0/16')))
        super().tearDown()

    def call(self, *args):
        return self.control.call(*args)

    def ready(self, path, up=True):
        clears = {p.id: p.clears for p in self.call('GET_PATHS')}[path]
        self.call('PATH_STATE', dp.PathState(path, int(up), clears))

    def send(self):
        self.lan.send(self.from_lan(IP(src=pt.HOST, dst='10.9.1.1'), UDP(sport=1, dport=2)))

    def goes(self, wire):
        self.send()
        self.assertIsNotNone(wire.receive(lambda f: IP in f and f[IP].dst == '10.9.1.1'))

    def test_a_group_replaced_in_its_place_moves_the_next_packet(self):
        for _ in range(3):
            self.call('GROUP_SET', dp.group(GROUP, [dp.tier(0, [pt.P_WAN])]))
            self.goes(self.wan)
            self.call('GROUP_SET', dp.group(GROUP, [dp.tier(0, [PATH])]))
            self.goes(self.er)

    def test_a_path_replaced_in_its_place_moves_the_next_packet(self):
        self.call('PATH_SET', adjacency(pt.WAN_IF, '198.51.100.254'))
        self.ready(PATH)
        self.goes(self.wan)
        self.call('PATH_SET', adjacency(pt.ER_IF, pt.ER_HOP))
        self.ready(PATH)
        self.goes(self.er)

    def test_a_path_that_is_cleared_carries_no_further_packet(self):
        self.ready(PATH, False)
        self.send()
        self.dropped('all-paths-down', 1)
        self.ready(PATH)
        self.goes(self.er)

    def test_an_interface_that_is_set_down_carries_no_further_packet(self):
        def er(up):
            return dp.Iface(id=pt.ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT,
                            role=dp.EXPRESSROUTE, port=1, mtu=1500, up=up)
        self.call('IFACE_SET', er(0))
        self.addCleanup(self.call, 'IFACE_SET', er(1))
        self.send()
        self.dropped('all-paths-down', 1)
        self.call('IFACE_SET', er(1))
        self.ready(PATH)
        self.goes(self.er)

    def test_a_route_that_goes_leaves_nothing_behind(self):
        self.call('ROUTE_DEL', dp.Route(dp.prefix('10.9.0.0/16')))
        self.send()
        self.dropped('no-route', 1)

    def test_thousands_of_groups_keep_apart(self):
        """Groups of even number lead to one wire, odd ones to another, then the other way round."""
        def groups(turn):
            return [dp.group(FIRST + i, [dp.tier(0, [(PATH, pt.P_WAN)[(i + turn) % 2]])])
                    for i in range(MANY)]

        def prefix(i):
            return dp.prefix(f'10.{20 + i // 256}.{i % 256}.0/24')

        def batches(message, elements):
            for at in range(0, len(elements), 100):
                self.call(message, *elements[at:at + 100])
        routes = [dp.Route(prefix(i), FIRST + i, 1) for i in range(MANY)]
        asked = range(0, MANY, 41)
        for turn in range(2):
            batches('GROUP_SET', groups(turn))
            batches('ROUTE_SET', routes)
            for i in list(asked) * 2:
                dst = f'10.{20 + i // 256}.{i % 256}.7'
                self.lan.send(self.from_lan(IP(src=pt.HOST, dst=dst), UDP(sport=1, dport=2)))
                wire = (self.er, self.wan)[(i + turn) % 2]
                self.assertIsNotNone(wire.receive(lambda f: IP in f and f[IP].dst == dst), dst)
        batches('ROUTE_DEL', [dp.Route(prefix(i)) for i in range(MANY)])


def load_tests(loader, tests, pattern):
    return loader.loadTestsFromTestCase(Remembered)


if __name__ == '__main__':
    bed.enter_namespace()
    for n in ('lan', 'er', 'wan'):
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
