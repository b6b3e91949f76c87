/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sniffer of the namespace lab: what went over a link, one fixed record per packet of interest.
 *
 * On the Internet's links it looks for what must never be there (an outer source or destination
 * within a --protect prefix: traffic in the clear) and keeps SPI, sequence number and IV of every
 * ESP packet, native or in UDP 4500 (RFC 3948), so that a repeated (SPI, IV) is found. On the
 * Azure gateway's TUN it keeps every inner packet with its time, and number and sending time when
 * it is a probe's, so that a driver can tell which of them were in the tunnel while ExpressRoute
 * stood.
 *
 * An AF_PACKET socket of type SOCK_DGRAM gives the packet from its IP header on for Ethernet and
 * TUN alike, in both directions. Packets are stamped by the kernel. The number of packets that the
 * kernel had to drop for want of buffer is in the summary: evidence with holes is no evidence, so
 * the driver refuses it.
 *
 * Log: records of struct record in host byte order. Summary: JSON, at the end. SIGTERM ends it.
 */
#include "tests/tools/tool.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	     64
#define SNAP	     128
#define MAX_PREFIXES 8
#define FLUSH_NS     (100 * TOOL_NS_PER_MS)

enum kind {
	KIND_CLEAR = 1,	     /* outer address inside a protected prefix */
	KIND_ESP_NATIVE = 2, /* protocol 50 */
	KIND_ESP_UDP = 3,    /* UDP 4500, SPI not zero */
	KIND_IKE = 4,	     /* UDP 500, or UDP 4500 with the zero marker */
	KIND_KEEPALIVE = 5,  /* UDP 4500, one byte */
	KIND_OTHER = 6,
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = {
	[KIND_CLEAR] = "clear", [KIND_ESP_NATIVE] = "esp_native", [KIND_ESP_UDP] = "esp_udp",
	[KIND_IKE] = "ike",	[KIND_KEEPALIVE] = "keepalive",	  [KIND_OTHER] = "other",
};

/* Addresses and numbers in host byte order; iv as the eight bytes on the wire read big-endian. */
struct record {
	uint64_t time_ns;
	uint64_t iv;
	uint64_t probe_seq;
	uint64_t probe_sent_ns;
	uint32_t src;
	uint32_t dst;
	uint32_t spi;
	uint32_t esp_seq;
	uint16_t length; /* of the IP packet */
	uint8_t kind;
	uint8_t outgoing;
	uint8_t protocol;
	uint8_t is_probe;
	uint8_t pad[2];
};

_Static_assert(sizeof(struct record) == 56, "the reader knows this size");

struct prefix {
	uint32_t address;
	uint32_t mask;
};

struct sniffer {
	const char *iface;
	const char *out_prefix;
	struct prefix protect[MAX_PREFIXES];
	unsigned int protect_count;
	int fd;
	FILE *log;
	uint64_t counts[KIND_COUNT];
	uint64_t flushed_ns;
};

static uint32_t
get_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

static uint64_t
get_u64(const uint8_t *at)
{
	return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

static uint16_t
get_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool
is_protected(const struct sniffer *sn, uint32_t address)
{
	for (unsigned int i = 0; i < sn->protect_count; i++) {
		if ((address & sn->protect[i].mask) == sn->protect[i].address)
			return true;
	}
	return false;
}

/* `esp` points at the SPI, `left` bytes were captured from there. */
static void
note_esp(struct record *rec, const uint8_t *esp, size_t left)
{
	if (left < 16)
		return;
	rec->spi = get_u32(esp);
	rec->esp_seq = get_u32(esp + 4);
	rec->iv = get_u64(esp + 8);
}

static enum kind
classify_udp(struct record *rec, const uint8_t *udp, size_t left)
{
	uint16_t sport, dport;

	if (left < 8)
		return KIND_OTHER;
	sport = get_u16(udp);
	dport = get_u16(udp + 2);
	if (left >= 8 + sizeof(struct probe_wire) && get_u32(udp + 8) == PROBE_MAGIC) {
		rec->is_probe = 1;
		rec->probe_seq = get_u64(udp + 16);
		rec->probe_sent_ns = get_u64(udp + 24);
		return KIND_OTHER;
	}
	if (sport == 500 || dport == 500)
		return KIND_IKE;
	if (sport != 4500 && dport != 4500)
		return KIND_OTHER;
	if (get_u16(udp + 4) == 9)
		return KIND_KEEPALIVE;
	if (left < 12 || get_u32(udp + 8) == 0)
		return KIND_IKE;
	note_esp(rec, udp + 8, left - 8);
	return KIND_ESP_UDP;
}

static enum kind
classify(const struct sniffer *sn, struct record *rec, const uint8_t *ip, size_t left)
{
	size_t header = (size_t)(ip[0] & 0xf) * 4;
	bool first_fragment = (get_u16(ip + 6) & 0x1fff) == 0;
	enum kind kind = KIND_OTHER;

	rec->protocol = ip[9];
	rec->src = get_u32(ip + 12);
	rec->dst = get_u32(ip + 16);
	if (header < 20 || header > left || !first_fragment)
		kind = KIND_OTHER;
	else if (rec->protocol == IPPROTO_UDP)
		kind = classify_udp(rec, ip + header, left - header);
	else if (rec->protocol == IPPROTO_ESP) {
		note_esp(rec, ip + header, left - header);
		kind = KIND_ESP_NATIVE;
	}
	if (is_protected(sn, rec->src) || is_protected(sn, rec->dst))
		kind = KIND_CLEAR;
	return kind;
}

static uint64_t
stamp_of(struct msghdr *msg, int64_t offset_ns)
{
	struct cmsghdr *cmsg;
	struct timespec ts;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
		return tool_stamp_ns(&ts, offset_ns);
	}
	return tool_now_ns();
}

static void
take(struct sniffer *sn, const uint8_t *ip, size_t length, const struct sockaddr_ll *from,
     uint64_t time_ns)
{
	struct record rec = {.time_ns = time_ns, .length = (uint16_t)length};
	size_t captured = length < SNAP ? length : SNAP;

	if (from->sll_protocol != htons(ETH_P_IP) || captured < 20 || ip[0] >> 4 != 4)
		return;
	rec.outgoing = from->sll_pkttype == PACKET_OUTGOING;
	rec.kind = (uint8_t)classify(sn, &rec, ip, captured);
	sn->counts[rec.kind]++;
	fwrite(&rec, sizeof(rec), 1, sn->log);
}

static void
receive_batch(struct sniffer *sn)
{
	static uint8_t data[BATCH][SNAP];
	static uint8_t control[BATCH][64];
	struct sockaddr_ll from[BATCH];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	int64_t offset_ns;
	int i, n;

	for (i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = data[i], .iov_len = SNAP};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = &from[i];
		msgs[i].msg_hdr.msg_namelen = sizeof(from[i]);
		msgs[i].msg_hdr.msg_control = control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(sn->fd, msgs, BATCH, MSG_WAITFORONE | MSG_TRUNC, NULL);
	offset_ns = tool_realtime_offset_ns();
	for (i = 0; i < n; i++)
		take(sn, data[i], msgs[i].msg_len, &from[i], stamp_of(&msgs[i].msg_hdr, offset_ns));
}

static int
open_socket(const char *iface)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int bytes = 32 << 20, on = 1;
	struct timeval wait = {.tv_usec = 50000};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	if (fd < 0)
		tool_die("socket(AF_PACKET)");
	at.sll_ifindex = (int)if_nametoindex(iface);
	if (at.sll_ifindex == 0)
		tool_die(iface);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		tool_die(iface);
	return fd;
}

