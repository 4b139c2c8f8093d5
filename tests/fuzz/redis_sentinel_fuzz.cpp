// What a sentinel may answer when it is asked for the master, in pieces of any size: an address, or none.
// Never a crash, and never an address that nobody could connect to.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fuzzer/FuzzedDataProvider.h>

#include "redis/resp.hpp"
#include "redis/sentinel.hpp"

namespace {

/// Mostly of the form that an answer has: hardly anything else gets past the reader, which knows nothing of
/// the fuzzer.
std::string part(FuzzedDataProvider& from) {
    const int kind = from.ConsumeIntegralInRange<int>(0, 9);
    const std::string text =
        kind < 4 ? std::to_string(from.ConsumeIntegral<std::int32_t>()) : from.ConsumeRandomLengthString(40);
    if (kind == 9) {
        return text;
    }
    if (kind == 8) {
        return ":" + std::to_string(from.ConsumeIntegral<std::int64_t>()) + "\r\n";
    }
    return kind == 7 ? "+" + text + "\r\n" : "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzedDataProvider from(data, size);
    const auto piece = from.ConsumeIntegralInRange<std::size_t>(1, 200);
    std::string said;
    while (from.remaining_bytes() > 0) {
        const int parts = from.ConsumeIntegralInRange<int>(0, 4);
        said += "*" + std::to_string(parts) + "\r\n";
        for (int i = 0; i < parts; ++i) {
            said += part(from);
        }
    }
    holdfast::redis::reply_reader reader;
    for (std::string_view rest = said; !rest.empty() && reader.feed(rest.substr(0, piece));) {
        rest.remove_prefix(std::min(piece, rest.size()));
        while (const auto got = reader.next()) {
            const auto master = holdfast::redis::sentinel_search::read(*got);
            if (master && (master->host.empty() || master->port == 0 || got->items.size() != 2)) {
                std::abort();
            }
        }
    }
    return 0;
}
