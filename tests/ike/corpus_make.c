/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the seed corpora of the fuzz targets: what two engines really say to each other, and
 * one plaintext of each kind. Usage: corpus_make WIRE-DIR ENGINE-DIR (both exist).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

static const char *wire_dir, *engine_dir;
static unsigned int n_files;

static void
write_file(const char *dir, const uint8_t *head, size_t head_len, const void *bytes, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%03u", dir, n_files++);
	f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_len, f) != head_len || fwrite(bytes, 1, len, f) != len ||
	    fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/* Each plain message, as the wire target and the engine target take it. */
static enum net_verdict
keep(struct net *net, int from, const struct ike_header *h)
{
	const uint8_t *bytes = net->host[from].engine->out;
	const uint8_t wire[1] = {0}, engine[3] = {4, 0x40, 0xff};

	if (h->exchange != IKE_X_SA_INIT)
		return NET_PASS;
	write_file(wire_dir, wire, 1, bytes, h->len);
	write_file(engine_dir, engine, 3, bytes, h->len < 255 ? h->len : 255);
	return NET_PASS;
}

/* A chain of payloads as it stands inside SK. */
static void
keep_plain(struct ike_builder *b, uint8_t exchange_kind)
{
	const uint8_t *plain = b->w.start + IKE_HEADER_LEN;
	size_t len = spw_writer_len(&b->w) - IKE_HEADER_LEN;
	uint8_t wire[1] = {b->w.start[16]};

	write_file(wire_dir, wire, 1, plain, len);
	for (uint8_t state = 2; state < 8; state++)
		for (uint8_t to = 0; to < 2; to++) {
			const uint8_t head[4] = {state, (uint8_t)(0x80 | exchange_kind << 1 | to),
						 (uint8_t)(len + 1), wire[0]};

			write_file(engine_dir, head, 4, plain, len);
		}
}

static void
start(struct ike_builder *b, uint8_t *buf, size_t size)
{
	const struct ike_header h = {.spi_i = 1};

	ike_build_start(b, buf, size, &h);
}

static void
plaintexts(const struct spw_ike_conn *c)
{
	const uint32_t spis[2] = {0x1234, 0x5678};
	uint8_t buf[1024], nonce[32] = {1};
	struct ike_builder b;

	start(&b, buf, sizeof(buf));
	ike_build_delete(&b, spis, 2);
	ike_build_notify(&b, IKE_N_INVALID_SELECTORS, 0, 0, NULL, 0);
	keep_plain(&b, 2);
	start(&b, buf, sizeof(buf));
	ike_build_delete(&b, NULL, 0);
	keep_plain(&b, 2);
	start(&b, buf, sizeof(buf));
	ike_build_notify(&b, IKE_N_REKEY_SA, IKE_PROTO_ESP, 0x1234, NULL, 0);
	ike_build_sa(&b, IKE_PROTO_ESP, 0x4321, 4, c->esp, c->n_esp, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(&b, IKE_P_TSI, c->sel_local, c->n_local);
	ike_build_ts(&b, IKE_P_TSR, c->sel_remote, c->n_remote);
	keep_plain(&b, 1);
	keep_plain(&b, 1 | 4);
	start(&b, buf, sizeof(buf));
	ike_build_sa(&b, IKE_PROTO_IKE, 0x4321, 8, c->ike, c->n_ike, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ke(&b, 19, buf, 64);
	keep_plain(&b, 1);
	keep_plain(&b, 1 | 4);
	start(&b, buf, sizeof(buf));
	ike_build_id(&b, IKE_P_IDI, &(struct spw_ike_id){.type = 1, .len = 4, .data = "abcd"});
	ike_build_auth(&b, nonce, 32);
	ike_build_sa(&b, IKE_PROTO_ESP, 0x4321, 4, c->esp, c->n_esp, 1, false);
	ike_build_ts(&b, IKE_P_TSI, c->sel_local, c->n_local);
	ike_build_ts(&b, IKE_P_TSR, c->sel_remote, c->n_remote);
	keep_plain(&b, 0);
	keep_plain(&b, 4);
}

int
main(int argc, char **argv)
{
	struct spw_ike_conn c;
	struct net *net;

	if (argc != 3) {
		fprintf(stderr, "usage: corpus_make WIRE-DIR ENGINE-DIR\n");
		return 2;
	}
	wire_dir = argv[1];
	engine_dir = argv[2];
	net = net_new(1);
	net->script = keep;
	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	net_run(net, 1 * NET_S);
	c = net_conn(net, 0);
	plaintexts(&c);
	net_free(net);
	return 0;
}
