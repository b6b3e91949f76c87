#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding probes of the real process, seen on the wire: over next hops and through a tunnel,
answered, late, forged, refused and not at all. Run as root."""
import collections
import errno
import os
import signal
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.append(os.path.join(os.path.dirname(__file__), '..', 'lab'))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import mtu_test as mt  # noqa: E402
import reflector  # noqa: E402
import routing_bed  # noqa: E402
import tunnel_test as tt  # noqa: E402
from scapy.all import (  # noqa: E402
    Ether, ICMP, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IP,
    IPv6, Raw, UDP)

MS = 1_000_000
UNKNOWN, UP, DOWN = 0, 1, 2
SILENCE, UNREACHABLE, TOO_BIG, EXPIRED, NO_WAY = 1, 2, 3, 4, 5
ICMP_KIND, TWAMP_KIND = 1, 2
PORT = 862
EV_PROBE = 133
ROUTER, ROUTER6 = '192.0.2.77', '2001:db8:77::1'
SLACK = 400 * MS  # a loaded machine's


def network(f):
    return f[IPv6] if IPv6 in f else f[IP]


def is_probe(f):
    return (ICMP in f and f[ICMP].type == 8) or ICMPv6EchoRequest in f or (
        UDP in f and f[UDP].dport == PORT)


class Far(threading.Thread):
    """Beyond a port: sees probes and answers them as `mood` says, from the wire `out` if given."""

    def __init__(self, wire_name, out=None):
        super().__init__(daemon=True)
        self.wire = bed.Wire(wire_name)
        self.out = bed.Wire(out) if out else self.wire
        self.mood = self.answer
        self.seen = collections.deque(maxlen=20000)  # (CLOCK_MONOTONIC ns, frame)
        self.ends = False
        self.start()

    def run(self):
        while not self.ends:
            f = self.wire.receive(is_probe, 0.05)
            if f is not None:
                self.seen.append((time.monotonic_ns(), f))
                self.mood(f)

    def stop(self):
        self.ends = True
        self.join()
        self.wire.close()
        if self.out is not self.wire:
            self.out.close()

    def back(self, f, upper, **ip):
        """A packet to the sender of `f`, from its target unless said otherwise."""
        n = network(f)
        ip = {'src': n.dst, 'dst': n.src, **ip}
        return (Ether(src=f.dst, dst=self.dst or f.src) / type(n)(**ip)) / upper

    dst = None  # another port of the gateway

    def reply(self, f, data=None):
        """The right answer; `data` instead of what was sent."""
        if UDP in f:
            ttl = f[IPv6].hlim if IPv6 in f else f[IP].ttl
            asked = bytes(f[UDP].payload) if data is None else data
            return UDP(sport=PORT, dport=f[UDP].sport) / Raw(
                reflector.answer(asked, ttl, time.time()))
        if ICMP in f:
            return ICMP(type=0, id=f[ICMP].id, seq=f[ICMP].seq) / Raw(
                bytes(f[ICMP].payload) if data is None else data)
        e = f[ICMPv6EchoRequest]
        return ICMPv6EchoReply(id=e.id, seq=e.seq, data=e.data if data is None else data)

    def answer(self, f):
        self.out.send(self.back(f, self.reply(f)))

    def silence(self, f):
        pass

    def twice(self, f):
        self.answer(f)
        self.answer(f)

    def late(self, f, delay=0.15):
        threading.Timer(delay, self.answer, [f]).start()

    def forged(self, f):
        """Right in all but what only the packet tells, and right from somebody else."""
        if UDP in f:
            data = bytes(f[UDP].payload)
            wrong = data[:4] + bytes(8) + data[12:]
        else:
            data = bytes(f[ICMP].payload) if ICMP in f else bytes(f[ICMPv6EchoRequest].data)
            wrong = bytes(8) + data[8:]
        other = '2001:db8:66::6' if IPv6 in f else '203.0.113.66'
        self.out.send(self.back(f, self.reply(f, wrong)), self.back(f, self.reply(f), src=other))

    def unreachable(self, f):
        quoted = Raw(bytes(network(f))[:100])
        if IPv6 in f:
            self.out.send(self.back(f, ICMPv6DestUnreach(code=0) / quoted, src=ROUTER6))
        else:
            self.out.send(self.back(f, ICMP(type=3, code=1) / quoted, src=ROUTER))

    def too_big(self, f):
        quoted = Raw(bytes(network(f))[:100])
        if IPv6 in f:
            self.out.send(self.back(f, ICMPv6PacketTooBig(mtu=1400) / quoted, src=ROUTER6))
        else:
            self.out.send(self.back(f, ICMP(type=3, code=4, nexthopmtu=1400) / quoted,
                                    src=ROUTER))


def probe(pid, path, source, target, kind=ICMP_KIND, **more):
    c = {'interval_ms': 100, 'timeout_ms': 90, 'fall': 3, 'rise': 2, 'size': 64, **more}
    return dp.Probe(id=pid, generation=c.pop('generation', 1), path=path, kind=kind,
                    port=PORT if kind == TWAMP_KIND else 0, source=dp.addr(source),
                    target=dp.addr(target), **c)


class Watching:
    """What tests ask about probes; `self.control` is the client."""

    def stats(self, pid):
        return {r.id: r for r in self.control.call('GET_PROBES')}.get(pid)

    def state_event(self, pid, state, timeout=4):
        """The next change of a probe to a state; those of other probes are kept."""
        kept = self.__dict__.setdefault('kept', collections.defaultdict(collections.deque))
        end = time.monotonic() + timeout
        while True:
            while kept[pid]:
                e = kept[pid].popleft()
                if e.state == state:
                    return e
            e = self.control.wait_event(lambda n, e: n == EV_PROBE,
                                        max(0, end - time.monotonic()))
            if e is None:
                return None
            kept[e.id].append(e)

    def must_become(self, pid, state, timeout=4):
        ev = self.state_event(pid, state, timeout)
        self.assertIsNotNone(ev, f'probe {pid} did not become {state}: {self.stats(pid)}')
        return ev

    def wait_stats(self, pid, good, timeout=4):
        end = time.monotonic() + timeout
        while True:
            s = self.stats(pid)
            if good(s):
                return s
            self.assertLess(time.monotonic(), end, s)
            time.sleep(0.03)

    def forget(self):
        for r in self.control.call('GET_PROBES'):
            self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['probe'], r.id))


ER, WAN, LAN = 1, 2, 3
P_ER, P_WAN, P_ER6, P_FREE = 1, 2, 3, 4
US, THEM = '10.9.0.1', '10.9.0.2'
US6, THEM6 = 'fd00:9::1', 'fd00:9::2'
TARGET, TARGET6 = '198.51.100.9', '2001:db8:9::9'


class Adjacency(Watching, routing_bed.RoutingBed):
    """Over next hops. No path is ever set up: a probe does not ask for the bit."""

    @classmethod
    def objects(cls):
        call = cls.control.call
        call('IFACE_SET',
             dp.Iface(id=ER, generation=1, name=b'er', kind=dp.KIND_PORT, role=dp.EXPRESSROUTE,
                      port=1, mtu=1500, up=1),
             dp.Iface(id=WAN, generation=1, name=b'wan', kind=dp.KIND_PORT, role=dp.INTERNET,
                      port=2, mtu=1500, up=1),
             dp.Iface(id=LAN, generation=1, name=b'lan', kind=dp.KIND_PORT, role=dp.LAN,
                      port=0, mtu=1500, up=1))
        call('ADDR_SET', dp.Address(ER, 1, dp.prefix(f'{US}/24')),
             dp.Address(ER, 1, dp.prefix(f'{US6}/64')),
             dp.Address(WAN, 1, dp.prefix('203.0.113.1/24')))
        call('PATH_SET',
             dp.Path(id=P_ER, generation=1, kind=dp.ADJACENCY, iface=ER, next_hop=dp.addr(THEM)),
             dp.Path(id=P_ER6, generation=1, kind=dp.ADJACENCY, iface=ER,
                     next_hop=dp.addr(THEM6)),
             dp.Path(id=P_WAN, generation=1, kind=dp.CONNECTED, iface=WAN))
        er = bed.mac_of('h-er')
        call('NEIGH_SET', dp.Neigh(ER, 1, dp.addr(THEM), dp.mac(er), 1),
             dp.Neigh(ER, 1, dp.addr(THEM6), dp.mac(er), 1))

    def setUp(self):
        super().setUp()
        self.far = Far('h-er')
        self.addCleanup(self.forget)
        self.addCleanup(self.far.stop)

    def tearDown(self):
        self.forget()
        super().tearDown()

    def set(self, pid, kind=ICMP_KIND, six=False, **more):
        p = probe(pid, P_ER6 if six else P_ER, US6 if six else US, TARGET6 if six else TARGET,
                  kind, **more)
        self.control.call('PROBE_SET', p)
        return p

    def every_sort(self, **more):
        """A probe of each kind and family; their ids."""
        sorts = [(k, six) for k in (ICMP_KIND, TWAMP_KIND) for six in (False, True)]
        for pid, (kind, six) in enumerate(sorts):
            self.set(pid, kind, six, **more)
        return range(len(sorts))

    def test_answered_probes_are_up_though_the_paths_are_down(self):
        ids = self.every_sort(timeout_ms=1000)
        for pid in ids:
            ev = self.must_become(pid, UP)
            self.assertLess(0, ev.last_ok_ns)
            self.assertLess(ev.last_ok_ns, ev.at_ns)
        for pid in ids:
            s = self.wait_stats(pid, lambda s: s.received >= 5)
            self.assertEqual((s.lost, s.late, s.duplicate, s.other_way), (0, 0, 0, 0))
            self.assertEqual(s.recent_lost, 0)
            self.assertLessEqual(s.rtt_min_us, s.rtt_last_us)
            self.assertLessEqual(s.rtt_last_us, s.rtt_max_us)
            self.assertLessEqual(s.rtt_max_us, 1000000)
            self.assertEqual(sum(s.rtt), s.received)
            self.assertLessEqual(s.received * s.rtt_min_us, s.rtt_sum_us)
        self.assertTrue(all(not p.up for p in self.control.call('GET_PATHS')))

    def frame_of(self, pid, **how):
        self.set(pid, **how)
        end = time.monotonic() + 3
        while not self.far.seen and time.monotonic() < end:
            time.sleep(0.01)
        self.assertTrue(self.far.seen, 'no probe was seen')
        f = self.far.seen[0][1]
        self.forget()
        time.sleep(0.05)
        self.far.seen.clear()
        return f

    def test_a_packet_has_its_size_mark_and_checksums(self):
        for kind in (ICMP_KIND, TWAMP_KIND):
            for six in (False, True):
                for size in (64, 65, 1500):
                    with self.subTest(kind=kind, six=six, size=size):
                        f = self.frame_of(9, kind=kind, six=six, size=size, dscp=46)
                        n = network(f)
                        ttl = 255 if kind == TWAMP_KIND else 64
                        if six:
                            self.assertEqual((n.plen + 40, n.tc, n.hlim), (size, 46 << 2, ttl))
                            self.assertEqual((n.src, n.dst), (US6, TARGET6))
                        else:
                            self.assertEqual((n.len, n.tos, n.ttl, str(n.flags)),
                                             (size, 46 << 2, ttl, 'DF'))
                            self.assertEqual((n.src, n.dst), (US, TARGET))
                        self.assertEqual(f.dst, self.far.wire.mac)
                        again = type(n)(bytes(n)[:size])
                        for layer in (again, again.payload):
                            if 'chksum' in layer.fields:
                                del layer.chksum
                            if 'cksum' in layer.fields:
                                del layer.cksum
                        self.assertEqual(bytes(again), bytes(n)[:size])

    def test_a_twamp_packet_tells_the_time(self):
        f = self.frame_of(3, kind=TWAMP_KIND)
        seq, stamp, error = struct.unpack_from('!IQH', bytes(f[UDP].payload))
        self.assertEqual(seq, 0)
        self.assertLess(abs(stamp - reflector.ntp(time.time())), 5 << 32)
        self.assertNotEqual(error & 0xff, 0, 'RFC 4656 4.1.2: the multiplier is not 0')
        self.assertGreaterEqual(f[UDP].sport, 0xf000)

    def test_the_rhythm_is_the_interval(self):
        self.set(0, interval_ms=100)
        self.wait_stats(0, lambda s: s.sent >= 11)
        times = [t for t, _ in list(self.far.seen)[:11]]
        self.assertAlmostEqual((times[-1] - times[0]) / MS, 1000, delta=150)

    def test_silence_is_down_after_fall_intervals_and_answers_are_up_again(self):
        ids = self.every_sort()
        for pid in ids:
            self.must_become(pid, UP)
        self.far.mood = self.far.silence
        for pid in ids:
            ev = self.must_become(pid, DOWN)
            took = ev.at_ns - ev.last_ok_ns
            self.assertGreaterEqual(took, 330 * MS)  # a packet may leave late
            self.assertLess(took, 391 * MS + SLACK)
            self.assertEqual(self.stats(pid).lost_why, SILENCE)
        self.far.mood = self.far.answer
        for pid in ids:
            ev = self.must_become(pid, UP)
            s = self.stats(pid)
            self.assertGreaterEqual(s.lost, 3)
            # A loaded machine may make the far end late; then each is a loss, and none counts twice.
            self.assertLessEqual(s.late, s.lost)
            self.assertEqual(s.duplicate, 0)

    def test_late_answers_are_losses_counted_apart(self):
        self.far.mood = self.far.late
        self.set(0)
        self.must_become(0, DOWN)
        s = self.wait_stats(0, lambda s: s.late >= 3)
        self.assertEqual((s.received, s.rtt_max_us, s.lost_why), (0, 0, SILENCE))
        self.far.mood = self.far.silence
        time.sleep(0.3)

    def test_second_answers_are_counted_as_duplicates_only(self):
        self.far.mood = self.far.twice
        self.set(0, TWAMP_KIND, timeout_ms=1000)
        self.must_become(0, UP)
        s = self.wait_stats(0, lambda s: s.duplicate >= 3)
        self.assertEqual((s.lost, s.late), (0, 0))
        self.assertAlmostEqual(s.duplicate, s.received, delta=1)

    def test_forged_answers_count_for_nothing(self):
        self.far.mood = self.far.forged
        ids = self.every_sort()
        for pid in ids:
            self.must_become(pid, DOWN)
            s = self.stats(pid)
            self.assertEqual((s.received, s.late, s.duplicate), (0, 0, 0))
            self.assertEqual(s.lost_why, SILENCE)

    def test_an_icmp_error_is_a_loss_at_once(self):
        self.far.mood = self.far.unreachable
        for pid, (kind, six) in enumerate(((ICMP_KIND, False), (TWAMP_KIND, True),
                                           (ICMP_KIND, True), (TWAMP_KIND, False))):
            self.set(pid, kind, six, timeout_ms=10000)
        for pid in range(4):
            self.must_become(pid, DOWN, 3)
            self.assertEqual(self.stats(pid).lost_why, UNREACHABLE)

    def test_too_big_on_the_way_is_a_loss_that_tells_what_fits(self):
        self.far.mood = self.far.too_big
        self.set(0, size=1500, timeout_ms=10000)
        self.set(1, TWAMP_KIND, six=True, size=1500, timeout_ms=10000)
        for pid in (0, 1):
            self.must_become(pid, DOWN, 3)
            s = self.stats(pid)
            self.assertEqual((s.lost_why, s.lost_mtu), (TOO_BIG, 1400))

    def test_larger_than_the_interface_is_too_big_at_home(self):
        self.set(0, size=1501, timeout_ms=10000)
        self.must_become(0, DOWN, 3)
        s = self.stats(0)
        self.assertEqual((s.lost_why, s.lost_mtu), (TOO_BIG, 1500))
        self.assertEqual(len(self.far.seen), 0)

    def test_without_its_neighbour_a_probe_has_no_way(self):
        self.control.call('PATH_SET', dp.Path(id=P_FREE, generation=1, kind=dp.ADJACENCY,
                                              iface=ER, next_hop=dp.addr('10.9.0.99')))
        self.control.call('PROBE_SET', probe(0, P_FREE, US, TARGET, timeout_ms=10000))
        self.must_become(0, DOWN, 3)
        self.assertEqual(self.stats(0).lost_why, NO_WAY)
        ev = self.control.wait_event(lambda n, e: n == 130)
        self.assertEqual(str(ev.addr), '10.9.0.99')
        self.forget()
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['path'], P_FREE))

    def test_an_answer_by_another_interface_counts_and_is_told(self):
        other = Far('h-er', out='h-lan')
        self.far.mood = self.far.silence
        other.dst = self.macs['lan']
        self.addCleanup(other.stop)
        self.set(0, timeout_ms=1000)
        self.must_become(0, UP)
        s = self.stats(0)
        self.assertEqual(s.other_way, s.received)
        other.mood = other.silence
        self.far.mood = self.far.answer
        s = self.wait_stats(0, lambda s: s.received > s.other_way + 2)
        self.assertEqual(s.lost, 0)

    def test_a_stall_of_the_process_is_no_loss(self):
        self.far.mood = lambda f: self.far.late(f, 0.1)  # always one under way
        self.set(0, fall=1, timeout_ms=300)
        self.set(1, TWAMP_KIND, fall=1, timeout_ms=300)
        for pid in (0, 1):
            self.must_become(pid, UP)
        for _ in range(2):
            os.kill(self.dataplane.process.pid, signal.SIGSTOP)
            time.sleep(0.7)
            os.kill(self.dataplane.process.pid, signal.SIGCONT)
            time.sleep(0.4)
        for pid in (0, 1):
            s = self.stats(pid)
            self.assertEqual((s.lost, s.state), (0, UP), s)
            self.assertGreaterEqual(s.late, 2)
        self.assertIsNone(self.state_event(0, DOWN, 0.05))
        self.far.mood = self.far.silence
        time.sleep(0.15)

    def test_a_stranger_who_pings_us_gets_nothing_counted(self):
        self.set(0, timeout_ms=2000)
        self.must_become(0, UP)
        for i in range(200):
            self.far.wire.send(self.far.back(self.far.seen[-1][1], ICMP(
                type=0, id=(i * 331) & 0xffff, seq=i) / Raw(b'x' * 36)))
        s = self.stats(0)
        self.assertEqual((s.duplicate, s.late, s.lost), (0, 0, 0))

    def test_an_echo_reply_to_the_kernels_own_ping_goes_up_to_it(self):
        fd = bed.twin('tw-er')
        self.addCleanup(os.close, fd)
        er = dp.Iface(id=ER, generation=1, name=b'er', kind=dp.KIND_PORT, role=dp.EXPRESSROUTE,
                      port=1, mtu=1500, up=1, has_twin=1)
        self.control.call('IFACE_SET', er, fds=[fd])
        bed.run('ip', 'link', 'set', 'tw-er', 'arp', 'off', 'up')
        kernel = bed.Wire('tw-er')
        self.addCleanup(kernel.close)
        self.set(0)
        self.must_become(0, UP)
        f = self.far.seen[-1][1]
        pings = [ICMP(type=0, id=f[ICMP].id, seq=f[ICMP].seq) / Raw(b'ping' * 9),
                 ICMP(type=0, id=f[ICMP].id + 1 & 0xffff, seq=7) / Raw(b'ping' * 9)]
        for p in pings:
            self.far.wire.send(self.far.back(f, p))
            got = kernel.receive(lambda g: ICMP in g)
            self.assertIsNotNone(got, 'the kernel did not get its answer')
            self.assertEqual((got[ICMP].id, got[ICMP].seq, bytes(got[Raw])[:4]),
                             (p.id, p.seq, b'ping'))
        self.far.wire.send(self.far.back(f, UDP(sport=PORT, dport=0xf000) / Raw(b'x' * 50)))
        self.assertIsNotNone(kernel.receive(lambda g: UDP in g), 'no probe has that port')
        self.assertTrue(kernel.quiet(lambda g: ICMP in g), 'answers to probes do not go up')
        er.has_twin = 0
        self.control.call('IFACE_SET', er)

    def test_the_same_content_goes_on_and_another_begins_anew(self):
        p = self.set(0)
        self.must_become(0, UP)
        p.generation = 2
        self.control.call('PROBE_SET', p)
        s = self.stats(0)
        self.assertEqual(s.state, UP)
        self.wait_stats(0, lambda s: s.received >= 6)
        p.size = 100
        self.control.call('PROBE_SET', p)
        self.assertLess(self.stats(0).received, 6)
        self.must_become(0, UP)
        self.assertEqual(len(self.control.call('GET_PROBES')), 1)

    def test_what_cannot_be_is_refused_whole(self):
        good = probe(1, P_ER, US, TARGET)
        for status, bad in (
                (errno.ENOENT, probe(2, 77, US, TARGET)),
                (errno.EINVAL, probe(2, P_WAN, US, TARGET)),
                (errno.EINVAL, probe(4096, P_ER, US, TARGET)),
                (errno.EINVAL, probe(2, P_ER, US, TARGET, interval_ms=99)),
                (errno.EINVAL, probe(2, P_ER, US, TARGET, size=9000)),
                (errno.EADDRNOTAVAIL, probe(2, P_ER, '10.9.0.77', TARGET)),
                (errno.EADDRNOTAVAIL, probe(2, P_ER6, 'fd00:9::77', TARGET6)),
                (errno.EAFNOSUPPORT, probe(2, P_ER, US, TARGET6))):
            r = self.refused(status, 'PROBE_SET', good, bad)
            self.assertEqual(r.index, 1)
        self.assertEqual(self.control.call('GET_PROBES'), [])
        self.refused(errno.ENOENT, 'OBJECT_DEL', dp.Object(dp.CLASS['probe'], 1))

    def test_a_path_stays_while_a_probe_names_it_and_old_generations_go(self):
        path = dp.Path(id=P_FREE, generation=1, kind=dp.ADJACENCY, iface=ER,
                       next_hop=dp.addr(THEM))
        gone = dp.Object(dp.CLASS['path'], P_FREE)
        self.control.call('PATH_SET', path)
        self.control.call('PROBE_SET', probe(0, P_FREE, US, TARGET),
                          probe(1, P_ER, US, TARGET, generation=2))
        self.must_become(0, UP)
        self.refused(errno.EBUSY, 'OBJECT_DEL', gone)
        path.next_hop = dp.addr('10.9.0.98')
        self.control.call('PATH_SET', path)
        self.assertEqual(self.stats(0).state, UNKNOWN)
        self.must_become(0, DOWN)
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['probe'], 2))
        self.assertEqual([r.id for r in self.control.call('GET_PROBES')], [1])
        self.control.call('OBJECT_DEL', gone)

    def test_as_many_as_there_may_be_run_at_once(self):
        self.far.mood = self.far.silence
        every = [probe(i, P_ER, US, TARGET, kind=1 + i % 2, interval_ms=1000, timeout_ms=900)
                 for i in range(4096)]
        began = time.monotonic()
        for i in range(0, 4096, 512):
            self.control.call('PROBE_SET', *every[i:i + 512])
        time.sleep(max(0, began + 2.5 - time.monotonic()))
        rows = self.control.call('GET_PROBES')
        took = time.monotonic() - began
        self.assertEqual([r.id for r in rows], list(range(4096)))
        self.assertLessEqual(max(r.sent for r in rows), took + 2)
        self.assertGreaterEqual(min(r.sent for r in rows), 1)
        self.assertEqual({r.lost_why for r in rows} - {0, SILENCE}, set())
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['probe'], 9))


class Tunnel(Watching, unittest.TestCase):
    """Through ESP, from one data plane to a host behind another."""

    def setUp(self):
        self.a = mt.Gateway('a', 1, 2, True)
        self.addCleanup(self.close, self.a)
        self.b = mt.Gateway('b', 2, 1, False)
        self.addCleanup(self.close, self.b)
        self.a.knows(self.b)
        self.b.knows(self.a)
        self.to_b = bed.Wire('p-wanb')
        self.addCleanup(self.to_b.close)
        self.control = self.a.control
        self.far = Far('h-lanb')
        self.far.dst = None
        self.addCleanup(self.far.stop)

    close = tt.Bed.close
    sa = tt.Bed.sa

    def set(self, pid, kind=ICMP_KIND, six=False, **more):
        self.control.call('PROBE_SET', probe(
            pid, tt.P_TUN, 'fd00:1::1' if six else '10.1.0.1',
            self.b.host6 if six else self.b.host, kind, **more))

    def law(self):
        self.forget()
        for g in (self.a, self.b):
            self.assertTrue(bed.settle(g.control))

    def test_probes_of_every_sort_pass_as_the_gateways_own_though_the_path_is_down(self):
        self.sa(0)
        self.control.call('PATH_STATE', dp.PathState(tt.P_TUN, 0, 0))
        for pid in range(4):
            self.set(pid, 1 + pid % 2, pid >= 2, timeout_ms=1000)
        for pid in range(4):
            self.must_become(pid, UP)
            s = self.wait_stats(pid, lambda s: s.received >= 3)
            self.assertEqual((s.lost, s.other_way), (0, 0))
        t = self.a.tunnel_stats()
        self.assertGreaterEqual(t.own_out, 12)
        self.assertGreaterEqual(t.own_in, 12)
        self.assertEqual((t.transit_out, t.transit_in, t.violations), (0, 0, 0))
        self.law()

    def test_without_an_sa_nothing_is_sent_and_all_is_lost(self):
        self.set(0, timeout_ms=10000)
        self.must_become(0, DOWN, 3)
        s = self.stats(0)
        self.assertEqual((s.lost_why, s.received), (NO_WAY, 0))
        self.assertTrue(self.to_b.quiet(lambda f: IP in f))
        spi_a, _ = self.sa(0)
        self.must_become(0, UP)
        self.a.iked.call('SA_DELETE', dp.SaRef(spi_a, 3))
        self.must_become(0, DOWN)
        self.assertEqual(self.stats(0).lost_why, NO_WAY)
        self.law()

    def test_a_full_packet_passes_and_one_byte_more_is_too_big(self):
        self.sa(0)
        for pid, (size, six) in enumerate(((tt.MTU, False), (tt.MTU, True), (tt.MTU + 1, False),
                                           (tt.MTU + 1, True))):
            self.set(pid, size=size, six=six)
        for pid in (0, 1):
            self.must_become(pid, UP)
        for pid in (2, 3):
            self.must_become(pid, DOWN)
            s = self.stats(pid)
            self.assertEqual((s.lost_why, s.lost_mtu, s.received), (TOO_BIG, tt.MTU, 0))
        self.law()

    def test_a_far_end_that_stops_is_seen_through_the_tunnel(self):
        self.sa(dp.SA_UDP)
        self.set(0, TWAMP_KIND, six=True)
        self.must_become(0, UP)
        self.far.mood = self.far.silence
        ev = self.must_become(0, DOWN)
        self.assertLess(ev.at_ns - ev.last_ok_ns, 391 * MS + SLACK)
        self.assertEqual(self.stats(0).lost_why, SILENCE)
        self.far.mood = self.far.answer
        self.must_become(0, UP)
        self.law()


class Reflector(unittest.TestCase):
    """The lab's reflector, over sockets."""

    def test_it_answers_with_what_was_sent_in_both_families(self):
        for address in ('127.0.0.1', '::1'):
            s = reflector.listen(address, 0)
            self.addCleanup(s.close)
            k = reflector.socket.socket(s.family, reflector.socket.SOCK_DGRAM)
            self.addCleanup(k.close)
            k.settimeout(3)
            for size in (14, 41, 1000):
                asked = reflector.SENDER.pack(7, 0x1122334455667788, 0x1001).ljust(size, b'p')
                k.sendto(asked, s.getsockname()[:2])
                reflector.reflect_one(s)
                got = k.recv(2000)
                fields = reflector.REFLECTED.unpack_from(got)
                self.assertEqual(len(got), max(size, 41))
                self.assertEqual((fields[0], *fields[5:8]), (7, 7, 0x1122334455667788, 0x1001))
                self.assertLessEqual(fields[4], fields[1])
                self.assertEqual(fields[9], 64)


if __name__ == '__main__':
    bed.enter_namespace()
    with open('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'w') as f:
        f.write('0')
    for n in ('lan', 'er', 'wan', 'lana', 'lanb'):
        bed.veth(f'p-{n}', f'h-{n}')
    bed.veth('p-wana', 'p-wanb')
    sys.exit(bed.main())
