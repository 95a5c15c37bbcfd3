#include "kernel/kept_note.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>

namespace sluice::kernel {

namespace {

struct Head {
  std::uint64_t sequence = 0;
  std::uint64_t size = 0;
  std::uint64_t sum = 0;
};

constexpr off_t kPlace = KeptNote::kMost + 4096;

/** FNV-1a: tells whether all of it was written, not whether somebody meant harm. */
std::uint64_t sum_of(std::uint64_t sequence, std::span<const std::uint8_t> bytes) noexcept {
  constexpr std::uint64_t kPrime = 1099511628211U;
  std::uint64_t sum = 14695981039346656037U ^ sequence;
  for (const std::uint8_t byte : bytes) sum = (sum ^ byte) * kPrime;
  return sum;
}

struct Written {
  std::uint64_t sequence = 0;
  std::vector<std::uint8_t> bytes;
};

/** What stands in one of the two places; sequence 0 when that is nothing whole. */
Written read_place(int fd, off_t place) {
  Head head;
  if (::pread(fd, &head, sizeof head, place) != static_cast<ssize_t>(sizeof head)) return {};
  if (head.sequence == 0 || head.size > KeptNote::kMost) return {};
  Written out{head.sequence, std::vector<std::uint8_t>(head.size)};
  const ssize_t n = ::pread(fd, out.bytes.data(), out.bytes.size(), place + static_cast<off_t>(sizeof head));
  if (n != static_cast<ssize_t>(head.size) || sum_of(head.sequence, out.bytes) != head.sum) return {};
  return out;
}

Written read_newest(int fd) {
  Written first = read_place(fd, 0);
  Written second = read_place(fd, kPlace);
  return first.sequence > second.sequence ? std::move(first) : std::move(second);
}

}  // namespace

Result<KeptNote> KeptNote::create() {
  Fd fd(memfd_create("sluice-note", MFD_CLOEXEC));
  if (!fd) return system_error("keeping a note");
  return KeptNote(std::move(fd));
}

std::optional<KeptNote> KeptNote::adopt(Fd fd) {
  // Only files in memory have seals.
  if (fcntl(fd.get(), F_GET_SEALS) < 0) return std::nullopt;
  KeptNote note(std::move(fd));
  note.sequence_ = read_newest(note.fd_.get()).sequence;
  return note;
}

bool KeptNote::write(std::span<const std::uint8_t> bytes) noexcept {
  if (bytes.size() > kMost) {
    errno = EMSGSIZE;
    return false;
  }
  const std::uint64_t sequence = sequence_ + 1;
  Head head{sequence, bytes.size(), sum_of(sequence, bytes)};
  const std::array<iovec, 2> pieces{iovec{&head, sizeof head},
                                    iovec{const_cast<std::uint8_t*>(bytes.data()), bytes.size()}};
  const auto all = static_cast<ssize_t>(sizeof head + bytes.size());
  if (::pwritev(fd_.get(), pieces.data(), pieces.size(), (sequence % 2) != 0 ? kPlace : 0) != all)
    return false;
  sequence_ = sequence;
  return true;
}

std::vector<std::uint8_t> KeptNote::read() const {
  return read_newest(fd_.get()).bytes;
}

}  // namespace sluice::kernel
