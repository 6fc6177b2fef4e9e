/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a process and its executable: the head of KT_EV_EXEC and KT_EV_TASK. */
#ifndef KEYTRAIL_BPF_PROCESS_H
#define KEYTRAIL_BPF_PROCESS_H

#include "path.h"
#include "shape.h"

static __always_inline u64 task__pid_namespace(u64 task, const bool fast)
{
	/* a number: the verifier would not index what it knows as a structure */
	u64 pid = word__read(task + bpf_core_field_offset(struct task_struct, thread_pid), fast);
	u32 level = READ(fast, pid, struct pid, level);

	return word__read(pid + bpf_core_field_offset(struct pid, numbers) + (level & 63) * sizeof(struct upid) +
				  __builtin_offsetof(struct upid, ns),
			  fast);
}

/* The pipe or local socket behind a file, by its inode number; 0: something else. */
static __always_inline u32 file__pipe(u64 file, u64 inode, u32 type, const bool fast)
{
	u64 socket, sk;

	if (type == MODE_SOCKET) {
		socket = word__read(file + bpf_core_field_offset(struct file, private_data), fast);
		sk = (u64)READ(fast, socket, struct socket, sk);
		if (READ(fast, sk, struct sock, __sk_common.skc_family) != AF_UNIX_FAMILY)
			return 0;
	} else if (type != MODE_PIPE) {
		return 0;
	}
	return (u32)READ(fast, inode, struct inode, i_ino);
}

/* A file's number among all files: inodes of a tmpfs count from 1 in each. Never 0. */
static __always_inline u32 inode__number(u64 inode, const bool fast)
{
	u64 ino = READ(fast, inode, struct inode, i_ino), sb = (u64)READ(fast, inode, struct inode, i_sb);
	u32 dev = READ(fast, sb, struct super_block, s_dev);
	u32 number = (u32)(ino ^ (ino >> 32)) ^ (dev * 2654435761U);

	return number ? number : 1;
}

/* The same of a task's standard input or output, and also a file: what one program writes there another may read.
 * `files`: its table of descriptors. */
static __always_inline u32 descriptor__pipe(u64 files, u32 descriptor, const bool fast)
{
	u64 file = word__read(files + descriptor * sizeof(u64), fast), inode;
	u32 type;

	if (!file)
		return 0;
	inode = (u64)READ(fast, file, struct file, f_inode);
	type = READ(fast, inode, struct inode, i_mode) & MODE_TYPE;
	return type == MODE_REGULAR ? inode__number(inode, fast) : file__pipe(file, inode, type, fast);
}

/* May a key come to a program by this descriptor: a pipe, a local socket, a secret-shaped file that is only read (its
 * starter may have opened it)? A function of its own: the verifier follows it once, not for each descriptor. */
__weak __noinline int file__is_channel(u64 file)
{
	u64 inode = (u64)BPF_CORE_READ((struct file *)file, f_inode);
	u32 type = BPF_CORE_READ((struct inode *)inode, i_mode) & MODE_TYPE;

	if (type != MODE_REGULAR)
		return file__pipe(file, inode, type, false) != 0;
	return !(BPF_CORE_READ((struct file *)file, f_mode) & FMODE_WRITE_BIT) && inode__is_secret_shaped(inode, false);
}

#define DESCRIPTORS 64 /* the least that a table holds; bash's <(…) counts down from 63 */
#define STANDARD_DESCRIPTORS 7ULL

/* Is one of these descriptors a channel? `open`: the bits of those that are open. */
__weak __noinline int files__have_channel(u64 files, u64 open, u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 *copy;
	u32 i;

	if (!s || bpf_probe_read_kernel(s->skip, DESCRIPTORS * sizeof(u64), (void *)files))
		return 0;
	copy = (u64 *)s->skip;
#pragma clang loop unroll(disable)
	for (i = 3; i < DESCRIPTORS; i++) {
		if (((open >> i) & 1) && copy[i] && file__is_channel(copy[i]))
			return 1;
	}
	return 0;
}

/* The descriptors that a program begins with: what its standard ones are, and whether it has a channel beside them.
 * Most have no other. */
