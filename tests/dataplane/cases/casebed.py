# SPDX-License-Identifier: BSD-3-Clause
"""One real spillway-dataplane whose every neighbour is the test: a host on the LAN, a router on the
Internet side, and the far end of each tunnel, which is the second implementation of esp.py.

After every exchange two things are asked, whatever the case is about. Conservation: what was
received, came from the kernel or was created has been sent, dropped or mirrored; the drops by reason
add up to the drops; each frame that was counted as sent has been seen on a wire. Uniqueness: no ESP
packet ever repeated an IV under one key.
"""
import os
import secrets
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import esp  # noqa: E402
import frames as f  # noqa: E402

PACKET_IGNORE_OUTGOING = 23
LAN, WAN = 0, 1
NAMES = ('lan', 'wan')
LAN_IF, WAN_IF = 1, 2
P_LAN, P_WAN, P_T4, P_T6, P_WAN6 = 1, 2, 3, 4, 5
G_LAN, G_WAN, G_T4, G_T6, G_WAN6 = 1, 2, 3, 4, 5
T4, T6 = 5, 6
GW_LAN, GW_LAN6 = '10.1.0.1', '2001:db8:1::1'
HOST, HOST6 = '10.1.0.2', '2001:db8:1::2'
US, US6 = '198.51.100.1', '2001:db8:ffff::1'
PEER, PEER6 = '203.0.113.9', '2001:db8:eeee::9'
HOP, HOP6 = '198.51.100.254', '2001:db8:ffff::fe'
# A host behind each tunnel, of both families.
FAR = {(T4, 4): '10.2.0.5', (T4, 6): '2001:db8:2::5',
       (T6, 4): '10.6.0.5', (T6, 6): '2001:db8:6::5'}
MTU = 1400
# Frames that are sent before what came of them is awaited. The receive ring of a net_pcap port has
# eight blocks, and a block is used up by what comes in a millisecond, however little that is: what
# takes longer than eight milliseconds to send, as 200 frames may on a busy machine, fills it while
# the worker is kept from its core for as long.
AT_ONCE = 64


class Wrong(AssertionError):
    """A case did not end as it must."""


def show(frames):
    return ', '.join(x.hex() if len(x) < 120 else f'{x[:100].hex()}.. ({len(x)})'
                     for x in frames) or 'nothing'


