/* SPDX-License-Identifier: BSD-3-Clause */
/* The SAD: SPIs, install once, switch, move, delete, tunnels. */
#include <errno.h>
#include <netinet/in.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/esp_two.h"

static void
spi_rests_ten_minutes_before_its_index_returns(void **state)
{
	uint32_t spi[256], again;
	struct spw_err err = {0};
	struct bed_two t;

	bed_two_open(&t, NULL);
	for (int i = 0; i < 256; i++) {
		assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &spi[i], NULL), 0);
		assert_true(spi[i] >= 256);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(spi[i] & 255, spi[j] & 255);
	}
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, &err), -ENOSPC);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, spi[9], NULL), 0);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, spi[9], NULL), -ENOENT);
	bed_now += DP_SPI_REST_NS - 1;
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	bed_now += 1;
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), 0);
	assert_int_equal(again & 255, spi[9] & 255);
	assert_int_not_equal(again, spi[9]);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	bed_two_close(&t);
}

/* iked may die between an allocation and what it writes down of it. */
static void
spi_that_nobody_installs_comes_back_after_an_hour(void **state)
{
	uint32_t spi[256], again;
	struct spw_sa_desc sa;
	struct bed_two t;

	bed_two_open(&t, NULL);
	sa = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), 0);
	for (int i = 0; i < 255; i++)
		assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &spi[i], NULL), 0);
	bed_now += 3600 * SPW_NS_PER_S - 1;
	for (int i = 0; i < 256; i++)
		dp_sad_tick(t.a.sad, bed_now);
	assert_true(dp_sad_expects(t.a.sad, spi[0]));
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	bed_now += 1;
	for (int i = 0; i < 256; i++)
		dp_sad_tick(t.a.sad, bed_now);
	assert_false(dp_sad_expects(t.a.sad, spi[0]));
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	bed_now += DP_SPI_REST_NS;
	for (int i = 0; i < 255; i++)
		assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), 0);
	assert_int_equal(dp_sad_count(t.a.sad), 1); /* what is installed stays */
	bed_two_close(&t);
}

static void
spi_belongs_to_its_tunnel(void **state)
{
	struct spw_sa_desc sa;
	struct bed_two t;
	uint32_t spi;

	bed_two_open(&t, NULL);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, 3, &spi, NULL), -ENOENT);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, 1u << 20, &spi, NULL), -ENOENT);
	sa = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	assert_int_equal(dp_sad_spi_free(t.a.sad, 3, sa.spi_in, NULL), -ENOENT);
	sa.spi_in ^= 0x80000000;
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), -ENOENT);
	sa.spi_in ^= 0x80000000;
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), 0);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, sa.spi_in, NULL), -EBUSY);
	bed_two_close(&t);
}

static void
install_takes_a_key_once_for_good(void **state)
{
	struct spw_sa_desc sa, other;
	struct spw_err err = {0};
	struct bed_two t;

	bed_two_open(&t, NULL);
	sa = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), 0);
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, &err), -EEXIST);
	assert_int_equal(dp_sad_delete(t.a.sad, sa.spi_in, 3, NULL), 0);
	bed_now += 2 * DP_SPI_REST_NS;
	other = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	memcpy(other.key_out, sa.key_out, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), -EEXIST);
	assert_int_equal(err.code, -EEXIST);
	memcpy(other.key_out, sa.key_in, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), -EEXIST);
	other.key_out[0] ^= 1;
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), 0);
	bed_two_close(&t);
}

static void
install_remembers_ten_thousand_keys(void **state)
{
	struct dp_once *o = dp_once_new();
	uint8_t key[36] = {0};

	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(key, &i, 4);
		assert_false(dp_once_has(o, key, sizeof(key)));
		assert_int_equal(dp_once_add(o, key, sizeof(key)), 0);
	}
	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(key, &i, 4);
		assert_true(dp_once_has(o, key, sizeof(key)));
		assert_int_equal(dp_once_add(o, key, sizeof(key)), -EEXIST);
	}
	dp_once_free(o);
}

