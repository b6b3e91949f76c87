# SPDX-License-Identifier: BSD-3-Clause
"""The plots of a run, by gnuplot, each as SVG and PNG beside the JSON file."""
import os
import subprocess

TERMINALS = (("svg", "svg size 1000,560 font 'Helvetica,14' background rgb 'white'"),
             ("png", "pngcairo size 1000,560 font 'Helvetica,11'"))
HEAD = """\
set border 3
set tics nomirror out
set grid ytics lc rgb '#dddddd'
set style fill solid 0.9 noborder
"""
COLOURS = ("#2166ac", "#e08214", "#1b7837", "#762a83", "#b2182b", "#4393c3", "#fdb863", "#7fbf7b",
           "#c2a5cf", "#f4a582", "#999999", "#444444", "#dfc27d", "#80cdc1", "#35978f", "#8c510a")


def draw(script, path):
    """Run a script once for each terminal; the paths that came of it."""
    made = []
    for ending, terminal in TERMINALS:
        output = f"{path}.{ending}"
        text = f"set terminal {terminal}\nset output '{output}'\n{HEAD}{script}"
        done = subprocess.run(["gnuplot", "-"], input=text, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            raise RuntimeError(f"gnuplot: {done.stdout.strip()}")
        made.append(output)
    return made


def block(name, rows):
    """Rows as a gnuplot data block."""
    return f"${name} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"


def quoted(text):
    return '"' + str(text) + '"'


def gbps(record, cycles):
    """Inner Gbit/s at so many cycles a packet; the counter's rate is in the record's own figures."""
    hz = record["mpps"] * 1e6 * record["total"]
    return record["size"] * 8 * hz / cycles / 1e9


def throughput_lines(results):
    """[(title, style, [(size, Gbit/s)])] of what there is."""
    sealed = sorted((r for r in results.select(what="seal", cipher="aes256gcm", older=None)
                     if r.get("encap", "native") == "native"), key=lambda r: r["size"])
    versus = sorted((r for r in results.select(what="versus") if isinstance(r["size"], int)),
                    key=lambda r: r["size"])
    lines = [("cipher alone", "dt 2 lw 2 pt 0 lc rgb '#777777'",
              [(r["size"], gbps(r, r["cipher_cycles"])) for r in sealed]),
             ("Spillway, pipeline", "lw 2 pt 7 lc rgb '#2166ac'",
              [(r["size"], gbps(r, r["work"])) for r in sealed]),
             ("Spillway, process on pcap ports", "lw 2 pt 5 lc rgb '#1b7837'",
              [(r["size"], r["product_gbps"]) for r in versus]),
             ("ipsec-secgw on the same ports", "lw 2 pt 9 lc rgb '#e08214'",
              [(r["size"], r["secgw_gbps"]) for r in versus])]
    return [line for line in lines if line[2]]


def throughput(results, path):
    """Inner Gbit/s by packet size, one worker, sealing AES-256-GCM."""
    lines = throughput_lines(results)
    if not lines:
        return []
    script = "".join(block(f"d{i}", rows) for i, (_, _, rows) in enumerate(lines))
    script += """\
set title 'Sealing AES-256-GCM, one worker'
set logscale x 2
set xrange [50:1800]
set yrange [0:*]
set xtics (64, 128, 256, 512, 1024, 1400)
set xlabel 'inner IPv4 packet, bytes'
set ylabel 'inner Gbit/s'
set key top left
plot """ + ", ".join(f"$d{i} using 1:2 with linespoints {style} title '{title}'"
                     for i, (title, style, _) in enumerate(lines)) + "\n"
    return draw(script, path)


def staged(results):
    return sorted((r for r in results.records if r.get("what") in ("seal", "open")
                   and r.get("stages") and not r.get("older")
                   and r.get("cipher") == "aes256gcm" and r.get("encap", "native") == "native"),
                  key=lambda r: (r["what"] != "seal", r["size"]))


def stages(results, path):
    """Cycles a packet by stage, stacked, the bare cipher marked."""
    chosen = staged(results)
    if not chosen:
        return []
    names = list(dict.fromkeys(name for r in chosen for name in r["stages"] if name != "driver"))
    rows = [[quoted(f"{r['what']} {r['size']}")] + [r["stages"].get(name, 0) for name in names] +
            [r["cipher_cycles"]] for r in chosen]
    bars = [f"$d using {i + 2}:xtic(1) lc rgb '{COLOURS[i % len(COLOURS)]}' title '{name}'"
            for i, name in enumerate(names)]
    script = block("d", rows) + """\
set title 'Cycles a packet by stage, AES-256-GCM, one worker'
set style data histograms
set style histogram rowstacked
set boxwidth 0.7
set ylabel 'TSC cycles a packet'
set yrange [0:*]
set key outside right reverse Left
plot """ + ", ".join(bars) + (f", $d using 0:{len(names) + 2} with points pt 2 ps 1.6 lw 3 "
                              "lc rgb 'black' title 'cipher alone'\n")
    return draw(script, path)


def scale_rows(results, key):
    """[(label, throughput over that with the least)] of records that carry `key` and a ratio."""
    found = {r[key]: r["ratio"] for r in results.records
             if isinstance(r.get(key), int) and r.get("what") == key and "ratio" in r
             and not r.get("older")}
    if found:
        found.setdefault(1, 1.0)
    return [(quoted(f"{number:,}"), ratio) for number, ratio in sorted(found.items())]


def scale(results, path):
    """Throughput relative to one, by tunnels, routes and workers."""
    panels = [(key, rows) for key in ("tunnels", "routes", "workers")
              if (rows := scale_rows(results, key))]
    if not panels:
        return []
    script = "".join(block(key, rows) for key, rows in panels)
    script += f"set multiplot layout 1,{len(panels)}\nset yrange [0:*]\nset boxwidth 0.6\nunset key\n"
    for key, _ in panels:
        script += (f"set title 'by {key}'\nset ylabel 'throughput over that of one'\n"
                   f"plot ${key} using 2:xtic(1) with boxes lc rgb '#2166ac', "
                   f"${key} using 0:2:(sprintf('%.2f', $2)) with labels offset 0,0.7\n")
    return draw(script + "unset multiplot\n", path)


def all_of(results, directory):
    """Draw what the run has data for; paths."""
    path = lambda name: os.path.join(directory, f"{results.stamp()}-{name}")
    return [made for name, function in (("throughput", throughput), ("stages", stages),
                                        ("scale", scale)) for made in function(results, path(name))]
