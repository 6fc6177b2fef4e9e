// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/ring_reader.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

namespace keytrail::capture {
namespace {

// include/uapi/linux/bpf.h: BPF_RINGBUF_BUSY_BIT, _DISCARD_BIT, _HDR_SZ.
constexpr std::uint32_t kBusy = 1U << 31U;
constexpr std::uint32_t kDiscard = 1U << 30U;
constexpr std::uint32_t kHeaderBytes = 8;
constexpr std::uint32_t kMaxRingBytes = 1U << 30U;

Result<Mapping> map_pages(int fd, std::size_t bytes, int protection, std::size_t offset, std::string_view what) {
  void* address = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) {
    return fail(Error::Code::kSystem,
                fmt::format("mmap of the ring's {} ({} bytes): {}", what, bytes, std::strerror(errno)));
  }
  return Mapping(address, bytes);
}

std::uint64_t load_acquire(const std::uint64_t* from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (address_ != nullptr) ::munmap(address_, bytes_);
}

Result<MapShape> map_shape(int fd) {
  std::ifstream info(fmt::format("/proc/self/fdinfo/{}", fd));
  MapShape out;
  for (std::string line; std::getline(info, line);) {
    std::uint32_t* field = nullptr;
    if (line.starts_with("max_entries:")) field = &out.max_entries;
    if (line.starts_with("value_size:")) field = &out.value_size;
    const std::size_t digits = line.find_first_of("0123456789");
    if (field != nullptr && digits != std::string::npos)
      std::from_chars(line.data() + digits, line.data() + line.size(), *field);
  }
  if (out.max_entries > 0) return out;
  return fail(Error::Code::kNotFound, fmt::format("descriptor {} is no BPF map, or /proc cannot be read", fd));
}

Result<RingReader> RingReader::map(int fd, std::uint32_t bytes) {
  if (bytes == 0) {
    const auto shape = map_shape(fd);
    if (!shape) return std::unexpected(shape.error());
    bytes = shape->max_entries;
  }
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (!std::has_single_bit(bytes) || bytes < page || bytes > kMaxRingBytes) {
    return fail(Error::Code::kInvalid,
                fmt::format("a ring of {} bytes: not a power of two between a page and 1 GiB", bytes));
  }
  auto consumer = map_pages(fd, page, PROT_READ | PROT_WRITE, 0, "consumer page");
  if (!consumer) return std::unexpected(consumer.error());
  auto producer = map_pages(fd, page + std::size_t{bytes} + std::min(bytes, kRecordMax), PROT_READ, page, "data pages");
  if (!producer) return std::unexpected(producer.error());
  return RingReader(std::move(*consumer), std::move(*producer), bytes, page);
}

RingReader::RingReader(Mapping consumer_page, Mapping producer_pages, std::uint32_t bytes, std::size_t page)
    : consumer_page_(std::move(consumer_page)),
      producer_pages_(std::move(producer_pages)),
      consumer_position_(reinterpret_cast<std::uint64_t*>(consumer_page_.data())),
      in_hand_(consumer_position_ + 1),  // the kernel uses the first word of this page only
      last_beat_(consumer_position_ + 2),
      producer_position_(reinterpret_cast<const std::uint64_t*>(producer_pages_.data())),
      data_(producer_pages_.data() + page),
      bytes_(bytes) {}

std::uint64_t RingReader::consumer() const { return load_acquire(consumer_position_); }
std::uint64_t RingReader::producer() const { return load_acquire(producer_position_); }
void RingReader::set_consumer(std::uint64_t position) {
  __atomic_store_n(consumer_position_, position, __ATOMIC_RELEASE);
}

RingReader::Step RingReader::peek(std::uint64_t& cursor, Record& out) {
  while (true) {
    const std::uint64_t end = producer();
    if (cursor == end) return Step::kEmpty;
    // A position out of range can only come from a damaged consumer page: go on with what is written next, and say so.
    const bool in_range = cursor < end && end - cursor <= bytes_ && cursor % kHeaderBytes == 0;
    if (!in_range) {
      ++corrupt_;
      cursor = end;
      return Step::kEmpty;
    }
    const std::byte* header = data_ + (cursor & (bytes_ - 1));
    const std::uint32_t word = __atomic_load_n(reinterpret_cast<const std::uint32_t*>(header), __ATOMIC_ACQUIRE);
    const std::uint32_t length = word & ~(kBusy | kDiscard);
    const std::uint64_t whole = (std::uint64_t{length} + kHeaderBytes + 7U) & ~std::uint64_t{7};
    if (whole > std::min<std::uint64_t>(end - cursor, kRecordMax)) {
      ++corrupt_;
      cursor = end;
      return Step::kEmpty;
    }
    if ((word & kDiscard) == 0) {
      out = Record{.data = header + kHeaderBytes, .length = length, .position = cursor, .end = cursor + whole};
      return (word & kBusy) != 0 ? Step::kBusy : Step::kRecord;
    }
    cursor += whole;
  }
}

void RingReader::set_in_hand(std::uint64_t position) { __atomic_store_n(in_hand_, position + 1, __ATOMIC_RELAXED); }
void RingReader::clear_in_hand() { __atomic_store_n(in_hand_, 0, __ATOMIC_RELAXED); }

std::uint64_t RingReader::last_beat() const { return __atomic_load_n(last_beat_, __ATOMIC_RELAXED); }
void RingReader::note_beat(std::uint64_t time_ns) { __atomic_store_n(last_beat_, time_ns, __ATOMIC_RELAXED); }

bool RingReader::skip_in_hand() {
  const std::uint64_t mark = __atomic_load_n(in_hand_, __ATOMIC_RELAXED);
  clear_in_hand();
  std::uint64_t cursor = consumer();
  Record record;
  if (mark == 0 || mark - 1 != cursor || peek(cursor, record) != Step::kRecord || record.position != mark - 1)
    return false;
  set_consumer(record.end);
  return true;
}

}  // namespace keytrail::capture
