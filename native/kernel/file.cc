#include "kernel/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>

namespace sluice::kernel {

Result<File> File::open(const std::string& path) {
  File file;
  file.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.fd_) return system_error(path);
  struct stat status {};
  if (fstat(file.fd_.get(), &status) != 0) return system_error(path);
  if (!S_ISDIR(status.st_mode)) return file;
  errno = EISDIR;
  return system_error(path);
}

Result<File> File::create(const std::string& path) {
  File file;
  file.fd_.reset(path == "-" ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.fd_) return system_error(path);
  return file;
}

ssize_t File::read(std::span<std::uint8_t> into) noexcept {
  ssize_t n = -1;
  do n = ::read(fd_.get(), into.data(), into.size());
  while (n < 0 && errno == EINTR);
  return n;
}

int File::write(std::span<const std::uint8_t> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      // Standard output may be a pipe that somebody has made non-blocking.
      pollfd ready{fd_.get(), POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

bool File::rewind() noexcept {
  return ::lseek(fd_.get(), 0, SEEK_SET) == 0;
}

std::int64_t wall_now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace sluice::kernel
