#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Put one run into the README: draw its plots into bench/figures/ and write the table between the
README's two marks. usage: publish.py bench/results/DATE-full.json (take one of a quiet machine)."""
import os
import sys

import machine
import plots
from results import Results

FIGURES = os.path.join(machine.ROOT, "bench", "figures")
README = os.path.join(machine.ROOT, "README.md")
OPENING, CLOSING = "<!-- bench: written by bench/publish.py -->", "<!-- /bench -->"


def cipher_rows(results):
    """Cost over the cipher, both ways, by size."""
    lines = ["| inner bytes | seal, cycles | cipher | ratio | open, cycles | cipher | ratio |",
             "|---|---|---|---|---|---|---|"]
    chosen = {(r["what"], r["size"]): r for r in plots.staged(results)}
    for size in sorted({size for _, size in chosen}):
        cells = []
        for what in ("seal", "open"):
            r = chosen.get((what, size))
            cells += [f"{r['work']:.0f}", f"{r['cipher_cycles']:.0f}", f"{r['ratio']:.2f}"] if r else [""] * 3
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return lines if len(lines) > 2 else []


def versus_rows(results):
    lines = ["| inner bytes | Spillway, Mpps | Gbit/s | ipsec-secgw, Mpps | Gbit/s | ratio |",
             "|---|---|---|---|---|---|"]
    for r in results.select(what="versus"):
        lines.append(f"| {r['size']} | {r['product_mpps']:.2f} | {r['product_gbps']:.1f} | "
                     f"{r['secgw_mpps']:.2f} | {r['secgw_gbps']:.1f} | {r['ratio']:.2f} |")
    return lines if len(lines) > 2 else []


def words(results):
    environment = results.environment
    cpu = environment["cpu"]
    isa = "VAES and AVX-512" if {"vaes", "avx512f"} <= set(cpu["flags"]) else \
        "AVX-512 without VAES" if "avx512f" in cpu["flags"] else "AVX2"
    return [f"`sudo make bench` on {environment['when'][:10]}, commit {environment['commit']}: {cpu['model']}, "
            f"{cpu['cores']} cores, {isa}; AES-256-GCM, one worker, medians of paired rounds. Above: cycles from the "
            "return of a receive burst to the call of",
            "transmit against IPsec-MB's AES-GCM alone. Below: the real process and DPDK's ipsec-secgw on the same pcap "
            "ports. Virtual ports say nothing about line rate; bench/pktgen/ is for real NICs."]


def section(results):
    parts = [["![throughput by packet size](bench/figures/throughput.svg)"], cipher_rows(results),
             words(results), versus_rows(results)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = Results.load(sys.argv[1])
    os.makedirs(FIGURES, exist_ok=True)
    for name, draw in (("throughput", plots.throughput), ("stages", plots.stages), ("scale", plots.scale)):
        draw(results, os.path.join(FIGURES, name))
    text = machine.read(README)
    if text.count(OPENING) != 1 or text.count(CLOSING) != 1:
        sys.exit(f"publish: README.md needs one line '{OPENING}' and one '{CLOSING}' after it")
    before, _, rest = text.partition(OPENING)
    after = rest.partition(CLOSING)[2]
    with open(README, "w", encoding="utf-8") as out:
        out.write(f"{before}{OPENING}\n{section(results)}\n{CLOSING}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
