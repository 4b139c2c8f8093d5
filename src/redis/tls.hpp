// TLS as a filter of bytes: it moves none of them itself. OpenSSL stays in tls.cpp.
//
// Used inside the loop, or by whoever opens the connection, by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "settings.hpp"

namespace holdfast::redis {

class tls_filter {
  public:
    /// Errors: config (a file that cannot be used, with its name).
    static result<std::unique_ptr<tls_filter>> make(const settings& where);
    virtual ~tls_filter() = default;

    enum class state { going_on, done, failed };

    /// Goes on with the handshake after bytes were fed. What is to be sent is taken by take_encrypted().
    virtual state shake_hands() = 0;

    /// What came from the network.
    virtual void feed(std::string_view encrypted) = 0;
    /// Appends what it says in the clear. done: nothing more for now; failed: the stream is over.
    virtual state read(std::string& plain) = 0;
    /// False where it cannot be encrypted: the stream is over.
    virtual bool write(std::string_view plain) = 0;
    /// Appends what has to be sent.
    virtual void take_encrypted(std::string& out) = 0;

    /// Why it failed, in OpenSSL's words.
    virtual std::string problem() const = 0;
};

} // namespace holdfast::redis
