/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The strings of a new program, one per call, state in scratch memory, and the items that leave for some of them:
 * text__… reads one and says what it looks like, name__watch makes a path's last component a watched name, item__add
 * writes. Which strings, and what of them, say environment.h and arguments.h.
 */
#ifndef KEYTRAIL_BPF_ITEMS_H
#define KEYTRAIL_BPF_ITEMS_H

#include "filter.h"
#include "siphash.h"

#define TEXT_MAX (KT_ITEM_NAME_MAX + 1 + KT_HASHED_MAX) /* of a string that is looked at */
#define MIN_FINGERPRINTED 16
#define STEP_MORE 0
#define STEP_DONE 1
#define STEP_CUT 2
#define STEPS_AT_ONCE 8 /* strings: fewer calls for the verifier to follow */

const volatile struct kt_format cfg_formats[KT_ARG_FORMATS] __weak = {};
const volatile kt_u32 cfg_format_count __weak = 0;
/* By a text's first byte: 1 + the first format that begins so; they stand together. */
const volatile kt_u8 cfg_format_from[256] __weak = {};

/* Reads the next string into s->text; s->items.full_len is its whole length. Strings are at most 128 KiB
 * (MAX_ARG_STRLEN). */
__weak __noinline int text__next(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 pos;
	long n;
	int i;

	if (!s || s->items.pos >= s->items.end)
		return STEP_DONE;
	n = bpf_probe_read_user_str(s->text, TEXT_MAX + 1, (void *)s->items.pos);
	if (n <= 0) {
		s->items.fault = 1;
		return STEP_DONE;
	}
	s->items.text_len = n - 1;
	s->items.full_len = n - 1;
	s->items.pos += n;
	if (n <= TEXT_MAX)
		return STEP_MORE;
	/* filled to the last byte: it may go on behind the NUL that the helper put there */
	pos = s->items.pos - 1;
	for (i = 0; i < 34; i++) {
		n = bpf_probe_read_user_str(s->skip, sizeof(s->skip), (void *)pos);
		if (n <= 0) {
			s->items.fault = 1;
			return STEP_DONE;
		}
		s->items.full_len += n - 1;
		pos += n - 1;
		if (n < (long)sizeof(s->skip))
			break;
	}
	s->items.pos = pos + 1;
	return STEP_MORE;
}

#define EACH_BYTE 0x0101010101010101ULL

/* The highest bit of each byte of a word that is `byte`, up to the first of them; bits above that mean nothing. */
static __always_inline u64 bytes__equal(u64 word, u8 byte)
{
	u64 zero_where = word ^ (EACH_BYTE * byte);

	return (zero_where - EACH_BYTE) & ~zero_where & (EACH_BYTE << 7);
}

/* Which byte the lowest of such bits is in. */
static __always_inline u32 byte__index(u64 bits)
{
	u64 before = ((bits & -bits) >> 7) - 1; /* the bytes before it */

	return (u32)(((before & EACH_BYTE) * EACH_BYTE) >> 56);
}

/* Copies the text up to '=' into s->items.name, zero-padded; false when there is none within a name's length. */
__weak __noinline int text__split(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 word, ends, before;
	u32 i;

	if (!s)
		return 0;
	__builtin_memset(&s->items.name, 0, sizeof(s->items.name));
#pragma clang loop unroll(disable)
	for (i = 0; i < KT_ITEM_NAME_MAX; i += 8) {
		word = *(u64 *)&s->text[i];
		ends = bytes__equal(word, '=') | bytes__equal(word, 0);
		if (ends) {
			ends &= -ends;
			before = (ends >> 7) - 1; /* the bytes before the first of them */
			*(u64 *)&s->items.name.text[i] = word & before;
			s->items.name_len = i + byte__index(ends);
			return (bytes__equal(word, '=') & ends) != 0;
		}
		*(u64 *)&s->items.name.text[i] = word;
	}
	s->items.name_len = i;
	return s->text[i & 127] == '=';
}

/* s->text[s->items.watch_from…] to its end becomes a watched file name. */
__weak __noinline int name__watch_from(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 start, end, len;
	u64 first, last, key;
	u8 one = 1;

	if (!s)
		return 0;
	start = s->items.watch_from;
	end = s->items.text_len;
	if (start >= end || end - start > 255)
		return 0;
	len = end - start;
	first = word__at(&s->text[start & 1023]);
	last = len >= 8 ? word__at(&s->text[(end - 8) & 1023]) : bytes__low(first, len);
	first = bytes__low(first, len);
	key = kt_mix(first, last, len, KT_NAME_KEY_EXACT);
	bpf_map_update_elem(&names_watched, &key, &one, BPF_ANY);
	name_exact[(key >> 8) & (KT_EXACT_SLOTS - 1)] = 1;
	return 1;
}

#define WATCH_CHUNK 32

