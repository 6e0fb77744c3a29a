"""Writes a file's bytes as a C++ source: embed.py INPUT OUTPUT."""
import sys

data = open(sys.argv[1], "rb").read()
rows = (", ".join(str(byte) for byte in data[i : i + 32]) for i in range(0, len(data), 32))
with open(sys.argv[2], "w") as out:
    out.write('#include "dp/xdp/xdp_filter.h"\n\n')
    out.write("namespace sluice::dp {\n\nnamespace {\n")
    out.write("alignas(8) constexpr unsigned char kObject[] = {\n    %s};\n" % ",\n    ".join(rows))
    out.write("}  // namespace\n\n")
    out.write("std::span<const unsigned char> xdp_filter_object() noexcept { return kObject; }\n\n")
    out.write("}  // namespace sluice::dp\n")
