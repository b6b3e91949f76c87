/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pure rules: truth tables, and comparison with naive models on random input. Proposal
 * choice, selectors, NAT detection, cookies, times, rivals, key derivation, the state tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

static uint64_t rng = 88172645463325252ull;

static unsigned int
roll(unsigned int n)
{
	return (unsigned int)(net_random(&rng) % n);
}

/* ---- proposals ---- */

static const struct spw_ike_proposal gcm = {
	.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
static const struct ike_choice_rule ike_rule = {.protocol = IKE_PROTO_IKE, .with_group = true};
static const struct ike_choice_rule esp_rule = {
	.protocol = IKE_PROTO_ESP, .spi_len = 4, .with_group = true, .encr_mask = ~0u};

/* A payload with one proposal of the given transforms (type, id, key bits). */
static struct ike_sa_payload
offer(uint8_t protocol, const uint16_t (*t)[3], unsigned int n)
{
	struct ike_sa_payload sa = {.n_proposals = 1, .n_transforms = (uint16_t)n};

	sa.proposal[0] = (struct ike_proposal){.number = 1,
					       .protocol = protocol,
					       .spi_len = protocol == IKE_PROTO_ESP ? 4 : 0,
					       .spi = protocol == IKE_PROTO_ESP ? 0x1000 : 0,
					       .count = (uint16_t)n};
	for (unsigned int i = 0; i < n; i++)
		sa.transform[i] = (struct ike_transform){
			.type = (uint8_t)t[i][0], .id = t[i][1], .key_bits = t[i][2]};
	return sa;
}

static int
chosen(uint8_t protocol, const uint16_t (*t)[3], unsigned int n, struct spw_ike_proposal own)
{
	struct ike_sa_payload sa = offer(protocol, t, n);
	struct ike_choice c;

	return ike_proposal_choose(&sa, &own, 1, protocol == IKE_PROTO_ESP ? &esp_rule : &ike_rule,
				   &c) == 0;
}

static void
ike_proposal_truth_table(void **state)
{
	const uint16_t good[][3] = {{1, 20, 256}, {2, 5, 0}, {4, 19, 0}};
	const uint16_t with_none[][3] = {{1, 20, 256}, {2, 5, 0}, {3, 0, 0}, {4, 19, 0}};
	const uint16_t many[][3] = {{1, 12, 128}, {1, 20, 128}, {1, 20, 256}, {2, 2, 0},
				    {2, 5, 0},	  {4, 14, 0},	{4, 19, 0}};
	const uint16_t no_group[][3] = {{1, 20, 256}, {2, 5, 0}};
	const uint16_t no_prf[][3] = {{1, 20, 256}, {4, 19, 0}};
	const uint16_t no_keylen[][3] = {{1, 20, 0}, {2, 5, 0}, {4, 19, 0}};
	const uint16_t odd_keylen[][3] = {{1, 20, 129}, {2, 5, 0}, {4, 19, 0}};
	const uint16_t integ[][3] = {{1, 20, 256}, {2, 5, 0}, {3, 12, 0}, {4, 19, 0}};
	const uint16_t unknown_type[][3] = {{1, 20, 256}, {2, 5, 0}, {4, 19, 0}, {9, 1, 0}};
	const uint16_t esn[][3] = {{1, 20, 256}, {2, 5, 0}, {4, 19, 0}, {5, 0, 0}};
	const struct spw_ike_proposal bare = {.encr = SPW_ENCR_AES256_GCM};
	const uint16_t nothing_else[][3] = {{1, 20, 256}};

	assert_true(chosen(1, good, 3, gcm));
	assert_true(chosen(1, with_none, 4, gcm));
	assert_true(chosen(1, many, 7, gcm));
	assert_false(chosen(1, no_group, 2, gcm));
	assert_false(chosen(1, no_prf, 2, gcm));
	assert_false(chosen(1, no_keylen, 3, gcm));
	assert_false(chosen(1, odd_keylen, 3, gcm));
	assert_false(chosen(1, integ, 4, gcm));
	assert_false(chosen(1, unknown_type, 4, gcm));
	assert_false(chosen(1, esn, 4, gcm));
	assert_false(chosen(3, good, 3, gcm));
	assert_false(chosen(1, nothing_else, 1, bare)); /* an IKE SA has a PRF and a group */
}

static void
esp_proposal_truth_table(void **state)
{
	const struct spw_ike_proposal plain = {.encr = SPW_ENCR_AES256_GCM};
	const struct spw_ike_proposal pfs = {.encr = SPW_ENCR_AES256_GCM,
					     .group = SPW_GROUP_ECP384};
	const uint16_t none[][3] = {{1, 20, 256}, {5, 0, 0}};
	const uint16_t dh_none[][3] = {{1, 20, 256}, {4, 0, 0}, {5, 0, 0}};
	const uint16_t dh20[][3] = {{1, 20, 256}, {4, 20, 0}, {5, 0, 0}};
	const uint16_t either[][3] = {{1, 20, 256}, {4, 20, 0}, {4, 0, 0}, {5, 1, 0}, {5, 0, 0}};
	const uint16_t no_esn_type[][3] = {{1, 20, 256}};
	const uint16_t esn_only[][3] = {{1, 20, 256}, {5, 1, 0}};

	assert_true(chosen(3, none, 2, plain));
	assert_false(chosen(3, none, 2, pfs));
	assert_true(chosen(3, dh_none, 3, plain));
	assert_false(chosen(3, dh_none, 3, pfs));
	assert_false(chosen(3, dh20, 3, plain));
	assert_true(chosen(3, dh20, 3, pfs));
	assert_true(chosen(3, either, 5, plain));
	assert_true(chosen(3, either, 5, pfs));
	assert_false(chosen(3, no_esn_type, 1, plain));
	assert_false(chosen(3, esn_only, 2, plain));
}

/* What comes of an offer of 32-bit (1) and 64-bit (2) sequence numbers; -1 = not acceptable. */
static int
esn_chosen(unsigned int offered, enum spw_ike_esn own)
{
	const uint16_t t[][3] = {{1, 20, 256}, {5, offered == 1 ? 0 : 1, 0}, {5, 0, 0}};
	struct ike_sa_payload sa = offer(IKE_PROTO_ESP, t, offered == 3 ? 3 : 2);
	const struct spw_ike_proposal p = {.encr = SPW_ENCR_AES256_GCM, .esn = (uint8_t)own};
	struct ike_choice c;

	return ike_proposal_choose(&sa, &p, 1, &esp_rule, &c) == 0 ? c.what.esn : -1;
}

static void
longer_sequence_numbers_are_taken_where_both_take_them(void **state)
{
	static const int want[4][3] = {
		/* own: NO, YES, BOTH */
		[1] = {SPW_ESN_NO, -1, SPW_ESN_NO},
		[2] = {-1, SPW_ESN_YES, SPW_ESN_YES},
		[3] = {SPW_ESN_NO, SPW_ESN_YES, SPW_ESN_YES},
	};

	for (unsigned int offered = 1; offered <= 3; offered++)
		for (unsigned int own = 0; own < 3; own++)
			assert_int_equal(esn_chosen(offered, own), want[offered][own]);
}

static void
own_preference_decides_and_numbers_are_echoed(void **state)
{
	struct spw_ike_proposal own[2] = {gcm, gcm};
	struct ike_sa_payload sa = {.n_proposals = 2, .n_transforms = 6};
	struct ike_choice c;

	own[1].group = SPW_GROUP_MODP2048;
	for (unsigned int p = 0; p < 2; p++) {
		sa.proposal[p] = (struct ike_proposal){.number = (uint8_t)(p + 1),
						       .protocol = 1,
						       .first = (uint16_t)(3 * p),
						       .count = 3};
		sa.transform[3 * p] = (struct ike_transform){1, false, 20, 256};
		sa.transform[3 * p + 1] = (struct ike_transform){2, false, 5, 0};
		sa.transform[3 * p + 2] = (struct ike_transform){4, false, p == 0 ? 14 : 19, 0};
	}
	assert_int_equal(ike_proposal_choose(&sa, own, 2, &ike_rule, &c), 0);
	assert_int_equal(c.number, 2); /* the peer's second, because it is our first */
	assert_int_equal(c.what.group, SPW_GROUP_ECP256);
	sa.proposal[1].number = 3; /* a gap */
	assert_int_not_equal(ike_proposal_choose(&sa, own, 2, &ike_rule, &c), 0);
}

static void
answer_is_checked_against_the_offer(void **state)
{
	const uint16_t t[][3] = {{1, 20, 256}, {2, 5, 0}, {4, 19, 0}};
	const uint16_t twice[][3] = {{1, 20, 256}, {2, 5, 0}, {4, 19, 0}, {4, 14, 0}};
	struct ike_sa_payload sa = offer(1, t, 3);
	struct ike_choice c;

	assert_int_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
	sa.proposal[0].number = 2;
	assert_int_not_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
	sa.proposal[0].number = 0;
	assert_int_not_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
	sa = offer(1, t, 3);
	sa.transform[0].key_bits = 128; /* weaker than we offered */
	assert_int_not_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
	sa = offer(1, twice, 4);
	assert_int_not_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
	sa = offer(1, t, 3);
	sa.n_proposals = 2;
	assert_int_not_equal(ike_proposal_check(&sa, &gcm, 1, &ike_rule, &c), 0);
}

/* Naive model: a proposal allows what its sets of identifiers contain. */
static void
choice_agrees_with_a_naive_model(void **state)
{
	static const uint16_t groups[] = {0, 2, 14, 19, 20};

	for (int round = 0; round < 20000; round++) {
		uint16_t t[8][3];
		unsigned int n = 0, bits = roll(2) ? 256 : 128, has[3] = {0};
		uint8_t want = (uint8_t)roll(SPW_GROUP_COUNT);
		bool none = false, other = false, any = false;
		struct spw_ike_proposal own = {.encr = SPW_ENCR_AES256_GCM, .group = want};

		t[n][0] = 1, t[n][1] = 20, t[n++][2] = (uint16_t)bits;
		for (unsigned int i = roll(4); i > 0; i--) {
			uint16_t id = groups[roll(5)];

			t[n][0] = 4, t[n][1] = id, t[n++][2] = 0;
			any = true;
			none |= id == 0;
			other |= id != 0 && id == spw_group_info(want)->ike_id;
		}
		if (roll(8)) {
			t[n][0] = 5, t[n][1] = 0, t[n++][2] = 0;
			has[0] = 1;
		}
		bool model = bits == 256 && has[0] && (want ? other : !any || none);

		assert_int_equal(chosen(3, (const uint16_t(*)[3])t, n, own), model);
	}
}

/* ---- selectors ---- */

static struct spw_selector
box(uint32_t lo, uint32_t hi, uint8_t protocol, uint16_t plo, uint16_t phi)
{
	return (struct spw_selector){.low = spw_addr_v4(lo),
				     .high = spw_addr_v4(hi),
				     .protocol = protocol,
				     .port_low = plo,
				     .port_high = phi};
}

static bool
contains(const struct spw_selector *s, uint32_t a, uint8_t protocol, uint16_t port)
{
	return spw_addr_get_v4(&s->low) <= a && a <= spw_addr_get_v4(&s->high) &&
	       (s->protocol == 0 || s->protocol == protocol) && s->port_low <= port &&
	       port <= s->port_high;
}

static bool
any_contains(const struct spw_selector *s, unsigned int n, uint32_t a, uint8_t p, uint16_t port)
{
	for (unsigned int i = 0; i < n; i++)
		if (contains(&s[i], a, p, port))
			return true;
	return false;
}

static struct spw_selector
random_box(void)
{
	uint32_t a = roll(12), b = roll(12);
	uint16_t p = (uint16_t)roll(6), q = (uint16_t)roll(6);

	return box(a < b ? a : b, a < b ? b : a, (uint8_t)roll(3), p < q ? p : q, p < q ? q : p);
}

/* Narrowing is set intersection: checked packet by packet on a tiny universe. */
static void
narrowing_is_intersection(void **state)
{
	for (int round = 0; round < 3000; round++) {
		struct spw_selector own[2], peer[2], out[SPW_SA_SELECTORS];
		unsigned int n;

		for (int i = 0; i < 2; i++) {
			own[i] = random_box();
			peer[i] = random_box();
		}
		n = ike_selector_narrow(own, 2, peer, 2, out);
		assert_true(n <= SPW_SA_SELECTORS);
		for (uint32_t a = 0; a < 12; a++)
			for (uint8_t p = 1; p < 3; p++)
				for (uint16_t port = 0; port < 6; port++)
					assert_int_equal(any_contains(out, n, a, p, port),
							 any_contains(own, 2, a, p, port) &&
								 any_contains(peer, 2, a, p, port));
		if (n)
			assert_true(ike_selector_subset(peer, 2, out, n));
	}
}

static void
selector_edges(void **state)
{
	struct spw_selector any = box(0, 0xffffffff, 0, 0, 65535), out[SPW_SA_SELECTORS], s;
	struct spw_selector opaque = box(0, 0xffffffff, 0, 65535, 0);
	struct spw_selector inverted = box(9, 5, 0, 0, 65535);
	struct spw_selector v6 = any;

	v6.low.family = v6.high.family = AF_INET6;
	s = box(0x0a000000, 0x0affffff, 6, 80, 80);
	assert_int_equal(ike_selector_narrow(&any, 1, &s, 1, out), 1);
	assert_true(ike_selector_covers(&s, &out[0]) && ike_selector_covers(&out[0], &s));
	assert_int_equal(ike_selector_narrow(&s, 1, &any, 1, out), 1);
	assert_int_equal(ike_selector_narrow(&any, 1, &opaque, 1, out), 0);
	assert_int_equal(ike_selector_narrow(&any, 1, &inverted, 1, out), 0);
	assert_int_equal(ike_selector_narrow(&any, 1, &v6, 1, out), 0);
	assert_int_equal(ike_selector_narrow(&any, 1, NULL, 0, out), 0);
	assert_false(ike_selector_subset(&s, 1, &any, 1)); /* wider than offered */
	assert_false(ike_selector_subset(&any, 1, NULL, 0));
}

/* ---- NAT, cookies, times, rivals ---- */

static void
nat_detection_truth_table(void **state)
{
	const struct spw_addr a = spw_addr_v4(0xc0000201);
	uint8_t h[20], wrong[20] = {1};
	struct ike_msg m = {0};

	assert_int_equal(ike_nat_hash(1, 2, &a, 500, h), 0);
	assert_false(ike_nat_changed(&m, IKE_N_NAT_DETECTION_SOURCE_IP, h)); /* not supported */
	m.n_notifies = 1;
	m.notify[0] = (struct ike_notify){.type = IKE_N_NAT_DETECTION_SOURCE_IP, .data = {h, 20}};
	assert_false(ike_nat_changed(&m, IKE_N_NAT_DETECTION_SOURCE_IP, h));
	assert_false(ike_nat_changed(&m, IKE_N_NAT_DETECTION_DESTINATION_IP, h));
	m.notify[0].data.bytes = wrong;
	assert_true(ike_nat_changed(&m, IKE_N_NAT_DETECTION_SOURCE_IP, h));
	m.notify[0].data.len = 19; /* NAT-02 */
	assert_false(ike_nat_changed(&m, IKE_N_NAT_DETECTION_SOURCE_IP, h));
	m.notify[0].data.len = 20;
	m.notify[1] = (struct ike_notify){.type = IKE_N_NAT_DETECTION_SOURCE_IP, .data = {h, 20}};
	m.n_notifies = 2; /* one of several fits: no NAT */
	assert_false(ike_nat_changed(&m, IKE_N_NAT_DETECTION_SOURCE_IP, h));
	assert_int_equal(ike_nat_hash(1, 2, &a, 501, wrong), 0);
	assert_memory_not_equal(h, wrong, 20);
}

static void
cookie_binds_all_and_ages(void **state)
{
	struct ike_cookie_jar jar = {.version = 7, .has_previous = true};
	const struct spw_addr a = spw_addr_v4(1), b = spw_addr_v4(2);
	uint8_t nonce[32] = {3}, other[32] = {4}, c[IKE_COOKIE_LEN];

	assert_int_equal(spw_secret_alloc(&jar.keys, 2 * IKE_COOKIE_KEY), 0);
	ike_cookie_key(&jar, 0)[0] = 1;
	ike_cookie_key(&jar, 1)[0] = 2;
	ike_cookie_make(&jar, 7, nonce, 32, &a, 500, 99, c);
	assert_true(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 99));
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), other, 32, &a, 500, 99));
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &b, 500, 99));
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 501, 99));
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 98));
	assert_false(ike_cookie_valid(&jar, c, sizeof(c) - 1, nonce, 32, &a, 500, 99));
	for (unsigned int i = 0; i < sizeof(c) * 8; i++) {
		c[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 99));
		c[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	jar.version = 8; /* turned once: still good, and no more without the previous secret */
	assert_true(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 99));
	jar.has_previous = false;
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 99));
	jar.has_previous = true;
	jar.version = 9;
	assert_false(ike_cookie_valid(&jar, c, sizeof(c), nonce, 32, &a, 500, 99));
	spw_secret_free(&jar.keys);
}

