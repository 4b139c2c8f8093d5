// What the sessions of one store share: the loop, the connection for commands, the connection for messages.
#pragma once

#include <array>
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

    /// EVALs on their way, by script: behind one of them an EVALSHA is enough.
    std::array<std::size_t, script_count> evals_in_flight{};

  private:
    void on_message(const reply& pushed);
    void on_messages_down(const error& why);
    std::vector<std::shared_ptr<listener>> everybody() const;

    const std::shared_ptr<connection> commands_;
    const std::shared_ptr<connection> messages_;
    std::unordered_map<std::string, std::weak_ptr<listener>> listeners_;
};

} // namespace holdfast::redis