static void
write_summary(struct sniffer *sn)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);
	char path[4096];
	FILE *out;

	getsockopt(sn->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	snprintf(path, sizeof(path), "%s.json", sn->out_prefix);
	out = tool_open_output(path);
	fprintf(out, "{\"iface\": \"%s\", \"kernel_drops\": %u", sn->iface, stats.tp_drops);
	for (unsigned int k = KIND_CLEAR; k < KIND_COUNT; k++)
		fprintf(out, ", \"%s\": %lu", kind_names[k], sn->counts[k]);
	fputs("}\n", out);
	fclose(out);
}

static void
add_protected(struct sniffer *sn, const char *text)
{
	char host[INET_ADDRSTRLEN] = "";
	const char *slash = strchr(text, '/');
	struct in_addr address;
	uint64_t bits;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(host) ||
	    sn->protect_count == MAX_PREFIXES) {
		fprintf(stderr, "--protect: '%s' is not ADDRESS/LENGTH\n", text);
		exit(2);
	}
	memcpy(host, text, (size_t)(slash - text));
	bits = tool_parse_number("--protect", slash + 1, 1, 32);
	if (inet_pton(AF_INET, host, &address) != 1) {
		fprintf(stderr, "--protect: '%s' is not an IPv4 address\n", host);
		exit(2);
	}
	sn->protect[sn->protect_count].mask = UINT32_MAX << (32 - bits);
	sn->protect[sn->protect_count].address =
		ntohl(address.s_addr) & (UINT32_MAX << (32 - bits));
	sn->protect_count++;
}

static void
parse_options(int argc, char **argv, struct sniffer *sn)
{
	static const struct option names[] = {
		{"iface", required_argument, NULL, 'i'},
		{"out", required_argument, NULL, 'o'},
		{"protect", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'i': sn->iface = optarg; break;
		case 'o': sn->out_prefix = optarg; break;
		case 'p': add_protected(sn, optarg); break;
		default: exit(2);
		}
	}
	if (sn->iface == NULL || sn->out_prefix == NULL) {
		fputs("usage: sniff --iface IF --out PREFIX [--protect A/LEN ...]\n", stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct sniffer sn = {0};
	char path[4096];

	parse_options(argc, argv, &sn);
	tool_catch_stop();
	sn.fd = open_socket(sn.iface);
	snprintf(path, sizeof(path), "%s.log", sn.out_prefix);
	sn.log = tool_open_output(path);
	puts("ready");
	fflush(stdout);
	while (!tool_stopping()) {
		receive_batch(&sn);
		if (tool_now_ns() - sn.flushed_ns > FLUSH_NS) {
			fflush(sn.log);
			sn.flushed_ns = tool_now_ns();
		}
	}
	fclose(sn.log);
	write_summary(&sn);
	close(sn.fd);
	return 0;
}
