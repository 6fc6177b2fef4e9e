/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel structures that the programs read, reduced to the members in use. CO-RE relocates every access, so order
 * and completeness do not matter. Names with three underscores are older or newer shapes of the same structure
 * ("flavours").
 */
#ifndef KEYTRAIL_VMLINUX_CORE_H
#define KEYTRAIL_VMLINUX_CORE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#define __VMLINUX_H__ /* bpf_tracing.h: register names as the kernel has them */
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
#ifndef __cplusplus
typedef _Bool bool;
#define true 1
#define false 0
#endif
#ifndef NULL
#define NULL ((void *)0)
#endif

/* Registers of a kprobe: the first argument is all that is used. */
#if defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
};
struct pt_regs;
#else
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct qstr {
	u32 hash;
	u32 len;
	const unsigned char *name;
};

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
	s64 i_size;
	s64 i_ctime_sec; /* 6.11 and newer */
	u32 i_ctime_nsec;
};
struct pid;
struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
};
struct inode___6_6 {
	struct timespec64 __i_ctime;
};
struct inode___old {
	struct timespec64 i_ctime;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mnt_namespace;
struct mount {
	struct mnt_namespace *mnt_ns;
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	u32 f_mode;
	struct inode *f_inode;
	u32 f_flags;
	struct path f_path;
	void *private_data;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
};

/* io_uring: a request; what is opened into a table of the ring has no descriptor */
struct io_cqe {
	s32 res;
};
struct io_rsrc_node {
	unsigned long file_ptr;
};
struct io_rsrc_data {
	struct io_rsrc_node **nodes; /* 6.13 and newer */
};
struct io_file_table {
	struct io_rsrc_data data;
};
struct io_fixed_file {
	unsigned long file_ptr;
};
struct io_file_table___old {
	struct io_fixed_file *files;
};
struct io_ring_ctx {
	struct io_file_table file_table;
};
struct io_kiocb {
	u8 opcode;
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
};
struct io_open { /* what a request to open has in its first bytes */
	u32 file_slot;
};

struct ns_common {
	u32 inum;
};
struct mnt_namespace {
	struct ns_common ns;
};
struct xarray {
	void *xa_head;
};
struct xa_node {
	u8 shift;
	void *slots[64];
};
struct idr {
	struct xarray idr_rt;
};
struct pid_namespace {
	struct idr idr;
	struct ns_common ns;
};
struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct pid {
	u32 level;
	struct hlist_head tasks[4]; /* by enum pid_type */
	struct upid numbers[1];
};

typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	u32 val;
} kgid_t;

struct cred {
	kuid_t euid;
	kgid_t egid;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct tty_driver {
	int major, minor_start;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
};

struct signal_struct {
	refcount_t sigcnt; /* of its threads, and of those that ended a moment ago */
	atomic_t live;
	int nr_threads;
	unsigned long long sum_sched_runtime; /* of threads that are gone */
	int group_exit_code;
	struct tty_struct *tty;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct kernfs_iattrs {
	kuid_t ia_uid;
	kgid_t ia_gid;
};
struct kernfs_node {
	struct kernfs_node *__parent; /* 6.15 and newer */
	const char *name;
	u16 mode;
	u64 id;
	struct kernfs_iattrs *iattr; /* absent: root's */
};
struct kernfs_node___old {
	struct kernfs_node___old *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};
struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};
enum cgroup_subsys_id {
	memory_cgrp_id = 4,
	CGROUP_SUBSYS_COUNT = 12,
};

struct task_struct {
	u32 flags;
	int pid;
	int tgid;
	int exit_code;
	u64 start_boottime;
	u64 self_exec_id;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	const struct cred *real_cred;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	struct css_set *cgroups;
	kuid_t loginuid;
	u32 sessionid;
	char comm[16];
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	int argc;
	int envc;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
		u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	unsigned long skc_flags;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	u16 sk_type;
	u16 sk_protocol; /* a bit field below 5.6 */
	int sk_err;
};

struct tcp_sock {
	u64 bytes_acked;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	u32 lsndtime;
};

struct socket {
	struct sock *sk;
};

struct sockaddr_un_kt {
	u16 sun_family;
	char sun_path[108];
};
struct unix_address {
	int len;
	struct sockaddr_un_kt___name {
		u16 sun_family;
	} name[1];
};
struct unix_sock {
	struct unix_address *addr;
};

struct sockaddr {
	u16 sa_family;
};

struct bpf_sock_addr_kern {
	struct sockaddr *uaddr;
	u32 uaddrlen;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* Tracepoint syscalls:sys_exit_*: the layout is the kernel's own (syscall_trace_exit), stable since 2.6. */
struct syscall_exit {
	u64 unused;
	long nr;
	long ret;
};
struct syscall_enter {
	u64 unused;
	long nr;
	u64 args[6];
};

#define PF_KTHREAD 0x00200000
#define KTHREADD 2 /* its pid, where the machine's first PID namespace is seen */
#define FMODE_READ_BIT 1
#define FMODE_WRITE_BIT 2
#define FMODE_MADE 0x100003 /* read, write, created */
#define MODE_TYPE 0170000
#define MODE_REGULAR 0100000
#define AF_UNIX_FAMILY 1
#define AF_INET_FAMILY 2
#define AF_INET6_FAMILY 10
#define MODE_PIPE 0010000
#define MODE_SOCKET 0140000

/* 6.2 and newer: a read-only view of any address as a kernel type; reads that fault give zero. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
/* 6.2 and newer: the kernel's own context behind a program's. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
#define VIEW(address, type) ((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

/* Masks a size so that the verifier sees it; the compiler, which knows it already, would drop the instruction. */
#define BOUNDED(value, mask) asm volatile("%0 &= %1" : "+r"(value) : "i"(mask))

#endif
