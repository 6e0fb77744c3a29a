#include "cp/check/tls_contexts.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <openssl/ssl.h>

namespace sluice::cp {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

base::Error unusable(std::string_view what, const std::string& file, const error_code& error) {
  return {base::ErrorCode::invalid, fmt::format("{} \"{}\": {}", what, file, error.message())};
}

base::Result<void> load_client_certificate(ssl::context& context, const config::CheckTls& tls) {
  if (tls.certificate_file.empty()) return {};
  // One file may hold both, as HAProxy's do.
  const std::string& key = tls.key_file.empty() ? tls.certificate_file : tls.key_file;
  error_code error;
  if (context.use_certificate_chain_file(tls.certificate_file, error))
    return unusable("certificate_file", tls.certificate_file, error);
  if (context.use_private_key_file(key, ssl::context::pem, error)) return unusable("key_file", key, error);
  return {};
}

base::Result<void> load_authorities(ssl::context& context, const config::CheckTls& tls) {
  error_code error;
  context.set_verify_mode(tls.verify ? ssl::verify_peer : ssl::verify_none, error);
  if (error) return base::Error{base::ErrorCode::system, "TLS: " + error.message()};
  if (!tls.verify) return {};
  if (tls.ca_file.empty()) {
    if (context.set_default_verify_paths(error))
      return base::Error{base::ErrorCode::system, "the system's certificate authorities: " + error.message()};
    return {};
  }
  if (context.load_verify_file(tls.ca_file, error)) return unusable("ca_file", tls.ca_file, error);
  return {};
}

}  // namespace

base::Result<TlsContexts::Context> TlsContexts::get(const config::CheckTls& tls) {
  config::CheckTls setting = tls;
  setting.sni.clear();
  const auto known = std::ranges::find(loaded_, setting, &decltype(loaded_)::value_type::first);
  if (known != loaded_.end()) return known->second;
  try {
    auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
    // Many checks at a time each hold a session: OpenSSL is to give back its buffers between records.
    ::SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
    if (auto done = load_authorities(*context, setting); !done) return std::move(done).error();
    if (auto done = load_client_certificate(*context, setting); !done) return std::move(done).error();
    loaded_.emplace_back(std::move(setting), context);
    return context;
  } catch (const boost::system::system_error& error) {
    return base::Error{base::ErrorCode::system, fmt::format("TLS: {}", error.what())};
  }
}

}  // namespace sluice::cp