/* Notes in s->items.watch_from what follows the last slash of 32 bytes; true at the end of the text. */
__weak __noinline int name__watch_chunk(u32 which, u32 from)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s)
		return 1;
#pragma clang loop unroll(disable)
	for (i = 0; i < WATCH_CHUNK; i++) {
		u8 c = s->text[(from + i) & 1023];

		if (!c)
			return 1;
		if (c == '/')
			s->items.watch_from = from + i + 1;
	}
	return 0;
}

/* The last component of the path in s->text[from…] is watched at once: the process opens it within milliseconds. */
__weak __noinline int name__watch(u32 which, u32 from)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s || s->items.text_len != s->items.full_len)
		return 0; /* the end of the path was not read */
	s->items.watch_from = from;
#pragma clang loop unroll(disable)
	for (i = 0; i < TEXT_MAX; i += WATCH_CHUNK) {
		if (name__watch_chunk(which, from + i))
			break;
	}
	return name__watch_from(which);
}

/* Copies `n` bytes by words; what the last word has behind them is zero. Words, not a call: most are one to five. */
static __always_inline void words__put(u8 *out, const u8 *from, u32 n, const u32 max)
{
	u64 word;
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < max; i += sizeof(u64)) {
		if (i >= n)
			break;
		word = word__at(from + i);
		*(u64 *)(out + i) = bytes__low(word, n - i);
	}
}

/*
 * Appends an item: name = s->items.name (name_len bytes), value = s->text[from…from+len) or, for hash, s->items.hash.
 * False when the room is spent. `shape`: kind | flags << 8 | format << 16.
 */
__weak __noinline int item__add(u32 which, u32 shape, u32 from, u32 value_len)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 kind = shape & 0xff, flags = (shape >> 8) & 0xff, format = shape >> 16, name_len, total, off, last;
	struct ev_item *item;
	u8 *out;

	if (!s)
		return 0;
	name_len = s->items.name_len;
	if (kind == KT_ITEM_ARG_FORMAT)
		name_len = 0;
	if (name_len > KT_ITEM_NAME_MAX || value_len > KT_ITEM_VALUE_MAX)
		return 0;
	total = (sizeof(*item) + name_len + value_len + 7) & ~7U;
	off = s->items.next;
	if (off + total > s->limit || off > SCRATCH_BYTES - 1024)
		return 0;
	out = s->buf + (off & (SCRATCH_BYTES - 1));
	last = total - sizeof(u64);
	BOUNDED(last, 511);
	*(u64 *)(out + last) = 0; /* what is padding stays so; all else is written */
	item = (struct ev_item *)out;
	item->item_len = total;
	item->kind = kind;
	item->flags = flags;
	item->name_len = name_len;
	item->value_len = value_len;
	item->full_len = s->items.value_len;
	item->position = s->items.index;
	item->format = format;
	BOUNDED(name_len, 127);
	BOUNDED(value_len, 511);
	BOUNDED(from, 1023);
	words__put(out + sizeof(*item), (const u8 *)s->items.name.text, name_len, KT_ITEM_NAME_MAX);
	out += sizeof(*item) + name_len;
	if (kind == KT_ITEM_ENV_SHOW || (flags & KT_ITEM_F_PUBLIC)) {
		words__put(out, s->text + from, value_len, KT_ITEM_VALUE_MAX);
	} else if (value_len) {
		*(u64 *)out = s->items.hash[0];
		*(u64 *)(out + sizeof(u64)) = s->items.hash[1];
	}
	s->items.next = off + total;
	return 1;
}

/* Does the value in s->text[from…] look like format n? A function of its own, verified once for all n. */
__weak __noinline int text__has_format(u32 which, u32 from, u32 n)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, len, full;

	if (!s || n >= KT_ARG_FORMATS)
		return 0;
	from &= 127;
	full = s->items.full_len - from;
	if (full < cfg_formats[n].min_len || full > cfg_formats[n].max_len)
		return 0;
	len = cfg_formats[n].prefix_len;
#pragma clang loop unroll(disable)
	for (i = 0; i < sizeof(cfg_formats[0].prefix); i++) {
		if (i >= len)
			return 1;
		if (s->text[from + i] != (u8)cfg_formats[n].prefix[i])
			return 0;
	}
	return 1;
}

#define FORMATS_OF_BYTE 48

/* The format that the value in s->text[from…] looks like; -1 when none. */
__weak __noinline int text__format(u32 which, u32 from)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, n;

	if (!s || from > s->items.text_len)
		return -1;
	n = cfg_format_from[s->text[from & 127]];
	if (!n)
		return -1;
	n--;
#pragma clang loop unroll(disable)
	for (i = 0; i < FORMATS_OF_BYTE; i++, n++) {
		if (n >= cfg_format_count ||
		    cfg_formats[n & (KT_ARG_FORMATS - 1)].prefix[0] != (char)s->text[from & 127])
			break;
		if (text__has_format(which, from, n))
			return n;
	}
	return -1;
}

#endif