/* Every refused install leaves no key, no child and the SPI as it was. */
static void
install_refuses_nonsense_and_changes_nothing(void **state)
{
	struct spw_sa_desc good, sa;
	struct spw_err err = {0};
	struct bed_two t;

	bed_two_open(&t, NULL);
	good = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
#define REFUSED(code, change)                                                       \
	do {                                                                        \
		sa = good;                                                          \
		change;                                                             \
		assert_int_equal(dp_sad_install(t.a.sad, &sa, true, &err), code);   \
		assert_true(err.text[0] != '\0' && strchr(err.text, '\n') == NULL); \
		assert_int_equal(dp_sad_count(t.a.sad), 0);                         \
		assert_int_equal(bed_keys(&t.a), 0);                                \
	} while (0)
	REFUSED(-ENOTSUP, sa.encr = SPW_ENCR_AES128_CBC);
	REFUSED(-ENOTSUP, sa.encr = 4000);
	REFUSED(-ENOTSUP, sa.integ = SPW_INTEG_HMAC_SHA256_128);
	REFUSED(-EINVAL, sa.key_len = 16);
	REFUSED(-EINVAL, sa.key_len = 36);
	REFUSED(-EINVAL, memcpy(sa.key_in, sa.key_out, SPW_SA_KEY_MAX));
	REFUSED(-EINVAL, sa.replay_window = 65537);
	REFUSED(-EINVAL, sa.spi_out = 255);
	REFUSED(-EINVAL, (sa.bytes.soft = 2, sa.bytes.hard = 1));
	REFUSED(-EINVAL, (sa.packets.soft = 2, sa.packets.hard = 1));
	REFUSED(-EINVAL, (sa.seconds.soft = 2, sa.seconds.hard = 1));
	REFUSED(-EINVAL, sa.n_remote = 0);
	REFUSED(-EINVAL, (sa.flags = SPW_SA_UDP_ENCAP, sa.remote_port = 0));
	REFUSED(-EAFNOSUPPORT, sa.remote.family = AF_INET6);
	REFUSED(-EINVAL, sa.remote = spw_addr_v4(0));
	REFUSED(-ENOENT, sa.tunnel = 9);
	REFUSED(-ENOENT, sa.tunnel = 900000);
#undef REFUSED
	assert_int_equal(dp_sad_install(t.a.sad, &good, true, NULL), 0);
	bed_two_close(&t);
}

static void
switch_moves_outbound_and_both_inbound_stay(void **state)
{
	struct spw_sa_desc new_a, new_b;
	struct dp_burst one, two;
	struct spw_dp_sa_stats row;
	struct bed_two t;
	uint32_t at = 0, outbound = 0;

	bed_two_open(&t, &(struct bed_sa){0});
	bed_single(&one, bed_packet(100)); /* sealed with the old, opened after the switch */
	dp_stage_esp_seal(&t.a.w, &one);
	bed_receive(&one);
	bed_pair(&t.a, &t.b, &(struct bed_sa){.held = true}, &new_a, &new_b);
	bed_single(&two, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &two);
	assert_int_equal(spw_get_be32(rte_pktmbuf_mtod_offset(two.pkt[0], uint8_t *, 20)),
			 t.at_b.spi_in);
	bed_free(&two);
	assert_int_equal(dp_sad_switch(t.a.sad, new_a.spi_in, NULL), 0);
	bed_single(&two, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &two);
	assert_int_equal(spw_get_be32(rte_pktmbuf_mtod_offset(two.pkt[0], uint8_t *, 20)),
			 new_b.spi_in);
	bed_receive(&two);
	dp_stage_esp_open(&t.b.w, &two);
	dp_stage_esp_open(&t.b.w, &one);
	assert_int_equal(one.n + two.n, 2);
	bed_free(&one);
	bed_free(&two);
	while (dp_sad_stats(t.a.sad, &at, &row)) {
		outbound += row.outbound;
		assert_int_equal(row.outbound, row.spi_in == new_a.spi_in);
	}
	assert_int_equal(outbound, 1);
	assert_int_equal(dp_sad_count(t.a.sad), 2);
	assert_int_equal(dp_sad_switch(t.a.sad, 12345, NULL), -ENOENT);
	bed_two_close(&t);
}

static void
delete_goes_by_parts(void **state)
{
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, 0, NULL), -EINVAL);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, 4, NULL), -EINVAL);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_OUT, NULL), 0);
	assert_int_equal(bed_carry(&t, 3, 100), 3);
	assert_int_equal(dp_sad_switch(t.b.sad, t.at_b.spi_in, NULL), -ENOENT);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), 0);
	assert_int_equal(bed_carry(&t, 3, 100), 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 3);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), -ENOENT);
	assert_int_equal(bed_keys(&t.b), 0);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(bed_carry(&t, 3, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_SA), 3);
	bed_two_close(&t);
}

static void
deleting_the_old_sa_leaves_the_new_one_sending(void **state)
{
	struct spw_sa_desc new_a, new_b;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	bed_pair(&t.a, &t.b, &(struct bed_sa){0}, &new_a, &new_b);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(bed_carry(&t, 5, 100), 5);
	bed_two_close(&t);
}

/* What an SA has sent is the tunnel's, whatever becomes of the SA; a new tunnel begins at nothing.
 */
