// SPDX-License-Identifier: Apache-2.0
// A BPF ring buffer and a counters array made of memfds, with the kernel's layout: what capture maps in unit tests and
// benchmarks. The kernel maps the data pages twice; here every byte is written twice. Not thread-safe.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "agent/base/fd.h"
#include "keytrail/event_abi.h"

namespace keytrail::replay {

class FakeRing {
 public:
  static constexpr std::uint32_t kBusy = 1U << 31U;
  static constexpr std::uint32_t kDiscard = 1U << 30U;

  explicit FakeRing(std::uint32_t bytes) : bytes_(bytes), page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    fd_.reset(::memfd_create("ring", MFD_CLOEXEC));
    total_ = 2 * page_ + std::size_t{2} * bytes;
    if (::ftruncate(fd_.get(), static_cast<off_t>(total_)) != 0) return;
    void* at = ::mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    base_ = at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
  }
  FakeRing(const FakeRing&) = delete;
  FakeRing& operator=(const FakeRing&) = delete;
  ~FakeRing() {
    if (base_ != nullptr) ::munmap(base_, total_);
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t consumer() const { return __atomic_load_n(word(0), __ATOMIC_ACQUIRE); }
  [[nodiscard]] std::uint64_t producer() const { return __atomic_load_n(word(page_), __ATOMIC_ACQUIRE); }
  /// Starts as if `position` bytes had passed through already.
  void start_at(std::uint64_t position) {
    *word(0) = position;
    *word(page_) = position;
  }
  /// Like the kernel's reserve and submit in one; false when full. `flags`: kBusy, kDiscard.
  bool write(std::span<const std::byte> record, std::uint32_t flags = 0) {
    return write_as(record, static_cast<std::uint32_t>(record.size()) | flags);
  }
  /// Writes `header` as it is: a length that lies.
  bool write_as(std::span<const std::byte> record, std::uint32_t header) {
    const std::uint64_t at = producer();
    const std::uint64_t whole = (record.size() + 15) & ~std::uint64_t{7};
    if (at + whole - consumer() > bytes_ - 1) return false;
    const std::uint32_t words[2] = {header, 0};
    put(at, std::as_bytes(std::span(words)));
    put(at + 8, record);
    last_ = at;
    __atomic_store_n(word(page_), at + whole, __ATOMIC_RELEASE);
    return true;
  }
  /// Rewrites the header of the last record (a busy one that is now submitted).
  void set_last_header(std::uint32_t header) { put(last_, std::as_bytes(std::span(&header, 1))); }
  /// The consumer page's word `index`, for tests of what a dead reader leaves.
  [[nodiscard]] std::uint64_t* consumer_word(std::size_t index) { return word(0) + index; }

 private:
  [[nodiscard]] std::uint64_t* word(std::size_t offset) const {
    return reinterpret_cast<std::uint64_t*>(base_ + offset);
  }
  void put(std::uint64_t position, std::span<const std::byte> bytes) {
    std::byte* data = base_ + 2 * page_;
    for (std::size_t i = 0; i < bytes.size();) {
      const std::size_t offset = (position + i) & (bytes_ - 1);
      const std::size_t part = bytes_ - offset < bytes.size() - i ? bytes_ - offset : bytes.size() - i;
      std::memcpy(data + offset, bytes.data() + i, part);
      std::memcpy(data + bytes_ + offset, bytes.data() + i, part);
      i += part;
    }
  }

  base::UniqueFd fd_;
  std::uint32_t bytes_;
  std::size_t page_;
  std::size_t total_ = 0;
  std::byte* base_ = nullptr;
  std::uint64_t last_ = 0;
};

class FakeCounters {
 public:
  explicit FakeCounters(std::uint32_t cpus) : bytes_(std::size_t{cpus} * KT_COUNTERS * 8) {
    fd_.reset(::memfd_create("counters", MFD_CLOEXEC));
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0) return;
    void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    words_ = at == MAP_FAILED ? nullptr : static_cast<std::uint64_t*>(at);
  }
  FakeCounters(const FakeCounters&) = delete;
  FakeCounters& operator=(const FakeCounters&) = delete;
  ~FakeCounters() {
    if (words_ != nullptr) ::munmap(words_, bytes_);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void add(std::size_t cpu, std::size_t family, std::size_t counter, std::uint64_t count) {
    words_[cpu * KT_COUNTERS + family * KT_COUNTERS_PER_FAMILY + counter] += count;
  }

 private:
  base::UniqueFd fd_;
  std::size_t bytes_;
  std::uint64_t* words_ = nullptr;
};

/// The array of kt_lost.
class FakeCgroupLosses {
 public:
  FakeCgroupLosses() : fd_(::memfd_create("cgroups_lost", MFD_CLOEXEC)) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(kBytes)) != 0) return;
    void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    slots_ = at == MAP_FAILED ? nullptr : static_cast<kt_lost*>(at);
  }
  FakeCgroupLosses(const FakeCgroupLosses&) = delete;
  FakeCgroupLosses& operator=(const FakeCgroupLosses&) = delete;
  ~FakeCgroupLosses() {
    if (slots_ != nullptr) ::munmap(slots_, kBytes);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void add(std::size_t slot, std::uint64_t cgroup_id, std::size_t family, std::uint64_t count) {
    slots_[slot].cgroup_id = cgroup_id;
    slots_[slot].lost[family] += count;
  }
  void give_back(std::size_t slot) { slots_[slot] = {}; }

 private:
  static constexpr std::size_t kBytes = std::size_t{KT_LOST_SLOTS} * sizeof(kt_lost);
  base::UniqueFd fd_;
  kt_lost* slots_ = nullptr;
};

}  // namespace keytrail::replay
