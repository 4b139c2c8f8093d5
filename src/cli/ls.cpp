#include <algorithm>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {
namespace {

void keep_stale(std::vector<resource_status>& resources) {
    std::erase_if(resources, [](const resource_status& resource) {
        return std::none_of(resource.claims.begin(), resource.claims.end(),
                            [](const claim_status& claim) { return claim.stale; });
    });
}

} // namespace

int ls_command(const command_line& line, const settings& chosen) {
    const result<locks> store = try_connect(chosen.url, chosen.how);
    if (!store) {
        return failed(store.error());
    }
    result<std::vector<resource_status>> resources = store->list();
    if (!resources) {
        return failed(resources.error());
    }
    if (line.ls.stale_only) {
        keep_stale(*resources);
    }
    sort_resources(*resources, line.ls.order);
    if (line.global.json) {
        return print(list_json(store->url(), store->traits(), *resources));
    }
    if (resources->empty() && !line.global.quiet) {
        say((line.ls.stale_only ? "nothing is stale in " : "nobody holds or waits for anything in ") +
            store->url());
    }
    if (resources->empty()) {
        return exit_code::ok;
    }
    return print(render_table(*resources, std::chrono::system_clock::now(), style_for(line.global)));
}

int version_command(const command_line& line) {
    const std::vector<std::string> stores{
        "local",
#ifdef HOLDFAST_HAS_ETCD
        "etcd",
#endif
#ifdef HOLDFAST_HAS_REDIS
        "redis",
#endif
    };
    return print(line.global.json ? version_json(HOLDFAST_VERSION, stores)
                                  : "holdfast " HOLDFAST_VERSION "\n");
}

} // namespace holdfast::cli
