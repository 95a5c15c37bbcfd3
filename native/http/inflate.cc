#include "http/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

// Node's executable exports its zlib, but under names that differ between builds: Chromium's prefix or none
// (shared zlib). Both are looked up weakly, so that one addon loads everywhere; the header's own macros must
// not rename these.
extern "C" {
int sluice_inflate_init(z_streamp, int, const char*, int) __asm__("inflateInit2_")
    __attribute__((weak, visibility("default")));
int sluice_inflate(z_streamp, int) __asm__("inflate") __attribute__((weak, visibility("default")));
int sluice_inflate_reset(z_streamp, int) __asm__("inflateReset2")
    __attribute__((weak, visibility("default")));
int sluice_inflate_end(z_streamp) __asm__("inflateEnd") __attribute__((weak, visibility("default")));
int sluice_cr_inflate_init(z_streamp, int, const char*, int) __asm__("Cr_z_inflateInit2_")
    __attribute__((weak, visibility("default")));
int sluice_cr_inflate(z_streamp, int) __asm__("Cr_z_inflate") __attribute__((weak, visibility("default")));
int sluice_cr_inflate_reset(z_streamp, int) __asm__("Cr_z_inflateReset2")
    __attribute__((weak, visibility("default")));
int sluice_cr_inflate_end(z_streamp) __asm__("Cr_z_inflateEnd") __attribute__((weak, visibility("default")));
}

namespace sluice::http {

namespace {

struct Zlib {
  decltype(&sluice_inflate_init) init;
  decltype(&sluice_inflate) inflate;
  decltype(&sluice_inflate_reset) reset;
  decltype(&sluice_inflate_end) end;
  [[nodiscard]] bool complete() const noexcept {
    return init != nullptr && inflate != nullptr && reset != nullptr && end != nullptr;
  }
};

const Zlib& zlib() noexcept {
  static const Zlib found = [] {
    const Zlib own{sluice_cr_inflate_init, sluice_cr_inflate, sluice_cr_inflate_reset, sluice_cr_inflate_end};
    if (own.complete()) return own;
    return Zlib{sluice_inflate_init, sluice_inflate, sluice_inflate_reset, sluice_inflate_end};
  }();
  return found;
}

constexpr int kGzipWindow = 15 + 16;
constexpr int kZlibWindow = 15;
constexpr int kRawWindow = -15;
constexpr std::size_t kOutputSize = 32 * 1024;
constexpr std::uint8_t kGzipMagic = 0x1f;

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

}  // namespace

ContentCoding content_coding(std::string_view field) noexcept {
  const auto first = field.find_first_not_of(" \t");
  if (first == std::string_view::npos) return ContentCoding::identity;
  field = field.substr(first, field.find_last_not_of(" \t") - first + 1);
  if (equals_ignoring_case(field, "identity")) return ContentCoding::identity;
  if (equals_ignoring_case(field, "gzip") || equals_ignoring_case(field, "x-gzip"))
    return ContentCoding::gzip;
  if (equals_ignoring_case(field, "deflate")) return ContentCoding::deflate;
  return ContentCoding::unsupported;
}

struct Inflater::Stream {
  z_stream z{};
  ContentCoding coding = ContentCoding::gzip;
  bool started = false;
  bool ended = false;
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::array<std::uint8_t, kOutputSize> output;

  Stream() noexcept {}  // NOLINT: `output` is filled before it is read
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (started) zlib().end(&z);
  }
  int run(codec::Bytes input, Step& step) noexcept;
};

bool Inflater::available() noexcept {
  return zlib().complete();
}

std::unique_ptr<Inflater> Inflater::create(ContentCoding coding) {
  if (!available() || (coding != ContentCoding::gzip && coding != ContentCoding::deflate)) return nullptr;
  auto stream = std::make_unique<Stream>();
  stream->coding = coding;
  const int window = coding == ContentCoding::gzip ? kGzipWindow : kZlibWindow;
  if (zlib().init(&stream->z, window, ZLIB_VERSION, static_cast<int>(sizeof(z_stream))) != Z_OK)
    return nullptr;
  stream->started = true;
  return std::unique_ptr<Inflater>(new Inflater(std::move(stream)));
}

Inflater::Inflater(std::unique_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
Inflater::~Inflater() = default;

int Inflater::Stream::run(codec::Bytes input, Step& step) noexcept {
  z.next_in = const_cast<Bytef*>(input.data());
  z.avail_in = static_cast<uInt>(input.size());
  z.next_out = output.data();
  z.avail_out = static_cast<uInt>(output.size());
  const int result = zlib().inflate(&z, Z_NO_FLUSH);
  step.consumed = input.size() - z.avail_in;
  step.output = {output.data(), output.size() - z.avail_out};
  step.output_full = z.avail_out == 0;
  in += step.consumed;
  out += step.output.size();
  return result;
}

Inflater::Step Inflater::step(codec::Bytes input) noexcept {
  Stream& s = *stream_;
  Step step;
  if (s.ended) {
    // RFC 1952 section 2.2: members may follow each other; anything else after the end is padding.
    step.consumed = input.size();
    step.state = State::ended;
    if (input.empty() || input[0] != kGzipMagic || s.coding != ContentCoding::gzip) return step;
    if (zlib().reset(&s.z, kGzipWindow) != Z_OK) return step;
    s.ended = false;
    step = {};
  }
  // Many servers send "deflate" without the zlib wrapper, whose first byte names method 8 (RFC 1950
  // section 2.2).
  if (s.coding == ContentCoding::deflate && s.in == 0 && !input.empty() && (input[0] & 0x0f) != 8) {
    if (zlib().reset(&s.z, kRawWindow) != Z_OK) return {State::corrupt, 0, {}, false};
  }
  const int result = s.run(input, step);
  if (result == Z_STREAM_END) {
    s.ended = true;
    step.state = State::ended;
  } else if (result != Z_OK && result != Z_BUF_ERROR) {
    step.state = State::corrupt;
  } else if (s.out > kFreeOutput && s.out / kMaxExpansion > s.in) {
    step.state = State::expands;
  }
  return step;
}

}  // namespace sluice::http
