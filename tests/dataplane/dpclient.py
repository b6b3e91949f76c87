# SPDX-License-Identifier: BSD-3-Clause
"""A client of dataplane.sock for tests: the messages of lib/msg_dataplane.h by hand.

The structures mirror the C ones field by field (native order and alignment); the data plane
refuses any element whose size differs, so a drift shows at once.
"""
import array
import collections
import ctypes as c
import ipaddress
import select
import socket
import time

PROTOCOL = 1
REPLY, MORE, EVENT = 1, 2, 4
CONTROLD, IKED, READER = 1, 2, 4
NONE = 0xFFFFFFFF
u8, u16, u32, u64 = c.c_uint8, c.c_uint16, c.c_uint32, c.c_uint64
NAME = c.c_char * 16


class Struct(c.Structure):
    def dict(self):
        return {name: getattr(self, name) for name, *_ in self._fields_}

    def __repr__(self):
        return f'{type(self).__name__}({self.dict()})'


def struct(name, *fields):
    return type(name, (Struct,), {'_fields_': list(fields)})


Header = struct('Header', ('protocol', u16), ('number', u16), ('flags', u16), ('status', u16),
                ('seq', u32), ('count', u16), ('elem_size', u16))
Error = struct('Error', ('index', u32), ('pad', u32), ('text', c.c_char * 240))


class Addr(Struct):
    _fields_ = [('family', u8), ('pad', u8 * 3), ('bytes', u8 * 16)]

    def __str__(self):
        if not self.family:
            return '-'
        n = 4 if self.family == socket.AF_INET else 16
        return str(ipaddress.ip_address(bytes(self.bytes[:n])))


Prefix = struct('Prefix', ('addr', Addr), ('len', u8), ('pad', u8 * 3))
Hello = struct('Hello', ('role', u32), ('subscribe', u32), ('client', NAME))
HelloReply = struct('HelloReply', ('incarnation', u64), ('encr_mask', u32), ('workers', u32),
                    ('version', c.c_char * 24), ('dpdk', c.c_char * 24),
                    ('cipher_isa', c.c_char * 40))
Port = struct('Port', ('id', u32), ('generation', u32), ('name', NAME),
              ('devargs', c.c_char * 192), ('mtu', u32), ('pad', u32))
PortReply = struct('PortReply', ('id', u32), ('mac', u8 * 6), ('pad', u8 * 2))
Iface = struct('Iface', ('id', u32), ('generation', u32), ('name', NAME), ('kind', u32),
               ('role', u32), ('port', u32), ('mtu', u32), ('vlan_outer', u16),
               ('vlan_inner', u16), ('mss_clamp', u16), ('up', u8), ('has_twin', u8),
               ('vlan_tpid', u16), ('pad', u8 * 2))
Address = struct('Address', ('iface', u32), ('generation', u32), ('prefix', Prefix))
Neigh = struct('Neigh', ('iface', u32), ('generation', u32), ('addr', Addr), ('mac', u8 * 6),
               ('reachable', u8), ('pad', u8))
Tunnel = struct('Tunnel', ('id', u32), ('generation', u32), ('name', NAME), ('local', Addr),
                ('remote', Addr), ('mtu', u32), ('mss_clamp', u32), ('outer_path', u32),
                ('dscp_copy', u8), ('outer_df', u8), ('pad', u8 * 2),
                ('capacity_kbps', u32), ('pad2', u32))
Path = struct('Path', ('id', u32), ('generation', u32), ('kind', u32), ('iface', u32),
              ('tunnel', u32), ('pad', u32), ('next_hop', Addr))
PathState = struct('PathState', ('id', u32), ('up', u32), ('clears', u32), ('pad', u32))
Tier = struct('Tier', ('role', u32), ('n_paths', u32), ('path', u32 * 4), ('weight', u32 * 4))
Group = struct('Group', ('id', u32), ('generation', u32), ('n_tiers', u32), ('flags', u32),
               ('tier', Tier * 5))
Route = struct('Route', ('prefix', Prefix), ('group', u32), ('generation', u32))
Object = struct('Object', ('cls', u32), ('id', u32))
Sweep = struct('Sweep', ('cls', u32), ('generation', u32))
Link = struct('Link', ('port', u32), ('up', u32), ('at_ns', u64))
Spi = struct('Spi', ('tunnel', u32), ('spi', u32))
Limit = struct('Limit', ('soft', u64), ('hard', u64))
Selector = struct('Selector', ('low', Addr), ('high', Addr), ('port_low', u16),
                  ('port_high', u16), ('protocol', u8), ('pad', u8 * 3))
