"""Detect drift of a stream from sums that add up over partitions. No I/O, clock or global randomness.

Reading order: `block` (what is summed), `features` (what a sample adds), `detector` (the protocol), the detectors
`adwin`, `page_hinkley` and the two-sample tests `psi`, `mmd` and `label_shift`, then `registry` and `discoveries`.
"""
