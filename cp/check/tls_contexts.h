#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ssl/context.hpp>

#include "base/result.h"
#include "config/model.h"

namespace sluice::cp {

/// The TLS settings of checks, loaded from their files: one context for each distinct setting, so that
/// thousands of servers share a few. Thread: one. A context stays alive as long as a check holds it.
class TlsContexts {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;

  /// The context for `tls`, loaded when it was not asked for before. Error: the file that cannot be used, by
  /// name.
  base::Result<Context> get(const config::CheckTls& tls);

 private:
  std::vector<std::pair<config::CheckTls, Context>> loaded_;  ///< the setting without its name (sni)
};

}  // namespace sluice::cp
