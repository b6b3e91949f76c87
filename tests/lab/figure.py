# SPDX-License-Identifier: BSD-3-Clause
"""Draw the demo's timeline: packets received per path against time, events marked (gnuplot)."""
import os

from net import run

BIN_MS = 100

SCRIPT = """\
set terminal {terminal}
set output '{output}'
set multiplot layout 2,1 title '{title}' font ',15'
set style fill solid 0.85 noborder
set xrange [0:{end}]
set yrange [0:{top}]
set ylabel 'received, packets/s'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror out
set lmargin 11
set rmargin 3
set key outside top right horizontal samplen 1.5
set boxwidth {width} absolute
{marks}
set title 'LAN to VNet' offset 0,-0.5
plot '{data}' using 1:($2+$3) with boxes lc rgb '#e08214' title 'through the tunnel', \\
     '{data}' using 1:2 with boxes lc rgb '#2166ac' title 'over ExpressRoute'
unset key
unset label
{lines}
set title 'VNet to LAN' offset 0,-0.5
set xlabel 'seconds'
plot '{data}' using 1:($4+$5) with boxes lc rgb '#e08214', \\
     '{data}' using 1:4 with boxes lc rgb '#2166ac'
unset multiplot
"""


def bins(flow, tunnelled, start, end):
    """[(packets/s over ExpressRoute, packets/s through the tunnel)] per bin."""
    count = (end - start) // (BIN_MS * 10**6) + 1
    direct, through = [0] * count, [0] * count
    for stamp, seq, _ in flow.received:
        index = (stamp - start) // (BIN_MS * 10**6)
        if 0 <= index < count:
            (through if seq in tunnelled else direct)[index] += 1000 // BIN_MS
    return list(zip(direct, through))


def draw(directory, flows, tunnelled, events, start, end, rate):
    """Write failover.dat, failover.svg and failover.png into `directory`."""
    os.makedirs(directory, exist_ok=True)
    data = os.path.join(directory, "failover.dat")
    out = bins(flows["out"], tunnelled["out"], start, end)
    back = bins(flows["in"], tunnelled["in"], start, end)
    with open(data, "w", encoding="ascii") as text:
        text.write("# s, out over ExpressRoute, out in tunnel, in over ExpressRoute, in tunnel\n")
        for index, ((a, b), (c, d)) in enumerate(zip(out, back)):
            text.write("%.2f %d %d %d %d\n" % ((index + 0.5) * BIN_MS / 1000, a, b, c, d))
    lines, labels = [], []
    for number, (stamp, text) in enumerate(events):
        at = (stamp - start) / 1e9
        lines.append("set arrow %d from %.3f, graph 0 to %.3f, graph 1 nohead dt 2 lc rgb "
                     "'#444444' back" % (number + 1, at, at))
        labels.append("set label %d '%s' at %.3f, graph 0.98 rotate by 90 right front font ',10' "
                      "offset -0.7,0" % (number + 1, text, at))
    values = {"data": data, "end": "%.1f" % ((end - start) / 1e9), "top": int(rate * 1.6),
              "width": BIN_MS / 1000, "title": "Site traffic over three failures of ExpressRoute",
              "marks": "\n".join(lines + labels), "lines": "\n".join(lines)}
    for terminal, name in (("svg size 1400,760 font 'Helvetica,13' background rgb 'white'",
                            "failover.svg"),
                           ("pngcairo size 1400,760 font 'Helvetica,11'", "failover.png")):
        run("gnuplot", "-", stdin=SCRIPT.format(
            terminal=terminal, output=os.path.join(directory, name), **values))
