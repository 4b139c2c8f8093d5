// Any text as the URL of a Redis store: it is refused with errc::config, or says where a server is.
#include <cstdlib>
#include <string_view>

#include "core/factory.hpp"
#include "redis/settings.hpp"

namespace {

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    // Every third starts as one of ours does: the schemes would take long to be found.
    constexpr std::string_view starts[]{"", "redis://", "redis+sentinel://a:1,b/m?"};
    const std::string_view start = size == 0 ? "" : starts[data[0] % 3];
    const std::string text =
        std::string(start) + std::string(reinterpret_cast<const char*>(data), size).substr(size == 0 ? 0 : 1);
    const auto url = core::parse_url(text);
    if (!url) {
        require(url.error().code() == errc::config);
        return 0;
    }
    // A password must not be shown, unless the rest of the URL says the same.
    if (url->password.size() > 8 && url->user.empty() && url->path.empty() && url->query.empty() &&
        url->endpoints.size() == 1 && url->endpoints.front().host.find(url->password) == std::string::npos) {
        require(url->redacted.find(":" + url->password + "@") == std::string::npos);
    }
    const auto where = redis::settings::from(
        {.url = *url, .op_timeout = {}, .ttl = {}, .ca_file = {}, .cert_file = {}, .key_file = {}}, nullptr);
    if (!where) {
        require(where.error().code() == errc::config);
        return 0;
    }
    require(!where->shown().empty());
    require(!where->host.empty() || !where->socket_path.empty() ||
            (!where->sentinels.empty() && !where->sentinel_master.empty()));
    return 0;
}
