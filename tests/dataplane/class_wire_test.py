#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A tunnel that is offered more than its capacity: what each traffic class gets, seen on the wire;
and traffic that comes another way than its answers go. Two real data planes. Run as root."""
import collections
import itertools
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import tunnel_test as tt  # noqa: E402
from scapy.all import Ether, IP, Raw, UDP  # noqa: E402

ER_IF, ER_PORT, P_ER, G_OPEN = 9, 2, 9, 9
EF, VIDEO, DEFAULT, BULK = 46, 34, 0, 8  # code points of classes 0 to 3
CONTROL = 48  # CS6, class 0: the gateway's own
CLASS = {EF: 0, VIDEO: 1, DEFAULT: 2, BULK: 3}
SIZE = 1250  # inner bytes of every packet: 10,000 bits
CAPACITY = 10000  # kbit/s: 1,000 packets/s
OWN = 100  # packets of the gateway's own, small ones
BURST = 2 * 65536 + 5 * SIZE  # of all buckets at this capacity
SECONDS = 3
LATE = 0.02  # a sender that was held up longer than this does not catch up


def counter(wire, seen, stop):
    """Count the code points of UDP packets to port 6 that arrive."""
    wire.sock.settimeout(0.1)
    while not stop.is_set():
        try:
            data, (_, _, kind, *_) = wire.sock.recvfrom(2048)
        except TimeoutError:
            continue
        if kind != bed.PACKET_OUTGOING and data[23] == 17 and data[36:38] == b'\0\6':
            seen[data[15] >> 2] += 1


class Load(tt.Bed):
    def capacity(self, kbps):
        self.a.control.call('TUNNEL_SET', dp.Tunnel(
            id=tt.TUNNEL, generation=1, name=b'azure-a', local=dp.addr(self.a.wan_ip),
            remote=dp.addr(self.a.peer_ip), mtu=tt.MTU, outer_path=tt.P_WAN, dscp_copy=1,
            capacity_kbps=kbps))

    def offer(self, rates, seconds=SECONDS, meanwhile=lambda: None):
        """Send by {code point: packets/s}, evenly; returns what was sent and what arrived."""
        frames = {d: bytes(self.a.packet(self.b, UDP(sport=5, dport=6), Raw(bytes(SIZE - 28)),
                                         tos=d << 2)) for d in rates}
        seen, stop = collections.Counter(), threading.Event()
        thread = threading.Thread(target=counter, args=(self.b.wire, seen, stop))
        thread.start()
        sent, owed = collections.Counter(), collections.Counter()
        begin = last = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            for d, rate in rates.items():
                owed[d] += min(now - last, LATE) * rate
                while owed[d] >= 1:
                    self.a.wire.sock.send(frames[d])
                    owed[d] -= 1
                    sent[d] += 1
            last = now
            meanwhile()
            time.sleep(0.001)
        self.took = time.monotonic() - begin
        time.sleep(0.3)
        stop.set()
        thread.join()
        return sent, seen

    def classes(self):
        t = self.a.tunnel_stats()
        return list(t.class_packets), list(t.class_dropped)


class Classes(Load):
    def twin(self):
        """A socket of the gateway's own into the tunnel, marked as routing protocols are."""
        fd = bed.twin('tun-a', tap=False)
        self.a.control.call('IFACE_SET', dp.Iface(
            id=tt.TUN_IF, generation=1, name=b'azure-a', kind=dp.KIND_TUNNEL, role=dp.TUNNEL,
            port=tt.TUNNEL, mtu=tt.MTU, up=1, has_twin=1), fds=[fd])
        os.close(fd)
        bed.run('ip', 'addr', 'add', '169.254.1.1/32', 'dev', 'tun-a')
        bed.run('ip', 'link', 'set', 'tun-a', 'up')
        bed.run('ip', 'route', 'replace', '10.2.0.0/16', 'dev', 'tun-a')
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(('169.254.1.1', 7777))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CONTROL << 2)
        return s

    def test_ef_and_the_gateways_own_lose_nothing_in_a_tunnel_offered_three_times_its_capacity(
            self):
        self.sa(dp.SA_UDP)
        self.capacity(CAPACITY)
        twin, own = self.twin(), []

        def send_own():
            if len(own) < OWN:
                own.append(twin.sendto(b'keepalive', (self.b.host, 6)))
        sent, seen = self.offer({EF: 100, DEFAULT: 1450, BULK: 1450}, meanwhile=send_own)
        passed, dropped = self.classes()
        self.assertEqual((seen[EF], seen.pop(CONTROL)), (sent[EF], OWN))
        self.assertEqual((passed[0], dropped[0]), (sent[EF] + OWN, 0))
        self.assertEqual(self.a.tunnel_stats().own_out, OWN)
        for d in (DEFAULT, BULK):
            self.assertEqual(passed[CLASS[d]] + dropped[CLASS[d]], sent[d])
            self.assertEqual(seen[d], passed[CLASS[d]])
        bits = sum(seen.values()) * SIZE * 8
        due = CAPACITY * 1000 * self.took
        self.assertLessEqual(bits, due + BURST * 8)
        self.assertGreaterEqual(bits, due * 0.9)
        # BULK keeps its 10 %; DEFAULT, more important, gets the rest.
        self.assertLess(seen[BULK] * SIZE * 8, due * 0.1 * 1.2 + BURST * 8)
        self.assertGreater(seen[BULK] * SIZE * 8, due * 0.1 * 0.8)
        self.assertGreater(seen[DEFAULT] * SIZE * 8, due * 0.8 * 0.85)
        self.assertEqual(self.a.control.drops().get('capacity'), sum(dropped))
        row = {p.id: p for p in self.a.control.call('GET_PATHS')}[tt.P_TUN]
        self.assertEqual(sum(row.class_bytes), row.bytes)
        for d in (DEFAULT, BULK):
            self.assertAlmostEqual(row.class_bytes[CLASS[d]] / (sent[d] * SIZE), 1, delta=0.15)
        self.law()

    def test_nothing_is_dropped_below_the_capacity_or_without_one(self):
        self.sa(dp.SA_UDP)
        rates = {EF: 100, VIDEO: 300, DEFAULT: 300, BULK: 100}
        self.capacity(CAPACITY)
        sent, seen = self.offer(rates, 1.5)
        self.assertEqual(seen, sent)
        self.assertEqual(self.classes(), ([sent[d] for d in (EF, VIDEO, DEFAULT, BULK)], [0] * 4))
        self.capacity(0)
        again, seen = self.offer({DEFAULT: 2000}, 0.5)
        self.assertEqual(seen, again)
        self.assertEqual(self.classes()[0][2], sent[DEFAULT], 'no capacity, no counting')
        self.assertNotIn('capacity', self.a.control.drops())
        self.law()

    def test_classes_are_what_was_set_and_nonsense_changes_nothing(self):
        self.sa(dp.SA_UDP)
        self.capacity(CAPACITY)
        mine = dp.Classes()
        for d in range(64):
            mine.of_dscp[d] = 2
        mine.of_dscp[EF], mine.of_dscp[VIDEO] = 3, 0
        mine.share_percent[:] = [90, 0, 5, 5]
        self.a.control.call('CLASSES_SET', mine)
        for wrong, share in ((4, [90, 0, 5, 5]), (0, [90, 0, 5, 6])):
            bad = dp.Classes.from_buffer_copy(mine)
            bad.of_dscp[1] = wrong
            bad.share_percent[:] = share
            with self.assertRaises(dp.Refused) as r:
                self.a.control.call('CLASSES_SET', bad)
            self.assertEqual(r.exception.status, 22)
        sent, seen = self.offer({EF: 1000, VIDEO: 850}, 1.5)
        self.assertEqual(seen[VIDEO], sent[VIDEO])
        self.assertLess(seen[EF] * SIZE, sent[EF] * SIZE * 0.3 + BURST)
        passed, dropped = self.classes()
        self.assertEqual((passed[0], dropped[0], passed[3] + dropped[3]),
                         (sent[VIDEO], 0, sent[EF]))
        self.law()