static void
times_grow_and_are_bounded(void **state)
{
	static const unsigned int backoff[] = {0, 1, 2, 4, 8, 16, 32, 60, 60, 60};
	uint64_t total = 0;

	assert_int_equal(ike_retransmit_wait(1, 500, 100000), 500);
	assert_int_equal(ike_retransmit_wait(2, 500, 100000), 900);
	assert_int_equal(ike_retransmit_wait(3, 500, 100000), 1620);
	assert_int_equal(ike_retransmit_wait(0xffffffff, 500, 100000), 100000);
	assert_int_equal(ike_retransmit_wait(3, 5, 2), 2);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(ike_backoff_wait(i), backoff[i] * SPW_NS_PER_S);
	assert_int_equal(ike_backoff_wait(0xffffffff), 60 * SPW_NS_PER_S);
	for (int i = 0; i < 1000; i++) {
		uint64_t j = ike_jitter(1000, 10, net_random(&rng));

		assert_in_range(j, 900, 1000);
		total += j;
	}
	assert_in_range(total / 1000, 940, 960);
	assert_int_equal(ike_jitter(0, 10, 5), 0);
	assert_int_equal(ike_jitter(77, 0, 5), 77);
	assert_true(ike_jitter(UINT64_MAX, 200, UINT64_MAX) <= UINT64_MAX);
}

