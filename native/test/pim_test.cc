#include "codec/pim.h"

#include "codec/pim_assert.h"
#include "codec/pim_hello.h"
#include "codec/pim_register.h"
#include "test/control_bytes.h"

using namespace sluice;
using namespace sluice::test;
using codec::Bytes;
using codec::IpAddress;
using codec::IpEnds;
using codec::Sequence;
namespace pim = codec::pim;

namespace {

// Each byte by hand; where no checksum stands, sealed() puts it in.
const Octets kHello{
    0x20, 0x00, 0x70, 0xa1,                          // version 2, hello, checksum
    0x00, 0x01, 0x00, 0x02, 0x00, 0x69,              // holdtime: 105 s
    0x00, 0x14, 0x00, 0x04, 0x5a, 0xa5, 0x12, 0xfe,  // generation id
    0x00, 0x13, 0x00, 0x04, 0x00, 0x00, 0x00, 0x07,  // DR priority: 7
    0x00, 0x15, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00,  // state refresh, which is not ours
};
const Octets kRegister{
    0x21, 0x00, 0xde, 0xff,  // version 2, register, checksum of these eight bytes
    0x00, 0x00, 0x00, 0x00,  // neither border nor null
    0x45, 0x00, 0x00, 0x16,  // inside: IPv4, 22 bytes in all
    0x00, 0x0f, 0x00, 0x00,  // identification
    0xfe, 0x01, 0x00, 0x00,  // TTL 254, ICMP, checksum, at which a register's reader does not look
    0xc0, 0xa8, 0x14, 0x0a,  // 192.168.20.10
    0xef, 0x01, 0x02, 0x03,  // 239.1.2.3
    0x08, 0x00,              // payload
    0xff,                    // behind the packet's end
};
const Octets kNullRegister{
    0x21, 0x00, 0x9e, 0xff,  // version 2, register, checksum of these eight bytes
    0x40, 0x00, 0x00, 0x00,  // null
    0x45, 0x00, 0x00, 0x14,  // IPv4, 20 bytes in all
    0x00, 0x00, 0x00, 0x00,  // identification
    0x01, 0x67, 0xf3, 0xcc,  // TTL 1, PIM, checksum
    0xc0, 0xa8, 0x14, 0x0a,  // 192.168.20.10
    0xef, 0x01, 0x02, 0x03,  // 239.1.2.3
};
const Octets kNullRegister6{
    0x21, 0x00, 0x00, 0x00,                 // version 2, register, checksum
    0x40, 0x00, 0x00, 0x00,                 // null
    0x60, 0x00, 0x00, 0x00,                 // IPv6
    0x00, 0x04, 0x67, 0x01,                 // four bytes of payload, PIM, hop limit 1
    0x20, 0x01, 0x0d, 0xb8, 0,    0, 0, 0,  // 2001:db8::5
    0,    0,    0,    0,    0,    0, 0, 5,  //
    0xff, 0x3e, 0,    0,    0,    0, 0, 0,  // ff3e::8000:1
    0,    0,    0,    0,    0x80, 0, 0, 1,  //
    0x00, 0x00, 0x52, 0x96,                 // dummy PIM header, its checksum
};
const Octets kRegisterStop{
    0x22, 0x00, 0x00, 0x00,  // version 2, register-stop, checksum
    0x01, 0x00, 0x00, 0x20,  // IPv4, native, no flags, 32 bits
    0xef, 0x01, 0x02, 0x03,  // 239.1.2.3
    0x01, 0x00,              // IPv4, native
    0xc0, 0xa8, 0x14, 0x0a,  // 192.168.20.10
};
const Octets kAssert{
    0x25, 0x00, 0x00, 0x00,  // version 2, assert, checksum
    0x01, 0x00, 0x00, 0x20,  // IPv4, native, no flags, 32 bits
    0xef, 0x01, 0x02, 0x03,  // 239.1.2.3
    0x01, 0x00,              // IPv4, native
    0xc0, 0xa8, 0x14, 0x0a,  // 192.168.20.10
    0x80, 0x00, 0x00, 0x6e,  // R, preference 110
    0x00, 0x00, 0x00, 0x14,  // metric 20
};

const IpEnds& ends4() {
  static const IpEnds ends{ip("10.0.0.2"), ip("224.0.0.13")};
  return ends;
}
const IpEnds& ends6() {
  static const IpEnds ends{ip("fe80::1"), ip("ff02::d")};
  return ends;
}

/** With the checksum of a message over IPv4; of a register of its first eight bytes. */
Octets sealed(Octets bytes, const IpEnds& ends = ends4()) {
  pim::seal(bytes, ends);
  return bytes;
}

pim::Message message_of(const Octets& bytes, const IpEnds& ends = ends4()) {
  pim::Message message;
  REQUIRE(pim::parse(bytes, ends, message) == pim::Find::message);
  return message;
}

template <class F>
Octets made(F&& write) {
  std::array<std::uint8_t, 1500> room{};
  return octets(Bytes(room).first(write(codec::MutableBytes(room))));
}

Octets written(const pim::Hello& hello, const IpEnds& ends = ends4()) {
  return made([&](codec::MutableBytes room) { return pim::write_hello(hello, ends, room); });
}

}  // namespace

