#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The benches' own arithmetic: packets, parsing, ratios, closing lines. Test names state the rule."""
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import cbench  # noqa: E402
import machine  # noqa: E402
import plots  # noqa: E402
import results  # noqa: E402
import scaling  # noqa: E402
import secgw  # noqa: E402
import traffic  # noqa: E402
import versus  # noqa: E402

SEAL = {"what": "seal", "cipher": "aes256gcm", "encap": "native", "size": 64, "work": 200.0,
        "total": 250.0, "cipher_cycles": 100.0, "ratio": 2.0, "mpps": 10.0, "stages": {"seal": 150.0}}


class Traffic(unittest.TestCase):
    def test_imix_is_7_4_1(self):
        sizes = traffic.mixed_sizes()
        self.assertEqual({size: sizes.count(size) for size in set(sizes)}, dict(traffic.MIX))
        self.assertEqual(traffic.mean_size("imix"), 352)
        self.assertEqual(traffic.PACKETS % len(sizes), 0)

    def test_frame_has_its_size_and_a_good_checksum(self):
        for size in (64, 65, 594, 1400):
            frame = traffic.frame(size, 3)
            self.assertEqual(len(frame), 14 + size)
            self.assertEqual(int.from_bytes(frame[16:18], "big"), size)
            self.assertEqual(traffic.checksum(frame[14:34]), 0)

    def test_pcap_file_holds_every_frame(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "a.pcap")
            traffic.write_source(path, "imix", packets=24)
            inner = sum(traffic.mixed_sizes()) * 2
            self.assertEqual(os.path.getsize(path), 24 + 24 * (16 + 14) + inner)

    def test_prefixes_are_all_different_and_hosts_lie_in_them(self):
        prefixes = scaling.prefixes(300_000)
        self.assertEqual(len(set(prefixes)), 300_000)
        hosts = scaling.hosts(10_000)
        self.assertEqual(len(set(hosts)), 10_000)
        self.assertIn(hosts[5].rpartition(".")[0] + ".0/24", set(scaling.prefixes(10_000)))


class Parsing(unittest.TestCase):
    def test_json_ratio_skipped_and_other_lines_are_told_apart(self):
        found, ratios, skipped, said = cbench.parse(
            'hello\n{"what": "x", "a": 1}\n{"broken": }\nRATIO a/b 1.25\nSKIPPED c/d: no cores\n\n[1]\n')
        self.assertEqual(found, [{"what": "x", "a": 1}])
        self.assertEqual((ratios, skipped), ({"a/b": 1.25}, {"c/d": "no cores"}))
        self.assertEqual(said, ["hello", '{"broken": }', "[1]"])

    def test_first_error_of_a_build_is_the_compilers(self):
        self.assertEqual(cbench.first_error("a\n../x.c:1:2: error: bad\nninja: build stopped\n"),
                         "x.c:1:2: error: bad")
        self.assertEqual(cbench.first_error("ninja: error: unknown target 'x'\n"), "unknown target 'x'")
        self.assertEqual(cbench.first_error(""), "no word")


