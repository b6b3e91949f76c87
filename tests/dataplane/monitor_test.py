#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""BFD in the real spillway-dataplane on af_packet ports, against a peer of the test's own. Test
names state the rule. Run as root."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import bfd_peer  # noqa: E402
import dpclient as dp  # noqa: E402
from bfd_peer import ADMIN_DOWN, AUTH, DOWN, INIT, POLL, UP, control  # noqa: E402
from routing_bed import ER_IF, LAN_IF, WAN_IF, RoutingBed  # noqa: E402
from scapy.all import ARP, Ether, ICMP, IP, Raw, UDP  # noqa: E402

P_ER, P_LAN, P_WAN, P_OTHER, P_ER6, P_LATE = 1, 2, 3, 4, 5, 6
G_VNET, G_LAN = 1, 2
GW, HOST, VNET = '10.1.0.1', '10.1.0.2', '10.2.3.4'
US, HOP, OTHER_HOP = '172.16.0.1', '172.16.0.2', '172.16.0.6'
US6, HOP6 = '2001:db8:16::1', '2001:db8:16::2'
LINK, LINK_HOP = 'fe80::1', 'fe80::ee'
MS = 1_000_000
# A verdict waits so long at most when workers are kept from the processor; and for the thread.
LATE_MS = 100 + 60


class Bfd(RoutingBed):
    @classmethod
    def objects(cls):
        call = cls.control.call
        cls.three_interfaces()
        cls.twin_up(f'{GW}/24')
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW}/24')),
             dp.Address(ER_IF, 1, dp.prefix(f'{US}/29')),
             dp.Address(ER_IF, 1, dp.prefix(f'{US6}/126')),
             dp.Address(ER_IF, 1, dp.prefix(f'{LINK}/64')),
             dp.Address(WAN_IF, 1, dp.prefix('198.51.100.1/24')))
        call('PATH_SET', cls.adjacency(P_ER, ER_IF, HOP), cls.adjacency(P_OTHER, ER_IF, OTHER_HOP),
             cls.adjacency(P_ER6, ER_IF, HOP6), cls.adjacency(P_WAN, WAN_IF, '198.51.100.254'),
             dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF))
        call('GROUP_SET', dp.group(G_VNET, [dp.tier(1, [P_ER]), dp.tier(3, [P_WAN])]),
             dp.group(G_LAN, [dp.tier(0, [P_LAN])]))
        call('ROUTE_SET', dp.Route(dp.prefix('10.2.0.0/16'), G_VNET, 1),
             dp.Route(dp.prefix('10.1.0.0/24'), G_LAN, 1))
        er = bed.mac_of('h-er')
        for iface, a, m in ((ER_IF, HOP, er), (ER_IF, OTHER_HOP, er), (ER_IF, HOP6, er),
                            (ER_IF, LINK_HOP, er), (LAN_IF, HOST, bed.mac_of('h-lan')),
                            (WAN_IF, '198.51.100.254', bed.mac_of('h-wan'))):
            call('NEIGH_SET', dp.Neigh(iface, 1, dp.addr(a), dp.mac(m), 1))

    @staticmethod
    def adjacency(pid, iface, hop):
        return dp.Path(id=pid, generation=1, kind=dp.ADJACENCY, iface=iface, next_hop=dp.addr(hop))

    def setUp(self):
        super().setUp()
        for p in (P_ER, P_LAN, P_WAN, P_OTHER, P_ER6):
            self.raise_path(p)
        self.peers = []

    def tearDown(self):
        for p in self.peers:
            p.close()
        for s in self.control.call('GET_BFD'):
            self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['bfd'], s.id))
        super().tearDown()

    def peer(self, ours=HOP, theirs=US, **kw):
        p = bfd_peer.Peer(self.er, self.macs['er'], ours, theirs, **kw)
        self.peers.append(p)
        return p

    def session(self, sid=0, peer=HOP, local=US, ms=50, mult=3, **kw):
        s = dict(id=sid, generation=1, iface=ER_IF, detect_mult=mult, min_tx_us=ms * 1000,
                 min_rx_us=ms * 1000, local=dp.addr(local), peer=dp.addr(peer)) | kw
        self.control.call('BFD_SET', dp.Bfd(**s))

    def path(self, pid):
        return next(p for p in self.control.call('GET_PATHS') if p.id == pid)

    def raise_path(self, pid):
        self.control.call('PATH_STATE', dp.PathState(pid, 1, self.path(pid).clears))

    def stats(self, sid=0):
        return next(s for s in self.control.call('GET_BFD') if s.id == sid)

    def becomes(self, state, sid=0, timeout=8):
        ev = self.control.wait_event(
            lambda n, e: n == 132 and e.id == sid and e.state == state, timeout)
        self.assertIsNotNone(ev, f'session {sid} did not become {state}: {self.stats(sid)}')
        return ev

    def all_become(self, state, sids):
        """The same of several sessions, in any order; their events by id."""
        got = {}
        while len(got) < len(sids):
            ev = self.control.wait_event(
                lambda n, e: n == 132 and e.id in sids and e.state == state, 8)
            self.assertIsNotNone(ev, f'of {sids} only {list(got)} became {state}')
            got[ev.id] = ev
        return got

    def come_up(self, sid=0, **kw):
        p = self.peer(**kw)
        self.session(sid, peer=p.ours, local=p.theirs)
        self.becomes(UP, sid)
        return p

    def cleared(self, pid):
        """The event of a clear; those before it are gone."""
        ev = self.control.wait_event(lambda n, e: n == 131 and e.kind == 1 and e.path == pid)
        self.assertIsNotNone(ev, f'no word of path {pid}')
        return ev

    def no_false_down(self, peer, work, tries=4):
        """`work` runs for some time, and the session stands; when the test's own peer was kept
        from sending, it shows nothing and is done again."""
        for _ in range(tries):
            downs, since = self.stats().downs, time.monotonic()
            work()
            own = peer.gap(since)
            if own < 0.1:
                self.assertEqual(self.stats().downs, downs, f'own silence {own}')
                return
            peer.restart()
            time.sleep(0.5)
            if self.stats().state != UP:
                self.becomes(UP)
        self.skipTest('this machine is too busy to keep a peer of 20 ms alive')


