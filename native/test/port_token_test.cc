// Port mapping (RFC 6284): its bytes, its tokens, and the client that gets them.
#include "codec/port_token.h"

#include <doctest/doctest.h>

#include "codec/ntp.h"
#include "plane/port_tokens.h"
#include "plane/token_client.h"
#include "test/rtcp_bytes.h"

using namespace sluice;
using codec::RtcpForm;
using kernel::Address;
using kernel::kSecond;
using plane::PortTokens;
using plane::TokenClient;
using test::bytes_of;
using test::Datagram;

namespace {

// Behind each header: SSRCs, nonce, token of five bytes in two words, expiry, seconds, packet types.
const Datagram kRequest = bytes_of("81d20003 11223344 0102030405060708");
const Datagram kResponse = bytes_of(
    "82d2000a aabbccdd 11223344 0102030405060708 0005a1a2a3a4a500 e8d4a51080000000 00000e10 01cd0000");
const Datagram kProof = bytes_of("83d20007 11223344 0102030405060708 0005a1a2a3a4a500 e8d4a51080000000");
const Datagram kFailure = bytes_of("84d20005 aabbccdd 11223344 cd080000 0102030405060708");
constexpr codec::TokenNonce kNonce{1, 2, 3, 4, 5, 6, 7, 8};
constexpr std::array<std::uint8_t, 5> kToken{0xa1, 0xa2, 0xa3, 0xa4, 0xa5};
constexpr std::uint64_t kExpiry = 0xe8d4a51080000000;
/** 2026-11-20 22:00 UTC. */
constexpr plane::Nanos kNow = 1'795'212'000 * kSecond;
const Address kHome = *Address::parse("192.0.2.7", 5000);

/** What a compound's only packet is; none for what is no compound. */
template <class F>
auto read(codec::Bytes bytes, F&& as) -> decltype(as(codec::RtcpPacket{})) {
  const auto compound = codec::RtcpCompound::parse(bytes, RtcpForm::reduced_too);
  if (!compound) return std::nullopt;
  return as(*compound->begin());
}

bool any(const codec::RtcpPacket& packet) {
  return codec::port_mapping_request(packet) || codec::port_mapping_response(packet) ||
         codec::token_proof(packet) || codec::token_failure(packet);
}

template <class T>
Datagram written(const T& message) {
  Datagram bytes(1024);
  codec::RtcpWriter writer(bytes);
  if (!codec::write(writer, message)) return {};
  bytes.resize(writer.size());
  return bytes;
}

codec::TokenProof proof_of(const PortTokens::Grant& grant, const codec::TokenNonce& nonce = kNonce) {
  return {7, nonce, grant.token, grant.expiry};
}

}  // namespace

TEST_CASE("port token: the packets of RFC 6284 section 4, byte by byte") {
  const auto request = read(kRequest, codec::port_mapping_request);
  REQUIRE(request);
  CHECK(request->sender == 0x11223344);
  CHECK(request->nonce == kNonce);
  CHECK(written(*request) == kRequest);
  const auto response = read(kResponse, codec::port_mapping_response);
  REQUIRE(response);
  CHECK(response->sender == 0xaabbccdd);
  CHECK(response->asked_by == 0x11223344);
  CHECK(response->nonce == kNonce);
  CHECK(std::equal(response->token.begin(), response->token.end(), kToken.begin(), kToken.end()));
  CHECK(response->expiry == kExpiry);
  CHECK(response->lifetime == 3600);
  REQUIRE(response->packet_types.size() == 1);
  CHECK(response->packet_types[0] == codec::rtcp_type::kTransportFeedback);
  CHECK(written(*response) == kResponse);
  CHECK(kResponse.size() == codec::response_size(kToken.size(), 1));
  const auto proof = read(kProof, codec::token_proof);
  REQUIRE(proof);
  CHECK(proof->sender == 0x11223344);
  CHECK(proof->nonce == kNonce);
  CHECK(std::equal(proof->token.begin(), proof->token.end(), kToken.begin(), kToken.end()));
  CHECK(proof->expiry == kExpiry);
  CHECK(written(*proof) == kProof);
  CHECK(kProof.size() == codec::proof_size(kToken.size()));
  const auto failure = read(kFailure, codec::token_failure);
  REQUIRE(failure);
  CHECK(failure->sender == 0xaabbccdd);
  CHECK(failure->asked_by == 0x11223344);
  CHECK(failure->nonce == kNonce);
  CHECK(failure->packet_type == codec::rtcp_type::kTransportFeedback);
  CHECK(failure->format == codec::rtcp_feedback::kNack);
  CHECK(written(*failure) == kFailure);
  CHECK(kFailure.size() == codec::kTokenFailureSize);
  CHECK(kRequest.size() == codec::kPortMappingRequestSize);
}

