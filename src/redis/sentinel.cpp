#include "sentinel.hpp"

#include "core/boottime.hpp"

#include <charconv>
#include <utility>

namespace holdfast::redis {

namespace {

std::string shown(const core::endpoint& at) {
    return at.host + ":" + std::to_string(at.port);
}

} // namespace

std::shared_ptr<sentinel_search> sentinel_search::start(loop& io, const settings& where, handler found) {
    std::shared_ptr<sentinel_search> made(new sentinel_search(io, where, std::move(found)));
    made->ask_next();
    return made;
}

std::optional<core::endpoint> sentinel_search::read(const reply& got) {
    if (got.type != reply::kind::array || got.items.size() != 2 || got.items[0].str().empty()) {
        return std::nullopt;
    }
    const std::string_view digits = got.items[1].str();
    std::uint16_t port = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (problem != std::errc() || end != digits.data() + digits.size() || port == 0) {
        return std::nullopt;
    }
    return core::endpoint{std::string(got.items[0].str()), port};
}

void sentinel_search::ask_next() {
    if (next_ == where_.sentinels.size()) {
        finish(error(errc::unavailable,
                     "no sentinel told where the master '" + where_.sentinel_master + "' is:" + trouble_));
        return;
    }
    settings at = where_;
    at.host = where_.sentinels[next_].host;
    at.port = where_.sentinels[next_].port;
    reader_ = std::make_unique<reply_reader>();
    const std::weak_ptr<sentinel_search> weak = weak_from_this();
    const auto share = where_.op_timeout / (2 * where_.sentinels.size());
    late_ = io_.call_at(boottime() + share, [weak] {
        if (const auto self = weak.lock()) {
            self->late_.reset();
            self->failed("no answer in time");
        }
    });
    wire_ = wire::open(io_, at, channel::other,
                       {.on_open =
                            [weak] {
                                if (const auto self = weak.lock()) {
                                    std::string question;
                                    append_command(question, {"SENTINEL", "get-master-addr-by-name",
                                                              self->where_.sentinel_master});
                                    self->wire_->write(question);
                                }
                            },
                        .on_bytes =
                            [weak](std::string_view bytes) {
                                if (const auto self = weak.lock()) {
                                    self->take(bytes);
                                }
                            },
                        .on_down =
                            [weak](const error& why) {
                                if (const auto self = weak.lock()) {
                                    self->failed(why.message());
                                }
                            }});
}

void sentinel_search::take(std::string_view bytes) {
    reader_->feed(bytes);
    const auto got = reader_->next();
    if (reader_->broken()) {
        failed(reader_->problem());
    } else if (got) {
        if (auto master = read(*got)) {
            finish(std::move(*master));
        } else {
            failed(got->is_error() ? got->text : "it does not know this master");
        }
    }
}

void sentinel_search::failed(const std::string& why) {
    trouble_ += (next_ == 0 ? " " : "; ") + shown(where_.sentinels[next_]) + ": " + why;
    stop_timer();
    if (const auto from = std::exchange(wire_, nullptr)) {
        from->close();
    }
    ++next_;
    ask_next();
}

void sentinel_search::finish(result<core::endpoint> master) {
    const handler found = std::exchange(found_, {});
    end();
    if (found) {
        found(std::move(master));
    }
}

void sentinel_search::end() {
    stop_timer();
    if (const auto from = std::exchange(wire_, nullptr)) {
        from->close();
    }
    found_ = {};
}

void sentinel_search::stop_timer() {
    if (late_) {
        io_.cancel(*std::exchange(late_, std::nullopt));
    }
}

} // namespace holdfast::redis
