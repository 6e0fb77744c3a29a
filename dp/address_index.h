#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "base/address.h"
#include "base/headers.h"
#include "dp/packet.h"
#include "dp/prefix_table.h"

/// Immutable lookup tables that tell whether a packet's destination, or source, concerns us. Of our own
/// addresses there are a few: they stay in L1.
namespace sluice::dp {

/// Address -> small number. Open addressing, at most half full. Thread: any number of readers.
template <base::Family F>
class AddressIndex {
 public:
  AddressIndex() : slots_(1) {}
  /// Pre: addresses are distinct; the number of an address is numbers[i].
  AddressIndex(const std::vector<base::Address<F>>& addresses, const std::vector<std::uint16_t>& numbers)
      : slots_(std::bit_ceil(addresses.size() * 2 + 1)) {
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      std::size_t at = slot(addresses[i]);
      while (slots_[at].number != kNoIndex) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = {addresses[i], numbers[i]};
    }
  }
  /// kNoIndex when the address is not among them.
  [[nodiscard]] std::uint16_t find(const base::Address<F>& address) const noexcept {
    for (std::size_t at = slot(address);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& s = slots_[at];
      if (s.number == kNoIndex || s.address == address) return s.number;
    }
  }

 private:
  struct Slot {
    base::Address<F> address{};
    std::uint16_t number = kNoIndex;
  };
  [[nodiscard]] std::size_t slot(const base::Address<F>& address) const noexcept {
    return (AddressBits<F>::of(address).hash() >> 32) & (slots_.size() - 1);
  }
  std::vector<Slot> slots_;
};

/// (address number, protocol, port) -> service slot. Open addressing, at most half full. Thread: any readers.
class ServiceIndex {
 public:
  struct Key {
    std::uint16_t address;  ///< number from AddressIndex
    base::IpProto proto;
    base::Be16 port;
    [[nodiscard]] constexpr std::uint64_t word() const noexcept {
      return std::uint64_t{address} << 32 | std::uint64_t{static_cast<std::uint8_t>(proto)} << 16 |
             port.raw() | std::uint64_t{1} << 63;
    }
  };
  ServiceIndex() : slots_(1) {}
  ServiceIndex(const std::vector<Key>& keys, const std::vector<std::uint16_t>& services)
      : slots_(std::bit_ceil(keys.size() * 2 + 1)) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      std::size_t at = slot(keys[i].word());
      while (slots_[at].key != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = {keys[i].word(), services[i]};
    }
  }
  /// kNoIndex when there is no such service.
  [[nodiscard]] std::uint16_t find(const Key& key) const noexcept {
    const std::uint64_t word = key.word();
    for (std::size_t at = slot(word);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& s = slots_[at];
      if (s.key == word || s.key == 0) return s.service;
    }
  }

 private:
  struct Slot {
    std::uint64_t key = 0;  ///< 0: free
    std::uint16_t service = kNoIndex;
  };
  [[nodiscard]] std::size_t slot(std::uint64_t word) const noexcept {
    return (word * 0x9e3779b97f4a7c15U >> 32) & (slots_.size() - 1);
  }
  std::vector<Slot> slots_;
};

/// A set of (address, protocol, port), of both families. Thread: any readers.
class EndpointSet {
 public:
  struct Entry {
    base::IpAddress address;
    base::IpProto proto;
    base::Be16 port;
    friend auto operator<=>(const Entry& a, const Entry& b) noexcept {
      return std::tuple(a.address, a.proto, a.port.host()) <=> std::tuple(b.address, b.proto, b.port.host());
    }
  };
  EndpointSet() = default;
  explicit EndpointSet(const std::set<Entry>& entries) : empty_(entries.empty()) {
    std::vector<base::Ipv4> v4;
    std::vector<base::Ipv6> v6;
    std::vector<std::uint16_t> v4_numbers, v6_numbers;
    std::map<base::IpAddress, std::uint16_t> numbers;
    std::vector<ServiceIndex::Key> keys;
    for (const Entry& entry : entries) {
      const auto [known, fresh] =
          numbers.try_emplace(entry.address, static_cast<std::uint16_t>(numbers.size()));
      keys.push_back({known->second, entry.proto, entry.port});
      if (!fresh) continue;
      if (entry.address.is_v4()) {
        v4.push_back(entry.address.v4());
        v4_numbers.push_back(known->second);
      } else {
        v6.push_back(entry.address.v6());
        v6_numbers.push_back(known->second);
      }
    }
    v4_ = AddressIndex<base::Family::v4>(v4, v4_numbers);
    v6_ = AddressIndex<base::Family::v6>(v6, v6_numbers);
    ports_ = ServiceIndex(keys, std::vector<std::uint16_t>(keys.size(), 0));
  }

  [[nodiscard]] bool empty() const noexcept { return empty_; }
  template <base::Family F>
  [[nodiscard]] bool has_address(const base::Address<F>& address) const noexcept {
    return !empty_ && number_of<F>(address) != kNoIndex;
  }
  template <base::Family F>
  [[nodiscard]] bool contains(const base::Address<F>& address, base::IpProto proto,
                              base::Be16 port) const noexcept {
    if (empty_) return false;
    const std::uint16_t number = number_of<F>(address);
    return number != kNoIndex && ports_.find({number, proto, port}) != kNoIndex;
  }

 private:
  template <base::Family F>
  [[nodiscard]] std::uint16_t number_of(const base::Address<F>& address) const noexcept {
    if constexpr (F == base::Family::v4) {
      return v4_.find(address);
    } else {
      return v6_.find(address);
    }
  }
  AddressIndex<base::Family::v4> v4_;
  AddressIndex<base::Family::v6> v6_;
  ServiceIndex ports_;
  bool empty_ = true;
};

}  // namespace sluice::dp
