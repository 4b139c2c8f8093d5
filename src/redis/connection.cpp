#include "connection.hpp"

#include <algorithm>
#include <random>

#include "words.hpp"

#include "core/boottime.hpp"

namespace holdfast::redis {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr milliseconds first_backoff{20};
constexpr milliseconds longest_backoff{2'000};

// The refusals of CLIENT SETNAME that say nothing of the connection: a right that is missing (the first
// request will show whether the others are there), and a command that the server does not have. Any other
// error may be what a server says before it hangs up, as "max number of clients reached".
bool may_go_unnamed(const reply& refusal) {
    const auto says = [&](std::string_view words) { return refusal.text.find(words) != std::string::npos; };
    return refusal.is_error("NOPERM") || refusal.is_error("NOAUTH") || says("unknown command") ||
           says("nknown subcommand");
}

} // namespace

void connection::request(std::span<const std::string_view> words, instant give_up, reply_handler handler) {
    io_.places().expect(channel_);
    if (state_ == state::ready) {
        append_command(out_, words);
        sent_.push_back({std::move(handler), give_up, boottime(), {}});
    } else {
        pending entry{std::move(handler), give_up, {}, {}};
        append_command(entry.bytes, words);
        queued_.push_back(std::move(entry));
        want();
    }
    watch(give_up);
}

void connection::tell(std::initializer_list<std::string_view> words) {
    if (state_ == state::ready) {
        append_command(out_, words);
    }
}

void connection::want() {
    if (state_ != state::down || connect_timed_) {
        return;
    }
    // Always by a timer: nobody's handler is then called from inside request().
    connect_timed_ = true;
    io_.call_at(connect_at_, [weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->state_ == state::down) {
            self->connect_timed_ = false;
            self->connect();
        }
    });
}

void connection::connect() {
    state_ = state::connecting;
    reader_ = std::make_unique<reply_reader>();
    out_.clear();
    connect_until_ = boottime() + where_.op_timeout;
    watch(connect_until_);
    if (where_.sentinels.empty()) {
        open(where_);
        return;
    }
    search_ =
        sentinel_search::start(io_, where_, [weak = weak_from_this()](const result<core::endpoint>& master) {
            const auto self = weak.lock();
            if (!self || self->state_ != state::connecting) {
                return;
            }
            self->search_ = nullptr;
            if (!master) {
                self->drop(master.error());
                return;
            }
            settings at = self->where_;
            at.host = master->host;
            at.port = master->port;
            self->open(at);
        });
}

void connection::open(const settings& at) {
    const std::weak_ptr<connection> weak = weak_from_this();
    wire_ = wire::open(io_, at, channel_,
                       {.on_open =
                            [weak] {
                                if (const auto self = weak.lock()) {
                                    self->greet();
                                }
                            },
                        .on_bytes =
                            [weak](std::string_view bytes) {
                                if (const auto self = weak.lock()) {
                                    self->take(bytes);
                                }
                            },
                        .on_down =
                            [weak](error why) {
                                if (const auto self = weak.lock()) {
                                    self->drop(why);
                                }
                            }});
}

void connection::greet() {
    state_ = state::greeting;
    greetings_left_ = 1;
    // A greeting that is refused makes the connection useless, except that servers may forbid clients to name
    // themselves.
    const auto send = [this](std::initializer_list<std::string_view> words,
                             bool (*may_fail)(const reply& refusal) = nullptr, bool role = false) {
        ++greetings_left_;
        io_.places().expect(channel_);
        append_command(out_, words);
        sent_.push_back({[weak = weak_from_this(), may_fail, role](const result<reply>& outcome, instant) {
                             const auto self = weak.lock();
                             if (!self || !outcome || self->state_ != state::greeting) {
                                 return;
                             }
                             if (outcome->is_error() && (may_fail == nullptr || !may_fail(*outcome))) {
                                 self->drop(error_of(*outcome, self->where_));
                                 return;
                             }
                             if (role && !outcome->is_error() &&
                                 (outcome->items.empty() || outcome->items[0].str() != "master")) {
                                 self->drop({errc::unavailable, "what the sentinels call the " +
                                                                    self->where_.shown() + " is none (yet)"});
                                 return;
                             }
                             self->greeted();
                         },
                         connect_until_,
                         boottime(),
                         {}});
    };
    // A user without a password too: whoever names one does not mean the default user.
    if (!where_.user.empty()) {
        send({"AUTH", where_.user, where_.password});
    } else if (!where_.password.empty()) {
        send({"AUTH", where_.password});
    }
    if (where_.database != 0) {
        send({"SELECT", std::to_string(where_.database)});
    }
    send({"CLIENT", "SETNAME", channel_ == channel::commands ? "holdfast" : "holdfast-messages"},
         may_go_unnamed);
    if (!where_.sentinels.empty()) {
        send({"ROLE"}, may_go_unnamed, true); // Sentinels may be late to know.
    }
    greeted();
}

