/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scanner of the tests of key memory.
 *
 * A secret is cut into pieces of 16 bytes (at every 16th byte, and the last 16), so that a part of
 * it is found as well as the whole; each piece goes into a table by its first two bytes. What is
 * read passes the table byte by byte. Sixteen bytes do not come together by chance. Regions are
 * read from /proc/PID/smaps, whose VmFlags tell which are locked ("lo") and kept out of core dumps
 * ("dd"); what /proc/PID/mem does not give (memfd_secret) nobody else gets either.
 */
#include "tests/ike/scan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP (1u << 20)
#define PAGE 4096u

struct piece {
	int32_t next;
	uint32_t kind;
	uint8_t bytes[SCAN_PIECE];
};
struct scan {
	size_t n, cap;
	struct piece *piece;
	int32_t head[65536];
};

static void
piece_add(struct scan *scan, const uint8_t *bytes, uint32_t kind)
{
	uint32_t slot = (uint32_t)bytes[0] << 8 | bytes[1];
	struct piece *p;

	if (scan->n == scan->cap) {
		scan->cap = scan->cap ? 2 * scan->cap : 256;
		scan->piece = realloc(scan->piece, scan->cap * sizeof(*scan->piece));
		if (!scan->piece)
			abort();
	}
	p = &scan->piece[scan->n];
	p->next = scan->head[slot];
	p->kind = kind;
	memcpy(p->bytes, bytes, SCAN_PIECE);
	scan->head[slot] = (int32_t)scan->n++;
}

static void
secret_add(struct scan *scan, const uint8_t *bytes, size_t len, uint32_t kind)
{
	for (size_t at = 0; at + SCAN_PIECE <= len; at += SCAN_PIECE)
		piece_add(scan, bytes + at, kind);
	if (len >= SCAN_PIECE && len % SCAN_PIECE)
		piece_add(scan, bytes + len - SCAN_PIECE, kind);
}

struct scan *
scan_new(const struct scan_secret *s, size_t n, uint32_t kinds)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	uint8_t reversed[SCAN_LEN];

	if (!scan)
		abort();
	memset(scan->head, 0xff, sizeof(scan->head));
	for (size_t i = 0; i < n; i++) {
		if (!(kinds & 1u << s[i].kind))
			continue;
		for (size_t k = 0; k < s[i].len; k++)
			reversed[k] = s[i].bytes[s[i].len - 1 - k];
		secret_add(scan, s[i].bytes, s[i].len, s[i].kind);
		secret_add(scan, reversed, s[i].len, s[i].kind);
	}
	return scan;
}

void
scan_free(struct scan *scan)
{
	free(scan->piece);
	free(scan);
}

unsigned int
scan_bytes(const struct scan *scan, const uint8_t *bytes, size_t len, size_t *at, uint32_t *kind)
{
	unsigned int hits = 0;

	for (size_t i = 0; i + SCAN_PIECE <= len; i++)
		for (int32_t k = scan->head[(uint32_t)bytes[i] << 8 | bytes[i + 1]]; k >= 0;
		     k = scan->piece[k].next) {
			if (memcmp(scan->piece[k].bytes, bytes + i, SCAN_PIECE) != 0)
				continue;
			if (hits++ == 0) {
				*at = i;
				*kind = scan->piece[k].kind;
			}
		}
	return hits;
}

struct region {
	uint64_t start, end;
	bool locked, undumped;
	char name[120];
};

static void
region_scan(const struct scan *scan, int mem, const struct region *r, struct scan_found *out)
{
	static uint8_t buf[STEP + SCAN_PIECE];
	size_t kept = 0;

	for (uint64_t pos = r->start; pos < r->end;) {
		size_t want = r->end - pos < STEP ? (size_t)(r->end - pos) : STEP, at;
		ssize_t got = pread(mem, buf + kept, want, (off_t)pos);
		unsigned int hits;
		uint32_t kind;

		if (got <= 0) { /* a page that nobody may read */
			pos = (pos / PAGE + 1) * PAGE;
			kept = 0;
			continue;
		}
		hits = scan_bytes(scan, buf, kept + (size_t)got, &at, &kind);
		if (hits &&
		    (out->where[0] == '\0' || (!(r->locked && r->undumped) && out->open == 0)))
			snprintf(out->where, sizeof(out->where),
				 "kind %u at %" PRIx64 " in %" PRIx64 "-%" PRIx64 " %s%s%s", kind,
				 pos - kept + at, r->start, r->end, r->locked ? "locked " : "",
				 r->undumped ? "undumped " : "", r->name);
		if (r->locked && r->undumped)
			out->sheltered += hits;
		else
			out->open += hits;
		out->bytes += (size_t)got;
		pos += (size_t)got;
		/* a piece may lie across two reads */
		if (kept + (size_t)got >= SCAN_PIECE - 1) {
			memmove(buf, buf + kept + (size_t)got - (SCAN_PIECE - 1), SCAN_PIECE - 1);
			kept = SCAN_PIECE - 1;
		}
	}
}

static bool
maps_scan(const struct scan *scan, FILE *maps, int mem, struct scan_found *out)
{
	struct region r = {0};
	char line[512];
	bool any = false;

	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
			r = (struct region){.start = start, .end = end};
			sscanf(line, "%*s %*s %*s %*s %*s %119[^\n]", r.name);
		} else if (strncmp(line, "VmFlags:", 8) == 0) {
			r.locked = strstr(line, " lo") != NULL;
			r.undumped = strstr(line, " dd") != NULL;
			region_scan(scan, mem, &r, out);
			any = true;
		}
	}
	return any;
}

bool
scan_process(const struct scan *scan, pid_t pid, struct scan_found *out)
{
	char path[64];
	bool ok = false;
	FILE *maps;
	int mem;

	*out = (struct scan_found){0};
	kill(pid, SIGSTOP);
	usleep(20000);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	maps = fopen(path, "re");
	if (maps && mem >= 0)
		ok = maps_scan(scan, maps, mem, out) && out->bytes > 0;
	if (maps)
		fclose(maps);
	if (mem >= 0)
		close(mem);
	kill(pid, SIGCONT);
	return ok;
}
