# SPDX-License-Identifier: BSD-3-Clause
"""The product against ipsec-secgw: the same packets, the same kind of ports, one worker on the same
CPU, in turn.

Both processes live at once, and one of them is stopped (SIGSTOP) while the other runs: a change of
turn costs nothing, so a pair of windows lies close together in time and sees the same machine. The
pcap source never runs dry and the sink takes everything: what is counted is the limit of the worker.
Windows alternate A B A B; the ratio is that of each pair.
"""
import os
import statistics
import tempfile
import time

import machine
import secgw
import traffic
from product import NotMeasured, Product

SETTLE_S = 0.1
MEMORY_MB = 1600    # huge pages for both


def quartiles(values):
    """First, second and third, as the values lie."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def window(gateway, seconds):
    """Packets a second that the sink took while this gateway ran alone."""
    gateway.go_on()
    time.sleep(SETTLE_S)
    first, start = gateway.sent()
    time.sleep(seconds)
    last, end = gateway.sent()
    gateway.pause()
    return (last - first) / (end - start)


def rounds(a, b, pairs, seconds):
    """[(packets/s of a, packets/s of b)], a pair each; one pair before them warms up."""
    a.pause()
    b.pause()
    found = [(window(a, seconds), window(b, seconds)) for _ in range(pairs + 1)][1:]
    a.go_on()
    b.go_on()
    return found


def record(load, found, drops):
    """One result: medians, paired ratios, raw figures."""
    ours, theirs = zip(*found)
    q1, ratio, q3 = quartiles([a / b for a, b in found])
    bits = 8 * traffic.mean_size(load)
    return {"what": "versus", "direction": "seal", "cipher": "aes256gcm", "size": load,
            "inner_bytes": traffic.mean_size(load), "product_mpps": statistics.median(ours) / 1e6,
            "secgw_mpps": statistics.median(theirs) / 1e6,
            "product_gbps": statistics.median(ours) * bits / 1e9,
            "secgw_gbps": statistics.median(theirs) * bits / 1e9, "ratio": ratio, "q1": q1, "q3": q3,
            "pairs": [[round(a), round(b)] for a, b in found], "drops": drops}


def one(binary, program, load, pairs, seconds, huge):
    cpu = machine.worker_cpus()[-1]
    with tempfile.TemporaryDirectory(prefix="spw-bench-") as directory:
        traffic.write_files(directory, load)
        devices = traffic.devices(directory)
        peer = secgw.Secgw(program, directory, huge, cpu, devices)
        try:
            peer.pause()
            product = Product(binary, directory, huge, [cpu])
            try:
                product.configure(devices)
                before = product.drops()
                found = rounds(product, peer, pairs, seconds)
                after = product.drops()
            finally:
                product.stop()
        finally:
            peer.stop()
    lost = {name: count - before.get(name, 0) for name, count in after.items()
            if count != before.get(name, 0)}
    return record(load, found, lost)


def measured(*what):
    """One load, on huge pages where there are enough; both on ordinary memory otherwise."""
    with machine.HugePages(MEMORY_MB) as huge:
        if huge.got:
            try:
                return {**one(*what, True), "hugepages": True}
            except NotMeasured as why:
                print(f"  once more without huge pages: {why}", flush=True)
        return {**one(*what, False), "hugepages": False}


def bench(binary, quick, report):
    """Records of every load, each handed to `report` when it is there."""
    program = secgw.build()
    if not os.path.exists(binary):
        raise NotMeasured("spillway-dataplane is not built")
    pairs, seconds = (9, 0.5) if quick else (11, 1.0)
    for load in (64, 1400) if quick else (*traffic.SIZES, traffic.IMIX):
        report({**measured(binary, program, load, pairs, seconds),
                "peer_source": secgw.source_of(program)})
