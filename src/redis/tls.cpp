#include "tls.hpp"

#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/context.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace holdfast::redis {
namespace {

namespace ssl = boost::asio::ssl;

class openssl_filter final : public tls_filter {
  public:
    openssl_filter(ssl::context& trust, const std::string& host) : session_(SSL_new(trust.native_handle())) {
        incoming_ = BIO_new(BIO_s_mem());
        outgoing_ = BIO_new(BIO_s_mem());
        SSL_set_bio(session_.get(), incoming_, outgoing_); // It owns both.
        SSL_set_connect_state(session_.get());
        boost::system::error_code not_an_address;
        static_cast<void>(boost::asio::ip::make_address(host, not_an_address));
        X509_VERIFY_PARAM* const terms = SSL_get0_param(session_.get());
        if (not_an_address) {
            X509_VERIFY_PARAM_set_hostflags(terms, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
            X509_VERIFY_PARAM_set1_host(terms, host.c_str(), host.size());
            SSL_set_tlsext_host_name(session_.get(), host.c_str());
        } else {
            X509_VERIFY_PARAM_set1_ip_asc(terms, host.c_str());
        }
    }

    state shake_hands() override {
        ERR_clear_error();
        return judge(SSL_do_handshake(session_.get()), state::going_on);
    }

    void feed(std::string_view encrypted) override {
        BIO_write(incoming_, encrypted.data(), static_cast<int>(encrypted.size()));
    }

    state read(std::string& plain) override {
        for (;;) {
            ERR_clear_error();
            std::array<char, 16 * 1024>
                buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): SSL_read writes it.
            const int size = SSL_read(session_.get(), buffer.data(), static_cast<int>(buffer.size()));
            if (size <= 0) {
                return judge(size, state::done);
            }
            plain.append(buffer.data(), static_cast<std::size_t>(size));
        }
    }

    bool write(std::string_view plain) override {
        ERR_clear_error();
        return SSL_write(session_.get(), plain.data(), static_cast<int>(plain.size())) > 0;
    }

    void take_encrypted(std::string& out) override {
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(outgoing_, &bytes);
        if (size > 0) {
            out.append(bytes, static_cast<std::size_t>(size));
            BIO_reset(outgoing_);
        }
    }

    std::string problem() const override { return problem_; }

  private:
    /// A memory BIO that ran dry is no end: more will be fed.
    state judge(int outcome, state when_dry) {
        if (outcome > 0) {
            return state::done;
        }
        const int why = SSL_get_error(session_.get(), outcome);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            return when_dry;
        }
        if (why != SSL_ERROR_ZERO_RETURN) {
            std::array<char, 256> text{};
            const unsigned long code = ERR_get_error();
            const char* const reason = ERR_reason_error_string(code);
            problem_ = reason != nullptr ? reason
                                         : (ERR_error_string_n(code, text.data(), text.size()), text.data());
        }
        return state::failed;
    }

    struct closer {
        void operator()(SSL* session) const noexcept { SSL_free(session); }
    };
    const std::unique_ptr<SSL, closer> session_;
    BIO* incoming_ = nullptr;
    BIO* outgoing_ = nullptr;
    std::string problem_;
};

} // namespace

result<std::unique_ptr<tls_filter>> tls_filter::make(const settings& where) {
    ssl::context trust(ssl::context::tls_client);
    std::string file;
    try {
        if (where.ca_file.empty()) {
            trust.set_default_verify_paths();
        } else {
            file = where.ca_file;
            trust.load_verify_file(file);
        }
        if (!where.cert_file.empty()) {
            file = where.cert_file;
            trust.use_certificate_chain_file(file);
            file = where.key_file;
            trust.use_private_key_file(file, ssl::context::pem);
        }
    } catch (const boost::system::system_error& failed) {
        return error(errc::config, "the TLS file '" + file + "' cannot be used: " + failed.code().message());
    }
    trust.set_verify_mode(ssl::verify_peer);
    SSL_CTX_set_min_proto_version(trust.native_handle(), TLS1_2_VERSION);
    return std::unique_ptr<tls_filter>(std::make_unique<openssl_filter>(trust, where.host));
}

} // namespace holdfast::redis
