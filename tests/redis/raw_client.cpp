#include "raw_client.hpp"

#include <stdexcept>

#include <hiredis/hiredis.h>

namespace holdfast::testing {
namespace {

redis::reply copy(const redisReply& from) {
    using kind = redis::reply::kind;
    redis::reply made;
    switch (from.type) {
    case REDIS_REPLY_INTEGER:
        made.type = kind::integer;
        made.integer = from.integer;
        break;
    case REDIS_REPLY_NIL:
        break;
    case REDIS_REPLY_ARRAY:
        made.type = kind::array;
        for (std::size_t i = 0; i < from.elements; ++i) {
            made.items.push_back(copy(*from.element[i]));
        }
        break;
    default:
        made.type = from.type == REDIS_REPLY_ERROR    ? kind::error
                    : from.type == REDIS_REPLY_STATUS ? kind::status
                                                      : kind::string;
        made.text.assign(from.str, static_cast<std::size_t>(from.len));
    }
    return made;
}

} // namespace

raw_client::raw_client(std::uint16_t port) : connection_(redisConnect("127.0.0.1", port)) {
    if (connection_ == nullptr || connection_->err != 0) {
        throw std::runtime_error("the raw client cannot connect");
    }
}

raw_client::~raw_client() {
    redisFree(connection_);
}

redis::reply raw_client::operator()(const std::vector<std::string>& words) {
    send(words);
    return read();
}

void raw_client::send(const std::vector<std::string>& words) {
    std::vector<const char*> starts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
        starts.push_back(word.data());
        sizes.push_back(word.size());
    }
    redisAppendCommandArgv(connection_, static_cast<int>(words.size()), starts.data(), sizes.data());
}

redis::reply raw_client::read() {
    void* got = nullptr;
    if (redisGetReply(connection_, &got) != REDIS_OK) {
        throw std::runtime_error(std::string("the raw client lost its connection: ") + connection_->errstr);
    }
    const std::unique_ptr<void, decltype(&freeReplyObject)> owned(got, &freeReplyObject);
    return copy(*static_cast<redisReply*>(got));
}

} // namespace holdfast::testing
