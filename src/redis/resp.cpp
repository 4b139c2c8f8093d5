#include "resp.hpp"

#include <hiredis/hiredis.h>
#include <new>

namespace holdfast::redis {
namespace {

// hiredis builds a reply from the outside in: an array's object is made before its elements, and an element
// is complete before its next sibling begins. So an element may live by value in its parent's vector: while
// something points at it, it is the last one there, and nothing is pushed behind it.
reply* place_for(const redisReadTask* task) {
    auto* items = static_cast<std::size_t*>(task->privdata);
    if (items != nullptr && ++*items > reply_limits::items) {
        return nullptr;
    }
    if (task->parent == nullptr) {
        return new reply;
    }
    auto* parent = static_cast<reply*>(task->parent->obj);
    return &parent->items.emplace_back();
}

// Exceptions must not pass through C; a null object makes hiredis drop the reply and report an error.
template <typename Fill>
void* make(const redisReadTask* task, Fill fill) noexcept {
    try {
        reply* made = place_for(task);
        if (made != nullptr) {
            fill(*made);
        }
        return made;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void* make_text(const redisReadTask* task, char* bytes, std::size_t size) {
    if (size > reply_limits::text_bytes) {
        return nullptr;
    }
    return make(task, [&](reply& made) {
        made.type = task->type == REDIS_REPLY_ERROR    ? reply::kind::error
                    : task->type == REDIS_REPLY_STATUS ? reply::kind::status
                                                       : reply::kind::string;
        made.text.assign(bytes, size);
    });
}

void* make_array(const redisReadTask* task, int elements) {
    // Only the announced number is checked here; room is made as the elements arrive.
    if (elements < 0 || static_cast<std::size_t>(elements) > reply_limits::items) {
        return nullptr;
    }
    return make(task, [](reply& made) { made.type = reply::kind::array; });
}

void* make_integer(const redisReadTask* task, long long value) {
    return make(task, [value](reply& made) {
        made.type = reply::kind::integer;
        made.integer = value;
    });
}

void* make_nil(const redisReadTask* task) {
    return make(task, [](reply&) {});
}

void free_root(void* root) {
    delete static_cast<reply*>(root);
}

redisReplyObjectFunctions object_functions{make_text, make_array, make_integer, make_nil, free_root};

} // namespace

bool reply::is_error(std::string_view code) const noexcept {
    return is_error() && text.starts_with(code) && (text.size() == code.size() || text[code.size()] == ' ');
}

void reply_reader::free_reader::operator()(redisReader* reader) const noexcept {
    redisReaderFree(reader);
}

reply_reader::reply_reader() : reader_(redisReaderCreateWithFunctions(&object_functions)) {
    if (reader_ == nullptr) {
        throw std::bad_alloc();
    }
}

bool reply_reader::feed(std::string_view bytes) {
    if (broken()) {
        return false;
    }
    unparsed_bytes_ += bytes.size();
    if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
        problem_ = "the reply could not be stored";
        return false;
    }
    return true;
}

std::optional<reply> reply_reader::next() {
    if (broken()) {
        return std::nullopt;
    }
    // The address is set at every call, so that a reader may be moved between calls.
    reader_->privdata = &items_;
    void* root = nullptr;
    if (redisReaderGetReply(reader_.get(), &root) != REDIS_OK) {
        problem_ = reader_->err == REDIS_ERR_OOM ? "a reply exceeds our limits"
                                                 : "not a Redis reply (" + std::string(reader_->errstr) + ")";
        return std::nullopt;
    }
    if (root == nullptr) {
        if (unparsed_bytes_ > reply_limits::bytes) {
            problem_ = "a reply exceeds our limits";
        }
        return std::nullopt;
    }
    const std::unique_ptr<reply> made(static_cast<reply*>(root));
    items_ = 0;
    unparsed_bytes_ = reader_->len - reader_->pos;
    return std::move(*made);
}

void append_command(std::string& out, std::span<const std::string_view> words) {
    std::vector<const char*> starts;
    std::vector<std::size_t> sizes;
    starts.reserve(words.size());
    sizes.reserve(words.size());
    for (const std::string_view word : words) {
        starts.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* text = nullptr;
    const int size =
        redisFormatCommandArgv(&text, static_cast<int>(words.size()), starts.data(), sizes.data());
    if (size < 0) {
        throw std::bad_alloc();
    }
    const std::unique_ptr<char, decltype(&redisFreeCommand)> owned(text, &redisFreeCommand);
    out.append(text, static_cast<std::size_t>(size));
}

} // namespace holdfast::redis
