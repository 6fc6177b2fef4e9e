/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of a new program. What leaves: public identifiers, paths of key files after known flags (they are
 * watched at once), fingerprints of what looks like a secret and of the values of known flags. Of others nothing.
 * Those of programs that may be given keys wait in arguments_kept beside that, for warden and examiner alone.
 */
#ifndef KEYTRAIL_BPF_ARGUMENTS_H
#define KEYTRAIL_BPF_ARGUMENTS_H

#include "script.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KT_KEPT_PROCESSES);
	__type(key, struct kt_exec);
	__type(value, struct kt_kept);
} arguments_kept __weak SEC(".maps");

/* Copies the first bytes at `start` for the examiner, all of them while they fit; KT_ARGS_… */
static __always_inline u8 args__keep(struct scratch *s, const struct ev_head *head, u64 start, u64 end)
{
	struct kt_exec key = {.start_ns = head->start_ns, .tgid = head->tgid, .exec = head->exec};
	u64 len = end - start;

	if (start >= end)
		return KT_ARGS_NONE;
	if (len > KT_KEPT_MAX)
		len = KT_KEPT_MAX;
	s->kept.len = len;
	if (bpf_probe_read_user(s->kept.text, len, (void *)start) ||
	    bpf_map_update_elem(&arguments_kept, &key, &s->kept, BPF_ANY))
		return KT_ARGS_LOST;
	return end - start > KT_KEPT_MAX ? KT_ARGS_PART : KT_ARGS_WHOLE;
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
	if (s->items.index && !script__word(which))
		return STEP_CUT;
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
				/* An interpreter knows which of its own options have a value: python -u. */
				if (!s->items.index || !s->items.interpreter || s->items.script_next)
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
