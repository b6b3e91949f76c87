# SPDX-License-Identifier: BSD-3-Clause
"""What the whole-process tests of routing share: a data plane with ports of the namespace's veth
pairs, drops counted since the test began, and the law of conservation after every test."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from scapy.all import Ether  # noqa: E402

LAN_IF, ER_IF, WAN_IF = 1, 2, 3


class RoutingBed(unittest.TestCase):
    options = ()
    ports = ('lan', 'er', 'wan')
    mtu = 1500  # of interfaces
    port_mtu = 1500

    @classmethod
    def devargs(cls, number, name):
        return bed.devargs(number, f'p-{name}')

    @staticmethod
    def wire_name(name):
        """Kernel interface at the far end of a port."""
        return f'h-{name}'

    @classmethod
    def setUpClass(cls):
        cls.dataplane = bed.Dataplane(*cls.options)
        cls.addClassCleanup(cls.finish)
        cls.wires = {}
        cls.control = cls.dataplane.client(
            subscribe=dp.SUB_NEIGH | dp.SUB_PATH | dp.SUB_LINK, name='controld')
        cls.macs = {}
        for i, n in enumerate(cls.ports):
            reply = cls.control.call('PORT_SET', dp.Port(
                id=i, generation=1, name=n.encode(), devargs=cls.devargs(i, n).encode(),
                mtu=cls.port_mtu))[0]
            cls.macs[n] = ':'.join(f'{b:02x}' for b in reply.mac)
        cls.objects()
        for n in cls.ports:
            cls.wires[n] = bed.Wire(cls.wire_name(n))
            setattr(cls, n, cls.wires[n])

    @classmethod
    def three_interfaces(cls, *more):
        """The LAN over its twin t-lan, ExpressRoute and the Internet; and more."""
        fd = bed.twin('t-lan')
        cls.control.call('IFACE_SET', dp.Iface(
            id=LAN_IF, generation=1, name=b'lan', kind=dp.KIND_PORT, role=dp.LAN, port=0, mtu=1500,
            up=1, has_twin=1), fds=[fd])
        os.close(fd)
        cls.control.call('IFACE_SET',
                         dp.Iface(id=ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT,
                                  role=dp.EXPRESSROUTE, port=1, mtu=1500, up=1),
                         dp.Iface(id=WAN_IF, generation=1, name=b'wan', kind=dp.KIND_PORT,
                                  role=dp.INTERNET, port=2, mtu=1500, up=1), *more)

    @classmethod
    def twin_up(cls, address):
        """The kernel's side of the LAN: its port's MAC, an address."""
        bed.run('ip', 'link', 'set', 't-lan', 'address', cls.macs['lan'])
        bed.run('ip', 'addr', 'add', address, 'dev', 't-lan')
        bed.run('ip', 'link', 'set', 't-lan', 'up')

    @classmethod
    def finish(cls):
        for k in [cls.control, *cls.wires.values()]:
            k.close()
        log = cls.dataplane.text()
        status, left = cls.dataplane.stop()
        if status != 0 or left:
            raise AssertionError(f'exit status {status}, left behind {left}, log:\n{log}')

    def setUp(self):
        for w in self.wires.values():
            w.flush()
        self.control.events.clear()
        self.before = self.control.drops()

    def tearDown(self):
        """ESP-50: rx + from_twin + created = tx + drops + mirrored."""
        self.assertTrue(bed.settle(self.control), 'a packet was lost without a word')

    def from_lan(self, *layers, dst=None):
        """A frame of the LAN's host to the gateway."""
        p = Ether(src=self.lan.mac, dst=dst or self.macs['lan'])
        for layer in layers:
            p = p / layer
        return p

    def dropped(self, reason, n):
        """Exactly n packets were dropped for this reason since the test (or subtest) began."""
        got = 0
        for _ in range(80):
            got = self.control.drops().get(reason, 0) - self.before.get(reason, 0)
            if got >= n:
                break
            time.sleep(0.025)
        self.assertEqual(got, n, f'{reason}: {self.control.drops()}')

    def each_dropped(self, wire, cases):
        """Send each (reason, frame) and see it drop for that reason."""
        for reason, frame in cases:
            with self.subTest(reason=reason, frame=frame.summary()):
                self.before = self.control.drops()
                wire.send(frame)
                self.dropped(reason, 1)

    def refused(self, status, name, *elems):
        with self.assertRaises(dp.Refused) as r:
            self.control.call(name, *elems)
        self.assertEqual(r.exception.status, status, r.exception.text)
        self.assertNotIn('\n', r.exception.text)
        return r.exception