static void
lowest_nonce_loses_and_a_prefix_is_lower(void **state)
{
	struct ike_nonce a = {.len = 16, .bytes = {5}}, b = {.len = 17, .bytes = {5}};
	struct ike_nonce c = {.len = 16, .bytes = {4, 0xff}};

	assert_true(ike_nonce_compare(&a, &b) < 0);
	assert_true(ike_nonce_compare(&b, &a) > 0);
	assert_int_equal(ike_nonce_compare(&a, &a), 0);
	assert_true(ike_nonce_compare(&c, &a) < 0);
	assert_ptr_equal(ike_nonce_lower(&a, &c), &c);
	/* both ends come to the same answer, with the arguments in either order */
	assert_true(ike_rival_stays(100, &a, 101, &c));
	assert_false(ike_rival_stays(101, &c, 100, &a));
	/* far apart the newer stays whatever its nonce */
	assert_true(ike_rival_stays(100 * NET_S, &c, 1 * NET_S, &a));
	assert_false(ike_rival_stays(1 * NET_S, &a, 100 * NET_S, &c));
}

/* ---- keys ---- */

static void
key_order_and_sizes(void **state)
{
	const struct spw_ike_proposal cbc = {.encr = SPW_ENCR_AES128_CBC,
					     .integ = SPW_INTEG_HMAC_SHA256_128,
					     .prf = SPW_PRF_HMAC_SHA384,
					     .group = SPW_GROUP_ECP256};
	struct ike_nonce ni = {.len = 32, .bytes = {1}}, nr = {.len = 32, .bytes = {2}};
	struct spw_secret shared = {0}, seed = {0}, block = {0};
	uint8_t nonces[64] = {0}, spis[16] = {0};
	struct ike_keys k;

	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(spw_secret_alloc(&shared, 32), 0);
	const struct ike_keys_input in = {
		.suite = &cbc, .shared = &shared, .ni = &ni, .nr = &nr, .spi_i = 7, .spi_r = 8};

	assert_int_equal(ike_keys_derive(&in, &k), 0);
	assert_int_equal(k.d.len, 48);
	assert_int_equal(k.ai.len, 32);
	assert_int_equal(k.ei.len, 16);
	assert_int_equal(k.pr.len, 48);
	/* the same by hand: SKEYSEED = prf(Ni | Nr, g), keys cut from one block in order */
	nonces[0] = 1;
	nonces[32] = 2;
	spis[7] = 7;
	spis[15] = 8;
	assert_int_equal(spw_secret_alloc(&seed, 48), 0);
	const struct ike_chunk g = {shared.bytes, 32};
	const struct ike_chunk c[] = {{nonces, 64}, {spis, 16}};

	assert_int_equal(ike_prf(cbc.prf, nonces, 64, &g, 1, seed.bytes), 0);
	assert_int_equal(ike_prf_plus(cbc.prf, &seed, c, 2, 48 * 3 + 32 * 2 + 16 * 2, &block), 0);
	assert_memory_equal(k.d.bytes, block.bytes, 48);
	assert_memory_equal(k.ai.bytes, block.bytes + 48, 32);
	assert_memory_equal(k.ar.bytes, block.bytes + 80, 32);
	assert_memory_equal(k.ei.bytes, block.bytes + 112, 16);
	assert_memory_equal(k.er.bytes, block.bytes + 128, 16);
	assert_memory_equal(k.pi.bytes, block.bytes + 144, 48);
	assert_memory_equal(k.pr.bytes, block.bytes + 192, 48);
	ike_keys_free(&k);
	spw_secret_free(&shared);
	spw_secret_free(&seed);
	spw_secret_free(&block);
}

