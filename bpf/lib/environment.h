/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The environment of a new program. What leaves: values of names that the catalog shows, paths of key files (they are
 * watched at once), fingerprints of the values of secret names. Of all other variables nothing.
 *
 * The block is copied in pieces, in which the variables whose names cannot be of interest are passed over: most of
 * them. The others are read one by one.
 */
#ifndef KEYTRAIL_BPF_ENVIRONMENT_H
#define KEYTRAIL_BPF_ENVIRONMENT_H

#include "items.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, u8);
} env_names __weak SEC(".maps");

const volatile kt_u8 cfg_env_slots[KT_ENV_SLOTS] __weak = {};
const volatile struct kt_affix cfg_env_affixes[KT_ENV_AFFIXES] __weak = {};
const volatile kt_u32 cfg_env_affix_count __weak = 0;
/* By three bytes: 1 = some prefix begins so, 2 = some suffix ends so. */
const volatile kt_u8 cfg_affix_ends[KT_AFFIX_ENDS] __weak = {};

__weak __noinline int env__has_affix(u32 which, u32 n)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, from, len;

	if (!s || n >= KT_ENV_AFFIXES)
		return 0;
	len = cfg_env_affixes[n].len;
	if (s->items.name_len < len)
		return 0;
	from = cfg_env_affixes[n].suffix ? s->items.name_len - len : 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < sizeof(cfg_env_affixes[0].text); i++) {
		if (i >= len)
			return 1;
		if (s->items.name.text[(from + i) & (KT_ITEM_NAME_MAX - 1)] != cfg_env_affixes[n].text[i])
			return 0;
	}
	return i >= len;
}

/* The bits of a name's slot: 0 = the catalog does not have it, by its whole name (1) or one of its ends (2). `first`
 * and `last`: its first and last 8 bytes, of a shorter name all that it has. */
static __always_inline u32 env__signs(u64 first, u64 last, u32 len)
{
	u64 key = kt_mix(first, last, len, KT_NAME_KEY_EXACT);
	u32 signs = cfg_env_slots[(key >> 8) & (KT_ENV_SLOTS - 1)] ? 1 : 0;

	if (len < 3)
		return signs;
	last = len >= 8 ? last >> 40 : last >> (8 * (len - 3));
	if ((cfg_affix_ends[kt_affix_slot(first) & (KT_AFFIX_ENDS - 1)] & 1) ||
	    (cfg_affix_ends[kt_affix_slot(last) & (KT_AFFIX_ENDS - 1)] & 2))
		signs |= 2;
	return signs;
}

/* What the catalog says about the variable in s->items.name: KT_ENV_… or 0. */
__weak __noinline int env__action(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 first, last;
	u32 i, len, signs;
	u8 *action;

	if (!s)
		return 0;
	len = s->items.name_len;
	if (!len || len >= KT_ITEM_NAME_MAX)
		return 0;
	first = word__at(s->items.name.text);
	last = len >= 8 ? word__at(&s->items.name.text[(len - 8) & (KT_ITEM_NAME_MAX - 1)]) : first;
	signs = env__signs(first, last, len);
	if (signs & 1) {
		action = bpf_map_lookup_elem(&env_names, &s->items.name);
		if (action)
			return *action;
	}
	if (!(signs & 2))
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < KT_ENV_AFFIXES; i++) {
		if (i >= cfg_env_affix_count)
			break;
		if (env__has_affix(which, i))
			return cfg_env_affixes[i].action;
	}
	return 0;
}

#define PIECE_MAX 4096 /* sizeof(skip) */
#define PASS_READ 0    /* it may be of interest, or could not be told: env__step reads it */
#define PASS_DONE 1    /* passed over */
#define PASS_AGAIN 2   /* it goes on behind the piece: the next one begins with it */

/* Copies what the block still has, as much of it as there is room for. */
static __always_inline bool piece__fill(struct scratch *s)
{
	u64 left = s->items.end - s->items.pos;
	u32 size = left < PIECE_MAX ? left : PIECE_MAX, len = size;

	/* 1 to PIECE_MAX, said so that 6.1 does not forget it */
	asm volatile("%0 -= 1; %0 &= %1; %0 += 1" : "+r"(size) : "i"(PIECE_MAX - 1));
	s->items.piece_at = 0;
	s->items.piece_len = bpf_probe_read_user(s->skip, size, (void *)s->items.pos) ? 0 : len;
	return s->items.piece_len != 0;
}

/* The NUL of the string that begins at `from` in the piece, into s->items.piece_end; what is not below the piece's
 * length is behind its end. */
static __always_inline void piece__find_end(struct scratch *s, u32 from)
{
	u64 word, ends;
	u32 i;

	s->items.piece_end = PIECE_MAX;
#pragma clang loop unroll(disable)
	for (i = 0; i < PIECE_MAX; i += 8) {
		word = word__at(&s->skip[(from + i) & (PIECE_MAX - 1)]);
		ends = bytes__equal(word, 0);
		if (ends) {
			s->items.piece_end = from + i + byte__index(ends);
			break;
		}
		if (from + i >= PIECE_MAX)
			break;
	}
}

