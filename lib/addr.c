/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses and prefixes of both families as plain values.
 *
 * Bytes stay in network order, unused bytes are zero, so values compare and hash bytewise and
 * travel in messages as they are. Text goes through inet_pton/inet_ntop only. Pure; any thread.
 */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"

size_t
spw_addr_len(uint8_t family)
{
	if (family == AF_INET)
		return 4;
	return family == AF_INET6 ? 16 : 0;
}

struct spw_addr
spw_addr_v4(uint32_t host_order)
{
	struct spw_addr a = {.family = AF_INET};

	spw_put_be32(a.bytes, host_order);
	return a;
}

uint32_t
spw_addr_get_v4(const struct spw_addr *a)
{
	return spw_get_be32(a->bytes);
}

int
spw_addr_compare(const struct spw_addr *a, const struct spw_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void
spw_addr_to_mapped(const struct spw_addr *a, uint8_t out[16])
{
	memset(out, 0, 16);
	if (a->family == AF_INET6) {
		memcpy(out, a->bytes, 16);
	} else if (a->family == AF_INET) {
		memcpy(out, mapped, 12);
		memcpy(out + 12, a->bytes, 4);
	}
}

struct spw_addr
spw_addr_from_mapped(const uint8_t in[16])
{
	static const uint8_t none[16];
	struct spw_addr a = {.family = AF_INET6};

	if (memcmp(in, none, 16) == 0)
		return (struct spw_addr){0};
	if (memcmp(in, mapped, 12) == 0) {
		a.family = AF_INET;
		memcpy(a.bytes, in + 12, 4);
	} else {
		memcpy(a.bytes, in, 16);
	}
	return a;
}

bool
spw_addr_equal(const struct spw_addr *a, const struct spw_addr *b)
{
	return spw_addr_compare(a, b) == 0;
}

bool
spw_addr_is_set(const struct spw_addr *a)
{
	return a->family != 0;
}

int
spw_addr_parse(struct spw_addr *a, const char *text, struct spw_err *err)
{
	struct spw_addr out = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(out.family, text, out.bytes) != 1)
		return spw_fail(
			err, -EINVAL,
			"'%.60s' is not an IP address; write it as 192.0.2.1 or 2001:db8::1", text);
	*a = out;
	return 0;
}

char *
spw_addr_format(const struct spw_addr *a, char out[SPW_ADDR_TEXT])
{
	if (spw_addr_len(a->family) == 0 || !inet_ntop(a->family, a->bytes, out, SPW_ADDR_TEXT))
		memcpy(out, "-", 2);
	return out;
}

socklen_t
spw_addr_to_sockaddr(const struct spw_addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, a->bytes, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, a->bytes, 4);
	return sizeof(*in);
}

int
spw_addr_from_sockaddr(struct spw_addr *a, uint16_t *port, const struct sockaddr_storage *ss)
{
	struct spw_addr out = {.family = (uint8_t)ss->ss_family};

	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		memcpy(out.bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		memcpy(out.bytes, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
	} else {
		return -EAFNOSUPPORT;
	}
	*a = out;
	return 0;
}

static int
prefix_len_parse(uint8_t *len, const char *text, uint8_t max)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if (*end != '\0' || v > max)
		return -EINVAL;
	*len = (uint8_t)v;
	return 0;
}

int
spw_prefix_parse(struct spw_prefix *p, const char *text, struct spw_err *err)
{
	struct spw_prefix out = {0};
	char addr[SPW_ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);

	if (n >= sizeof(addr))
		return spw_fail(err, -EINVAL, "'%.60s' is not a prefix; write it as 192.0.2.0/24",
				text);
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (spw_addr_parse(&out.addr, addr, NULL) != 0)
		return spw_fail(err, -EINVAL, "'%.60s' is not a prefix; write it as 192.0.2.0/24",
				text);
	out.len = (uint8_t)(8 * spw_addr_len(out.addr.family));
	if (slash && prefix_len_parse(&out.len, slash + 1, out.len) != 0)
		return spw_fail(err, -EINVAL, "prefix length of '%.60s' must be 0..%d", text,
				out.len);
	*p = out;
	return 0;
}

char *
spw_prefix_format(const struct spw_prefix *p, char out[SPW_PREFIX_TEXT])
{
	char addr[SPW_ADDR_TEXT];

	snprintf(out, SPW_PREFIX_TEXT, "%s/%u", spw_addr_format(&p->addr, addr), p->len);
	return out;
}

struct spw_prefix
spw_prefix_masked(const struct spw_prefix *p)
{
	struct spw_prefix out = *p;

	for (unsigned int i = 0; i < sizeof(out.addr.bytes); i++) {
		unsigned int bit = 8 * i;
		uint8_t mask = 0;

		if (p->len >= bit + 8)
			mask = 0xff;
		else if (p->len > bit)
			mask = (uint8_t)(0xff00u >> (p->len - bit));
		out.addr.bytes[i] &= mask;
	}
	return out;
}

int
spw_prefix_compare(const struct spw_prefix *a, const struct spw_prefix *b)
{
	int c = spw_addr_compare(&a->addr, &b->addr);

	return c ? c : (int)a->len - (int)b->len;
}

bool
spw_prefix_equal(const struct spw_prefix *a, const struct spw_prefix *b)
{
	return spw_prefix_compare(a, b) == 0;
}

bool
spw_prefix_contains_addr(const struct spw_prefix *p, const struct spw_addr *a)
{
	struct spw_prefix outer = spw_prefix_masked(p);
	struct spw_prefix host = {.addr = *a, .len = p->len};

	host = spw_prefix_masked(&host);
	return spw_addr_equal(&outer.addr, &host.addr);
}

bool
spw_prefix_contains(const struct spw_prefix *outer, const struct spw_prefix *inner)
{
	return inner->len >= outer->len && spw_prefix_contains_addr(outer, &inner->addr);
}
