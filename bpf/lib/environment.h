/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The environment of a new program. What leaves: values of names that the catalog shows, paths of key files (they are
 * watched at once), fingerprints of the values of secret names. Of all other variables nothing.
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

#endif
