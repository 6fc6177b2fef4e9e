/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a process and its executable: the head of KT_EV_EXEC and KT_EV_TASK. */
#ifndef KEYTRAIL_BPF_PROCESS_H
#define KEYTRAIL_BPF_PROCESS_H

#include "path.h"
#include "shape.h"

static __always_inline u32 namespace__pid(u64 task)
{
	struct pid *pid = BPF_CORE_READ((struct task_struct *)task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	bpf_probe_read_kernel(
		&upid, sizeof(upid),
		(void *)((u64)pid + bpf_core_field_offset(struct pid, numbers) + (level & 63) * sizeof(upid)));
	return BPF_CORE_READ(upid.ns, ns.inum);
}

/* The pipe or local socket behind a file, by its inode number; 0: something else. */
static __always_inline u32 file__pipe(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket;
	u32 type;

	type = BPF_CORE_READ(inode, i_mode) & MODE_TYPE;
	if (type == MODE_SOCKET) {
		socket = BPF_CORE_READ(file, private_data);
		if (BPF_CORE_READ(socket, sk, __sk_common.skc_family) != AF_UNIX_FAMILY)
			return 0;
	} else if (type != MODE_PIPE) {
		return 0;
	}
	return (u32)BPF_CORE_READ(inode, i_ino);
}

/* A file's number among all files: inodes of a tmpfs count from 1 in each. Never 0. */
static __always_inline u32 inode__number(struct inode *inode)
{
	u64 ino = BPF_CORE_READ(inode, i_ino);
	u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);
	u32 number = (u32)(ino ^ (ino >> 32)) ^ (dev * 2654435761U);

	return number ? number : 1;
}

/* The same of a task's standard input or output, and also a file: what one program writes there another may read. */
static __always_inline u32 descriptor__pipe(struct task_struct *task, u32 descriptor)
{
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;

	if (bpf_probe_read_kernel(&file, sizeof(file), files + descriptor) || !file)
		return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & MODE_TYPE) == MODE_REGULAR)
		return inode__number(BPF_CORE_READ(file, f_inode));
	return file__pipe(file);
}

/* May a key come to a program by this descriptor: a pipe, a local socket, a secret-shaped file that is only read (its
 * starter may have opened it)? A function of its own: the verifier follows it once, not for each descriptor. */
__weak __noinline int file__is_channel(u64 file)
{
	if (file__pipe((struct file *)file))
		return 1;
	return !(BPF_CORE_READ((struct file *)file, f_mode) & FMODE_WRITE_BIT) &&
	       inode__is_secret_shaped((u64)BPF_CORE_READ((struct file *)file, f_inode), false);
}

#define DESCRIPTORS 64 /* the least that a table holds; bash's <(…) counts down from 63 */

/* Has a task a channel beside its standard descriptors? */
__weak __noinline int task__has_channel(u64 task, u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u64 *files, table = (u64)BPF_CORE_READ((struct task_struct *)task, files, fdt, fd);
	u32 i;

	if (!s || bpf_probe_read_kernel(s->skip, DESCRIPTORS * sizeof(u64), (void *)table))
		return 0;
	files = (u64 *)s->skip;
#pragma clang loop unroll(disable)
	for (i = 3; i < DESCRIPTORS; i++) {
		if (files[i] && file__is_channel(files[i]))
			return 1;
	}
	return 0;
}

/* Everything of ev_exec but the strings; shared by exec and the sweep's KT_EV_TASK. */
static __always_inline void exec__fill(struct ev_exec *ev, u64 address, const struct identity *who, u64 cgroup_id,
				       u16 type, u8 family)
{
	struct task_struct *task = (void *)address;
	struct identity parent;

	__builtin_memset(ev, 0, sizeof(*ev));
	head__fill(&ev->head, who, cgroup_id, type, family);
	task__identity((u64)BPF_CORE_READ(task, real_parent), false, &parent);
	ev->parent_start_ns = parent.start_ns;
	ev->parent_tgid = parent.tgid;
	ev->parent_exec = parent.exec;
	ev->uid = BPF_CORE_READ(task, cred, euid.val);
	ev->gid = BPF_CORE_READ(task, cred, egid.val);
	ev->login_uid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0U;
	ev->session_id = bpf_core_field_exists(task->sessionid) ? BPF_CORE_READ(task, sessionid) : ~0U;
	ev->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	ev->net_ns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	ev->pid_ns = namespace__pid(address);
	BPF_CORE_READ_INTO(&ev->comm, task, comm);
}

/* The executable's path behind the header. */
static __always_inline void exec__exe(struct ev_exec *ev, struct scratch *s, u32 which, u64 task)
{
	struct file *exe = BPF_CORE_READ((struct task_struct *)task, mm, exe_file);

	if (!exe) {
		ev->head.flags |= KT_F_MISSING;
		return;
	}
	ev->exe_len = path__walk(s, which, (u64)BPF_CORE_READ(exe, f_path.mnt), (u64)BPF_CORE_READ(exe, f_path.dentry),
				 task, sizeof(*ev), false);
	ev->head.flags |= KT_F_LEAF_FIRST | (s->truncated ? KT_F_TRUNCATED : 0);
}

#endif