SaDesc = struct('SaDesc', ('tunnel', u32), ('spi_in', u32), ('spi_out', u32), ('flags', u32),
                ('encr', u32), ('integ', u32), ('key_len', u32), ('key_in', u8 * 96),
                ('key_out', u8 * 96), ('local', Addr), ('remote', Addr), ('local_port', u16),
                ('remote_port', u16), ('replay_window', u32), ('seconds', Limit),
                ('bytes', Limit), ('packets', Limit), ('n_local', u32), ('n_remote', u32),
                ('sel_local', Selector * 8), ('sel_remote', Selector * 8))
SaInstall = struct('SaInstall', ('incarnation', u64), ('outbound', u32), ('pad', u32),
                   ('sa', SaDesc))
SaRef = struct('SaRef', ('spi_in', u32), ('parts', u32))
Status = struct('Status', ('incarnation', u64), ('uptime_ns', u64), ('sas', u64),
                ('routes', u64), ('groups', u64), ('mbufs_in_use', u64), ('mbufs_total', u64),
                ('pid', u64), ('build', HelloReply))
IfaceStats = struct('IfaceStats', ('id', u32), ('link_up', u32), ('name', NAME),
                    ('mac', u8 * 6), ('pad', u8 * 2), ('rx_packets', u64), ('rx_bytes', u64),
                    ('tx_packets', u64), ('tx_bytes', u64), ('mirrored', u64),
                    ('from_twin', u64), ('drops', u64), ('asymmetric', u64))
DropStats = struct('DropStats', ('reason', c.c_char * 32), ('packets', u64), ('last_ns', u64))
WorkerStats = struct('WorkerStats', ('id', u32), ('core', u32), ('rx', u64), ('tx', u64),
                     ('drops', u64), ('mirrored', u64), ('from_twin', u64), ('created', u64),
                     ('busy_cycles', u64), ('total_cycles', u64), ('packets', u64))
SaStats = struct('SaStats', ('tunnel', u32), ('spi_in', u32), ('spi_out', u32), ('encr', u32),
                 ('flags', u32), ('outbound', u32), ('in_packets', u64), ('in_bytes', u64),
                 ('out_packets', u64), ('out_bytes', u64), ('auth_failed', u64),
                 ('replayed', u64), ('late', u64), ('installed_ns', u64), ('last_in_ns', u64),
                 ('seq_out', u64), ('replay_window', u32), ('pad', u32), ('seconds', Limit))
PathStats = struct('PathStats', ('id', u32), ('kind', u32), ('up', u32), ('clears', u32),
                   ('packets', u64), ('bytes', u64), ('changed_ns', u64),
                   ('class_bytes', u64 * 4))
TunnelStats = struct('TunnelStats', ('id', u32), ('up', u32), ('name', NAME),
                     ('transit_out', u64), ('transit_in', u64), ('own_out', u64),
                     ('own_in', u64), ('violations', u64),
                     ('asymmetric', u64), ('class_packets', u64 * 4),
                     ('class_dropped', u64 * 4), ('mtu', u32), ('path_mtu', u32),
                     ('path_mtu_ends', u64))
FibQuery = struct('FibQuery', ('addr', Addr))
FibAnswer = struct('FibAnswer', ('group', u32), ('path', u32), ('prefix', Prefix))
SaEvent = struct('SaEvent', ('kind', u32), ('tunnel', u32), ('spi_in', u32), ('limit', u32),
                 ('remote', Addr), ('remote_port', u16), ('pad', u8 * 6))
PathEvent = struct('PathEvent', ('kind', u32), ('path', u32), ('group', u32), ('clears', u32),
                   ('at_ns', u64), ('change_ns', u64))
Bfd = struct('Bfd', ('id', u32), ('generation', u32), ('iface', u32), ('detect_mult', u32),
             ('min_tx_us', u32), ('min_rx_us', u32), ('admin_down', u32), ('pad', u32),
             ('local', Addr), ('peer', Addr))
