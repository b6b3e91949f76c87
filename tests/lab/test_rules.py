# SPDX-License-Identifier: BSD-3-Clause
"""The lab's own arithmetic on made-up logs: a judge that cannot condemn is none."""
import array
import os
import tempfile

import figure
from acceptance import standing
from strongswan import parse_raw
from traffic import ESP_NATIVE, ESP_UDP, IKE, Flow, Packet, during, repeated_ivs

MS = 10**6


def flow(sent, received):
    """A Flow of `sent` times (ms) and `received` (seq, ms) pairs."""
    with tempfile.TemporaryDirectory(prefix="spw-rules-") as directory:
        tx, rx = os.path.join(directory, "tx"), os.path.join(directory, "rx")
        with open(tx, "wb") as out:
            array.array("Q", [n for seq, at in enumerate(sent)
                              for n in (seq, at * MS)]).tofile(out)
        with open(rx, "wb") as out:
            array.array("Q", [n for seq, at in received
                              for n in (seq, sent[seq] * MS, at * MS)]).tofile(out)
            out.write(b"half")          # a record that was being written
        return Flow(tx, rx)


def packet(**fields):
    return Packet(**dict(dict.fromkeys(Packet._fields, 0), **fields))


def test_flow_counts_lost_duplicated_and_reordered():
    made = flow([10, 20, 30, 40, 50], [(0, 11), (2, 31), (1, 32), (2, 33), (4, 51)])
    assert made.lost() == [3]
    assert made.lost(0, 40 * MS) == [] and made.lost(40 * MS, 41 * MS) == [3]
    assert made.duplicated == 1 and made.reordered == 1
    assert made.offered(20 * MS, 50 * MS) == 3


def test_flow_gap_counts_the_silence_at_either_end():
    made = flow([10, 20, 30, 400, 410], [(0, 10), (1, 20), (2, 30), (3, 400), (4, 410)])
    assert made.longest_gap_ms(0, 500 * MS) == 370
    assert made.longest_gap_ms(25 * MS, 300 * MS) == 370     # open when the span ends
    assert made.longest_gap_ms(405 * MS, 905 * MS) == 495    # and it never came back
    assert made.longest_gap_ms(11 * MS, 25 * MS) == 10


def test_flow_latency_is_a_percentile():
    made = flow([0, 10, 20, 30], [(0, 1), (1, 12), (2, 23), (3, 38)])
    assert made.latency_us(0) == 1000 and made.latency_us(99) == 8000


def test_repeated_iv_is_found_and_others_are_not():
    first = packet(kind=ESP_UDP, src=1, dst=2, spi=7, iv=9, esp_seq=1)
    again = first._replace(esp_seq=5)
    others = [first._replace(iv=10), first._replace(spi=8), first._replace(src=2, dst=1),
              first._replace(kind=IKE), first._replace(kind=IKE)]
    assert repeated_ivs([first] + others) == []
    assert repeated_ivs([first, again] + others) == [(1, 2, 7, 9)]
    native = first._replace(kind=ESP_NATIVE)
    assert repeated_ivs([native, native]) == [(1, 2, 7, 9)]


def test_probe_in_the_tunnel_is_judged_by_its_sending_time():
    late = packet(is_probe=1, probe_sent_ns=99, time_ns=105)
    assert during([late], [(100, 200)]) == []
    assert during([late._replace(probe_sent_ns=100)], [(100, 200)])
    assert during([late._replace(probe_sent_ns=150, time_ns=250)], [(100, 200)]) == []


def test_other_packet_in_the_tunnel_has_grace_after_a_return_only():
    other = packet(time_ns=105)
    assert during([other], [(100, 200)], grace_ns=10) == []
    assert during([other._replace(time_ns=111)], [(100, 200)], grace_ns=10)
    assert during([other._replace(time_ns=199)], [(100, 200)], grace_ns=10)


def test_standing_closes_at_the_first_end_and_opens_once():
    marks = [(10, True), (20, False), (15, True), (21, False), (30, True), (31, True)]
    assert standing(marks, 99) == [(10, 20), (30, 99)]
    assert standing([], 9) == []
    assert standing([(5, False)], 9) == []


def test_raw_lists_of_swanctl_are_parsed():
    parsed = parse_raw("list-sa event {gw {uniqueid=1 state=ESTABLISHED tasks-active=[A B] "
                       "child-sas {net-1 {name=net state=INSTALLED} net-2 {name=net}}}}\n"
                       "list-sas reply {}\n")
    assert parsed[0]["gw"]["child-sas"]["net-1"]["state"] == "INSTALLED"
    assert set(parsed[0]["gw"]["child-sas"]) == {"net-1", "net-2"}
    assert parsed[0]["gw"]["tasks-active"] == ["A", "B"]


def test_figure_bins_split_by_path():
    made = flow([0, 10, 20, 150], [(0, 1), (1, 11), (2, 21), (3, 151)])
    assert figure.bins(made, {2, 3}, 0, 250 * MS) == [(20, 10), (0, 10), (0, 0)]