TEST_CASE("port token: cut anywhere, or longer than it says, it is nothing") {
  for (const Datagram& whole : {kRequest, kResponse, kProof, kFailure}) {
    CHECK(any(*codec::RtcpCompound::parse(whole, RtcpForm::reduced_too)->begin()));
    for (std::size_t size = 4; size < whole.size(); size += 4) {
      // Also where its own length knows of the cut.
      Datagram cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK_FALSE(codec::RtcpCompound::parse(cut, RtcpForm::reduced_too));
      codec::store16(cut.data() + 2, static_cast<std::uint16_t>(size / 4 - 1));
      CHECK_FALSE(any(*codec::RtcpCompound::parse(cut, RtcpForm::reduced_too)->begin()));
    }
    for (std::size_t size = 0; size < whole.size(); size++)
      CHECK_FALSE(codec::RtcpCompound::parse(codec::Bytes(whole).first(size), RtcpForm::reduced_too));
    Datagram longer = whole;
    longer.resize(whole.size() + 4);
    codec::store16(longer.data() + 2, static_cast<std::uint16_t>(longer.size() / 4 - 1));
    CHECK_FALSE(any(*codec::RtcpCompound::parse(longer, RtcpForm::reduced_too)->begin()));
  }
  // A token that says that it is longer than the packet.
  Datagram lying = kProof;
  lying[17] = 200;
  CHECK_FALSE(read(lying, codec::token_proof));
}

TEST_CASE("port token: tokens of every length come back as they were") {
  Datagram token(codec::kMostToken + 1, 0x5a);
  for (std::size_t size = 0; size <= codec::kMostToken; size++) {
    const Datagram bytes = written(codec::TokenProof{1, kNonce, codec::Bytes(token).first(size), kExpiry});
    CHECK(bytes.size() == codec::proof_size(size));
    const auto proof = read(bytes, codec::token_proof);
    REQUIRE(proof);
    CHECK(proof->token.size() == size);
    CHECK(proof->expiry == kExpiry);
  }
  CHECK(written(codec::TokenProof{1, kNonce, token, kExpiry}).empty());
}

