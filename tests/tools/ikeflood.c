/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stranger on the path to an IKE daemon: floods of forged datagrams, and a count of the answers.
 *
 * Datagrams are sent through a raw socket, so they come from whatever address is wanted: --from
 * ADDRESS, or `random`, another one each time. What the daemon answers is seen by a packet socket
 * on --iface, to whomever it goes; so the tool can also go on where only a host that receives at
 *its address could (--finish): it repeats a request with the cookie that it was sent, and follows
 *up an accepted one by --garbage datagrams that look like IKE_AUTH and are not.
 *
 *	--kind init	IKE_SA_INIT requests (AES-GCM-256, PRF SHA-384, ECP-384) with a valid public
 *			value; nonce and everything else follow from the SPI, so nothing is
 *remembered
 *	--kind spi	notifies without protection, INVALID_IKE_SPI and INVALID_SPI in turn, for
 *the IKE SA --spi-i, --spi-r, or for random ones
 *	--kind auth	IKE_AUTH requests of rubbish for random IKE SAs
 *
 * One thread: a batch is sent when it is due, then what came is read. The summary is one line of
 * JSON in --out, with the highest number of answers in any second.
 */
#include "tests/tools/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/bytes.h"

#define BATCH	       32
#define MESSAGE_MAX    1024
#define IKE_PORT       500
#define IKE_HEADER     28
#define IP_UDP	       28
#define X_SA_INIT      34
#define X_AUTH	       35
#define X_INFO	       37
#define FLAG_INITIATOR 0x08
#define FLAG_RESPONSE  0x20
#define P_SA	       33
#define P_KE	       34
#define P_NONCE	       40
#define P_NOTIFY       41
#define P_SK	       46
#define N_INVALID_SPI  4
#define N_BAD_SPI      11
#define N_COOKIE       16390
#define COOKIE_MAX     64
#define DRAIN_NS       (500 * TOOL_NS_PER_MS)

enum kind { KIND_INIT, KIND_SPI, KIND_AUTH };

struct options {
	enum kind kind;
	bool random_source, finish;
	struct in_addr from, to;
	uint64_t rate, seconds, count, garbage;
	uint64_t spi_i, spi_r;
	const char *iface, *out;
};

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t ike[MESSAGE_MAX];
} __attribute__((packed));

struct flood {
	struct options opt;
	int raw, watch;
	uint64_t rng;
	struct packet packet[BATCH];
	unsigned int n;
	uint64_t sent, sent_bytes, failed;
	uint64_t answers, answer_bytes, cookies, accepted, refused, others, garbage;
	uint64_t second, in_second, peak;
};

/* A valid public value of group 20: the base point of P-384. */
static const uint8_t point[96] = {
	0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3, 0x20,
	0xad, 0x74, 0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41, 0xe0,
	0x82, 0x54, 0x2a, 0x38, 0x55, 0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a, 0x54,
	0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7, 0x36, 0x17, 0xde, 0x4a, 0x96, 0x26, 0x2c, 0x6f,
	0x5d, 0x9e, 0x98, 0xbf, 0x92, 0x92, 0xdc, 0x29, 0xf8, 0xf4, 0x1d, 0xbd, 0x28, 0x9a,
	0x14, 0x7c, 0xe9, 0xda, 0x31, 0x13, 0xb5, 0xf0, 0xb8, 0xc0, 0x0a, 0x60, 0xb1, 0xce,
	0x1d, 0x7e, 0x81, 0x9d, 0x7a, 0x43, 0x1d, 0x7c, 0x90, 0xea, 0x0e, 0x5f,
};
/* Payload SA: one proposal of three transforms. */
static const uint8_t proposal[] = {
	0, 0, 0, 36, 1, 1, 0, 3,		  /* the proposal: IKE, no SPI */
	3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0, /* AES-GCM-16 of 256 bits */
	3, 0, 0, 8,  2, 0, 0, 6,		  /* PRF HMAC-SHA2-384 */
	0, 0, 0, 8,  4, 0, 0, 20,		  /* ECP-384 */
};

