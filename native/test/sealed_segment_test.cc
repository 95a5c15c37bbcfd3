#include "plane/sealed_segment.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <string>

#include "test/allocations.h"

using namespace sluice;
using plane::SealedSegment;
using secure::aes_block;
using secure::AesBlock;
using secure::AesCbcDecryptor;

namespace {

using Octets = std::vector<std::uint8_t>;

const AesBlock kKey = *aes_block("000102030405060708090a0b0c0d0e0f");
const AesBlock kVector = *aes_block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");

Octets seal(const Octets& clear, bool padding = true) {
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_128_cbc(), nullptr, kKey.data(), kVector.data());
  EVP_CIPHER_CTX_set_padding(context, padding ? 1 : 0);
  Octets sealed(clear.size() + 16);
  int size = 0;
  int rest = 0;
  EVP_EncryptUpdate(context, sealed.data(), &size, clear.data(), static_cast<int>(clear.size()));
  REQUIRE(EVP_EncryptFinal_ex(context, sealed.data() + size, &rest) == 1);
  EVP_CIPHER_CTX_free(context);
  sealed.resize(static_cast<std::size_t>(size + rest));
  return sealed;
}

/** Packets whose bytes tell their place. */
Octets packets(std::size_t count) {
  Octets clear(count * 188);
  for (std::size_t i = 0; i < clear.size(); i++)
    clear[i] = i % 188 == 0 ? 0x47 : static_cast<std::uint8_t>(i * 7 + i / 188);
  return clear;
}

struct Opened {
  Octets clear;
  std::string fault;
  std::uint64_t position = 0;
};

/** Opens it in pieces of `step` bytes. */
Opened open(const Octets& sealed, std::size_t step, std::uint64_t skip = 0, const AesBlock& key = kKey) {
  const auto segment = SealedSegment::create({key, kVector, skip});
  REQUIRE(segment);
  Opened result;
  const auto take = [&result](codec::Bytes bytes) {
    result.clear.insert(result.clear.end(), bytes.begin(), bytes.end());
  };
  for (std::size_t at = 0; at < sealed.size(); at += step)
    take(segment->open({sealed.data() + at, std::min(step, sealed.size() - at)}));
  take(segment->finish());
  result.fault = segment->fault() == nullptr ? "" : segment->fault();
  result.position = segment->position();
  return result;
}

}  // namespace

TEST_CASE("aes: 32 hexadecimal digits are a block") {
  CHECK(aes_block("000102030405060708090a0b0c0d0e0f")->at(15) == 15);
  CHECK(aes_block("FFffFFffFFffFFffFFffFFffFFffFFff")->at(0) == 0xff);
  for (const char* wrong : {"", "00", "000102030405060708090a0b0c0d0e0g", "000102030405060708090a0b0c0d0e0",
                            "000102030405060708090a0b0c0d0e0f0", " 00102030405060708090a0b0c0d0e0f",
                            "-00102030405060708090a0b0c0d0e0f"})
    CHECK_FALSE(aes_block(wrong));
}

TEST_CASE("aes: the example of NIST SP 800-38A F.2.2") {
  const auto decryptor = AesCbcDecryptor::create(*aes_block("2b7e151628aed2a6abf7158809cf4f3c"),
                                                 *aes_block("000102030405060708090a0b0c0d0e0f"));
  REQUIRE(decryptor);
  Octets sealed;
  for (const char* block : {"7649abac8119b246cee98e9b12e9197d", "5086cb9b507219ee95db113a917678b2"}) {
    const AesBlock b = *aes_block(block);
    sealed.insert(sealed.end(), b.begin(), b.end());
  }
  const codec::Bytes clear = decryptor->update(sealed);
  const AesBlock expected = *aes_block("6bc1bee22e409f96e93d7e117393172a");
  CHECK(std::equal(clear.begin(), clear.end(), expected.begin(), expected.end()));
  CHECK_FALSE(decryptor->finish().has_value());
}

TEST_CASE("sealed segment: whatever the pieces, the clear bytes come out") {
  const Octets clear = packets(40);
  const Octets sealed = seal(clear);
  for (const std::size_t step : {1UL, 7UL, 15UL, 16UL, 17UL, 188UL, 1000UL, sealed.size()}) {
    const Opened opened = open(sealed, step);
    CHECK(opened.clear == clear);
    CHECK(opened.fault.empty());
    CHECK(opened.position == clear.size());
  }
  const Octets large = packets(348);
  CHECK(large.size() < AesCbcDecryptor::kMostInput);
  CHECK(open(seal(large), AesCbcDecryptor::kMostInput).clear == large);
}

TEST_CASE("sealed segment: lengths around the block") {
  for (std::size_t size = 1; size <= 48; size++) {
    Octets clear(size, 0x47);
    CHECK(open(seal(clear), 5).clear == clear);
  }
}

TEST_CASE("sealed segment: what an earlier attempt has taken is left out") {
  const Octets clear = packets(10);
  const Octets sealed = seal(clear);
  for (const std::size_t skip : {1UL, 15UL, 16UL, 188UL, 1000UL, clear.size() - 1, clear.size()}) {
    for (const std::size_t step : {1UL, 64UL, sealed.size()}) {
      const Opened opened = open(sealed, step, skip);
      CHECK(opened.clear == Octets(clear.begin() + static_cast<std::ptrdiff_t>(skip), clear.end()));
      CHECK(opened.position == clear.size());
    }
  }
  CHECK(open(sealed, 64, clear.size() + 1).clear.empty());
}

TEST_CASE("sealed segment: what is wrong is told") {
  const Octets clear = packets(10);
  const Octets sealed = seal(clear);
  SUBCASE("cut at every length") {
    for (std::size_t size = 1; size < sealed.size(); size++) {
      const Opened opened =
          open(Octets(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size)), 61);
      CHECK(std::equal(opened.clear.begin(), opened.clear.end(), clear.begin()));
      // Clear bytes that look like padding may end a message at a block.
      if (size % 16 != 0) CHECK(opened.fault == "its length is no multiple of 16");
      if (size > 16) CHECK(opened.clear.size() + 32 > size);
    }
  }
  SUBCASE("no padding") {
    const Opened opened = open(seal(Octets(1600, 0x47), false), 100);
    CHECK(opened.fault == "the padding at its end is wrong");
    CHECK(opened.clear.size() == 1584);
  }
  SUBCASE("another key") {
    AesBlock other = kKey;
    other[3] ^= 1;
    const Opened opened = open(sealed, 100, 0, other);
    CHECK(opened.fault == "what comes out is not MPEG-TS, the key may be wrong");
    CHECK(opened.clear.empty());
  }
  SUBCASE("nothing at all is no fault of the seal") {
    const Opened opened = open({}, 1);
    CHECK(opened.fault.empty());
    CHECK(opened.position == 0);
  }
}

TEST_CASE("sealed segment: nothing is allocated on the way") {
  const Octets sealed = seal(packets(300));
  const auto segment = SealedSegment::create({kKey, kVector, 500});
  REQUIRE(segment);
  const std::uint64_t before = test::allocations();
  std::size_t size = 0;
  for (std::size_t at = 0; at < sealed.size(); at += 1024)
    size += segment->open({sealed.data() + at, std::min<std::size_t>(1024, sealed.size() - at)}).size();
  const std::uint64_t after = test::allocations();
  CHECK(after == before);
  CHECK(size > 50'000);
}
