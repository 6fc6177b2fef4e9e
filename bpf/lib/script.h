/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The script behind an interpreter: of its arguments that word alone leaves. Each word before it must be an option that
 * the catalog knows, with its value; the first that is not ends the search, so that no other value is taken for it.
 * agent/catalog/script.cpp does the same for programs that are older than the agent.
 */
#ifndef KEYTRAIL_BPF_SCRIPT_H
#define KEYTRAIL_BPF_SCRIPT_H

#include "items.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, u32);
} interpreters __weak SEC(".maps"); /* by name without its version: 1 + its number */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct kt_name);
	__type(value, struct kt_script_word);
} script_words __weak SEC(".maps");
const volatile struct kt_interpreter cfg_interpreters[KT_INTERPRETERS] __weak = {};

#define SCRIPT_LETTERS 16 /* of one word; more are not looked at */

/* The interpreter that the thread's name in s->items.name is, which loses its version ("python3.11"): 1 + its number,
 * 0: none. */
__weak __noinline int script__interpreter(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, in_version = 0, *found;

	if (!s)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < 16; i++) {
		u8 c = s->items.name.text[i];

		if (!c)
			break;
		if ((c >= '0' && c <= '9') || c == '.') {
			in_version = 1;
			s->items.name.text[i] = 0;
		} else if (in_version) {
			return 0;
		}
	}
	found = bpf_map_lookup_elem(&interpreters, &s->items.name);
	return found ? *found : 0;
}

static __always_inline int letters__have(const volatile struct kt_letters *letters, u8 c)
{
	return c < 128 && ((letters->bits[(c >> 6) & 1] >> (c & 63)) & 1);
}

/* Is the word in s->text made of one-letter options that are known? If not the search ends. */
__weak __noinline int script__letters(u32 which, u32 number)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	const volatile struct kt_interpreter *is = &cfg_interpreters[number & (KT_INTERPRETERS - 1)];
	u32 i;
	u8 c;

	if (!s)
		return 0;
	c = s->text[1];
	if (letters__have(&is->joined, c))
		return 1;
	if (letters__have(&is->valued, c)) {
		if (s->items.text_len == 2)
			s->items.script_next = KT_SCRIPT_VALUED;
		return 1;
	}
#pragma clang loop unroll(disable)
	for (i = 1; i < SCRIPT_LETTERS; i++) {
		c = s->text[i];
		if (!c && i > 1)
			return 1;
		if (letters__have(&is->flags, c))
			continue;
		if (!letters__have(&is->next, c) || s->text[i + 1])
			break;
		s->items.script_next = KT_SCRIPT_VALUED;
		return 1;
	}
	s->items.interpreter = 0;
	return 0;
}

/* Is the word in s->text something that stands before the script? */
__weak __noinline int script__is_option(u32 which, u32 number)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct kt_script_word *word = NULL;
	u32 does = 0;
	int split;

	if (!s)
		return 1;
	split = text__split(which);
	if (s->items.name_len < KT_ITEM_NAME_MAX)
		word = bpf_map_lookup_elem(&script_words, &s->items.name);
	if (word)
		does = word->does[number & (KT_INTERPRETERS - 1)];
	if (does == KT_SCRIPT_NONE) {
		s->items.interpreter = 0;
		return 1;
	}
	if (!split && does) {
		if (does != KT_SCRIPT_FLAG)
			s->items.script_next = does;
		return 1;
	}
	if (s->text[0] == '+' || s->text[0] == '@') {
		s->items.interpreter = 0;
		return 1;
	}
	if (s->text[0] != '-')
		return 0;
	if (split && s->text[1] == '-' &&
	    (does == KT_SCRIPT_FLAG || does == KT_SCRIPT_VALUED ||
	     cfg_interpreters[number & (KT_INTERPRETERS - 1)].equals))
		return 1;
	script__letters(which, number);
	return 1;
}

/* Is the word in s->text an address or an assignment? These carry keys. */
__weak __noinline int script__may_carry(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;
	u8 c, last = 0;

	if (!s)
		return 1;
#pragma clang loop unroll(disable)
	for (i = 0; i < KT_ITEM_VALUE_MAX; i++) {
		c = s->text[i];
		if (!c)
			break;
		if (c == '?' || c == '=' || (c == '/' && last == ':'))
			return 1;
		last = c;
	}
	return 0;
}

/* The next word, in s->text. False when there is no room for the item. */
__weak __noinline int script__word(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 before;

	if (!s || !s->items.interpreter)
		return 1;
	before = s->items.script_next;
	s->items.script_next = 0;
	if (before == KT_SCRIPT_VALUED)
		return 1;
	if (s->items.flag_pending) { /* to the catalog the word before has a value, to the interpreter it runs this */
		s->items.interpreter = 0;
		return 1;
	}
	if (before != KT_SCRIPT_RUNS && before != KT_SCRIPT_LAST && script__is_option(which, s->items.interpreter - 1))
		return 1;
	s->items.interpreter = 0;
	if (!s->items.text_len || s->items.full_len > KT_ITEM_VALUE_MAX || text__format(which, 0) >= 0 ||
	    script__may_carry(which))
		return 1;
	if (before != KT_SCRIPT_RUNS)
		s->items.name_len = 0;
	s->items.value_len = s->items.full_len;
	return item__add(which, KT_ITEM_SCRIPT | KT_ITEM_F_PUBLIC << 8, 0, s->items.text_len);
}

#endif
