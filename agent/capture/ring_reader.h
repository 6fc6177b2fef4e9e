// SPDX-License-Identifier: Apache-2.0
// One BPF ring buffer, read through its inherited descriptor: mmap only, no bpf() call (unprivileged ones fail below
// Linux 5.19) and no libbpf. Layout (kernel/bpf/ringbuf.c): a consumer page, writable; a producer page and the data
// pages twice in a row, read-only. Of the second row only what one record can reach into is mapped: each mapped page
// counts as resident. Thread: the pipeline's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "keytrail/result.h"

namespace keytrail::capture {

/// An anonymous owner of one mmap; unmaps at its end.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, std::size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(address_); }

 private:
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

struct MapShape {
  std::uint32_t max_entries = 0;  ///< bytes of a ring, entries of an array
  std::uint32_t value_size = 0;   ///< bytes; 0 for a ring
};

/// The shape of a BPF map, from /proc/self/fdinfo. kNotFound when the descriptor is no BPF map.
[[nodiscard]] Result<MapShape> map_shape(int fd);

class RingReader {
 public:
  /// No record is longer, header included: the longest are an exec with its items and a payload, each under 16 KiB.
  static constexpr std::uint32_t kRecordMax = 1U << 16U;
  struct Record {
    const std::byte* data = nullptr;  ///< 8-byte aligned, valid until the consumer position passes `end`
    std::uint32_t length = 0;         ///< bytes
    std::uint64_t position = 0;       ///< of its header
    std::uint64_t end = 0;            ///< position after it
  };
  enum class Step : std::uint8_t { kRecord, kEmpty, kBusy };

  /// Maps the ring behind `fd` (not kept, not closed). `bytes`: size of the data area, a power of two; 0 = ask the
  /// kernel.
  static Result<RingReader> map(int fd, std::uint32_t bytes);

  /// The record at `cursor`, passing over discarded ones (`cursor` moves to the record). kBusy: it is still being
  /// written; where it ends is known. A length that cannot be (over kRecordMax, or over what was written): everything
  /// written so far is given up, `corrupt` grows, kEmpty.
  Step peek(std::uint64_t& cursor, Record& out);

  [[nodiscard]] std::uint64_t consumer() const;
  /// Frees everything before `position` for the kernel side.
  void set_consumer(std::uint64_t position);
  [[nodiscard]] std::uint64_t producer() const;
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t corrupt() const { return corrupt_; }

  /// Marks the record at `position` as being worked on. The mark lies in the consumer page, which outlives this
  /// process.
  void set_in_hand(std::uint64_t position);
  void clear_in_hand();
  /// When the newest heartbeat was made that was read from this ring, by whichever reader: ns since boot, 0: none yet.
  /// It lies in the consumer page, too.
  [[nodiscard]] std::uint64_t last_beat() const;
  void note_beat(std::uint64_t time_ns);
  /// The record that the last reader died with: it is passed over, so that one bad record cannot end every worker. True
  /// when there was one.
  bool skip_in_hand();

 private:
  RingReader(Mapping consumer_page, Mapping producer_pages, std::uint32_t bytes, std::size_t page);

  Mapping consumer_page_;
  Mapping producer_pages_;
  std::uint64_t* consumer_position_ = nullptr;
  std::uint64_t* in_hand_ = nullptr;
  std::uint64_t* last_beat_ = nullptr;
  const std::uint64_t* producer_position_ = nullptr;
  const std::byte* data_ = nullptr;
  std::uint32_t bytes_ = 0;
  std::uint64_t corrupt_ = 0;
};

}  // namespace keytrail::capture
