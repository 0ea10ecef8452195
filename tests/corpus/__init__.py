"""
Hostile bytes: a corpus of malformed inputs, each with the answer that is defined for it.

`cases` says what a case is, `associating` and `messaging` make them, `playing` plays one over the pure core.  Crashes
that the fuzzer (`python -m tests.fuzz`) finds are kept in `crashes/` and played again by `test_pure`.
"""
