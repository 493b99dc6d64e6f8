"""Three companies on one machine: a story about who may know what.

All data are synthetic: no company, person, number or code in it exists. Start
with `make demo`, or `python -m examples.demo`; read from `story`.
"""
