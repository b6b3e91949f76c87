/* SPDX-License-Identifier: BSD-3-Clause */
/* The ciphers: self-test, every instruction set against OpenSSL, and what is done with keys. */
#include "dataplane/crypto/crypto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "dataplane/crypto/keys.h"
#include "dataplane/crypto/suites.h"
#include "tests/dataplane/esp_oracle.h"

#define TEXT_MAX 9088
#define BUF	 (DP_CRYPTO_IV_MAX + 8 + TEXT_MAX + DP_CRYPTO_TAG)
#define MANY	 192 /* packets with a key each */
#define MANY_BUF 1280

/* A run of packets with what the second implementation makes of them. */
struct run {
	const struct oracle_suite *suite;
	struct dp_cipher cipher;
	bool esn;
	unsigned int n;
	uint8_t key[SPW_SA_KEY_MAX];
	struct dp_crypto_job job[DP_CRYPTO_RUN];
	uint8_t buf[DP_CRYPTO_RUN][BUF];
	uint8_t plain[DP_CRYPTO_RUN][TEXT_MAX];
};

static struct run run;
static struct dp_crypto_key *key_slot;

static void
cipher_self_test_passes(void **state)
{
	struct spw_err err = {0};

	assert_int_equal(dp_crypto_self_test(&err), 0);
	assert_string_equal(err.text, "");
}

static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rand();
}

static uint32_t
front_len(const struct run *r)
{
	return 8u + r->suite->iv;
}

static uint32_t
random_length(const struct oracle_suite *s, uint32_t most)
{
	if (rand() % 8 != 0 && most > 512)
		most = 512;
	return (1 + (uint32_t)rand() % (most / s->align)) * s->align;
}

/* Lay out packet i of the run: header, an IV (which AES-CBC makes anew), random text. */
static void
make_packet(struct run *r, unsigned int i, uint32_t most)
{
	struct dp_crypto_job *p = &r->job[i];
	uint8_t *esp = r->buf[i];

	p->text = esp + front_len(r);
	p->text_len = random_length(r->suite, most);
	p->spi_be = (uint32_t)rand();
	p->seq = (uint64_t)rand() << 33 | (uint64_t)rand() << 8 | i;
	memcpy(esp, &p->spi_be, 4);
	spw_put_be32(esp + 4, (uint32_t)p->seq);
	spw_put_be64(esp + 8, p->seq);
	fill(p->text, p->text_len);
	memcpy(r->plain[i], p->text, p->text_len);
}

static void
make_run(struct dp_crypto *c, const struct oracle_suite *s, bool esn, unsigned int n, uint32_t most)
{
	run.suite = s;
	run.esn = esn;
	run.n = n;
	assert_int_equal(dp_crypto_cipher(c, s->encr, s->integ, esn, &run.cipher), 0);
	assert_int_equal(run.cipher.key_len, oracle_key_len(s));
	assert_int_equal(run.cipher.iv_len, s->iv);
	assert_int_equal(run.cipher.tag_len, s->tag);
	assert_int_equal(run.cipher.align, s->align);
	fill(run.key, sizeof(run.key));
	dp_crypto_expand(c, &run.cipher, key_slot, run.key);
	for (unsigned int i = 0; i < n; i++)
		make_packet(&run, i, most);
}

/* What we sealed is what the other would have sent with the IV in the packet. */
static void
compare_sealed(const struct run *r, unsigned int i)
{
	static uint8_t want[BUF];
	const struct dp_crypto_job *p = &r->job[i];
	uint32_t len = oracle_seal(r->suite, r->key, r->esn, ntohl(p->spi_be), p->seq,
				   r->buf[i] + 8, r->plain[i], p->text_len, want);

	assert_int_equal(len, front_len(r) + p->text_len + r->suite->tag);
	assert_memory_equal(r->buf[i], want, len);
}

/* Spoil a random bit of some packets, in what is authenticated or in the tag; returns which. */
static uint64_t
spoil_some(struct run *r)
{
	uint64_t spoilt = 0;

	for (unsigned int i = 0; i < r->n; i++) {
		uint32_t len = front_len(r) + r->job[i].text_len + r->suite->tag;

		if (rand() % 4 != 0)
			continue;
		r->buf[i][(uint32_t)rand() % len] ^= (uint8_t)(1u << rand() % 8);
		/* What the stage reads from the header is what it was told. */
		memcpy(&r->job[i].spi_be, r->buf[i], 4);
		r->job[i].seq =
			(r->job[i].seq & ~UINT64_C(0xffffffff)) | spw_get_be32(r->buf[i] + 4);
		spoilt |= UINT64_C(1) << i;
	}
	return spoilt;
}

