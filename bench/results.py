# SPDX-License-Identifier: BSD-3-Clause
"""What a run found: records, the closing ratios, what was skipped; a dated JSON file of it all."""
import json
import os

import machine

DIRECTORY = os.path.join(machine.ROOT, "bench", "results")
RATIOS = ("seal-aes256gcm-64/cipher", "open-aes256gcm-64/cipher", "seal-aes256gcm-1400/cipher",
          "open-aes256gcm-1400/cipher", "seal-aes256gcm-64/secgw", "seal-aes256gcm-1400/secgw",
          "one-sa-2-workers/cipher-2-threads", "tunnels-10000/tunnels-1")

# What would be left if only the cipher's keys took longer to come: beside the tunnels' ratio.
KEYS = "tunnels-10000/tunnels-1-by-keys-alone"
# The same with the cipher's code for CPUs without wide AES; said when the machine has it.
AES_NI = "-aes-ni"
BESIDE = (*(f"{name}{AES_NI}" for name in (*RATIOS, KEYS) if "/secgw" not in name), KEYS)


def rounded(value):
    """Floats to five significant digits, all the way down: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def ratio_of(record):
    """(name, value) of the closing ratio that a record holds, or None."""
    what, size = record.get("what"), record.get("size")
    if record.get("cipher") != "aes256gcm":
        return None
    if what in ("seal", "open") and record.get("encap", "native") == "native":
        older = AES_NI if record.get("older") else ""
        return f"{what}-aes256gcm-{size}/cipher{older}", record["ratio"]
    if what == "versus":
        return f"{record['direction']}-aes256gcm-{size}/secgw", record["ratio"]
    return None


class Results:
    """One run. `kind` is quick or full."""

    def __init__(self, kind, environment=None):
        self.kind = kind
        self.environment = environment or machine.environment()
        self.records, self.ratios, self.skipped = [], {}, {}

    @classmethod
    def load(cls, path):
        """A run that was written before."""
        with open(path, encoding="utf-8") as text:
            found = json.load(text)
        results = cls(found["kind"], found["environment"])
        results.records, results.ratios = found["records"], found["ratios"]
        results.skipped = found["skipped"]
        return results

    def add(self, record):
        self.records.append(rounded(record))
        named = ratio_of(record)
        if named:
            self.ratios[named[0]] = named[1]

    def skip(self, names, why):
        """Ratios (or other figures) that this run does not have, and why."""
        self.skipped.update(dict.fromkeys(names, why))

    def select(self, **wanted):
        return [record for record in self.records
                if all(record.get(key) == value for key, value in wanted.items())]

    def stamp(self):
        when = self.environment["when"]
        return f"{when[:10]}-{when[11:19].replace(':', '')}-{self.kind}"

    def write(self):
        """Path of the JSON file."""
        os.makedirs(DIRECTORY, exist_ok=True)
        self.environment["load_after"] = os.getloadavg()
        path = os.path.join(DIRECTORY, f"{self.stamp()}.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"kind": self.kind, "environment": self.environment,
                       "ratios": rounded(self.ratios), "skipped": self.skipped,
                       "records": self.records}, out, indent=1)
            out.write("\n")
        return path

    def closing_lines(self):
        """The lines that a run ends with: each ratio, or why it is not there."""
        lines = []
        for name in (*filter(self.ratios.get, BESIDE), *RATIOS):
            if name in self.ratios:
                lines.append(f"RATIO {name} {self.ratios[name]:.3f}")
            else:
                lines.append(f"SKIPPED {name}: {self.skipped.get(name, 'nothing measured it')}")
        return lines + [f"SKIPPED {name}: {why}" for name, why in self.skipped.items()
                        if name not in RATIOS]
