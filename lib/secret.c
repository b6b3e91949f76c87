/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Secrets: keys, pre-shared keys and everything derived from them.
 *
 * One type holds them. Short ones, which are nearly all, share slabs: an established tunnel has
 *half a dozen of 32 to 64 bytes, and a page of its own for each (libsodium's way, kept for what is
 * longer than the largest class) would be 50 KiB a tunnel and six system calls a key. A slab:
 *
 *	guard page | head, canary | secret, canary | secret, canary | ... | guard page
 *
 * Its pages between the guards are locked against swapping and left out of core dumps before the
 * first secret is put in; when the kernel refuses either, there is no secret (-ENOMEM): a key that
 * may reach the swap or a dump is not accepted. (libsodium does not report a failed lock of its own
 * memory, so the lock is asked for again.) What says which slots are free stays in ordinary memory,
 * out of reach of whoever writes past a secret. Every byte between the end of a secret and the next
 * one is canary, random in each process, and looked at when the secret is freed, with the one
 *before it: a mismatch, and a secret freed twice, end the process, for then nothing in here can be
 * trusted. A freed slot is wiped at once. An empty slab goes back to the system unless it is the
 * last of its class with room.
 *
 * Comparison is constant-time; the only printable form is a fingerprint under a key of this
 *process. Threads: slabs are under one lock; one owner uses one secret.
 */
#include "lib/secret.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HIDE(p, len) ASAN_POISON_MEMORY_REGION(p, len)
#define SHOW(p, len) ASAN_UNPOISON_MEMORY_REGION(p, len)
#else
#define HIDE(p, len) ((void)(p))
#define SHOW(p, len) ((void)(p))
#endif

#define SECRET_MAX 65536
#define SLAB_PAGES 4
#define HEAD_LEN   16 /* where the slab's description is */
#define CANARY_LEN 16
#define MAP_WORDS  16 /* slots a slab has at most, / 64 */

static const size_t class_size[] = {32, 64, 128, 256};
#define CLASSES	   (sizeof(class_size) / sizeof(class_size[0]))
#define SHARED_MAX 256

