# SPDX-License-Identifier: BSD-3-Clause
"""FRR as an installed gateway runs it: FRR's own start script with our file in the place of
/etc/frr/daemons, in a file system view of its own, as the drop-in of frr.service makes it."""
import configparser
import os
import re
import shutil
import subprocess
import tempfile

from frr import LIBEXEC
from lab import ROOT
from net import LabError
from scenario import unmeasured

DAEMONS = os.path.join(ROOT, "conf", "frr", "frr.daemons")
DROP_IN = os.path.join(ROOT, "conf", "systemd", "frr-spillway.conf")
BOUND, PLACE = "/etc/spillway/frr.daemons", "/etc/frr/daemons"
OPTIONS = {"zebra": ["-r", "-K", "120", "--v6-rr-semantics"], "bgpd": ["-M", "bmp"]}

# In namespaces of its own (files, network, processes): nothing of the machine's FRR is touched, and
# the end of the first process ends all of it.
SCRIPT = """
mount --make-rprivate /
mount -t proc proc /proc
mount --bind {daemons} {place}
mkdir -p /var/run/frr
mount -t tmpfs tmpfs /var/run/frr
mount -t tmpfs tmpfs /var/log/frr
mount -t tmpfs tmpfs /var/tmp
chown frr:frr /var/run/frr /var/log/frr
ip link set lo up
{libexec}/frrinit.sh start >{out}/start 2>&1 || exit 1
for name in zebra bgpd staticd bfdd; do
    pid=$(cat /var/run/frr/$name.pid 2>/dev/null) && tr '\\0' '\\n' </proc/$pid/cmdline >{out}/$name
done
vtysh -d bgpd -c 'show modules' >{out}/modules
kill -9 $(cat /var/run/frr/bgpd.pid)
for i in $(seq 100); do
    vtysh -d bgpd -c 'show modules' >{out}/again 2>/dev/null && break
    sleep 0.1
done
exit 0
"""


def run_frr():
    """{name: text} of what the script wrote."""
    out = tempfile.mkdtemp(prefix="frr-options-")
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c",
             SCRIPT.format(daemons=DAEMONS, place=PLACE, libexec=LIBEXEC, out=out)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60, check=False)
        found = {}
        for name in os.listdir(out):
            with open(os.path.join(out, name), encoding="utf-8", errors="replace") as text:
                found[name] = text.read()
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if done.returncode != 0:
        raise LabError("FRR's script: " + found.get("start", "") + done.stdout)
    return found


@unmeasured
def test_frr_runs_with_the_options_that_the_gateway_needs():
    with open(PLACE, encoding="utf-8") as text:
        before = text.read()
    found = run_frr()
    for daemon, wanted in OPTIONS.items():
        words = " ".join(found.get(daemon, "").split("\n"))
        assert " ".join(wanted) in words, "%s runs as '%s'" % (daemon, words)
    assert "bfdd" not in found, "bfdd runs beside the data plane's BFD"
    for name in ("modules", "again"):
        assert re.search(r"^ *bmp\b|bgpd_bmp", found[name], re.M), \
            "%s: bgpd has not the module for BMP: %s" % (name, found[name])
    with open(PLACE, encoding="utf-8") as text:
        assert text.read() == before, "FRR's own file has changed"


def test_the_drop_in_of_frr_names_the_file_that_is_installed():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DROP_IN)
    assert unit["Service"]["BindReadOnlyPaths"] == "%s:%s" % (BOUND, PLACE)
    assert unit["Service"]["Restart"] == "always"