TEST_CASE("port token: is good for the one who got it, until it expires") {
  PortTokens tokens(3600 * kSecond);
  const auto grant = tokens.grant(kHome, kNonce, kNow);
  REQUIRE(grant);
  CHECK(grant->lifetime == 3600);
  CHECK(grant->expiry == codec::ntp_from_unix(kNow + 3600 * kSecond));
  CHECK(tokens.proves(kHome, proof_of(*grant), kNow));
  CHECK(tokens.proves(kHome, proof_of(*grant), kNow + 3599 * kSecond));
  CHECK(tokens.proves(*Address::parse("::ffff:192.0.2.7", 5000), proof_of(*grant), kNow));

  CHECK_FALSE(tokens.proves(kHome, proof_of(*grant), kNow + 3600 * kSecond));
  CHECK_FALSE(tokens.proves(kHome, proof_of(*grant), kNow + 100'000 * kSecond));
  CHECK_FALSE(tokens.proves(*Address::parse("192.0.2.8", 5000), proof_of(*grant), kNow));
  CHECK_FALSE(tokens.proves(kHome.with_port(5001), proof_of(*grant), kNow));
  CHECK_FALSE(tokens.proves(*Address::parse("2001:db8::7", 5000), proof_of(*grant), kNow));
  CHECK_FALSE(tokens.proves(kHome, proof_of(*grant, {1}), kNow));
  PortTokens::Grant longer = *grant;
  longer.expiry++;
  CHECK_FALSE(tokens.proves(kHome, proof_of(longer), kNow));
  for (std::size_t i = 0; i < PortTokens::kSize; i++) {
    PortTokens::Grant other = *grant;
    other.token[i] ^= 1;
    CHECK_FALSE(tokens.proves(kHome, proof_of(other), kNow));
  }
  codec::TokenProof shorter = proof_of(*grant);
  shorter.token = shorter.token.first(PortTokens::kSize - 1);
  CHECK_FALSE(tokens.proves(kHome, shorter, kNow));
  // The server's clock was set back: what is left is more than there ever was.
  CHECK_FALSE(tokens.proves(kHome, proof_of(*grant), kNow - kSecond));
  // Another server, or the same one after it began anew.
  PortTokens others(3600 * kSecond);
  REQUIRE(others.grant(kHome, kNonce, kNow));
  CHECK_FALSE(others.proves(kHome, proof_of(*grant), kNow));
}

TEST_CASE("port token: keys change, and tokens of the one before stay good until they expire") {
  PortTokens tokens(10 * kSecond);
  const auto first = tokens.grant(kHome, kNonce, kNow);
  const auto last = tokens.grant(kHome, kNonce, kNow + 9 * kSecond);
  const auto next = tokens.grant(kHome, kNonce, kNow + 10 * kSecond);
  REQUIRE((first && last && next));
  CHECK(first->token[0] == last->token[0]);
  CHECK(next->token[0] != last->token[0]);
  CHECK(tokens.proves(kHome, proof_of(*last), kNow + 18 * kSecond));
  CHECK(tokens.proves(kHome, proof_of(*next), kNow + 18 * kSecond));
  CHECK_FALSE(tokens.proves(kHome, proof_of(*last), kNow + 19 * kSecond));
  // Two keys later the first is forgotten, whatever a clock says.
  REQUIRE(tokens.grant(kHome, kNonce, kNow + 20 * kSecond));
  CHECK_FALSE(tokens.proves(kHome, proof_of(*last), kNow + 10 * kSecond));
}

namespace {

/** A client whose requests and proofs are read, not sent. */
struct Bench {
  std::optional<codec::PortMappingRequest> request(plane::Nanos now) {
    codec::RtcpWriter writer(room);
    return client.request(writer, now) ? read(writer.written(), codec::port_mapping_request) : std::nullopt;
  }
  std::optional<codec::TokenProof> proof(plane::Nanos now) {
    codec::RtcpWriter writer(room);
    return client.prove(writer, now) ? read(writer.written(), codec::token_proof) : std::nullopt;
  }
  template <class T>
  TokenClient::Answer answer(const T& message, plane::Nanos now) {
    const Datagram bytes = written(message);
    return client.take(*codec::RtcpCompound::parse(bytes, RtcpForm::reduced_too)->begin(), now);
  }
  TokenClient client{7};
  std::array<std::uint8_t, 512> room{};
};

}  // namespace

TEST_CASE("port token: a client asks until it is answered, ever more slowly, with one nonce") {
  Bench bench;
  CHECK(bench.client.due() == 0);
  plane::Nanos now = kSecond;
  plane::Nanos pause = TokenClient::kFirstPause;
  const auto first = bench.request(now);
  REQUIRE(first);
  CHECK(first->sender == 7);
  for (int i = 0; i < 10; i++) {
    CHECK(bench.client.due() == now + pause);
    now = bench.client.due();
    const auto again = bench.request(now);
    REQUIRE(again);
    CHECK(again->nonce == first->nonce);
    pause = std::min(2 * pause, TokenClient::kLongestPause);
  }
  CHECK(pause == TokenClient::kLongestPause);
  CHECK_FALSE(bench.proof(now));
}

TEST_CASE("port token: a client takes what answers it, shows it, and renews it in time") {
  Bench bench;
  const auto asked = bench.request(0);
  REQUIRE(asked);
  codec::PortMappingResponse response{1, 7, asked->nonce, kToken, kExpiry, 100, {}};
  for (auto wrong : {codec::PortMappingResponse{1, 8, asked->nonce, kToken, kExpiry, 100, {}},
                     codec::PortMappingResponse{1, 7, {9}, kToken, kExpiry, 100, {}},
                     codec::PortMappingResponse{1, 7, asked->nonce, kToken, kExpiry, 0, {}}})
    CHECK(bench.answer(wrong, 0) == TokenClient::Answer::not_ours);
  CHECK_FALSE(bench.proof(0));
  CHECK(bench.answer(response, 0) == TokenClient::Answer::granted);
  const auto proof = bench.proof(0);
  REQUIRE(proof);
  CHECK(proof->sender == 7);
  CHECK(proof->nonce == asked->nonce);
  CHECK(std::equal(proof->token.begin(), proof->token.end(), kToken.begin(), kToken.end()));
  CHECK(proof->expiry == kExpiry);
  CHECK(bench.client.due() == 75 * kSecond);
  // Renewed under another nonce; the old one serves until then, and not beyond its time.
  const auto renewal = bench.request(75 * kSecond);
  REQUIRE(renewal);
  CHECK(renewal->nonce != asked->nonce);
  CHECK(bench.proof(99 * kSecond));
  CHECK_FALSE(bench.proof(100 * kSecond));
  response.nonce = renewal->nonce;
  CHECK(bench.answer(response, 101 * kSecond) == TokenClient::Answer::granted);
  CHECK(bench.proof(200 * kSecond)->nonce == renewal->nonce);
}

TEST_CASE("port token: a client that is refused asks anew, but only where the refusal knows its nonce") {
  Bench bench;
  const auto asked = bench.request(0);
  REQUIRE(asked);
  REQUIRE(bench.answer(codec::PortMappingResponse{1, 7, asked->nonce, kToken, kExpiry, 100, {}}, 0) ==
          TokenClient::Answer::granted);
  CHECK(bench.answer(codec::TokenFailure{1, 7, {9}, 205, 1}, kSecond) == TokenClient::Answer::not_ours);
  CHECK(bench.proof(kSecond));
  CHECK(bench.answer(codec::TokenFailure{1, 7, asked->nonce, 205, 1}, kSecond) ==
        TokenClient::Answer::refused);
  CHECK_FALSE(bench.proof(kSecond));
  CHECK(bench.client.due() == kSecond);
  // Refused over and over again it keeps its pace.
  const auto again = bench.request(kSecond);
  REQUIRE(again);
  REQUIRE(bench.answer(codec::PortMappingResponse{1, 7, again->nonce, kToken, kExpiry, 100, {}}, kSecond) ==
          TokenClient::Answer::granted);
  CHECK(bench.answer(codec::TokenFailure{1, 7, again->nonce, 205, 1}, kSecond) ==
        TokenClient::Answer::refused);
  CHECK(bench.client.due() == kSecond + TokenClient::kFirstPause);
}