struct slab {
	struct slab *next, *prev; /* of its class, with room */
	uint8_t *base;
	unsigned int class, slots, used;
	uint64_t taken[MAP_WORDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slab *roomy[CLASSES]; /* slabs with room; under the lock, as is all of a slab */
static size_t page, slab_len;	    /* set under the lock, once */
static uint8_t canary[CANARY_LEN];
static uint8_t fingerprint_key[crypto_generichash_KEYBYTES];

int
spw_secret_init(void)
{
	if (sodium_init() < 0)
		return -EIO;
	randombytes_buf(fingerprint_key, sizeof(fingerprint_key));
	return 0;
}

/* ---- slabs ---- */

static void
broken(const char *what)
{
	fprintf(stderr, "secret: %s; the process ends\n", what);
	abort();
}

static size_t
stride(unsigned int class)
{
	return class_size[class] + CANARY_LEN;
}

static uint8_t *
slot_at(const struct slab *s, unsigned int i)
{
	return s->base + HEAD_LEN + CANARY_LEN + i * stride(s->class);
}

static void
canary_write(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = canary[(uintptr_t)(p + i) % CANARY_LEN];
}

static bool
canary_stands(const uint8_t *p, size_t len)
{
	uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= (uint8_t)(p[i] ^ canary[(uintptr_t)(p + i) % CANARY_LEN]);
	return differ == 0;
}

/* Pages of a slab between two guard pages, aligned to its length. NULL: refused. */
static uint8_t *
pages_map(void)
{
	size_t whole = 2 * slab_len + 2 * page;
	uint8_t *p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *base;

	if (p == MAP_FAILED)
		return NULL;
	base = p + page;
	base += -(uintptr_t)base % slab_len;
	if (base - page > p)
		munmap(p, (size_t)(base - page - p));
	if (base + slab_len + page < p + whole)
		munmap(base + slab_len + page, (size_t)(p + whole - (base + slab_len + page)));
	if (mprotect(base, slab_len, PROT_READ | PROT_WRITE) == 0 &&
	    madvise(base, slab_len, MADV_DONTDUMP) == 0 && mlock(base, slab_len) == 0)
		return base;
	munmap(base - page, slab_len + 2 * page);
	return NULL;
}

static void
pages_unmap(uint8_t *base)
{
	SHOW(base, slab_len);
	spw_wipe(base, slab_len);
	munmap(base - page, slab_len + 2 * page);
}

static void
roomy_add(struct slab *s)
{
	s->prev = NULL;
	s->next = roomy[s->class];
	if (s->next)
		s->next->prev = s;
	roomy[s->class] = s;
}

static void
roomy_del(struct slab *s)
{
	*(s->prev ? &s->prev->next : &roomy[s->class]) = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

static void
sizes_learn(void)
{
	if (page != 0)
		return;
	page = (size_t)sysconf(_SC_PAGESIZE);
	slab_len = SLAB_PAGES * page;
	randombytes_buf(canary, sizeof(canary));
	for (size_t i = 0; i < sizeof(canary); i++)
		canary[i] |= canary[i] == 0; /* an end of string never looks like it */
}

static struct slab *
slab_new(unsigned int class)
{
	struct slab *s = calloc(1, sizeof(*s));
	size_t fit;

	sizes_learn();
	if (!s)
		return NULL;
	s->class = class;
	s->base = pages_map();
	if (!s->base) {
		free(s);
		return NULL;
	}
	fit = (slab_len - HEAD_LEN - CANARY_LEN) / stride(class);
	s->slots = (unsigned int)(fit < 64 * MAP_WORDS ? fit : 64 * MAP_WORDS);
	memcpy(s->base, &s, sizeof(s));
	canary_write(s->base + HEAD_LEN, slab_len - HEAD_LEN);
	HIDE(s->base, slab_len);
	roomy_add(s);
	return s;
}

static void
slab_free(struct slab *s)
{
	roomy_del(s);
	pages_unmap(s->base);
	free(s);
}

static unsigned int
class_for(size_t len)
{
	unsigned int class = 0;

	while (class_size[class] < len)
		class ++;
	return class;
}

static unsigned int
slot_free_first(const struct slab *s)
{
	unsigned int word = 0;

	while (s->taken[word] == UINT64_MAX)
		word++;
	return 64 * word + (unsigned int)__builtin_ctzll(~s->taken[word]);
}

/* Zero bytes of a slab; NULL: no memory, or not one that can be locked. */
static uint8_t *
shared_alloc(size_t len)
{
	unsigned int class = class_for(len), i;
	struct slab *s;
	uint8_t *p = NULL;

	pthread_mutex_lock(&lock);
	s = roomy[class] ? roomy[class] : slab_new(class);
	if (s) {
		i = slot_free_first(s);
		s->taken[i / 64] |= UINT64_C(1) << i % 64;
		if (++s->used == s->slots)
			roomy_del(s);
		p = slot_at(s, i);
		SHOW(p, stride(class));
		memset(p, 0, len);
		canary_write(p + len, stride(class) - len);
		HIDE(p + len, stride(class) - len);
	}
	pthread_mutex_unlock(&lock);
	return p;
}

/* The slab of a secret and its slot there; whatever is wrong about it ends the process. */
static struct slab *
slab_of(const uint8_t *p, size_t len, unsigned int *slot)
{
	uint8_t *base = (uint8_t *)((uintptr_t)p - (uintptr_t)p % slab_len);
	struct slab *s;
	size_t at;

	SHOW(base, HEAD_LEN);
	memcpy(&s, base, sizeof(s));
	HIDE(base, HEAD_LEN);
	at = (size_t)(p - slot_at(s, 0));
	*slot = (unsigned int)(at / stride(s->class));
	if (at % stride(s->class) != 0 || *slot >= s->slots || s->class != class_for(len))
		broken("freed with another address or length than it had");
	if (!(s->taken[*slot / 64] >> *slot % 64 & 1))
		broken("freed twice");
	return s;
}

static void
shared_free(uint8_t *p, size_t len)
{
	unsigned int i;
	struct slab *s;
	size_t all;

	pthread_mutex_lock(&lock);
	s = slab_of(p, len, &i);
	all = stride(s->class);
	SHOW(p - CANARY_LEN, all + CANARY_LEN);
	if (!canary_stands(p - CANARY_LEN, CANARY_LEN) || !canary_stands(p + len, all - len))
		broken("something was written around it");
	spw_wipe(p, all - CANARY_LEN);
	HIDE(p, all);
	HIDE(p - CANARY_LEN, CANARY_LEN);
	s->taken[i / 64] &= ~(UINT64_C(1) << i % 64);
	if (s->used-- == s->slots)
		roomy_add(s);
	if (s->used == 0 && (s->next || s->prev))
		slab_free(s);
	pthread_mutex_unlock(&lock);
}

/* ---- longer ones ---- */

static uint8_t *
alone_alloc(size_t len)
{
	uint8_t *p = sodium_malloc(len);

	if (p && sodium_mlock(p, len) != 0) {
		sodium_free(p);
		return NULL;
	}
	if (p)
		memset(p, 0, len);
	return p;
}

/* ---- secrets ---- */

int
spw_secret_alloc(struct spw_secret *s, size_t len)
{
	uint8_t *p;

	if (len == 0 || len > SECRET_MAX)
		return -EINVAL;
	p = len <= SHARED_MAX ? shared_alloc(len) : alone_alloc(len);
	if (!p)
		return -ENOMEM;
	s->bytes = p;
	s->len = len;
	return 0;
}

int
spw_secret_set(struct spw_secret *s, const void *bytes, size_t len)
{
	int rc = spw_secret_alloc(s, len);

	if (rc == 0)
		memcpy(s->bytes, bytes, len);
	return rc;
}

void
spw_secret_free(struct spw_secret *s)
{
	if (s->bytes && s->len <= SHARED_MAX)
		shared_free(s->bytes, s->len);
	else
		sodium_free(s->bytes);
	s->bytes = NULL;
	s->len = 0;
}

void
spw_secret_move(struct spw_secret *to, struct spw_secret *from)
{
	*to = *from;
	from->bytes = NULL;
	from->len = 0;
}

bool
spw_bytes_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

bool
spw_secret_equal(const struct spw_secret *a, const struct spw_secret *b)
{
	return a->len == b->len && (a->len == 0 || spw_bytes_equal(a->bytes, b->bytes, a->len));
}

void
spw_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

char *
spw_secret_fingerprint(const struct spw_secret *s, char out[SPW_FINGERPRINT_LEN])
{
	uint8_t hash[crypto_generichash_BYTES];

	crypto_generichash(hash, sizeof(hash), s->bytes, s->len, fingerprint_key,
			   sizeof(fingerprint_key));
	for (int i = 0; i < 8; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	return out;
}
