# SPDX-License-Identifier: BSD-3-Clause
"""F06: the data plane is killed under traffic and started again in the same place. Traffic is back with
new keys within 5 s, nothing that was captured before opens any more, an old SA is not taken back, and
nothing that may hold keys is left behind: no core, no file of shared memory or huge pages."""
import contextlib
import glob
import os
import random
import subprocess
import tempfile
import time

import bed
import dpclient as dp
import frames as f
from casebed import T4, Gateway
from table import Case, Wrong, expect, expect_sealed, far_to_host, host_to_far

LONG = os.environ.get('SPW_LONG') == '1'
HUGE = '/sys/kernel/mm/hugepages/hugepages-2048kB'
PLACES = ('/dev/shm', '/dev/hugepages', '/run/dpdk', '/var/run/dpdk', '/run/spillway', '/tmp')
NEED_PAGES = 400


def number(name):
    with open(f'{HUGE}/{name}') as file:
        return int(file.read())


def nobodys():
    """Huge pages in use that no living process has mapped: what a dead one left."""
    mapped = 0
    for path in glob.glob('/proc/[0-9]*/smaps_rollup'):
        with contextlib.suppress(OSError), open(path) as file:
            mapped += sum(int(line.split()[1]) for line in file if '_Hugetlb:' in line)
    return number('nr_hugepages') - number('free_hugepages') - mapped // 2048


def files():
    """Where memory of a process could stay: files that exist now, by place."""
    found = set()
    for place in PLACES:
        for path in glob.glob(f'{place}/**', recursive=True) if place != '/tmp' else \
                glob.glob('/tmp/*map_*') + glob.glob('/tmp/core*'):
            if os.path.isfile(path):
                found.add(path)
    return found | set(glob.glob('core*'))


def is_ours(path, pid):
    """Other programs make files at the same time; ours hold DPDK's or our name or the process id."""
    return any(word in path for word in ('rte', 'dpdk', 'spillway', 'map_', 'mp_socket', str(pid)))


def traffic(gw, child, capture, n=40):
    """n packets each way, kept as they were on the Internet side."""
    out = [host_to_far(ident=i) for i in range(n)]
    result = gw.exchange([gw.from_lan(p) for p in out])
    expect_sealed(child, result, [f.routed(p) for p in out])
    frames = [child.frame(far_to_host(ident=i)) for i in range(n)]
    expect(gw.exchange(frames), lan=[f.routed(far_to_host(ident=i)) for i in range(n)])
    capture += frames
    return result.wan


def kill_under_traffic(gw, rng):
    """kill -9 while frames are on their way."""
    child = gw.shared()
    for _ in range(rng.randrange(1, 20)):
        for frame in (gw.from_lan(host_to_far()), child.frame(far_to_host())):
            gw.wire[frame[0]].send(frame[1])
    gw.dataplane.process.kill()
    gw.dataplane.process.wait()
    for wire in gw.wire:
        wire.take()


def born_again(old):
    """A new process in the same run directory, set up as controld and iked do."""
    old.control.close()
    old.iked.close()
    for wire in old.wire:
        wire.close()
    gw = Gateway(run_dir=old.dataplane.dir)
    gw.ivs = old.ivs
    return gw


def one_life(gw, capture, rng):
    """Kill, start, all questions; returns the new gateway."""
    incarnation, child = gw.iked.hello.incarnation, gw.shared()
    taken = gw.describe(T4, child.suite, {}, child.inward.spi, child.outward.spi,
                        (child.inward.key + child.inward.salt,
                         child.outward.key + child.outward.salt))
    kill_under_traffic(gw, rng)
    start = time.monotonic()
    gw = born_again(gw)
    if gw.iked.hello.incarnation == incarnation:
        raise Wrong('the same incarnation again')
    replayed(gw, capture)
    try:
        gw.iked.call('SA_INSTALL', dp.SaInstall(incarnation, 1, 0, taken))
        raise Wrong('an SA of the dead process was taken back')
    except dp.Refused as e:
        if e.status != 116:
            raise
    result = gw.exchange([gw.from_lan(host_to_far())])
    expect(result, drops={'no-sa': 1})
    sent = traffic(gw, gw.shared(), capture)
    took = time.monotonic() - start
    if took > 5 or not sent:
        raise Wrong(f'traffic is back after {took:.1f} s')
    return gw


