#include "probe_fixture.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace sluice::cp {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() {
  return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

void extend(X509* certificate, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

/// `issuer`: null: signs itself.
Certificate make_certificate(EVP_PKEY* key, const char* name, X509* issuer, EVP_PKEY* issuer_key) {
  Certificate certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), issuer == nullptr ? 1 : 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1,
                             -1, 0);
  X509_set_issuer_name(certificate.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
  if (issuer == nullptr) {
    extend(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  } else {
    extend(certificate.get(), NID_subject_alt_name, "DNS:srv.test,IP:127.0.0.1");
  }
  X509_sign(certificate.get(), issuer_key, EVP_sha256());
  return certificate;
}

template <typename Write>
void write_pem(const std::string& path, Write write) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr) << path;
  write(file);
  std::fclose(file);
}

}  // namespace

const TestCertificates& TestCertificates::get() {
  struct Files : TestCertificates {
    Files() {
      std::string name = (std::filesystem::temp_directory_path() / "sluice-tls-XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) return;
      directory = name;
      ca_file = name + "/ca.pem";
      certificate_file = name + "/server.pem";
      key_file = name + "/server.key";
      const Key ca_key = make_key();
      const Key key = make_key();
      const Certificate ca = make_certificate(ca_key.get(), "sluice test CA", nullptr, ca_key.get());
      const Certificate server = make_certificate(key.get(), "srv.test", ca.get(), ca_key.get());
      write_pem(ca_file, [&](std::FILE* file) { PEM_write_X509(file, ca.get()); });
      write_pem(certificate_file, [&](std::FILE* file) { PEM_write_X509(file, server.get()); });
      write_pem(key_file, [&](std::FILE* file) {
        PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      });
    }
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;
    ~Files() {
      std::error_code ignored;
      std::filesystem::remove_all(directory, ignored);
    }
    std::filesystem::path directory;
  };
  static const Files files;
  return files;
}

FakeServer::FakeServer(asio::io_context& io, Behaviour behaviour, asio::ssl::context* tls)
    : state_(std::make_shared<State>(io)) {
  state_->behaviour = std::move(behaviour);
  state_->tls = tls;
  const Tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
  state_->acceptor.open(any.protocol());
  state_->acceptor.bind(any);
  state_->acceptor.listen();
  state_->port = state_->acceptor.local_endpoint().port();
  asio::co_spawn(io, run(state_), asio::detached);
}

base::Endpoint FakeServer::endpoint() const {
  return {base::Ipv4::from_host(INADDR_LOOPBACK), port()};
}

asio::awaitable<void> FakeServer::run(std::shared_ptr<State> state) {
  for (;;) {
    auto [error, socket] = co_await state->acceptor.async_accept(kAsTuple);
    if (error == asio::error::operation_aborted) co_return;
    if (error) continue;
    ++state->accepted;
    asio::co_spawn(state->acceptor.get_executor(), serve(std::move(socket), state), asio::detached);
  }
}

asio::awaitable<void> FakeServer::serve(Tcp::socket socket, std::shared_ptr<State> state) {
  socket.set_option(Tcp::no_delay(true));
  if (state->tls == nullptr) {
    co_await talk(socket, *state);
  } else {
    asio::ssl::stream<Tcp::socket&> stream(socket, *state->tls);
    const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAsTuple);
    if (error) co_return;
    co_await talk(stream, *state);
  }
  if (state->behaviour.after != Behaviour::After::reset) co_return;
  socket.set_option(asio::socket_base::linger(true, 0));
  socket.close();  // its destructor would forget the option
}

template <typename Stream>
asio::awaitable<void> FakeServer::talk(Stream& stream, State& state) {
  const Behaviour& behaviour = state.behaviour;
  std::array<char, 4096> buffer{};
  if (behaviour.reads) {
    const auto [error, count] = co_await stream.async_read_some(asio::buffer(buffer), kAsTuple);
    state.received.append(buffer.data(), count);
    if (error) co_return;
  }
  const std::size_t crumb = behaviour.crumb == 0 ? behaviour.reply.size() : behaviour.crumb;
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (std::size_t at = 0; at < behaviour.reply.size(); at += crumb) {
    const std::size_t length = std::min(crumb, behaviour.reply.size() - at);
    const auto piece = asio::buffer(behaviour.reply.data() + at, length);
    const auto [error, count] = co_await asio::async_write(stream, piece, kAsTuple);
    if (error) co_return;
    if (behaviour.crumb == 0) continue;
    pause.expires_after(1ms);
    co_await pause.async_wait(kAsTuple);
  }
  while (behaviour.after == Behaviour::After::endless) {
    buffer.fill('x');
    const auto [error, count] = co_await asio::async_write(stream, asio::buffer(buffer), kAsTuple);
    if (error) co_return;
  }
  while (behaviour.after == Behaviour::After::hold) {
    const auto [error, count] = co_await stream.async_read_some(asio::buffer(buffer), kAsTuple);
    state.received.append(buffer.data(), count);
    if (error) co_return;
  }
}

ClosedPort::ClosedPort(asio::io_context& io) : socket_(io) {
  const Tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
  socket_.open(any.protocol());
  socket_.bind(any);
}

CheckResult ProbeTest::run(config::Check check, std::uint16_t port) {
  config::Config config;
  config::Service& service = config.services.emplace_back();
  service.name = "web";
  service.vip = {base::Ipv4::from_host(0xc0000201), 80};
  service.timeouts.connect = connect_timeout_;
  config::Server& server = service.servers.emplace_back();
  server.name = "a";
  server.endpoint = {base::Ipv4::from_host(INADDR_LOOPBACK), port};
  server.maxconn = 17;
  server.check = std::move(check);
  const auto prepared = prepare_checks(config);
  if (!prepared) {
    ADD_FAILURE() << prepared.error().message;
    return {};
  }
  return finish(run_check(prepared->front().front(), CommandSlots(io_.get_executor())));
}

config::Check check_of(config::CheckType type, config::Milliseconds timeout) {
  config::Check check;
  check.type = type;
  check.timeout = timeout;
  return check;
}

}  // namespace sluice::cp