TEST_CASE("PIM: header, versions and types, checksum (RFC 7761 section 4.9)") {
  const pim::Message message = message_of(kHello);
  CHECK(message.type == pim::Type::hello);
  CHECK(message.v4);
  CHECK(message.body.size() == kHello.size() - 4);
  pim::Message other;
  CHECK(pim::parse(Bytes(kHello).first(3), ends4(), other) == pim::Find::malformed);
  CHECK(pim::parse(with(kHello, 9, 0x6a), ends4(), other) == pim::Find::bad_checksum);
  CHECK(pim::parse(with(kHello, 0, 0x10), ends4(), other) == pim::Find::other);
  for (const unsigned type : {6U, 7U, 9U, 15U})
    CHECK(pim::parse(sealed(with(kHello, 0, 0x20 | type)), ends4(), other) == pim::Find::other);
  // Over IPv6 the addresses are summed, too.
  const Octets six = sealed(kHello, ends6());
  CHECK_FALSE(message_of(six, ends6()).v4);
  CHECK(pim::parse(six, {ip("fe80::2"), ip("ff02::d")}, other) == pim::Find::bad_checksum);
  // An odd length.
  Octets odd = kHello;
  odd.insert(odd.end(), {0xff, 0xf0, 0, 1, 7});
  CHECK(pim::parse(sealed(odd), ends4(), other) == pim::Find::message);
}

TEST_CASE("PIM: a register's checksum covers its head, or all of it") {
  CHECK(message_of(kRegister).type == pim::Type::data_register);
  CHECK(sealed(with(kRegister, 2, 0)) == kRegister);
  CHECK(message_of(summed(kRegister)).type == pim::Type::data_register);
  pim::Message other;
  CHECK(pim::parse(with(kRegister, 7, 1), ends4(), other) == pim::Find::bad_checksum);
  CHECK(pim::parse(Bytes(kRegister).first(7), ends4(), other) == pim::Find::malformed);
  const IpEnds way{ip("2001:db8::a"), ip("2001:db8::b")};
  const Octets six = sealed(kNullRegister6, way);
  CHECK(message_of(six, way).type == pim::Type::data_register);
  CHECK(message_of(summed(kNullRegister6, codec::pseudo_header_sum(way, 103, kNullRegister6.size())), way)
            .type == pim::Type::data_register);
  CHECK(pim::parse(six, {way.destination, ip("2001:db8::c")}, other) == pim::Find::bad_checksum);
}

TEST_CASE("PIM: where each type may be addressed to") {
  using enum pim::Type;
  for (const auto type : {hello, join_prune, assertion, bootstrap}) {
    CHECK(pim::is_rightly_addressed(type, ip("224.0.0.13")));
    CHECK(pim::is_rightly_addressed(type, ip("ff02::d")));
    CHECK_FALSE(pim::is_rightly_addressed(type, ip("224.0.0.1")));
    CHECK(pim::is_rightly_addressed(type, ip("10.0.0.1")) == (type == bootstrap));
  }
  for (const auto type : {data_register, register_stop, candidate_rp}) {
    CHECK(pim::is_rightly_addressed(type, ip("10.0.0.1")));
    CHECK(pim::is_rightly_addressed(type, ip("2001:db8::1")));
    CHECK_FALSE(pim::is_rightly_addressed(type, ip("224.0.0.13")));
    CHECK_FALSE(pim::is_rightly_addressed(type, ip("ff02::d")));
  }
}

TEST_CASE("PIM hello: options are read, unknown ones passed over (section 4.9.2)") {
  const auto hello = pim::parse_hello(message_of(kHello));
  REQUIRE(hello.has_value());
  CHECK(hello->holdtime_s == 105);
  CHECK(hello->generation_id == 0x5aa512fe);
  CHECK(hello->dr_priority == 7);
  CHECK_FALSE(hello->lan_prune_delay.has_value());
  CHECK(hello->secondary.empty());
  CHECK(pim::parse_hello({pim::Type::hello, 0, true, {}}).has_value());
  for (const std::size_t at : {7, 13, 21}) {
    CAPTURE(at);
    CHECK_FALSE(pim::parse_hello(message_of(sealed(with(kHello, at, 3)))));
  }
  CHECK_FALSE(pim::parse_hello(message_of(sealed(with(kHello, 29, 5)))));  // past the end
}

