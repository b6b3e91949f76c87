#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Requests for which there is no memory (F28): each allocation of each fails once, and the answer
never says that something was done which was not. The real spillway-dataplane with an allocator that
fails on demand. Test names state the rule. Run as root."""
import mmap
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402

ID, PORT, MOST = 3, 0, 40
ENOMEM = 12


def tunnel(mtu=1400):
    return dp.Tunnel(id=ID, generation=1, name=b't', local=dp.addr('192.0.2.1'),
                     remote=dp.addr('192.0.2.2'), mtu=mtu, outer_path=dp.NONE, capacity_kbps=1000)


def iface():
    return dp.Iface(id=ID, generation=1, name=b'i', kind=dp.KIND_PORT, role=dp.LAN, port=PORT,
                    mtu=1500, up=1)


MAKE = {'path': ('PATH_SET', lambda: dp.Path(id=ID, generation=1, kind=dp.DROP)),
        'group': ('GROUP_SET', lambda: dp.group(ID, [])),
        'tunnel': ('TUNNEL_SET', tunnel), 'iface': ('IFACE_SET', iface)}


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        fd, name = tempfile.mkstemp(prefix='spw-fail-')
        os.ftruncate(fd, 4096)
        cls.word = mmap.mmap(fd, 4096)
        os.close(fd)
        os.environ.update(FAIL_ALLOC=name, LD_PRELOAD=os.environ['SPILLWAY_FAIL_ALLOC'])
        try:
            cls.dataplane = bed.Dataplane()
        finally:
            del os.environ['LD_PRELOAD']
            os.unlink(name)
        cls.addClassCleanup(cls.dataplane.stop)
        cls.client = cls.dataplane.client()
        cls.client.call('PORT_SET', dp.Port(id=PORT, generation=1, name=b'p', mtu=1500,
                                            devargs=bed.devargs(PORT, 'p-mem').encode()))

    @classmethod
    def failed(cls):
        return int.from_bytes(cls.word[4:8], 'little')

    def there(self, kind):
        if kind in ('path', 'iface', 'tunnel'):
            rows = self.client.call({'path': 'GET_PATHS', 'iface': 'GET_IFACES',
                                     'tunnel': 'GET_TUNNELS'}[kind])
            return ID in [r.id for r in rows]
        return self.client.call('GET_STATUS')[0].groups == 1

    def attempt(self, n, *request):
        """Make a request of which the nth allocation fails. What was answered, and if one failed."""
        before = self.failed()
        self.word[0:4] = n.to_bytes(4, 'little')
        try:
            self.client.call(*request)
            answer = 0
        except dp.Refused as e:
            self.assertNotIn('\n', e.text)
            answer = e.status
        except ConnectionError:  # no memory for the answer itself
            type(self).client = self.dataplane.client()
            answer = None
        self.word[0:4] = bytes(4)
        return answer, self.failed() != before

    def each(self, kind, request, was, becomes):
        """Until a round in which none fails: done and said so, or not done and said so."""
        for n in range(1, MOST):
            answer, failed = self.attempt(n, *request)
            with self.subTest(kind=kind, request=request[0], allocation=n, answer=answer):
                self.assertIn(answer, (0, ENOMEM, None) if failed else (0,))
                if answer is not None:
                    self.assertEqual(self.there(kind), becomes if answer == 0 else was)
            if not failed:
                return
            if self.there(kind) != was:
                self.client.call(*(MAKE[kind][0], MAKE[kind][1]()) if was else
                                 ('OBJECT_DEL', dp.Object(dp.CLASS[kind], ID)))
        self.fail(f'{request[0]}: more than {MOST} allocations')

    def test_f28_an_object_that_cannot_be_made_or_taken_away_is_said_so(self):
        for kind, (name, make) in MAKE.items():
            self.each(kind, (name, make()), False, True)
            self.each(kind, ('OBJECT_DEL', dp.Object(dp.CLASS[kind], ID)), True, False)
            self.client.call(name, make())
            self.each(kind, ('SWEEP', dp.Sweep(dp.CLASS[kind], 2)), True, False)


if __name__ == '__main__':
    if b'libasan' in subprocess.run(['ldd', os.environ['SPILLWAY_DATAPLANE']],
                                    capture_output=True).stdout:
        print('ok - a sanitizer has an allocator of its own # SKIP')
        sys.exit(0)
    bed.enter_namespace()
    bed.veth('p-mem', 'h-mem')
    sys.exit(bed.main())
