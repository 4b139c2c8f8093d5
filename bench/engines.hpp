// The lines that this build can measure, one function per engine.
#pragma once

#include <vector>

#include "frame.hpp"

namespace holdfast::bench {

void add_local_lines(std::vector<line>& lines);
void add_local_scale_lines(std::vector<line>& lines);
/// Of the command `holdfast run`, on the stores there are.
void add_command_lines(std::vector<line>& lines);
#ifdef HOLDFAST_HAS_ETCD
void add_etcd_lines(std::vector<line>& lines);
/// Called by it.
void add_etcd_crowd_lines(std::vector<line>& lines);
#endif
#ifdef HOLDFAST_HAS_REDIS
void add_redis_lines(std::vector<line>& lines);
#endif

} // namespace holdfast::bench
