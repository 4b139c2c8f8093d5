// What the sessions of one store share: the loop, the connection for commands, the connection for messages.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection.hpp"
#include "loop.hpp"
#include "scripts.hpp"
#include "settings.hpp"

namespace holdfast::redis {

/// Who hears of the messages of one channel. Called from inside the loop.
class listener {
  public:
    virtual ~listener() = default;
    /// The subscription stands (again). What was said before it is lost: look for yourself.
    virtual void on_subscribed() = 0;
    virtual void on_message(std::string_view text) = 0;
    /// The subscription cannot stand, or stands no more. True: try again.
    virtual bool on_unsubscribed(const error& why) = 0;
    /// A key that was watched may be gone.
    virtual void on_key_gone(const std::string& key) = 0;
};

class engine : public std::enable_shared_from_this<engine> {
  public:
    explicit engine(settings where);
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    const settings where;
    const std::shared_ptr<loop> io;

    /// Sends the commands in one go and waits for all replies; error replies are among the results.
    /// Errors: those of connection::request. From any thread; blocks, at most until give_up.
    using command = std::vector<std::string>;
    result<std::vector<reply>> query(std::vector<command> commands, instant give_up);

    /// Runs a script for one name and waits for its reply, which is not an error.
    /// Errors: those of connection::request, and what an error reply means.
    result<reply> run(const script& code, const std::string& name, const std::vector<std::string>& arguments,
                      instant give_up);

    /// Inside the loop from here on.
    connection& commands() noexcept { return *commands_; }

    void subscribe(const std::string& channel, std::weak_ptr<listener> who);
    void unsubscribe(const std::string& channel);

    /// Whether the server tells when keys go (notify-keyspace-events). From any thread.
    std::atomic<bool> tells_of_keys{false};
    /// All sessions hear of the key until it was unwatched as often. Only if tells_of_keys.
    void watch_key(const std::string& key);
    void unwatch_key(const std::string& key);

    /// EVALs on their way, by script: behind one of them an EVALSHA is enough.
    std::array<std::size_t, script_count> evals_in_flight{};

  private:
    void ask_for(const std::string& channel);
    void on_message(const reply& pushed);
    void on_subscribed(const std::string& channel);
    void on_messages_down(const error& why);
    std::vector<std::shared_ptr<listener>> everybody() const;

    const std::shared_ptr<connection> commands_;
    const std::shared_ptr<connection> messages_;
    std::unordered_map<std::string, std::weak_ptr<listener>> listeners_;
    const std::string key_prefix_; ///< What the channel of a key begins with.
    std::unordered_map<std::string, std::size_t> watched_keys_;
    std::deque<std::string> asked_for_; ///< Channels whose confirmation is still to come, in order.
};

} // namespace holdfast::redis
