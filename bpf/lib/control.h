/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the loader tells the programs: shapes of the variables that it writes, and the one hash that both sides compute.
 * C, included by both.
 */
#ifndef KEYTRAIL_BPF_CONTROL_H
#define KEYTRAIL_BPF_CONTROL_H

#include "keytrail/event_abi.h"

#define KT_OWN_PROCESSES 8
#define KT_EXACT_SLOTS 65536 /* one byte each, so that a program can set one without an atomic instruction */
#define KT_PATTERN_BITS 65536
#define KT_ENV_AFFIXES 64
#define KT_ENV_SLOTS 4096
#define KT_ARG_FORMATS 256
#define KT_NAME_KEY_EXACT 0
#define KT_NAME_KEY_PREFIX 1
#define KT_NAME_KEY_SUFFIX 2
#define KT_NAME_KEY_DIRECTORY 3
#define KT_NAME_KEY_PLACE 4 /* a name in its folder */
#define KT_NAME_KEY_FILE 5  /* the file itself */
#define KT_DIRECTORY_SLOTS 16384
#define KT_FOUND_SLOTS 65536 /* by the low bits of an inode number, one byte each */
#define KT_FOUND_MAX 16384   /* two for each place where a key was found */
#define KT_ENDS 4096         /* slots by two bytes at an end of a name */
#define KT_AFFIX_ENDS 4096
#define KT_SHAPE_BUDGET 256   /* files a second (2^30 ns) and cgroup that only their shape makes candidates */
#define KT_KEPT_PROCESSES 512 /* whose arguments wait for the examiner: 2 MiB */
#define KT_TARGETS 256        /* places in files at which programs run, attached at once */

/* The arguments of a program that may be given keys, until the warden takes them out for the examiner; by program. */
struct kt_exec {
	kt_u64 start_ns;
	kt_u32 tgid;
	kt_u32 exec;
};
struct kt_kept {
	kt_u64 len;
	kt_u8 text[KT_KEPT_MAX];
};

/*
 * The open events that were sent, so that the warden can tell whether one named a file: a keyed tag of each, in the set
 * that its low bits say; there the oldest goes. The last 100,000 are known (one of 10^10 is not).
 */
#define KT_REPORTED_SETS 4096
#define KT_REPORTED_WAYS 64
struct kt_reported {
	kt_u64 tags[KT_REPORTED_WAYS];
	kt_u64 next; /* where the next one goes, modulo */
};

/* Who opened which file, as it was then. */
struct kt_opened {
	kt_u64 start_ns;
	kt_u64 inode;
	kt_u64 size;
	kt_s64 ctime_s;
	kt_u32 ctime_ns;
	kt_u32 dev;
	kt_u32 tgid;
	kt_u32 fs_magic;
};

/* Base name of the memfd through which the open and exec heartbeats go ("memfd:" is the kernel's own prefix). */
#define KT_HEARTBEAT_MEMFD "keytrail-heartbeat"

struct kt_control {
	kt_u32 own[KT_OWN_PROCESSES]; /* tgids; slot 0 is the warden: its children count as own too */
	kt_u32 heartbeat_tgid;        /* the process that makes heartbeats */
	kt_u32 heartbeat_child;       /* set by the fork hook: the child that execs for the heartbeat */
	kt_u8 heartbeat[KT_FAMILIES]; /* 1 = the next event of heartbeat_tgid in this family is a heartbeat */
	kt_u8 pad[2];
	kt_u32 sweep_mode; /* KT_SWEEP_… for the next run of the iterators */
	kt_u32 sweep_generation;
	kt_u64 jiffies; /* taken by the sweep: with boot_ns of the same moment, HZ follows */
	kt_u64 jiffies_at_ns;
	kt_u64 jiffies_per_second; /* found by the loader; 0 = not yet known */
};

#define KT_SWEEP_LISTENERS 1
#define KT_SWEEP_BASELINE 2
#define KT_SWEEP_SAMPLE 3

#define KT_ENV_SHOW 1
#define KT_ENV_SECRET 2
#define KT_ENV_WATCH 3
#define KT_ENV_UNHASHED 4 /* a secret without a fingerprint: presence and length only */

#define KT_FLAG_VALUE 1
#define KT_FLAG_PRESENCE 2

/* path_of: programs, as bits, for which the flag's value is a path to a key file (bit 31: all); for others `kind`, 0 =
 * nothing leaves. */
#define KT_ANY_PROGRAM 0x80000000U
#define KT_EXAMINED_PROGRAM 0x40000000U /* of arg_programs: its arguments are kept for the examiner */
struct kt_flag {
	kt_u32 kind;
	kt_u32 path_of;
};

