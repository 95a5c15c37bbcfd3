#include "plane/captures.h"

#include <arpa/inet.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace sluice::plane {

namespace {

kernel::Result<std::vector<std::uint8_t>> read_file(const std::string& path) {
  const auto invalid = [&path](const std::string& what) {
    return kernel::Error{"CAPTURE_INVALID", path + ": " + what};
  };
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure) return invalid("expected a file, got: " + failure.message());
  if (size > kMaxCaptureBytes)
    return invalid("expected at most 1 GiB, got " + std::to_string(size) + " bytes");
  std::vector<std::uint8_t> bytes(size);
  std::ifstream file(path, std::ios::binary);
  errno = 0;
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (file) return bytes;
  return invalid(std::string("expected a readable file, got: ") +
                 (errno != 0 ? std::generic_category().message(errno) : "an early end"));
}

}  // namespace

kernel::Result<std::vector<CaptureFlow>> read_capture(const std::string& path) {
  auto file = read_file(path);
  if (!file.ok()) return file.error();
  auto result = codec::read_capture_flows(file.value());
  if (auto* error = std::get_if<codec::CaptureError>(&result)) {
    return kernel::Error{error->code, path + ": " + error->message};
  }
  return std::move(*std::get_if<std::vector<CaptureFlow>>(&result));
}

std::string capture_address(const CaptureFlow& flow, bool destination) {
  const auto& address = destination ? flow.ends.destination : flow.ends.source;
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(flow.ends.version == 4 ? AF_INET : AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

kernel::Result<TsClip> make_clip(const std::uint8_t* recording, std::size_t size, std::int64_t segment_ms) {
  auto result = TsClip::build({recording, size}, segment_ms);
  if (auto* error = std::get_if<codec::ClipError>(&result)) return kernel::Error{error->code, error->message};
  return std::move(*std::get_if<TsClip>(&result));
}

}  // namespace sluice::plane
