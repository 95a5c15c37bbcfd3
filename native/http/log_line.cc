#include "http/log_line.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "http/token.h"

namespace sluice::http {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::string_view kUpperDigits = "0123456789ABCDEF";
constexpr std::string_view kMask = "***";

/** Puts text into a span, and leaves out what does not fit. */
class Writer {
 public:
  Writer(LogFormat format, std::span<char> into) noexcept : format_(format), into_(into) {}

  Writer& text(std::string_view text) noexcept {
    const std::size_t n = std::min(text.size(), into_.size() - used_);
    std::copy_n(text.data(), n, into_.data() + used_);
    used_ += n;
    return *this;
  }
  Writer& number(std::uint64_t n, std::size_t digits = 1) noexcept {
    std::array<char, 20> buffer{};
    const auto size =
        static_cast<std::size_t>(std::to_chars(buffer.begin(), buffer.end(), n).ptr - buffer.data());
    for (std::size_t i = size; i < digits; i++) text("0");
    return text({buffer.data(), size});
  }
  /** What came from outside. */
  Writer& foreign(std::string_view text) noexcept {
    for (const char c : text) byte(static_cast<std::uint8_t>(c));
    return *this;
  }
  /** The same, without the signatures of tokens. */
  Writer& url(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
      const SecretSpan secret = next_secret(text, at);
      foreign(text.substr(at, secret.begin - at));
      if (secret.begin < text.size()) this->text(kMask);
      at = secret.end;
    }
    return *this;
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  void byte(std::uint8_t c) noexcept {
    const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    if (plain) {
      const char one = static_cast<char>(c);
      text({&one, 1});
    } else if (format_ == LogFormat::json) {
      text("\\u00").text(kDigits.substr(c >> 4, 1)).text(kDigits.substr(c & 15, 1));
    } else {
      text("\\x").text(kUpperDigits.substr(c >> 4, 1)).text(kUpperDigits.substr(c & 15, 1));
    }
  }

  const LogFormat format_;
  const std::span<char> into_;
  std::size_t used_ = 0;
};

struct RemoteText {
  explicit RemoteText(const kernel::Address& address) noexcept {
    const auto bytes = address.bytes();
    if (address.family() == AF_INET6)
      inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
    else
      inet_ntop(AF_INET, bytes.data() + 12, text.data(), text.size());
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
};

/** `20/Nov/2026:11:31:46 +0100`, or by another pattern; English names, since the C locale is kept. */
struct TimeText {
  TimeText(const char* pattern, const std::tm& time) noexcept {
    size = std::strftime(text.data(), text.size(), pattern, &time);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
  std::array<char, 64> text{};
  std::size_t size = 0;
};

std::string_view or_dash(std::string_view text) noexcept {
  return text.empty() ? "-" : text;
}

void put_combined(Writer& line, const AccessRecord& r, const std::timespec& time) noexcept {
  std::tm local{};
  localtime_r(&time.tv_sec, &local);
  line.text(RemoteText(r.remote).text.data()).text(" - - [");
  line.text(TimeText("%d/%b/%Y:%H:%M:%S %z", local).view()).text("] \"");
  if (r.method.empty())
    line.text("-");
  else
    line.foreign(r.method).text(" ").url(r.target).text(" ").text(r.protocol);
  line.text("\" ").number(r.status).text(" ").number(r.bytes).text(" \"");
  line.url(or_dash(r.referer)).text("\" \"").foreign(or_dash(r.user_agent)).text("\"\n");
}

/** Milliseconds with three decimals. */
void put_ms(Writer& line, kernel::Nanos time) noexcept {
  const auto us = static_cast<std::uint64_t>(std::max<kernel::Nanos>(time, 0) / 1000);
  line.number(us / 1000).text(".").number(us % 1000, 3);
}

void put_json(Writer& line, const AccessRecord& r, const std::timespec& time) noexcept {
  std::tm utc{};
  gmtime_r(&time.tv_sec, &utc);
  const auto member = [&line](const char* name, std::string_view value) {
    line.text(R"(",")").text(name).text(R"(":")").foreign(value);
  };
  // RFC 3339
  line.text(R"({"time":")").text(TimeText("%Y-%m-%dT%H:%M:%S.", utc).view());
  line.number(static_cast<std::uint64_t>(time.tv_nsec) / 1'000'000, 3).text("Z");
  member("remote", RemoteText(r.remote).text.data());
  member("method", r.method);
  member("target", "");
  line.url(r.target);
  member("protocol", r.protocol);
  line.text(R"(","status":)").number(r.status).text(R"(,"bytes":)").number(r.bytes);
  line.text(R"(,"duration_ms":)");
  put_ms(line, r.duration);
  line.text(R"(,"first_byte_ms":)");
  if (r.first_byte < 0)
    line.text("null");
  else
    put_ms(line, r.first_byte);
  line.text(R"(,"referer":")").url(r.referer);
  member("user_agent", r.user_agent);
  member("cache", r.cache);
  member("tls", r.tls);
  member("source", r.source);
  line.text("\"}\n");
}

}  // namespace

std::size_t format_line(LogFormat format, const AccessRecord& record, const std::timespec& time,
                        std::span<char> into) noexcept {
  Writer line(format, into);
  if (format == LogFormat::json)
    put_json(line, record, time);
  else
    put_combined(line, record, time);
  return line.used();
}

}  // namespace sluice::http