class Ratios(unittest.TestCase):
    def made(self):
        return results.Results("quick", {"when": "2026-01-02T03:04:05+00:00"})

    def test_only_native_aes_256_counts_for_a_closing_ratio(self):
        self.assertEqual(results.ratio_of(SEAL), ("seal-aes256gcm-64/cipher", 2.0))
        for change in ({"encap": "udp"}, {"cipher": "aes128gcm"}, {"what": "tunnels"}):
            self.assertIsNone(results.ratio_of({**SEAL, **change}))
        self.assertEqual(results.ratio_of({"what": "versus", "direction": "seal", "size": 1400,
                                           "cipher": "aes256gcm", "ratio": 1.5}),
                         ("seal-aes256gcm-1400/secgw", 1.5))

    def test_every_closing_ratio_has_a_line_in_its_order(self):
        made = self.made()
        made.add(SEAL)
        made.ratios["tunnels-10000/tunnels-1"] = 0.9
        made.skip(["one-sa-2-workers/cipher-2-threads", "loss-windows"], "one core")
        lines = made.closing_lines()
        self.assertEqual([line.split()[1].rstrip(":") for line in lines[:8]], list(results.RATIOS))
        self.assertEqual(lines[0], "RATIO seal-aes256gcm-64/cipher 2.000")
        self.assertEqual(lines[6], "SKIPPED one-sa-2-workers/cipher-2-threads: one core")
        self.assertEqual(lines[7:], ["RATIO tunnels-10000/tunnels-1 0.900",
                                     "SKIPPED loss-windows: one core"])

    def test_a_run_is_the_same_when_read_again(self):
        made = self.made()
        made.add(SEAL)
        made.skip(["x"], "y")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        before, results.DIRECTORY = results.DIRECTORY, directory.name
        self.addCleanup(setattr, results, "DIRECTORY", before)
        again = results.Results.load(made.write())
        self.assertEqual((again.records, again.ratios, again.skipped, again.kind),
                         (made.records, made.ratios, made.skipped, "quick"))
        self.assertEqual(again.stamp(), "2026-01-02-030405-quick")

    def test_quartiles_are_of_the_pairs(self):
        self.assertEqual(versus.quartiles([3, 1, 2, 5, 4]), (2, 3, 4))
        self.assertEqual(versus.quartiles([7]), (7, 7, 7))
        record = versus.record(64, [(2e6, 1e6), (3e6, 1e6), (8e6, 4e6)], {})
        self.assertEqual((record["ratio"], record["product_mpps"], record["secgw_mpps"]), (2, 3, 1))

    def test_gbps_counts_inner_bytes_at_the_counters_rate(self):
        # 10 Mpps at 250 cycles: 2.5 GHz; 64 bytes in 200 cycles.
        self.assertAlmostEqual(plots.gbps(SEAL, 200), 64 * 8 * 12.5e6 / 1e9)

    def test_scale_is_relative_to_one(self):
        made = self.made()
        made.add({"what": "routes", "routes": 10000, "ratio": 0.9})
        made.add({"what": "tunnels-small", "tunnels": 10, "ratio": 0.1})
        self.assertEqual(plots.scale_rows(made, "routes"), [('"1"', 1.0), ('"10,000"', 0.9)])
        self.assertEqual(plots.scale_rows(made, "tunnels"), [])


class Pktgen(unittest.TestCase):
    def lua(self, name):
        return machine.read(os.path.join(ROOT, "bench", "pktgen", name))

    def test_mix_is_the_same_at_the_prompt_and_in_the_profiles(self):
        profile = [int(n) for n in re.search(r"tester\.imix = {([^}]*)}", self.lua("tester.lua"))[1].split(",")]
        slots = re.findall(r"^seq (\d+) 0 .* (\d+) 0$", self.lua("imix.pkt"), re.M)
        self.assertEqual([int(slot) for slot, _ in slots], list(range(12)))
        self.assertEqual([int(size) - 18 for _, size in slots], profile)
        self.assertEqual(sorted(profile), sorted(traffic.mixed_sizes()))


class Peer(unittest.TestCase):
    def test_sources_of_packages_become_sources_of_source(self):
        one_line = "# a comment\ndeb http://mirror.example/debian bookworm main\ndeb-src x y z\n"
        self.assertEqual(secgw.as_source(one_line, True),
                         "deb-src http://mirror.example/debian bookworm main\n")
        stanzas = "Types: deb\nURIs: a\n\nTypes: deb deb-src\nURIs: b\n"
        self.assertEqual(secgw.as_source(stanzas, False),
                         "Types: deb-src\nURIs: a\n\nTypes: deb-src\nURIs: b\n")

    def test_older_code_of_the_cipher_is_a_ratio_of_its_own(self):
        made = results.Results("quick", {"when": "2026-01-01T00:00:00"})
        made.add({**SEAL, "older": True, "ratio": 1.5})
        made.add(SEAL)
        lines = made.closing_lines()
        self.assertIn("RATIO seal-aes256gcm-64/cipher-aes-ni 1.500", lines)
        self.assertIn("RATIO seal-aes256gcm-64/cipher 2.000", lines)
        made.ratios.update({"tunnels-10000/tunnels-1-aes-ni": 0.5, results.KEYS: 0.25})
        self.assertEqual(len(made.closing_lines()), len(lines) + 2)
        self.assertIn("RATIO tunnels-10000/tunnels-1-aes-ni 0.500", made.closing_lines())

    def test_older_code_of_the_cipher_is_not_drawn(self):
        made = results.Results("quick", {"when": "2026-01-01T00:00:00"})
        made.add({"what": "tunnels", "tunnels": 10, "ratio": 0.9})
        made.add({"what": "tunnels", "tunnels": 10, "ratio": 0.1, "older": True})
        self.assertEqual(plots.scale_rows(made, "tunnels"), [('"1"', 1.0), ('"10"', 0.9)])


class TapResult(unittest.TextTestResult):
    """One TAP line for each test, on standard output."""

    def stopTest(self, test):
        bad = any(str(test) == str(t) for t, _ in self.failures + self.errors)
        print(f"{'not ok' if bad else 'ok'} - {test.id().removeprefix('__main__.')}", flush=True)
        super().stopTest(test)


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(resultclass=TapResult, verbosity=0))