static void
tunnels_keep_what_deleted_sas_have_sent(void **state)
{
	struct spw_sa_desc new_a, new_b;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	assert_int_equal(bed_carry(&t, 5, 100), 5);
	bed_pair(&t.a, &t.b, &(struct bed_sa){0}, &new_a, &new_b);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(bed_tunnel_stats(&t.a).transit_out, 5);
	assert_int_equal(bed_carry(&t, 3, 100), 3);
	assert_int_equal(bed_tunnel_stats(&t.a).transit_out, 8);
	assert_int_equal(dp_sad_tunnel_del(t.a.sad, BED_TUNNEL, NULL), 0);
	bed_tunnel(&t.a, &t.b, 1400);
	assert_int_equal(bed_tunnel_stats(&t.a).transit_out, 0);
	bed_pair(&t.a, &t.b, &(struct bed_sa){0}, &new_a, &new_b);
	assert_int_equal(bed_carry(&t, 2, 100), 2);
	assert_int_equal(bed_tunnel_stats(&t.a).transit_out, 2);
	bed_two_close(&t);
}

static void
deleted_keys_are_wiped(void **state)
{
	static const uint8_t zero[DP_CRYPTO_KEY_BYTES];
	const struct dp_crypto_key *in, *out;
	struct dp_child *c;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	c = dp_sad_child(t.a.sad, t.at_a.spi_in);
	in = c->key_in;
	out = c->key_out;
	assert_memory_not_equal((const uint8_t *)in + 8, zero, sizeof(zero) - 8);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_memory_equal((const uint8_t *)in + 8, zero, sizeof(zero) - 8);
	assert_memory_equal((const uint8_t *)out + 8, zero, sizeof(zero) - 8);
	bed_two_close(&t);
}

static void
tunnel_takes_its_sas_along(void **state)
{
	struct spw_dp_tunnel_stats row;
	struct bed_two t;
	uint32_t at = 0, spi;

	bed_two_open(&t, &(struct bed_sa){0});
	assert_int_equal(dp_sad_tunnel_del(t.a.sad, 3, NULL), -ENOENT);
	assert_int_equal(dp_sad_tunnel_del(t.a.sad, BED_TUNNEL, NULL), 0);
	assert_int_equal(dp_sad_count(t.a.sad), 0);
	assert_int_equal(bed_carry(&t, 1, 100), 0);
	assert_false(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &spi, NULL), -ENOENT);
	bed_two_close(&t);
}

/* A tunnel of a SAD of ten thousand, with an SPI or two that nobody has installed. */
static void
tunnel_with_spis(struct dp_sad *sad, uint32_t id, unsigned int spis)
{
	const struct spw_dp_tunnel t = {
		.id = id, .local = spw_addr_v4(1), .remote = spw_addr_v4(2), .mtu = 1400};
	uint32_t spi;

	assert_int_equal(dp_sad_tunnel_set(sad, &t, NULL), 0);
	while (spis-- > 0)
		assert_int_equal(dp_sad_spi_alloc(sad, id, &spi, NULL), 0);
}

/* Each looked through all SPIs and all SAs: the API thread did nothing else for two seconds. */
static void
ten_thousand_tunnels_go_at_once_and_their_spis_come_back(void **state)
{
	const struct dp_sad_config config = {
		.n_workers = 1, .max_sas = 65536, .max_tunnels = 16384, .isa = DP_CRYPTO_AUTO};
	struct dp_sad *sad;
	uint64_t began;
	uint32_t spi, n = 0;

	assert_int_equal(dp_sad_init(&sad, &config, NULL), 0);
	for (uint32_t id = 0; id < 10000; id++)
		tunnel_with_spis(sad, id, id < 10 ? 2 : 0);
	began = spw_clock_ns();
	for (uint32_t id = 0; id < 10000; id++)
		assert_int_equal(dp_sad_tunnel_del(sad, id, NULL), 0);
	assert_true(spw_clock_ns() - began < SPW_NS_PER_S / 4);
	for (uint32_t slot = 0; slot <= sad->index_mask; slot++)
		n += sad->slots[slot].state != DP_SPI_FREE;
	assert_int_equal(n, 0);
	tunnel_with_spis(sad, 7, 0);
	assert_int_equal(sad->spis[7].allocated, 0);
	assert_int_equal(dp_sad_spi_alloc(sad, 7, &spi, NULL), 0);
	assert_int_equal(dp_sad_spi_free(sad, 7, spi, NULL), 0);
	assert_int_equal(sad->spis[7].allocated, 0);
	dp_sad_free(sad);
}

static void
tunnel_set_refuses_nonsense(void **state)
{
	struct spw_dp_tunnel good = {.id = 1,
				     .local = spw_addr_v4(1),
				     .remote = spw_addr_v4(2),
				     .mtu = 1400},
			     bad;
	struct bed_two t;

	bed_two_open(&t, NULL);
	bad = good;
	bad.id = 16;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EINVAL);
	bad = good;
	bad.mtu = 575;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EINVAL);
	bad = good;
	bad.remote.family = AF_INET6;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EAFNOSUPPORT);
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &good, NULL), 0);
	bed_two_close(&t);
}

