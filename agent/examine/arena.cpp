// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/arena.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace keytrail::examine {
namespace {

constexpr std::size_t kUsualBytes = 256U << 10U;

/// The next multiple of what `take` aligns to; less than `bytes` where there is none.
std::size_t rounded_up(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

Arena::Arena(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t inner = (bytes + page - 1) / page * page;
  void* mapping = mmap(nullptr, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return;
  mapping_ = static_cast<char*>(mapping);
  mapping_bytes_ = inner + 2 * page;
  if (mprotect(mapping_ + page, inner, PROT_READ | PROT_WRITE) != 0) return;
  begin_ = mapping_ + page;
  bytes_ = inner;
  // On fault: memory that is never used is never resident.
  locked_ = mlock2(begin_, bytes_, MLOCK_ONFAULT) == 0;
  (void)madvise(begin_, bytes_, MADV_DONTDUMP);
  (void)madvise(begin_, bytes_, MADV_WIPEONFORK);
}

Arena::~Arena() {
  wipe();
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

std::span<char> Arena::take(std::size_t bytes) {
  const std::size_t rounded = rounded_up(bytes);
  if (rounded < bytes || rounded > bytes_ - used_) return {};
  char* at = begin_ + used_;
  used_ += rounded;
  return {at, bytes};
}

void Arena::keep(std::size_t bytes) { used_ = std::min(used_, rounded_up(bytes)); }

void Arena::wipe() {
  if (used_ > 0) explicit_bzero(begin_, used_);
  // Of locked memory since Linux 5.18; before, it stays.
  if (used_ > kUsualBytes) (void)madvise(begin_, bytes_, MADV_DONTNEED_LOCKED);
  used_ = 0;
}

bool Arena::clean() const {
  return std::all_of(begin_, begin_ + bytes_, [](char c) { return c == 0; });
}

}  // namespace keytrail::examine
