#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Octets that a peer could guess at are compared in constant time: every other comparison in ike/ is
listed here with what it compares, so a new one is looked at before it passes."""
import collections
import os
import re
import unittest

IKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'ike')
# file: (how many, of what); None = any number
PUBLIC = {
    'auth.c': (1, 'an identity, sent by the peer, with the configured one'),
    'conn.c': (2, 'two configured identities, two configured names of keys'),
    'crypto_selftest.c': (None, 'public vectors'),
    'dh_park.c': (3, 'public values, and first messages, which come in the clear'),
    'dial.c': (2, 'selectors'),
    'escrow.c': (None, 'records of this machine; no peer sees how long it takes'),
    'escrow_record.c': (None, 'the same'),
    'nat.c': (1, 'a hash of public addresses'),
    'ppk.c': (1, 'the name of a key, sent by the peer, with the configured one'),
    'rival.c': (1, 'nonces, which both ends have sent in the clear or know'),
    'sa_init_answer.c': (3, 'nonces and messages that came in the clear'),
}
# file: what must be compared there by the function of constant time
SECRET = {'cookie.c': 'a cookie', 'crypto_cipher.c': 'an ICV',
          'psk.c': 'a pre-shared key and AUTH', 'qcd.c': 'a token'}


def source(name):
    with open(os.path.join(IKE, name), encoding='utf-8') as f:
        return re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)


class Comparisons(unittest.TestCase):
    def test_ike_053_secrets_are_compared_in_constant_time(self):
        for name, what in SECRET.items():
            self.assertIn('spw_bytes_equal(', source(name), f'{what} in ike/{name}')
        with open(os.path.join(IKE, '..', 'lib', 'secret.c'), encoding='utf-8') as f:
            self.assertRegex(f.read(), r'return sodium_memcmp\(a, b, len\) == 0;')

    def test_ike_053_every_other_comparison_is_of_public_octets(self):
        found = collections.Counter()
        for name in os.listdir(IKE):
            if name.endswith('.c'):
                found[name] = len(re.findall(r'\b(?:memcmp|bcmp|strcmp|strncmp)\((?!c->set)',
                                             source(name)))
        for name, n in found.items():
            allowed, what = PUBLIC.get(name, (0, 'nothing'))
            if allowed is not None:
                self.assertEqual(n, allowed, f'ike/{name} compares {n} times; public is: {what}')


if __name__ == '__main__':
    unittest.main(verbosity=2)
