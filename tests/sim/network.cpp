#include "network.hpp"

namespace holdfast::sim {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

std::shared_ptr<link> network::connect(process& whose) {
    auto made = std::make_shared<link>(*this, whose);
    made->self_ = made;
    links_.push_back(made);
    return made;
}

true_time network::arrival(fault late) {
    if (dice_.permille(weather_.late)) {
        tally_.note(late);
        return kernel_.time() + dice_.between(weather_.slowest, weather_.latest);
    }
    return kernel_.time() + dice_.between(microseconds(20), weather_.slowest);
}

bool link::send(message at_engine) {
    if (!up()) {
        return false;
    }
    network& net = over_;
    if (net.dice_.permille(net.weather_.lost)) {
        net.tally_.note(fault::lost_request);
        return true;
    }
    const std::uint64_t number = ++sent_;
    const auto arrives = [self = self_.lock(), era = net.era_, number, what = std::move(at_engine)] {
        if (self->over_.era_ != era) {
            return;
        }
        if (number < self->arrived_) {
            self->over_.tally_.note(fault::reordered);
        }
        self->arrived_ = std::max(self->arrived_, number);
        what();
    };
    if (net.dice_.permille(net.weather_.repeated)) {
        net.tally_.note(fault::repeated_request);
        net.kernel_.at(net.arrival(fault::late_request), arrives);
    }
    net.kernel_.at(net.arrival(fault::late_request), arrives);
    return true;
}

void link::reply(message at_client) {
    network& net = over_;
    if (net.dice_.permille(net.weather_.lost)) {
        net.tally_.note(fault::lost_reply);
        return;
    }
    const auto arrives = [self = self_.lock(), era = net.era_, connection = connection_,
                          what = std::move(at_client)] {
        if (self->over_.era_ == era) {
            self->deliver({connection, what});
        }
    };
    if (net.dice_.permille(net.weather_.repeated)) {
        net.tally_.note(fault::repeated_reply);
        net.kernel_.at(net.arrival(fault::late_reply), arrives);
    }
    net.kernel_.at(net.arrival(fault::late_reply), arrives);
}

void link::local(true_time when, message at_client) {
    over_.kernel_.at(when, [self = self_.lock(), what = std::move(at_client)] { self->deliver({0, what}); });
}

void link::deliver(parcel what) {
    if (stopping_ || (what.connection != 0 && (!up() || what.connection != connection_))) {
        return;
    }
    inbox_.push_back(std::move(what));
    over_.kernel_.wake(this);
}

void link::serve() {
    while (!stopping_) {
        if (inbox_.empty()) {
            over_.kernel_.sleep(this, instant::max());
            continue;
        }
        const message next = std::move(inbox_.front().what);
        inbox_.pop_front();
        next();
    }
    inbox_.clear();
}

void link::stop() {
    stopping_ = true;
    over_.kernel_.wake(this);
}

void link::break_until(true_time when) {
    if (!up_ || stopping_) {
        return;
    }
    up_ = false;
    ++connection_;
    over_.tally_.note(fault::disconnect);
    over_.kernel_.at(when, [self = self_.lock()] {
        self->up_ = true;
        if (self->stopping_ || self->whose_.crashed) {
            return;
        }
        self->over_.tally_.note(fault::reconnect);
        self->deliver({0, [self] {
                           if (self->reconnected) {
                               self->reconnected();
                           }
                       }});
    });
}

} // namespace holdfast::sim