static uint64_t
draw(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static void
fill(uint8_t *at, size_t len, uint64_t seed)
{
	uint64_t state = seed | 1;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(draw(&state) >> 32);
}

static uint8_t *
payload(uint8_t *at, uint8_t next, const void *bytes, size_t len)
{
	at[0] = next;
	at[1] = 0;
	spw_put_be16(at + 2, (uint16_t)(4 + len));
	memcpy(at + 4, bytes, len);
	return at + 4 + len;
}

static uint8_t *
notify(uint8_t *at, uint8_t next, uint16_t type, const void *data, size_t len)
{
	uint8_t body[4 + COOKIE_MAX] = {0};

	spw_put_be16(body + 2, type);
	memcpy(body + 4, data, len);
	return payload(at, next, body, 4 + len);
}

static size_t
header(uint8_t *ike, const uint8_t *end, uint64_t spi_i, uint64_t spi_r, uint8_t next,
       uint8_t exchange, uint8_t flags, uint32_t mid)
{
	spw_put_be64(ike, spi_i);
	spw_put_be64(ike + 8, spi_r);
	ike[16] = next;
	ike[17] = 0x20;
	ike[18] = exchange;
	ike[19] = flags;
	spw_put_be32(ike + 20, mid);
	spw_put_be32(ike + 24, (uint32_t)(end - ike));
	return (size_t)(end - ike);
}

static size_t
build_init(uint8_t *ike, uint64_t spi_i, const uint8_t *cookie, size_t cookie_len)
{
	uint8_t ke[4 + sizeof(point)] = {0, 20}, nonce[32], *at = ike + IKE_HEADER;

	memcpy(ke + 4, point, sizeof(point));
	fill(nonce, sizeof(nonce), spi_i);
	if (cookie_len)
		at = notify(at, P_SA, N_COOKIE, cookie, cookie_len);
	at = payload(at, P_KE, proposal, sizeof(proposal));
	at = payload(at, P_NONCE, ke, sizeof(ke));
	at = payload(at, 0, nonce, sizeof(nonce));
	return header(ike, at, spi_i, 0, cookie_len ? P_NOTIFY : P_SA, X_SA_INIT, FLAG_INITIATOR,
		      0);
}

/* What looks like a protected message, whose ICV cannot be right. */
static size_t
build_auth(uint8_t *ike, uint64_t spi_i, uint64_t spi_r, uint64_t seed)
{
	uint8_t rubbish[200], *at = ike + IKE_HEADER;

	fill(rubbish, sizeof(rubbish), seed);
	at = payload(at, 35, rubbish, sizeof(rubbish)); /* IDi would be the first inside */
	return header(ike, at, spi_i, spi_r, P_SK, X_AUTH, FLAG_INITIATOR, 1);
}

static size_t
build_spi(struct flood *f, uint8_t *ike)
{
	uint64_t spi_i = f->opt.spi_i ? f->opt.spi_i : draw(&f->rng);
	uint64_t spi_r = f->opt.spi_r ? f->opt.spi_r : draw(&f->rng);
	uint8_t spi[4], *at = ike + IKE_HEADER;
	bool child = f->sent & 1;

	fill(spi, sizeof(spi), draw(&f->rng));
	at = notify(at, 0, child ? N_BAD_SPI : N_INVALID_SPI, spi, child ? sizeof(spi) : 0);
	return header(ike, at, spi_i, spi_r, P_NOTIFY, X_INFO,
		      (uint8_t)(f->sent & 2 ? FLAG_RESPONSE : 0), (uint32_t)(f->sent & 3));
}

static uint16_t
checksum(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	sum = (sum >> 16) + (sum & 0xffff);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

static void
flush(struct flood *f)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = f->opt.to};
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	int n;

	for (unsigned int i = 0; i < f->n; i++) {
		iov[i] = (struct iovec){&f->packet[i], ntohs(f->packet[i].ip.tot_len)};
		msgs[i].msg_hdr = (struct msghdr){.msg_name = &to,
						  .msg_namelen = sizeof(to),
						  .msg_iov = &iov[i],
						  .msg_iovlen = 1};
		f->sent_bytes += iov[i].iov_len;
	}
	n = f->n ? sendmmsg(f->raw, msgs, f->n, 0) : 0;
	f->failed += f->n - (unsigned int)(n > 0 ? n : 0);
	f->n = 0;
}

