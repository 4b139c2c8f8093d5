#include "store.hpp"

#include "session.hpp"

namespace holdfast::sim {

namespace {

class sim_store final : public store {
  public:
    explicit sim_store(backend& to) : to_(to), link_(to.over.connect(to.on.mine())) {
        network_thread_ = to_.on.start_in(to_.on.mine(), "network", [over = link_] { over->serve(); });
        link_->reconnected = [this] {
            for (const auto& each : sessions_) {
                if (const auto session = each.lock()) {
                    session->look();
                }
            }
        };
    }
    ~sim_store() override {
        link_->stop();
        to_.on.join(network_thread_);
        link_->reconnected = nullptr;
    }
    sim_store(const sim_store&) = delete;
    sim_store& operator=(const sim_store&) = delete;

    store_traits traits() const override {
        return {.engine = "simulated",
                .gives = level::fenced,
                .why = {},
                .clock = clock_source::boottime,
                .lease_per_claim = to_.behind.how().lease_per_claim,
                .min_ttl = std::chrono::milliseconds(1),
                .max_ttl = std::chrono::hours(24)};
    }
    result<void> check(instant) override { return {}; }

    result<std::shared_ptr<store_session>> open(const session_request& request, instant give_up) override {
        const instant sent_at = to_.on.now();
        auto made = std::make_shared<sim_session>(to_, link_, request, sent_at);
        made->begin(); // Before the engine knows it: a notice must find its listener.
        const auto opened = round_trip<bool>(to_, link_, give_up, [&to = to_, request] {
            to.behind.open(request.id, request.ttl);
            return true;
        });
        if (!opened) {
            return error(errc::unavailable, "opening a simulated session: " + opened.error().message());
        }
        std::erase_if(sessions_, [](const auto& each) { return each.expired(); });
        sessions_.push_back(made);
        return std::shared_ptr<store_session>(std::move(made));
    }

    result<std::vector<resource_status>> list(instant) override { return std::vector<resource_status>(); }

    result<resource_status> show(const resource_name& name, instant give_up) override {
        return round_trip<resource_status>(
            to_, link_, give_up, [&to = to_, bytes = name.bytes()] { return to.behind.show(bytes); });
    }
    result<void> resize(const resource_name& name, std::uint32_t permits, instant give_up) override {
        const auto done = round_trip<bool>(to_, link_, give_up, [&to = to_, bytes = name.bytes(), permits] {
            return to.behind.resize(bytes, permits);
        });
        if (!done) {
            return done.error();
        }
        return *done ? result<void>() : error(errc::misuse, "the simulated line cannot have this capacity");
    }
    result<std::size_t> break_holds(const resource_name& name, std::optional<token> only,
                                    instant give_up) override {
        return round_trip<std::size_t>(to_, link_, give_up, [&to = to_, bytes = name.bytes(), only] {
            return to.behind.break_holds(bytes, only);
        });
    }

  private:
    backend& to_;
    const std::shared_ptr<link> link_;
    kernel::thread_number network_thread_;
    std::vector<std::weak_ptr<sim_session>> sessions_;
};

} // namespace

std::unique_ptr<store> connect(backend& to) {
    return std::make_unique<sim_store>(to);
}

} // namespace holdfast::sim
