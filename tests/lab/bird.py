# SPDX-License-Identifier: BSD-3-Clause
"""BIRD 2 as the Microsoft edge router and as the router of the VNet.

The edge speaks eBGP and BFD (300 ms x 3) with the gateway and, separately, with the VNet's router:
it announces to us only what it has learnt from the VNet, and to the VNet only what it has learnt
from us. So one `disable` towards the VNet is a withdrawal in both directions, as in Azure.
"""
import os
import signal
import socket

from net import LabError, now_ns, run, send, wait_until

COMMON = """\
log "{dir}/bird.log" all;
debug protocols {{ states, events }};
router id {router_id};
protocol device {{ scan time 5; }}
protocol bfd {{
    interface "*" {{ min rx interval 300 ms; min tx interval 300 ms; multiplier 3; }};
}}
template bgp peer {{
    direct;
    bfd on;
    hold time 180;
    keepalive time 60;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 1;
    graceful restart off;
    long lived graceful restart off;
}}
"""

EDGE = COMMON + """\
protocol kernel {{ ipv4 {{ import none; export all; }}; }}
protocol bgp site from peer {{
    local {edge_address} as {edge_as};
    neighbor {gateway_address} as {gateway_as};
    {gateway_password}
    ipv4 {{ import where net ~ [ {site_prefix}+ ]; export where net ~ [ {vnet_prefix}+ ];
            next hop self; }};
}}
protocol bgp vnet from peer {{
    local {edge_vnet_address} as {edge_as};
    neighbor {vnet_edge_address} as {vnet_as};
    ipv4 {{ import where net ~ [ {vnet_prefix}+ ]; export where net ~ [ {site_prefix}+ ];
            next hop self; }};
}}
"""

VNET = COMMON + """\
protocol kernel {{
    ipv4 {{ import none;
            export filter {{ if net ~ [ {site_prefix}+ ] then {{
                krt_prefsrc = {vnet_host}; accept; }} reject; }}; }};
}}
protocol static {{ ipv4; {vnet_routes} }}
protocol bgp edge from peer {{
    local {vnet_edge_address} as {vnet_as};
    neighbor {edge_vnet_address} as {edge_as};
    ipv4 {{ import where net ~ [ {site_prefix}+ ]; export where net ~ [ {vnet_prefix}+ ];
            next hop self; }};
}}
"""


class Bird:
    """One BIRD in one namespace."""

    def __init__(self, registry, ns, directory, template, values):
        self.registry = registry
        self.ns = ns
        self.dir = directory
        self.text = template.format(dir=directory, **values)
        self.child = None

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        config = os.path.join(self.dir, "bird.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(self.text)
        self.child = self.registry.start(
            "bird", ["bird", "-f", "-c", config, "-s", self.socket(), "-P",
                     os.path.join(self.dir, "bird.pid")],
            ns=self.ns, log=os.path.join(self.dir, "stdout"), detach=True)
        wait_until(self._answers, 5, "BIRD in " + self.ns)

    def _answers(self):
        if self.child.poll() is not None:
            with open(os.path.join(self.dir, "stdout"), encoding="utf-8") as text:
                raise LabError("BIRD in %s: %s" % (self.ns, text.read().strip()))
        return run("birdc", "-s", self.socket(), "show", "status", check=False).returncode == 0

    def socket(self):
        return os.path.join(self.dir, "bird.ctl")

    def ctl(self, *words):
        """Give BIRD one command; return its answer."""
        return run("birdc", "-s", self.socket(), *words).stdout

    def established(self, protocol):
        return "Established" in self.ctl("show", "protocols", protocol)

    def has_route(self, prefix):
        """BIRD says that it has it, or (by its exit code, too) that it has not."""
        return prefix + " " in run("birdc", "-s", self.socket(), "show", "route", prefix,
                                   check=False).stdout

    def disable(self, protocol):
        stamp = now_ns()
        self.ctl("disable", protocol)
        return stamp

    def enable(self, protocol):
        stamp = now_ns()
        self.ctl("enable", protocol)
        return stamp

    def at_hand(self):
        """A control connection for commands whose moment matters: no process is started for one."""
        return BirdControl(self.socket())

    def reconfigure(self, text):
        """Replace the configuration; sessions that it does not touch stay."""
        self.text = text
        with open(os.path.join(self.dir, "bird.conf"), "w", encoding="ascii") as out:
            out.write(text)
        said = self.ctl("configure")
        if "Reconfigured" not in said and "in progress" not in said:
            raise LabError("BIRD in %s refuses: %s" % (self.ns, said.strip()))

    def freeze(self):
        send(self.child.pid, signal.SIGSTOP)

    def thaw(self):
        send(self.child.pid, signal.SIGCONT)


class BirdControl:
    """BIRD's control socket, connected."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self._answer()

    def tell(self, command):
        """Give a command; return the time at which it was with BIRD."""
        self.socket.sendall(command.encode("ascii") + b"\n")
        stamp = now_ns()
        self._answer()
        return stamp

    def _answer(self):
        # The last line of an answer has a space behind its code, the others a minus sign.
        data = b""
        while not any(line[4:5] == b" " and line[:4].isdigit() for line in data.splitlines(True)
                      if line.endswith(b"\n")):
            more = self.socket.recv(4096)
            if not more:
                raise LabError("BIRD closed its control socket")
            data += more
        return data

    def close(self):
        self.socket.close()