TEST_CASE("PIM hello: written byte by byte, and read again") {
  pim::Hello hello;
  CHECK(written(hello) == sealed({0x20, 0, 0, 0}));
  hello.holdtime_s = 105;
  hello.lan_prune_delay = {true, 500, 2500};
  hello.dr_priority = 7;
  hello.generation_id = 0x01020304;
  const std::vector secondary{ip("10.0.1.2"), ip("10.0.2.2")};
  hello.secondary = Sequence<IpAddress>(secondary);
  const Octets four = written(hello);
  CHECK(four == sealed({0x20, 0,  0, 0,                           // hello
                        0,    1,  0, 2,  0,    105,               // holdtime
                        0,    2,  0, 4,  0x81, 0xf4, 0x09, 0xc4,  // T, 500 ms, 2500 ms
                        0,    19, 0, 4,  0,    0,    0,    7,     // DR priority
                        0,    20, 0, 4,  1,    2,    3,    4,     // generation id
                        0,    24, 0, 12, 1,    0,    10,   0,    1, 2, 1, 0, 10, 0, 2, 2}));
  const auto read = pim::parse_hello(message_of(four));
  REQUIRE(read.has_value());
  CHECK(read->lan_prune_delay->tracking);
  CHECK(read->lan_prune_delay->propagation_delay_ms == 500);
  CHECK(read->lan_prune_delay->override_interval_ms == 2500);
  CHECK(std::vector<IpAddress>(read->secondary.begin(), read->secondary.end()) == secondary);
  const std::vector global{ip("2001:db8::1")};
  hello.secondary = Sequence<IpAddress>(global);
  const Octets six = written(hello, ends6());
  const auto again = pim::parse_hello(message_of(six, ends6()));
  REQUIRE(again.has_value());
  REQUIRE(again->secondary.count() == 1);
  CHECK(*again->secondary.begin() == global[0]);
  // Of another family than the packet, of another encoding, and cut.
  CHECK(pim::parse_hello({pim::Type::hello, 0, true, Bytes(six).subspan(4)})->secondary.empty());
  CHECK_FALSE(pim::parse_hello(message_of(sealed(with(four, 38, 3)))));
  CHECK_FALSE(pim::parse_hello(message_of(sealed(with(four, 39, 1)))));
  CHECK_FALSE(pim::parse_hello(message_of(sealed(with(four, 37, 11)))));
  for (std::size_t room = 0; room < four.size(); room++) {
    Octets small(room);
    CHECK(pim::write_hello(hello, ends4(), small) == 0);
  }
}

TEST_CASE("PIM register: the packet inside (section 4.9.3)") {
  const auto data = pim::parse_register(message_of(kRegister));
  REQUIRE(data.has_value());
  CHECK_FALSE(data->null);
  CHECK_FALSE(data->border);
  CHECK(data->source == ip("192.168.20.10"));
  CHECK(data->group == ip("239.1.2.3"));
  CHECK(data->packet.size() == 22);
  CHECK(pim::parse_register(message_of(sealed(with(kRegister, 4, 0x80))))->border);
  // Longer than it is, shorter than its header, of another version, of no group, from a group.
  for (const auto& [at, value] : {std::pair{11, 24}, {11, 19}, {8, 0x65}, {8, 0x44}, {24, 10}, {20, 230}}) {
    CAPTURE(at);
    CHECK_FALSE(pim::parse_register(
        message_of(with(kRegister, static_cast<std::size_t>(at), static_cast<unsigned>(value)))));
  }
  CHECK(made([](codec::MutableBytes room) { return pim::write_register_header(ends4(), room); }) ==
        Octets{0x21, 0, 0xde, 0xff, 0, 0, 0, 0});
}