/* One run through a suite, both ways, some packets spoilt in between. */
static void
differ_once(struct dp_crypto *c, const struct oracle_suite *s, bool esn, unsigned int n)
{
	uint64_t all = UINT64_MAX >> (64 - n), spoilt;

	make_run(c, s, esn, n, TEXT_MAX);
	assert_true(run.cipher.seal(c, key_slot, run.job, n) == all);
	for (unsigned int i = 0; i < n; i++)
		compare_sealed(&run, i);
	spoilt = spoil_some(&run);
	assert_true(run.cipher.open(c, key_slot, run.job, n) == (all & ~spoilt));
	for (unsigned int i = 0; i < n; i++)
		if ((spoilt >> i & 1) == 0)
			assert_memory_equal(run.job[i].text, run.plain[i], run.job[i].text_len);
}

/* ESP-01, ESP-10, ESP-14 of the ciphers alone. */
static void
cipher_agrees_with_openssl_in_every_instruction_set(void **state)
{
	unsigned int ran = 0;

	srand(11);
	for (unsigned int isa = 0; isa < DP_CRYPTO_ISA_COUNT; isa++) {
		struct dp_crypto *c;
		unsigned int packets = 0;

		if (dp_crypto_new(&c, isa, NULL) < 0)
			continue;
		for (unsigned int i = 0; i < 12 * oracle_n_suites; i++) {
			unsigned int n =
				i / oracle_n_suites == 0 ? 64 : 1 + (unsigned int)rand() % 40;

			differ_once(c, &oracle_suites[i % oracle_n_suites], rand() % 2, n);
			packets += n;
		}
		print_message("%s: %u packets agree\n", dp_crypto_isa_name(c), packets);
		dp_crypto_free(c);
		ran++;
	}
	assert_true(ran >= 2); /* AUTO and SSE at least */
}

/* A run of n equal packets of 96 bytes of text, sealed. */
static void
seal_equal(struct dp_crypto *c, const struct oracle_suite *s, bool esn, unsigned int n)
{
	make_run(c, s, esn, n, 96);
	for (unsigned int i = 0; i < n; i++) {
		run.job[i].text_len = 96;
		run.job[i].spi_be = run.job[0].spi_be;
		run.job[i].seq = run.job[0].seq;
		memcpy(run.buf[i], run.buf[0], front_len(&run));
		memcpy(run.job[i].text, run.plain[0], 96);
	}
	assert_true(run.cipher.seal(c, key_slot, run.job, n) == UINT64_MAX >> (64 - n));
}

/* ESP-05: no bit from the SPI to the end of the tag may change. */
static void
cipher_refuses_every_flipped_bit(void **state)
{
	static uint8_t sealed[BUF];
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int k = 0; k < 2 * oracle_n_suites; k++) {
		const struct oracle_suite *s = &oracle_suites[k / 2];
		uint32_t len = 8u + s->iv + 96 + s->tag;

		seal_equal(c, s, k % 2 != 0, 1);
		memcpy(sealed, run.buf[0], len);
		for (uint32_t bit = 0; bit < 8 * len; bit++) {
			memcpy(run.buf[0], sealed, len);
			run.buf[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
			memcpy(&run.job[0].spi_be, run.buf[0], 4);
			run.job[0].seq = (run.job[0].seq & ~UINT64_C(0xffffffff)) |
					 spw_get_be32(run.buf[0] + 4);
			assert_int_equal(run.cipher.open(c, key_slot, run.job, 1), 0);
		}
	}
	dp_crypto_free(c);
}

static void
one_bad_of(struct dp_crypto *c, const struct oracle_suite *s, bool esn, unsigned int n,
	   unsigned int bad)
{
	uint64_t good = UINT64_MAX >> (64 - n) & ~(UINT64_C(1) << bad);

	seal_equal(c, s, esn, n);
	run.job[bad].text[bad] ^= 1;
	assert_true(run.cipher.open(c, key_slot, run.job, n) == good);
	for (unsigned int i = 0; i < n; i++)
		if (i != bad)
			assert_memory_equal(run.job[i].text, run.plain[0], 96);
}

