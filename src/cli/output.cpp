#include "cli/output.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <unistd.h>

#include "cli/exit_code.hpp"
#include "cli/text.hpp"

namespace holdfast::cli {

table_style style_for(const global_options& global) {
    table_style style;
    style.aligned = !global.plain;
    if (global.color == color_mode::automatic) {
        const char* no_color = std::getenv("NO_COLOR");
        style.colors = (no_color == nullptr || no_color[0] == '\0') && ::isatty(STDOUT_FILENO) == 1;
    } else {
        style.colors = global.color == color_mode::always;
    }
    style.colors = style.colors && !global.plain;
    return style;
}

int print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
        return exit_code::ok;
    }
    const int failure = errno;
    if (failure == EPIPE) {
        ::signal(SIGPIPE, SIG_DFL);
        ::raise(SIGPIPE);
    }
    say(std::string("cannot write to stdout: ") + std::strerror(failure));
    return exit_code::internal;
}

std::string clock_time() {
    const std::time_t at = std::time(nullptr);
    std::tm parts{};
    ::localtime_r(&at, &parts);
    std::array<char, 16> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%H:%M:%S", &parts)};
}

int failed(const error& why) {
    say(why.message());
    return exit_code_for(why.code());
}

} // namespace holdfast::cli
