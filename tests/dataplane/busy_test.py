#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Events for clients that are busy: thousands of groups that flip at once must not cost controld its
connection, and one that never reads must cost nobody else anything. The real spillway-dataplane on
af_packet ports. Test names state the rule. Run as root."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
from routing_bed import ER_IF, WAN_IF, RoutingBed  # noqa: E402
from scapy.all import IP, UDP  # noqa: E402

GROUPS, FIRST = 6000, 100
P_ER, P_WAN = 1, 2
EV_PATH, SWITCHED = 131, 2
BATCH = 150


class Busy(RoutingBed):
    @classmethod
    def objects(cls):
        cls.three_interfaces()
        call = cls.control.call
        call('PATH_SET', *(dp.Path(id=p, generation=1, kind=dp.ADJACENCY, iface=i,
                                   next_hop=dp.addr(hop))
                           for p, i, hop in ((P_ER, ER_IF, '172.16.0.2'),
                                             (P_WAN, WAN_IF, '198.51.100.2'))))
        call('PATH_STATE', dp.PathState(P_ER, 1, 0), dp.PathState(P_WAN, 1, 0))
        call('NEIGH_SET',
             dp.Neigh(ER_IF, 1, dp.addr('172.16.0.2'), dp.mac(bed.mac_of('h-er')), 1),
             dp.Neigh(WAN_IF, 1, dp.addr('198.51.100.2'), dp.mac(bed.mac_of('h-wan')), 1))
        for first in range(0, GROUPS, BATCH):
            ids = range(first, first + BATCH)
            call('GROUP_SET', *(dp.group(FIRST + i, [dp.tier(1, [P_ER]), dp.tier(3, [P_WAN])])
                                for i in ids))
            call('ROUTE_SET', *(dp.Route(dp.prefix(f'10.9.{i // 256}.{i % 256}/32'), FIRST + i, 1)
                                for i in ids))

    @classmethod
    def make_frames(cls):
        """One frame to each group's route."""
        frame = bytearray(bytes(cls.from_lan(cls, IP(src='10.1.0.2', dst='10.9.0.0'), UDP())))
        made = []
        for i in range(GROUPS):
            f = bytearray(frame)
            f[32:34] = i.to_bytes(2, 'big')
            total = sum(int.from_bytes(f[14 + k:16 + k], 'big') for k in range(0, 20, 2) if k != 10)
            total = (total & 0xffff) + (total >> 16)
            f[24:26] = (~((total & 0xffff) + (total >> 16)) & 0xffff).to_bytes(2, 'big')
            made.append(bytes(f))
        return made

    def setUp(self):
        super().setUp()
        self.frames = self.make_frames()

    def send_all(self):
        """In portions that the port's ring holds."""
        for first in range(0, GROUPS, 400):
            before = self.control_reader.totals()['rx']
            self.lan.send(*self.frames[first:first + 400])
            for _ in range(100):
                if self.control_reader.totals()['rx'] >= before + 400:
                    break
                time.sleep(0.002)

    def flip(self, up):
        clears = {p.id: p.clears for p in self.control_reader.call('GET_PATHS')}[P_ER]
        self.other.call('PATH_STATE', dp.PathState(P_ER, int(up), clears))

    def test_a_busy_client_keeps_its_connection_and_learns_of_every_switch(self):
        self.other = self.dataplane.client(name='other')
        self.control_reader = self.dataplane.client(role=dp.READER, name='reader')
        deaf = self.dataplane.client(role=dp.READER, subscribe=dp.SUB_PATH, name='deaf')
        for k in (self.other, self.control_reader, deaf):
            self.addCleanup(k.close)
        self.send_all()
        self.flip(False)
        self.send_all()  # meanwhile the subscriber reads nothing
        switched = set()
        for _ in range(8):
            while True:
                ev = self.control.wait_event(
                    lambda n, e: n == EV_PATH and e.kind == SWITCHED and e.path == P_WAN, 0.1)
                if ev is None:
                    break
                switched.add(ev.group)
            if len(switched) == GROUPS:
                break
            self.send_all()
        self.assertEqual(len(switched), GROUPS)
        self.control.call('GET_STATUS')
        self.flip(True)


if __name__ == '__main__':
    bed.enter_namespace()
    for n in Busy.ports:
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
