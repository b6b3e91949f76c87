# SPDX-License-Identifier: BSD-3-Clause
"""A bed for packet tests of spillway-dataplane: a network namespace that dies with the test, veth
pairs, raw sockets on their far ends, TAP and TUN twins, and the real process."""
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from scapy.all import Ether, conf

import dpclient as dp

conf.verb = 0
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 1 << 4
SO_RCVBUFFORCE = 33
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000


# DPDK keeps what it allocated to its end: a sanitizer build must not call that a leak.
os.environ['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def enter_namespace():
    """A network namespace of our own; everything in it vanishes with the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'unshare: run as root')
    for name in ('all', 'default'):
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w') as f:
            f.write('1')
        with open(f'/proc/sys/net/ipv4/conf/{name}/rp_filter', 'w') as f:
            f.write('0')
    run('ip', 'link', 'set', 'lo', 'up')


def index_for(name):
    """An interface number by which ports of two data planes are told apart. The driver joins its
    socket to the fan-out group (process number xor interface number, 16 bits), and a group of one
    namespace has one interface: with numbers close together two processes meet there, and the second
    is refused. So the top bit is the data plane's, the last letter of a port's name."""
    made = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], 'big') & 0x7fff
    return max(made, 1000) | (0x8000 if name.endswith('a') else 0)


def veth(a, b):
    run('ip', 'link', 'add', a, 'index', str(index_for(a)), 'type', 'veth', 'peer', 'name', b,
        'index', str(index_for(b)))
    for name in (a, b):
        run('ip', 'link', 'set', name, 'arp', 'off', 'up')


def mac_of(name):
    with open(f'/proc/self/net/dev') as f:
        assert name in f.read()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    raw = fcntl.ioctl(s, 0x8927, struct.pack('256s', name.encode()))  # SIOCGIFHWADDR
    s.close()
    return ':'.join(f'{b:02x}' for b in raw[18:24])


class Wire:
    """The far end of a port's veth."""

    def __init__(self, name):
        self.name = name
        self.mac = mac_of(name)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.bind((name, ETH_P_ALL))

    def send(self, *frames):
        for f in frames:
            self.sock.send(bytes(f))

    @staticmethod
    def tagged(data, extra):
        """The kernel takes the outer VLAN tag off and tells it apart; put it back."""
        for level, kind, value in extra:
            if (level, kind) != (SOL_PACKET, PACKET_AUXDATA):
                continue
            status, _, _, _, _, tci, tpid = struct.unpack('IIIHHHH', value[:20])
            if status & TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack('!HH', tpid or 0x8100, tci) + data[12:]
        return data

    def close(self):
        self.sock.close()

    def receive(self, match=lambda f: True, timeout=2.0):
        """First arriving frame that matches, parsed; None after the timeout."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                data, extra, _, (_, _, kind, *_) = self.sock.recvmsg(65536, 64)
            except TimeoutError:
                return None
            if kind == PACKET_OUTGOING:
                continue
            frame = Ether(self.tagged(data, extra))
            if match(frame):
                return frame

    def collect(self, n, match=lambda f: True, timeout=3.0):
        """Up to n matching frames."""
        got = []
        end = time.monotonic() + timeout
        while len(got) < n and time.monotonic() < end:
            f = self.receive(match, end - time.monotonic())
            if f is None:
                break
            got.append(f)
        return got

    def quiet(self, match=lambda f: True, timeout=0.3):
        return self.receive(match, timeout) is None

    def flush(self):
        self.sock.settimeout(0.0)
        try:
            while True:
                self.sock.recv(65536)
        except (BlockingIOError, TimeoutError):
            pass


def twin(name, tap=True):
    fd = os.open('/dev/net/tun', os.O_RDWR)
    flags = (IFF_TAP if tap else IFF_TUN) | IFF_NO_PI
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), flags))
    return fd


def devargs(number, name):
    return (f'net_af_packet{number},iface={name},qdisc_bypass=1,framesz=2048,blocksz=65536,'
            'framecnt=512')


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Dataplane:
    def __init__(self, *options, tag='dp', run_dir=None):
        self.dir = run_dir or tempfile.mkdtemp(prefix=f'spw-{tag}-')
        self.socket = f'{self.dir}/dataplane.sock'
        binary = os.environ['SPILLWAY_DATAPLANE']
        self.log = open(f'{self.dir}/log', 'w+')
        self.process = subprocess.Popen(
            [binary, '--run-dir', self.dir, '--no-huge', '--memory', '512', '--mbufs', '8191',
             '--max-routes', '16384', '--max-sas', '1024', *options], stderr=self.log,
            preexec_fn=die_with_parent)
        end = time.monotonic() + 20
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError('the data plane did not start:\n' + self.text())
            time.sleep(0.02)

    def listens(self):
        try:
            dp.Client(self.socket, role=dp.READER).close()
            return True
        except OSError:
            return False

    def text(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def client(self, **kw):
        return dp.Client(self.socket, **kw)

    def stop(self):
        """Orderly end; returns exit status and what is left in the run directory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        left = [f for f in os.listdir(self.dir) if f != 'log']
        self.log.close()
        shutil.rmtree(self.dir)
        return status, left


class TapResult(unittest.TextTestResult):
    """One TAP line for each test, on standard output."""

    def stopTest(self, test):
        bad = {str(t) for t, _ in self.failures + self.errors}
        whole = str(test) in bad or any(str(test) in b for b in bad)
        print(f"{'not ok' if whole else 'ok'} - {test.id().removeprefix('__main__.')}", flush=True)
        super().stopTest(test)


def main():
    if os.geteuid() != 0:
        print('not ok - needs root')
        return 1
    return not unittest.main(testRunner=unittest.TextTestRunner(
        resultclass=TapResult, verbosity=0), exit=False).result.wasSuccessful()


def until(true, seconds=3):
    """Wait for something that is under way from elsewhere, as a packet is before it arrives."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def settle(client, tries=40):
    """Wait until nothing is under way; True when the conservation law holds exactly."""
    for _ in range(tries):
        ok, totals = client.conserved()
        time.sleep(0.05)
        again = client.conserved()
        if ok and again == (True, totals):
            return True
    print('not conserved:', client.totals(), client.drops())
    return False
