/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files opened for reading whose name may be a key's. One body over a struct file; thin attach points bring the file:
 * the opened descriptor at system call exit, or what a ring completed (fallback), or the object itself from
 * security_file_open. So are files that
 * arrive open, and another process's environment. The same file read again by the same program is counted here.
 */
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

/*
 * One program for all calls that give a descriptor: the verifier needs a fifth of a second for each. They all leave it
 * in the same place.
 */
#define GIVES_DESCRIPTOR                                                                                               \
	SEC("tp/syscalls/"                                                                                             \
	    "sys_exit_openat,sys_exit_openat2,sys_exit_open,sys_exit_open_by_handle_at,sys_exit_pidfd_getfd")

GIVES_DESCRIPTOR int tracepoint__opened_fast(struct syscall_exit *ctx)
{
	return open__descriptor(ctx->ret, 0, true);
}

GIVES_DESCRIPTOR int tracepoint__opened_slow(struct syscall_exit *ctx)
{
	return open__descriptor(ctx->ret, 0, false);
}

/*
 * Descriptors that another process sent (SCM_RIGHTS): its file is read without an open. What recvmsg was given is in
 * the registers that the system call began with; what it has written back there says which descriptors came.
 */
#define RECEIVED_MAX 8
#define MESSAGES_MAX 4

struct user_control {
	u64 address;
	u64 length;
};
#define MSG_CONTROL 32 /* offset in struct user_msghdr */
struct user_cmsg {
	u64 length;
	s32 level;
	s32 type;
};
#define CMSG_HEAD 16 /* sizeof(struct user_cmsg); the descriptors follow */
#define SOL_SOCKET_LEVEL 1
#define SCM_RIGHTS_TYPE 1

__weak __noinline int received__descriptor(long fd)
{
	return open__descriptor(fd, 0, false);
}

/* One message's descriptors; returns the bytes to the next, 0 at the end. */
__weak __noinline long received__message(u64 address, u64 room)
{
	struct user_cmsg message = {};
	u32 i, count;
	s32 descriptor;

	if (room < CMSG_HEAD || bpf_probe_read_user(&message, CMSG_HEAD, (void *)address) ||
	    message.length < CMSG_HEAD || message.length > room)
		return 0;
	if (message.level == SOL_SOCKET_LEVEL && message.type == SCM_RIGHTS_TYPE) {
		count = (message.length - CMSG_HEAD) / sizeof(s32);
		for (i = 0; i < RECEIVED_MAX && i < count; i++) {
			if (!bpf_probe_read_user(&descriptor, sizeof(descriptor),
						 (void *)(address + CMSG_HEAD + i * sizeof(s32))))
				received__descriptor(descriptor);
		}
	}
	return (message.length + 7) & ~7ULL;
}

SEC("tp/syscalls/sys_exit_recvmsg")
int tracepoint__recvmsg(struct syscall_exit *ctx)
{
	struct counters *c = hit__begin(KT_FAMILY_OPEN);
	struct user_control control_of = {};
	u64 at, end;
	long step;
	int i;

	hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED); /* each descriptor is a hit of its own */
	if (ctx->ret < 0)
		return 0;
	at = PT_REGS_PARM2_CORE_SYSCALL((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	if (bpf_probe_read_user(&control_of, sizeof(control_of), (void *)(at + MSG_CONTROL)) || !control_of.length)
		return 0;
	at = control_of.address;
	end = at + control_of.length;
	for (i = 0; i < MESSAGES_MAX && at < end; i++) {
		step = received__message(at, end - at);
		if (step <= 0)
			break;
		at += step;
	}
	return 0;
}

/*
 * io_uring opens without a system call of its own; its completion says with what result. What goes into the ring's own
 * table of files has a slot there, no descriptor.
 */
#define RING_OPENAT 18
#define RING_OPENAT2 28
#define RING_ANY_SLOT (~0U)
#define RING_FILE_BITS 3ULL /* what the ring notes in the address of a file */

/* A file in the ring's own table. */
static __always_inline u64 ring__file(struct io_kiocb *request, u32 slot)
{
	struct io_ring_ctx *ring = BPF_CORE_READ(request, ctx);
	struct io_fixed_file *table;
	struct io_rsrc_node **nodes, *node = NULL;
	u64 file = 0;

	if (bpf_core_field_exists(struct io_rsrc_data, nodes)) {
		nodes = BPF_CORE_READ(ring, file_table.data.nodes);
		bpf_probe_read_kernel(&node, sizeof(node), nodes + slot);
		file = BPF_CORE_READ(node, file_ptr);
	} else {
		table = BPF_CORE_READ(
			(struct io_file_table___old *)((u64)ring +
						       bpf_core_field_offset(struct io_ring_ctx, file_table)),
			files);
		bpf_probe_read_kernel(&file, sizeof(file), table + slot);
	}
	return file & ~RING_FILE_BITS;
}

__weak __noinline int ring__opened(u64 address)
{
	struct io_kiocb *request = (void *)address;
	int result = BPF_CORE_READ(request, cqe.res);
	u32 slot = BPF_CORE_READ((struct io_open *)address, file_slot);
	struct counters *c;
	u64 file;

	if (!slot || result < 0)
		return open__descriptor(result, 0, false);
	c = hit__begin(KT_FAMILY_OPEN);
	file = ring__file(request, slot == RING_ANY_SLOT ? (u32)result : slot - 1);
	if (!file)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_FAULT);
	return open__file(c, file, bpf_get_current_task(), 0, SCRATCH_OPEN, false);
}

SEC("tp_btf/io_uring_complete")
int tp_btf__io_uring_complete(u64 *ctx)
{
	u64 request = ctx[1];
	u8 opcode = request ? BPF_CORE_READ((struct io_kiocb *)request, opcode) : 0;

	return opcode == RING_OPENAT || opcode == RING_OPENAT2 ? ring__opened(request) : 0;
}

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

/* A file that another process sent, or that was fetched from it (pidfd_getfd). */
SEC("fentry/security_file_receive")
int BPF_PROG(fentry__file_receive, struct file *file)
{
	return open__object(file, false);
}

SEC("kprobe/security_file_receive")
int BPF_KPROBE(kprobe__file_receive, struct file *file)
{
	return open__object(file, false);
}