/* ESP-11: one bad packet of a run, at every place of it, leaves the others alone. */
static void
cipher_refuses_the_bad_packet_and_no_other(void **state)
{
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int k = 0; k < 2 * oracle_n_suites; k++)
		for (unsigned int bad = 0; bad < 64; bad++) {
			one_bad_of(c, &oracle_suites[k / 2], k % 2 != 0, 64, bad);
			one_bad_of(c, &oracle_suites[k / 2], k % 2 != 0, 32, bad % 32);
		}
	dp_crypto_free(c);
}

/* With ESN, a packet whose upper half is not the one that was sealed is refused. */
static void
cipher_binds_the_upper_half_of_the_number(void **state)
{
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int i = 0; i < oracle_n_suites; i++) {
		make_run(c, &oracle_suites[i], true, 3, TEXT_MAX);
		assert_int_equal(run.cipher.seal(c, key_slot, run.job, 3), 7);
		run.job[1].seq += UINT64_C(1) << 32;
		assert_int_equal(run.cipher.open(c, key_slot, run.job, 3), 5);
	}
	dp_crypto_free(c);
}

/*
 * AES-CBC: no IV twice under a key, none that shows the number, and another slot with the same key
 * material makes others. AEADs leave the IV alone.
 */
static void
cipher_makes_unpredictable_ivs_for_cbc(void **state)
{
	enum { N = 2000 };
	static uint8_t iv[N][16], text[24 + 16 + 16];
	struct dp_crypto_job job = {.text = text + 24, .text_len = 16};
	unsigned int bits = 0;
	struct dp_cipher f;
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	assert_int_equal(
		dp_crypto_cipher(c, SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA256_128, false, &f), 0);
	for (unsigned int i = 0; i < N; i++) {
		if (i % (N / 2) == 0)
			dp_crypto_expand(c, &f, key_slot, run.key); /* the same key, a new slot */
		job.seq = i % (N / 2);
		f.seal(c, key_slot, &job, 1);
		memcpy(iv[i], text + 8, 16);
	}
	for (unsigned int i = 0; i < N; i++)
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(iv[i], iv[k], 16);
	/* Neighbours differ in half of their 128 bits: 64 with a deviation below 0.2 over them all.
	 */
	for (unsigned int i = 1; i < N; i++)
		for (unsigned int b = 0; b < 16; b++)
			bits += (unsigned int)__builtin_popcount(iv[i][b] ^ iv[i - 1][b]);
	assert_in_range(bits / (N - 1), 62, 65);
	dp_crypto_free(c);
}

/* Packets that each have a key: laid out twice, to be sealed together and one by one. */
struct many {
	struct dp_crypto_key *slot;
	const struct dp_crypto_key *key[MANY];
	struct dp_crypto_job job[MANY], alone[MANY];
	uint8_t buf[MANY][MANY_BUF], buf_alone[MANY][MANY_BUF];
};

static void
many_make(struct many *m, struct dp_crypto *c, bool esn, unsigned int n)
{
	static const enum spw_encr encr[] = {SPW_ENCR_AES128_GCM, SPW_ENCR_AES192_GCM,
					     SPW_ENCR_AES256_GCM};

	for (unsigned int i = 0; i < n; i++) {
		struct dp_crypto_job *job = &m->job[i];
		struct dp_cipher f;

		fill(run.key, sizeof(run.key));
		assert_int_equal(dp_crypto_cipher(c, encr[rand() % 3], SPW_INTEG_NONE, esn, &f), 0);
		dp_crypto_expand(c, &f, &m->slot[i], run.key);
		m->key[i] = &m->slot[i];
		fill(m->buf[i], MANY_BUF);
		*job = (struct dp_crypto_job){
			.text = m->buf[i] + DP_ESP_AEAD_FRONT,
			.text_len = 4u * (1 + (uint32_t)rand() % (rand() % 8 ? 30 : 300)),
			.seq = (uint64_t)rand() << 33 | (uint64_t)rand()};
		memcpy(&job->spi_be, m->buf[i], 4);
		spw_put_be32(m->buf[i] + 4, (uint32_t)job->seq);
		spw_put_be64(m->buf[i] + 8, job->seq);
		memcpy(m->buf_alone[i], m->buf[i], MANY_BUF);
		m->alone[i] = *job;
		m->alone[i].text = m->buf_alone[i] + DP_ESP_AEAD_FRONT;
	}
}

