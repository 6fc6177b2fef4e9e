/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The path of a file from its dentries and mounts, up to the process's own root, or the root of the mount namespace
 * that the file is in; components leaf first, each with its NUL. One global function per step with its state in scratch
 * memory: a plain loop passes the verifier's million instructions.
 */
#ifndef KEYTRAIL_BPF_PATH_H
#define KEYTRAIL_BPF_PATH_H

#include "task.h"

#define WALK_STEPS 24
#define WALK_AT_ONCE 4 /* components per step */
#define WALK_MORE 0
#define WALK_DONE 1
#define NAME_BYTES 256

#define MOUNT_DETACHED 0             /* mounted nowhere: a tree of open_tree or fsmount, or unmounted while in use */
#define MOUNT_INTERNAL 1             /* the kernel's own: memory files */
#define MNT_NS_ANONYMOUS 0xEFFFFFF7U /* of detached trees, newer kernels; older ones have 0 */

/* The inode number of the mount namespace that a mount is in, which need not be the opener's; or MOUNT_…. */
static __always_inline u32 mount__namespace(u64 mnt, const bool fast)
{
	u64 space = (u64)READ(fast, mnt - bpf_core_field_offset(struct mount, mnt), struct mount, mnt_ns);
	u32 number;

	if (!space)
		return MOUNT_DETACHED;
	if (space >= (u64)-4095) /* an error number stands for the kernel itself */
		return MOUNT_INTERNAL;
	number = READ(fast, space, struct mnt_namespace, ns.inum);
	return number == MNT_NS_ANONYMOUS ? MOUNT_DETACHED : number;
}

static __always_inline int walk__body(struct scratch *s, const bool fast)
{
	u64 dentry = s->walk.dentry, mnt = s->walk.mnt, parent, mount, up, name;
	u32 off = s->off;
	long len;

	if (!dentry || (dentry == s->walk.root_dentry && mnt == s->walk.root_mnt))
		return WALK_DONE;
	parent = (u64)READ(fast, dentry, struct dentry, d_parent);
	/* at the root of a mount: on where that is mounted. The struct mount around the vfsmount knows where */
	if (dentry == (u64)READ(fast, mnt, struct vfsmount, mnt_root)) {
		mount = mnt - bpf_core_field_offset(struct mount, mnt);
		up = (u64)READ(fast, mount, struct mount, mnt_parent);
		if (up && up != mount) {
			s->walk.dentry = (u64)READ(fast, mount, struct mount, mnt_mountpoint);
			s->walk.mnt = up + bpf_core_field_offset(struct mount, mnt);
			return WALK_MORE;
		}
		if (s->walk.place_ns != MOUNT_DETACHED)
			return WALK_DONE;
	}
	/* what is mounted nowhere has the name that it has in its file system */
	if (s->walk.place_ns == MOUNT_DETACHED && parent == dentry)
		return WALK_DONE;
	if (off > s->limit - NAME_BYTES) {
		s->truncated = 1;
		return WALK_DONE;
	}
	name = (u64)READ(fast, dentry, struct dentry, d_name.name);
	len = bpf_probe_read_kernel_str(s->buf + (off & (SCRATCH_BYTES - 1)), NAME_BYTES, (void *)name);
	if (len <= 0) {
		s->truncated = 1;
		return WALK_DONE;
	}
	s->off = off + len;
	if (!parent || parent == dentry) /* a pseudo file is its own parent */
		return WALK_DONE;
	s->walk.dentry = parent;
	return WALK_MORE;
}

static __always_inline int walk__some(struct scratch *s, const bool fast)
{
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < WALK_AT_ONCE; i++) {
		if (walk__body(s, fast) != WALK_MORE)
			return WALK_DONE;
	}
	return WALK_MORE;
}

__weak __noinline int walk__step_fast(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	return s ? walk__some(s, true) : WALK_DONE;
}

__weak __noinline int walk__step_slow(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	return s ? walk__some(s, false) : WALK_DONE;
}

/* Writes the path of `path_addr` (a struct path) at s->buf[off]; returns its bytes, at most KT_PATH_MAX. s->truncated
 * says if it was cut.
 */
static __always_inline u32 path__walk(struct scratch *s, u32 which, u64 mnt, u64 dentry, u64 task, u32 off,
				      const bool fast)
{
	u64 fs = (u64)READ(fast, task, struct task_struct, fs);
	u32 len;
	int i;

	s->walk.root_dentry = fs ? (u64)READ(fast, fs, struct fs_struct, root.dentry) : 0;
	s->walk.root_mnt = fs ? (u64)READ(fast, fs, struct fs_struct, root.mnt) : 0;
	s->walk.dentry = dentry;
	s->walk.mnt = mnt;
	s->walk.place_ns = mount__namespace(mnt, fast);
	s->off = off;
	s->limit = off + KT_PATH_MAX;
	for (i = 0; i < WALK_STEPS; i++) {
		if ((fast ? walk__step_fast(which) : walk__step_slow(which)) != WALK_MORE)
			break;
	}
	if (i == WALK_STEPS)
		s->truncated = 1;
	len = s->off - off;
	return len > KT_PATH_MAX ? 0 : len;
}

#endif