static void
move_changes_the_outer_header_of_a_running_sa(void **state)
{
	struct spw_dp_sa_move move = {
		.remote = spw_addr_v4(0xc6336463), .remote_port = 12345, .local_port = 4500};
	struct dp_burst b;
	struct bed_two t;
	uint8_t *ip;

	bed_two_open(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP});
	move.spi_in = t.at_a.spi_in;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), 0);
	bed_single(&b, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &b);
	ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	assert_int_equal(spw_get_be32(ip + 12), t.a.addr);
	assert_int_equal(spw_get_be32(ip + 16), 0xc6336463);
	assert_int_equal(spw_get_be16(ip + 20), 4500);
	assert_int_equal(spw_get_be16(ip + 22), 12345);
	bed_receive(&b);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 1);
	bed_free(&b);
	move.remote_port = 0;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), -EINVAL);
	move.spi_in = 1;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), -ENOENT);
	bed_two_close(&t);
}

static size_t
memory_used(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats((int)rte_socket_id(), &stats), 0);
	return stats.heap_allocsz_bytes;
}

/* The first header lies within the SA, later ones apart. */
static void
a_moved_sa_gives_its_memory_back(void **state)
{
	struct spw_dp_sa_move move = {
		.remote = spw_addr_v4(0xcb007109), .remote_port = 9999, .local_port = 4500};
	const struct bed_sa how = {.flags = SPW_SA_UDP_ENCAP};
	struct spw_sa_desc at_a, at_b;
	struct bed_two t;
	size_t was;

	bed_two_open(&t, &how);
	was = memory_used();
	for (unsigned int moves = 0; moves < 3; moves++) {
		bed_pair(&t.a, &t.b, &how, &at_a, &at_b);
		move.spi_in = at_a.spi_in;
		for (unsigned int i = 0; i < moves; i++)
			assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), 0);
		assert_int_equal(dp_sad_delete(t.a.sad, at_a.spi_in, 3, NULL), 0);
		assert_int_equal(dp_sad_delete(t.b.sad, at_b.spi_in, 3, NULL), 0);
		assert_int_equal(memory_used(), was);
	}
	bed_two_close(&t);
}

/* Take all of the EAL's memory; returns the blocks, chained through their first words. */
static void *
memory_take(void)
{
	void *chain = NULL, *p;

	for (size_t size = 16 << 20; size >= 64; size /= 2)
		while ((p = rte_malloc(NULL, size, 64)) != NULL) {
			*(void **)p = chain;
			chain = p;
		}
	return chain;
}

static void
memory_give_back(void *chain)
{
	while (chain != NULL) {
		void *next = *(void **)chain;

		rte_free(chain);
		chain = next;
	}
}

/* A peer that counts as moved is not told of again, so it must not before its packets go there. */
static void
a_move_without_memory_changes_nothing(void **state)
{
	struct spw_dp_sa_move move = {
		.remote = spw_addr_v4(0xcb007109), .remote_port = 9999, .local_port = 4500};
	struct bed_two t;
	void *chain;

	bed_two_open(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP});
	move.spi_in = t.at_a.spi_in;
	const struct dp_child *c = dp_sad_child(t.a.sad, move.spi_in);
	uint64_t was = atomic_load(&c->in->remote);

	chain = memory_take();
	int rc = dp_sad_move(t.a.sad, &move, NULL);
	uint64_t is = atomic_load(&c->in->remote);
	memory_give_back(chain);
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(is, was);
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), 0);
	assert_int_not_equal(atomic_load(&c->in->remote), was);
	bed_two_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spi_rests_ten_minutes_before_its_index_returns),
		cmocka_unit_test(spi_that_nobody_installs_comes_back_after_an_hour),
		cmocka_unit_test(spi_belongs_to_its_tunnel),
		cmocka_unit_test(install_takes_a_key_once_for_good),
		cmocka_unit_test(install_remembers_ten_thousand_keys),
		cmocka_unit_test(install_refuses_nonsense_and_changes_nothing),
		cmocka_unit_test(switch_moves_outbound_and_both_inbound_stay),
		cmocka_unit_test(delete_goes_by_parts),
		cmocka_unit_test(deleting_the_old_sa_leaves_the_new_one_sending),
		cmocka_unit_test(tunnels_keep_what_deleted_sas_have_sent),
		cmocka_unit_test(deleted_keys_are_wiped),
		cmocka_unit_test(tunnel_takes_its_sas_along),
		cmocka_unit_test(ten_thousand_tunnels_go_at_once_and_their_spis_come_back),
		cmocka_unit_test(tunnel_set_refuses_nonsense),
		cmocka_unit_test(move_changes_the_outer_header_of_a_running_sa),
		cmocka_unit_test(a_moved_sa_gives_its_memory_back),
		cmocka_unit_test(a_move_without_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
