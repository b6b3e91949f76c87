# SPDX-License-Identifier: BSD-3-Clause
"""The packets of the process benches, and the pcap files that the ports read.

    host 10.1.0.2 -- LAN port, a pcap file read for ever -- gateway -- WAN port, a sink -- peer

A size is that of the inner IPv4 packet. Source ports run over FLOWS values, so that hashing sees
flows. The sink's own pcap file is empty: nothing is received there.
"""
import struct

SIZES = (64, 128, 256, 512, 1024, 1400)
IMIX = "imix"
MIX = ((64, 7), (594, 4), (1400, 1))        # bytes, parts of 12
PACKETS = 384                               # in a file: 32 mixes
FLOWS = 64

LAN_NET, REMOTE_NET = "10.1.0.0/16", "10.2.0.0/16"
LAN_HOST, REMOTE_HOST = "10.1.0.2", "10.2.0.2"
GATEWAY_LAN, GATEWAY_WAN, PEER_WAN = "10.1.0.1", "192.0.2.1", "192.0.2.2"
# The pcap driver counts its ports from zero in the last byte.
LAN_MAC, WAN_MAC = "02:70:63:61:70:00", "02:70:63:61:70:01"
HOST_MAC, PEER_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"

FILE_HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def raw_mac(text):
    return bytes.fromhex(text.replace(":", ""))


def raw_ip(text):
    return bytes(int(part) for part in text.split("."))


def checksum(data):
    """RFC 1071 over an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(size, flow, destination=REMOTE_HOST):
    """Ethernet, IPv4, UDP to the gateway's LAN port; `size` counts from the IPv4 header on."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 17, 0,
                       raw_ip(LAN_HOST), raw_ip(destination))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    udp = struct.pack("!HHHH", 1024 + flow % FLOWS, 4789, size - 20, 0)
    ethernet = raw_mac(LAN_MAC) + raw_mac(HOST_MAC) + b"\x08\x00"
    return ethernet + head + udp + bytes(size - 28)


def mixed_sizes():
    """Twelve sizes of IMIX, the small ones spread between the others."""
    small, middle, large = ([size] * parts for size, parts in MIX)
    order = []
    while small or middle or large:
        order += small[:2] + middle[:1]
        small, middle = small[2:], middle[1:]
        if not middle:
            order, large = order + large, []
    return order


def sizes_of(load):
    return mixed_sizes() if load == IMIX else [load]


def mean_size(load):
    """Inner bytes of a packet, on average."""
    sizes = sizes_of(load)
    return sum(sizes) / len(sizes)


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(FILE_HEADER)
        for data in frames:
            out.write(struct.pack("=IIII", 0, 0, len(data), len(data)) + data)


def write_source(path, load, destinations=(REMOTE_HOST,), packets=PACKETS):
    """A source of `packets` packets: `load` is a size or IMIX, destinations take turns."""
    sizes = sizes_of(load)
    write_pcap(path, [frame(sizes[i % len(sizes)], i, destinations[i % len(destinations)])
                      for i in range(packets)])


def devices(directory):
    """The two devices, source first: the gateway's LAN port and its WAN port."""
    return (f"net_pcap0,rx_pcap={directory}/source.pcap,infinite_rx=1",
            f"net_pcap1,rx_pcap={directory}/sink.pcap")


def write_files(directory, load, **options):
    write_source(f"{directory}/source.pcap", load, **options)
    write_pcap(f"{directory}/sink.pcap", [])
