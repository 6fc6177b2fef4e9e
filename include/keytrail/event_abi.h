/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The one layout of everything that crosses from the kernel programs to user space. C, included by both sides.
 * Fixed-width members only, explicit padding, no packing; sizes and offsets asserted at the end. Unused bytes are zero.
 * Every event starts with struct ev_head. Times are bpf_ktime_get_boot_ns(). Strings are not NUL-terminated unless
 * said.
 */
/* The kernel's style, as in bpf/. */
/* clang-format off */
#ifndef KEYTRAIL_EVENT_ABI_H
#define KEYTRAIL_EVENT_ABI_H

#ifdef __bpf__
typedef unsigned char kt_u8;
typedef unsigned short kt_u16;
typedef unsigned int kt_u32;
typedef int kt_s32;
typedef unsigned long long kt_u64;
typedef long long kt_s64;
#define KT_ASSERT(c, m) _Static_assert(c, m)
#define KT_OFFSET(t, m) __builtin_offsetof(struct t, m)
#else
#include <stddef.h>
#include <stdint.h>
typedef uint8_t kt_u8;
typedef uint16_t kt_u16;
typedef uint32_t kt_u32;
typedef int32_t kt_s32;
typedef uint64_t kt_u64;
typedef int64_t kt_s64;
#ifdef __cplusplus
#define KT_ASSERT(c, m) static_assert(c, m)
#else
#define KT_ASSERT(c, m) _Static_assert(c, m)
#endif
#define KT_OFFSET(t, m) offsetof(struct t, m)
#endif

#define KT_ABI_VERSION 2

