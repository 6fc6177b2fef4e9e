/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4-128 (Aumasson, Bernstein 2012; the reference's 128-bit output) over (length as u64 little endian, first
 * 512 bytes of a value). The examiner computes the same.
 */
#ifndef KEYTRAIL_BPF_SIPHASH_H
#define KEYTRAIL_BPF_SIPHASH_H

#include "maps.h"

/* Eight bytes in one load wherever they are, as all our kernels allow. A function: from `*(u64 *)&bytes[n]` clang knows
 * that they need not be aligned, and makes eight loads. */
static __always_inline u64 word__at(const void *p)
{
	return *(const u64 *)p;
}

struct sip {
	u64 v0, v1, v2, v3;
};

static __always_inline u64 rotl(u64 x, u32 n)
{
	return (x << n) | (x >> (64 - n));
}

static __always_inline void sip__round(struct sip *v)
{
	v->v0 += v->v1;
	v->v1 = rotl(v->v1, 13) ^ v->v0;
	v->v0 = rotl(v->v0, 32);
	v->v2 += v->v3;
	v->v3 = rotl(v->v3, 16) ^ v->v2;
	v->v0 += v->v3;
	v->v3 = rotl(v->v3, 21) ^ v->v0;
	v->v2 += v->v1;
	v->v1 = rotl(v->v1, 17) ^ v->v2;
	v->v2 = rotl(v->v2, 32);
}

static __always_inline void sip__word(struct sip *v, u64 m)
{
	v->v3 ^= m;
	sip__round(v);
	sip__round(v);
	v->v0 ^= m;
}

/* Hashes the value at s->text[from], `have` bytes of which are there, `full` long; the result goes to s->items.hash. In
 * loops, so that it is short: it runs once in a while, when the CPU's caches have none of it. */
__weak __noinline int sip__value(u32 which, u32 from, u32 have, u32 full)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 k0 = cfg_sip_key[0], k1 = cfg_sip_key[1], word;
	struct sip v = {
		k0 ^ 0x736f6d6570736575ULL,
		k1 ^ 0x646f72616e646f6dULL ^ 0xee,
		k0 ^ 0x6c7967656e657261ULL,
		k1 ^ 0x7465646279746573ULL,
	};
	u32 i, words;

	if (!s)
		return 0;
	if (have > KT_HASHED_MAX)
		have = KT_HASHED_MAX;
	from &= 127;
	s->items.words = have / 8; /* in memory, so that the verifier does not follow each of 65 lengths to the end */
	word = full;
#pragma clang loop unroll(disable)
	for (i = 0; i <= KT_HASHED_MAX / 8 + 1; i++) { /* the length, the whole words, the rest */
		sip__word(&v, word);
		words = *(volatile u32 *)&s->items.words;
		if (i > words)
			break;
		word = word__at(&s->text[from + i * 8]);
		if (i == words) {
			word &= (1ULL << ((have & 7) * 8)) - 1;
			word |= (u64)(8 + have) << 56;
		}
	}
	v.v2 ^= 0xee;
#pragma clang loop unroll(disable)
	for (i = 0; i < 8; i++) {
		sip__round(&v);
		if (i == 3) {
			s->items.hash[0] = v.v0 ^ v.v1 ^ v.v2 ^ v.v3;
			v.v1 ^= 0xdd;
		}
	}
	s->items.hash[1] = v.v0 ^ v.v1 ^ v.v2 ^ v.v3;
	return 0;
}

#endif
