/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The environment and arguments of a new program, one string per call, state in scratch memory. What leaves: values of
 * names that may be shown, paths of key files, fingerprints of secrets and of the values of known flags, public
 * identifiers. Nothing else.
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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, u8);
} env_names __weak SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, struct kt_flag);
} arg_flags __weak SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, u32);
} arg_programs __weak SEC(".maps"); /* by the thread's name at exec: the program's bit in kt_flag.path_of */

const volatile kt_u8 cfg_env_slots[KT_ENV_SLOTS] __weak = {};
const volatile struct kt_affix cfg_env_affixes[KT_ENV_AFFIXES] __weak = {};
const volatile kt_u32 cfg_env_affix_count __weak = 0;
/* By three bytes: 1 = some prefix begins so, 2 = some suffix ends so. */
const volatile kt_u8 cfg_affix_ends[KT_AFFIX_ENDS] __weak = {};
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

/* Copies the text up to '=' into s->items.name, zero-padded; false when there is none within a name's length. */
__weak __noinline int text__split(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s)
		return 0;
	__builtin_memset(&s->items.name, 0, sizeof(s->items.name));
#pragma clang loop unroll(disable)
	for (i = 0; i < KT_ITEM_NAME_MAX; i++) {
		u8 c = s->text[i];

		if (c == '=') {
			s->items.name_len = i;
			return 1;
		}
		if (!c)
			break;
		s->items.name.text[i] = c;
	}
	s->items.name_len = i;
	return s->text[i & 127] == '=';
}

static __always_inline u64 word__at(const void *p)
{
	return *(const u64 *)p;
}

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