class Wire:
    """The far end of a port: frames out, frames in, as octets."""

    def __init__(self, name):
        self.name, self.mac = name, bed.mac_of(name)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(bed.ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, bed.SO_RCVBUFFORCE, 16 << 20)
        self.sock.setsockopt(bed.SOL_PACKET, bed.PACKET_AUXDATA, 1)
        self.sock.setsockopt(bed.SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.bind((name, bed.ETH_P_ALL))
        self.sock.setblocking(False)

    def send(self, frame):
        self.sock.send(frame)

    def take(self):
        got = []
        while True:
            try:
                data, extra, *_ = self.sock.recvmsg(65536, 64)
            except BlockingIOError:
                return got
            got.append(bed.Wire.tagged(data, extra))

    def close(self):
        self.sock.close()


class Result:
    """What an exchange gave: payloads by wire (Ethernet header checked and taken off), drops."""

    def __init__(self, frames, drops):
        self.frames, self.drops = frames, drops

    def payloads(self, port):
        return [x[14:] for x in self.frames[port]]

    lan = property(lambda self: self.payloads(LAN))
    wan = property(lambda self: self.payloads(WAN))


class Child:
    """A child SA: `inward` carries packets to the gateway, `outward` is what the gateway sends on."""

    def __init__(self, gw, tunnel, spec, suite, spi_in, spi_out, keys):
        self.gw, self.tunnel, self.spec, self.suite = gw, tunnel, spec, suite
        self.esn, self.udp = spec.get('esn', False), spec.get('udp', False)
        self.us, self.peer = (US, PEER) if tunnel == T4 else (US6, PEER6)
        self.inward = esp.Half(suite, spi_in, keys[0], self.esn)
        self.outward = esp.Half(suite, spi_out, keys[1], self.esn)
        self.seq = 0        # last number used towards the gateway
        self.top = 0        # highest number seen from it

    def next_seq(self):
        self.seq += 1
        return self.seq

    def esp(self, inner, seq=None, next_header=None, tfc=0, extra_blocks=0, pad=None,
            pad_len=None, **kw):
        nh = (41 if f.version(inner) == 6 else 4) if next_header is None else next_header
        text = esp.trailer(inner, self.suite.block, nh, tfc, extra_blocks, pad, pad_len)
        return self.inward.seal(self.next_seq() if seq is None else seq, text, **kw)

    def outer(self, data, udp=None, src=None, sport=4500, ports=None, **ip):
        """The outer packet around ESP octets."""
        src = src or self.peer
        if self.udp if udp is None else udp:
            data = f.udp(sport, 4500, data, ends=(src, self.us) if ':' in src else None)
            return f.ip(src, self.us, f.UDP, data, **ip)
        return f.ip(src, self.us, f.ESP, data, **ip)

    def frame(self, inner, outer=None, **kw):
        """A sealed packet as the router on the Internet side hands it to the gateway."""
        return self.gw.from_wan(self.outer(self.esp(inner, **kw), **(outer or {})))

    def unwrap(self, packet):
        """ESP octets of a packet that the gateway sent; every outer field is asked."""
        want = f.ends_of(packet)
        if want != (self.us, self.peer) or not f.header_ok(packet) or f.ttl_of(packet) != 64:
            raise Wrong(f'outer header {packet[:40].hex()}')
        if f.version(packet) == 4 and (packet[0] != 0x45 or packet[6:8] != b'\x40\0'):
            raise Wrong(f'outer options, DF or fragment: {packet[:20].hex()}')
        body = packet[f.header_len(packet):]
        if not self.udp:
            if f.proto_of(packet) != f.ESP:
                raise Wrong(f'outer protocol {f.proto_of(packet)}')
            return body
        sport, dport, length, check = struct.unpack('!HHHH', body[:8])
        if (f.proto_of(packet), sport, dport, length) != (f.UDP, 4500, 4500, len(body)):
            raise Wrong(f'outer UDP {body[:8].hex()}')
        if f.version(packet) == 6 and f.csum(f.pseudo(*want, f.UDP, len(body)) + body) and check:
            raise Wrong('outer UDP checksum')
        return body[8:]

    def open(self, packet, seq_hi=0):
        """What the gateway sealed: number, IV, packet, trailer; all of the form asked."""
        data = self.unwrap(packet)
        if struct.unpack('!I', data[:4])[0] != self.outward.spi:
            raise Wrong(f'SPI {data[:4].hex()}, not {self.outward.spi:08x}')
        try:
            got = self.outward.open(data, seq_hi)
        except (esp.BadTag, ValueError) as e:
            raise Wrong(f'does not open: {e!r} {data.hex()}') from e
        n = -(len(got.inner) + 2) % self.suite.block
        if got.padding != bytes(range(1, n + 1)):
            raise Wrong(f'padding {got.padding.hex()} after {len(got.inner)} octets')
        if got.next != (41 if f.version(got.inner) == 6 else 4):
            raise Wrong(f'next header {got.next}')
        self.top = max(self.top, got.seq)
        return got

    def row(self):
        rows = [r for r in self.gw.control.call('GET_SAS') if r.spi_in == self.inward.spi]
        if len(rows) != 1:
            raise Wrong(f'{len(rows)} rows for the SA')
        return rows[0]

    def delete(self, parts=3):
        self.gw.iked.call('SA_DELETE', dp.SaRef(self.inward.spi, parts))
        self.gw.forget(self)


class Gateway:
    def __init__(self, options=(), mtu=1500, tunnel_mtu=MTU, run_dir=None):
        self.mtu, self.tunnel_mtu = mtu, tunnel_mtu
        self.ivs = set()
        self.children, self.kept, self.current = {}, {}, {}     # by SPI; by kind; by tunnel
        self.dataplane = bed.Dataplane('--max-sas', '4096', *options, tag='cas', run_dir=run_dir)
        self.control = self.dataplane.client(subscribe=dp.SUB_NEIGH | dp.SUB_PATH | dp.SUB_LINK)
        self.iked = self.dataplane.client(role=dp.IKED, subscribe=dp.SUB_SA, name='iked')
        self.mac = []
        for i, n in enumerate(NAMES):
            r = self.control.call('PORT_SET', dp.Port(
                id=i, generation=1, name=n.encode(), mtu=mtu,
                devargs=f'net_pcap{i},rx_iface_in=p-{n},tx_iface=p-{n}'.encode()))[0]
            self.mac.append(':'.join(f'{b:02x}' for b in r.mac))
        self.wire = [Wire(f'h-{n}') for n in NAMES]
        self.objects()
        self.objects6()

    def objects(self):
        call = self.control.call
        call('IFACE_SET', self.iface(LAN_IF), self.iface(WAN_IF))
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW_LAN}/24')),
             dp.Address(WAN_IF, 1, dp.prefix(f'{US}/24')))
        self.set_tunnel(T4)
        call('PATH_SET', dp.Path(id=P_LAN, generation=1, kind=dp.CONNECTED, iface=LAN_IF),
             dp.Path(id=P_WAN, generation=1, kind=dp.ADJACENCY, iface=WAN_IF,
                     next_hop=dp.addr(HOP)),
             dp.Path(id=P_T4, generation=1, kind=dp.PATH_TUNNEL, tunnel=T4))
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in (P_LAN, P_WAN, P_T4)))
        call('GROUP_SET', dp.group(G_LAN, [dp.tier(0, [P_LAN])]),
             dp.group(G_WAN, [dp.tier(0, [P_WAN])]),
             dp.group(G_T4, [dp.tier(2, [P_T4])], dp.PROTECTED))
        call('ROUTE_SET', dp.Route(dp.prefix('10.1.0.0/24'), G_LAN, 1),
             dp.Route(dp.prefix('10.2.0.0/16'), G_T4, 1),
             dp.Route(dp.prefix('203.0.113.0/24'), G_WAN, 1))
        call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr(HOST), dp.mac(self.wire[LAN].mac), 1),
             dp.Neigh(WAN_IF, 1, dp.addr(HOP), dp.mac(self.wire[WAN].mac), 1))

    def objects6(self):
        """The same in IPv6."""
        call = self.control.call
        self.set_tunnel(T6)
        call('ADDR_SET', dp.Address(LAN_IF, 1, dp.prefix(f'{GW_LAN6}/64')),
             dp.Address(WAN_IF, 1, dp.prefix(f'{US6}/64')))
        call('PATH_SET', dp.Path(id=P_WAN6, generation=1, kind=dp.ADJACENCY, iface=WAN_IF,
                                 next_hop=dp.addr(HOP6)),
             dp.Path(id=P_T6, generation=1, kind=dp.PATH_TUNNEL, tunnel=T6))
        call('PATH_STATE', *(dp.PathState(p, 1, 0) for p in (P_WAN6, P_T6)))
        call('GROUP_SET', dp.group(G_WAN6, [dp.tier(0, [P_WAN6])]),
             dp.group(G_T6, [dp.tier(2, [P_T6])], dp.PROTECTED))
        call('ROUTE_SET', dp.Route(dp.prefix('2001:db8:1::/64'), G_LAN, 1),
             dp.Route(dp.prefix('2001:db8:2::/48'), G_T4, 1),
             dp.Route(dp.prefix('2001:db8:6::/48'), G_T6, 1),
             dp.Route(dp.prefix('10.6.0.0/16'), G_T6, 1),
             dp.Route(dp.prefix('2001:db8:eeee::/48'), G_WAN6, 1))
        call('NEIGH_SET', dp.Neigh(LAN_IF, 1, dp.addr(HOST6), dp.mac(self.wire[LAN].mac), 1),
             dp.Neigh(WAN_IF, 1, dp.addr(HOP6), dp.mac(self.wire[WAN].mac), 1))

    def iface(self, number, **change):
        name, role = ((b'lan', dp.LAN), (b'wan', dp.INTERNET))[number - 1]
        fields = dict(id=number, generation=1, name=name, kind=dp.KIND_PORT, role=role,
                      port=number - 1, mtu=self.mtu, up=1)
        return dp.Iface(**{**fields, **change})

    def set_tunnel(self, number, **change):
        ends = (US, PEER) if number == T4 else (US6, PEER6)
        fields = dict(id=number, generation=1, name=b't%d' % number, local=dp.addr(ends[0]),
                      remote=dp.addr(ends[1]), mtu=self.tunnel_mtu, outer_path=dp.NONE)
        self.control.call('TUNNEL_SET', dp.Tunnel(**{**fields, **change}))

    def renew_tunnel(self, number):
        """Take a tunnel away with its SAs and all that was learnt, and make it anew."""
        path, group = (P_T4, G_T4) if number == T4 else (P_T6, G_T6)
        call = self.control.call
        call('GROUP_SET', dp.group(group, [dp.tier(0, [P_WAN])], dp.PROTECTED))
        call('OBJECT_DEL', dp.Object(dp.CLASS['path'], path))
        call('OBJECT_DEL', dp.Object(dp.CLASS['tunnel'], number))
        self.set_tunnel(number)
        call('PATH_SET', dp.Path(id=path, generation=1, kind=dp.PATH_TUNNEL, tunnel=number))
        clears = {p.id: p.clears for p in call('GET_PATHS')}[path]
        call('PATH_STATE', dp.PathState(path, 1, clears))
        call('GROUP_SET', dp.group(group, [dp.tier(2, [path])], dp.PROTECTED))
        for child in [c for c in self.children.values() if c.tunnel == number]:
            self.forget(child)

    def neighbour(self, address, iface=LAN_IF):
        wire = self.wire[WAN if iface == WAN_IF else LAN]
        self.control.call('NEIGH_SET', dp.Neigh(iface, 1, dp.addr(address), dp.mac(wire.mac), 1))

    # Child SAs.

    def spi(self, tunnel):
        return self.iked.call('SPI_ALLOC', dp.Spi(tunnel, 0))[0].spi

    def describe(self, tunnel, suite, spec, spi_in, spi_out, keys):
        us, peer = (US, PEER) if tunnel == T4 else (US6, PEER6)
        sa = dp.SaDesc(tunnel=tunnel, spi_in=spi_in, spi_out=spi_out, encr=esp.ENCR[suite.encr],
                       integ=esp.INTEG.get(suite.integ, 0), key_len=suite.key_len,
                       local=dp.addr(us), remote=dp.addr(peer),
                       replay_window=spec.get('window', 4096))
        sa.flags = (dp.SA_ESN if spec.get('esn') else 0) | (dp.SA_UDP if spec.get('udp') else 0)
        if spec.get('udp'):
            sa.local_port = sa.remote_port = 4500
        for field, key in ((sa.key_in, keys[0]), (sa.key_out, keys[1])):
            for i, b in enumerate(key):
                field[i] = b
        for limit in ('seconds', 'bytes', 'packets'):
            if limit in spec:
                setattr(sa, limit, dp.Limit(*spec[limit]))
        sa.n_local = self.selectors(sa.sel_local, spec.get('local'))
        sa.n_remote = self.selectors(sa.sel_remote, spec.get('remote'))
        return sa

    def selectors(self, field, rows):
        """rows: (low, high, protocol, port low, port high); without rows everything."""
        every = [('0.0.0.0', '255.255.255.255', 0, 0, 65535),
                 ('::', 'ffff:' * 7 + 'ffff', 0, 0, 65535)]
        for i, (low, high, proto, port_low, port_high) in enumerate(rows or every):
            field[i] = dp.Selector(low=dp.addr(low), high=dp.addr(high), protocol=proto,
                                   port_low=port_low, port_high=port_high)
        return len(rows or every)

    def child(self, tunnel=T4, suite='aes256gcm16', outbound=1, **spec):
        """A new child SA on both sides."""
        suite = esp.SUITES[suite]
        keys = secrets.token_bytes(suite.key_len), secrets.token_bytes(suite.key_len)
        spi_in, spi_out = self.spi(tunnel), 0x40000000 + secrets.randbits(29)
        sa = self.describe(tunnel, suite, spec, spi_in, spi_out, keys)
        self.iked.call('SA_INSTALL', dp.SaInstall(self.iked.hello.incarnation, outbound, 0, sa))
        child = Child(self, tunnel, spec, suite, spi_in, spi_out, keys)
        self.children[spi_out] = child
        if outbound:
            self.current[tunnel] = child
        return child

    def shared(self, tunnel=T4, suite='aes256gcm16', **spec):
        """The child SA of this kind that cases have in common; it is the one that is sent on."""
        key = (tunnel, suite, repr(sorted(spec.items())))
        if key not in self.kept:
            self.kept[key] = self.child(tunnel, suite, **spec)
        child = self.kept[key]
        if self.current.get(tunnel) is not child:
            self.iked.call('SA_SWITCH', dp.SaRef(child.inward.spi, 0))
            self.current[tunnel] = child
        return child

    def forget(self, child):
        self.children.pop(child.outward.spi, None)
        self.kept = {k: c for k, c in self.kept.items() if c is not child}
        self.current = {t: c for t, c in self.current.items() if c is not child}

    # Packets.

    def from_lan(self, packet, tags=()):
        kind = f.ETH6 if f.version(packet) == 6 else f.ETH4
        return LAN, f.eth(self.mac[LAN], self.wire[LAN].mac, kind, packet, tags)

    def from_wan(self, packet):
        kind = f.ETH6 if f.version(packet) == 6 else f.ETH4
        return WAN, f.eth(self.mac[WAN], self.wire[WAN].mac, kind, packet)

    def exchange(self, sent, created=None):
        """Send frames as (wire, octets); what came of it, after the standing checks."""
        before, drops = self.control.totals(), self.control.drops()
        for n, (port, frame) in enumerate(sent):
            if n and n % AT_ONCE == 0:
                self.received(before['rx'] + n)
            self.wire[port].send(frame)
        try:
            after = self.conserved(before['rx'] + len(sent))
        except Wrong:
            for w in self.wire:
                w.take()        # not for the case that comes next
            raise
        n = after['tx'] - before['tx']
        got = self.collect(n)
        now = self.control.drops()
        dropped = {k: v - drops.get(k, 0) for k, v in now.items() if v != drops.get(k, 0)}
        dropped.pop('missed', 0)        # of an exchange that failed: never received, so no worker's drop
        if sum(dropped.values()) != after['drops'] - before['drops']:
            raise Wrong(f'drops by reason {dropped} are not the drops {after["drops"] - before["drops"]}')
        self.distinct(got[WAN])
        return Result(got, dropped)

    def received(self, rx, timeout=3.0):
        """Wait until so many packets have been received; conserved() says so when they never are."""
        end = time.monotonic() + timeout
        while self.control.totals()['rx'] < rx and time.monotonic() < end:
            time.sleep(0.0002)

    def conserved(self, rx, timeout=3.0):
        """Wait for this many received packets and for each to have ended somewhere."""
        end = time.monotonic() + timeout
        while True:
            ok, t = self.control.conserved()
            if ok and t['rx'] == rx:
                return t
            if time.monotonic() > end:
                if self.dataplane.process.poll() is not None:
                    raise Wrong('the data plane died:\n' + self.dataplane.text()[-2000:])
                missed = self.control.drops().get('missed', 0)
                raise Wrong(f'not conserved, or received {t["rx"]} of {rx}: {t}; {missed} ever found no room '
                            'in a receive ring, as happens when the machine is busy')
            time.sleep(0.0002)

    def collect(self, n, timeout=2.0):
        """All frames that were counted as sent, seen on the wires."""
        got = [[], []]
        end = time.monotonic() + timeout
        while True:
            for i, w in enumerate(self.wire):
                got[i] += w.take()
            have = sum(map(len, got))
            if have >= n or time.monotonic() > end:
                break
            time.sleep(0.0002)
        if have != n:
            raise Wrong(f'{n} packets counted as sent, {have} seen: LAN {show(got[LAN])}; '
                        f'Internet {show(got[WAN])}')
        for i, w in enumerate(self.wire):
            for frame in got[i]:
                if frame[:12] != f.mac_bytes(w.mac) + f.mac_bytes(self.mac[i]):
                    raise Wrong(f'Ethernet addresses {frame[:12].hex()}')
        return got

    def distinct(self, frames):
        """ESP only on the Internet side, and no IV under one key twice."""
        for frame in frames:
            packet = frame[14:]
            body = packet[f.header_len(packet):]
            if f.proto_of(packet) == f.UDP:
                body = body[8:]
            elif f.proto_of(packet) != f.ESP:
                continue
            spi = struct.unpack('!I', body[:4])[0]
            if spi not in self.children:
                continue
            child = self.children[spi]
            word = (child.outward.key, child.outward.salt, body[8:8 + child.suite.iv])
            if word in self.ivs:
                raise Wrong(f'IV {word[2].hex()} twice under one key')
            self.ivs.add(word)

    def events(self, timeout=0.002):
        """SA events so far, or all that come in this time."""
        got = []
        while True:
            ev = self.iked.wait_event(lambda n, e: n == 128, timeout)
            if ev is None:
                return got
            got.append(ev)

    def close(self):
        for k in (self.control, self.iked, *self.wire):
            k.close()
        status = self.dataplane.stop()
        if status != (0, []):
            raise Wrong(f'the data plane ended with {status}')


def wires():
    """Ports of a namespace of our own."""
    bed.enter_namespace()
    for n in NAMES:
        bed.veth(f'p-{n}', f'h-{n}')
        for side in 'ph':
            bed.run('ip', 'link', 'set', f'{side}-{n}', 'mtu', '9600')