BfdStats = struct('BfdStats', ('id', u32), ('state', u32), ('remote_state', u32), ('diag', u32),
                  ('remote_diag', u32), ('was_up', u32), ('local_disc', u32),
                  ('remote_disc', u32), ('detect_mult', u32), ('remote_mult', u32),
                  ('tx_us', u32), ('detect_us', u32), ('rx', u64), ('tx', u64), ('bad', u64),
                  ('ups', u64), ('downs', u64), ('changed_ns', u64), ('last_rx_ns', u64),
                  ('rx_gap_max_us', u64))
BfdEvent = struct('BfdEvent', ('id', u32), ('state', u32), ('diag', u32), ('remote_diag', u32),
                  ('at_ns', u64), ('last_rx_ns', u64), ('was_up', u32),
                  ('remote_state', u32))
Probe = struct('Probe', ('id', u32), ('generation', u32), ('path', u32), ('kind', u32),
               ('interval_ms', u32), ('timeout_ms', u32), ('fall', u16), ('rise', u16),
               ('size', u16), ('port', u16), ('dscp', u8), ('pad', u8 * 7), ('source', Addr),
               ('target', Addr))
ProbeStats = struct('ProbeStats', ('id', u32), ('path', u32), ('state', u32),
                    ('recent_sent', u32), ('recent_lost', u32), ('rtt_last_us', u32),
                    ('rtt_min_us', u32), ('rtt_max_us', u32), ('lost_why', u32),
                    ('lost_mtu', u32), ('sent', u64), ('received', u64),
                    ('lost', u64), ('late', u64), ('duplicate', u64), ('other_way', u64),
                    ('rtt_sum_us', u64), ('last_ok_ns', u64), ('changed_ns', u64),
                    ('rtt', u64 * 24))
ProbeEvent = struct('ProbeEvent', ('id', u32), ('state', u32), ('at_ns', u64),
                    ('last_ok_ns', u64))
Classes = struct('Classes', ('of_dscp', u8 * 64), ('share_percent', u8 * 4))

NUMBER = {'HELLO': 1, 'PORT_SET': 10, 'IFACE_SET': 11, 'ADDR_SET': 12, 'NEIGH_SET': 13,
          'TUNNEL_SET': 14, 'PATH_SET': 15, 'PATH_STATE': 16, 'GROUP_SET': 17, 'ROUTE_SET': 18,
          'OBJECT_DEL': 19, 'ROUTE_DEL': 20, 'NEIGH_DEL': 21, 'ADDR_DEL': 22, 'SWEEP': 23,
          'LINK_STATE': 24, 'BFD_SET': 25, 'PROBE_SET': 26, 'CLASSES_SET': 27,
          'SPI_ALLOC': 40, 'SPI_FREE': 41, 'SA_INSTALL': 42, 'SA_SWITCH': 43,
          'SA_DELETE': 44, 'SA_MOVE': 45, 'GET_STATUS': 60, 'GET_IFACES': 61, 'GET_DROPS': 62,
          'GET_WORKERS': 63, 'GET_SAS': 64, 'GET_PATHS': 65, 'GET_FIB': 66, 'GET_TUNNELS': 67,
          'GET_BFD': 68, 'GET_PROBES': 69}
ANSWER = {'HELLO': HelloReply, 'PORT_SET': PortReply, 'SPI_ALLOC': Spi, 'GET_STATUS': Status,
          'GET_IFACES': IfaceStats, 'GET_DROPS': DropStats, 'GET_WORKERS': WorkerStats,
          'GET_SAS': SaStats, 'GET_PATHS': PathStats, 'GET_FIB': FibAnswer,
          'GET_TUNNELS': TunnelStats, 'GET_BFD': BfdStats, 'GET_PROBES': ProbeStats}
EVENTS = {128: SaEvent, 129: Link, 130: Neigh, 131: PathEvent, 132: BfdEvent,
          133: ProbeEvent}
CLASS = {'port': 1, 'iface': 2, 'addr': 3, 'neigh': 4, 'tunnel': 5, 'path': 6, 'group': 7,
         'route': 8, 'bfd': 9, 'probe': 10}
KIND_PORT, KIND_VLAN, KIND_TUNNEL = 1, 2, 3
LAN, EXPRESSROUTE, INTERNET, TUNNEL = 1, 2, 3, 4
ADJACENCY, CONNECTED, PATH_TUNNEL, LOCAL, DROP = 1, 2, 3, 4, 5
PROTECTED = 1
SUB_SA, SUB_LINK, SUB_NEIGH, SUB_PATH = 1, 2, 4, 8
AES_GCM_256 = 3
SA_ESN, SA_UDP = 1, 2


