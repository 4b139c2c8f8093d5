// A PostgreSQL connection of one thread, by libpq. Not thread-safe.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

class database {
  public:
    /// The server gave no connection.
    struct refused : std::runtime_error {
        using runtime_error::runtime_error;
    };

    explicit database(const std::string& url) : connection_(PQconnectdb(url.c_str()), PQfinish) {
        if (PQstatus(connection_.get()) != CONNECTION_OK) {
            throw refused(first_line());
        }
    }
    database(const database&) = delete;
    database& operator=(const database&) = delete;

    /// PQfinish returns while the server still has to end its side, which counts as a connection until then.
    /// So say goodbye first and wait for the server's: whoever connects next finds room.
    ~database() {
        pollfd answer{PQsocket(connection_.get()), POLLIN, 0};
        ::shutdown(answer.fd, SHUT_WR);
        char byte = 0;
        while (::poll(&answer, 1, goodbye_ms) == 1 && ::recv(answer.fd, &byte, 1, 0) > 0) {
        }
    }

    /// Runs one statement; what stands for $1, $2, ... are texts. Returns how many rows it gave or changed.
    template <typename... Text>
    int run(const char* sql, const Text&... parameters) {
        const std::array<const char*, sizeof...(parameters) + 1> values{parameters.c_str()..., nullptr};
        const std::unique_ptr<PGresult, decltype(&PQclear)> answer(
            PQexecParams(connection_.get(), sql, sizeof...(parameters), nullptr, values.data(), nullptr,
                         nullptr, 0),
            PQclear);
        const ExecStatusType status = PQresultStatus(answer.get());
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            throw std::runtime_error(first_line());
        }
        return std::atoi(PQcmdTuples(answer.get()));
    }

  private:
    static constexpr int goodbye_ms = 5000;

    std::string first_line() const {
        const std::string text = PQerrorMessage(connection_.get());
        return text.substr(0, text.find('\n'));
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};
