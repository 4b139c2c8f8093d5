#pragma once
// A network that can fail: a TCP proxy from one port of 127.0.0.1 to another, with faults that are switched
// while it runs.
//
// Thread-safe. It has one thread of its own; no byte is lost, changed or reordered but by a cut. The
// destructor cuts every connection.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

namespace holdfast::testing {

/// What happens to the traffic; all at once where several are set.
struct network_fault {
    /// What cuts a connection when the server says something on it.
    enum class at_reply {
        pass,   ///< Nothing does.
        lose,   ///< The request was executed, and nobody hears of it.
        divide, ///< Half of it arrives before the cut.
    };

    std::chrono::milliseconds delay{}; ///< Each way.
    /// Held back, as where packets are lost for a while: TCP repeats them, so all of it arrives after the
    /// healing. Nobody is told that the other end closed, and a new connection hangs.
    bool to_server_held = false;
    bool to_client_held = false;
    bool refused = false; ///< Present and new connections are reset.
    at_reply reply = at_reply::pass;
};

class tcp_proxy {
  public:
    /// Throws std::system_error when it cannot listen.
    explicit tcp_proxy(std::uint16_t target);
    ~tcp_proxy();
    tcp_proxy(const tcp_proxy&) = delete;
    tcp_proxy& operator=(const tcp_proxy&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

    /// From now on, and for connections that are open already.
    void set(const network_fault& fault);
    void heal() { set({}); }
    /// From now on it leads to this port. Resets every connection that is open now, as cut() does.
    void lead_to(std::uint16_t target);
    /// Resets every connection that is open now.
    void cut();
    /// How many connections have been reset by a fault so far.
    [[nodiscard]] std::size_t cuts() const noexcept { return cuts_.load(); }

  private:
    class connection;
    class traffic;

    void run();
    void ring() noexcept;

    std::uint16_t port_ = 0;
    int listener_ = -1;
    int bell_ = -1;
    std::atomic<std::size_t> cuts_{0};

    std::mutex mutex_;
    std::uint16_t target_; // Guarded by mutex_, as is what follows.
    network_fault fault_;
    bool cut_wanted_ = false; // All that are open.
    bool ended_ = false;

    std::thread thread_;
};

} // namespace holdfast::testing
