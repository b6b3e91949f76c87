/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the seed corpora of the fuzz targets: what two engines really say to each other, one
 * plaintext of each kind, programs of payloads for each exchange in each state, right requests of
 * controld and right answers of a data plane. The corpora in the tree come from here:
 *
 *	ike_corpus_make tests/ike/fuzz/corpus
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define STATES 20

static const char *base;

static void
write_file(const char *target, const char *name, const uint8_t *head, size_t head_len,
	   const void *bytes, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", base, target);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		perror(path);
	snprintf(path, sizeof(path), "%s/%s/%s", base, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_len, f) != head_len || fwrite(bytes, 1, len, f) != len ||
	    fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

/* Each plain message, as the targets of the wire, the engine and the ports take it. */
static enum net_verdict
keep(struct net *net, int from, const struct ike_header *h)
{
	const uint8_t *bytes = net->sending->bytes;
	const uint8_t len = (uint8_t)(h->len < 255 ? h->len : 255);
	const char *name = h->flags & IKE_FLAG_RESPONSE ? "init-response" : "init-request";

	if (h->exchange != IKE_X_SA_INIT)
		return NET_PASS;
	write_file("wire", name, (const uint8_t[]){0}, 1, bytes, h->len);
	write_file("engine", name, (const uint8_t[]){4, 0x40, len}, 3, bytes, len);
	write_file("udp", name, (const uint8_t[]){0, len}, 2, bytes, len);
	write_file("udp", h->flags & IKE_FLAG_RESPONSE ? "init-response-4500" : "init-request-4500",
		   (const uint8_t[]){0x0d, len}, 2, bytes, len);
	return NET_PASS;
}

/* A chain of payloads as it stands inside SK. */
static void
keep_plain(const char *name, struct ike_builder *b, uint8_t how)
{
	const uint8_t *plain = b->w.start + IKE_HEADER_LEN;
	size_t len = spw_writer_len(&b->w) - IKE_HEADER_LEN;
	uint8_t first = b->w.start[16];

	write_file("wire", name, &first, 1, plain, len);
	write_file("engine", name,
		   (const uint8_t[]){5, (uint8_t)(0x80 | how), (uint8_t)(len + 1), first}, 4, plain,
		   len);
	write_file("fragment", name, (const uint8_t[]){how & 7, 1, 1, (uint8_t)len, first}, 5,
		   plain, len);
}

static void
start(struct ike_builder *b, uint8_t *buf, size_t size)
{
	const struct ike_header h = {.spi_i = 1};

	ike_build_start(b, buf, size, &h);
}

/* The content of the one payload that was built. */
static void
keep_content(const char *target, const char *name, const uint8_t *head, size_t head_len,
	     const struct ike_builder *b)
{
	size_t skip = IKE_HEADER_LEN + IKE_PAYLOAD_HDR;

	write_file(target, name, head, head_len, b->w.start + skip, spw_writer_len(&b->w) - skip);
}

static void
contents(const struct spw_ike_conn *c)
{
	static const struct spw_ike_proposal ike[] = {
		{SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_HMAC_SHA384, SPW_GROUP_ECP384},
		{SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128, SPW_PRF_HMAC_SHA256,
		 SPW_GROUP_MODP2048}};
	static const struct spw_ike_proposal esp = {.encr = SPW_ENCR_AES128_GCM};
	const uint32_t spis[2] = {0x1234, 0x5678};
	uint8_t buf[1024], twice[512];
	struct ike_builder b;
	size_t len;

	start(&b, buf, sizeof(buf));
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, ike, 2, 1, true);
	keep_content("sa", "ike-two-proposals", (const uint8_t[]){0}, 1, &b);
	start(&b, buf, sizeof(buf));
	ike_build_sa(&b, IKE_PROTO_IKE, 7, 8, ike, 1, 1, true);
	keep_content("sa", "ike-rekey", (const uint8_t[]){2}, 1, &b);
	start(&b, buf, sizeof(buf));
	ike_build_sa(&b, IKE_PROTO_ESP, 7, 4, &esp, 1, 1, false);
	keep_content("sa", "esp-auth", (const uint8_t[]){1}, 1, &b);
	start(&b, buf, sizeof(buf));
	ike_build_ts(&b, IKE_P_TSI, c->sel_local, c->n_local);
	len = spw_writer_len(&b.w) - IKE_HEADER_LEN - IKE_PAYLOAD_HDR;
	memcpy(twice, buf + IKE_HEADER_LEN + IKE_PAYLOAD_HDR, len);
	memcpy(twice + len, twice, len);
	write_file("ts", "any-twice", (const uint8_t[]){(uint8_t)(len / 4)}, 1, twice, 2 * len);
	start(&b, buf, sizeof(buf));
	ike_build_notify(&b, IKE_N_REKEY_SA, IKE_PROTO_ESP, 0x1234, NULL, 0);
	keep_content("notify", "rekey-sa", (const uint8_t[]){0, 8}, 2, &b);
	start(&b, buf, sizeof(buf));
	ike_build_notify(&b, IKE_N_COOKIE, 0, 0, "a cookie", 8);
	keep_content("notify", "cookie", (const uint8_t[]){0, 12}, 2, &b);
	start(&b, buf, sizeof(buf));
	ike_build_delete(&b, spis, 2);
	keep_content("notify", "delete-two", (const uint8_t[]){1, 12}, 2, &b);
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
	keep_plain("delete-children", &b, 2 << 1);
	start(&b, buf, sizeof(buf));
	ike_build_delete(&b, NULL, 0);
	keep_plain("delete-ike", &b, 2 << 1);
	start(&b, buf, sizeof(buf));
	ike_build_notify(&b, IKE_N_REKEY_SA, IKE_PROTO_ESP, 0x1234, NULL, 0);
	ike_build_sa(&b, IKE_PROTO_ESP, 0x4321, 4, c->esp, c->n_esp, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(&b, IKE_P_TSI, c->sel_local, c->n_local);
	ike_build_ts(&b, IKE_P_TSR, c->sel_remote, c->n_remote);
	keep_plain("rekey-child", &b, 1 << 1);
	keep_plain("rekey-child-answer", &b, 1 << 1 | 8);
	start(&b, buf, sizeof(buf));
	ike_build_sa(&b, IKE_PROTO_IKE, 0x4321, 8, c->ike, c->n_ike, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ke(&b, 19, buf, 64);
	keep_plain("rekey-ike", &b, 1 << 1);
	keep_plain("rekey-ike-answer", &b, 1 << 1 | 8);
	start(&b, buf, sizeof(buf));
	ike_build_id(&b, IKE_P_IDI, &(struct spw_ike_id){.type = 1, .len = 4, .data = "abcd"});
	ike_build_auth(&b, nonce, 32);
	ike_build_sa(&b, IKE_PROTO_ESP, 0x4321, 4, c->esp, c->n_esp, 1, false);
	ike_build_ts(&b, IKE_P_TSI, c->sel_local, c->n_local);
	ike_build_ts(&b, IKE_P_TSR, c->sel_remote, c->n_remote);
	keep_plain("auth", &b, 0);
	keep_plain("auth-answer", &b, 8);
}

/* Programs of payloads (fuzz/bed.c): step and argument in turns. */
static const struct {
	const char *name;
	uint8_t how; /* to, exchange, answer */
	uint8_t len;
	uint8_t step[16];
} programs[] = {
	{"auth", 1, 10, {11, 3, 12, 32, 0, 16, 5, 0, 6, 0}},
	{"auth-answer", 8, 10, {11, 2, 12, 32, 0, 16, 5, 0, 6, 0}},
	{"new-child", 1 << 1, 8, {0, 16, 2, 32, 5, 0, 6, 0}},
	{"new-child-pfs", 1 << 1, 10, {0, 1, 2, 32, 3, 0, 5, 0, 6, 0}},
	{"rekey-child", 1 << 1, 10, {8, 0, 0, 16, 2, 32, 5, 0, 6, 0}},
	{"rekey-child-unknown", 1 << 1, 10, {8, 9, 0, 16, 2, 32, 5, 0, 6, 0}},
	{"child-answer", 1 << 1 | 8, 8, {0, 16, 2, 32, 5, 0, 6, 0}},
	{"child-answer-pfs", 1 << 1 | 8, 10, {0, 1, 2, 32, 3, 0, 5, 0, 6, 0}},
	{"rekey-ike", 1 << 1, 6, {1, 0, 2, 32, 3, 0}},
	{"rekey-ike-answer", 1 << 1 | 8, 6, {1, 0, 2, 32, 3, 0}},
	{"refused", 1 << 1 | 8, 2, {7, 10}},
	{"delete-child", 2 << 1, 2, {9, 1}},
	{"delete-ike", 2 << 1, 2, {10, 0}},
	{"probe", 2 << 1, 0, {0}},
	{"critical", 2 << 1, 2, {13, 8}},
};

static void
chains(void)
{
	char name[64];

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		for (uint8_t state = 1; state < STATES; state += 3) {
			uint8_t at = (uint8_t)((state + i) % STATES);
			const uint8_t head[] = {at, (uint8_t)(0xc0 | programs[i].how),
						programs[i].len};

			snprintf(name, sizeof(name), "chain-%s-state-%u", programs[i].name, at);
			write_file("engine", name, head, 3, programs[i].step, programs[i].len);
		}
		uint8_t two[64], len = programs[i].len;
		const uint8_t how = (uint8_t)(0x40 | (programs[i].how >> 1 & 3) % 2 << 1);

		for (uint8_t k = 0; k < 2; k++) { /* in two pieces */
			const uint8_t head[] = {how, (uint8_t)(k + 1), 2, len, 0};

			memcpy(two + k * (5 + len), head, 5);
			memcpy(two + k * (5 + len) + 5, programs[i].step, len);
		}
		snprintf(name, sizeof(name), "chain-%s-in-two", programs[i].name);
		write_file("fragment", name, two, 2 * (5u + len), "", 0);
	}
}

static void
sockets(void)
{
	static const char *const requests[] = {
#define SPW_IKE_MSG(name, number, request, reply) #name,
#include "lib/msg_ike.def"
	};
	const uint8_t session[] = {
		0, 1, 0, 1, 2,	  0, 0xf, 0, 0,	 /* hello, two rows, next socket */
		0, 1, 0, 5, 0x11, 0, 0xf, 0, 0}; /* hello, an event */
	const uint8_t again[] = {0,   1, 0, 1, 2, 0, 2,	  5, 0, 3, 0, 0, 4, 5,	  0, 3, 0, 0,
				 0xf, 0, 0, 0, 1, 0, 0xf, 0, 0, 0, 2, 0, 1, 0x82, 0, 1, 1, 0};
	const uint8_t differ[] = {0, 1, 0, 0xf, 0, 0, 0, 2, 0};
	const uint8_t early[] = {
		0, 1,	 0, 1,	 0,    0, 0xf, 0, 0, /* hello, no rows, next socket */
		0, 1,	 0, 5,	 0x53, 0,	     /* hello, packets before the answer, twice */
		5, 0x53, 0, 0xf, 0,    0};
	const uint8_t twice[] = {0, 1, 0, 1, 15, 0, 15, 0, 0, 0, 1, 0, 5, 0x11, 0, 15, 0, 0};
	char name[64];

	for (uint8_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const uint8_t plain[] = {i, 0}, fds[] = {(uint8_t)(i | 0xa0), 0},
			      odd[] = {i, 4, 0, 0, 8, 0xff};

		snprintf(name, sizeof(name), "%s", requests[i]);
		write_file("control", name, plain, 2, "", 0);
		snprintf(name, sizeof(name), "%s-with-descriptors", requests[i]);
		write_file("control", name, fds, 2, "", 0);
		snprintf(name, sizeof(name), "%s-changed", requests[i]);
		write_file("control", name, odd, 6, "", 0);
	}
	write_file("control", "not-a-message", (const uint8_t[]){0xff, 5}, 2, "bytes", 5);
	write_file("dataplane", "hello-and-rows", session, sizeof(session), "", 0);
	write_file("dataplane", "operations-and-restart", again, sizeof(again), "", 0);
	write_file("dataplane", "two-incarnations", differ, sizeof(differ), "", 0);
	write_file("dataplane", "rows-twice", twice, sizeof(twice), "", 0);
	write_file("dataplane", "early-packets", early, sizeof(early), "", 0);
	write_file("udp", "init-changed", (const uint8_t[]){0x10, 3, 0, 40, 7}, 5, "", 0);
	write_file("udp", "keepalive", (const uint8_t[]){5, 1, 0xff}, 3, "", 0);
	write_file("udp", "esp-by-mistake", (const uint8_t[]){5, 8}, 2, "\1\2\3\4\0\0\0\1", 8);
}

int
main(int argc, char **argv)
{
	struct spw_ike_conn c;
	struct net *net;

	if (argc != 2) {
		fprintf(stderr, "usage: ike_corpus_make DIR\n");
		return 2;
	}
	base = argv[1];
	net = net_new(1);
	net->script = keep;
	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
	net_run(net, 1 * NET_S);
	c = net_conn(net, 0);
	contents(&c);
	plaintexts(&c);
	chains();
	sockets();
	net_free(net);
	return 0;
}