class Sessions(Bfd):
    def test_it_comes_up_and_both_ends_intervals_are_honoured(self):
        p = self.peer(min_tx=60000, min_rx=80000, mult=4)
        self.session()
        ev = self.becomes(UP)
        # Whichever end was first: the peer was in Init, or up already (RFC 5880 6.8.6).
        self.assertEqual(ev.was_up, 0)
        self.assertIn(ev.remote_state, (INIT, UP))
        time.sleep(2)
        s = self.stats()
        self.assertEqual((s.state, s.remote_state, s.was_up, s.ups, s.downs, s.bad),
                         (UP, UP, 1, 1, 0, 0))
        self.assertEqual((s.tx_us, s.detect_us, s.detect_mult, s.remote_mult),
                         (80000, 240000, 3, 4))
        self.assertEqual((s.remote_disc, s.local_disc), (p.my, p.heard[-1].my))
        up = [h for h in p.heard if h.state == UP and not h.flags & 0x10]
        gaps = sorted(b.at - a.at for a, b in zip(up[2:], up[3:]))
        self.assertGreater(gaps[len(gaps) // 2], 0.059)
        self.assertLess(gaps[len(gaps) // 2], 0.082)
        for h in p.heard:
            self.assertEqual((h.version, h.ttl, h.dport, h.length, h.min_echo),
                             (1, 255, 3784, 24, 0))
            self.assertGreaterEqual(h.sport, 49152)
        self.assertEqual(len({(h.sport, h.my) for h in p.heard}), 1)

    def test_it_is_slow_until_up_and_polls_for_the_fast_interval(self):
        p = self.come_up()
        before = [h for h in p.heard if h.state != UP]
        self.assertTrue(all(h.min_tx == 1000000 and h.min_rx == 50000 for h in before))
        deadline = time.monotonic() + 5
        while not any(h.state == UP for h in p.heard) and time.monotonic() < deadline:
            time.sleep(0.01)
        first = next(h for h in p.heard if h.state == UP)
        self.assertTrue(first.flags & POLL)
        self.assertEqual(first.min_tx, 50000)
        deadline = time.monotonic() + 5
        while p.heard[-1].flags & POLL and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(p.heard[-1].flags & POLL, 'the Final ended it')

    def test_silence_clears_the_bits_of_its_next_hop_alone_and_then_tells(self):
        p = self.come_up()
        for f in (self.lan, self.er, self.wan):
            f.flush()
        was = self.path(P_ER).clears
        p.silent = True
        ev = self.becomes(DOWN)
        silence = (ev.at_ns - ev.last_rx_ns) / MS
        self.assertGreaterEqual(silence, 150)
        self.assertLess(silence, 150 + LATE_MS)
        self.assertLess(abs(p.sent_at[-1] * 1e9 - ev.last_rx_ns) / MS, LATE_MS)
        self.assertEqual((ev.diag, ev.was_up), (1, 1))
        path = self.path(P_ER)
        self.assertEqual((path.up, path.clears, path.changed_ns), (0, was + 1, ev.at_ns))
        self.assertEqual([self.path(n).up for n in (P_OTHER, P_ER6, P_WAN)], [1, 1, 1])
        frame = Ether(src=self.lan.mac, dst=self.macs['lan']) / IP(src=HOST, dst=VNET) / \
            UDP(sport=1, dport=2) / Raw(b'x' * 40)
        self.lan.send(frame)
        self.assertIsNotNone(self.wan.receive(lambda f: IP in f and f[IP].dst == VNET))
        p.restart()
        self.becomes(UP)
        self.assertEqual(self.path(P_ER).up, 0, 'only controld sets a bit')
        self.refused(116, 'PATH_STATE', dp.PathState(P_ER, 1, was))
        self.raise_path(P_ER)
        self.assertEqual(self.path(P_ER).up, 1)

    def test_the_cleared_path_is_told_with_the_same_time(self):
        p = self.come_up()
        p.silent = True
        path = self.cleared(P_ER)
        self.assertFalse([n for n, _ in self.control.events if n == 132], 'the path comes first')
        self.assertEqual(self.becomes(DOWN).at_ns, path.change_ns)

    def test_the_peers_down_is_a_verdict_at_once(self):
        p = self.come_up()
        p.fixed, p.diag = DOWN, 1
        at = time.monotonic_ns()
        ev = self.becomes(DOWN)
        self.assertEqual((ev.diag, ev.remote_diag, ev.remote_state, ev.was_up), (3, 1, DOWN, 1))
        self.assertLess(ev.at_ns - at, LATE_MS * MS)
        self.assertEqual(self.path(P_ER).up, 0)

    def test_a_peer_that_starts_again_is_a_verdict_and_comes_back(self):
        p = self.come_up()
        p.restart()
        self.assertEqual(self.becomes(DOWN).diag, 3)
        self.becomes(UP)
        self.assertEqual(self.stats().remote_disc, p.my)

    def test_admin_down_of_either_side_and_deletion_clear_nothing(self):
        p = self.come_up()
        was = self.path(P_ER).clears
        p.fixed, p.diag = ADMIN_DOWN, 7
        ev = self.becomes(DOWN)
        self.assertEqual((ev.was_up, ev.remote_diag, ev.remote_state), (1, 7, ADMIN_DOWN))
        p.fixed, p.diag = None, 0
        self.becomes(UP)
        self.session(admin_down=1)
        self.becomes(ADMIN_DOWN)
        time.sleep(0.1)
        self.assertEqual((p.heard[-1].state, p.heard[-1].diag), (ADMIN_DOWN, 7))
        self.session()
        self.becomes(UP)
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['bfd'], 0))
        time.sleep(0.4)
        path = self.path(P_ER)
        self.assertEqual((path.up, path.clears), (1, was))

    def test_ipv6_global_and_link_local(self):
        for sid, ours, theirs in ((1, HOP6, US6), (2, LINK_HOP, LINK)):
            with self.subTest(peer=ours):
                p = self.come_up(sid, ours=ours, theirs=theirs)
                self.assertTrue(p.heard[-1].six)
                self.assertEqual((p.heard[-1].ttl, p.heard[-1].tos), (255, 0xC0))
                p.silent = True
                self.assertEqual(self.becomes(DOWN, sid).was_up, 1)
        self.assertEqual([self.path(n).up for n in (P_ER6, P_ER, P_OTHER)], [0, 1, 1])

    def test_a_path_that_comes_later_is_cleared_too(self):
        p = self.come_up()
        self.control.call('PATH_SET', self.adjacency(P_LATE, ER_IF, HOP))
        self.raise_path(P_LATE)
        p.silent = True
        self.becomes(DOWN)
        self.assertEqual((self.path(P_LATE).up, self.path(P_ER).up), (0, 0))
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['path'], P_LATE))

    def test_other_timers_are_negotiated_while_it_stands(self):
        p = self.come_up(min_tx=20000, min_rx=20000, mult=5)
        self.session(ms=100, mult=4)
        time.sleep(1)
        s = self.stats()
        self.assertEqual((s.tx_us, s.detect_us, s.detect_mult, s.downs), (100000, 500000, 4, 0))
        self.assertEqual((p.heard[-1].min_tx, p.heard[-1].mult), (100000, 4))
        self.session(ms=40)
        time.sleep(1)
        s = self.stats()
        self.assertEqual((s.tx_us, s.detect_us, s.downs, s.ups), (40000, 200000, 0, 1))

    def test_the_same_again_goes_on_and_a_sweep_takes_the_old(self):
        self.come_up()
        disc = self.stats().local_disc
        self.session(generation=7)
        s = self.stats()
        self.assertEqual((s.local_disc, s.ups, s.state), (disc, 1, UP))
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['bfd'], 7))
        self.assertEqual(self.stats().state, UP)
        self.control.call('SWEEP', dp.Sweep(dp.CLASS['bfd'], 8))
        self.assertEqual(self.control.call('GET_BFD'), [])

    def test_another_neighbour_under_the_same_id_is_a_new_session(self):
        self.come_up()
        disc = self.stats().local_disc
        self.session(peer=OTHER_HOP)
        s = self.stats()
        self.assertNotEqual(s.local_disc, disc)
        self.assertEqual((s.state, s.was_up, s.rx), (DOWN, 0, 0))
        self.assertEqual(self.path(P_ER).up, 1)

    def test_it_is_tagged_on_a_sub_interface_and_goes_with_it(self):
        self.control.call('IFACE_SET', dp.Iface(
            id=9, generation=1, name=b'er.9', kind=dp.KIND_VLAN, role=dp.EXPRESSROUTE, port=1,
            mtu=1500, up=1, vlan_outer=9))
        self.control.call('ADDR_SET', dp.Address(9, 1, dp.prefix('172.16.9.1/30')))
        self.control.call('NEIGH_SET', dp.Neigh(9, 1, dp.addr('172.16.9.2'),
                                                dp.mac(self.er.mac), 1))
        p = self.peer(ours='172.16.9.2', theirs='172.16.9.1', vlan=9)
        self.session(3, peer=p.ours, local=p.theirs, iface=9)
        self.becomes(UP, 3)
        self.assertEqual({h.ttl for h in p.heard}, {255})
        self.session(4)
        self.control.call('OBJECT_DEL', dp.Object(dp.CLASS['iface'], 9))
        self.assertEqual([s.id for s in self.control.call('GET_BFD')], [4])

    def test_what_makes_no_sense_is_refused_and_changes_nothing(self):
        self.session(7)
        good = dict(generation=1, iface=ER_IF, detect_mult=3, min_tx_us=50000, min_rx_us=50000,
                    local=dp.addr(US), peer=dp.addr(OTHER_HOP))
        bad = [({'id': 256}, 22), ({'detect_mult': 1}, 22), ({'detect_mult': 256}, 22),
               ({'min_tx_us': 9999}, 22), ({'min_rx_us': 60000001}, 22), ({'iface': 99}, 2),
               ({'iface': 0}, 2), ({'peer': dp.addr(HOP6)}, 97), ({'peer': dp.addr(US)}, 97),
               ({'peer': dp.addr(None)}, 97), ({'peer': dp.addr(HOP)}, 17)]
        for change, status in bad:
            with self.subTest(change=change):
                e = self.refused(status, 'BFD_SET', dp.Bfd(**({'id': 1} | good)),
                                 dp.Bfd(**({'id': 2} | good | {'peer': dp.addr('172.16.0.3')} |
                                           change)))
                self.assertEqual(e.index, 1)
                self.assertEqual([s.id for s in self.control.call('GET_BFD')], [7])
        self.refused(22, 'BFD_SET', *[dp.Bfd(**({'id': 1} | good))] * 2)
        self.refused(2, 'OBJECT_DEL', dp.Object(dp.CLASS['bfd'], 1))


