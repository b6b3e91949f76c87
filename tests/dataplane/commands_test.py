#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Commands in any order, by chance: objects set twice, moved, taken away while in use, named when they
are not there, with numbers at and beyond their ends, from both clients; between them packets from both
sides, some for live SAs. Whatever is refused or accepted, the data plane lives, every packet ends
somewhere, and no buffer stays behind. Run as root; SPW_SEED repeats a run."""
import ipaddress
import os
import random
import secrets
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cases'))
import casebed as cb  # noqa: E402
import dpclient as dp  # noqa: E402
import esp  # noqa: E402
import frames as f  # noqa: E402
from table import far_to_host, host_to_far  # noqa: E402

LONG = os.environ.get('SPW_LONG') == '1'
SEED = int(os.environ.get('SPW_SEED', '1'))
COMMANDS = 50000 if LONG else 300
R = random.Random(SEED)
V4 = ('10.1.0.2', '10.2.0.5', '10.6.0.9', '198.51.100.254', '203.0.113.9', '10.1.0.1', '0.0.0.0',
      '255.255.255.255')
V6 = ('2001:db8:2::5', '2001:db8:1::1', '2001:db8:ffff::fe', '2001:db8:eeee::9', 'fe80::1', 'ff02::1', '::')
TUNNELS = (5, 6, 7, 8)
PATHS, IFACES, GROUPS = 12, 9, 8
SaMove = dp.struct('SaMove', ('spi_in', dp.u32), ('remote_port', dp.u16), ('local_port', dp.u16),
                   ('remote', dp.Addr))


def address(six=None):
    return R.choice(V6 if (R.random() < 0.4 if six is None else six) else V4)


def number(n):
    """An id below n, and now and then none."""
    return R.randrange(n) if R.random() < 0.9 else R.choice((n, 1 << 16, 0xFFFFFFFF, R.randrange(1 << 17)))


def generation():
    return R.randrange(1, 6)


def interface():
    vlan = R.random() < 0.2
    return dp.Iface(id=number(IFACES), generation=generation(), name=b'i%d' % R.randrange(9),
                    kind=2 if vlan else R.choice((1, 1, 3, R.randrange(6))), role=R.randrange(6),
                    port=R.choice((0, 1, *TUNNELS, R.randrange(9))), mtu=R.choice((1500, 1400, 576, 500)),
                    up=R.random() < 0.8, vlan_outer=R.choice((100, 200, 4095)) if vlan else 0,
                    vlan_inner=R.choice((0, 7)) if vlan else 0, mss_clamp=R.choice((0, 1200)),
                    vlan_tpid=R.choice((0, 0x8100, 0x88a8, 1)))


def tunnel():
    six = R.random() < 0.3
    return dp.Tunnel(id=R.choice((*TUNNELS, number(20))), generation=generation(), name=b't',
                     local=dp.addr(address(six)), remote=dp.addr(address(six)),
                     mtu=R.choice((1400, 1300, 576, 100, 9000)), mss_clamp=R.choice((0, 1200, 70000)),
                     outer_path=R.choice((dp.NONE, dp.NONE, number(PATHS))), outer_df=R.randrange(4),
                     capacity_kbps=R.choice((0, 0, 100, 100000)))


def path():
    return dp.Path(id=number(PATHS), generation=generation(), kind=R.choice((1, 2, 3, 3, 4, 5, 7)),
                   iface=number(IFACES), tunnel=R.choice(TUNNELS), next_hop=dp.addr(address()))


def group():
    tiers = [dp.tier(R.randrange(5), [R.randrange(PATHS) for _ in range(R.randrange(1, 5))])
             for _ in range(R.randrange(5))]
    return dp.group(number(GROUPS), tiers, R.randrange(2), generation())


def route():
    a = address()
    net = ipaddress.ip_network(f'{a}/{R.randrange(129 if ":" in a else 33)}', strict=False)
    return dp.Route(dp.prefix(str(net)), number(GROUPS), generation())


def bfd():
    six = R.random() < 0.3
    return dp.Bfd(id=number(6), generation=generation(), iface=number(IFACES), detect_mult=R.randrange(1, 4),
                  min_tx_us=R.choice((10000, 50000, 1)), min_rx_us=10000, admin_down=R.randrange(2),
                  local=dp.addr(address(six)), peer=dp.addr(address(six)))


def probe():
    return dp.Probe(id=number(6), generation=generation(), path=R.randrange(PATHS), kind=R.randrange(1, 4),
                    interval_ms=R.choice((100, 200, 50)), timeout_ms=100, fall=2, rise=2,
                    size=R.choice((64, 1400, 9000)), port=862, dscp=R.randrange(70),
                    source=dp.addr(cb.GW_LAN), target=dp.addr('10.2.0.5'))


class Chaos:
    def __init__(self, gw):
        self.gw, self.spis, self.said = gw, [], {}
        control, iked = gw.control.call, gw.iked.call
        self.rows = [
            (4, control, 'IFACE_SET', interface), (4, control, 'TUNNEL_SET', tunnel),
            (5, control, 'PATH_SET', path), (5, control, 'GROUP_SET', group), (6, control, 'ROUTE_SET', route),
            (3, control, 'ROUTE_DEL', route), (2, control, 'BFD_SET', bfd), (2, control, 'PROBE_SET', probe),
            (4, control, 'ADDR_SET', self.own), (1, control, 'ADDR_DEL', self.own),
            (4, control, 'NEIGH_SET', self.neighbour), (2, control, 'NEIGH_DEL', self.neighbour),
            (6, control, 'PATH_STATE', lambda: dp.PathState(number(PATHS), R.randrange(2), R.randrange(3))),
            (6, control, 'OBJECT_DEL', lambda: dp.Object(R.choice((2, 5, 6, 7, 9, 10, R.randrange(12))),
                                                        number(PATHS))),
            (1, control, 'SWEEP', lambda: dp.Sweep(R.randrange(12), R.randrange(5))),
            (1, control, 'LINK_STATE', lambda: dp.Link(number(3), R.randrange(2), 0)),
            (1, control, 'GET_FIB', lambda: dp.FibQuery(dp.addr(address()))),
            (6, self.allocate, 'SPI_ALLOC', lambda: dp.Spi(R.choice(TUNNELS), 0)),
            (1, iked, 'SPI_FREE', lambda: dp.Spi(R.choice(TUNNELS), self.spi())),
            (6, iked, 'SA_INSTALL', self.install),
            (2, iked, 'SA_SWITCH', lambda: dp.SaRef(self.spi(), 0)),
            (2, iked, 'SA_DELETE', lambda: dp.SaRef(self.spi(), R.randrange(5))),
            (2, iked, 'SA_MOVE', lambda: SaMove(self.spi(), R.choice((0, 4500)), R.choice((0, 4500)),
                                                dp.addr(address())))]

    def own(self):
        return dp.Address(number(IFACES), generation(), dp.prefix(address() + '/24'))

    def neighbour(self):
        return dp.Neigh(number(IFACES), generation(), dp.addr(address()),
                        dp.mac(f'02:00:00:00:00:{R.randrange(256):02x}'), R.randrange(2))

    def spi(self):
        return R.choice(self.spis) if self.spis and R.random() < 0.9 else R.getrandbits(32)

    def allocate(self, name, row):
        self.spis = self.spis[-50:] + [self.gw.iked.call(name, row)[0].spi]

    def install(self):
        suite = R.choice(list(esp.SUITES.values()))
        spec = {'window': R.choice((0, 64, 4096, 65536, 70000)), 'udp': R.random() < 0.3,
                'esn': R.random() < 0.3}
        if R.random() < 0.5:
            spec[R.choice(('packets', 'bytes', 'seconds'))] = (R.choice((0, 1, 5)), R.choice((0, 3, 50)))
        keys = secrets.token_bytes(suite.key_len), secrets.token_bytes(suite.key_len)
        sa = self.gw.describe(R.choice((cb.T4, cb.T6)), suite, spec, self.spi(),
                              R.choice((R.getrandbits(32), 5)), keys)
        incarnation = self.gw.iked.hello.incarnation if R.random() < 0.95 else 1
        return dp.SaInstall(incarnation, R.randrange(2), 0, sa)

    def command(self):
        _, call, name, make = R.choices(self.rows, [row[0] for row in self.rows])[0]
        several = R.choice((1, 1, 2, 5)) if call == self.gw.control.call else 1
        self.ask(call, name, *(make() for _ in range(several)))

    def ask(self, call, name, *rows):
        try:
            call(name, *rows)
            self.said[0] = self.said.get(0, 0) + 1
        except dp.Refused as e:
            self.said[e.status] = self.said.get(e.status, 0) + 1

    def frame(self):
        gw = self.gw
        kind = R.randrange(6)
        if kind == 0 and gw.children:
            return R.choice(list(gw.children.values())).frame(far_to_host(size=R.randrange(40, 300)))
        if kind == 1:
            spi = self.spi().to_bytes(4, 'big')
            return gw.from_wan(f.ip4(cb.PEER, cb.US, R.choice((f.ESP, f.UDP, f.ICMP)),
                                     spi + secrets.token_bytes(R.randrange(200))))
        if kind == 2:
            return gw.from_lan(f.ip6(cb.HOST6, address(True), f.UDP, f.udp(1, 2, bytes(R.randrange(1500)))))
        if kind == 3:
            return gw.from_lan(f.ip4(cb.HOST, address(False), payload=f.udp(1, 2, bytes(60)),
                                     ttl=R.choice((1, 2, 64))))
        return gw.from_lan(host_to_far(size=R.randrange(40, 1600), ident=R.randrange(65536)))

    def restore(self):
        """As far as it may be, what the gateway began with: else soon nothing passes any more."""
        real = self.gw.control.call

        def softly(name, *rows, **kw):
            try:
                return real(name, *rows, **kw)
            except dp.Refused:
                return []
        self.gw.control.call = softly
        self.gw.objects()
        self.gw.objects6()
        softly('PATH_STATE', *(dp.PathState(p.id, 1, p.clears) for p in softly('GET_PATHS')))
        softly('LINK_STATE', dp.Link(0, 1, 0), dp.Link(1, 1, 0))
        del self.gw.control.call
        try:
            self.gw.child()
        except dp.Refused:
            pass

    def turn(self, n):
        self.command()
        if n % 4 == 0:
            for _ in range(R.randrange(1, 30)):
                port, frame = self.frame()
                self.gw.wire[port].send(frame)
        if n % 25 == 0:
            self.restore()
        if n % 50 == 0:
            for client in (self.gw.control, self.gw.iked):
                while client.wait_event(lambda number, event: True, 0):
                    pass
            for wire in self.gw.wire:
                wire.take()

    def settled(self):
        """Nothing that sends by itself any more, then: is every packet somewhere, and every buffer back?"""
        for cls in ('bfd', 'probe'):
            for i in range(6):
                self.ask(self.gw.control.call, 'OBJECT_DEL', dp.Object(dp.CLASS[cls], i))
        end = time.monotonic() + 5
        while time.monotonic() < end:
            ok, totals = self.gw.control.conserved()
            held = self.gw.control.call('GET_STATUS')[0].mbufs_in_use
            if ok and held == 0:
                return totals
            time.sleep(0.01)
        raise cb.Wrong(f'seed {SEED}: not conserved, or {held} buffers held: {totals}')


def main():
    cb.wires()
    gw = cb.Gateway(options=('--workers', '2'))
    chaos = Chaos(gw)
    for n in range(COMMANDS):
        chaos.turn(n)
        if gw.dataplane.process.poll() is not None:
            raise cb.Wrong(f'seed {SEED}: the data plane died at command {n}:\n' + gw.dataplane.text()[-3000:])
    totals = chaos.settled()
    if not totals['tx'] or not chaos.said.get(0) or len(chaos.said) < 4:
        raise cb.Wrong(f'seed {SEED}: nothing happened: {totals}, {chaos.said}')
    gw.close()
    print(f'ok - {COMMANDS} commands by chance, seed {SEED}: answers {chaos.said}, {totals}')


if __name__ == '__main__':
    main()