static __always_inline void exec__descriptors(struct ev_exec *ev, u64 task, u32 which, const bool fast)
{
	u64 held = (u64)READ(fast, task, struct task_struct, files);
	u64 table = (u64)READ(fast, held, struct files_struct, fdt);
	u64 files = word__read(table + bpf_core_field_offset(struct fdtable, fd), fast);
	u64 open = word__read((u64)READ(fast, table, struct fdtable, open_fds), fast);

	ev->stdin_pipe = descriptor__pipe(files, 0, fast);
	ev->stdout_pipe = descriptor__pipe(files, 1, fast);
	if (open & ~STANDARD_DESCRIPTORS)
		ev->channel = files__have_channel(files, open, which);
}

/* The terminal of a task's session, as dev_t; 0: it has none. */
static __always_inline u32 task__tty(u64 task, const bool fast)
{
	u64 signal = (u64)READ(fast, task, struct task_struct, signal);
	u64 tty = (u64)READ(fast, signal, struct signal_struct, tty), driver;

	if (!tty)
		return 0;
	driver = (u64)READ(fast, tty, struct tty_struct, driver);
	return (u32)READ(fast, driver, struct tty_driver, major) << 20 |
	       ((u32)READ(fast, driver, struct tty_driver, minor_start) +
		(u32)READ(fast, tty, struct tty_struct, index));
}

/* Everything of ev_exec but the strings; shared by exec and the sweep's KT_EV_TASK. */
static __always_inline void exec__fill(struct ev_exec *ev, u64 task, const struct identity *who, u64 cgroup_id,
				       u16 type, u8 family, const bool fast)
{
	u64 spaces = (u64)READ(fast, task, struct task_struct, nsproxy), space;
	struct identity parent;

	__builtin_memset(ev, 0, sizeof(*ev));
	head__fill(&ev->head, who, cgroup_id, type, family);
	task__instance((u64)READ(fast, task, struct task_struct, real_parent), fast, &parent);
	ev->parent_start_ns = parent.start_ns;
	ev->parent_tgid = parent.tgid;
	ev->parent_exec = parent.exec;
	ev->session_id = ~0U;
	if (bpf_core_field_exists(struct task_struct, sessionid))
		ev->session_id = READ(fast, task, struct task_struct, sessionid);
	ev->tty = task__tty(task, fast);
	space = (u64)READ(fast, spaces, struct nsproxy, mnt_ns);
	ev->mnt_ns = READ(fast, space, struct mnt_namespace, ns.inum);
	space = (u64)READ(fast, spaces, struct nsproxy, net_ns);
	ev->net_ns = READ(fast, space, struct net, ns.inum);
	space = task__pid_namespace(task, fast);
	ev->pid_ns = READ(fast, space, struct pid_namespace, ns.inum);
	bpf_probe_read_kernel(ev->comm, sizeof(ev->comm),
			      (void *)(task + bpf_core_field_offset(struct task_struct, comm)));
}

/* The executable: which file, and its path behind the header. */
static __always_inline void exec__exe(struct ev_exec *ev, struct scratch *s, u32 which, u64 task, const bool fast)
{
	u64 mm = (u64)READ(fast, task, struct task_struct, mm);
	u64 exe = mm ? (u64)READ(fast, mm, struct mm_struct, exe_file) : 0, inode, sb;

	if (!exe) {
		ev->head.flags |= KT_F_MISSING;
		return;
	}
	inode = (u64)READ(fast, exe, struct file, f_inode);
	sb = (u64)READ(fast, inode, struct inode, i_sb);
	ev->exe_dev = READ(fast, sb, struct super_block, s_dev);
	ev->exe_inode = READ(fast, inode, struct inode, i_ino);
	ev->exe_deleted = !READ(fast, inode, struct inode, i_nlink);
	ev->exe_len = path__walk(s, which, (u64)READ(fast, exe, struct file, f_path.mnt),
				 (u64)READ(fast, exe, struct file, f_path.dentry), task, sizeof(*ev), fast);
	ev->head.flags |= KT_F_LEAF_FIRST | (s->truncated ? KT_F_TRUNCATED : 0);
}

#endif
