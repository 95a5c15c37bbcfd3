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

kernel::Result<CaptureFlows> read_capture(const std::string& path) {
  auto file = read_file(path);
  if (!file.ok()) return file.error();
  auto result = codec::read_capture_flows(file.value());
  if (auto* error = std::get_if<codec::CaptureError>(&result)) {
    return kernel::Error{error->code, path + ": " + error->message};
  }
  return std::move(*std::get_if<CaptureFlows>(&result));
}

std::string capture_address(const codec::UdpDatagram& ends, bool destination) {
  const auto& address = destination ? ends.destination : ends.source;
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(ends.version == 4 ? AF_INET : AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

std::optional<codec::Prefix> address_prefix(const std::string& address, unsigned bits) {
  codec::Prefix prefix;
  prefix.version = address.find(':') == std::string::npos ? 4 : 6;
  const bool v4 = prefix.version == 4;
  if (inet_pton(v4 ? AF_INET : AF_INET6, address.c_str(), prefix.address.data()) != 1) return std::nullopt;
  if (bits > (v4 ? 32U : 128U)) return std::nullopt;
  prefix.bits = static_cast<std::uint8_t>(bits);
  return prefix;
}

std::optional<codec::UdpDatagram> flow_ends(const std::string& source, std::uint16_t source_port,
                                            const std::string& destination, std::uint16_t destination_port) {
  const auto from = address_prefix(source, 0);
  const auto to = address_prefix(destination, 0);
  if (!from || !to || from->version != to->version) return std::nullopt;
  return codec::UdpDatagram{from->version, from->address, to->address, source_port, destination_port, {}};
}

kernel::Result<TsClip> make_clip(const std::uint8_t* recording, std::size_t size, std::int64_t segment_ms) {
  auto result = TsClip::build({recording, size}, segment_ms);
  if (auto* error = std::get_if<codec::ClipError>(&result)) return kernel::Error{error->code, error->message};
  return std::move(*std::get_if<TsClip>(&result));
}

}  // namespace sluice::plane