/* Event types (ev_head.type, 16 bits). */
#ifdef __cplusplus
enum kt_event_type : kt_u16 {
#else
enum kt_event_type {
#endif
	KT_EV_FORK = 1,
	KT_EV_EXEC = 2,
	KT_EV_EXIT = 3,
	KT_EV_OPEN = 4,
	KT_EV_CONNECT = 5,
	KT_EV_SOCKET = 6,
	KT_EV_PAYLOAD = 7,
	KT_EV_DNS = 8,
	KT_EV_UNIX = 9,
	KT_EV_CGROUP = 10,
	KT_EV_TASK = 11, /* layout of KT_EV_EXEC, without items; from the sweep at start */
	KT_EV_BASELINE_DONE = 12, /* head only */
	KT_EV_HEARTBEAT = 13, /* head only; family says which hook it went through */
	KT_EV_PEEK = 14,
};

/* Families (ev_head.family), the same numbers as keytrail::Family. */
#define KT_FAMILY_EXEC 0
#define KT_FAMILY_OPEN 1
#define KT_FAMILY_CONNECT 2
#define KT_FAMILY_NAME 3
#define KT_FAMILY_LIFETIME 4
#define KT_FAMILY_REQUEST 5
#define KT_FAMILIES 6

/* ev_head.flags */
#define KT_F_BASELINE 0x0001   /* found by the sweep at start */
#define KT_F_TRUNCATED 0x0002  /* a string or list was cut */
#define KT_F_MISSING 0x0004    /* a part could not be read (fault) */
/* paths (not ev_exec's filename) are components, leaf first, each followed by a NUL; else absolute strings */
#define KT_F_LEAF_FIRST 0x0008
#define KT_F_IO_URING 0x0010
#define KT_F_COMPAT 0x0020

/* Counters: u64 map[cpu * KT_COUNTERS + family * KT_COUNTERS_PER_FAMILY + n], mmapable.
 * hits = FILTERED + REPEATED + SENT + LOST_*. */
#define KT_C_HITS 0
#define KT_C_FILTERED 1
#define KT_C_REPEATED 2
#define KT_C_SENT 3
#define KT_C_LOST_RING 4       /* reserve or output failed: ring full */
#define KT_C_LOST_BUDGET 5     /* the cgroup's budget was spent */
#define KT_C_LOST_FAULT 6      /* nothing usable could be read */
#define KT_C_LOST_SCRATCH 7    /* no scratch memory, or map full */
#define KT_COUNTERS_PER_FAMILY 8
#define KT_COUNTERS (KT_FAMILIES * KT_COUNTERS_PER_FAMILY)

/* Whose losses LOST_BUDGET were: an mmapable array of KT_LOST_SLOTS of these. A slot is its first cgroup's until the
 * warden finds that one gone, one cgroup may have several, and what found none is in the counters alone. A loss is
 * counted here before it is there.
 */
#define KT_LOST_SLOTS 512      /* a power of two */
struct kt_lost {
	kt_u64 cgroup_id;  /* as in ev_head; 0: nobody's */
	kt_u64 takers;     /* who wanted it; the first one has it */
	kt_u64 lost[KT_FAMILIES];
};

#define KT_PATH_MAX 1024       /* bytes of a path that leave the kernel side */
#define KT_ITEMS_MAX 6144      /* bytes of all items of one exec */
#define KT_ITEM_NAME_MAX 64
#define KT_ITEM_VALUE_MAX 256
#define KT_HASHED_MAX 512      /* bytes of a value that go into its fingerprint */
#define KT_KEPT_MAX 4096       /* bytes of the arguments that wait for the examiner; they are in no event */
#define KT_PAYLOAD_MAX 16383   /* bytes of a ClientHello, or of any first request, that are put together; a mask too */
#define KT_DNS_MAX 1024
#define KT_UNIX_PATH_MAX 108

struct ev_head {
	kt_u64 time_ns;
	kt_u64 start_ns;   /* group leader's start_boottime, ns */
	/* v2 id; where that is the root's (cgroup v1, hybrid), the kernfs id in the first v1 hierarchy in which the
	 * task is not at the root, with (controller + 1) << 56: ids repeat between hierarchies */
	kt_u64 cgroup_id;
	kt_u32 tgid;
	kt_u32 tid;
	kt_u32 exec;       /* low half of self_exec_id */
	kt_u16 type;
	kt_u16 flags;
	kt_u8 family;
	kt_u8 pad[3];
	/* of the task at that moment: effective ids, and who logged in (~0: nobody) */
	kt_u32 uid;
	kt_u32 gid;
	kt_u32 login_uid;
};

struct ev_fork {       /* head: the parent */
	struct ev_head head;
	kt_u64 child_start_ns;
	kt_u32 child_tgid;
	kt_u32 child_exec;
};

/* An item of the environment or the arguments; item_len is a multiple of 8: header, name, value and padding. */
#define KT_ITEM_ENV_SHOW 1     /* name, value */
#define KT_ITEM_ENV_SECRET 2   /* name, value = 16 bytes of fingerprint (absent when length < 16) */
/* name = the flag, value = 16 bytes of SipHash of its value, whatever its length; or a path, where public */
#define KT_ITEM_ARG_FLAG 3
/* format = index of the recognised format; value = 16 bytes of fingerprint, or the value where public */
#define KT_ITEM_ARG_FORMAT 4
/* value = the script, module or archive that an interpreter was given; name = the flag before it ("-m"), or nothing */
#define KT_ITEM_SCRIPT 5
#define KT_ITEM_F_TRUNCATED 0x01
#define KT_ITEM_F_PUBLIC 0x02  /* value is the text itself */
#define KT_ITEM_F_FORMAT 0x04  /* of a variable: `format` says what its value looks like */
struct ev_item {
	kt_u16 item_len;
	kt_u8 kind;
	kt_u8 flags;
	kt_u16 name_len;
	kt_u16 value_len;  /* 0 for a flag of which only the presence leaves */
	kt_u32 full_len;   /* bytes of the whole value */
	kt_u16 position;   /* index among the arguments or variables */
	kt_u16 format;     /* index into the catalog's argument formats */
};

/* ev_exec.args_kept: what of the arguments of a program that may be given keys waits for the examiner */
#define KT_ARGS_NONE 0         /* no such program */
#define KT_ARGS_WHOLE 1
#define KT_ARGS_PART 2         /* the first KT_KEPT_MAX bytes */
#define KT_ARGS_LOST 3         /* they could not be read or kept */
struct ev_exec {       /* head: the new program; followed by exe, filename, padding to 8, items */
	struct ev_head head;
	kt_u64 parent_start_ns;
	kt_u64 exe_inode;
	kt_u32 parent_tgid;
	kt_u32 parent_exec;
	kt_u32 session_id;
	kt_u32 mnt_ns;
	kt_u32 pid_ns;
	kt_u32 net_ns;
	kt_u32 stdin_pipe; /* inode of the pipe or local socket behind it, or a file's number; 0: something else */
	kt_u32 stdout_pipe;
	kt_u32 exe_dev;    /* s_dev, as in ev_open */
	kt_u16 exe_len;
	kt_u16 filename_len;
	kt_u32 items_len;
	kt_u16 argc;       /* arguments and variables walked */
	kt_u16 envc;
	kt_u8 env_truncated;
	kt_u8 args_truncated;
	kt_u8 args_kept;
	kt_u8 channel;     /* another of its first 64 descriptors: a pipe, a local socket, a secret-shaped file */
	kt_u8 exe_deleted; /* no name leads to the executable: unlinked, or a memfd */
	kt_u8 pad[3];
	kt_u8 comm[16];    /* NUL-padded */
	kt_u32 tty;        /* of its session: major << 20 | minor, as in dev_t; 0: none */
	kt_u32 pad2;
};

struct ev_exit {
	struct ev_head head;
	kt_s32 code;
	kt_u32 pad;
};

#define KT_OPEN_SHAPED 0x0001    /* secret-shaped: small, and only its owner may read it or it lies on a tmpfs */
#define KT_OPEN_DETACHED 0x0004 /* its mount is in no process's namespace: open_tree, fsmount, unmounted while in use */
#define KT_OPEN_PIPE 0x0008 /* a named pipe; its inode is its number in ev_exec, too */
#define KT_OPEN_OVER_BUDGET 0x0002 /* no file: more secret-shaped files than the budget of the cgroup; once a process */
#define KT_SHAPE_MIN 8
#define KT_SHAPE_MAX 65536
struct ev_open {       /* followed by path_len bytes */
	struct ev_head head;
	kt_u64 inode;
	kt_u64 fs_magic;
	kt_u64 size;
	kt_s64 ctime_s;
	kt_u32 ctime_ns;   /* without the kernel's own mark (I_CTIME_QUERIED) */
	kt_u32 dev;        /* s_dev */
	kt_u32 mnt_ns;
	kt_u32 open_flags;
	kt_u16 path_len;
	kt_u16 signs;      /* KT_OPEN_… */
	kt_u32 place_ns;   /* the mount namespace in which it has this path, where that is not mnt_ns; else 0 */
};

/* Another process's environment or memory was opened for reading (/proc/PID/environ, /proc/PID/mem), or its memory was
 * read (process_vm_readv) or can be from now on (ptrace). */
#define KT_PEEK_ENVIRONMENT 0
#define KT_PEEK_MEMORY 1
#define KT_PEEK_TRACE 2        /* its memory, from now on as long as it is traced */
struct ev_peek {       /* head: who opened it */
	struct ev_head head;
	kt_u64 start_ns;   /* of whom it is: as in ev_head */
	kt_u32 tgid;
	kt_u32 exec;
	kt_u32 what;
	kt_u32 pad;
};

struct ev_connect {
	struct ev_head head;
	kt_u64 cookie;
	kt_u8 address[16]; /* network order; IPv4 in the first four */
	kt_u16 port;       /* host order */
	kt_u8 v6;
	kt_u8 udp;
	kt_u32 net_ns;
};

#define KT_SOCKET_ESTABLISHED 0 /* not sent any more: the end says whether it was made */
#define KT_SOCKET_FAILED 1
#define KT_SOCKET_CLOSED 2
#define KT_SOCKET_SAMPLE 3
struct ev_socket {     /* head: any task; join by cookie */
	struct ev_head head;
	kt_u64 cookie;
	kt_u64 bytes_sent;
	kt_u64 bytes_received;
	kt_u32 idle_ms;
	kt_s32 error;
	kt_u32 state;
	kt_u32 pad;
};

#define KT_PAYLOAD_OTHER 0
#define KT_PAYLOAD_TLS 1       /* data = the TLS record(s) from the first byte */
#define KT_PAYLOAD_HTTP 2      /* data = request line without its query, LF, Host header's value */
#define KT_PAYLOAD_SSH 3
#define KT_PAYLOAD_TLS_DATA 4  /* no data: the first bytes beyond the handshake after a KT_PAYLOAD_TLS */
#define KT_PAYLOAD_STATUS 5    /* head: the client; data = the three digits of a metadata service's answer */
/* data = kind of address (KT_SOCKS_…), port in network order, the address; what follows goes through the tunnel */
#define KT_PAYLOAD_SOCKS 6
#define KT_PAYLOAD_QUIC 7      /* data = a datagram that begins with an Initial packet */
#define KT_SOCKS_V4 1
#define KT_SOCKS_NAME 3
#define KT_SOCKS_V6 4
/* ev_payload.unread: why what left names nobody, where the kernel side knows it */
#define KT_UNREAD_NOT 0
#define KT_UNREAD_LONG 1       /* more than KT_PAYLOAD_MAX bytes */
#define KT_UNREAD_BUSY 2       /* too many connections at once whose first request came in pieces */
struct ev_payload {    /* head: the writer; followed by data_len bytes */
	struct ev_head head;
	kt_u64 cookie;
	kt_u64 seen_len;   /* bytes of the first segment, or of the pieces */
	kt_u16 data_len;
	kt_u8 protocol;
	kt_u8 beyond;      /* of a ClientHello: bytes beyond the handshake are in its segment (early data) */
	kt_u8 unread;      /* KT_UNREAD_… */
	kt_u8 pad[3];
};

struct ev_dns {        /* head: the task that asked; followed by data_len bytes of the answer */
	struct ev_head head;
	kt_u64 cookie;
	kt_u32 net_ns;
	kt_u16 data_len;
	kt_u16 pad;
};

struct ev_unix {       /* followed by path_len bytes; abstract names with their leading NUL */
	struct ev_head head;
	kt_u16 path_len;
	kt_u16 pad[3];
};

/* head.cgroup_id: its id; followed by path_len bytes, components leaf first, each followed by a NUL */
struct ev_cgroup {
	struct ev_head head;
	kt_u16 path_len;
	kt_u16 claimed;    /* of its components, leaf first: those that others than root may have named */
	kt_u32 owner;      /* uid of the topmost directory that is not root's; 0: none */
};

KT_ASSERT(sizeof(struct kt_lost) == 64, "kt_lost");
KT_ASSERT(KT_OFFSET(kt_lost, lost) == 16, "kt_lost.lost");
KT_ASSERT(sizeof(struct ev_head) == 56, "ev_head");
KT_ASSERT(KT_OFFSET(ev_head, family) == 40, "ev_head.family");
KT_ASSERT(KT_OFFSET(ev_head, uid) == 44, "ev_head.uid");
KT_ASSERT(sizeof(struct ev_fork) == 72, "ev_fork");
KT_ASSERT(sizeof(struct ev_item) == 16, "ev_item");
KT_ASSERT(sizeof(struct ev_exec) == 152, "ev_exec");
KT_ASSERT(KT_OFFSET(ev_exec, comm) == 128, "ev_exec.comm");
KT_ASSERT(sizeof(struct ev_exit) == 64, "ev_exit");
KT_ASSERT(sizeof(struct ev_open) == 112, "ev_open");
KT_ASSERT(sizeof(struct ev_peek) == 80, "ev_peek");
KT_ASSERT(sizeof(struct ev_connect) == 88, "ev_connect");
KT_ASSERT(sizeof(struct ev_socket) == 96, "ev_socket");
KT_ASSERT(sizeof(struct ev_payload) == 80, "ev_payload");
KT_ASSERT(sizeof(struct ev_dns) == 72, "ev_dns");
KT_ASSERT(sizeof(struct ev_unix) == 64, "ev_unix");
KT_ASSERT(sizeof(struct ev_cgroup) == 64, "ev_cgroup");

#endif
