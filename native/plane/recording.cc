#include "plane/recording.h"

#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

namespace sluice::plane {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
static_assert(kBuffer > codec::CaptureWriter::kMostPacket + codec::CaptureWriter::kMostHeader);

}  // namespace

kernel::Result<std::unique_ptr<Recording>> Recording::open(RecordingOptions options) {
  std::unique_ptr<Recording> recording(new Recording(std::move(options)));
  auto file = recording->next_file();
  if (!file.ok()) return file.error();
  recording->file_ = std::move(file.value());
  recording->begin_file();
  recording->flush();
  return recording;
}

Recording::Recording(RecordingOptions options)
    : options_(std::move(options)), writer_(options_.format, options_.snaplen), buffer_(kBuffer) {}

std::string Recording::name(std::uint64_t number) const {
  if (!options_.rotate) return options_.path;
  const std::filesystem::path path(options_.path);
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "-%05llu", static_cast<unsigned long long>(number));
  return (path.parent_path() / path.stem()).string() + digits.data() + path.extension().string();
}

kernel::Result<kernel::File> Recording::next_file() {
  auto file = kernel::File::create(name(files_ + 1));
  if (!file.ok()) return file.error();
  files_++;
  if (options_.keep > 0 && files_ > options_.keep) {
    std::error_code ignored;  // somebody else may have taken it away
    std::filesystem::remove(name(files_ - options_.keep), ignored);
  }
  return file;
}

void Recording::begin_file() noexcept {
  const codec::CaptureHeader header{options_.format,         options_.link_type, options_.snaplen,
                                    options_.interface_name, options_.comment,   options_.application};
  used_ += codec::CaptureWriter::begin(header, codec::MutableBytes(buffer_).subspan(used_));
  file_bytes_ = used_;
}

void Recording::add(std::int64_t wall, std::uint32_t original_length, codec::Bytes head,
                    codec::Bytes data) noexcept {
  if (ended_) return;
  const auto write = [&] {
    return writer_.packet(wall, original_length, head, data, codec::MutableBytes(buffer_).subspan(used_));
  };
  std::size_t size = write();
  if (size == 0) {
    flush();
    if (ended_) return;
    size = write();
  }
  // What was just written stands behind the used part of the buffer: it is not there yet.
  if (options_.max_bytes > 0 && file_bytes_ + size > options_.max_bytes && packets_ > 0) {
    if (!rotate()) return;
    size = write();
  }
  used_ += size;
  file_bytes_ += size;
  packets_++;
  bytes_ += original_length;
  if (packets_ == options_.max_packets) ended_ = true;
}

/** Begins the next file; false when there is to be none, or it cannot be made. */
bool Recording::rotate() noexcept {
  if (!options_.rotate) {
    ended_ = true;
    return false;
  }
  flush();
  try {
    auto file = next_file();
    if (file.ok())
      file_ = std::move(file.value());
    else
      fail(errno);
  } catch (const std::exception&) {
    fail(ENOMEM);
  }
  if (!ended_) begin_file();
  return !ended_;
}

void Recording::flush() noexcept {
  const std::size_t size = std::exchange(used_, 0);
  if (size == 0 || error_ != 0) return;
  if (const int failed = file_.write(codec::Bytes(buffer_).first(size)); failed != 0) return fail(failed);
  written_ += size;
}

void Recording::fail(int error) noexcept {
  error_ = error;
  ended_ = true;
}

void Recording::finish(std::uint64_t received, std::uint64_t dropped) noexcept {
  flush();
  used_ = writer_.end({kernel::wall_now(), received, dropped}, buffer_);
  flush();
  ended_ = true;
}

}  // namespace sluice::plane