static void
auth_covers_message_nonce_and_identity(void **state)
{
	struct spw_secret psk = {0}, p = {0};
	struct ike_nonce n = {.len = 32, .bytes = {9}};
	uint8_t msg[40] = {1}, id[8] = {2}, a[32], b[32];
	const struct ike_chunk m = {msg, 40}, i = {id, 8};

	assert_int_equal(spw_secret_set(&psk, "k", 1), 0);
	assert_int_equal(spw_secret_set(&p, msg, 32), 0);
	assert_int_equal(ike_keys_auth(SPW_PRF_HMAC_SHA256, &psk, &m, &n, &p, &i, a), 0);
	msg[39] ^= 1;
	assert_int_equal(ike_keys_auth(SPW_PRF_HMAC_SHA256, &psk, &m, &n, &p, &i, b), 0);
	assert_memory_not_equal(a, b, 32);
	msg[39] ^= 1;
	id[1] ^= 1; /* a reserved byte counts (IKE-006) */
	assert_int_equal(ike_keys_auth(SPW_PRF_HMAC_SHA256, &psk, &m, &n, &p, &i, b), 0);
	assert_memory_not_equal(a, b, 32);
	id[1] ^= 1;
	n.bytes[31] ^= 1;
	assert_int_equal(ike_keys_auth(SPW_PRF_HMAC_SHA256, &psk, &m, &n, &p, &i, b), 0);
	assert_memory_not_equal(a, b, 32);
	spw_secret_free(&psk);
	spw_secret_free(&p);
}