/* Finish the datagram whose IKE message is written, from `from` (network byte order). */
static void
put(struct flood *f, size_t len, uint32_t from)
{
	struct packet *p = &f->packet[f->n++];

	p->ip = (struct iphdr){.version = 4,
			       .ihl = 5,
			       .tot_len = htons((uint16_t)(IP_UDP + len)),
			       .ttl = 60,
			       .protocol = IPPROTO_UDP,
			       .saddr = from,
			       .daddr = f->opt.to.s_addr};
	p->ip.check = checksum(&p->ip, sizeof(p->ip));
	p->udp = (struct udphdr){.source = htons(IKE_PORT),
				 .dest = htons(IKE_PORT),
				 .len = htons((uint16_t)(8 + len))};
	if (f->n == BATCH)
		flush(f);
}

static uint32_t
source(struct flood *f)
{
	uint32_t r;

	if (!f->opt.random_source)
		return f->opt.from.s_addr;
	do /* 16.0.0.0 to 95.255.255.255: nobody's in the lab */
		r = (uint32_t)(draw(&f->rng) >> 20);
	while (r >> 24 < 16 || r >> 24 > 95);
	return htonl(r);
}

static void
send_one(struct flood *f)
{
	uint8_t *ike = f->packet[f->n].ike;
	size_t len = 0;

	switch (f->opt.kind) {
	case KIND_INIT: len = build_init(ike, draw(&f->rng) | 1, NULL, 0); break;
	case KIND_SPI: len = build_spi(f, ike); break;
	case KIND_AUTH: len = build_auth(ike, draw(&f->rng), draw(&f->rng), draw(&f->rng)); break;
	}
	f->sent++;
	put(f, len, source(f));
}

/* ---- answers ---- */

static void
count_answer(struct flood *f, size_t bytes)
{
	uint64_t second = tool_now_ns() / TOOL_NS_PER_S;

	if (second != f->second)
		f->in_second = 0;
	f->second = second;
	if (++f->in_second > f->peak)
		f->peak = f->in_second;
	f->answers++;
	f->answer_bytes += bytes;
}

static void
take_cookie(struct flood *f, const uint8_t *ike, size_t len, uint32_t to)
{
	size_t cookie_len = spw_get_be16(ike + IKE_HEADER + 2) - 8u;

	f->cookies++;
	if (!f->opt.finish || cookie_len == 0 || cookie_len > COOKIE_MAX ||
	    IKE_HEADER + 8 + cookie_len > len)
		return;
	put(f, build_init(f->packet[f->n].ike, spw_get_be64(ike), ike + IKE_HEADER + 8, cookie_len),
	    to);
}

static void
take_accepted(struct flood *f, const uint8_t *ike, uint32_t to)
{
	f->accepted++;
	for (uint64_t i = 0; i < f->opt.garbage; i++, f->garbage++)
		put(f,
		    build_auth(f->packet[f->n].ike, spw_get_be64(ike), spw_get_be64(ike + 8),
			       draw(&f->rng)),
		    to);
}

/* One IP packet from the daemon. */
static void
take(struct flood *f, const uint8_t *ip, size_t len)
{
	const uint8_t *ike = ip + IP_UDP;
	uint32_t to;

	if (len < IP_UDP + IKE_HEADER + 8 || ip[0] != 0x45 || ip[9] != IPPROTO_UDP ||
	    memcmp(ip + 12, &f->opt.to, 4) != 0 || spw_get_be16(ip + 20) != IKE_PORT)
		return;
	memcpy(&to, ip + 16, 4);
	count_answer(f, len);
	if (ike[18] != X_SA_INIT || !(ike[19] & FLAG_RESPONSE))
		f->others++;
	else if (ike[16] == P_SA)
		take_accepted(f, ike, to);
	else if (ike[16] == P_NOTIFY && spw_get_be16(ike + IKE_HEADER + 6) == N_COOKIE)
		take_cookie(f, ike, len - IP_UDP, to);
	else
		f->refused++;
}