TEST_CASE("PIM null register: written and read in both families, its dummy header's checksum looked at") {
  const auto null = [](const char* source, const char* group, const IpEnds& ends) {
    return made([&](codec::MutableBytes room) {
      return pim::write_null_register(ip(source), ip(group), ends, room);
    });
  };
  CHECK(null("192.168.20.10", "239.1.2.3", ends4()) == kNullRegister);
  const auto four = pim::parse_register(message_of(kNullRegister));
  REQUIRE(four.has_value());
  CHECK(four->null);
  CHECK(four->source == ip("192.168.20.10"));
  CHECK(four->group == ip("239.1.2.3"));
  CHECK_FALSE(pim::parse_register(message_of(with(kNullRegister, 23, 11))));
  // Other fields do not matter, nor does the checksum where there is none.
  CHECK(pim::parse_register(message_of(with(with(kNullRegister, 18, 0), 19, 0))).has_value());
  CHECK(pim::parse_register(message_of(with(with(with(kNullRegister, 18, 0), 19, 0), 8, 0))).has_value());
  CHECK_FALSE(pim::parse_register(message_of(Octets(kNullRegister.begin(), kNullRegister.end() - 1))));
  const IpEnds way{ip("2001:db8::a"), ip("2001:db8::b")};
  CHECK(null("2001:db8::5", "ff3e::8000:1", way) == sealed(kNullRegister6, way));
  const auto six = pim::parse_register(message_of(sealed(kNullRegister6, way), way));
  REQUIRE(six.has_value());
  CHECK(six->source == ip("2001:db8::5"));
  CHECK(six->group == ip("ff3e::8000:1"));
  CHECK_FALSE(pim::parse_register(message_of(sealed(with(kNullRegister6, 51, 9), way), way)));
  // Without the dummy header there is nothing to look at.
  CHECK(pim::parse_register(
            message_of(sealed(Octets(kNullRegister6.begin(), kNullRegister6.end() - 4), way), way))
            .has_value());
}

TEST_CASE("PIM register-stop and assert: byte by byte (sections 4.9.4 and 4.9.6)") {
  const auto stop = pim::parse_register_stop(message_of(sealed(kRegisterStop)));
  REQUIRE(stop.has_value());
  CHECK(stop->group == ip("239.1.2.3"));
  CHECK(stop->source == ip("192.168.20.10"));
  CHECK(made([&](codec::MutableBytes room) { return pim::write_register_stop(*stop, ends4(), room); }) ==
        sealed(kRegisterStop));
  const auto assertion = pim::parse_assert(message_of(sealed(kAssert)));
  REQUIRE(assertion.has_value());
  CHECK(assertion->group == ip("239.1.2.3"));
  CHECK(assertion->source == ip("192.168.20.10"));
  CHECK(assertion->rpt);
  CHECK(assertion->preference == 110);
  CHECK(assertion->metric == 20);
  CHECK(made([&](codec::MutableBytes room) { return pim::write_assert(*assertion, ends4(), room); }) ==
        sealed(kAssert));
  for (const Octets& bytes : {kRegisterStop, kAssert}) {
    const auto read = [&bytes](std::size_t at, unsigned value) {
      const Octets changed = sealed(with(bytes, at, value));
      const pim::Message message = message_of(changed);
      return pim::parse_register_stop(message).has_value() || pim::parse_assert(message).has_value();
    };
    CHECK_FALSE(read(4, 2));      // an IPv6 group, which would be longer
    CHECK_FALSE(read(5, 1));      // an encoding that is unknown
    CHECK_FALSE(read(7, 31));     // masked
    CHECK_FALSE(read(7, 33));     // more bits than there are
    CHECK_FALSE(read(8, 0xc0));   // no group
    CHECK_FALSE(read(14, 0xe0));  // from a group
  }
  Octets all = kRegisterStop;
  std::fill(all.end() - 4, all.end(), std::uint8_t{0});
  CHECK(pim::parse_register_stop(message_of(sealed(all)))->source == IpAddress::any(true));
  // Only the shared tree's assert may be about no source.
  Octets none = kAssert;
  std::fill(none.begin() + 14, none.begin() + 18, std::uint8_t{0});
  CHECK(pim::parse_assert(message_of(sealed(none))).has_value());
  CHECK_FALSE(pim::parse_assert(message_of(sealed(with(none, 18, 0)))));
}

TEST_CASE("PIM: cut, changed and random bytes are never read beyond their end") {
  std::size_t read = 0;
  const auto look = [&read](const Octets& bytes) {
    for (const bool v4 : {true, false}) {
      if (bytes.size() < 4) continue;
      const pim::Message message{pim::Type::hello, bytes[1], v4, Bytes(bytes).subspan(4)};
      if (const auto hello = pim::parse_hello(message)) read += 1 + hello->secondary.count();
      if (const auto data = pim::parse_register(message)) {
        CHECK(data->group.is_multicast());
        CHECK(data->packet.size() <= bytes.size() - 8);
        read++;
      }
      if (pim::parse_register_stop(message)) read++;
      if (pim::parse_assert(message)) read++;
    }
    pim::Message message;
    (void)pim::parse(bytes, ends4(), message);
    (void)pim::parse(bytes, ends6(), message);
  };
  for (const Octets& bytes : {kHello, kRegister, kNullRegister, kNullRegister6, kRegisterStop, kAssert})
    damaged(bytes, look);
  CHECK(read > 1000);
}
