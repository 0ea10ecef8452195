"""Side-by-side benchmarks of dimseproxy: ``python -m bench NAME [--quick] [--rounds N]``.

Every benchmark runs its subjects in turn within each round (A B C, B C A, ...), so that a noisy machine
disturbs all of them alike, and states medians, their spread and ratios to a baseline of the same run.
"""