static void
read_answers(struct flood *f)
{
	uint8_t packet[2048];
	ssize_t n;

	while ((n = recv(f->watch, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		take(f, packet, (size_t)n);
	flush(f);
}

static void
open_sockets(struct flood *f)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	int on = 1, bytes = 8 << 20;

	at.sll_ifindex = (int)if_nametoindex(f->opt.iface);
	f->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	f->watch = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (f->raw < 0 || f->watch < 0 || at.sll_ifindex == 0 ||
	    setsockopt(f->watch, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
	    setsockopt(f->watch, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
	    bind(f->watch, (const struct sockaddr *)&at, sizeof(at)) != 0)
		tool_die(f->opt.iface);
}

static void
run(struct flood *f)
{
	uint64_t begun = tool_now_ns(), end = begun + f->opt.seconds * TOOL_NS_PER_S;
	struct pollfd p = {.fd = f->watch, .events = POLLIN};

	for (uint64_t now = begun; now < end && !tool_stopping(); now = tool_now_ns()) {
		uint64_t due = (now - begun) / 1000 * f->opt.rate / 1000000;

		if (f->opt.count && due > f->opt.count)
			due = f->opt.count;
		for (unsigned int i = 0; f->sent < due && i < 4 * BATCH; i++)
			send_one(f);
		read_answers(f);
		if (f->sent >= due)
			poll(&p, 1, 1);
	}
	for (end = tool_now_ns() + DRAIN_NS; tool_now_ns() < end; poll(&p, 1, 10))
		read_answers(f);
}

static void
write_summary(const struct flood *f)
{
	FILE *out = tool_open_output(f->opt.out);

	fprintf(out,
		"{\"sent\": %lu, \"sent_bytes\": %lu, \"failed\": %lu, \"answers\": %lu, "
		"\"answer_bytes\": %lu, \"answers_peak\": %lu, \"cookies\": %lu, \"accepted\": "
		"%lu, "
		"\"refused\": %lu, \"others\": %lu, \"garbage\": %lu}\n",
		f->sent, f->sent_bytes, f->failed, f->answers, f->answer_bytes, f->peak, f->cookies,
		f->accepted, f->refused, f->others, f->garbage);
	fclose(out);
}

static enum kind
kind_of(const char *text)
{
	static const char *const names[] = {"init", "spi", "auth"};

	for (unsigned int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return (enum kind)i;
	fprintf(stderr, "--kind: '%s' is none of init, spi, auth\n", text);
	exit(2);
}

static struct in_addr
address(const char *what, const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1) {
		fprintf(stderr, "%s: '%s' is not an IPv4 address\n", what, text);
		exit(2);
	}
	return a;
}

static void
take_option(struct options *o, int c)
{
	switch (c) {
	case 'k': o->kind = kind_of(optarg); break;
	case 'f':
		o->random_source = strcmp(optarg, "random") == 0;
		if (!o->random_source)
			o->from = address("--from", optarg);
		break;
	case 't': o->to = address("--to", optarg); break;
	case 'r': o->rate = tool_parse_number("--rate", optarg, 1, 10000000); break;
	case 's': o->seconds = tool_parse_number("--seconds", optarg, 1, 100000); break;
	case 'c': o->count = tool_parse_number("--count", optarg, 1, UINT64_MAX); break;
	case 'g': o->garbage = tool_parse_number("--garbage", optarg, 0, 1000); break;
	case 'F': o->finish = true; break;
	case 'I': o->spi_i = strtoull(optarg, NULL, 16); break;
	case 'R': o->spi_r = strtoull(optarg, NULL, 16); break;
	case 'i': o->iface = optarg; break;
	case 'o': o->out = optarg; break;
	default: exit(2);
	}
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{"kind", required_argument, NULL, 'k'},
		{"from", required_argument, NULL, 'f'},
		{"to", required_argument, NULL, 't'},
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'c'},
		{"garbage", required_argument, NULL, 'g'},
		{"finish", no_argument, NULL, 'F'},
		{"spi-i", required_argument, NULL, 'I'},
		{"spi-r", required_argument, NULL, 'R'},
		{"iface", required_argument, NULL, 'i'},
		{"out", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		take_option(o, c);
	if (!o->iface || !o->out || !o->to.s_addr || (!o->random_source && !o->from.s_addr)) {
		fputs("usage: ikeflood --kind init|spi|auth --from ADDRESS|random --to ADDRESS "
		      "--iface IF "
		      "--out FILE [--rate N] [--seconds N] [--count N] [--finish [--garbage N]] "
		      "[--spi-i HEX --spi-r HEX]\n",
		      stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static struct flood f = {.opt = {.rate = 1000, .seconds = 1}};

	parse_options(argc, argv, &f.opt);
	f.rng = tool_now_ns() | 1;
	tool_catch_stop();
	open_sockets(&f);
	puts("ready");
	fflush(stdout);
	run(&f);
	write_summary(&f);
	close(f.raw);
	close(f.watch);
	return 0;
}
