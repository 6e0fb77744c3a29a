#!/usr/bin/env python3
"""Writes a libFuzzer dictionary of all words that stand in double quotes in the given files: keys and values of JSON."""

import pathlib
import re
import sys

words = set()
for path in sys.argv[1:]:
    words.update(re.findall(r'"([a-z0-9][a-z0-9_.:/-]{1,40})"', pathlib.Path(path).read_text()))
for word in sorted(words):
    print(f'"\\"{word}\\""')
