// Where each store of this build comes from. One server per engine serves the whole test program.
#include "contract/reference_store.hpp"
#include "contract/world.hpp"

#include "core/factory.hpp"
#include "support/servers.hpp"
#include "support/temp_dir.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

class reference_world final : public world {
  public:
    std::unique_ptr<store> connect() override { return engine_.connect(); }
    std::chrono::nanoseconds short_ttl() const override { return 300ms; }

  private:
    reference_engine engine_;
};

/// A store behind a URL, connected to as a program would.
class url_world final : public world {
  public:
    url_world(std::string url, std::chrono::nanoseconds short_ttl)
        : url_(std::move(url)), short_ttl_(short_ttl) {}

    std::unique_ptr<store> connect() override {
        auto made = core::make_store({.url = core::parse_url(url_).value(),
                                      .op_timeout = 5s,
                                      .ttl = 10s,
                                      .ca_file = {},
                                      .cert_file = {},
                                      .key_file = {}});
        std::unique_ptr<store> engine = std::move(made).value();
        engine->check(now(engine->traits().clock) + 10s).value();
        return engine;
    }
    std::string url() const override { return url_; }
    std::chrono::nanoseconds short_ttl() const override { return short_ttl_; }

  private:
    std::string url_;
    std::chrono::nanoseconds short_ttl_;
};

} // namespace

std::vector<world_maker> all_worlds() {
    std::vector<world_maker> worlds;
    worlds.push_back({"reference", [] { return std::make_unique<reference_world>(); }});
#ifdef HOLDFAST_HAS_LOCAL
    worlds.push_back({"local", [] {
                          static temp_dir folder("holdfast-contract");
                          return std::make_unique<url_world>("local:" + folder.path().string(), 500ms);
                      }});
#endif
#ifdef HOLDFAST_HAS_ETCD
    worlds.push_back({"etcd", [] {
                          static etcd_server server;
                          return std::make_unique<url_world>(server.url(), 1s);
                      }});
#endif
#ifdef HOLDFAST_HAS_REDIS
    worlds.push_back({"redis", [] {
                          static redis_server server;
                          return std::make_unique<url_world>(server.url(), 1s);
                      }});
#endif
    return worlds;
}

} // namespace holdfast::testing
