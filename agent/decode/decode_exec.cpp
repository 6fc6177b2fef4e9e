// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/decode/bytes.h"
#include "agent/decode/decode.h"
#include "agent/decode/record.h"

namespace keytrail::decode {
namespace {

struct Item {
  ev_item head{};
  std::string_view name;
  std::span<const std::byte> value;
};

// Takes one item off the front of `items`.
bool next_item(std::span<const std::byte>& items, Item& out) {
  if (!read_struct(items, out.head)) return false;
  const std::size_t length = out.head.item_len;
  const std::size_t used = sizeof(ev_item) + std::size_t{out.head.name_len} + out.head.value_len;
  if (length < used || length % 8 != 0 || length > items.size()) return false;
  if (out.head.name_len > KT_ITEM_NAME_MAX || out.head.value_len > KT_ITEM_VALUE_MAX) return false;
  out.name = text_of(items.subspan(sizeof(ev_item), out.head.name_len));
  out.value = items.subspan(sizeof(ev_item) + out.head.name_len, out.head.value_len);
  items = items.subspan(length);
  return true;
}

// Anything but exactly a fingerprint stays empty: a secret's bytes must not get further even if the kernel side had a
// bug.
Fingerprint fingerprint_of(std::span<const std::byte> value) {
  Fingerprint out;
  if (value.size() == out.bytes.size()) std::memcpy(out.bytes.data(), value.data(), value.size());
  return out;
}

void add_env(const Item& item, std::span<const catalog::ArgFormat> formats, ExecEvent& out) {
  EnvItem env{.name = std::string(item.name),
              .length = item.head.full_len,
              .truncated = (item.head.flags & KT_ITEM_F_TRUNCATED) != 0};
  if (item.head.kind == KT_ITEM_ENV_SHOW) {
    env.value = text_of(item.value);
  } else {
    env.fingerprint = fingerprint_of(item.value);
    if ((item.head.flags & KT_ITEM_F_FORMAT) != 0 && item.head.format < formats.size())
      env.format = formats[item.head.format].format_id;
  }
  out.env.push_back(std::move(env));
}

void add_argument(const Item& item, std::span<const catalog::ArgFormat> formats, ExecEvent& out) {
  ArgItem arg{.flag = std::string(item.name), .position = item.head.position};
  if (item.head.kind == KT_ITEM_ARG_FORMAT) {
    if (item.head.format >= formats.size()) {
      out.args_truncated = true;
      return;
    }
    const catalog::ArgFormat& format = formats[item.head.format];
    arg.format = format.format_id;
    if ((item.head.flags & KT_ITEM_F_PUBLIC) != 0) {
      if (format.is_public) arg.value = text_of(item.value);
      out.args.push_back(std::move(arg));
      return;
    }
  } else if ((item.head.flags & KT_ITEM_F_PUBLIC) != 0) {
    if ((item.head.flags & KT_ITEM_F_TRUNCATED) == 0) arg.value = text_of(item.value);
    out.args.push_back(std::move(arg));
    return;
  }
  arg.fingerprint = fingerprint_of(item.value);
  out.args.push_back(std::move(arg));
}

// What an option names, beside which nothing else says what it is: a module is no file.
void set_script(const Item& item, ExecEvent& out) {
  if ((item.head.flags & KT_ITEM_F_PUBLIC) == 0) return;
  out.script = text_of(item.value);
  if (item.name == "-m" || item.name == "--module") out.script.insert(0, "-m ");
}

bool read_items(std::span<const std::byte> items, std::span<const catalog::ArgFormat> formats, ExecEvent& out) {
  while (!items.empty()) {
    Item item;
    if (!next_item(items, item)) return false;
    switch (item.head.kind) {
      case KT_ITEM_ENV_SHOW:
      case KT_ITEM_ENV_SECRET:
        add_env(item, formats, out);
        break;
      case KT_ITEM_ARG_FLAG:
      case KT_ITEM_ARG_FORMAT:
        add_argument(item, formats, out);
        break;
      case KT_ITEM_SCRIPT:
        set_script(item, out);
        break;
      default:
        return false;
    }
  }
  return true;
}

std::string_view until_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

// The head's flag covers all strings and lists. Where a list or the filename explains it, only a long or deep path
// counts as cut too: its beginning may be missing, and one that wrongly began with '/' could pass for a well-known
// program.
bool exe_is_cut(const ev_exec& raw, std::string_view exe) {
  static constexpr std::size_t kSurelyWhole = KT_PATH_MAX - 256;
  static constexpr auto kSurelyWholeDepth = 32;
  if ((raw.head.flags & KT_F_TRUNCATED) == 0) return false;
  const bool explained = raw.env_truncated != 0 || raw.args_truncated != 0 || raw.filename_len >= KT_PATH_MAX - 1;
  return !explained || exe.size() > kSurelyWhole || std::count(exe.begin(), exe.end(), '\0') > kSurelyWholeDepth;
}

// Empty when the kernel side could not read it (a kernel thread has none); never "/".
std::string exe_text(const ev_exec& raw, std::string_view exe) {
  return exe.empty() ? std::string{} : path_text(exe, (raw.head.flags & KT_F_LEAF_FIRST) != 0, exe_is_cut(raw, exe));
}

}  // namespace

Result<ExecEvent> decode_exec(std::span<const std::byte> record, std::span<const catalog::ArgFormat> formats) {
  ev_exec raw{};
  if (!read_struct(record, raw)) return fail(Error::Code::kInvalid, kTooShort);
  const std::span<const std::byte> rest = record.subspan(sizeof raw);
  const std::size_t strings = std::size_t{raw.exe_len} + raw.filename_len;
  const std::size_t items_at = (strings + 7) & ~std::size_t{7};
  if (strings > rest.size() ||
      (raw.items_len > 0 && (items_at > rest.size() || raw.items_len > rest.size() - items_at))) {
    return fail(Error::Code::kInvalid, kBeyondRecord);
  }
  const std::string_view exe = text_of(rest.first(raw.exe_len));
  ExecEvent out{.parent = {.tgid = raw.parent_tgid, .start_ns = raw.parent_start_ns, .exec = raw.parent_exec},
                .exe = exe_text(raw, exe),
                .filename = std::string(until_nul(text_of(rest.subspan(raw.exe_len, raw.filename_len)))),
                .comm = std::string(until_nul({reinterpret_cast<const char*>(raw.comm), sizeof raw.comm})),
                .exe_file = {.dev = raw.exe_dev, .inode = raw.exe_inode, .deleted = raw.exe_deleted != 0},
                .uid = raw.head.uid,
                .gid = raw.head.gid,
                .login_uid = raw.head.login_uid,
                .session_id = raw.session_id,
                .mnt_ns = raw.mnt_ns,
                .pid_ns = raw.pid_ns,
                .net_ns = raw.net_ns,
                .stdin_pipe = raw.stdin_pipe,
                .stdout_pipe = raw.stdout_pipe,
                .tty = raw.tty,
                .channel = raw.channel != 0,
                .env_truncated = raw.env_truncated != 0,
                .args_truncated = raw.args_truncated != 0,
                .args_kept = raw.args_kept <= KT_ARGS_LOST ? static_cast<ArgsKept>(raw.args_kept) : ArgsKept::kLost};
  if (raw.items_len > 0 && !read_items(rest.subspan(items_at, raw.items_len), formats, out))
    return fail(Error::Code::kInvalid, kBadItem);
  return out;
}

}  // namespace keytrail::decode