class TwoWorkers(Load):
    options = ('--workers', '2')

    def test_ef_loses_nothing_and_the_capacity_holds(self):
        self.sa(dp.SA_UDP)
        self.capacity(CAPACITY)
        sent, seen = self.offer({EF: 100, DEFAULT: 2000}, 1.5)
        passed, dropped = self.classes()
        self.assertEqual((seen[EF], passed[0], dropped[0]), (sent[EF], sent[EF], 0))
        self.assertEqual(passed[2] + dropped[2], sent[DEFAULT])
        bits = sum(seen.values()) * SIZE * 8
        self.assertLessEqual(bits, CAPACITY * 1000 * self.took + BURST * 8)
        self.assertGreaterEqual(bits, CAPACITY * 1000 * self.took * 0.85)
        # Whatever is set meanwhile, what has room loses nothing.
        builtin, other = dp.Classes(), dp.Classes()
        builtin.share_percent[:], other.share_percent[:] = [20, 40, 30, 10], [70, 10, 10, 10]
        turn = itertools.cycle([(5 * CAPACITY, builtin), (0, other), (6 * CAPACITY, other)])

        def churn():
            kbps, classes = next(turn)
            self.capacity(kbps)
            self.a.control.call('CLASSES_SET', classes)
        before = self.a.control.drops()['capacity']
        sent, seen = self.offer({EF: 100, DEFAULT: 1000}, 1, churn)
        self.assertEqual(seen, sent)
        self.assertEqual(self.a.control.drops()['capacity'], before)
        self.law()