/* What the catalog says about the variable in s->items.name: KT_ENV_… or 0. */
__weak __noinline int env__action(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 key, first, last;
	u32 i, len;
	u8 *action;

	if (!s)
		return 0;
	len = s->items.name_len;
	if (!len || len >= KT_ITEM_NAME_MAX)
		return 0;
	first = word__at(s->items.name.text);
	last = len >= 8 ? word__at(&s->items.name.text[(len - 8) & (KT_ITEM_NAME_MAX - 1)]) : first;
	key = kt_mix(first, last, len, KT_NAME_KEY_EXACT);
	if (cfg_env_slots[(key >> 8) & (KT_ENV_SLOTS - 1)]) {
		action = bpf_map_lookup_elem(&env_names, &s->items.name);
		if (action)
			return *action;
	}
	if (len < 3)
		return 0;
	last = len >= 8 ? last >> 40 : last >> (8 * (len - 3));
	if (!(cfg_affix_ends[kt_affix_slot(first) & (KT_AFFIX_ENDS - 1)] & 1) &&
	    !(cfg_affix_ends[kt_affix_slot(last) & (KT_AFFIX_ENDS - 1)] & 2))
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

/*
 * Appends an item: name = s->items.name (name_len bytes), value = s->text[from…from+len) or, for hash, s->items.hash.
 * False when the room is spent. `shape`: kind | flags << 8 | format << 16.
 */
__weak __noinline int item__add(u32 which, u32 shape, u32 from, u32 value_len)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 kind = shape & 0xff, flags = (shape >> 8) & 0xff, format = shape >> 16, name_len, total, off;
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
	__builtin_memset(out, 0, sizeof(*item) + KT_ITEM_NAME_MAX + KT_ITEM_VALUE_MAX + 8);
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
	bpf_probe_read_kernel(out + sizeof(*item), name_len, s->items.name.text);
	if (kind == KT_ITEM_ENV_SHOW || (flags & KT_ITEM_F_PUBLIC))
		bpf_probe_read_kernel(out + sizeof(*item) + name_len, value_len, s->text + from);
	else if (value_len)
		bpf_probe_read_kernel(out + sizeof(*item) + name_len, 16, s->items.hash);
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

/* One variable. */
__weak __noinline int env__step(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 from, have, full, value_len, flags = 0, kind;
	int r, action, format = -1;

	if (!s)
		return STEP_DONE;
	r = text__next(which);
	if (r != STEP_MORE)
		return r;
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

/* The argument in s->text[from…] as an item of format n. */
__weak __noinline int arg__add_format(u32 which, u32 from, u32 n)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 have, full, shape = KT_ITEM_ARG_FORMAT | n << 16;

	if (!s || n >= KT_ARG_FORMATS)
		return 1;
	from &= 127;
	have = s->items.text_len - from;
	full = s->items.full_len - from;
	s->items.value_len = full;
	if (cfg_formats[n].use == KT_FORMAT_NO_KEY)
		return 1;
	if (cfg_formats[n].use == KT_FORMAT_PUBLIC)
		return item__add(which,
				 shape | KT_ITEM_F_PUBLIC << 8 |
					 (have > KT_ITEM_VALUE_MAX ? KT_ITEM_F_TRUNCATED << 8 : 0),
				 from, have > KT_ITEM_VALUE_MAX ? KT_ITEM_VALUE_MAX : have);
	if (full < MIN_FINGERPRINTED)
		return item__add(which, shape, from, 0);
	sip__value(which, from, have, full);
	return item__add(which, shape | (full > KT_HASHED_MAX ? KT_ITEM_F_TRUNCATED << 8 : 0), from, 16);
}

/* Is it the path of a key file? Of a flag that is one for any program, only what looks like a path: what else it may be
 * elsewhere is not known. */
static __always_inline int flag__is_path(struct scratch *s, u32 from)
{
	u8 first = s->text[from & (sizeof(s->text) - 1)];

	return (s->items.flag_path & ~KT_ANY_PROGRAM) || (s->items.flag_path && (first == '/' || first == '.'));
}

/* The value of the flag in s->items.name: a path that is watched; else only its hash, whatever its length, or that the
 * flag was there. */
static __always_inline int flag__add(struct scratch *s, u32 which, u32 from)
{
	u32 have = s->items.text_len - from, full = s->items.full_len - from;

	s->items.value_len = full;
	if (flag__is_path(s, from)) {
		name__watch(which, from);
		if (have > KT_ITEM_VALUE_MAX)
			have = KT_ITEM_VALUE_MAX;
		return item__add(which,
				 KT_ITEM_ARG_FLAG | (KT_ITEM_F_PUBLIC | (full > have ? KT_ITEM_F_TRUNCATED : 0)) << 8,
				 from, have);
	}
	if (!s->items.flag_kind)
		return 1;
	if (s->items.flag_kind == KT_FLAG_PRESENCE)
		return item__add(which, KT_ITEM_ARG_FLAG, from, 0);
	sip__value(which, from, have, full);
	return item__add(which, KT_ITEM_ARG_FLAG | (full > KT_HASHED_MAX ? KT_ITEM_F_TRUNCATED << 8 : 0), from, 16);
}

/* One argument. */
__weak __noinline int arg__step(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct kt_flag *flag;
	u32 from = 0;
	int r, split;

	if (!s)
		return STEP_DONE;
	r = text__next(which);
	if (r != STEP_MORE)
		return r;
	if (s->items.flag_pending) { /* s->items.name still holds the flag */
		s->items.flag_pending = 0;
		if (!flag__add(s, which, 0))
			return STEP_CUT;
	} else if (s->text[0] == '-') {
		split = text__split(which);
		flag = s->items.name_len < KT_ITEM_NAME_MAX ? bpf_map_lookup_elem(&arg_flags, &s->items.name) : NULL;
		s->items.flag_kind = flag ? flag->kind : 0;
		s->items.flag_path = flag ? flag->path_of & s->items.programs : 0;
		if (s->items.flag_kind || s->items.flag_path) {
			if (!split) {
				s->items.flag_pending = 1;
				s->items.index++;
				return STEP_MORE;
			}
			from = s->items.name_len + 1;
			if (!flag__add(s, which, from))
				return STEP_CUT;
		} else if (split) {
			from = s->items.name_len + 1;
		}
	}
	r = text__format(which, from);
	if (r >= 0 && !arg__add_format(which, from, r))
		return STEP_CUT;
	s->items.index++;
	return STEP_MORE;
}

/* Eight strings at a time: fewer calls for the verifier to follow. */
#define STEPS_AT_ONCE 8

__weak __noinline int env__steps(u32 which)
{
	int i, r = STEP_MORE;

#pragma clang loop unroll(disable)
	for (i = 0; i < STEPS_AT_ONCE; i++) {
		r = env__step(which);
		if (r != STEP_MORE)
			break;
	}
	return r;
}

__weak __noinline int arg__steps(u32 which)
{
	int i, r = STEP_MORE;

#pragma clang loop unroll(disable)
	for (i = 0; i < STEPS_AT_ONCE; i++) {
		r = arg__step(which);
		if (r != STEP_MORE)
			break;
	}
	return r;
}

#endif
