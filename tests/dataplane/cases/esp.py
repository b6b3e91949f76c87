# SPDX-License-Identifier: BSD-3-Clause
"""ESP of a second implementation: RFC 4303 by hand, the ciphers of OpenSSL. It seals what a peer may
send, sound or not, and opens what the gateway sent, and knows nothing of how the gateway does it.

Suites: RFC 4106 (AES-GCM), RFC 7634 (ChaCha20-Poly1305), RFC 3602 with RFC 2404 or RFC 4868 (AES-CBC
with HMAC)."""
import dataclasses
import hashlib
import hmac
import os
import re
import secrets
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..')


def numbers(macro):
    """Symbol to the number that the messages use: the order in the one list of algorithms."""
    with open(os.path.join(ROOT, 'lib', 'algo.def')) as f:
        names = re.findall(rf'^{macro}\((\w+), \d', f.read(), re.M)
    return {name: i + 1 for i, name in enumerate(names)}


ENCR, INTEG = numbers('SPW_ENCR'), numbers('SPW_INTEG')


@dataclasses.dataclass(frozen=True)
class Suite:
    """key, salt, iv, icv: octets; block: what the text is a multiple of."""
    name: str
    encr: str
    key: int
    salt: int = 4
    integ: str = ''
    mac: int = 0
    iv: int = 8
    icv: int = 16
    block: int = 4

    @property
    def key_len(self):
        return self.key + self.salt + self.mac

    def around(self):
        """Octets of ESP beside the text."""
        return 8 + self.iv + self.icv


def cbc(bits, integ, mac, icv):
    return Suite(f'aes{bits}-{integ.split("_")[1].lower()}', f'AES{bits}_CBC', bits // 8, 0, integ,
                 mac, 16, icv, 16)


SUITES = {s.name: s for s in (
    Suite('aes128gcm16', 'AES128_GCM', 16), Suite('aes192gcm16', 'AES192_GCM', 24),
    Suite('aes256gcm16', 'AES256_GCM', 32), Suite('chacha20poly1305', 'CHACHA20_POLY1305', 32),
    cbc(128, 'HMAC_SHA1_96', 20, 12), cbc(256, 'HMAC_SHA1_96', 20, 12),
    cbc(128, 'HMAC_SHA256_128', 32, 16), cbc(256, 'HMAC_SHA256_128', 32, 16))}


class BadTag(Exception):
    pass


@dataclasses.dataclass
class Opened:
    """What was inside: the packet, the trailer, and the IV that it came with."""
    seq: int
    iv: bytes
    inner: bytes
    padding: bytes
    next: int


class Half:
    """One direction of a child SA."""

    def __init__(self, suite, spi, key, esn):
        self.suite, self.spi, self.esn = suite, spi, esn
        self.key = key[:suite.key]
        self.salt = key[suite.key:suite.key + suite.salt]
        self.mac = key[suite.key + suite.salt:]

    def aead(self):
        return (ChaCha20Poly1305 if 'CHACHA' in self.suite.encr else AESGCM)(self.key)

    def aad(self, seq):
        if self.esn:
            return struct.pack('!IQ', self.spi, seq)
        return struct.pack('!II', self.spi, seq & 0xFFFFFFFF)

    def digest(self, head, seq):
        """RFC 4303 2.8: with ESN the high half is authenticated and not sent (2.2.1)."""
        kind = hashlib.sha1 if 'SHA1' in self.suite.integ else hashlib.sha256
        data = head + (struct.pack('!I', seq >> 32) if self.esn else b'')
        return hmac.new(self.mac, data, kind).digest()[:self.suite.icv]

    def seal(self, seq, text, iv=None, spi=None):
        """ESP header to ICV around a text that ends with its trailer."""
        suite = self.suite
        iv = secrets.token_bytes(suite.iv) if iv is None else iv
        head = struct.pack('!II', self.spi if spi is None else spi, seq & 0xFFFFFFFF) + iv
        if not suite.integ:
            return head + self.aead().encrypt(self.salt + iv, text, self.aad(seq))
        enc = Cipher(algorithms.AES(self.key), modes.CBC(iv)).encryptor()
        head += enc.update(text) + enc.finalize()
        return head + self.digest(head, seq)

    def open_text(self, data, seq_hi=0):
        suite = self.suite
        seq = seq_hi << 32 | struct.unpack('!I', data[4:8])[0]
        iv, body = data[8:8 + suite.iv], data[8 + suite.iv:]
        if not suite.integ:
            try:
                return seq, iv, self.aead().decrypt(self.salt + iv, body, self.aad(seq))
            except InvalidTag as e:
                raise BadTag from e
        if not hmac.compare_digest(self.digest(data[:-suite.icv], seq), data[-suite.icv:]):
            raise BadTag
        dec = Cipher(algorithms.AES(self.key), modes.CBC(iv)).decryptor()
        return seq, iv, dec.update(body[:-suite.icv]) + dec.finalize()

    def open(self, data, seq_hi=0):
        seq, iv, text = self.open_text(data, seq_hi)
        pad = text[-2]
        if pad + 2 > len(text):
            raise ValueError('pad length beyond the text')
        end = len(text) - 2 - pad
        return Opened(seq, iv, text[:end], text[end:-2], text[-1])


def trailer(inner, block, next_header, tfc=0, extra_blocks=0, pad=None, pad_len=None):
    """The text for a packet: padding for confidentiality of flows (RFC 4303 2.7), padding 1, 2, 3 to
    the block or the octets of `pad`, its length or another number, the next header."""
    body = inner + b'\0' * tfc
    if pad is None:
        n = -(len(body) + 2) % block + extra_blocks * block
        pad = bytes((i + 1) & 0xFF for i in range(n))
    return body + pad + bytes([len(pad) if pad_len is None else pad_len, next_header])