class Wire(Bfd):
    def test_what_rfc_5880_discards_is_counted_and_does_nothing(self):
        p = self.come_up()
        p.silent = True  # and the test speaks for it
        say = lambda **k: control(k.pop('state', UP), k.pop('my', p.my), k.pop('your', p.your), **k)
        cases = [(say(state=DOWN, version=0), {}), (say(state=DOWN, mult=0), {}),
                 (say(state=DOWN, length=23), {}), (say(state=DOWN, length=25), {}),
                 (say(state=DOWN, flags=0x01), {}), (say(state=DOWN, my=0), {}),
                 (say(state=INIT, your=0), {}), (say(state=DOWN, your=p.your ^ 1), {}),
                 (say(state=DOWN, flags=AUTH, length=26, extra=b'\1\2'), {}),
                 (say(state=DOWN), {'ttl': 254}), (say(state=DOWN)[:23], {})]
        for n, (payload, ip) in enumerate(cases, 1):
            p.send(say())
            p.send(payload, **ip)
        p.send(say())
        for _ in range(40):
            if self.stats().bad >= len(cases):
                break
            p.send(say())
            time.sleep(0.02)
        s = self.stats()
        self.assertEqual((s.bad, s.downs, s.state), (len(cases), 0, UP))
        p.silent = False

    def test_only_the_neighbour_itself_is_heard(self):
        p = self.come_up()
        rx = self.stats().rx
        down = control(DOWN, p.my, p.your)
        p.ours, real = OTHER_HOP, p.ours
        p.send(down)
        p.ours = real
        self.lan.send(bytes.fromhex(self.macs['lan'].replace(':', '')) +
                      bytes.fromhex(self.lan.mac.replace(':', '')) + b'\x08\x00' +
                      bfd_peer.datagram(HOP, US, down))
        time.sleep(0.3)
        s = self.stats()
        self.assertEqual((s.state, s.downs, s.bad), (UP, 0, 0))
        self.assertGreater(s.rx, rx)

    def test_without_a_session_over_the_interface_packets_go_to_the_kernel(self):
        """A daemon on the twin may speak BFD there."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind((GW, 3784))
        s.settimeout(3)
        payload = control(DOWN, 5, 0)
        self.lan.send(bytes.fromhex(self.macs['lan'].replace(':', '')) +
                      bytes.fromhex(self.lan.mac.replace(':', '')) + b'\x08\x00' +
                      bfd_peer.datagram(HOST, GW, payload))
        self.assertEqual(s.recv(100), payload)

    def test_an_unknown_neighbour_is_asked_for(self):
        self.session(peer='172.16.0.4')
        ev = self.control.wait_event(lambda n, e: n == 130 and str(e.addr) == '172.16.0.4')
        self.assertIsNotNone(ev)
        self.assertEqual(ev.iface, ER_IF)
        p = self.peer(ours='172.16.0.4')
        self.control.call('NEIGH_SET', dp.Neigh(ER_IF, 1, dp.addr('172.16.0.4'),
                                                dp.mac(self.er.mac), 1))
        self.becomes(UP)
        self.assertTrue(p.heard)
        self.control.call('NEIGH_DEL', dp.Neigh(ER_IF, 1, dp.addr('172.16.0.4'),
                                                dp.mac(self.er.mac), 1))

    def test_own_packets_are_no_transit_of_the_path(self):
        before = self.path(P_ER).packets
        self.come_up()
        time.sleep(0.3)
        self.assertGreater(self.stats().tx, 4)
        self.assertEqual(self.path(P_ER).packets, before)


class Stalls(Bfd):
    def test_a_client_that_stands_still_takes_no_session_down(self):
        p = self.come_up()
        pid = os.fork()
        if pid == 0:
            self.dataplane.client(subscribe=15, name='controld')
            signal.pause()
        try:
            time.sleep(0.2)

            def stall():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.4)
                os.kill(pid, signal.SIGCONT)
            self.no_false_down(p, stall)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def test_requests_without_end_take_no_session_down(self):
        """Routes come and go, and the API thread waits for grace each time."""
        p = self.come_up()

        def churn():
            end = time.monotonic() + 1
            while time.monotonic() < end:
                routes = [dp.Route(dp.prefix(f'10.9.{n}.0/24'), G_VNET, 1) for n in range(200)]
                self.control.call('ROUTE_SET', *routes)
                self.control.call('ROUTE_DEL', *routes)
        self.no_false_down(p, churn)

    def test_a_flood_for_the_kernel_takes_no_session_down(self):
        p = self.come_up()
        head = Ether(src=self.lan.mac, dst=self.macs['lan'])
        frames = [bytes(head / IP(src=HOST, dst=GW) / ICMP() / Raw(b'x' * 56)),
                  bytes(head / ARP(op=1, hwsrc=self.lan.mac, psrc=HOST, pdst=GW)),
                  bytes(head / IP(src=HOST, dst=GW, ttl=255) / UDP(sport=9, dport=9) / b'x')]

        def flood():
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                for _ in range(50):
                    self.lan.send(*frames)
                time.sleep(0.001)
        self.no_false_down(p, flood)
        self.assertGreater(self.control.totals()['mirrored'], 1000)

    def test_a_stall_of_the_data_plane_itself_is_no_silence_of_the_peer(self):
        """What came meanwhile is read first."""
        p = self.come_up()

        def stall():
            self.dataplane.process.send_signal(signal.SIGSTOP)
            time.sleep(0.14)
            self.dataplane.process.send_signal(signal.SIGCONT)
            time.sleep(0.3)
        p.fixed = UP  # it would say Down after our own silence
        self.no_false_down(p, stall)


BIRD = """
router id 1.1.1.1;
protocol device {}
protocol bfd {
    interface "h-er" { min rx interval 60 ms; min tx interval 40 ms; multiplier 5; };
    neighbor %s dev "h-er" local %s;
    neighbor %s dev "h-er" local %s;
}
"""


class Interop(Bfd):
    """BIRD's BFD on the far end of the port."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dir = tempfile.mkdtemp(prefix='spw-bird-')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        with open('/proc/sys/net/ipv6/conf/h-er/disable_ipv6', 'w') as f:
            f.write('0')
        bed.run('ethtool', '-K', 'h-er', 'tx', 'off')
        for ours, us, n in ((HOP, US, 29), (HOP6, US6, 126)):
            bed.run('ip', 'addr', 'add', f'{ours}/{n}', 'dev', 'h-er', *['nodad'] * (n > 32))
            bed.run('ip', 'neigh', 'replace', us, 'lladdr', cls.macs['er'], 'dev', 'h-er')
        with open(f'{cls.dir}/conf', 'w') as f:
            f.write(BIRD % (US, HOP, US6, HOP6))

    def bird(self):
        child = subprocess.Popen(['bird', '-f', '-c', f'{self.dir}/conf', '-s', f'{self.dir}/ctl',
                                  '-P', f'{self.dir}/pid'], preexec_fn=bed.die_with_parent)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def shown(self):
        """BIRD's own view: state, interval and timeout by peer."""
        out = subprocess.run(['birdc', '-s', f'{self.dir}/ctl', 'show', 'bfd', 'sessions'],
                             check=True, capture_output=True, text=True).stdout
        rows = [line.split() for line in out.splitlines() if 'h-er' in line]
        return {r[0]: (r[2], r[-2], r[-1]) for r in rows}

    def test_bird_agrees_on_state_and_timers_and_its_end_is_seen(self):
        child = self.bird()
        self.session(0)
        self.session(1, peer=HOP6, local=US6)
        self.all_become(UP, (0, 1))
        time.sleep(1)
        for sid in (0, 1):
            s = self.stats(sid)
            self.assertEqual((s.tx_us, s.detect_us, s.remote_mult, s.downs, s.bad),
                             (60000, 250000, 5, 0, 0))
        # BIRD sends every 50 ms, and misses us after three times 60 ms.
        for us in (US, US6):
            self.assertEqual(self.shown()[us], ('Up', '0.050', '0.180'))
        child.kill()
        for ev in self.all_become(DOWN, (0, 1)).values():
            self.assertEqual((ev.diag, ev.was_up), (1, 1))
            self.assertGreaterEqual(ev.at_ns - ev.last_rx_ns, 250 * MS)
        self.assertEqual((self.path(P_ER).up, self.path(P_ER6).up), (0, 0))
        child.wait()
        self.bird()
        self.all_become(UP, (0, 1))


class TwoWorkers(Bfd):
    options = ('--workers', '2')
    test_silence = Sessions.test_silence_clears_the_bits_of_its_next_hop_alone_and_then_tells
    test_ipv6 = Sessions.test_ipv6_global_and_link_local
    test_refused = Wire.test_what_rfc_5880_discards_is_counted_and_does_nothing


if __name__ == '__main__':
    bed.enter_namespace()
    for n in ('lan', 'er', 'wan'):
        bed.veth(f'p-{n}', f'h-{n}')
    sys.exit(bed.main())
