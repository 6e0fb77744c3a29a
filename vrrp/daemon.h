#pragma once

#include <string>

#include "base/result.h"
#include "config/model.h"

/// Theory of operation. sluice-vrrp is three threads, so that nothing can come between a timer and its
/// advert: the speaker (speaker.h: sockets and state machines, real-time), the kernel side (kernel_side.h:
/// whatever may wait for the kernel, one priority lower), and main, which does everything else at ordinary
/// priority: configuration, vrrp.sock, trackers, notify commands, the log. They share nothing but rings and
/// one atomic word per instance.
namespace sluice::vrrp {

/// Runs until SIGTERM or SIGINT. `config_file` is read again when a reload is asked for. Errors: it could not
/// start; nothing that the network does ends it.
base::Result<void> run_vrrp(config::Config config, const std::string& config_file,
                            const std::string& runtime_dir);

}  // namespace sluice::vrrp