class Refused(Exception):
    def __init__(self, status, index, text):
        super().__init__(f'{text} (errno {status}, element {index})')
        self.status, self.index, self.text = status, index, text


def addr(text):
    a = Addr()
    if text is None:
        return a
    ip = ipaddress.ip_address(text)
    a.family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    for i, b in enumerate(ip.packed):
        a.bytes[i] = b
    return a


def prefix(text):
    a, _, length = text.partition('/')
    p = Prefix(addr=addr(a))
    p.len = int(length) if length else 8 * len(ipaddress.ip_address(a).packed)
    return p


def mac(text):
    return (u8 * 6)(*bytes.fromhex(text.replace(':', '')))


def tier(role, paths, weights=None):
    t = Tier(role=role, n_paths=len(paths))
    for i, p in enumerate(paths):
        t.path[i] = p
        t.weight[i] = weights[i] if weights else 1
    return t


def group(gid, tiers, flags=0, generation=1):
    g = Group(id=gid, generation=generation, n_tiers=len(tiers), flags=flags)
    for i, t in enumerate(tiers):
        g.tier[i] = t
    return g


class Client:
    """One connection; requests wait for their replies, events are kept in `events`."""

    def __init__(self, path, role=CONTROLD, subscribe=0, name='test', greet=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.connect(path)
        self.seq = 0
        self.events = collections.deque()
        if greet:
            self.hello = self.call('HELLO', Hello(role, subscribe, name.encode()))[0]

    def close(self):
        self.sock.close()

    def send_raw(self, number, body=b'', count=0, size=0, fds=()):
        self.seq += 1
        data = bytes(Header(PROTOCOL, number, 0, 0, self.seq, count, size)) + body
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.sock.sendmsg([data], extra)

    def receive(self, timeout):
        if not select.select([self.sock], [], [], timeout)[0]:
            return None, b''
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError('the data plane closed the connection')
        return Header.from_buffer_copy(data), data[c.sizeof(Header):]

    def take_event(self, hdr, body):
        self.events.append((hdr.number, EVENTS[hdr.number].from_buffer_copy(body)))

    def call(self, name, *elems, fds=(), timeout=20):
        """Send a request with a batch of elements of one type; returns the list of answers."""
        body = b''.join(bytes(e) for e in elems)
        size = c.sizeof(elems[0]) if elems else 0
        self.send_raw(NUMBER[name], body, len(elems), size, fds)
        rows = []
        while True:
            hdr, data = self.receive(timeout)
            if hdr is None:
                raise TimeoutError(f'{name}: no answer')
            if hdr.flags & EVENT:
                self.take_event(hdr, data)
                continue
            if hdr.status:
                e = Error.from_buffer_copy(data)
                raise Refused(hdr.status, e.index, e.text.decode())
            if hdr.count:
                kind = ANSWER[name]
                assert hdr.elem_size == c.sizeof(kind), (name, hdr.elem_size, c.sizeof(kind))
                rows += [kind.from_buffer_copy(data, i * hdr.elem_size)
                         for i in range(hdr.count)]
            if not hdr.flags & MORE:
                return rows

    def wait_event(self, match, timeout=3):
        """First event for which match(number, event) holds; None after the timeout."""
        end = time.monotonic() + timeout
        while True:
            while self.events:
                number, ev = self.events.popleft()
                if match(number, ev):
                    return ev
            left = end - time.monotonic()
            if left <= 0:
                return None
            hdr, data = self.receive(left)
            if hdr is not None and hdr.flags & EVENT:
                self.take_event(hdr, data)

    def drops(self):
        return {d.reason.decode(): d.packets for d in self.call('GET_DROPS') if d.packets}

    def totals(self):
        rows = self.call('GET_WORKERS')
        return {k: sum(getattr(r, k) for r in rows)
                for k in ('rx', 'tx', 'drops', 'mirrored', 'from_twin', 'created')}

    def conserved(self):
        """rx + from_twin + created = tx + drops + mirrored, and where it stands."""
        t = self.totals()
        left = t['rx'] + t['from_twin'] + t['created']
        right = t['tx'] + t['drops'] + t['mirrored']
        return left == right, t