/* The length of the name that begins at `at` in the piece, into s->items.name_len; 0 where there is no '=' within a
 * name's length. */
static __always_inline void piece__find_name(struct scratch *s, u32 at)
{
	u64 word, ends;
	u32 i;

	s->items.name_len = 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < KT_ITEM_NAME_MAX; i += 8) {
		word = word__at(&s->skip[(at + i) & (PIECE_MAX - 1)]);
		ends = bytes__equal(word, '=') | bytes__equal(word, 0);
		if (ends) {
			if (bytes__equal(word, '=') & ends & -ends)
				s->items.name_len = i + byte__index(ends);
			break;
		}
	}
}

/* Passes over the next variable if its name cannot be of interest. What both searches find is taken out of memory
 * again, so that the verifier does not follow each place where they may end. */
__weak __noinline int env__pass(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 first, last;
	u32 at, end, len;

	if (!s || s->items.pos >= s->items.end)
		return PASS_READ;
	if (s->items.piece_at >= s->items.piece_len && !piece__fill(s))
		return PASS_READ;
	at = *(volatile u32 *)&s->items.piece_at;
	piece__find_name(s, at);
	piece__find_end(s, at + *(volatile u32 *)&s->items.name_len);
	end = *(volatile u32 *)&s->items.piece_end;
	len = *(volatile u32 *)&s->items.name_len;
	if (end >= s->items.piece_len) {
		s->items.piece_len = 0;
		return at ? PASS_AGAIN : PASS_READ;
	}
	if (len) {
		first = bytes__low(word__at(&s->skip[at & (PIECE_MAX - 1)]), len);
		last = len >= 8 ? word__at(&s->skip[(at + len - 8) & (PIECE_MAX - 1)]) : first;
		if (env__signs(first, last, len))
			return PASS_READ;
	}
	s->items.index++;
	s->items.piece_at = end + 1;
	s->items.pos += end + 1 - at;
	return PASS_DONE;
}

/* What text__next does, for a string that is whole in the piece and short: without a call. False: it is not so. */
__weak __noinline int text__from_piece(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, at, end, len;

	if (!s)
		return 0;
	at = s->items.piece_at;
	end = s->items.piece_end; /* below `at`: of the string before */
	if (end < at || end >= s->items.piece_len)
		return 0;
	len = end - at;
	if (len >= TEXT_MAX)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < TEXT_MAX; i += sizeof(u64)) {
		if (i > len)
			break;
		*(u64 *)(s->text + i) = word__at(&s->skip[(at + i) & (PIECE_MAX - 1)]);
	}
	s->items.text_len = len;
	s->items.full_len = len;
	s->items.pos += len + 1;
	return 1;
}

/* One variable that is read. */
__weak __noinline int env__step(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 from, have, full, value_len, flags = 0, kind;
	int r, action, format = -1;
	u64 began;

	if (!s)
		return STEP_DONE;
	began = s->items.pos;
	r = text__from_piece(which) ? STEP_MORE : text__next(which);
	if (r != STEP_MORE)
		return r;
	s->items.piece_at += s->items.pos - began;
	if (s->items.text_len >= TEXT_MAX) /* the rest of it is where the piece was */
		s->items.piece_len = 0;
	s->items.index++;
	if (!text__split(which))
		return STEP_MORE;
	action = env__action(which);
	if (!action)
		return STEP_MORE;
	from = s->items.name_len + 1;
	if (from > s->items.text_len)
		return STEP_MORE;
	have = s->items.text_len - from;
	full = s->items.full_len - from;
	if (have > KT_HASHED_MAX)
		have = KT_HASHED_MAX;
	s->items.value_len = full;
	if (action == KT_ENV_SECRET || action == KT_ENV_UNHASHED) {
		kind = KT_ITEM_ENV_SECRET;
		value_len = action == KT_ENV_SECRET && full >= MIN_FINGERPRINTED ? 16 : 0;
		flags = full > KT_HASHED_MAX ? KT_ITEM_F_TRUNCATED : 0;
		if (value_len)
			sip__value(which, from, have, full);
		format = text__format(which, from);
		if (format >= 0)
			flags |= KT_ITEM_F_FORMAT;
	} else {
		kind = KT_ITEM_ENV_SHOW;
		value_len = have > KT_ITEM_VALUE_MAX ? KT_ITEM_VALUE_MAX : have;
		flags = full > value_len ? KT_ITEM_F_TRUNCATED : 0;
		if (action == KT_ENV_WATCH)
			name__watch(which, from);
	}
	if (format > 0)
		kind |= (u32)format << 16;
	return item__add(which, kind | flags << 8, from, value_len) ? STEP_MORE : STEP_CUT;
}

__weak __noinline int env__steps(u32 which)
{
	int i, passed, r = STEP_MORE;

#pragma clang loop unroll(disable)
	for (i = 0; i < STEPS_AT_ONCE; i++) {
		passed = env__pass(which);
		if (passed == PASS_AGAIN)
			passed = env__pass(which);
		if (passed == PASS_DONE)
			continue;
		r = env__step(which);
		if (r != STEP_MORE)
			break;
	}
	return r;
}

#endif
