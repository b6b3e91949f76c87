# SPDX-License-Identifier: BSD-3-Clause
"""Loss windows: what a rekey, a failover, a failback, a commit and a restart cost under full load.

The source never runs dry, so the load is all that the worker can take; lost is what the data plane
itself dropped, by its counters, from just before the events to just after. *Effective blocked time*
is packets lost / packets a second. The switch time is the data plane's own: from the change of a path
bit to the first packet on the other path. A source that waits loses nothing while a worker stands
still: how long one may is bench-scale's to say. A restart is the time in which nothing left, from the
kill until the new process, configured from nothing with new keys, has sent its first packets.
"""
import statistics
import tempfile
import time

import machine
import traffic as t
from product import G_TUNNEL, P_TUNNEL, Product, dp
from versus import MEMORY_MB

P_CIRCUIT = 8           # stands for the ExpressRoute next hop, over the same port
EVENTS, PAUSE_S = 20, 0.02
ROUTES = 2000           # of a commit
SIZE = 512
SWITCHED = 2            # of a path event


class Gateway:
    """One process under load, a circuit before the tunnel when asked for."""

    def __init__(self, binary, directory, huge, name="spillway"):
        cpus = machine.worker_cpus()[-1:]
        self.product = Product(binary, directory, huge, cpus, (), name)
        self.call = self.product.control.call
        self.product.configure(t.devices(directory))

    def circuit(self):
        self.call("PATH_SET", dp.Path(id=P_CIRCUIT, generation=1, kind=dp.ADJACENCY, iface=2,
                                      next_hop=dp.addr(t.PEER_WAN)))
        self.path(1)
        self.call("GROUP_SET", dp.group(
            G_TUNNEL + 1, [dp.tier(1, [P_CIRCUIT]), dp.tier(2, [P_TUNNEL + 1])], dp.PROTECTED, 2))

    def path(self, up):
        state = next(s for s in self.call("GET_PATHS") if s.id == P_CIRCUIT)
        self.call("PATH_STATE", dp.PathState(P_CIRCUIT, up, state.clears))

    def commit(self, number):
        """A batch of routes elsewhere, and the group of the traffic made anew."""
        third = [f"100.{64 + number}.{i // 8}.{i % 8 * 32}/27" for i in range(ROUTES)]
        self.product.routes(third, 1)
        self.call("GROUP_SET", dp.group(G_TUNNEL + 1, [dp.tier(2, [P_TUNNEL + 1])], dp.PROTECTED,
                                        3 + number))

    def lost(self):
        return sum(self.product.drops().values())

    def switches(self):
        """Nanoseconds of each switch-over told since the last call."""
        found = []
        while (event := self.product.control.wait_event(lambda n, _: n == 131, 0.02)) is not None:
            if event.kind == SWITCHED:
                found.append(event.at_ns - event.change_ns)
        return found


def record(name, lost, rate, times, switched=()):
    return {"what": "window", "event": name, "events": times, "size": SIZE, "load_pps": rate,
            "lost": lost, "blocked_us": lost / times / rate * 1e6,
            "switch_us": statistics.median(switched) / 1e3 if switched else None}


def measure(gateway, name, event, between=None):
    """Do `event(i)` EVENTS times under load, `between` before each; one record."""
    lost, switched = 0, []
    sent, start = gateway.product.sent()
    for number in range(EVENTS):
        if between:
            between()
            time.sleep(PAUSE_S)
        gateway.switches()
        before = gateway.lost()
        event(number)
        time.sleep(PAUSE_S)
        lost += gateway.lost() - before
        switched += gateway.switches()
    last, end = gateway.product.sent()
    return record(name, lost, (last - sent) / (end - start), EVENTS, switched)


def restart(binary, directory, huge, report):
    old = Gateway(binary, directory, huge, "old")
    sent, begun = old.product.sent()
    time.sleep(0.5)
    last, end = old.product.sent()
    start = time.monotonic()
    old.product.process.kill()
    old.product.process.wait()
    old.product.stop()
    new = Gateway(binary, directory, huge, "new")
    while not new.product.sent()[0]:
        time.sleep(0.001)
    blocked = time.monotonic() - start
    new.product.stop()
    rate = (last - sent) / (end - begun)
    report(record("restart", round(blocked * rate), rate, 1))


def bench(binary, quick, report):
    if quick:
        return
    with tempfile.TemporaryDirectory(prefix="spw-bench-") as directory, \
            machine.HugePages(MEMORY_MB) as huge:
        t.write_files(directory, SIZE)
        gateway = Gateway(binary, directory, huge.got)
        try:
            report(measure(gateway, "rekey", lambda _: gateway.product.rekey(1)))
            report(measure(gateway, "commit", gateway.commit))
            gateway.circuit()
            down, up = (lambda *_: gateway.path(0)), (lambda *_: gateway.path(1))
            report(measure(gateway, "failover", down, up))
            report(measure(gateway, "failback", up, down))
        finally:
            gateway.product.stop()
        restart(binary, directory, huge.got, report)