/* ---- state tables ---- */

static void
before_authentication_only_its_own_exchange_is_taken(void **state)
{
	for (int ev = 0; ev < IKE_SA_EVENTS; ev++) {
		bool end = ev == IKE_EV_CLOSE || ev == IKE_EV_EXPIRE || ev == IKE_EV_TIMEOUT;

		if (ev != IKE_EV_AUTH_REQ && !end)
			assert_false(ike_state_allows(IKE_SA_HALF_OPEN, (enum ike_sa_event)ev));
		/* nor does the peer's Delete make anything of it but its end */
		if (ev != IKE_EV_AUTH_RSP && ev != IKE_EV_DELETE_REQ && !end)
			assert_false(ike_state_allows(IKE_SA_AUTH_SENT, (enum ike_sa_event)ev));
		if (ev != IKE_EV_INIT_RSP && ev != IKE_EV_INIT_RETRY && !end)
			assert_false(ike_state_allows(IKE_SA_INIT_SENT, (enum ike_sa_event)ev));
		assert_false(ike_state_allows(IKE_SA_DEAD, (enum ike_sa_event)ev));
		if (ev == IKE_EV_AUTH_REQ || ev == IKE_EV_AUTH_RSP)
			for (int s = IKE_SA_ESTABLISHED; s < IKE_SA_STATES; s++)
				assert_false(ike_state_allows((enum ike_sa_state)s,
							      (enum ike_sa_event)ev));
	}
}

