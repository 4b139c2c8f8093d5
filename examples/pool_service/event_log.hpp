// One plain line per event on standard output: seconds since 1970, service, who, what, details.
//
// Thread-safe: a line is written whole, or not at all.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

class event_log {
  public:
    explicit event_log(std::string service) : service_(std::move(service)) {}

    void write(const std::string& who, const char* what, const std::string& details = {}) const {
        const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
        std::printf("%.6f %s %s %s %s\n", now.count(), service_.c_str(), who.c_str(), what, details.c_str());
        std::fflush(stdout);
    }

  private:
    std::string service_;
};