def replayed(gw, capture):
    """Everything that was sent to the old process, to the new one: nothing opens."""
    for i in range(0, len(capture), 200):
        result = gw.exchange(capture[i:i + 200])
        if result.lan or result.wan or set(result.drops) - {'esp-spi'}:
            raise Wrong(f'{len(result.lan)} replayed packets pass, {result.drops}')


def lives(n):
    """n deaths in a row; the run stands or falls as one case."""
    def run(_):
        gw = Gateway()
        rng, capture, before = random.Random(6), [], files()
        try:
            for _ in range(n):
                traffic(gw, gw.shared(), capture)
                pid = gw.dataplane.process.pid
                gw = one_life(gw, capture, rng)
                left = sorted(p for p in files() - before if is_ours(p, pid) and
                              not p.startswith(gw.dataplane.dir))
                if left:
                    raise Wrong(f'left behind: {left}')
        finally:
            if gw.dataplane.process.poll() is None:
                gw.close()
    return run


def reserve(n):
    with open(f'{HUGE}/nr_hugepages', 'w') as file:
        file.write(str(n))


@contextlib.contextmanager
def huge_pages():
    """Reserve pages for a moment; yields whether there are enough."""
    was = number('nr_hugepages')
    reserve(was + NEED_PAGES)
    added = max(number('nr_hugepages') - was, 0)
    try:
        yield added == NEED_PAGES
    finally:        # others may add and take away meanwhile: what was added here is what goes
        reserve(max(number('nr_hugepages') - added, 0))


def start_on_huge_pages(run_dir):
    return subprocess.Popen(
        [os.environ['SPILLWAY_DATAPLANE'], '--run-dir', run_dir, '--memory', '512', '--mbufs',
         '4095', '--max-sas', '1024', '--max-routes', '16384', '--file-prefix', 'cas'],
        stderr=subprocess.DEVNULL, preexec_fn=bed.die_with_parent)


def on_huge_pages(_):
    """Killed on huge pages: each page is free again at once and no file names one."""
    with huge_pages() as enough, tempfile.TemporaryDirectory(prefix='spw-cas-') as run_dir:
        if not enough:
            print('# SKIP no huge pages can be reserved here')
            return
        left_before, before = nobodys(), files()
        process = start_on_huge_pages(run_dir)
        end = time.monotonic() + 20
        while not os.path.exists(f'{run_dir}/dataplane.sock') and time.monotonic() < end:
            time.sleep(0.02)
        with open(f'/proc/{process.pid}/smaps_rollup') as file:
            used = sum(int(line.split()[1]) for line in file if '_Hugetlb:' in line)
        process.kill()
        process.wait()
        left = [p for p in files() - before if is_ours(p, process.pid) and
                not p.startswith(run_dir)]
        if used == 0:
            raise Wrong('it did not run on huge pages')
        end = time.monotonic() + 3      # others come and go on huge pages meanwhile
        while nobodys() > left_before and time.monotonic() < end:
            time.sleep(0.05)
        if left or nobodys() > left_before:
            raise Wrong(f'{nobodys() - left_before} pages still taken, files {left}')


def cases(_):
    n = 20 if LONG else 2
    return [Case(f'ESP-02 ESP-20 P1 F06 {n} times killed: back in 5 s, no IV again, no replay, '
                 'nothing left', lives(n)),
            Case('F06 killed on huge pages: every page is free again, no file names one',
                 on_huge_pages)]


def families():
    yield lambda: None, cases