static void
child_transitions_are_exactly_the_table(void **state)
{
	struct ike_engine e = {.log = SPW_LOG_LIMIT(1, 1)};
	struct ike_sa sa = {.e = &e};
	/* rows: state; columns: REKEY_START REKEY_FAIL REPLACE HEIR_LOST DELETE_START
	 * DELETE_DONE DELETE_HEARD; -1 = refused */
	static const int want[IKE_CHILD_STATES][IKE_CHILD_EVENTS] = {{1, -1, 2, -1, 3, -1, 4},
								     {-1, 0, 2, -1, -1, -1, 4},
								     {-1, -1, -1, 0, 3, -1, 4},
								     {-1, -1, -1, -1, -1, 4, 3},
								     {-1, -1, -1, -1, -1, -1, -1}};

	spw_log_init("test", SPW_LOG_ERROR);
	for (int s = 0; s < IKE_CHILD_STATES; s++)
		for (int ev = 0; ev < IKE_CHILD_EVENTS; ev++) {
			struct ike_child c = {.sa = &sa, .state = (enum ike_child_state)s};
			bool taken = ike_child_step(&c, (enum ike_child_event)ev);

			assert_int_equal(taken, want[s][ev] >= 0);
			assert_int_equal(c.state, taken ? want[s][ev] : s);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_proposal_truth_table),
		cmocka_unit_test(esp_proposal_truth_table),
		cmocka_unit_test(longer_sequence_numbers_are_taken_where_both_take_them),
		cmocka_unit_test(own_preference_decides_and_numbers_are_echoed),
		cmocka_unit_test(answer_is_checked_against_the_offer),
		cmocka_unit_test(choice_agrees_with_a_naive_model),
		cmocka_unit_test(narrowing_is_intersection),
		cmocka_unit_test(selector_edges),
		cmocka_unit_test(nat_detection_truth_table),
		cmocka_unit_test(cookie_binds_all_and_ages),
		cmocka_unit_test(times_grow_and_are_bounded),
		cmocka_unit_test(lowest_nonce_loses_and_a_prefix_is_lower),
		cmocka_unit_test(key_order_and_sizes),
		cmocka_unit_test(auth_covers_message_nonce_and_identity),
		cmocka_unit_test(before_authentication_only_its_own_exchange_is_taken),
		cmocka_unit_test(child_transitions_are_exactly_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
