#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/model.h"
#include "config/vrrp_report.h"

/// The text form of every enumeration: in the configuration file, between the processes, and on the screen.
namespace sluice::config {

/// kNames<E>: pairs of value and text, in the order in which they are offered to users.
template <typename E>
inline constexpr std::array<std::pair<E, std::string_view>, 0> kNames{};

template <>
inline constexpr auto kNames<Protocol> = std::to_array<std::pair<Protocol, std::string_view>>({
    {Protocol::tcp, "tcp"},
    {Protocol::udp, "udp"},
});
template <>
inline constexpr auto kNames<Mode> = std::to_array<std::pair<Mode, std::string_view>>({
    {Mode::fullnat, "fullnat"},
    {Mode::dnat, "dnat"},
});
template <>
inline constexpr auto kNames<Balance> = std::to_array<std::pair<Balance, std::string_view>>({
    {Balance::roundrobin, "roundrobin"},
    {Balance::leastconn, "leastconn"},
    {Balance::source, "source"},
    {Balance::hash, "hash"},
    {Balance::random, "random"},
    {Balance::first, "first"},
});
template <>
inline constexpr auto kNames<HashKey> = std::to_array<std::pair<HashKey, std::string_view>>({
    {HashKey::source, "source"},
    {HashKey::source_port, "source+port"},
    {HashKey::five_tuple, "5-tuple"},
});
template <>
inline constexpr auto kNames<DeviceKind> = std::to_array<std::pair<DeviceKind, std::string_view>>({
    {DeviceKind::af_xdp, "af_xdp"},
    {DeviceKind::af_packet, "af_packet"},
    {DeviceKind::memif, "memif"},
    {DeviceKind::pci, "pci"},
    {DeviceKind::vdev, "vdev"},
});
template <>
inline constexpr auto kNames<Hugepages> = std::to_array<std::pair<Hugepages, std::string_view>>({
    {Hugepages::automatic, "auto"},
    {Hugepages::off, "off"},
});
template <>
inline constexpr auto kNames<IdlePolicy> = std::to_array<std::pair<IdlePolicy, std::string_view>>({
    {IdlePolicy::sleep, "sleep"},
    {IdlePolicy::poll, "poll"},
});
template <>
inline constexpr auto kNames<SynOverflow> = std::to_array<std::pair<SynOverflow, std::string_view>>({
    {SynOverflow::evict_oldest, "evict_oldest"},
    {SynOverflow::drop, "drop"},
});
template <>
inline constexpr auto kNames<CheckType> = std::to_array<std::pair<CheckType, std::string_view>>({
    {CheckType::none, "none"},
    {CheckType::tcp, "tcp"},
    {CheckType::tcp_check, "tcp-check"},
    {CheckType::http, "http"},
    {CheckType::https, "https"},
    {CheckType::tls, "tls"},
    {CheckType::dns, "dns"},
    {CheckType::udp, "udp"},
    {CheckType::external, "external"},
});
template <>
inline constexpr auto kNames<Expect::Match> = std::to_array<std::pair<Expect::Match, std::string_view>>({
    {Expect::Match::string, "string"},
    {Expect::Match::regex, "regex"},
    {Expect::Match::binary, "binary"},
});
template <>
inline constexpr auto kNames<SynCookies> = std::to_array<std::pair<SynCookies, std::string_view>>({
    {SynCookies::off, "off"},
    {SynCookies::automatic, "auto"},
    {SynCookies::always, "always"},
});
template <>
inline constexpr auto kNames<IdleRefresh> = std::to_array<std::pair<IdleRefresh, std::string_view>>({
    {IdleRefresh::any, "any"},
    {IdleRefresh::data, "data"},
});
template <>
inline constexpr auto kNames<NoServer> = std::to_array<std::pair<NoServer, std::string_view>>({
    {NoServer::reset, "reset"},
    {NoServer::drop, "drop"},
    {NoServer::fail_open, "fail_open"},
});
template <>
inline constexpr auto kNames<ClientRefusal> = std::to_array<std::pair<ClientRefusal, std::string_view>>({
    {ClientRefusal::reset, "reset"},
    {ClientRefusal::drop, "drop"},
});
template <>
inline constexpr auto kNames<Observe> = std::to_array<std::pair<Observe, std::string_view>>({
    {Observe::none, "none"},
    {Observe::layer4, "layer4"},
});
template <>
inline constexpr auto kNames<OnError> = std::to_array<std::pair<OnError, std::string_view>>({
    {OnError::fastinter, "fastinter"},
    {OnError::fail_check, "fail-check"},
    {OnError::sudden_death, "sudden-death"},
    {OnError::mark_down, "mark-down"},
});
template <>
inline constexpr auto kNames<OnMarkedDown> = std::to_array<std::pair<OnMarkedDown, std::string_view>>({
    {OnMarkedDown::none, "none"},
    {OnMarkedDown::shutdown_sessions, "shutdown-sessions"},
});
template <>
inline constexpr auto kNames<OnMarkedUp> = std::to_array<std::pair<OnMarkedUp, std::string_view>>({
    {OnMarkedUp::none, "none"},
    {OnMarkedUp::shutdown_backup_sessions, "shutdown-backup-sessions"},
});
template <>
inline constexpr auto kNames<VrrpStart> = std::to_array<std::pair<VrrpStart, std::string_view>>({
    {VrrpStart::backup, "BACKUP"},
    {VrrpStart::master, "MASTER"},
});
template <>
inline constexpr auto kNames<VrrpState> = std::to_array<std::pair<VrrpState, std::string_view>>({
    {VrrpState::init, "INIT"},
    {VrrpState::fault, "FAULT"},
    {VrrpState::backup, "BACKUP"},
    {VrrpState::master, "MASTER"},
});

template <typename E>
concept Named = requires {
  requires !kNames<E>.empty();
};

/// The text of `value`, a string that lives for ever. Pre: value is one of the enumerators.
template <Named E>
[[nodiscard]] constexpr std::string_view name_of(E value) noexcept {
  for (const auto& [candidate, name] : kNames<E>) {
    if (candidate == value) return name;
  }
  return {};
}

/// The value whose text is exactly `text`.
template <Named E>
[[nodiscard]] constexpr std::optional<E> named(std::string_view text) noexcept {
  for (const auto& [value, name] : kNames<E>) {
    if (name == text) return value;
  }
  return std::nullopt;
}

/// All texts of E as a list for a sentence: `"tcp", "udp"`.
template <Named E>
[[nodiscard]] std::string all_names() {
  std::string list;
  for (const auto& [value, name] : kNames<E>) {
    if (!list.empty()) list += ", ";
    list.append("\"").append(name).append("\"");
  }
  return list;
}

/// The port's device as the configuration file writes it: "af_xdp:ens6".
[[nodiscard]] inline std::string device_text(const Port& port) {
  return std::string(name_of(port.kind)).append(":").append(port.argument);
}

}  // namespace sluice::config
