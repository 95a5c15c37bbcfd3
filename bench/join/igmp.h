// IGMPv3 reports (RFC 9776 section 4.2) as a host writes them: what the benches send and the bare router
// reads.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace sluice::bench {

constexpr std::uint8_t kReport = 0x22;
constexpr std::uint8_t kToInclude = 3;
constexpr std::uint8_t kToExclude = 4;
constexpr std::uint8_t kAllow = 5;
constexpr std::uint8_t kBlock = 6;

struct ReportHead {
  std::uint8_t type = kReport;
  std::uint8_t reserved = 0;
  std::uint16_t checksum = 0;
  std::uint16_t flags = 0;
  std::uint16_t records = 0;
};

/** A record of one source. */
struct Record {
  std::uint8_t type = 0;
  std::uint8_t auxiliary = 0;
  std::uint16_t sources = htons(1);
  in_addr group{};
  in_addr source{};
};

/** As many as a packet of 1500 bytes takes. */
constexpr std::size_t kMostRecords = (1500 - 24 - sizeof(ReportHead)) / sizeof(Record);

inline std::uint16_t internet_checksum(const std::uint8_t* bytes, std::size_t size) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2)
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

/** A whole message of such records. */
inline std::vector<std::uint8_t> report(std::span<const Record> records) {
  ReportHead head;
  head.records = htons(static_cast<std::uint16_t>(records.size()));
  std::vector<std::uint8_t> out;
  const auto put = [&out](const auto& part) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&part);
    out.insert(out.end(), bytes, bytes + sizeof part);
  };
  put(head);
  for (const Record& record : records) put(record);
  head.checksum = internet_checksum(out.data(), out.size());
  std::memcpy(out.data(), &head, sizeof head);
  return out;
}

}  // namespace sluice::bench