/* Keys of all sizes among each other; what is beside a packet stays as it was. */
static void
cipher_seals_packets_with_a_key_each_as_one_by_one(void **state)
{
	static const unsigned int numbers[] = {0, 1, 3, DP_KEYS_AHEAD, 13, MANY};
	struct many *m = calloc(1, sizeof(*m));
	struct dp_crypto *c;

	srand(13);
	m->slot = aligned_alloc(64, MANY * sizeof(*m->slot));
	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int k = 0; k < 2 * sizeof(numbers) / sizeof(numbers[0]); k++) {
		const unsigned int n = numbers[k / 2];
		struct dp_cipher f;

		assert_int_equal(
			dp_crypto_cipher(c, SPW_ENCR_AES192_GCM, SPW_INTEG_NONE, k % 2, &f), 0);
		assert_non_null(dp_crypto_each(f.seal));
		many_make(m, c, k % 2, n);
		dp_crypto_each(f.seal)(c, m->key, m->job, n);
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(f.seal(c, m->key[i], &m->alone[i], 1), 1);
		assert_memory_equal(m->buf, m->buf_alone, n * MANY_BUF);
	}
	dp_crypto_free(c);
	free(m->slot);
	free(m);
}

/* Only AES-GCM seals so, and with ESN otherwise than without. */
static void
cipher_says_which_suites_seal_with_a_key_each(void **state)
{
	dp_crypto_each_t each[2];
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int k = 0; k < 2 * oracle_n_suites; k++) {
		const struct oracle_suite *s = &oracle_suites[k / 2];
		struct dp_cipher f;

		assert_int_equal(dp_crypto_cipher(c, s->encr, s->integ, k % 2, &f), 0);
		each[k % 2] = dp_crypto_each(f.seal);
		assert_int_equal(each[k % 2] != NULL, s->encr == SPW_ENCR_AES128_GCM ||
							      s->encr == SPW_ENCR_AES192_GCM ||
							      s->encr == SPW_ENCR_AES256_GCM);
		assert_true(each[0] == NULL || k % 2 == 0 || each[0] != each[1]);
	}
	dp_crypto_free(c);
}

static bool
is_suite(enum spw_encr e, enum spw_integ i)
{
	for (unsigned int k = 0; k < oracle_n_suites; k++)
		if (oracle_suites[k].encr == e && oracle_suites[k].integ == i)
			return true;
	return false;
}

static void
cipher_refuses_suites_it_has_not(void **state)
{
	uint32_t encr = 0, integ = 0;
	struct dp_crypto *c;
	struct dp_cipher f;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int e = 0; e < SPW_ENCR_COUNT; e++)
		for (unsigned int i = 0; i < SPW_INTEG_COUNT; i++) {
			assert_int_equal(dp_crypto_cipher(c, e, i, false, &f) == 0, is_suite(e, i));
			assert_int_equal(dp_crypto_cipher(c, e, i, true, &f) == 0, is_suite(e, i));
			encr |= is_suite(e, i) ? 1u << e : 0;
			integ |= is_suite(e, i) && i != SPW_INTEG_NONE ? 1u << i : 0;
		}
	assert_int_equal(dp_crypto_encr_mask(), encr);
	assert_int_equal(dp_crypto_integ_mask(), integ);
	dp_crypto_free(c);
}

/* What is for ESP in lib/algo.def is what works, so iked and the configuration offer just that. */
static void
ciphers_are_those_of_the_algorithm_table(void **state)
{
	uint32_t encr = 0, integ = 0;

	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		encr |= (spw_encr_info(e)->uses & SPW_USE_ESP) != 0 ? 1u << e : 0;
	for (unsigned int i = 1; i < SPW_INTEG_COUNT; i++)
		integ |= (spw_integ_info(i)->uses & SPW_USE_ESP) != 0 ? 1u << i : 0;
	assert_int_equal(dp_crypto_encr_mask(), encr);
	assert_int_equal(dp_crypto_integ_mask(), integ);
	for (unsigned int k = 0; k < oracle_n_suites; k++)
		assert_true(oracle_key_len(&oracle_suites[k]) <= SPW_SA_KEY_MAX);
}

/* Is there a copy of `what` in [p, p + size)? */
static bool
holds(const uint8_t *p, size_t size, const uint8_t *what, size_t len)
{
	return memmem(p, size, what, len) != NULL;
}

