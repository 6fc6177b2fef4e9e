// SPDX-License-Identifier: Apache-2.0
// Paths against patterns. Any thread.
#include <algorithm>

#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

bool digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Components against components; "**" stands for any number of them.
bool fits_from(tables::Strings pattern, std::span<const std::string_view> path) {
  while (!pattern.empty()) {
    if (pattern.front() == "**") {
      if (pattern.size() == 1) return !path.empty();
      for (std::size_t skip = 0; skip <= path.size(); ++skip) {
        if (fits_from(pattern.subspan(1), path.subspan(skip))) return true;
      }
      return false;
    }
    if (path.empty() || !glob(pattern.front(), path.front())) return false;
    pattern = pattern.subspan(1);
    path = path.subspan(1);
  }
  return path.empty();
}

/// How many components a home directory takes at the start of the path; 0 when it starts with none.
std::size_t home_length(std::span<const std::string_view> path) {
  if (!path.empty() && path[0] == "root") return 1;
  if (path.size() >= 2 && path[0] == "home") return 2;
  if (path.size() >= 3 && path[0] == "var" && path[1] == "lib") return 3;
  return 0;
}

}  // namespace

std::vector<std::string_view> cut_path(std::string_view path) {
  std::vector<std::string_view> out;
  out.reserve(16);
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    // Kubelet's atomic writer: the kernel names ..2026_11_21_…/token where the program opened token.
    if (part.size() > 2 && part.starts_with("..")) continue;
    out.push_back(part);
    if (out.size() == 3 && out[0] == "proc" && out[2] == "root" &&
        (digits(out[1]) || out[1] == "self" || out[1] == "thread-self"))
      out.clear();
  }
  if (out.size() > 2 && out[0] == "var" && out[1] == "run") out.erase(out.begin());
  return out;
}

bool fits(const tables::FilePattern& pattern, std::span<const std::string_view> path) {
  if (!pattern.home) return fits_from(pattern.segments, path);
  const std::size_t home = home_length(path);
  if (home != 0 && fits_from(pattern.segments, path.subspan(home))) return true;
  if (!pattern.anywhere) return false;
  // ~/.aws/credentials below /tmp/build/home or /app: the dot directory says enough.
  for (std::size_t start = 0; start < path.size(); ++start) {
    if (path[start] == pattern.segments.front() && fits_from(pattern.segments, path.subspan(start))) return true;
  }
  return false;
}

const File* Catalog::Impl::match_file(std::string_view path) const {
  return known_paths_.get(std::string(path), [&] { return find_file(path); });
}

const File* Catalog::Impl::find_file(std::string_view path) const {
  const std::vector<std::string_view> cut = cut_path(path);
  if (cut.empty() || !path.starts_with('/')) return nullptr;
  const auto excluded = [&](std::uint16_t file) {
    // Exclusions follow the patterns of their file.
    const auto range = std::ranges::equal_range(t_.patterns, file, {}, &tables::FilePattern::file);
    return std::ranges::any_of(range, [&](const tables::FilePattern& p) { return p.exclusion && fits(p, cut); });
  };
  // The one with most literals; of equal ones the first.
  const auto consider = [&](std::uint16_t index, const tables::FilePattern*& best) {
    const tables::FilePattern& candidate = t_.patterns[index];
    const bool better = best == nullptr || candidate.literals > best->literals ||
                        (candidate.literals == best->literals && &candidate < best);
    if (better && fits(candidate, cut) && !excluded(candidate.file)) best = &candidate;
  };
  const tables::FilePattern* exact = nullptr;
  for (const tables::Leaf& leaf : std::ranges::equal_range(t_.exact_leaves, cut.back(), {}, &tables::Leaf::leaf))
    consider(leaf.pattern, exact);
  const tables::FilePattern* wildcard = nullptr;
  const auto consider_heads = [&](std::string_view first) {
    auto head = std::ranges::lower_bound(t_.wild_heads, first, {}, &tables::Head::first);
    for (; head != t_.wild_heads.end() && head->first == first; ++head) {
      const std::string_view last = t_.patterns[head->pattern].segments.back();
      if (last == "**" || glob(last, cut.back())) consider(head->pattern, wildcard);
    }
  };
  // Wherever a pattern begins (at the root, at a home, at a directory below), its first component is one of the path.
  consider_heads({});
  std::ranges::for_each(cut, consider_heads);
  const bool is_exact = exact != nullptr && (wildcard == nullptr || wildcard->literals <= exact->literals);
  const tables::FilePattern* best = is_exact ? exact : wildcard;
  return best == nullptr ? nullptr : &t_.files[best->file];
}

LocalSocket Catalog::Impl::match_socket(std::string_view path) const {
  const std::vector<std::string_view> cut = cut_path(path);
  for (std::size_t i = 0; i < t_.sockets.size(); ++i) {
    const tables::Socket& entry = t_.sockets[i];
    if (path.starts_with('@') || entry.path.starts_with('@')) {
      if (glob(entry.path, path)) return entry.is;
      continue;
    }
    const bool home = entry.path.starts_with("~/");
    const tables::FilePattern pattern{
        .file = 0, .literals = 0, .exclusion = false, .home = home, .anywhere = home, .segments = socket_paths_[i]};
    if (path.starts_with('/') && fits(pattern, cut)) return entry.is;
  }
  return {};
}

}  // namespace keytrail::catalog
