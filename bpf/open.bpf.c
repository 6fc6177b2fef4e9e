/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files opened for reading whose name may be a key's. One body over a struct file; thin attach points bring the file:
 * the opened descriptor at system call exit (fallback), or the object itself from security_file_open. The same file
 * read again by the same program is counted here.
 */
#define KEYTRAIL_FAST_READS
#include "lib/opened.h"

/* The file behind a descriptor that a system call has just returned. */
static __always_inline int open__descriptor(long fd, u16 flags, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_OPEN);
	u64 task, files, table, array, file;

	if (fd < 0)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	task = bpf_get_current_task();
	files = (u64)READ(fast, task, struct task_struct, files);
	table = (u64)READ(fast, files, struct files_struct, fdt);
	if ((u64)fd >= READ(fast, table, struct fdtable, max_fds))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_FAULT);
	array = (u64)READ(fast, table, struct fdtable, fd);
	file = word__read(array + (u64)fd * sizeof(u64), fast);
	if (!file) /* closed by another thread in between */
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_FAULT);
	return open__file(c, file, task, flags, SCRATCH_OPEN, fast);
}

#define SYSCALL_EXIT(call)                                                                                             \
	SEC("tp/syscalls/sys_exit_" #call) int tracepoint__##call##_fast(struct syscall_exit *ctx)                     \
	{                                                                                                              \
		return open__descriptor(ctx->ret, 0, true);                                                            \
	}                                                                                                              \
	SEC("tp/syscalls/sys_exit_" #call) int tracepoint__##call##_slow(struct syscall_exit *ctx)                     \
	{                                                                                                              \
		return open__descriptor(ctx->ret, 0, false);                                                           \
	}

SYSCALL_EXIT(openat)
SYSCALL_EXIT(openat2)
SYSCALL_EXIT(open)

/* The object itself, before the opener gets a descriptor: no race, io_uring and 32-bit calls included. */
static __always_inline int open__object(struct file *file, const bool fast)
{
	return open__file(hit__begin(KT_FAMILY_OPEN), (u64)file, bpf_get_current_task(), 0, SCRATCH_OPEN, fast);
}

SEC("fentry/security_file_open")
int BPF_PROG(fentry__file_open_fast, struct file *file)
{
	return open__object(file, true);
}

SEC("fentry/security_file_open")
int BPF_PROG(fentry__file_open_slow, struct file *file)
{
	return open__object(file, false);
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(kprobe__file_open_fast, struct file *file)
{
	return open__object(file, true);
}

SEC("kprobe/security_file_open")
int BPF_KPROBE(kprobe__file_open_slow, struct file *file)
{
	return open__object(file, false);
}

char _license[] SEC("license") __weak = "Dual BSD/GPL";
