# SPDX-License-Identifier: BSD-3-Clause
"""How the real process scales: by routes and by workers.

Two processes take turns on the same CPUs, as in versus.py: one with a single route behind the tunnel
and one with many (or one worker and two). Destinations are spread over the many prefixes, and both
read the same packets, so that only the table differs. Two workers read a pcap file each, as hashing
by a NIC would deal flows out; the one worker reads both.
"""
import os
import tempfile

import machine
import traffic
from product import Product
from versus import MEMORY_MB, quartiles, rounds

DESTINATIONS = 16384
SIZE = 64


def prefixes(count):
    """`count` /24s and /28s below 10.128.0.0/9 and 100.64.0.0/10, no two the same."""
    shorter = [f"{a}.{b}.{c}.0/24" for a in (11, 12, 13, 14) for b in range(256)
               for c in range(256)][:count]
    longer = (f"{a}.{b}.{c}.{d}/28" for a in (15, 16, 17, 18) for b in range(256)
              for c in range(256) for d in range(0, 256, 16))
    return shorter + [next(longer) for _ in range(count - len(shorter))]


def hosts(count):
    """A host inside each of `DESTINATIONS` prefixes, spread evenly over all of them."""
    all_of_them = prefixes(count)
    step = max(1, len(all_of_them) // DESTINATIONS)
    return [p.rpartition(".")[0] + "." + str(int(p.rpartition(".")[2].split("/")[0]) + 7)
            for p in all_of_them[::step][:DESTINATIONS]]


def options(routes):
    return ["--max-routes", str(max(16384, routes + 1024)), "--mbufs", "65535",
            "--memory", "1024" if routes <= 100_000 else "3072"]


def summary(what, key, value, found, **more):
    q1, ratio, q3 = quartiles([b / a for a, b in found])
    rates = sorted(b for _, b in found)
    return {"what": what, key: value, "size": SIZE, "mpps": rates[len(rates) // 2] / 1e6,
            "ratio": ratio, "q1": q1, "q3": q3, "pairs": [[round(a), round(b)] for a, b in found],
            **more}


def pair(make_one, make_many, pairs, seconds):
    """Paired windows of two processes; each maker starts one, configured."""
    one = make_one()
    try:
        one.pause()
        many = make_many()
        try:
            return rounds(one, many, pairs, seconds)
        finally:
            many.stop()
    finally:
        one.stop()


def by_routes(binary, count, pairs, seconds, huge):
    cpus = machine.worker_cpus()[-1:]
    with tempfile.TemporaryDirectory(prefix="spw-bench-") as directory:
        traffic.write_files(directory, SIZE, destinations=hosts(count), packets=DESTINATIONS)

        def make(name, routes):
            product = Product(binary, directory, huge, cpus, options(routes), name)
            product.configure(traffic.devices(directory))
            product.routes(["0.0.0.0/0"] if routes == 1 else prefixes(routes), 1)
            return product

        found = pair(lambda: make("one", 1), lambda: make("many", count), pairs, seconds)
    return summary("routes", "routes", count, found)


def two_queues(directory):
    source = f"{directory}/source.pcap"
    sink = f"{directory}/sink.pcap"
    return (f"net_pcap0,rx_pcap={source},rx_pcap={source},infinite_rx=1",
            f"net_pcap1,rx_pcap={sink},rx_pcap={sink}")


def by_workers(binary, pairs, seconds, huge):
    """Two workers against one, each tunnel's child SA shared by both."""
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="spw-bench-") as directory:
        traffic.write_files(directory, SIZE)

        def make(name, chosen, devices):
            product = Product(binary, directory, huge, chosen, [], name)
            product.configure(devices)
            return product

        found = pair(lambda: make("one", cpus[-1:], traffic.devices(directory)),
                     lambda: make("two", cpus[-2:], two_queues(directory)), pairs, seconds)
    return summary("workers", "workers", 2, found)


def bench(binary, quick, report):
    if quick:
        return
    with machine.HugePages(2 * MEMORY_MB + 4096) as huge:
        for count in (10_000, 1_000_000):
            report({**by_routes(binary, count, 7, 0.7, huge.got), "hugepages": huge.got})
        if len(os.sched_getaffinity(0)) > 1:
            report({**by_workers(binary, 7, 0.7, huge.got), "hugepages": huge.got})