void connection::greeted() {
    if (--greetings_left_ > 0) {
        return;
    }
    state_ = state::ready;
    backoff_ = nanoseconds::zero();
    const instant at = boottime();
    for (pending& entry : queued_) {
        out_ += entry.bytes;
        entry.bytes = {};
        entry.sent_at = at;
        sent_.push_back(std::move(entry));
    }
    queued_.clear();
    if (listener_.on_ready) {
        listener_.on_ready();
    }
}

void connection::flush() {
    if (!out_.empty() && wire_) {
        wire_->write(out_);
    }
}

void connection::take(std::string_view bytes) {
    const std::shared_ptr<wire> from = wire_;
    reader_->feed(bytes);
    while (wire_ == from) {
        auto got = reader_->next();
        if (!got) {
            break;
        }
        answer(std::move(*got));
    }
    if (wire_ == from && reader_->broken()) {
        drop({errc::unavailable,
              "Redis at " + where_.shown() + " sent what we cannot take: " + reader_->problem()});
    }
}

void connection::answer(reply got) {
    if (channel_ == channel::messages && state_ == state::ready) {
        listener_.on_message(got);
        return;
    }
    if (sent_.empty()) {
        drop({errc::unavailable, "Redis at " + where_.shown() + " sent a reply that nobody had asked for"});
        return;
    }
    pending entry = std::move(sent_.front());
    sent_.pop_front();
    io_.places().settle(channel_);
    // A master that was made a replica: the sentinels know by now who follows it.
    const bool demoted =
        !where_.sentinels.empty() && got.is_error() && got.text.find("READONLY") != std::string::npos;
    const std::shared_ptr<wire> from = wire_;
    entry.handler(std::move(got), entry.sent_at);
    if (demoted && wire_ == from) {
        drop({errc::unavailable, "Redis at " + where_.shown() + " is a replica now"});
    }
}

void connection::drop(const error& why) {
    if (state_ == state::closed) {
        return;
    }
    const bool was_open = state_ == state::ready;
    state_ = state::down;
    if (search_) {
        search_->end();
        search_ = nullptr;
    }
    if (wire_) {
        wire_->close();
        wire_ = nullptr;
    }
    out_.clear();
    back_off();
    std::deque<pending> sent = std::exchange(sent_, {});
    std::deque<pending> queued;
    if (!was_open) {
        // What waits for the connection ends with the attempt; while one that stood is replaced, it goes on
        // waiting.
        queued = std::exchange(queued_, {});
    }
    fail_all(sent, {errc::unknown_outcome, why.message() + " before it replied"});
    fail_all(queued, why);
    if (listener_.on_down) {
        listener_.on_down(why);
    }
    if (!queued_.empty()) {
        want();
    }
}

void connection::fail_all(std::deque<pending>& waiting, const error& why) {
    for (pending& entry : waiting) {
        io_.places().settle(channel_);
        entry.handler(why, entry.sent_at);
    }
}

void connection::back_off() {
    static thread_local std::minstd_rand random{std::random_device{}()};
    connect_at_ = boottime();
    if (backoff_ > nanoseconds::zero()) {
        connect_at_ +=
            std::uniform_int_distribution<std::int64_t>(backoff_.count() / 2, backoff_.count())(random) *
            nanoseconds(1);
    }
    backoff_ = std::clamp<nanoseconds>(2 * backoff_, first_backoff, longest_backoff);
}

// One timer for all requests, armed for the earliest and left alone when that one is answered: in the usual
// case it costs nothing per request.
void connection::watch(instant give_up) {
    if (give_up >= watched_) {
        return;
    }
    watched_ = give_up;
    io_.call_at(give_up, [weak = weak_from_this(), give_up] {
        if (const auto self = weak.lock(); self && self->watched_ == give_up) {
            self->watched_ = instant::max();
            self->check_time();
        }
    });
}

void connection::check_time() {
    const instant at = boottime();
    const bool opening = state_ == state::connecting || state_ == state::greeting;
    const auto late = [at](const pending& entry) { return entry.give_up <= at; };
    const std::string hint =
        where_.tls && state_ == state::connecting ? "; does it speak TLS on this port?" : "";
    if (std::any_of(sent_.begin(), sent_.end(), late) || (opening && connect_until_ <= at)) {
        drop({errc::unavailable, "Redis at " + where_.shown() + " did not answer in time" + hint});
    }
    std::deque<pending> overdue;
    std::erase_if(queued_, [&](pending& entry) {
        if (!late(entry)) {
            return false;
        }
        overdue.push_back(std::move(entry));
        return true;
    });
    fail_all(overdue,
             {errc::unavailable, "Redis at " + where_.shown() + " could not be reached in time" + hint});
    instant next = opening && state_ != state::down ? connect_until_ : instant::max();
    for (const auto* waiting : {&sent_, &queued_}) {
        for (const pending& entry : *waiting) {
            next = std::min(next, entry.give_up);
        }
    }
    if (next != instant::max()) {
        watch(next);
    }
}

void connection::close() {
    if (state_ == state::closed) {
        return;
    }
    drop({errc::unavailable, "the connection to Redis was closed"});
    state_ = state::closed;
    std::deque<pending> queued = std::exchange(queued_, {});
    fail_all(queued, {errc::unavailable, "the connection to Redis was closed"});
}

} // namespace holdfast::redis