/* An interpreter: which of the words before its script are its options. Anything else ends the search. */
#define KT_INTERPRETERS 16
#define KT_SCRIPT_FLAG 1   /* an option by itself */
#define KT_SCRIPT_VALUED 2 /* its value is the next word */
#define KT_SCRIPT_RUNS 3   /* the next word is what runs: -m module, -jar archive */
#define KT_SCRIPT_LAST 4   /* the next word is the script, whatever it looks like: -- */
#define KT_SCRIPT_NONE 5   /* there is no script: --eval=TEXT */
struct kt_letters {        /* bits by character, below 128 */
	kt_u64 bits[2];
};
struct kt_interpreter {
	struct kt_letters flags;  /* options without a value, of which a word may have several: -uB */
	struct kt_letters next;   /* the value is always the next word; may end such a word: -euo pipefail */
	struct kt_letters valued; /* the value is the rest of the word, else the next one: -Wignore */
	struct kt_letters joined; /* the rest of the word belongs to it: -Dname=value */
	kt_u32 equals;            /* any --name=value is an option */
	kt_u32 pad;
};
struct kt_script_word { /* KT_SCRIPT_…, by interpreter; 0: nothing known */
	kt_u8 does[KT_INTERPRETERS];
};

/* A variable known by the beginning or the end of its name. */
struct kt_affix {
	kt_u8 len;
	kt_u8 action;
	kt_u8 suffix;
	char text[61];
};

#define KT_FORMAT_SECRET 0
#define KT_FORMAT_PUBLIC 1
#define KT_FORMAT_NO_KEY 2 /* of no interest among arguments */
struct kt_format {
	kt_u8 prefix_len;
	kt_u8 use;
	kt_u16 min_len;
	kt_u16 max_len;
	char prefix[26];
};

struct kt_name { /* zero-padded */
	char text[KT_ITEM_NAME_MAX];
};

/* The key of a name in the filter: its first and last 8 bytes (shorter names: the bytes they have) and its length. */
static inline kt_u64 kt_mix(kt_u64 first, kt_u64 last, kt_u32 len, kt_u32 kind)
{
	kt_u64 h = (first ^ ((kt_u64)len << 56) ^ kind) * 0x9E3779B97F4A7C15ULL;

	h ^= h >> 32;
	h = (h + last) * 0xD6E8FEB86659FD93ULL;
	h ^= h >> 29;
	h *= 0xBF58476D1CE4E5B9ULL;
	return h ^ (h >> 32);
}

/* Key of a name in its folder, of both names' keys. */
static inline kt_u64 kt_place_key(kt_u64 name, kt_u64 folder)
{
	return kt_mix(name, folder, 0, KT_NAME_KEY_PLACE);
}

static inline kt_u64 kt_file_key(kt_u64 inode, kt_u32 dev)
{
	return kt_mix(inode, dev, 0, KT_NAME_KEY_FILE);
}

/* One word more in a tag. The factor is secret and odd: what another word makes of the tag cannot be foreseen. */
static inline kt_u64 kt_tag_word(kt_u64 tag, kt_u64 word, kt_u64 factor)
{
	tag = (tag ^ word) * (factor | 1);
	return tag ^ (tag >> 29);
}

/*
 * The tag of an open event, by both words of the fingerprint key; it never leaves the kernel and the warden. Inline:
 * the stack of those who call it is full.
 */
__attribute__((always_inline)) static inline kt_u64 kt_opened_tag(const struct kt_opened *of, kt_u64 first,
								  kt_u64 second)
{
	kt_u64 tag = kt_tag_word(first, of->start_ns, second);

	tag = kt_tag_word(tag, (kt_u64)of->fs_magic << 32 | of->tgid, second);
	tag = kt_tag_word(tag, of->inode, second);
	tag = kt_tag_word(tag, of->size, second);
	tag = kt_tag_word(tag, (kt_u64)of->ctime_s, second);
	tag = kt_tag_word(tag, (kt_u64)of->ctime_ns << 32 | of->dev, second);
	tag = (tag ^ first) * 0xD6E8FEB86659FD93ULL;
	return tag ^ (tag >> 32);
}

/* Slot of two bytes at a name's beginning or end; little endian. */
static inline kt_u32 kt_end_slot(kt_u32 two)
{
	return ((two & 0xffff) * 0x9E3779B1U) >> 20;
}

/* Slot of three bytes at a variable's beginning or end. */
static inline kt_u32 kt_affix_slot(kt_u32 three)
{
	return ((three & 0xffffff) * 0x9E3779B1U) >> 20;
}

#endif
