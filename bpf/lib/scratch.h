/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work memory, one piece a family and CPU: the verifier allows 512 bytes of stack, and a long loop keeps its state here
 * between its global functions. What one kind of work needs is a struct of its own in the union: a family does one
 * after the other.
 */
#ifndef KEYTRAIL_BPF_SCRATCH_H
#define KEYTRAIL_BPF_SCRATCH_H

#include "vmlinux_core.h"
#include "control.h"

#define SCRATCH_OPEN 0
#define SCRATCH_EXEC 1
#define SCRATCH_UNIX 2
#define SCRATCH_NAME 3
#define SCRATCH_SWEEP 4
#define SCRATCH_CGROUP 5
#define SCRATCHES 6
#define SCRATCH_BYTES 16384

/* path.h */
struct walk_state {
	u64 dentry;
	u64 mnt; /* struct vfsmount */
	u64 root_dentry;
	u64 root_mnt;
	u32 place_ns; /* see mount__namespace */
};

/* items.h, arguments.h, environment.h, siphash.h: the strings of a new program */
struct items_state {
	u64 pos; /* next string in user memory */
	u64 end;
	u32 text_len; /* bytes of it in text, without the NUL */
	u32 full_len;
	u32 name_len;
	u32 value_len; /* bytes of the whole value */
	u32 index;
	u32 next; /* where the next item goes in buf */
	u32 flag_pending;
	u32 flag_kind;
	u32 flag_path;  /* bits of kt_flag.path_of that hold here */
	u32 programs;   /* bits of kt_flag.path_of that are this program's */
	u32 watch_from; /* where the last component of a path begins in text */
	u32 words;
	u32 fault;
	u32 piece_len;   /* environment: bytes of the piece in skip, */
	u32 piece_at;    /* where in it the next string begins, */
	u32 piece_end;   /* and the NUL of the one that is looked at */
	u32 interpreter; /* 1 + its number, while its script is looked for; else 0 */
	u32 script_next; /* what the word before says of the next one: KT_SCRIPT_… */
	u32 pad;
	u64 hash[2];
	struct kt_name name;
};

/* http.h: a request, and the banner of SSH */
struct http_state {
	u32 input_len; /* bytes in skip */
	u32 state;
	u32 matched; /* letters of the version or of "host:" */
	u32 begin;   /* where in buf the target, or its authority, begins */
	u32 scheme;  /* matched of "://": 3 = inside the authority, 4 = behind it */
	u32 first;   /* first byte of the target */
	u32 connect; /* its method is CONNECT: read to the end of the head */
	u32 hosted;  /* the Host header came */
	u32 taken;   /* bytes of skip that were read */
};

/* `busy` guards against a program that interrupts another of its family. */
struct scratch {
	u32 busy;
	u32 off;   /* where the next byte goes in buf */
	u32 limit; /* first byte of buf that must not be reached */
	u32 truncated;
	union {
		struct walk_state walk;
		struct items_state items;
		struct http_state http;
	};
	u8 text[1024];
	union {
		u8 skip[4096];
		struct kt_kept kept;
	};
	u8 buf[SCRATCH_BYTES + 1024]; /* offsets are masked with SCRATCH_BYTES - 1: room behind the last of them */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, u32);
	__type(value, struct scratch);
} scratches __weak SEC(".maps");

static __always_inline struct scratch *scratch__get(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s || s->busy)
		return NULL;
	s->busy = 1;
	s->truncated = 0;
	return s;
}

static __always_inline void scratch__put(struct scratch *s)
{
	s->busy = 0;
}

#endif
