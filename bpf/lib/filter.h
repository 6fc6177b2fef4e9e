/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is a file name of interest? First and last 8 bytes and the length against small tables, then a hash map. A hit is a
 * candidate: user space matches exactly, with the directory.
 */
#ifndef KEYTRAIL_BPF_FILTER_H
#define KEYTRAIL_BPF_FILTER_H

#include "task.h"

kt_u8 name_exact[KT_EXACT_SLOTS] __weak;
const volatile kt_u8 cfg_directories[KT_DIRECTORY_SLOTS] __weak = {};
const volatile kt_u64 cfg_name_prefix[KT_PATTERN_BITS / 64] __weak = {};
const volatile kt_u64 cfg_name_suffix[KT_PATTERN_BITS / 64] __weak = {};
/* By the first (last) two bytes of a name: bit n = there is such a prefix (suffix) of n bytes, 8 = 8 or more. Most
 * names stop here. */
const volatile kt_u16 cfg_prefix_lengths[KT_ENDS] __weak = {};
const volatile kt_u16 cfg_suffix_lengths[KT_ENDS] __weak = {};

/* Keys of the compiled-in names. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, u8);
} names __weak SEC(".maps");

/* Keys of names added while running; the oldest go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} names_watched __weak SEC(".maps");

/*
 * Places where a key was found while running: its name in its folder, and the file itself, which it stays under other
 * names (renamed, linked). The oldest go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KT_FOUND_MAX);
	__type(key, u64);
	__type(value, u8);
} found __weak SEC(".maps");
kt_u8 found_inodes[KT_FOUND_SLOTS] __weak; /* most files stop here */

static __always_inline u64 bytes__low(u64 value, u32 n)
{
	return n >= 8 ? value : value & ((1ULL << (n * 8)) - 1);
}

static __always_inline bool pattern__hit(const volatile u64 *bits, u64 key)
{
	u32 bit = (u32)(key >> 16) & (KT_PATTERN_BITS - 1);

	return (bits[bit >> 6] >> (bit & 63)) & 1 ? bpf_map_lookup_elem(&names, &key) != NULL : false;
}

/* Does one of the pattern lengths in `lengths` match these bytes: of a prefix the low ones, of a suffix the high ones?
 */
static __noinline int pattern__any(u64 bytes, u32 lengths, u32 len, u32 kind)
{
	u64 part, key;
	u32 n;

#pragma clang loop unroll(disable)
	for (n = 2; n <= 8; n++) {
		if (!(lengths & (1U << n)) || len < n)
			continue;
		part = kind == KT_NAME_KEY_PREFIX ? bytes__low(bytes, n) : bytes >> (8 * (8 - n));
		key = kt_mix(part, 0, n, kind);
		if (pattern__hit(kind == KT_NAME_KEY_PREFIX ? cfg_name_prefix : cfg_name_suffix, key))
			return 1;
	}
	return 0;
}

static __always_inline u64 name__key(u64 name, u32 len, u32 kind, const bool fast)
{
	u64 first = word__read(name, fast), last;

	if (len >= 8) {
		last = word__read(name + len - 8, fast);
	} else {
		first = bytes__low(first, len);
		last = first;
	}
	return kt_mix(first, last, len, kind);
}

/* Was a key found under this name (by its key) in this folder? One that is mounted has the name of that place. */
static __always_inline bool place__is_found(u64 dentry, u64 mnt, u64 name_key, const bool fast)
{
	u64 folder = (u64)READ(fast, dentry, struct dentry, d_parent), mounted, key;

	if (folder == (u64)READ(fast, mnt, struct vfsmount, mnt_root)) {
		mounted = (u64)READ(fast, mnt - bpf_core_field_offset(struct mount, mnt), struct mount, mnt_mountpoint);
		folder = mounted ? mounted : folder;
	}
	key = kt_place_key(name_key,
			   name__key((u64)READ(fast, folder, struct dentry, d_name.name),
				     READ(fast, folder, struct dentry, d_name.len), KT_NAME_KEY_DIRECTORY, fast));
	return bpf_map_lookup_elem(&found, &key) != NULL;
}

/* Was a key found in this file, whatever it is called now? */
static __always_inline bool file__is_found(u64 inode, const bool fast)
{
	u64 number = READ(fast, inode, struct inode, i_ino), sb, key;

	if (!found_inodes[number & (KT_FOUND_SLOTS - 1)])
		return false;
	sb = (u64)READ(fast, inode, struct inode, i_sb);
	key = kt_file_key(number, READ(fast, sb, struct super_block, s_dev));
	return bpf_map_lookup_elem(&found, &key) != NULL;
}

static __always_inline bool name__of_interest(u64 dentry, u64 mnt, u64 name, u32 len, const bool fast)
{
	u64 first, last, key;
	u32 lengths;

	first = word__read(name, fast);
	if (len >= 8) {
		last = word__read(name + len - 8, fast);
	} else {
		first = bytes__low(first, len);
		last = first;
	}
	key = kt_mix(first, last, len, KT_NAME_KEY_EXACT);
	if (name_exact[(key >> 8) & (KT_EXACT_SLOTS - 1)]) {
		if (bpf_map_lookup_elem(&names, &key) || bpf_map_lookup_elem(&names_watched, &key) ||
		    place__is_found(dentry, mnt, key, fast))
			return true;
	}
	if (len < 2)
		return false;
	lengths = cfg_prefix_lengths[kt_end_slot(first) & (KT_ENDS - 1)];
	if (lengths && pattern__any(first, lengths, len, KT_NAME_KEY_PREFIX))
		return true;
	/* little endian: the last bytes of the name are the high ones */
	last = len >= 8 ? last : last << (8 * (8 - len));
	lengths = cfg_suffix_lengths[kt_end_slot(last >> 48) & (KT_ENDS - 1)];
	return lengths && pattern__any(last, lengths, len, KT_NAME_KEY_SUFFIX);
}

/* Is it the name of a directory whose files have free names? */
static __always_inline bool directory__of_interest(u64 name, u32 len, const bool fast)
{
	u64 key = name__key(name, len, KT_NAME_KEY_DIRECTORY, fast);

	return cfg_directories[(key >> 8) & (KT_DIRECTORY_SLOTS - 1)] && bpf_map_lookup_elem(&names, &key);
}

/* File systems on which key files live and that cannot block a later reader for ever (no FUSE, no network). */
static __always_inline bool magic__known(u64 magic)
{
	switch (magic) {
	case 0xEF53:     /* ext2, ext3, ext4 */
	case 0x58465342: /* xfs */
	case 0x9123683E: /* btrfs */
	case 0x01021994: /* tmpfs */
	case 0x858458F6: /* ramfs */
	case 0x794C7630: /* overlayfs */
	case 0x2FC12FC1: /* zfs */
	case 0xF2F52010: /* f2fs */
	case 0xCA451A4E: /* bcachefs */
	case 0xE0F5E1E2: /* erofs */
	case 0x73717368: /* squashfs */
	case 0x4D44:     /* vfat */
		return true;
	}
	return false;
}

#endif