/* Round keys and hash states are in the slot, and after a run nowhere in the manager. */
static void
cipher_leaves_no_key_in_the_manager(void **state)
{
	struct dp_crypto *c;

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	for (unsigned int i = 0; i < oracle_n_suites; i++) {
		const struct oracle_suite *s = &oracle_suites[i];

		make_run(c, s, false, 40, TEXT_MAX);
		run.cipher.seal(c, key_slot, run.job, 40);
		run.cipher.open(c, key_slot, run.job, 40);
		run.cipher.seal(c, key_slot, run.job, 3); /* short runs go elsewhere */
		assert_true(holds((uint8_t *)key_slot, sizeof(*key_slot), run.key, 16));
		assert_false(holds((uint8_t *)c, c->size, run.key, 16));
		if (s->integ == SPW_INTEG_NONE)
			continue;
		assert_false(holds((uint8_t *)c, c->size, key_slot->cbc.inner, 16));
		assert_false(holds((uint8_t *)c, c->size, key_slot->cbc.outer, 16));
		assert_false(holds((uint8_t *)c, c->size, key_slot->cbc.open, 16));
	}
	dp_crypto_free(c);
}

/* The VmFlags line of the mapping that holds `p`. */
static void
flags_of(const void *p, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	char line[512];
	bool here = false;

	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, size, "%s", line);
	}
	fclose(f);
}

static void
keys_live_in_locked_memory_out_of_core_dumps(void **state)
{
	struct dp_keys *k = dp_keys_new();
	struct dp_crypto_key *slot;
	char flags[512];

	assert_int_equal(dp_keys_get(k, &slot, NULL), 0);
	assert_int_equal((uintptr_t)slot % 64, 0);
	flags_of(slot, flags, sizeof(flags));
#ifndef __SANITIZE_ADDRESS__ /* its runtime makes mlock do nothing */
	assert_non_null(strstr(flags, " lo"));
#endif
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " dc"));
	dp_keys_put(k, slot);
	dp_keys_free(k);
}

/* What ciphers leave behind is kept as keys are. */
static void
managers_live_in_locked_memory_out_of_core_dumps(void **state)
{
	struct dp_crypto *c;
	char flags[512];

	assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
	flags_of(c->mgr, flags, sizeof(flags));
#ifndef __SANITIZE_ADDRESS__
	assert_non_null(strstr(flags, " lo"));
#endif
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " dc"));
	dp_crypto_free(c);
}

static void
keys_are_wiped_when_put_back(void **state)
{
	enum { N = 5000 }; /* several chunks */
	struct dp_crypto_key **slot = calloc(N, sizeof(*slot));
	struct dp_keys *k = dp_keys_new();
	static const uint8_t zero[sizeof(struct dp_crypto_key)];

	for (int i = 0; i < N; i++) {
		if (dp_keys_get(k, &slot[i], NULL) < 0)
			skip(); /* the limit of locked memory of this machine */
		assert_memory_equal(slot[i], zero, sizeof(zero));
		memset(slot[i], 0x5a, sizeof(**slot));
	}
	assert_int_equal(dp_keys_used(k), N);
	for (int i = 0; i < N; i++) {
		dp_keys_put(k, slot[i]);
		assert_memory_equal((uint8_t *)slot[i] + 8, zero, sizeof(zero) - 8);
	}
	assert_int_equal(dp_keys_used(k), 0);
	dp_keys_put(k, NULL);
	dp_keys_free(k);
	free(slot);
}

static int
take_slot(void **state)
{
	key_slot = aligned_alloc(64, sizeof(*key_slot));
	return key_slot == NULL ? -1 : 0;
}

static int
give_slot(void **state)
{
	free(key_slot);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cipher_self_test_passes),
		cmocka_unit_test(cipher_agrees_with_openssl_in_every_instruction_set),
		cmocka_unit_test(cipher_refuses_every_flipped_bit),
		cmocka_unit_test(cipher_refuses_the_bad_packet_and_no_other),
		cmocka_unit_test(cipher_binds_the_upper_half_of_the_number),
		cmocka_unit_test(cipher_makes_unpredictable_ivs_for_cbc),
		cmocka_unit_test(cipher_seals_packets_with_a_key_each_as_one_by_one),
		cmocka_unit_test(cipher_says_which_suites_seal_with_a_key_each),
		cmocka_unit_test(cipher_refuses_suites_it_has_not),
		cmocka_unit_test(ciphers_are_those_of_the_algorithm_table),
		cmocka_unit_test(cipher_leaves_no_key_in_the_manager),
		cmocka_unit_test(keys_live_in_locked_memory_out_of_core_dumps),
		cmocka_unit_test(managers_live_in_locked_memory_out_of_core_dumps),
		cmocka_unit_test(keys_are_wiped_when_put_back),
	};

	return cmocka_run_group_tests(tests, take_slot, give_slot);
}
