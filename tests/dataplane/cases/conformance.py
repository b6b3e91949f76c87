#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/conformance-esp.md from the tests: each statement on ESP and on lifetimes with the tests that
name it. Without arguments: is the page fresh, and has every statement of priority 1 a test? `--write`
makes the page anew.

A test names a statement by "ESP-05" in the name of a packet case, or by esp_05_ or lif_03_ at the
start of the name of a test function. ELSEWHERE lists tests that show a statement under another name;
each must exist."""
import collections
import os
import re
import sys

import cases_test

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
import conform  # noqa: E402
from conform import ROOT  # noqa: E402

PAGE = os.path.join(ROOT, 'docs', 'conformance-esp.md')

# Statement, P1 or not, in short.
STATEMENTS = '''
ESP-01 P1 nonce, additional data and tag as the suite's RFC writes them
ESP-02 P1 no IV twice under one key, over all cores, bursts, restarts
ESP-03 P1 padding 1, 2, 3, the least; pad length checked, pad octets not
ESP-04 P1 lengths that no packet can have drop as runts
ESP-05 P1 any flipped bit drops and moves nothing but a counter
ESP-06 -- inner length against what was decrypted; padding of flows trimmed
ESP-07 -- dummy packets count for replay and liveness and go nowhere
ESP-08 -- other next headers drop
ESP-09 P1 version, header and length of the inner packet are checked
ESP-10 P1 order within a flow
ESP-11 P1 one bad packet in a burst harms no other
ESP-12 P1 chained, shared and indirect buffers
ESP-13 -- shortage of room before or behind
ESP-14 -- both ways against a second implementation, all sizes, all instruction sets
ESP-20 P1 numbers start at 1, none twice
ESP-21 P1 numbers never wrap; a rekey is asked for before
ESP-22 P1 window of 64 to 65,536, moved by authentic packets alone
ESP-23 P1 of copies in one burst one passes
ESP-24 P1 edges of the window as an independent model says; 0 drops
ESP-25 P1 high half of extended numbers as an independent model says
ESP-26 -- a bad tag with a far number does not move the window
ESP-27 -- a rekeyed SA starts with an empty window
ESP-28 -- two workers on one SA accept nothing twice
ESP-29 -- replay protection is off only when told
ESP-30 -- extended numbers by negotiation; refused SAs leave nothing
ESP-35 P1 decrypted packets match the inbound selectors
ESP-36 P1 without an SA nothing leaves, above all not in the clear
ESP-37 -- an inbound SA is found by its SPI, in either form
ESP-38 -- unknown SPIs drop, counted
ESP-39 -- clear text that must come protected drops
ESP-40 P1 outer DF, ID, TTL, options; the inner TTL once
ESP-41 P1 ECN both ways, the drop included
ESP-42 -- DSCP outwards when told, never inwards
ESP-43 P1 too big: answered, or cut before sealing; no fragment of ESP
ESP-44 -- path MTU learnt from ICMP that quotes a live SA
ESP-45 -- transit ICMP errors by what they quote
ESP-46 P1 fragments of ESP are never processed as ESP
ESP-47 -- MSS only lowered, odd options untouched
ESP-48 -- tags, runts, options, extension headers: forwarded or dropped by rule
ESP-49 -- IPv4 and IPv6, inner and outer, all four
ESP-50 -- drops by reason add up to what was received
LIF-01 P1 soft and hard limits by time, octets, packets
LIF-02 P1 defaults of the Azure profile, soft at 90 %
LIF-03 P1 packets below 2^32 without extended numbers; margin of a tenth
LIF-04 -- after the hard limit traffic drops and a new SA is asked for
LIF-05 -- idle SA at its soft limit
LIF-06 -- limits outlive the daemon
LIF-07 -- lifetimes that make no sense are refused
LIF-08 -- a peer's shorter lifetime
'''

# (statement, file under tests/, test)
ELSEWHERE = (
    ('ESP-01', 'dataplane/esp_test.c', 'esp_sealed_by_us_opens_with_openssl'),
    ('ESP-05', 'dataplane/esp_test.c', 'esp_any_flipped_bit_drops_and_changes_nothing'),
    ('ESP-09', 'dataplane/esp_test.c', 'esp_random_content_never_breaks_anything'),
    ('ESP-10', 'dataplane/esp_test.c', 'esp_round_trip_gives_the_same_packets_in_order'),
    ('ESP-11', 'dataplane/esp_test.c', 'esp_one_bad_packet_in_a_burst_harms_no_other'),
    ('ESP-12', 'dataplane/esp_stage_test.c', 'esp_in_pieces_opens_and_seals_like_whole'),
    ('ESP-12', 'dataplane/esp_stage_test.c', 'esp_never_writes_to_a_buffer_that_others_hold'),
    ('ESP-13', 'dataplane/esp_stage_test.c', 'esp_finds_room_before_and_behind_at_every_size'),
    ('ESP-14', 'dataplane/esp_test.c', 'esp_works_in_every_instruction_set'),
    ('ESP-14', 'dataplane/oracle_test.c', 'every_packet_is_the_same_to_a_second_implementation'),
    ('ESP-20', 'dataplane/sad_race_test.c', 'two_workers_never_claim_the_same_number'),
    ('ESP-21', 'dataplane/fault_test.c', 'f19_without_a_rekey_number_2_to_the_32_is_never_sent'),
    ('ESP-21', 'dataplane/fault_test.c', 'f19_with_esn_every_packet_passes_both_wraps'),
    ('ESP-24', 'dataplane/replay_test.c', 'replay_agrees_with_model'),
    ('ESP-25', 'dataplane/replay_test.c', 'replay_infers_high_bits_like_the_model'),
    ('ESP-28', 'dataplane/sad_race_test.c', 'two_workers_share_an_sa_without_doubles'),
    ('ESP-28', 'dataplane/spread_test.c', 'every_packet_is_opened_once_and_comes_back_in_order'),
    ('ESP-50', 'dataplane/fault_test.c',
     'f11_each_allocation_that_fails_alone_costs_its_own_packet_and_nothing_else'),
    ('LIF-01', 'dataplane/sad_limits_test.c', 'limit_of_seconds_is_the_ticks_and_needs_nobody_else'),
    ('LIF-01', 'ike/iked_test.c', 'a_soft_limit_rekeys_the_child'),
    ('LIF-02', 'control/test_iked_conn.c', 'the_soft_limit_is_at_ninety_percent_without_overflow'),
    ('LIF-02', 'ike/rekey_test.c', 'lifetimes_start_rekeys_by_themselves'),
    ('LIF-03', 'dataplane/fault_test.c',
     'f19_the_soft_event_leaves_a_tenth_of_the_numbers_to_rekey_without_loss'),
    ('LIF-04', 'ike/rekey_test.c', 'hard_limit_ends_the_child_and_a_new_one_is_made'),
    ('LIF-07', 'control/test_model.c', 'bad_lines_are_refused_with_a_sentence_and_change_nothing'),
    ('LIF-08', 'lab/test_rekey.py', 'test_short_lifetimes_at_azure_lose_nothing'))

FUNCTION = re.compile(r'^(?:    def )?(?:test_)?((?:esp|lif)_\d\d)_\w+\((?:void|self)', re.M)


def by_cases():
    """Statement to (family, number of cases)."""
    count = collections.defaultdict(collections.Counter)
    for family in cases_test.FAMILIES:
        for name in cases_test.listed(family):
            for statement in set(re.findall(r'(?:ESP|LIF)-\d\d', name)):
                count[statement][family] += 1
    return count


def by_functions():
    """Statement to the files whose test functions name it."""
    found = collections.defaultdict(set)
    here = os.path.join(ROOT, 'tests', 'dataplane')
    for name in sorted(os.listdir(here)):
        if name.endswith(('_test.c', '_test.py')):
            with open(os.path.join(here, name)) as f:
                for word in FUNCTION.findall(f.read()):
                    found[word.upper().replace('_', '-')].add(f'dataplane/{name}')
    return found


def shown(statement, cases, functions):
    parts = [f'cases/{family}: {n}' for family, n in sorted(cases[statement].items())]
    named = [(p, t) for s, p, t in ELSEWHERE if s == statement]
    parts += [f'{path}: {test}' for path, test in named]
    return parts + [path for path in sorted(functions[statement])
                    if path not in {p for p, _ in named}]


def page():
    """The page, and the P1 statements without a test."""
    cases, functions = by_cases(), by_functions()
    total = sum(len(cases_test.listed(family)) for family in cases_test.FAMILIES)
    lines = ['<!-- SPDX-License-Identifier: BSD-3-Clause -->', '# ESP: statements and their tests',
             '', 'Made by `tests/dataplane/cases/conformance.py --write` from the names of the '
             'tests; a test keeps it fresh.',
             f'`cases/` are {total} packet cases on the real data plane, each followed by the '
             'conservation of packets', 'and the uniqueness of IVs. P1 = must hold before a '
             'release.', '', '| | | statement | tests (under tests/; in `cases/` their number) |',
             '|---|---|---|---|']
    bare = []
    for name, (first, text) in conform.statements(STATEMENTS).items():
        tests = shown(name, cases, functions)
        if first and not tests:
            bare.append(name)
        lines.append(f'| {name} | {"P1" if first else ""} | {text} | '
                     f'{"; ".join(tests) or "none"} |')
    return '\n'.join(lines) + '\n', bare


def essence(text):
    """The page without the files that are found by the names of functions: those may move."""
    return re.sub(r'(; )?dataplane/\w+_test\.(c|py)(?=;| \|)', '', text)


def main():
    text, bare = page()
    if '--write' in sys.argv:
        with open(PAGE, 'w') as f:
            f.write(text)
    with open(PAGE) as f:
        stale = essence(f.read()) != essence(text)
    told = conform.missing(ELSEWHERE) + [f'{name}: P1 without a test' for name in bare]
    if stale:
        told.append('docs/conformance-esp.md is stale: run conformance.py --write')
    print(f'{"not ok" if told else "ok"} - every P1 statement on ESP has a test; the page is fresh')
    print('\n'.join(f'# {line}' for line in told))
    return 1 if told else 0


if __name__ == '__main__':
    sys.exit(main())
