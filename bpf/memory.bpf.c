/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Another process's memory: read by a call (process_vm_readv), or open to the caller from now on (ptrace attach and
 * seize). What is opened in /proc, and descriptors that are fetched, go through open.bpf.c. One body at the call's
 * return, so that only what was granted is told; thin attach points bring the result. Part of the family open.
 */
#include "lib/opened.h"
#include "lib/process.h"

#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206

/* A pid namespace keeps its pids in the kernel's tree of 64 slots a node; 2^22 pids are four nodes deep. */
#define TREE_DEPTH 5
#define TREE_SLOTS 64
#define TREE_NODE 2ULL /* in the low bits of an entry: it is a node, not a pid */

/* The task that a number means in a pid namespace; 0: none. */
__weak __noinline u64 number__task(u64 space, u32 number)
{
	u64 entry = (u64)BPF_CORE_READ((struct pid_namespace *)space, idr.idr_rt.xa_head), slots;
	u32 shift;
	int i;

	for (i = 0; i < TREE_DEPTH && (entry & 3) == TREE_NODE; i++) {
		entry -= TREE_NODE;
		shift = BPF_CORE_READ((struct xa_node *)entry, shift) & 31;
		slots = entry + bpf_core_field_offset(struct xa_node, slots);
		entry = word__read(slots + ((number >> shift) & (TREE_SLOTS - 1)) * sizeof(u64), false);
	}
	return entry & 3 ? 0 : pid__task(entry);
}

/* Is it a child of this caller that runs no program of its own yet? It shares the caller's executable as an open file,
 * which each exec opens anew, of the child or of the caller; exec numbers are counters, and another program's may be
 * equal. It has only what its parent gave it: debuggers start programs so. */
static __always_inline bool task__is_own_fork(u64 of, u64 task)
{
	u64 exe = (u64)BPF_CORE_READ((struct task_struct *)of, mm, exe_file);

	return exe && exe == (u64)BPF_CORE_READ((struct task_struct *)task, mm, exe_file) &&
	       BPF_CORE_READ((struct task_struct *)of, real_parent, tgid) ==
		       BPF_CORE_READ((struct task_struct *)task, tgid);
}

/* A call succeeded in getting at the memory of the process of which this is a thread, as its caller numbers it. */
__weak __noinline int memory__taken(u32 number, u32 what)
{
	struct counters *c = hit__begin(KT_FAMILY_OPEN);
	u64 task = bpf_get_current_task(), of = number__task(task__pid_namespace(task, false), number);

	if (!of) /* it has ended */
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_FAULT);
	if (task__is_own_fork(of, task))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	return peek__report(c, of, true, task, what, SCRATCH_OPEN, false);
}

static __always_inline int memory__not_taken(void)
{
	return hit__end(hit__begin(KT_FAMILY_OPEN), KT_FAMILY_OPEN, KT_C_FILTERED);
}

static __always_inline struct pt_regs *call__registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

/* 0 as a constant: what a global function returns the verifier does not know, and fexit has to return 0. */
static __always_inline int call__read_memory(long bytes)
{
	if (bytes <= 0)
		return memory__not_taken();
	memory__taken(PT_REGS_PARM1_CORE_SYSCALL(call__registers()), KT_PEEK_MEMORY);
	return 0;
}

static __always_inline int call__traced(long result)
{
	struct pt_regs *registers = call__registers();
	u64 request = PT_REGS_PARM1_CORE_SYSCALL(registers);

	if (result || (request != PTRACE_ATTACH && request != PTRACE_SEIZE))
		return memory__not_taken();
	memory__taken(PT_REGS_PARM2_CORE_SYSCALL(registers), KT_PEEK_TRACE);
	return 0;
}

#if defined(__TARGET_ARCH_arm64)
#define CALL(name) "__arm64_sys_" #name
#else
#define CALL(name) "__x64_sys_" #name
#endif

SEC("fexit/" CALL(process_vm_readv))
int BPF_PROG(fexit__process_vm_readv, void *registers, long ret)
{
	return call__read_memory(ret);
}

SEC("fexit/" CALL(ptrace))
int BPF_PROG(fexit__ptrace, void *registers, long ret)
{
	return call__traced(ret);
}

SEC("kretprobe/" CALL(process_vm_readv))
int BPF_KRETPROBE(kretprobe__process_vm_readv, long ret)
{
	return call__read_memory(ret);
}

SEC("kretprobe/" CALL(ptrace))
int BPF_KRETPROBE(kretprobe__ptrace, long ret)
{
	return call__traced(ret);
}

SEC("tp/syscalls/sys_exit_process_vm_readv")
int tracepoint__process_vm_readv(struct syscall_exit *ctx)
{
	return call__read_memory(ctx->ret);
}

SEC("tp/syscalls/sys_exit_ptrace")
int tracepoint__ptrace(struct syscall_exit *ctx)
{
	return call__traced(ctx->ret);
}