class Asymmetry(Load):
    def setUp(self):
        super().setUp()
        call = self.a.control.call
        r = call('PORT_SET', dp.Port(id=ER_PORT, generation=1, name=b'er', mtu=1500,
                                     devargs=bed.devargs(ER_PORT, 'p-era').encode()))[0]
        self.er_mac = ':'.join(f'{b:02x}' for b in r.mac)
        call('IFACE_SET', dp.Iface(id=ER_IF, generation=1, name=b'er', kind=dp.KIND_PORT,
                                   role=dp.EXPRESSROUTE, port=ER_PORT, mtu=1500, up=1))
        call('ADDR_SET', dp.Address(ER_IF, 1, dp.prefix('192.0.2.1/30')))
        call('PATH_SET', dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY, iface=ER_IF,
                                 next_hop=dp.addr('192.0.2.2')))
        call('GROUP_SET', dp.group(tt.G_TUN, [dp.tier(1, [P_ER]), dp.tier(2, [tt.P_TUN])],
                                   dp.PROTECTED),
             dp.group(G_OPEN, [dp.tier(2, [tt.P_TUN])]))
        call('ROUTE_SET', dp.Route(dp.prefix('203.0.113.0/24'), G_OPEN, 1))
        self.er = bed.Wire('h-era')
        self.addCleanup(self.er.close)

    def expressroute(self, up):
        clears = {p.id: p for p in self.a.control.call('GET_PATHS')}[P_ER].clears
        self.a.control.call('PATH_STATE', dp.PathState(P_ER, int(up), clears))

    def over_expressroute(self, n, src):
        for i in range(n):
            self.er.send(Ether(src=self.er.mac, dst=self.er_mac) /
                         IP(src=src, dst=self.a.host, id=i) / UDP(sport=9, dport=9))
        self.assertEqual(len(self.a.wire.collect(n, lambda f: UDP in f)), n)

    def out_of_the_tunnel(self, n):
        for i in range(n):
            self.b.wire.send(self.b.packet(self.a, UDP(sport=9, dport=9), id=i))
        self.assertEqual(len(self.a.wire.collect(n, lambda f: UDP in f)), n)

    def seen(self):
        rows = {i.id: i for i in self.a.control.call('GET_IFACES')}
        return rows[ER_IF].asymmetric, self.a.tunnel_stats().asymmetric

    def test_what_comes_another_way_than_its_answers_go_is_forwarded_and_counted(self):
        self.sa(0)
        self.expressroute(False)
        self.out_of_the_tunnel(20)
        self.assertEqual(self.seen(), (0, 0))
        self.over_expressroute(50, self.b.host)
        self.assertEqual(self.seen(), (50, 0))
        self.over_expressroute(30, '203.0.113.7')
        self.assertEqual(self.seen(), (50, 0), 'not a protected source')
        self.expressroute(True)
        self.over_expressroute(20, self.b.host)
        self.assertEqual(self.seen(), (50, 0))
        self.out_of_the_tunnel(40)
        self.assertEqual(self.seen(), (50, 40))
        rows = {i.id: i for i in self.a.control.call('GET_IFACES')}
        self.assertEqual([i for i, r in rows.items() if r.asymmetric], [ER_IF])
        self.assertEqual(self.b.tunnel_stats().asymmetric, 0)
        self.law()


if __name__ == '__main__':
    bed.enter_namespace()
    bed.veth('p-lana', 'h-lana')
    bed.veth('p-lanb', 'h-lanb')
    bed.veth('p-wana', 'p-wanb')
    bed.veth('p-era', 'h-era')
    sys.exit(bed.main())
