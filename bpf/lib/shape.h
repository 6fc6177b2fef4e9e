/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is a file shaped like a secret, whatever its name: small, and only its owner may read it or it lies in memory (tmpfs:
 * projected, secret and CSI volumes). Temporary files have that shape too: what the reader's own processes made is
 * none.
 */
#ifndef KEYTRAIL_BPF_SHAPE_H
#define KEYTRAIL_BPF_SHAPE_H

#include "task.h"

#define MODE_OTHERS 0077
#define MAGIC_TMPFS 0x01021994
#define MAGIC_RAMFS 0x858458F6

/* One keyed tag a slot: which process made the file. As with opened_tags, two that share a slot push each other out:
 * then the file counts.
 */
#define MADE_SLOTS 16384
#define MADE_ANCESTORS 4 /* the process itself, and three above it: gcc makes what ld below collect2 reads */
kt_u64 made_tags[MADE_SLOTS] __weak;

static __always_inline bool inode__is_secret_shaped(u64 inode, const bool fast)
{
	u32 mode = READ(fast, inode, struct inode, i_mode);
	u64 size, sb, magic;

	if ((mode & MODE_TYPE) != MODE_REGULAR)
		return false;
	size = READ(fast, inode, struct inode, i_size);
	if (size < KT_SHAPE_MIN || size > KT_SHAPE_MAX)
		return false;
	if (!(mode & MODE_OTHERS))
		return true;
	sb = (u64)READ(fast, inode, struct inode, i_sb);
	magic = READ(fast, sb, struct super_block, s_magic);
	return magic == MAGIC_TMPFS || magic == MAGIC_RAMFS;
}

static __always_inline bool inode__is_pipe(u64 inode, const bool fast)
{
	return (READ(fast, inode, struct inode, i_mode) & MODE_TYPE) == MODE_PIPE;
}

static __always_inline u64 made__file(u64 inode, const bool fast)
{
	u64 sb = (u64)READ(fast, inode, struct inode, i_sb), number = READ(fast, inode, struct inode, i_ino);
	u32 dev = READ(fast, sb, struct super_block, s_dev);

	return kt_mix(number, cfg_sip_key[0], 0, dev);
}

/* `file` with the process whose group leader this is. */
static __always_inline u64 made__tag(u64 file, u64 leader, const bool fast)
{
	u64 start_ns = READ(fast, leader, struct task_struct, start_boottime);
	u32 tgid = READ(fast, leader, struct task_struct, pid);

	return kt_mix(file, start_ns, 0, tgid);
}

/* A file was created for reading and writing at once, as mkstemp does. */
static __always_inline void made__note(u64 inode, u64 task, const bool fast)
{
	u64 file = made__file(inode, fast);

	made_tags[file & (MADE_SLOTS - 1)] =
		made__tag(file, (u64)READ(fast, task, struct task_struct, group_leader), fast);
}

/* Did the task's process make it so, or one that it comes from? */
static __always_inline bool made__by_own(u64 inode, u64 task, const bool fast)
{
	u64 file = made__file(inode, fast), leader;
	u64 known = made_tags[file & (MADE_SLOTS - 1)];
	int i;

#pragma unroll
	for (i = 0; i < MADE_ANCESTORS; i++) {
		leader = (u64)READ(fast, task, struct task_struct, group_leader);
		if (made__tag(file, leader, fast) == known)
			return true;
		task = (u64)READ(fast, leader, struct task_struct, real_parent);
	}
	return false;
}

#endif
